"""Figures of pooled statistics, such as cIoU and BLEU: the statistics of answers are summed first, and the figure follows from the sums."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from rscovlm.benchmarks.intervals import redrawn_sums
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
        drawn = sums[:0]
        if repeats:
            check_settings(repeats, confidence)
            drawn = np.concatenate(list(redrawn_sums(sums, repeats, np.random.default_rng(seed))))
        found = []
        for name, rule in self._rules.items():
            about = interval(rule(drawn), confidence) if repeats else {}
            value = float(rule(sums.sum(axis=0)))
            found.append(BenchmarkFigure(ALL, name, value, len(rows), about.get("low"), about.get("high")))
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
        figure, rng, half = self._rules[rule], np.random.default_rng(seed), mine.shape[1]
        both = np.concatenate([mine, theirs], axis=1)
        drawn = np.concatenate(
            [figure(part[:, :half]) - figure(part[:, half:]) for part in redrawn_sums(both, repeats, rng)]
        )
        total, gain = mine.sum(axis=0), mine - theirs
        null = np.empty(repeats)
        for turn in range(repeats):
            moved = gain[rng.random(len(gain)) < 0.5].sum(axis=0)
            null[turn] = figure(total - moved) - figure(theirs.sum(axis=0) + moved)
        difference = float(figure(total) - figure(theirs.sum(axis=0)))
        extreme = int((np.abs(null) >= abs(difference) - 1e-12).sum())
        row = {"difference": difference, "p_value": (1 + extreme) / (1 + repeats), **interval(drawn, confidence)}
        return {ALL: {**row, "items": len(common)}}

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
