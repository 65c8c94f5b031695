"""Answers laid out as arrays while they are read: column, group within it, image, and credit under each convention."""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from rscovlm.benchmarks.intervals import CellSums, cell_intervals
from rscovlm.benchmarks.items import OUTSIDE
from rscovlm.benchmarks.scores import BenchmarkFigure


@dataclass
class CreditTable:
    """Credits of answers, some bytes each, however long the answers are.

    Args:
        rules: The conventions.
        names: Columns in the order of the suite; others are added as they come.
        average: Name of the mean of the columns.
    """

    rules: Sequence[str]
    names: Sequence[str] = ()
    average: str = ""
    items: list[str] = field(default_factory=list)
    keep_items: bool = False
    _cells: dict[tuple[str, str], int] = field(default_factory=dict)
    _images: dict[str, int] = field(default_factory=dict)
    _cell: array[int] = field(default_factory=lambda: array("i"))
    _image: array[int] = field(default_factory=lambda: array("i"))
    _credits: dict[str, array[float]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._credits = {rule: array("d") for rule in self.rules}

    def __len__(self) -> int:
        return len(self._cell)

    def add(self, item: str, image: str, column: str, within: str, credits: Mapping[str, float]) -> None:
        """Add an answer."""
        self._cell.append(self._cells.setdefault((column, within), len(self._cells)))
        self._image.append(self._images.setdefault(image, len(self._images)))
        for rule, values in self._credits.items():
            values.append(credits.get(rule, 0.0))
        if self.keep_items:
            self.items.append(item)

    def sums(self, rule: str, order: Sequence[int] | None = None) -> CellSums:
        """Return the sums of a convention by image and cell.

        Args:
            rule: The convention.
            order: Rows to take, in this order; all by default.
        """
        credits = np.frombuffer(self._credits[rule], dtype=np.float64)
        image: NDArray[np.integer] = np.frombuffer(self._image, dtype=np.int32)
        cell: NDArray[np.integer] = np.frombuffer(self._cell, dtype=np.int32)
        if order is not None:
            rows = np.asarray(order, dtype=np.int64)
            credits, cell = credits[rows], cell[rows]
            # Images by name, likewise.
            rank = np.empty(len(self._images), np.int64)
            rank[[self._images[name] for name in sorted(self._images)]] = np.arange(len(rank))
            image = np.unique(rank[image[rows]], return_inverse=True)[1]
        # Cells by name, so that two runs number them alike in whatever order they answered.
        ordered = sorted(self._cells)
        number = np.empty(len(ordered), np.int64)
        number[[self._cells[name] for name in ordered]] = np.arange(len(ordered))
        columns: dict[str, list[int]] = {name: [] for name in self.names}
        for place, (column, _) in enumerate(ordered):
            if column != OUTSIDE:
                columns.setdefault(column, []).append(place)
        kept = {name: cells for name, cells in columns.items() if cells}
        # A mean over some of its columns is not the paper's average.
        whole = len(kept) > 1 and len(kept) == len(columns)
        return CellSums.of(credits, image, number[cell], kept, self.average if whole else "")

    def figures(self, *, repeats: int, seed: int = 0) -> tuple[BenchmarkFigure, ...]:
        """Return the figures of all conventions, with intervals where `repeats` is not 0."""
        found: list[BenchmarkFigure] = []
        for rule in self.rules:
            sums = self.sums(rule)
            if not sums.columns:
                continue
            values = sums.value()
            intervals = cell_intervals(sums, repeats=repeats, seed=seed) if repeats else {}
            each = [int(sums.counts[:, list(cells)].sum()) for cells in sums.columns.values()]
            counted = [*each, *([sum(each)] if sums.average else [])]
            for name, value, items in zip(sums.names(), values, counted, strict=True):
                about = intervals.get(name, {})
                low, high = about.get("low"), about.get("high")
                found.append(BenchmarkFigure(name, rule, float(value), items, low, high))
        return tuple(found)
