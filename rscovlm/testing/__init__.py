"""Checkpoints for tests: the real architectures, small enough to build in a second."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rscovlm.testing.adapters import AdapterLayout, tiny_adapter
from rscovlm.testing.layouts import Layout, lay_out
from rscovlm.zoom import layouts

if TYPE_CHECKING:
    from rscovlm.processing import PixelBudget
    from rscovlm.training.tiny import Family

__all__ = ["AdapterLayout", "Layout", "tiny_adapter", "tiny_checkpoint", "tiny_scenes"]

# What the tokenizer learns its words from; every byte can be written besides.
_CORPUS = (
    "find the plane, ship, large vehicle, small vehicle, storage tank, tennis court, harbor, bridge\n",
    "What colour is the roof of the largest hangar? How many ships are there? Is there a plane? yes no\n",
    '120,44,310,205 plane\n```json\n[\n\t{"bbox_2d": [98, 12, 140, 20], "label": "ship"}\n]\n```\nThere are none.\n',
    "Describe the image. The scene is an airfield with two red planes on the left.\n",
)


def tiny_checkpoint(
    folder: str | Path,
    family: Family = "qwen2_5_vl",
    *,
    layout: Layout = "ours",
    seed: int = 0,
    codec: Any = None,
    budget: PixelBudget | None = None,
    special_tokens: Iterable[str] = (),
) -> Path:
    """Save a random Qwen-VL checkpoint of under a million parameters, processor included.

    The architecture is the stock one (attention heads of 64 values, so that other engines load it too), the tokenizer is
    built on the spot with Qwen's special tokens, one token a digit, and one token for each of the long fixed texts of
    system and zoom turns. It generates text without meaning, but every path around the model is the real one.

    Args:
        folder: Where to save; made if absent.
        family: ``"qwen2_vl"``, ``"qwen2_5_vl"``, ``"qwen3_vl"`` or ``"qwen3_5"``.
        layout: Whose files the folder holds: ours, or as others publish or save such a model (`Layout`).
        seed: Seed of the weights.
        codec: As in `RSCoVLMProcessor`; None for the family's own. Other layouts than ours do not say it.
        budget: Limits of the visual tokens; None for the processor's own. Other layouts have the published limits.
        special_tokens: Texts that its tokenizer has as special tokens besides, such as the tags of a dialect.

    Returns:
        The folder, ready for `rscovlm.load`.

    Raises:
        ValueError: if the family or the layout is unknown.
    """
    from tokenizers import AddedToken

    from rscovlm.processing import RSCoVLMImageProcessor, RSCoVLMProcessor, chat_template
    from rscovlm.processing.tokenizer import build_tokenizer
    from rscovlm.training.tiny import build_model

    phrases = ["You are a helpful assistant.", "<tool_call>", "</tool_call>", "<tool_response>", "</tool_response>"]
    phrases += [layouts.ZOOM_SYSTEM, layouts.ZOOM_REQUEST, layouts.CROP_TEXT, layouts.CALL_START, layouts.CALL_END]
    tokenizer = build_tokenizer(_CORPUS, phrases=phrases)
    tokenizer.add_tokens([AddedToken(text, normalized=False, special=True) for text in special_tokens])
    image_processor = RSCoVLMImageProcessor.for_family(family, budget)
    model = build_model(tokenizer, family=family, vision_width=64, width=128, depth=2, heads=2, seed=seed)
    folder = Path(folder)
    model.save_pretrained(folder)
    RSCoVLMProcessor(image_processor, tokenizer, chat_template(family), codec).save_pretrained(folder)
    lay_out(folder, layout)
    return folder


def tiny_scenes(folder: str | Path) -> Path:
    """Write twelve generated scenes and their records, and a `tiny_checkpoint`: all that the tiny recipe trains on.

    ``python -m rscovlm.testing FOLDER`` does it; ``examples/recipes/tiny-cpu.yaml`` says how to train then.

    Args:
        folder: Gets ``scenes.jsonl`` with a detection and a classification of each, their images, and ``model``.

    Returns:
        The folder.
    """
    from rscovlm.data.storage import write_jsonl
    from rscovlm.records.record import Annotation, ImageRef, Record
    from rscovlm.scenes import SceneConfig, make_scene

    folder = Path(folder)
    tiny_checkpoint(folder / "model")
    records: list[Record] = []
    for seed in range(12):
        scene = make_scene(seed, SceneConfig(size=112, min_objects=0, max_objects=3))
        scene.image.save(folder / f"{seed}.png")
        image = ImageRef(f"{seed}.png", width=112, height=112)
        objects = tuple(Annotation(tuple(map(float, thing.quad.ravel())), thing.label) for thing in scene.objects)
        classes = ("plane", "ship", "vehicle", "tank", "court")
        found = Record(f"d{seed}", "scenes", "train", "detection", (image,), objects=objects, categories=classes)
        seen = Record(f"c{seed}", "scenes", "train", "classification", (image,), classes=(scene.scene_class,))
        records += [found, seen]
    write_jsonl(records, folder / "scenes.jsonl")
    return folder
