"""Whether steps of training are large enough to change the numbers they are added to."""

from __future__ import annotations

import logging
from typing import Any

import torch

logger = logging.getLogger(__name__)


def share_out_of_reach(model: Any, rate: float, *, looked: int = 4096) -> float:
    """Return the share of a model's trained weights that a step of AdamW leaves as they are, from 0 to 1.

    A step changes a weight by about the learning rate, and a number of bfloat16 has eight bits: what is less than half the
    distance to the next number is rounded away, step after step, because nothing is kept of it. With the 2e-6 of the
    paper and weights as they are in language models that is nearly all; a copy in float32, as DeepSpeed and FSDP keep
    one, or weights in float32 take every step.

    Args:
        model: The model, its frozen parts frozen.
        rate: Learning rate.
        looked: Weights to look at in each tensor.

    Examples:
        >>> layer = torch.nn.Linear(256, 256, dtype=torch.bfloat16)
        >>> share_out_of_reach(layer, 2e-6) > 0.9, share_out_of_reach(layer.float(), 2e-6) == 0
        (True, True)
    """
    lost = total = 0.0
    for weight in model.parameters():
        if not weight.requires_grad or not weight.numel():
            continue
        some = weight.detach().flatten()[:: -(-weight.numel() // looked)].float()
        # Spacing of the numbers at a weight: its power of two, times the type's precision.
        spacing = torch.exp2(torch.floor(torch.log2(some.abs()))) * torch.finfo(weight.dtype).eps
        lost += float((rate < spacing / 2).double().mean()) * weight.numel()
        total += weight.numel()
    return lost / total if total else 0.0


def warn_of_rounding(trainer: Any) -> None:
    """Say where steps are too small for the weights they are added to, which no log would show."""
    if trainer.is_deepspeed_enabled or trainer.is_fsdp_enabled:
        return  # both keep a copy in single precision
    rate = trainer.args.learning_rate
    share = share_out_of_reach(trainer.model, rate)
    if share > 0.5:
        logger.warning(
            "a step of %g is too small to change %.0f%% of the trained weights in the type they are in: set dtype to "
            "float32 (with bf16 it still computes in bfloat16), or deepspeed",
            rate,
            100 * share,
        )
