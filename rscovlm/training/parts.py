"""The parts of a Qwen-VL model: which learn, and how fast."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Literal, get_args

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
    """Keep the weights of some parts as they are, and what an adapter adds to them."""
    for name, weight in model.named_parameters():
        if part_of(name) in parts:
            weight.requires_grad_(False)


def check_parts(model: Any, frozen: Collection[Part], rates: Mapping[Part, float]) -> None:
    """Refuse a model of which nothing is trained, or nothing of a part that has a learning rate.

    Args:
        model: The model, with its adapter where it has one, its frozen parts frozen.
        frozen: Parts that stay as they are.
        rates: Learning rate by part.

    Raises:
        ValueError: Either of these; the message names the part.
    """
    trained = sorted({part_of(name) for name, weight in model.named_parameters() if weight.requires_grad})
    if not trained:
        raise ValueError(
            f"no weight is left to train (frozen: {', '.join(frozen) or 'by hand'}); freeze less of the model"
        )
    for part in rates:
        if part not in trained:
            raise ValueError(
                f"learning_rates names {part!r}, of which no weight is trained (trained: {', '.join(trained)}); "
                "leave it out, or have lora.target_modules reach it"
            )


def set_rates(optimizer: Any, model: Any, rates: Mapping[Part, float]) -> None:
    """Divide the groups of an optimiser that has not stepped by part, and give those named their own learning rate.

    Args:
        optimizer: Any optimiser of the model's weights.
        model: The model, with its adapter where it has one.
        rates: Learning rate by part, for those that differ.
    """
    parts = {id(weight): part_of(name) for name, weight in model.named_parameters()}
    groups = []
    for group in optimizer.param_groups:
        for part in get_args(Part):
            weights = [weight for weight in group["params"] if parts[id(weight)] == part]
            if weights:
                groups.append({**group, "params": weights, "lr": rates.get(part, group["lr"])})
    optimizer.param_groups = groups
