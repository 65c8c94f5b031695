"""What a recipe asks of its data, its model and its trainer: the values that the later stages of a run take."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rscovlm.embedded import embedded_model
from rscovlm.mixtures.balance import BalanceRule
from rscovlm.mixtures.recipe import MixtureRecipe
from rscovlm.processing.resizing import Resizer
from rscovlm.training.parts import Part
from rscovlm.training.recipe import Evaluation, Packing
from rscovlm.training.weighting import Weighting


@dataclass(frozen=True)
class DataSettings:
    """What a run draws its samples from, and how they make rows.

    Attributes:
        mixture: What is drawn from.
        root: Folder that its paths are relative to.
        steps: Optimiser steps; None counts in epochs.
        epochs: Passes over the rows of all subsets; None counts in steps.
        packing: How samples share rows; None pads them.
        evaluation: The fixed set that is measured while training, or None.
        balance: How weights follow from what is measured, or None.
        batch: Rows of a batch on one process.
        rows_per_step: Rows that all processes together train in a step.
        checkpoint: The checkpoint that the run resumes from; None starts anew.
    """

    mixture: MixtureRecipe
    root: str | Path
    steps: int | None
    epochs: float | None
    packing: Packing | None
    evaluation: Evaluation | None
    balance: BalanceRule | None
    batch: int
    rows_per_step: int
    checkpoint: Path | None

    def positions(self, rows: int) -> int:
        """Return how many positions of the mixture these rows can take at most: positions cost nothing."""
        # No row can take more of them than it has tokens.
        return rows * (8 if self.packing is None else self.packing.tokens)


@dataclass(frozen=True)
class ModelSettings:
    """Which model a run starts from, and what of it learns.

    Attributes:
        name: The recipe's model: a folder, a name on the Hub, or ``embedded``.
        base: What the recipe's model stands on, where that is an adapter which is trained further; else None.
        dtype: Type of the weights.
        attention: Attention to load it with; None takes the best that is installed.
        quantization: Configuration of weights of few bits, or None.
        adapter: Configuration of the adapter to train, or None.
        frozen: Parts that stay as they are.
        checkpoint: The checkpoint that the run resumes from; None starts anew.
    """

    name: str
    base: str | None
    dtype: str
    attention: str | None
    quantization: Any
    adapter: Any
    frozen: Collection[Part]
    checkpoint: Path | None

    @property
    def start(self) -> str:
        """The model as a folder or a name on the Hub."""
        return str(embedded_model()) if self.name == "embedded" else self.name

    @property
    def processor(self) -> str:
        """Where the processor is loaded from."""
        return self.start if self.checkpoint is None else str(self.checkpoint)

    @property
    def weights(self) -> str:
        """Where the weights are loaded from before the trainer is built.

        The trainer loads an adapter, or weights in shards, into the model it was made for; whole ones are loaded once.
        """
        whole = self.checkpoint is not None and self.adapter is None and any(self.checkpoint.glob("*.safetensors"))
        return str(self.checkpoint) if whole else self.base or self.start

    @property
    def adapter_weights(self) -> str | None:
        """Folder of an adapter that is trained further from here; None where it is new or of a checkpoint."""
        return self.name if self.base is not None and self.checkpoint is None else None


@dataclass(frozen=True)
class TrainerSettings:
    """How a run trains.

    Attributes:
        arguments: For `trl.SFTConfig`, without the number of steps.
        learning_rates: By part, for those that differ.
        weighting: How much each trained token weighs.
        tolerate: Largest share of unusable samples.
        resizer: What resizes images; None takes the faster one.
        recipe: The plain values that checkpoints keep.
    """

    arguments: Mapping[str, Any]
    learning_rates: Mapping[Part, float]
    weighting: Weighting
    tolerate: float
    resizer: Resizer | None
    recipe: Mapping[str, Any]

    @property
    def batch(self) -> int:
        """Rows of a batch on one process."""
        return int(self.arguments.get("per_device_train_batch_size", 8))

    @property
    def rows_per_step(self) -> int:
        """Rows that all processes together train in a step."""
        processes = int(os.environ.get("WORLD_SIZE", "1"))
        return self.batch * int(self.arguments.get("gradient_accumulation_steps", 1)) * processes
