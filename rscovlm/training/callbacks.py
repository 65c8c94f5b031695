"""Callbacks that act on their trainer."""

from __future__ import annotations

from typing import Any

from transformers import TrainerCallback


class TrainerBound(TrainerCallback):
    """A callback that is given its trainer when that is built; stock trainers give theirs none.

    Attributes:
        trainer: The trainer; None before it is built.
    """

    trainer: Any = None

    def bind(self, trainer: Any) -> None:
        """Take the trainer, which calls this once when it is built."""
        self.trainer = trainer
