"""File sets of checkpoints as publishers and other trainers leave them, made from a checkpoint of ours.

What each holds was read from the published repositories of Qwen and from the saving code of transformers 4.45 to 5, TRL,
ms-swift, LLaMA-Factory and Unsloth. Only what a loader meets is remade: names, missing files, keys; not the numbers.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, get_args

from rscovlm.processing.families import FAMILIES, Family

Layout = Literal["ours", "stock", "trl", "ms-swift", "llama-factory", "unsloth", "bare"]
"""``ours`` as we save it; ``stock`` as Qwen published it; then as each trainer saves a whole model; ``bare``: weights,
configuration and tokenizer alone, as a script leaves that saved nothing else."""

_NULLS = (
    "crop_size",
    "data_format",
    "device",
    "do_center_crop",
    "do_pad",
    "input_data_format",
    "pad_size",
    "return_tensors",
)
"""Settings of its base class that a fast image processor of transformers 4 saves without a value."""


def lay_out(folder: Path, layout: Layout) -> None:
    """Turn a folder that `tiny_checkpoint` saved as ``ours`` into another layout.

    Raises:
        ValueError: The layout is unknown.
    """
    if layout not in get_args(Layout):
        raise ValueError(f"layout is {layout!r}; choose one of {', '.join(get_args(Layout))}")
    if layout == "ours":
        return
    config = _read(folder / "config.json")
    family = FAMILIES[config["model_type"]]
    images = _images(_read(folder / "preprocessor_config.json"))
    template = _without_marks((folder / "chat_template.jinja").read_text(encoding="utf-8"))
    for name in ("processor_config.json", "preprocessor_config.json", "video_preprocessor_config.json"):
        (folder / name).unlink()
    (folder / "chat_template.jinja").unlink()
    _WRITERS[layout](folder, family, images, template)


def _stock(folder: Path, family: Family, images: dict[str, Any], template: str) -> None:
    """As Qwen published its own: shards, a flat configuration before Qwen3, ``chat_template.json`` before Qwen3.5."""
    old = family.name in ("qwen2_vl", "qwen2_5_vl")
    limits = {"min_pixels": family.min_pixels, "max_pixels": family.max_pixels}
    edges = {"size": {"shortest_edge": family.min_pixels, "longest_edge": family.max_pixels}}
    kind = "Qwen2VLImageProcessor" if old else "Qwen2VLImageProcessorFast"
    _write(folder / "preprocessor_config.json", _named(images, family, kind) | (limits if old else edges))
    if not old:
        _video(folder, family, images | edges)
    if family.name == "qwen3_5":
        (folder / "chat_template.jinja").write_text(template, encoding="utf-8")
    else:
        _write(folder / "chat_template.json", {"chat_template": template})
    _qwen_tokenizer(folder, chat_template=template, **({"padding_side": "left"} if family.name == "qwen2_vl" else {}))
    if old:
        _write(folder / "config.json", _flat(_read(folder / "config.json")))
    _shard(folder)


def _trl(folder: Path, family: Family, images: dict[str, Any], template: str) -> None:
    """As transformers 5 and so TRL saves: both processors within ``processor_config.json``, the template beside it."""
    parts = {
        "image_processor": images | {"image_processor_type": "Qwen2VLImageProcessor", "size": _edges(family)},
        "video_processor": images | {"video_processor_type": family.video_processor, "size": _edges(family)},
    }
    _write(folder / "processor_config.json", parts | {"processor_class": family.processor})
    (folder / "chat_template.jinja").write_text(template, encoding="utf-8")
    config = _read(folder / "tokenizer_config.json")
    _write(folder / "tokenizer_config.json", config | {"padding_side": "right", "processor_class": family.processor})
    _leave(folder, "training_args.bin", "README.md")


def _fast(folder: Path, family: Family, images: dict[str, Any], template: str) -> None:
    """As transformers 4.5x saves: fast processors with empty settings, vocabulary files, the template beside them."""
    nulls = dict.fromkeys(_NULLS)
    settings = nulls | images | {"size": _edges(family), "disable_grouping": None, "default_to_square": True}
    _write(folder / "preprocessor_config.json", _named(settings, family, "Qwen2VLImageProcessorFast"))
    _video(folder, family, settings)
    (folder / "chat_template.jinja").write_text(template, encoding="utf-8")
    _qwen_tokenizer(folder, padding_side="right")
    added = _read(folder / "tokenizer.json")["added_tokens"]
    _write(folder / "added_tokens.json", {token["content"]: token["id"] for token in added})
    _write(folder / "special_tokens_map.json", {"eos_token": "<|im_end|>", "pad_token": "<|endoftext|>"})


def _ms_swift(folder: Path, family: Family, images: dict[str, Any], template: str) -> None:
    _fast(folder, family, images, template)
    _write(folder / "args.json", {"model_type": family.name, "tuner_type": "full", "adapters": []})
    _shard(folder)


def _llama_factory(folder: Path, family: Family, images: dict[str, Any], template: str) -> None:
    """Likewise, with the keys under which image processors before 4.49 saved their limits."""
    _fast(folder, family, images, template)
    limits = {"min_pixels": family.min_pixels, "max_pixels": family.max_pixels}
    settings = _named(images, family, "Qwen2VLImageProcessor") | limits | {"size": limits}
    _write(folder / "preprocessor_config.json", settings)
    _leave(folder, "training_args.bin", "trainer_log.jsonl", "Modelfile")
    _write(folder / "all_results.json", {"epoch": 1.0})


def _unsloth(folder: Path, family: Family, images: dict[str, Any], template: str) -> None:
    _fast(folder, family, images, template)
    (folder / "video_preprocessor_config.json").unlink()
    config = _read(folder / "config.json")
    _write(folder / "config.json", config | {"unsloth_fixed": True, "unsloth_version": "2026.1.1"})
    (folder / "generation_config.json").unlink()


def _bare(folder: Path, family: Family, images: dict[str, Any], template: str) -> None:
    config = _read(folder / "tokenizer_config.json")
    config.pop("padding_side", None)
    _write(folder / "tokenizer_config.json", config | {"chat_template": template})


_WRITERS = {
    "stock": _stock,
    "trl": _trl,
    "ms-swift": _ms_swift,
    "llama-factory": _llama_factory,
    "unsloth": _unsloth,
    "bare": _bare,
}


def _images(saved: Mapping[str, Any]) -> dict[str, Any]:
    """Return what every image processor of the family says, without limits and class names."""
    names = ("patch_size", "temporal_patch_size", "merge_size", "image_mean", "image_std")
    return {name: saved[name] for name in names}


def _named(settings: Mapping[str, Any], family: Family, kind: str) -> dict[str, Any]:
    return {**settings, "image_processor_type": kind, "processor_class": family.processor}


def _edges(family: Family) -> dict[str, int]:
    return {"shortest_edge": family.min_pixels, "longest_edge": family.max_pixels}


def _video(folder: Path, family: Family, settings: Mapping[str, Any]) -> None:
    names = {"video_processor_type": family.video_processor, "processor_class": family.processor}
    _write(folder / "video_preprocessor_config.json", {**settings, **names})


def _without_marks(template: str) -> str:
    """Return the text that published templates write: ours, less the marks around what the assistant wrote."""
    return template.replace("{%- generation -%}", "").replace("{%- endgeneration -%}", "")


def _qwen_tokenizer(folder: Path, **more: Any) -> None:
    """Save the tokenizer under the name and with the vocabulary files that Qwen's own has."""
    content = _read(folder / "tokenizer.json")
    _write(folder / "vocab.json", content["model"]["vocab"])
    merges = "\n".join(" ".join(pair) for pair in content["model"]["merges"])
    (folder / "merges.txt").write_text(f"#version: 0.2\n{merges}\n", encoding="utf-8")
    config = _read(folder / "tokenizer_config.json")
    special = [token["content"] for token in content["added_tokens"] if token["special"]]
    for ours in ("backend", "extra_special_tokens", "padding_side"):
        config.pop(ours, None)
    names = {"tokenizer_class": "Qwen2Tokenizer", "additional_special_tokens": special, "errors": "replace"}
    decoder = {str(token["id"]): {key: token[key] for key in token if key != "id"} for token in content["added_tokens"]}
    _write(folder / "tokenizer_config.json", {**config, **names, "added_tokens_decoder": decoder, **more})


def _flat(config: dict[str, Any]) -> dict[str, Any]:
    """Return a configuration as before transformers 4.52: the text model's numbers at the top, rotary ones apart."""
    text, vision = config.pop("text_config"), config["vision_config"]
    rope = text.pop("rope_parameters")
    for new in ("layer_types", "dtype", "model_type"):
        text.pop(new, None)
    for new in ("dtype", "model_type", "rope_parameters"):
        vision.pop(new, None)
    scaling = {"type": "mrope", "mrope_section": rope["mrope_section"]}
    more = {"rope_theta": rope["rope_theta"], "rope_scaling": scaling, "torch_dtype": config.pop("dtype", "float32")}
    return {**text, **config, **more, "transformers_version": "4.41.2"}


def _shard(folder: Path) -> None:
    """Part the weights into two files with an index."""
    from safetensors.numpy import load_file, save_file

    whole = folder / "model.safetensors"
    weights = load_file(whole)
    names = sorted(weights)
    parts = (names[: len(names) // 2], names[len(names) // 2 :])
    where: dict[str, str] = {}
    for number, part in enumerate(parts, 1):
        file = f"model-0000{number}-of-00002.safetensors"
        save_file({name: weights[name] for name in part}, folder / file, metadata={"format": "pt"})
        where |= dict.fromkeys(part, file)
    total = sum(value.nbytes for value in weights.values())
    _write(folder / "model.safetensors.index.json", {"metadata": {"total_size": total}, "weight_map": where})
    whole.unlink()


def _leave(folder: Path, *names: str) -> None:
    """Leave files that trainers write and no loader needs; what they hold is no pickle, so that reading them would fail."""
    for name in names:
        (folder / name).write_text("left by a trainer\n", encoding="utf-8")


def _read(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content


def _write(path: Path, content: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
