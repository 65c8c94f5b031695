"""What a saved processor's folder holds for tools that have never heard of us."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import Any

# Class names that every transformers since 4.49 (Qwen2.5-VL) or 4.57 (Qwen3-VL) knows.
_STOCK = {
    14: ("qwen2_5_vl", "Qwen2_5_VLProcessor", "Qwen2VLVideoProcessor"),
    16: ("qwen3_vl", "Qwen3VLProcessor", "Qwen3VLVideoProcessor"),
}


# Where trust_remote_code finds the classes in a folder.
_REMOTE = "processing_rscovlm"


def write_for_other_tools(folder: Path, image_processor: Any) -> list[str]:
    """Complete a folder that `RSCoVLMProcessor` was saved to.

    Writes ``preprocessor_config.json`` and ``video_preprocessor_config.json`` with the stock classes' names, for older tools,
    and ``processing_rscovlm.py``, from which ``trust_remote_code=True`` gives our classes where rscovlm is not installed.
    Where the model's ``config.json`` is there, it also takes our class names out of ``processor_config.json`` and
    ``tokenizer_config.json``: the Auto classes then choose by model type, which is ours once rscovlm is imported and the
    stock processor where it is not. In a folder without a model the names stay: there is nothing else to choose by.

    Returns:
        The files written.
    """
    family, processor, video = _STOCK[16 if image_processor.patch_size == 16 else 14]
    values = image_processor.to_dict()
    for ours in ("mode", "auto_map", "image_processor_type"):
        values.pop(ours, None)
    limits = {"min_pixels": values["size"]["shortest_edge"], "max_pixels": values["size"]["longest_edge"]}
    images = values | limits | {"image_processor_type": "Qwen2VLImageProcessor", "processor_class": processor}
    shape = ("patch_size", "merge_size", "temporal_patch_size", "image_mean", "image_std")
    videos = {key: values[key] for key in shape} | {"video_processor_type": video}
    (folder / f"{_REMOTE}.py").write_text(_source(), encoding="utf-8")
    written = [
        _write(folder / "preprocessor_config.json", images),
        _write(folder / "video_preprocessor_config.json", videos),
        str(folder / f"{_REMOTE}.py"),
    ]
    stands_for_itself = _model_type(folder) == family
    for name in ("processor_config.json", "tokenizer_config.json"):
        config = json.loads((folder / name).read_text(encoding="utf-8"))
        if name == "processor_config.json":
            config["auto_map"] = {"AutoProcessor": f"{_REMOTE}.RSCoVLMProcessor"}
            config["image_processor"]["auto_map"] = {"AutoImageProcessor": f"{_REMOTE}.RSCoVLMImageProcessor"}
        if stands_for_itself:
            config.pop("processor_class", None)
            config.get("image_processor", {}).pop("image_processor_type", None)
        _write(folder / name, config)
    return written


def _source() -> str:
    if not __name__.startswith("rscovlm."):  # this is such a file
        return Path(__file__).read_text(encoding="utf-8")
    return str(importlib.import_module("rscovlm.processing.bundle").bundle())


def _model_type(folder: Path) -> str | None:
    config = folder / "config.json"
    return json.loads(config.read_text(encoding="utf-8")).get("model_type") if config.is_file() else None


def _write(path: Path, values: dict[str, Any]) -> str:
    path.write_text(json.dumps(values, indent=2, sort_keys=True, ensure_ascii=False) + "\n", encoding="utf-8")
    return str(path)
