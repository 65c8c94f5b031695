"""The parts of a Qwen-VL model: which learn, and how fast."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Literal

Part = Literal["vision", "merger", "language"]


def part_of(name: str) -> Part:
    """Return the part of a Qwen-VL model that a weight belongs to.

    >>> part_of("model.visual.merger.mlp.0.weight"), part_of("model.visual.blocks.0.norm1.weight"), part_of("lm_head.weight")
    ('merger', 'vision', 'language')
    """
    if "visual." not in name:
        return "language"
    return "merger" if "merger" in name.split("visual.", 1)[1] else "vision"


def freeze(model: Any, parts: Collection[Part]) -> None:
    """Keep the weights of some parts as they are."""
    for name, weight in model.named_parameters():
        if part_of(name) in parts:
            weight.requires_grad_(False)


def optimizer_by_part(model: Any, rates: Mapping[Part, float], settings: Mapping[str, Any]) -> Any:
    """Return AdamW with a learning rate for each part, or None where one rate serves all.

    Args:
        model: The model, its frozen parts frozen.
        rates: Learning rate by part, for those that differ.
        settings: Arguments of `trl.SFTConfig`: the rate of the other parts, and the weight decay.
    """
    if not rates:
        return None
    import torch

    base = float(settings.get("learning_rate", 2e-5))
    decay = float(settings.get("weight_decay", 0.0))
    groups: dict[tuple[Part, bool], list[Any]] = {}
    for name, weight in model.named_parameters():
        if weight.requires_grad:
            groups.setdefault((part_of(name), weight.ndim > 1), []).append(weight)
    return torch.optim.AdamW(
        [
            {
                "params": weights,
                "lr": rates.get(part, base),
                "weight_decay": decay if decays else 0.0,
            }
            for (part, decays), weights in groups.items()
        ]
    )
