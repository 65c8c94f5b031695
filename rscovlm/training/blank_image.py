"""A blank image for rows of text alone, so that every process takes the same part in every step."""

from __future__ import annotations

from typing import Any

import torch


def show_blank(model: Any) -> None:
    """Have the vision tower look at one blank token, to no effect, where a training batch has no image.

    Processes exchange gradients, and under FSDP weights, parameter by parameter. One whose rows have no image would leave
    the vision tower out while the others wait for it or, under ZeRO, take the gradients of one weight for those of
    another. What is added is zero: the loss and all gradients stay, those of the tower are zeros instead of absent.

    Args:
        model: A Qwen2.5-VL or Qwen3-VL model, bare or in a wrapper. It is given hooks, once.
    """
    for body in model.modules():
        parts = dict(body.named_children())
        if {"visual", "language_model"} <= set(parts) and not getattr(body, "_shows_blank", False):
            body._shows_blank = True
            look = _Look(parts["visual"])
            parts["visual"].register_forward_hook(look.saw)
            parts["language_model"].register_forward_pre_hook(look.before_text, with_kwargs=True)


class _Look:
    """Whether the tower has been used since the text was read last, and its use where it was not."""

    def __init__(self, visual: Any) -> None:
        self.visual, self.seen = visual, False

    def saw(self, *_: Any) -> None:
        self.seen = True

    def before_text(self, module: Any, arguments: Any, options: dict[str, Any]) -> Any:
        seen, self.seen = self.seen, False
        embedded = options.get("inputs_embeds")
        if seen or embedded is None or not module.training or not torch.is_grad_enabled():
            return None
        config = self.visual.config
        side = config.spatial_merge_size
        values = config.in_channels * config.temporal_patch_size * config.patch_size**2
        blank = torch.zeros(side * side, values, device=embedded.device, dtype=embedded.dtype)
        grid = torch.tensor([[1, side, side]], device=embedded.device)
        found = self.visual(blank, grid_thw=grid, return_dict=True)
        self.seen = False
        parts = [found.pooler_output, *(getattr(found, "deepstack_features", None) or ())]
        nothing = sum(part.sum() for part in parts) * 0
        return arguments, {**options, "inputs_embeds": embedded + nothing.to(embedded.dtype)}
