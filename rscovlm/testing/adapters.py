"""Adapters as PEFT and the trainers on it leave them, with random weights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal, get_args

AdapterLayout = Literal["ours", "peft", "trl", "ms-swift", "llama-factory", "unsloth"]
"""``ours`` with our processor beside it; ``peft`` the adapter alone; then as each trainer saves one."""

_TARGETS = r".*language_model.*\.(q_proj|v_proj|down_proj)"


def tiny_adapter(folder: str | Path, base: str | Path, *, layout: AdapterLayout = "ours", seed: int = 0) -> Path:
    """Save a random LoRA adapter of a `tiny_checkpoint`.

    Args:
        folder: Where to save; made if absent.
        base: The checkpoint that it is for.
        layout: Whose files lie beside it.
        seed: Seed of its weights, both factors of which are random, so that it changes every answer.

    Returns:
        The folder.

    Raises:
        ValueError: The layout is unknown.
    """
    import torch
    from peft import LoraConfig, get_peft_model

    from rscovlm.loading import load

    if layout not in get_args(AdapterLayout):
        raise ValueError(f"layout is {layout!r}; choose one of {', '.join(get_args(AdapterLayout))}")
    folder, (model, processor) = Path(folder), load(base, device="cpu", dtype="float32")
    torch.manual_seed(seed)
    # Unsloth writes a pattern over modules, the others lists of their names.
    targets = _TARGETS if layout in ("ours", "unsloth") else ["q_proj", "v_proj", "down_proj"]
    task = None if layout == "ours" else "CAUSAL_LM"
    adapted = get_peft_model(model, LoraConfig(r=4, target_modules=targets, init_lora_weights=False, task_type=task))
    adapted.save_pretrained(folder)
    if layout == "ours":
        processor.save_pretrained(folder)
    if layout in ("trl", "llama-factory", "unsloth"):
        processor.tokenizer.chat_template = processor.chat_template
        processor.tokenizer.save_pretrained(folder)
    if layout == "llama-factory":
        processor.image_processor.save_pretrained(folder)
        _edit(folder / "preprocessor_config.json", image_processor_type="Qwen2VLImageProcessorFast", mode=None)
    if layout == "ms-swift":
        _edit(folder / "args.json", tuner_type="lora", model=str(base))
        _edit(folder / "additional_config.json", lora_dtype=None, lorap_lr_ratio=None)
    if layout == "unsloth":
        kind = {
            "base_model_class": type(model).__name__,
            "parent_library": type(model).__module__,
            "unsloth_fixed": True,
        }
        _edit(folder / "adapter_config.json", auto_mapping=kind)
    return folder


def _edit(path: Path, **changes: object) -> None:
    content = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    path.write_text(json.dumps(content | changes, indent=2) + "\n", encoding="utf-8")
