"""What a step trains and costs, and how many of them make one pass, estimated from the first rows."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from rscovlm.mixtures.weight_stages import Stages
from rscovlm.training.encoding import Encoded
from rscovlm.training.packing import PackedMixture
from rscovlm.training.subset_shares import Counts

_ROWS = 16
"""Rows of the first lane that are looked at."""


@dataclass(frozen=True)
class SubsetEstimate:
    """What a step trains of one subset.

    Attributes:
        asked: Share of the samples that the recipe asks for.
        samples: Share of the samples that are trained.
        tokens: Share of all tokens that are trained.
        rows: Rows of the subset; None where its samples are made as they are drawn.
        steps: Steps that one pass over these rows takes; None where there are none.
    """

    asked: float
    samples: float
    tokens: float
    rows: int | None
    steps: int | None


@dataclass(frozen=True)
class StepEstimate:
    """What a step of a run trains, of all processes together.

    Attributes:
        rows: Rows.
        samples: Samples.
        tokens: Tokens.
        trained: Tokens that the loss falls on.
        subsets: By name.
        weights: Number of weights of the model; 0 where none was looked at.
    """

    rows: int
    samples: float
    tokens: float
    trained: float
    subsets: Mapping[str, SubsetEstimate]
    weights: int = 0

    def of_model(self, weights: int) -> StepEstimate:
        """Return the estimate for a model with so many weights."""
        return replace(self, weights=weights)

    def steps_of(self, epochs: float) -> int:
        """Return the steps in which as many samples are trained as so many passes over all rows of all subsets have.

        Raises:
            ValueError: No subset has rows to count.
        """
        rows = sum(subset.rows or 0 for subset in self.subsets.values())
        if not rows:
            raise ValueError("epochs count passes over rows, and no subset has any; give steps")
        return max(1, math.ceil(epochs * rows / self.samples))

    def lines(self) -> list[str]:
        """Return the estimate as lines of text."""
        cost = ""
        if self.weights:
            # Two operations for each weight and token forwards and four backwards; attention comes on top.
            cost = f", about {6 * self.weights * self.tokens / 1e15:.3g} PFLOP (6 x weights x tokens)"
        lines = [
            f"a step: {self.rows} rows, about {self.samples:.0f} samples and {self.tokens:.0f} tokens"
            + f", {self.trained:.0f} of them trained{cost}",
            f"{'subset':<28}{'asked':>8}{'samples':>9}{'tokens':>8}{'rows':>10}{'steps of a pass':>17}",
        ]
        for name, subset in self.subsets.items():
            rows, steps = ("-" if value is None else str(value) for value in (subset.rows, subset.steps))
            lines.append(
                f"{name:<28}{subset.asked:>8.1%}{subset.samples:>9.1%}{subset.tokens:>8.1%}{rows:>10}{steps:>17}"
            )
        if any(subset.rows for subset in self.subsets.values()):
            lines.append(f"as many samples as there are rows: {self.steps_of(1)} steps")
        return lines


def estimate_step(
    mixture: Stages, encoded: Sequence[Encoded], *, packed: PackedMixture | None, rows_per_step: int
) -> StepEstimate:
    """Estimate what a step trains, from the first rows.

    Args:
        mixture: The samples.
        encoded: The first of them.
        packed: The packed rows, where there are.
        rows_per_step: Rows that all processes together train in a step.

    Raises:
        IndexError: There is not one row.
    """
    counts: Counts = {}
    trained, looked = 0, len(encoded)
    drawn = [(mixture.draw_at(position)[0], one) for position, one in enumerate(encoded)]
    if packed is not None:
        looked = min(_ROWS, -(-len(packed) // packed.lanes))
        rows = [packed[place * packed.lanes] for place in range(looked)]
        drawn = [pair for row in rows for pair in zip(row["subsets"], row["encoded"], strict=True)]
    for name, one in drawn:
        sums = counts.setdefault(name, [0, 0])
        sums[0] += 1
        sums[1] += len(one)
        trained += one.trained
    samples, tokens = (sum(sums[place] for sums in counts.values()) for place in (0, 1))
    times = rows_per_step / looked
    subsets = {}
    first = mixture.stages[0][1]
    for subset in first.subsets:
        asked, sums = first.shares()[subset.name], counts.get(subset.name, [0, 0])
        size = None if callable(subset.source) else min(subset.cap or len(subset.source), len(subset.source))
        steps = None if size is None else math.ceil(size / (asked * samples * times))
        subsets[subset.name] = SubsetEstimate(asked, sums[0] / samples, sums[1] / tokens, size, steps)
    return StepEstimate(rows_per_step, samples * times, tokens * times, trained * times, subsets)
