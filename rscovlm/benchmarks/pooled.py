"""Figures of pooled statistics, such as cIoU and BLEU: the statistics of answers are summed first, and the figure follows from the sums."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from rscovlm.benchmarks.intervals import paired_figures, paired_row, redrawn_figures
from rscovlm.benchmarks.items import ALL
from rscovlm.benchmarks.scores import BenchmarkFigure
from rscovlm.geometry.affine import Floats
from rscovlm.metrics.bootstrap import check_settings, interval

PooledRule = Callable[[Floats], Floats]
"""(..., statistics) sums to (...) figures."""


class PooledTable:
    """Statistics of answers, a row an answer.

    Args:
        rules: The conventions, each a function of summed statistics.

    >>> table = PooledTable({"ciou": lambda sums: sums[..., 0] / sums[..., 1]})
    >>> table.add("1", "a.png", [30, 40])
    >>> table.add("2", "b.png", [0, 20])
    >>> [(figure.rule, figure.value) for figure in table.figures(repeats=0)]
    [('ciou', 0.5)]
    """

    def __init__(self, rules: Mapping[str, PooledRule]) -> None:
        self.items: list[str] = []
        self._rules = dict(rules)
        self._images: dict[str, int] = {}
        self._image = array("q")
        self._rows: list[Sequence[float]] = []

    def __len__(self) -> int:
        return len(self._rows)

    def add(self, item: str, image: str, statistics: Sequence[float]) -> None:
        """Add an answer."""
        self.items.append(item)
        self._image.append(self._images.setdefault(image, len(self._images)))
        self._rows.append(statistics)

    def figures(self, *, repeats: int, confidence: float = 0.95, seed: int = 0) -> tuple[BenchmarkFigure, ...]:
        """Return a figure for each convention, with the interval of images drawn with replacement where `repeats` is not 0."""
        if not self._rows:
            return ()
        rows = np.array(self._rows, np.float64)
        sums = self._by_image(rows, np.array(self._image))
        values = self._figures(sums.sum(axis=0))
        drawn = None
        if repeats:
            check_settings(repeats, confidence)
            drawn = redrawn_figures(sums, self._figures, repeats=repeats, seed=seed)
        found = []
        for number, name in enumerate(self._rules):
            about = {} if drawn is None else interval(drawn[:, number], confidence)
            found.append(
                BenchmarkFigure(ALL, name, float(values[number]), len(rows), about.get("low"), about.get("high"))
            )
        return tuple(found)

    def paired(
        self, other: PooledTable, rule: str, *, repeats: int, confidence: float = 0.95, seed: int = 0
    ) -> dict[str, dict[str, float]]:
        """Test whether two runs differ on the items that both answer; see `rscovlm.benchmarks.intervals.paired_cells`.

        Args:
            other: Answers of the second run.
            rule: The convention.
            repeats: Number of swaps, and of redraws.
            confidence: Share of redraws inside the interval.
            seed: Another seed, other draws.

        Raises:
            ValueError: They have no item in common, or a setting is out of range.
        """
        check_settings(repeats, confidence)
        places = [{item: place for place, item in enumerate(table.items)} for table in (self, other)]
        common = sorted(places[0].keys() & places[1].keys())
        if not common:
            raise ValueError("the two runs answer no item in common; compare runs of one benchmark")
        images = np.array([self._image[places[0][item]] for item in common])
        mine, theirs = (
            self._by_image(np.array([table._rows[place[item]] for item in common], np.float64), images)
            for table, place in zip((self, other), places, strict=True)
        )
        found, null, drawn = paired_figures(mine, theirs, self._rules[rule], repeats=repeats, seed=seed)
        return {ALL: {**paired_row(float(found), null, drawn, confidence), "items": len(common)}}

    def _figures(self, sums: Floats) -> Floats:
        """Return (..., conventions) of summed statistics."""
        return np.stack([rule(sums) for rule in self._rules.values()], axis=-1)

    @staticmethod
    def _by_image(rows: Floats, images: np.typing.NDArray[np.integer]) -> Floats:
        """Return (images, statistics) sums of the images that occur."""
        names, number = np.unique(images, return_inverse=True)
        sums = np.zeros((len(names), rows.shape[1]))
        np.add.at(sums, number, rows)
        return sums


def share(part: int, whole: int, *, nothing: float = 0.0) -> PooledRule:
    """Return the rule that divides one statistic by another.

    Args:
        part: Number of the statistic above.
        whole: Number of that below.
        nothing: The figure where the one below is 0.

    >>> share(0, 1, nothing=1.0)(np.array([[1.0, 2.0], [0.0, 0.0]])).tolist()
    [0.5, 1.0]
    """

    def rule(sums: Floats) -> Floats:
        with np.errstate(divide="ignore", invalid="ignore"):
            found: Floats = np.where(sums[..., whole] > 0, sums[..., part] / sums[..., whole], nothing)
        return found

    return rule
