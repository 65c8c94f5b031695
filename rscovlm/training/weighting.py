"""How much each trained token weighs in the loss: by its task, by what it writes, and by how long its answer is."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import torch

from rscovlm.training.batch_info import Notes
from rscovlm.training.encoding import IGNORED

Per = Literal["token", "root", "sample"]
Written = Literal["digits", "words"]


@dataclass(frozen=True)
class Weighting:
    """Weights of the loss; by default every trained token of a step weighs the same, as in TRL.

    The loss of a step, over all its rows and processes, is ``sum(task * written * long * loss) / sum(long)`` over its
    trained tokens, where ``long`` follows from the number n of tokens its sample trains: 1 with ``per="token"``,
    ``n ** -0.5`` with ``"root"`` and ``1 / n`` with ``"sample"``. So with ``"sample"`` a list of two hundred boxes teaches
    as much as an answer of one word, and with ``"root"`` fourteen times as much rather than two hundred.

    Args:
        tasks: Factor by task, 1 for those not named.
        written: Factor of tokens that are digits (``digits``: coordinates and counts) and of all others (``words``).
        per: What weighs the same: every token, every sample, or what lies between.

    Raises:
        ValueError: A factor that is negative or no number, or an unknown name.

    Examples:
        >>> Weighting(per="sample").long(torch.tensor([4, 1, 0])).tolist()
        [0.25, 1.0, 0.0]
    """

    tasks: Mapping[str, float] = field(default_factory=dict)
    written: Mapping[Written, float] = field(default_factory=dict)
    per: Per = "token"

    def __post_init__(self) -> None:
        """Refuse weights that no loss could use."""
        for name, factors in (("task_weights", self.tasks), ("token_weights", self.written)):
            for key, factor in factors.items():
                if isinstance(factor, bool) or not isinstance(factor, (int, float)) or not 0 <= factor < math.inf:
                    raise ValueError(f"{name} of {key!r} is {factor}; give a finite number of 0 or more")
        for key in self.written:
            if key not in get_args(Written):
                raise ValueError(f"token_weights names {key!r}; tokens are {' or '.join(get_args(Written))}")
        if self.per not in get_args(Per):
            raise ValueError(f"loss_per is {self.per!r}; give one of {', '.join(get_args(Per))}")

    def __bool__(self) -> bool:
        """Tell whether anything weighs otherwise than in TRL."""
        return bool(self.tasks or self.written or self.per != "token")

    def long(self, trained: torch.Tensor) -> torch.Tensor:
        """Return the weight of a token by the number of tokens its sample trains, 0 where that is none."""
        power = {"token": 0.0, "root": -0.5, "sample": -1.0}[self.per]
        return torch.where(trained > 0, trained.double().clamp(min=1) ** power, 0.0)

    def divisor(self, batches: Iterable[Mapping[str, Any]]) -> torch.Tensor:
        """Return what the weighted losses of some batches are divided by: the sum of ``long`` over their trained tokens.

        Args:
            batches: With ``labels`` and ``notes``.
        """
        total = torch.zeros((), dtype=torch.float64)
        for batch in batches:
            counts = trained_by_sample(batch["labels"], batch["notes"])
            total = total.to(counts.device) + (self.long(counts) * counts).sum()
        return total

    def factors(self, labels: torch.Tensor, notes: Notes, digits: torch.Tensor | None) -> torch.Tensor:
        """Return the factor of each predicted token's loss.

        Args:
            labels: (rows, tokens) labels of the batch.
            notes: Its notes.
            digits: (vocabulary,) which tokens are digits; needed where what is written has a weight.

        Returns:
            (rows, tokens - 1), for the tokens from the second on.
        """
        of_sample = self.long(trained_by_sample(labels, notes))
        of_sample = of_sample * of_sample.new_tensor([self.tasks.get(task, 1.0) for task in notes.tasks])
        factors = of_sample[notes.samples_of(labels)]
        if self.written and digits is not None:
            of_token = torch.where(digits, self.written.get("digits", 1.0), self.written.get("words", 1.0))
            factors = factors * of_token.to(factors)[labels[:, 1:].clamp(min=0)]
        return factors


def trained_by_sample(labels: torch.Tensor, notes: Notes) -> torch.Tensor:
    """Return how many tokens of a batch are trained, by sample; labels are those the shifted loss sees."""
    trained = (labels[:, 1:] != IGNORED).flatten()
    counts = torch.zeros(len(notes.tasks), dtype=torch.long, device=labels.device)
    return counts.index_add(0, notes.samples_of(labels).flatten(), trained.long())


def digit_tokens(tokenizer: Any, size: int) -> torch.Tensor:
    """Return which tokens of a vocabulary write digits and nothing else, a leading space aside.

    Args:
        tokenizer: Whose vocabulary.
        size: Number of entries wanted, as many as the model's embedding has.
    """
    texts: Sequence[str] = tokenizer.batch_decode([[token] for token in range(min(size, len(tokenizer)))])
    found = torch.zeros(size, dtype=torch.bool)
    found[: len(texts)] = torch.tensor([text.strip().isdecimal() for text in texts])
    return found
