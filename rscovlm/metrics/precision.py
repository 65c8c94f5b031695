"""Average precision of many orders and many thresholds at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from rscovlm.geometry.affine import Floats
from rscovlm.metrics.detections import Ints

Interpolation = Literal["11point", "area", "101point"]
Levels = NDArray[np.int16]

GRIDS: dict[str, Floats] = {
    # Both peers build the grid by steps: 0.3, 0.6 and 0.7 come out a rounding error above, so that a recall of
    # exactly 3/10 does not reach its grid point. Kept, or eleven-point values differ by up to 1/11.
    "11point": np.arange(0.0, 1.1, 0.1),
    "101point": np.linspace(0.0, 1.0, 101),
}


@dataclass(frozen=True)
class Outcomes:
    """What the found boxes of one class are worth, before any order is chosen.

    A level is a number of thresholds, counted from the lowest: a box of level 3 overlaps its true box enough for the
    first three.

    Attributes:
        truth: (n,) row of the true box pointed at, any value where `level` is 0.
        level: (n,) thresholds at which the box can be right.
        void: (n,) thresholds at which it is neither right nor wrong, because its true box does not count.
        positives: True boxes that count.
    """

    truth: NDArray[np.intp]
    level: Levels
    void: Levels
    positives: int

    def right(self, thresholds: int) -> Ints:
        """Return (thresholds,) numbers of right boxes: true boxes that some box reaches. No order changes them."""
        best = np.zeros(int(self.truth.max(initial=-1)) + 1, np.int16)
        able = self.level > 0
        np.maximum.at(best, self.truth[able], self.level[able])
        return _above(best, thresholds)

    def counted(self, thresholds: int) -> Ints:
        """Return (thresholds,) numbers of boxes that are right or wrong."""
        return len(self.level) - _above(self.void, thresholds)


def average_precisions(outcomes: Outcomes, orders: Ints, thresholds: int, interpolation: Interpolation) -> Floats:
    """Return the average precision for each threshold and each order of the boxes.

    Walking down an order, a box is right at a threshold if it reaches it and no earlier box that points at the same
    true box did; otherwise it is wrong. Precision is interpolated from the right.

    Args:
        outcomes: The class's boxes.
        orders: (r, n) row numbers, best first.
        thresholds: How many thresholds levels count.
        interpolation: Eleven points, 101 points, or the exact area under the interpolated curve.

    Returns:
        (thresholds, r); 0 where the class has no true box that counts.
    """
    values = np.zeros((thresholds, len(orders)))
    right = outcomes.right(thresholds)
    if outcomes.positives == 0 or right[0] == 0:
        return values
    level = outcomes.level[orders]
    deepest = int(outcomes.void.max(initial=0))
    void = outcomes.void[orders] if deepest else None
    taken = taken_levels(outcomes, orders, thresholds)
    changes = np.union1d(outcomes.level, outcomes.void)
    for k in range(thresholds):
        if right[k] == 0:
            break
        if k and k not in changes:
            values[k] = values[k - 1]  # every box is worth the same as at the threshold before
            continue
        hit = level > k
        if taken is not None:
            hit &= taken <= k
        spots = np.flatnonzero(hit)
        if void is None or k >= deepest:
            place = spots.reshape(len(orders), right[k]) - (np.arange(len(orders)) * orders.shape[1] - 1)[:, None]
        else:
            counted = np.cumsum(void <= k, axis=1, dtype=np.int32)
            place = counted.ravel().take(spots).reshape(len(orders), right[k]).astype(np.intp)
        precision = np.arange(1, right[k] + 1) / place
        values[k] = _interpolated(precision, outcomes.positives, interpolation)
    return values


def _above(levels: Levels, thresholds: int) -> Ints:
    """Return (thresholds,) numbers of entries whose level exceeds 0, 1, 2, ..."""
    counts = np.bincount(levels, minlength=thresholds + 1)
    above: Ints = np.cumsum(counts[::-1])[::-1][1:]
    return above


def taken_levels(outcomes: Outcomes, orders: Ints, thresholds: int) -> Levels | None:
    """Return (r, n) levels up to which an earlier box has taken the same true box; None where no two share one."""
    able = np.flatnonzero(outcomes.level)
    _, group, size = np.unique(outcomes.truth[able], return_inverse=True, return_counts=True)
    rivals = able[size[group] > 1]
    if not len(rivals):
        return None
    number = np.full(len(outcomes.level), -1)
    number[rivals] = np.unique(outcomes.truth[rivals], return_inverse=True)[1]
    shape = (len(orders), len(rivals))
    owner = number[orders]
    spot = np.flatnonzero(owner >= 0).reshape(shape)
    # Bring rivals for one true box together, in their order; then a running maximum within each.
    keyed = owner.ravel()[spot] * len(rivals) + np.arange(len(rivals))
    keyed.sort(axis=1)
    spot = np.take_along_axis(spot, keyed % len(rivals), axis=1)
    base = keyed // len(rivals) * (thresholds + 1)
    level = outcomes.level[orders].ravel()[spot]
    running = np.maximum.accumulate(base + level, axis=1)
    before = np.maximum(running[:, :-1] - base[:, 1:], 0)
    taken = np.zeros(orders.size, np.int16)
    taken[spot[:, 1:]] = before
    return taken.reshape(orders.shape)


def _interpolated(precision: Floats, positives: int, interpolation: Interpolation) -> Floats:
    """Return (r,) averages of (r, right) precisions at the right boxes."""
    right = precision.shape[1]
    if interpolation == "area":
        envelope = np.maximum.accumulate(precision[:, ::-1], axis=1)
        areas: Floats = envelope.sum(axis=1) / positives
        return areas
    grid = GRIDS[interpolation]
    first = np.searchsorted(np.arange(1, right + 1) / positives, grid)
    reached = first < right
    best = np.maximum.reduceat(precision, np.unique(first[reached]), axis=1)
    envelope = np.maximum.accumulate(best[:, ::-1], axis=1)[:, ::-1]
    weight = np.unique(first[reached], return_counts=True)[1]
    values: Floats = envelope @ weight / len(grid)
    return values
