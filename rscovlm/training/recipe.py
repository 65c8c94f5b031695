"""Training recipes: a YAML file that says which model learns what, and how; the same for the command and the example."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from rscovlm.mixtures.balance import BalanceRule
from rscovlm.mixtures.recipe import MixtureRecipe, SubsetRecipe
from rscovlm.processing.resizing import Resizer
from rscovlm.records.names import TASKS
from rscovlm.settings.checked import known_fields
from rscovlm.settings.nearest import nearest
from rscovlm.settings.yamlfiles import read_yaml
from rscovlm.training.fitting import Way, ways_of
from rscovlm.training.parts import Part
from rscovlm.training.weighting import Per, Weighting, Written

logger = logging.getLogger(__name__)

_MOST_IN_HAND = 10**6
"""Upper bound that catches typos: no real row has this many tokens, and no choice this many samples."""

DTYPES = ("float32", "bfloat16", "float16")


@dataclass(frozen=True)
class Packing:
    """How samples share rows.

    Attributes:
        tokens: Token budget of a row.
        lookahead: Samples to choose from.
        too_long: What becomes of a sample longer than the budget: ``"drop"``, ``"shrink"`` to show its image smaller
            where that makes it fit, ``"split"`` to cut a detection into tiles, or several to try in order. All is counted.
        overlap: Share of a tile's side that neighbours have in common.
        least_tile: Longest side, in the image's pixels, of what is not cut further.

    Raises:
        ValueError: ``too_long`` is none of these, or there is no room for a sample.
    """

    tokens: int = 6144
    lookahead: int = 256
    too_long: Way | Sequence[Way] = "drop"
    overlap: float = 0.2
    least_tile: int = 128

    def __post_init__(self) -> None:
        """Refuse what no row can be made with, and what is no way to treat a long sample."""
        if min(self.tokens, self.lookahead) < 1 or self.tokens > _MOST_IN_HAND or self.lookahead > _MOST_IN_HAND:
            raise ValueError(
                f"packing has tokens {self.tokens}, lookahead {self.lookahead}; give 1 or more, and no more than {_MOST_IN_HAND}"
            )
        object.__setattr__(self, "too_long", ways_of(self.too_long))


@dataclass(frozen=True)
class Evaluation:
    """A small fixed set that is answered and measured while training.

    Attributes:
        subsets: Where it is from, as in a mixture.
        count: Samples.
        every: Steps between measurements.
        max_new_tokens: Largest number of tokens of an answer.
    """

    subsets: tuple[SubsetRecipe, ...]
    count: int = 32
    every: int = 500
    max_new_tokens: int = 512


@dataclass(frozen=True)
class TrainingRecipe:
    """A training run.

    Attributes:
        model: Name on the Hub or folder of the model to start from; ``embedded`` for the small one in the package.
        mixture: What it learns.
        steps: Optimiser steps; None counts in epochs.
        epochs: In place of steps, passes over the rows of all subsets: so many samples are trained, in the shares of the
            weights. The steps are estimated from the first rows.
        packing: How samples share rows; None pads them side by side.
        freeze: Parts of the model that stay as they are.
        learning_rates: Learning rate by part, for those that differ from ``train.learning_rate``.
        lora: Arguments of `peft.LoraConfig`; None trains the weights themselves.
        quantization: Arguments of `transformers.BitsAndBytesConfig` to load the model with, under adapters (QLoRA); None
            leaves the weights as they are.
        attention: Attention to load the model with; None takes the best that is installed.
        dtype: Type of the weights.
        resizer: What resizes the images that are trained: ``pillow`` as inference does, or ``torch``, within one grey level of it
            in two thirds of the time; None takes the faster one on the machine.
        task_weights: Factor of the loss by task, 1 for those not named.
        token_weights: Factor of the loss of ``digits`` and of all other tokens, ``words``.
        loss_per: What weighs the same in the loss: every ``"token"``, every ``"sample"``, or ``"root"`` between; see
            `Weighting`.
        evaluation: What is measured while training; None measures nothing.
        balance: How the weights of the mixture follow from what is measured; None leaves them as they are.
        train: Arguments of `trl.SFTConfig`.
    """

    model: str
    mixture: MixtureRecipe
    steps: int | None = None
    epochs: float | None = None
    packing: Packing | None = field(default_factory=Packing)
    freeze: tuple[Part, ...] = ()
    learning_rates: Mapping[Part, float] = field(default_factory=dict)
    lora: Mapping[str, Any] | None = None
    quantization: Mapping[str, Any] | None = None
    attention: str | None = None
    dtype: str = "bfloat16"
    resizer: Resizer | None = None
    task_weights: Mapping[str, float] = field(default_factory=dict)
    token_weights: Mapping[Written, float] = field(default_factory=dict)
    loss_per: Per = "token"
    evaluation: Evaluation | None = None
    balance: BalanceRule | None = None
    train: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def from_dict(cls, content: Any) -> TrainingRecipe:
        """Read the recipe's plain values.

        Raises:
            ValueError: A key is unknown (the nearest right one is named), or a value is of no use.
        """
        values = known_fields(content, cls, "the recipe")
        if not values["model"]:
            raise ValueError("the recipe has no model; give the folder of a checkpoint, or its name on the Hub")
        for name, least in (("steps", 1), ("epochs", 0.001)):
            if values.get(name) is not None and values[name] < least:
                raise ValueError(f"{name} of the recipe is {values[name]}; give {least} or more")
        counted = [name for name in ("steps", "epochs") if values.get(name) is not None]
        if len(counted) != 1:
            both = "both steps and epochs" if counted else "no steps"
            raise ValueError(f"the recipe has {both}; give either steps or epochs")
        if values.get("dtype", "bfloat16") not in DTYPES:
            raise ValueError(f"dtype of the recipe is {values['dtype']!r}{nearest(values['dtype'], DTYPES)}")
        for name, kind in (("packing", Packing), ("evaluation", Evaluation), ("balance", BalanceRule)):
            if values.get(name) is not None:
                values[name] = known_fields(values[name], kind, name)
        values["mixture"] = MixtureRecipe.from_dict(values["mixture"])
        if values.get("packing") is not None:
            values["packing"] = Packing(**values["packing"])
        if values.get("evaluation") is not None:
            drawn = MixtureRecipe.from_dict({"subsets": values["evaluation"].get("subsets")})
            values["evaluation"] = Evaluation(**{**values["evaluation"], "subsets": drawn.subsets})
        if values.get("balance") is not None:
            values["balance"] = BalanceRule(**values["balance"])
        values["freeze"] = tuple(values.get("freeze", ()))
        for name in values.get("task_weights", ()):
            if name not in TASKS:
                raise ValueError(f"task_weights of the recipe is {name!r}{nearest(str(name), TASKS)}")
        recipe = cls(**values)
        if recipe.quantization is not None and recipe.lora is None:
            raise ValueError(
                "quantization is set and lora is not: weights of few bits cannot be trained; give lora, or leave it out"
            )
        for part in recipe.freeze:
            if part in recipe.learning_rates:
                raise ValueError(f"freeze and learning_rates both name {part!r}; leave it out of one of them")
        if recipe.train.get("fp16") and recipe.dtype != "float32" and recipe.lora is None:
            raise ValueError(
                f"train.fp16 is set with dtype {recipe.dtype!r}; set dtype to float32, or bf16 in its place"
            )
        if recipe.dtype == "float16" and recipe.lora is None:
            raise ValueError(
                "dtype of the recipe is 'float16', whose steps underflow; give bfloat16 or float32, or train lora"
            )
        for part, rate in recipe.learning_rates.items():
            if rate < 0:
                raise ValueError(f"{part} in learning_rates of the recipe is {rate}; give 0 or more")
        recipe.weighting()
        recipe._check_balance()
        return recipe

    @classmethod
    def load(cls, path: str | Path) -> TrainingRecipe:
        """Read a recipe from a YAML file."""
        return cls.from_dict(read_yaml(path))

    def _check_balance(self) -> None:
        """Refuse a balance that nothing could follow."""
        if self.balance is None:
            return
        if self.evaluation is None or self.balance.every % self.evaluation.every:
            raise ValueError(
                f"balance acts every {self.balance.every} steps on what is measured "
                + (f"every {self.evaluation.every}" if self.evaluation else "by no evaluation")
                + "; give an evaluation whose every divides that of balance"
            )
        if self.mixture.schedule:
            raise ValueError("the mixture's schedule and balance both change its weights; keep one of them")
        names = {subset.name for subset in self.mixture.subsets if subset.weight > 0}
        for name in self.balance.targets:
            if name not in names:
                raise ValueError(
                    f"balance has targets of {name!r}; subsets with a weight are {', '.join(sorted(names))}"
                )

    def weighting(self) -> Weighting:
        """Return how much each trained token weighs."""
        return Weighting(dict(self.task_weights.items()), self.token_weights, self.loss_per)

    def to_dict(self) -> dict[str, Any]:
        """Return the recipe as plain values, every default written out."""
        plain: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        return plain
