"""Outlines of pixels: rings along the edges of everything that has one label, all labels at once, without a loop over pixels."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rscovlm.geometry.affine import Floats

Labels = NDArray[np.integer]
Ints = NDArray[np.int64]

_STRIP = 1 << 24
"""Pixels that are compared at a time, so that an image of any size needs little memory."""


@dataclass(frozen=True)
class Rings:
    """Rings of some labels, one after the other.

    Attributes:
        points: (n, 2) corners x, y of all rings; no corner lies on a straight side, and the first is not repeated.
        starts: (k + 1,) where each ring begins, and the end.
        labels: (k,) the label that each ring bounds, in ascending order.
    """

    points: Floats
    starts: Ints
    labels: Ints

    def of(self, ring: int) -> Floats:
        """Return the corners of a ring, (m, 2)."""
        return self.points[self.starts[ring] : self.starts[ring + 1]]

    def each(self) -> Iterator[Floats]:
        """Yield the corners of every ring in turn."""
        return (self.of(ring) for ring in range(len(self.labels)))


@dataclass(frozen=True)
class _Corners:
    """Where outlines turn: label, place, and whether the level edge leads away; `second` is the twin at a crossing."""

    label: Ints
    y: Ints
    x: Ints
    away: NDArray[np.bool_]
    level: Ints  # order among twins from left to right
    upright: Ints  # and from top to bottom

    def in_order(self, order: Ints) -> _Corners:
        """Return the corners in another order."""
        return _Corners(*(getattr(self, name)[order] for name in self.__dataclass_fields__))

    @classmethod
    def all_of(cls, parts: Sequence[_Corners]) -> _Corners:
        """Return the corners of all parts in turn."""
        return cls(*(np.concatenate([getattr(part, name) for part in parts]) for name in cls.__dataclass_fields__))


def trace(labels: NDArray[np.integer] | NDArray[np.bool_]) -> Rings:
    """Return the outlines of every label of an image but 0, along the edges of its pixels.

    Outer rings run clockwise on screen and holes counter-clockwise. Each begins with its topmost left corner; rings of a label
    are in the order of these. Pixels that touch at a corner only are apart, and no ring touches itself.

    Args:
        labels: (h, w) whole numbers from 0, or a mask.

    Raises:
        ValueError: The array is no image of whole numbers.

    >>> trace(np.array([[0, 2, 2], [0, 2, 2]])).points.tolist()
    [[1.0, 0.0], [3.0, 0.0], [3.0, 2.0], [1.0, 2.0]]
    """
    if labels.ndim != 2 or labels.dtype.kind not in "bui":
        raise ValueError(f"labels have shape {labels.shape} and type {labels.dtype}; give (h, w) whole numbers")
    corners = _corners(labels)
    count = len(corners.label)
    if not count:
        return Rings(np.empty((0, 2)), np.zeros(1, np.int64), np.empty(0, np.int64))
    level = np.lexsort((corners.level, corners.x, corners.y, corners.label))
    corners = corners.in_order(level)
    upright = np.lexsort((corners.upright, corners.y, corners.x, corners.label))
    # Along a grid line, edges begin and end in turn: corners are each other's partners two by two.
    after = np.arange(count, dtype=np.int64) ^ 1
    partner = np.empty(count, np.int64)
    partner[upright[0::2]], partner[upright[1::2]] = upright[1::2], upright[0::2]
    following = np.where(corners.away, after, partner)
    following = _apart(following, corners)
    first = _first_of(following)
    order = np.lexsort((-_steps_to_first(following, first), first))
    starts = np.flatnonzero(np.diff(first[order], prepend=-1))
    points = np.column_stack([corners.x[order], corners.y[order]]).astype(np.float64)
    return Rings(points, np.append(starts, count), corners.label[order][starts])


def _corners(labels: NDArray[np.integer] | NDArray[np.bool_]) -> _Corners:
    height, width = labels.shape
    rows = max(1, _STRIP // (width + 2))
    parts = []
    for top in range(0, height + 1, rows):
        bottom = min(top + rows, height + 1)  # of the grid lines looked at
        strip = np.zeros((bottom - top + 1, width + 2), labels.dtype)
        low, high = max(top - 1, 0), min(bottom, height)
        strip[low - (top - 1) : high - (top - 1), 1:-1] = labels[low:high]
        parts.append(_turns(strip, top))
    return _Corners.all_of(parts)


def _turns(strip: NDArray[np.integer] | NDArray[np.bool_], top: int) -> _Corners:
    """Return the corners between the rows of a padded strip."""
    across, down = strip[:, 1:] != strip[:, :-1], strip[1:] != strip[:-1]
    # A straight edge goes through where both pairs along it are alike.
    turning = (across[:-1] | across[1:]) & (down[:, :-1] | down[:, 1:])
    y, x = np.nonzero(turning)
    block = np.stack([strip[y + i, x + j] for i, j in ((0, 0), (0, 1), (1, 0), (1, 1))]).astype(np.int64)
    found = []
    for place in range(4):
        own = block[place]
        new = own != 0
        for other in range(place):
            new &= block[other] != own
        at = np.flatnonzero(new)
        found.append(_of_label(own[at], y[at] + top, x[at], block[:, at] == own[at]))
    return _Corners.all_of(found)


def _of_label(label: Ints, y: Ints, x: Ints, same: NDArray[np.bool_]) -> _Corners:
    """Return the corners of one label each; `same` tells which of the four pixels (row by row) have it."""
    upper_left, _, lower_left, lower_right = same
    count = same.sum(axis=0)
    single = np.flatnonzero(count % 2 == 1)
    leftwards = upper_left != lower_left
    away = np.where(leftwards, upper_left, lower_right)
    # Two pixels that touch here only: one corner of the edge on the left, and one of that on the right.
    double = np.flatnonzero((count == 2) & (upper_left == lower_right))
    falling = upper_left[double]
    zeros, none, one = np.zeros(len(single), np.int64), np.zeros(len(double), np.int64), np.ones(len(double), np.int64)
    return _Corners(
        np.concatenate([label[single], label[double], label[double]]),
        np.concatenate([y[single], y[double], y[double]]),
        np.concatenate([x[single], x[double], x[double]]),
        np.concatenate([away[single], falling, falling]),
        np.concatenate([zeros, none, one]),
        np.concatenate([zeros, np.where(falling, 0, 1), np.where(falling, 1, 0)]),
    )


def _apart(following: Ints, corners: _Corners) -> Ints:
    """Part rings that touch themselves, there where they do."""
    second = np.flatnonzero(corners.level == 1)  # its twin stands just before it
    if not len(second):
        return following
    first = _first_of(following)
    touching = second[first[second] == first[second - 1]]
    following = following.copy()
    following[touching], following[touching - 1] = following[touching - 1], following[touching]
    return following


def _first_of(following: Ints) -> Ints:
    """Return for each corner the first corner, in their order, of its ring: the reach doubles with every round."""
    first, ahead = np.arange(len(following), dtype=np.int64), following
    while True:
        lower: Ints = np.minimum(first, first[ahead])
        if np.array_equal(lower, first):
            return first
        first, ahead = lower, ahead[ahead]


def _steps_to_first(following: Ints, first: Ints) -> Ints:
    """Return how many steps lead from each corner to its ring's first; for that one itself, all of the ring."""
    here = np.arange(len(following), dtype=np.int64)
    ahead = np.where(first == here, here, following)
    steps: Ints = (first != here).astype(np.int64)
    while not np.array_equal(ahead, first):
        steps = steps + steps[ahead]
        ahead = ahead[ahead]
    steps[first == here] = len(following)
    return steps
