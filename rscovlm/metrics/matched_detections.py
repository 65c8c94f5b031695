"""Found boxes with the true box each points at, evaluated in many orders under a protocol."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from rscovlm.geometry.affine import Floats
from rscovlm.metrics import content
from rscovlm.metrics.detections import Bools, Ints, Rows, read_items
from rscovlm.metrics.matching import Best, Shape, best_truths
from rscovlm.metrics.precision import Interpolation, Outcomes, average_precisions

DEFAULT_THRESHOLDS = tuple(round(0.5 + 0.05 * k, 2) for k in range(10))

_CHUNK = 1 << 17
"""Entries of an orders array worked on at once: the working arrays stay in cache and memory stays flat."""


@dataclass(frozen=True)
class PrecisionProtocol:
    """What a way of computing average precision fixes.

    Attributes:
        overlap: Shapes compared: quadrilaterals, rectangles of smallest area, or horizontal boxes around.
        strict: Whether an overlap must exceed its threshold or may equal it.
        difficult: Whether difficult true boxes are left out ("ignore") or counted ("count").
        interpolation: Eleven points, 101 points, or the area.
    """

    overlap: Shape
    strict: bool
    difficult: Literal["ignore", "count"]
    interpolation: Interpolation


DetectionProtocol = Literal["dota", "rscovlm"]

PROTOCOLS: dict[DetectionProtocol, PrecisionProtocol] = {
    # DOTA's development kit, evaluation of task 1.
    "dota": PrecisionProtocol(overlap="quad", strict=True, difficult="ignore", interpolation="11point"),
    # What the paper's released code computes on the train and val splits, through mmrotate 1.x.
    "rscovlm": PrecisionProtocol(overlap="rectangle", strict=False, difficult="count", interpolation="11point"),
}


def detection_protocol(name: str) -> DetectionProtocol:
    """Return the protocol of a name that a file or a user gave.

    Raises:
        ValueError: There is none of this name.

    Example:
        >>> detection_protocol("dota")
        'dota'
    """
    for known in PROTOCOLS:
        if known == name:
            return known
    raise ValueError(f"protocol is {name!r}; use one of {sorted(PROTOCOLS)}")


def settle(protocol: str, **overrides: Any) -> PrecisionProtocol:
    """Return a named protocol with what is not None overridden.

    Raises:
        ValueError: If a name or a value is not known.
    """
    rules = asdict(PROTOCOLS[detection_protocol(protocol)]) | {
        name: value for name, value in overrides.items() if value is not None
    }
    allowed = {
        "overlap": ("quad", "rectangle", "horizontal"),
        "strict": (True, False),
        "difficult": ("ignore", "count"),
        "interpolation": ("11point", "area", "101point"),
    }
    for name, values in allowed.items():
        if rules[name] not in values:
            raise ValueError(f"{name} is {rules[name]!r}; use one of {values}")
    return PrecisionProtocol(**rules)


@dataclass(frozen=True)
class PrecisionTables:
    """Average precisions, (classes, thresholds, repeats): without scores, with them, and in the order given."""

    nc: Floats
    real: Floats | None
    constant: Floats


@dataclass(frozen=True)
class Board:
    """All found boxes with the true box each points at; orders and subsets of it are cheap to evaluate."""

    found: Rows
    true: Rows
    classes: tuple[str, ...]
    thresholds: tuple[float, ...]
    rules: PrecisionProtocol
    images: int
    row_keys: content.Keys
    image_keys: content.Keys
    fair: Best
    given: Best

    @classmethod
    def of(
        cls,
        predictions: Sequence[Any],
        references: Sequence[Any],
        rules: PrecisionProtocol,
        classes: Sequence[str] | None,
        iou_thresholds: Sequence[float],
    ) -> Board:
        """Read the items and match them.

        Raises:
            ValueError: As `read_items`, or if thresholds are not increasing numbers in (0, 1].
        """
        thresholds = tuple(float(t) for t in iou_thresholds)
        if not thresholds or any(not 0 < t <= 1 for t in thresholds) or list(thresholds) != sorted(set(thresholds)):
            raise ValueError(f"iou_thresholds is {thresholds}; give increasing numbers in (0, 1]")
        found, true, names = read_items(predictions, references, classes)
        my_keys, their_keys = content.row_keys(found, names), content.row_keys(true, names)
        images = content.image_keys(found, my_keys, true, their_keys, len(references))
        true_order = np.lexsort((their_keys, content.numbered(images)[true.image]))
        canonical = np.empty(len(true), np.int64)
        canonical[true_order] = np.arange(len(true))
        priorities = [canonical, np.arange(len(true))]
        fair, given = best_truths(found, true, len(names), rules.overlap, priorities, thresholds[0])
        return cls(found, true, names, thresholds, rules, len(references), my_keys, images, fair, given)

    def redrawn(self, images: NDArray[np.intp]) -> Board:
        """Return the board of images drawn anew, any image any number of times; nothing is matched again."""
        found, source, _ = self.found.redrawn(images, self.images)
        true, _, begins = self.true.redrawn(images, self.images)
        first = np.searchsorted(self.true.image, np.arange(self.images))
        shift = (begins - first[images])[found.image]

        def moved(best: Best) -> Best:
            truth = best.truth[source]
            return Best(np.where(truth >= 0, truth + shift, -1), best.iou[source])

        return replace(
            self,
            found=found,
            true=true,
            images=len(images),
            row_keys=self.row_keys[source],
            image_keys=self.image_keys[images],
            fair=moved(self.fair),
            given=moved(self.given),
        )

    @cached_property
    def keys(self) -> content.Keys:
        """(n,) keys of the found boxes, which all differ and depend on content alone."""
        images = content.numbered(self.image_keys)
        return content.numbered(content.mixed(self.row_keys ^ images[self.found.image]), self.found.scores)

    @property
    def positives(self) -> Ints:
        """(classes,) true boxes that count."""
        counting = self.true.label[~self.void_truths]
        return np.bincount(counting, minlength=len(self.classes)).astype(np.int64)

    @property
    def void_truths(self) -> Bools:
        """(m,) true boxes that do not count."""
        return self.true.flags if self.rules.difficult == "ignore" else np.zeros(len(self.true), bool)

    def outcomes(self, rows: NDArray[np.intp], best: Best, positives: int) -> Outcomes:
        """Return what the given found boxes, all of one class, are worth."""
        side: Literal["left", "right"] = "left" if self.rules.strict else "right"
        reach = np.searchsorted(np.asarray(self.thresholds), best.iou[rows], side=side).astype(np.int16)
        truth = best.truth[rows]
        void = (truth >= 0) & self.void_truths[truth] if len(self.true) else np.zeros(len(rows), bool)
        return Outcomes(truth, np.where(void, 0, reach), np.where(void, reach, 0), positives)

    def run(
        self, ties: str, repeats: int, seed: int, keep: Bools | None = None, *, constant_too: bool = True
    ) -> PrecisionTables:
        """Evaluate all orders of all classes, of the found boxes in `keep` alone if given.

        Without `constant_too` the order given is left out (zeros) unless `ties` asks for it: it costs as much as one
        random order.
        """
        draws = content.streams(repeats if ties == "random" else 1, seed)
        shape = (len(self.classes), len(self.thresholds), len(draws))
        nc, constant = np.zeros(shape), np.zeros((*shape[:2], 1))
        scores = self.found.scores
        real = None if scores is None else np.zeros(shape)
        for c, rows, positives in self.parts(keep):
            if constant_too or ties == "stable":
                given = self.outcomes(rows, self.given, positives)
                constant[c] = self._evaluate(given, np.arange(len(rows))[None])
            if ties == "stable":
                nc[c] = constant[c]
                if real is not None and scores is not None:
                    real[c] = self._evaluate(given, np.argsort(-scores[rows], kind="stable")[None])
                continue
            rows = rows[np.argsort(self.keys[rows])]
            fair = self.outcomes(rows, self.fair, positives)
            tiers = None if scores is None else content.score_tiers(scores[rows])
            step = max(1, _CHUNK // len(rows))
            for start in range(0, repeats, step):
                part = slice(start, start + step)
                nc[c, :, part] = self._evaluate(fair, content.random_orders(self.keys[rows], draws[part]))
                if real is not None:
                    real[c, :, part] = self._evaluate(fair, content.random_orders(self.keys[rows], draws[part], tiers))
        return PrecisionTables(nc, real, constant)

    def parts(self, keep: Bools | None = None) -> list[tuple[int, NDArray[np.intp], int]]:
        """Return (class, its found rows in the order given, its positives) for classes with any found."""
        label = self.found.label if keep is None else np.where(keep, self.found.label, len(self.classes))
        order = np.argsort(label, kind="stable")
        ends = np.searchsorted(label[order], np.arange(len(self.classes) + 1))
        positives = self.positives
        return [
            (c, order[ends[c] : ends[c + 1]], int(positives[c]))
            for c in range(len(self.classes))
            if ends[c] < ends[c + 1]
        ]

    def _evaluate(self, outcomes: Outcomes, orders: Ints) -> Floats:
        return average_precisions(outcomes, orders, len(self.thresholds), self.rules.interpolation)
