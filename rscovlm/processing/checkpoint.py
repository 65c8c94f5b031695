"""What a saved processor's folder holds for tools that have never heard of us."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from rscovlm.processing.families import MODEL_TYPES, family_of_patch


def write_for_other_tools(folder: Path, image_processor: Any) -> list[str]:
    """Complete a folder that `RSCoVLMProcessor` was saved to.

    Writes ``preprocessor_config.json`` and ``video_preprocessor_config.json`` with the stock classes' names, for tools that
    read those, and takes our class names out of ``processor_config.json`` and ``tokenizer_config.json``. The Auto classes
    then choose by the type of the model: ours once rscovlm is imported, the stock classes where it is not. A folder without
    ``config.json``, as of a processor alone, gets one that says the type and nothing else; a model that is saved later
    overwrites it. Beside an adapter, or a model of another kind, the names stay: no type would choose these classes.

    Returns:
        The files written.
    """
    written = []
    kind = _model_type(folder)
    if kind is None and (folder / "adapter_config.json").is_file():
        kind = ""  # with a configuration of its own, transformers would take the folder for a whole model
    elif kind is None:
        kind = family_of_patch(image_processor.patch_size).name
        written.append(_write(folder / "config.json", {"model_type": kind}))
    family = MODEL_TYPES.get(kind) or family_of_patch(image_processor.patch_size)
    values = image_processor.to_dict()
    for ours in ("mode", "image_processor_type"):
        values.pop(ours, None)
    budget = image_processor.budget
    limits = {"min_pixels": budget.min_pixels, "max_pixels": budget.max_pixels}
    images = values | limits | {"image_processor_type": "Qwen2VLImageProcessor", "processor_class": family.processor}
    shape = ("patch_size", "merge_size", "temporal_patch_size", "image_mean", "image_std")
    videos = {key: values[key] for key in shape} | {"video_processor_type": family.video_processor}
    written += [
        _write(folder / "preprocessor_config.json", images),
        _write(folder / "video_preprocessor_config.json", videos),
    ]
    for name in ("processor_config.json", "tokenizer_config.json") if kind in MODEL_TYPES else ():
        config = json.loads((folder / name).read_text(encoding="utf-8"))
        config.pop("processor_class", None)
        config.get("image_processor", {}).pop("image_processor_type", None)
        _write(folder / name, config)
    return written


def drop_bare_config(folder: Path) -> None:
    """Take out a ``config.json`` that says the type alone: pushed to a repository, it would replace the model's own."""
    config = folder / "config.json"
    if config.is_file() and set(json.loads(config.read_text(encoding="utf-8"))) == {"model_type"}:
        config.unlink()


def _model_type(folder: Path) -> str | None:
    """Return the type of the model in a folder, or None where there is no model."""
    config = folder / "config.json"
    return json.loads(config.read_text(encoding="utf-8")).get("model_type", "") if config.is_file() else None


def _write(path: Path, values: dict[str, Any]) -> str:
    path.write_text(json.dumps(values, indent=2, sort_keys=True, ensure_ascii=False) + "\n", encoding="utf-8")
    return str(path)
