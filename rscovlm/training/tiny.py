"""Small Qwen-VL models with random weights, to be trained from nothing."""

from __future__ import annotations

from typing import Any

from rscovlm.processing.families import FAMILIES, FamilyName

Family = FamilyName

_DEVIATION = 0.1
"""Standard deviation of the weights: widths this small need it; the usual 0.02 does not train."""


def build_model(
    tokenizer: Any,
    *,
    family: Family = "qwen2_5_vl",
    vision_width: int = 96,
    vision_depth: int = 2,
    width: int = 96,
    depth: int = 3,
    heads: int = 4,
    seed: int = 0,
) -> Any:
    """Build a plain Qwen-VL model of about a million parameters.

    Args:
        tokenizer: Gives the vocabulary and the ids of the special tokens.
        family: Architecture.
        vision_width: Width of the vision tower.
        vision_depth: Its layers; every one sees the whole image.
        width: Width of the language model.
        depth: Its layers.
        heads: Attention heads of both; other engines want ``width // heads`` to be 64.
        seed: Of the weights.

    Raises:
        ValueError: An unknown family, or a head too narrow for multimodal rotary positions.
    """
    import torch
    from transformers import AutoModelForImageTextToText

    if family not in FAMILIES:
        raise ValueError(f"family {family!r} is unknown; choose one of {', '.join(FAMILIES)}")
    head = width // heads
    if head % 8:
        raise ValueError(f"a head of {head} cannot hold three rotary sections; give a multiple of 8")
    ids = {name: tokenizer.convert_tokens_to_ids(f"<|{name}|>") for name in _NAMES}
    # Of half a head: time takes what two equal parts for height and width leave.
    side = 3 * head // 16
    rope: dict[str, Any] = {"rope_type": "default", "rope_theta": 10000.0}
    rope["mrope_section"] = [head // 2 - 2 * side, side, side]
    text = {
        "vocab_size": len(tokenizer),
        "hidden_size": width,
        "intermediate_size": 3 * width,
        "num_hidden_layers": depth,
        "num_attention_heads": heads,
        "num_key_value_heads": heads,
        "max_position_embeddings": 32768,
        "initializer_range": _DEVIATION,
        "rope_parameters": rope,
        "tie_word_embeddings": True,
        "pad_token_id": ids["endoftext"],
        "bos_token_id": ids["endoftext"],
        "eos_token_id": ids["im_end"],
    }
    vision = {
        "depth": vision_depth,
        "hidden_size": vision_width,
        "intermediate_size": 3 * vision_width,
        "num_heads": heads,
        "out_hidden_size": width,
        "spatial_merge_size": 2,
        "temporal_patch_size": 2,
        "initializer_range": _DEVIATION,
    }
    common = {
        "image_token_id": ids["image_pad"],
        "video_token_id": ids["video_pad"],
        "vision_start_token_id": ids["vision_start"],
        "vision_end_token_id": ids["vision_end"],
        "tie_word_embeddings": True,
    }
    torch.manual_seed(seed)
    model = AutoModelForImageTextToText.from_config(_config(family, text, vision, common))
    model.generation_config.update(
        do_sample=False, pad_token_id=ids["endoftext"], bos_token_id=ids["endoftext"], eos_token_id=ids["im_end"]
    )
    return model


_NAMES = ("endoftext", "im_end", "image_pad", "video_pad", "vision_start", "vision_end")


def _config(family: Family, text: dict[str, Any], vision: dict[str, Any], common: dict[str, Any]) -> Any:
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING

    depth = vision["depth"]
    vision["patch_size"] = FAMILIES[family].patch_size
    if family == "qwen2_vl":
        vision |= {"embed_dim": vision["hidden_size"], "hidden_size": vision.pop("out_hidden_size"), "mlp_ratio": 3}
        vision.pop("intermediate_size")
    elif family == "qwen2_5_vl":
        vision |= {"window_size": 112, "fullatt_block_indexes": list(range(depth))}
    else:
        text["rope_parameters"]["mrope_interleaved"] = True
        text["head_dim"] = text["hidden_size"] // text["num_attention_heads"]
        vision["num_position_embeddings"] = 256
    if family == "qwen3_vl":
        vision["deepstack_visual_indexes"] = [depth - 1]
    if family == "qwen3_5":
        layers = text["num_hidden_layers"]
        text["layer_types"] = [*["linear_attention"] * (layers - 1), "full_attention"]
        text |= {"linear_num_key_heads": 2, "linear_num_value_heads": 2}
        text |= {"linear_key_head_dim": 32, "linear_value_head_dim": 32}
    return CONFIG_MAPPING[family](text_config=text, vision_config=vision, **common)
