"""Muon for the weight matrices and AdamW for the rest, as one optimiser that a Trainer can take."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch


class MuonAdamW(torch.optim.Optimizer):
    """Steps ``torch.optim.Muon`` and ``torch.optim.AdamW`` together.

    Muon takes two-dimensional weights of the layers; embeddings, the output head, norms, biases and convolutions go to
    AdamW. A model trained from nothing learns to point several times sooner than with AdamW alone.

    Args:
        named_parameters: ``model.named_parameters()``; those that need no gradient are left out.
        lr: Learning rate of AdamW.
        muon_lr: Learning rate of Muon.
        weight_decay: For Muon's matrices only.
        betas: Of AdamW.
    """

    def __init__(
        self,
        named_parameters: Any,
        *,
        lr: float = 1e-3,
        muon_lr: float = 1e-2,
        weight_decay: float = 0.01,
        betas: tuple[float, float] = (0.9, 0.98),
    ) -> None:
        trained = [(name, weight) for name, weight in named_parameters if weight.requires_grad]
        matrices = [weight for name, weight in trained if _is_matrix(name, weight)]
        others = [weight for name, weight in trained if not _is_matrix(name, weight)]
        self._parts: list[torch.optim.Optimizer] = []
        if matrices:
            self._parts.append(torch.optim.Muon(matrices, lr=muon_lr, weight_decay=weight_decay))
        if others:
            self._parts.append(torch.optim.AdamW(others, lr=lr, betas=betas, weight_decay=0.0))
        super().__init__([{"params": [weight for _, weight in trained]}], {"lr": lr})
        # The parts' own groups, so that a schedule that sets a group's rate reaches the part that uses it.
        self.param_groups = [group for part in self._parts for group in part.param_groups]

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Take one step with each part."""
        loss = closure() if closure is not None else None
        for part in self._parts:
            part.step()
        return loss

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Clear every gradient."""
        for part in self._parts:
            part.zero_grad(set_to_none=set_to_none)

    def state_dict(self) -> dict[str, Any]:
        """Return the states of both parts."""
        return {"parts": [part.state_dict() for part in self._parts]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take the states of both parts back."""
        for part, state in zip(self._parts, state_dict["parts"], strict=True):
            part.load_state_dict(state)
        self.param_groups = [group for part in self._parts for group in part.param_groups]


def _is_matrix(name: str, weight: torch.Tensor) -> bool:
    return weight.ndim == 2 and "embed" not in name and "lm_head" not in name
