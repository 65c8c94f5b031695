"""Scoring segmentation: overlaps of masks, under each of the names that papers give them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from rscovlm.benchmarks.items import ALL
from rscovlm.benchmarks.pooled import PooledRule, PooledTable, share
from rscovlm.benchmarks.scores import BenchmarkFigure, count_answer

_ITEMS, _SOME, _OVERLAP, _SOME_OVERLAP, _SHARED, _EITHER, _TWICE, _BOTH, _ABOVE, _FROM = range(10)

_RULES: Mapping[str, PooledRule] = {
    "giou": share(_OVERLAP, _ITEMS),
    # Where every mask is empty, everything is as it should be.
    "ciou": share(_SHARED, _EITHER, nothing=1.0),
    "miou": share(_SOME_OVERLAP, _SOME, nothing=1.0),
    "f1": share(_TWICE, _BOTH, nothing=1.0),
    "precision>0.5": share(_ABOVE, _ITEMS),
    "precision>=0.5": share(_FROM, _ITEMS),
}


class MaskScorer:
    """Reads rows of a run: pixels that the answered and the true mask share, and those of either.

    Args:
        rules: The conventions, of `rscovlm.benchmarks.conventions.MASKS`.
    """

    def __init__(self, rules: Sequence[str]) -> None:
        self.counts: Counter[str] = Counter()
        self._table = PooledTable({name: _RULES[name] for name in rules})
        self._empty = PooledTable({rules[0]: _RULES[rules[0]]})

    def add(self, row: Mapping[str, Any]) -> None:
        """Take the pixels of a row; an image that could not be read counts as nothing found of one pixel."""
        answered = count_answer(self.counts, row)
        shared, either, true = (int(row[key]) for key in ("shared", "union", "true")) if answered else (0, 1, 1)
        self.counts["unparsed"] += answered and bool(row.get("unparsed"))
        self._table.add(row["item"], row["image"], _statistics(shared, either))
        self._empty.add(row["item"], row["image"], _statistics(0, true))

    def table(self) -> PooledTable:
        """Return the statistics of all masks."""
        return self._table

    def figures(self, *, repeats: int) -> tuple[BenchmarkFigure, ...]:
        """Return a figure for each convention."""
        return self._table.figures(repeats=repeats)

    def constant(self) -> dict[str, float]:
        """Return what an empty mask everywhere scores."""
        (figure,) = self._empty.figures(repeats=0) or (None,)
        return {ALL: figure.value} if figure else {}


def _statistics(shared: int, either: int) -> list[float]:
    overlap = shared / either if either else 1.0
    some = float(either > 0)
    areas = shared, either, 2 * shared, shared + either
    return [1.0, some, overlap, overlap * some, *areas, overlap > 0.5, overlap >= 0.5]
