"""How certain means of means are: images are redrawn with all their questions, by counts instead of one by one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rscovlm.geometry.affine import Floats
from rscovlm.metrics.bootstrap import check_settings, interval

Ints = NDArray[np.int64]

_KINDS = 20_000
"""More kinds of images than this are drawn one by one: a multinomial draw costs a number each kind."""


@dataclass(frozen=True)
class CellSums:
    """Credits of answers, summed by image and cell. A cell is what is averaged first: a category within a column.

    Attributes:
        counts: (images, cells) answers.
        sums: (images, cells) credits.
        columns: Name of a column to the numbers of its cells.
        average: Name of the mean of the columns; empty for none.
    """

    counts: Floats
    sums: Floats
    columns: Mapping[str, Sequence[int]]
    average: str = ""

    @classmethod
    def of(
        cls,
        credits: Floats,
        image: NDArray[np.integer],
        cell: NDArray[np.integer],
        columns: Mapping[str, Sequence[int]],
        average: str = "",
    ) -> CellSums:
        """Sum up answers.

        Args:
            credits: (n,) from 0 to 1.
            image: (n,) numbers of images.
            cell: (n,) numbers of cells.
            columns: Name of a column to the numbers of its cells.
            average: Name of the mean of the columns.
        """
        images, cells = int(image.max(initial=-1)) + 1, 1 + max((max(one) for one in columns.values()), default=0)
        place = image.astype(np.int64) * cells + cell
        counts = np.bincount(place, minlength=images * cells).astype(np.float64)
        sums = np.asarray(np.bincount(place, weights=credits, minlength=images * cells), dtype=np.float64)
        return cls(counts.reshape(images, cells), sums.reshape(images, cells), columns, average)

    def names(self) -> tuple[str, ...]:
        """Return the names of the figures: the columns, and their average."""
        return (*self.columns, *([self.average] if self.average else []))

    def figures(self, counts: Floats, sums: Floats) -> Floats:
        """Return (..., figures): means over the cells of a column that hold answers, then over the columns that do.

        Args:
            counts: (..., cells) answers.
            sums: (..., cells) credits.
        """
        with np.errstate(invalid="ignore", divide="ignore"):
            means = sums / counts
        parts = [_mean(means[..., list(cells)]) for cells in self.columns.values()]
        if self.average:
            parts.append(_mean(np.stack(parts, axis=-1)))
        return np.stack(parts, axis=-1)

    def value(self) -> Floats:
        """Return (figures,) of all answers; not a number where a column has none."""
        return self.figures(self.counts.sum(axis=0), self.sums.sum(axis=0))

    @property
    def statistics(self) -> Floats:
        """Counts and credits side by side, (images, 2 cells)."""
        return np.concatenate([self.counts, self.sums], axis=1)

    def figures_of(self, statistics: Floats) -> Floats:
        """Return (..., figures) of sums of `statistics`, (..., 2 cells)."""
        half = self.counts.shape[1]
        return self.figures(statistics[..., :half], statistics[..., half:])


def cell_intervals(
    cells: CellSums, *, repeats: int = 1000, confidence: float = 0.95, seed: int = 0
) -> dict[str, dict[str, float]]:
    """Return the interval of each figure, from images drawn with replacement.

    It is the bootstrap of `rscovlm.metrics.bootstrap` with images as clusters. Images that hold the same counts and
    credits are drawn as one kind with its number, which gives the same distribution at a small part of the cost.

    Args:
        cells: What was answered.
        repeats: Number of redraws.
        confidence: Share of redraws inside the interval.
        seed: Another seed, other draws.

    Returns:
        By figure ``low``, ``high``, ``std`` and ``confidence``; figures without answers are left out.

    Raises:
        ValueError: A setting is out of range.

    >>> cells = CellSums.of(np.repeat([1.0, 0.0], [80, 20]), np.arange(100), np.zeros(100, int), {"all": [0]})
    >>> found = cell_intervals(cells)["all"]
    >>> 0.70 < found["low"] < 0.76, 0.84 < found["high"] < 0.90
    (True, True)
    """
    check_settings(repeats, confidence)
    drawn = redrawn_figures(cells.statistics, cells.figures_of, repeats=repeats, seed=seed)
    found = {}
    for number, name in enumerate(cells.names()):
        values = drawn[:, number]
        values = values[np.isfinite(values)]
        if len(values) > 1:
            found[name] = interval(values, confidence)
    return found


def paired_cells(
    first: CellSums, second: CellSums, *, repeats: int = 1000, confidence: float = 0.95, seed: int = 0
) -> dict[str, dict[str, float]]:
    """Test whether two models differ, on the same items: see `rscovlm.metrics.paired_test`.

    Args:
        first: Answers of the first model.
        second: Answers of the second to the same items, images and cells in the same order.
        repeats: Number of swaps, and of redraws.
        confidence: Share of redraws inside the interval.
        seed: Another seed, other draws.

    Returns:
        By figure ``difference`` (first minus second), ``p_value`` (two-sided, at least 1 / (repeats + 1)), ``low``,
        ``high``, ``std`` and ``confidence`` of the difference.

    Raises:
        ValueError: The two do not answer the same items, or a setting is out of range.
    """
    if first.counts.shape != second.counts.shape or not np.array_equal(first.counts, second.counts):
        raise ValueError("the two runs do not answer the same items; compare what both answer")
    check_settings(repeats, confidence)
    pairs = paired_figures(first.statistics, second.statistics, first.figures_of, repeats=repeats, seed=seed)
    found, null, drawn = pairs
    result = {}
    for number, name in enumerate(first.names()):
        if np.isfinite(found[number]):
            result[name] = paired_row(float(found[number]), null[:, number], drawn[:, number], confidence)
    return result


def redrawn_figures(rows: Floats, figures: Callable[[Floats], Floats], *, repeats: int, seed: int) -> Floats:
    """Return (repeats, ...) figures of images drawn with replacement.

    Args:
        rows: (images, statistics) sums.
        figures: (..., statistics) sums to (..., ) or (..., figures).
        repeats: Number of redraws.
        seed: Another seed, other draws.
    """
    return np.concatenate([figures(part) for part in redrawn_sums(rows, repeats, np.random.default_rng(seed))])


def paired_figures(
    first: Floats, second: Floats, figures: Callable[[Floats], Floats], *, repeats: int, seed: int
) -> tuple[Floats, Floats, Floats]:
    """Return how far two runs differ (first minus second): as they are, with images swapped at random, with images redrawn.

    Args:
        first: (images, statistics) sums of the first run.
        second: Those of the second, of the same images.
        figures: (..., statistics) sums to (..., ) or (..., figures).
        repeats: Number of swaps, and of redraws.
        seed: Another seed, other draws.

    Returns:
        The difference, (repeats, ...) under swaps, (repeats, ...) under redraws.
    """
    rng, half = np.random.default_rng(seed), first.shape[1]
    both = np.concatenate([first, second], axis=1)
    drawn = [figures(part[:, :half]) - figures(part[:, half:]) for part in redrawn_sums(both, repeats, rng)]
    gain, total, other = first - second, first.sum(axis=0), second.sum(axis=0)
    swapped = []
    step = max(1, (1 << 24) // max(1, len(gain)))
    for start in range(0, repeats, step):
        flip = rng.random((min(step, repeats - start), len(gain))) < 0.5
        moved = flip.astype(np.float64) @ gain
        swapped.append(figures(total - moved) - figures(other + moved))
    return figures(total) - figures(other), np.concatenate(swapped), np.concatenate(drawn)


def paired_row(difference: float, null: Floats, drawn: Floats, confidence: float) -> dict[str, float]:
    """Return one figure of a paired test: its difference, two-sided p-value and interval.

    Args:
        difference: First minus second.
        null: (repeats,) differences with images swapped.
        drawn: (repeats,) differences with images redrawn; what is no number is left out.
        confidence: Share of redraws inside the interval.
    """
    extreme = int((np.abs(null) >= abs(difference) - 1e-12).sum())
    about = interval(drawn[np.isfinite(drawn)], confidence)
    return {"difference": difference, "p_value": (1 + extreme) / (1 + len(null)), **about}


def redrawn_sums(rows: Floats, repeats: int, rng: np.random.Generator) -> Iterator[Floats]:
    """Yield (some, columns) sums over as many rows as there are, drawn with replacement; `repeats` in all.

    Args:
        rows: (n, columns) what is summed; equal rows are drawn as one kind with its number.
        repeats: Number of redraws.
        rng: Draws them.
    """
    kinds, numbers = np.unique(rows, axis=0, return_counts=True)
    total = len(rows)
    step = max(1, (1 << 23) // len(kinds))
    for start in range(0, repeats, step):
        some = min(step, repeats - start)
        if len(kinds) <= _KINDS:
            weights = rng.multinomial(total, numbers / total, size=some).astype(np.float64)
            yield weights @ kinds
        else:
            draws = (np.bincount(rng.integers(total, size=total), minlength=total) for _ in range(some))
            yield np.stack([one.astype(np.float64) @ rows for one in draws])


def _mean(values: Floats) -> Floats:
    """Return the mean over the last axis of what is a number; not a number where nothing is."""
    there = np.isfinite(values)
    with np.errstate(invalid="ignore", divide="ignore"):
        means: Floats = np.where(there, values, 0.0).sum(axis=-1) / there.sum(axis=-1)
    return means
