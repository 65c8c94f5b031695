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
    overwrites it. Beside an adapter the stock classes are named, since its folder can have no ``config.json`` whose type would
    choose: `rscovlm.load` gives ours. Beside a model of another kind our names stay.

    Returns:
        The files written.
    """
    written = []
    kind = _model_type(folder)
    # With a configuration of its own, transformers would take the folder of an adapter for a whole model.
    added = kind is None and (folder / "adapter_config.json").is_file()
    if added:
        kind = _base_type(folder)
    elif kind is None:
        kind = family_of_patch(image_processor.patch_size).name
        written.append(_write(folder / "config.json", {"model_type": kind}))
    family = MODEL_TYPES.get(kind or "") or family_of_patch(image_processor.patch_size)
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
    for name in ("processor_config.json", "tokenizer_config.json") if added or kind in MODEL_TYPES else ():
        config = json.loads((folder / name).read_text(encoding="utf-8"))
        _name(config, "processor_class", family.processor if added else None)
        if "image_processor" in config:
            _name(config["image_processor"], "image_processor_type", "Qwen2VLImageProcessor" if added else None)
        _write(folder / name, config)
    return written


def drop_bare_config(folder: Path) -> None:
    """Take out a ``config.json`` that says the type alone: pushed to a repository, it would replace the model's own."""
    config = folder / "config.json"
    if config.is_file() and set(json.loads(config.read_text(encoding="utf-8"))) == {"model_type"}:
        config.unlink()


def _name(config: dict[str, Any], key: str, value: str | None) -> None:
    config.pop(key, None)
    if value is not None:
        config[key] = value


def _base_type(folder: Path) -> str | None:
    """Return the type of the model that an adapter is for, or None where that is not a folder here."""
    named = json.loads((folder / "adapter_config.json").read_text(encoding="utf-8")).get("base_model_name_or_path")
    return _model_type(folder / str(named)) if named else None


def _model_type(folder: Path) -> str | None:
    """Return the type of the model in a folder, or None where there is no model."""
    config = folder / "config.json"
    return json.loads(config.read_text(encoding="utf-8")).get("model_type", "") if config.is_file() else None


def _write(path: Path, values: dict[str, Any]) -> str:
    path.write_text(json.dumps(values, indent=2, sort_keys=True, ensure_ascii=False) + "\n", encoding="utf-8")
    return str(path)
