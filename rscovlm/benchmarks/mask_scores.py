"""Scoring segmentation: overlaps of masks, under each of the names that papers give them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from rscovlm.benchmarks.intervals import CellSums, cell_intervals
from rscovlm.benchmarks.items import ALL
from rscovlm.benchmarks.scores import BenchmarkFigure, count_answer


class MaskScorer:
    """Reads rows of a run: pixels that the answered and the true mask share, and those of either.

    Args:
        rules: The conventions: ``giou`` (mean IoU of items, 1 where both masks are empty), ``ciou`` (all intersections over all unions,
            also called oIoU), ``miou`` (mean IoU of items of which one mask at least is not empty), ``precision>0.5``, ``precision>=0.5``.
    """

    def __init__(self, rules: Sequence[str]) -> None:
        self.counts: Counter[str] = Counter()
        self._rules = tuple(rules)
        self._images: dict[str, int] = {}
        self._rows: list[tuple[int, int, int]] = []

    def add(self, row: Mapping[str, Any]) -> None:
        """Take the pixels of a row; an image that could not be read counts as nothing found of one pixel."""
        answered = count_answer(self.counts, row)
        shared, either = (int(row["shared"]), int(row["union"])) if answered else (0, 1)
        self.counts["unparsed"] += answered and bool(row.get("unparsed"))
        self._rows.append((self._images.setdefault(row["image"], len(self._images)), shared, either))

    def figures(self, *, repeats: int) -> tuple[BenchmarkFigure, ...]:
        """Return a figure for each convention."""
        if not self._rows:
            return ()
        image, shared, either = np.array(self._rows, dtype=np.int64).T
        overlap = np.where(either > 0, shared / np.maximum(either, 1), 1.0)
        ones, some = np.ones(len(image)), (either > 0).astype(np.float64)
        parts = {
            "giou": (ones, overlap),
            "miou": (some, overlap * some),
            "ciou": (either.astype(np.float64), shared.astype(np.float64)),
            "precision>0.5": (ones, (overlap > 0.5).astype(np.float64)),
            "precision>=0.5": (ones, (overlap >= 0.5).astype(np.float64)),
        }
        found = []
        for rule in self._rules:
            counts, credits = (
                np.asarray(np.bincount(image, weights=part), dtype=np.float64)[:, None] for part in parts[rule]
            )
            sums = CellSums(counts, credits, {ALL: [0]})
            about = cell_intervals(sums, repeats=repeats).get(ALL, {}) if repeats else {}
            value = float(sums.value()[0])
            # Where every mask is empty, everything is as it should be.
            value = value if np.isfinite(value) else 1.0
            found.append(BenchmarkFigure(ALL, rule, value, len(image), about.get("low"), about.get("high")))
        return tuple(found)

    def constant(self) -> dict[str, float]:
        """Return what an empty mask everywhere scores, by gIoU."""
        return {ALL: sum(either == 0 for _, _, either in self._rows) / max(1, len(self._rows))}
