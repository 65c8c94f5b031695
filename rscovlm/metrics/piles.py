"""Pairs of found and true boxes in a pile, where every box meets every other and few pairs can be the best."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rscovlm.geometry.affine import Floats

Indices = NDArray[np.intp]
Overlaps = Callable[[Indices, Indices], Floats]

_BLOCK = 32
"""True boxes that are ruled out together."""

_ROWS = 256
"""Found boxes looked up at once."""

_NEAR = 2
"""Blocks looked through for the true boxes that are most like a found one."""

_LIKELY = 4
"""True boxes compared for a first bound."""

_PAIRS = 1 << 16
"""Pairs whose extents are compared at once."""

_SAMPLE = 64
"""Found boxes by which it is told how many pairs remain."""

_SLACK = 1e-8
"""Overlaps are rounded to 10 decimals: nothing this close to the best is ruled out."""

_TURNS = (0.0, 45.0, 22.5, 67.5)
"""Degrees by which extents are turned: along one of them a rectangle nearly fills its own."""


@dataclass(frozen=True)
class Extents:
    """How far boxes reach along directions that are turned step by step.

    Attributes:
        low: (2 frames, n) where they begin, a direction and the one across it in turn.
        high: (2 frames, n) where they end.
        area: (n,) what they cover.
    """

    low: Floats
    high: Floats
    area: Floats

    @classmethod
    def of(cls, forms: Floats, area: Floats) -> Extents:
        """Take the extents of (n, 4) horizontal boxes, in one frame, or of (n, 8) quadrilaterals."""
        if forms.shape[1] == 4:
            return cls(forms.T[:2].copy(), forms.T[2:].copy(), area)
        corners = forms.reshape(-1, 4, 2)
        angles = (np.asarray(_TURNS)[:, None] + [0.0, 90.0]).ravel() * (np.pi / 180)
        along = np.stack([corners @ direction for direction in np.stack([np.cos(angles), np.sin(angles)], axis=1)])
        return cls(along.min(axis=2), along.max(axis=2), area)

    def features(self) -> Floats:
        """Return (n, k) numbers, in pixels, that are near for boxes that overlap much."""
        centre, length = (self.low + self.high) / 2, self.high - self.low
        return np.concatenate([2 * centre[:2], length[:4], np.sqrt(self.area)[None]]).T


def contenders(mine: Extents, theirs: Extents, overlaps: Overlaps, floor: float) -> Iterator[tuple[Indices, Indices]]:
    """Yield the pairs that may overlap by `floor` or more and be the best of their found box: all of some found boxes at a time.

    True boxes that are alike are put in blocks. Each found box is compared with the block that it may overlap most; whatever cannot
    reach the best overlap there, block by block and then pair by pair, is ruled out by areas and extents alone.

    Args:
        mine: Extents of the found boxes.
        theirs: Extents of the true boxes.
        overlaps: Takes numbers (k,) of found and of true boxes and returns (k,) intersections over union.
        floor: Above 0.

    Yields:
        (k,) numbers of found boxes, rising, and (k,) of true boxes.
    """
    pile = _Pile(mine, theirs, overlaps, floor)
    for start in range(0, len(mine.area), _ROWS):
        rows = np.arange(start, min(start + _ROWS, len(mine.area)))
        i, j = pile.remaining(rows)
        # Equal but for noise, boxes may all remain: they are passed on a bounded number at a time.
        begins = np.flatnonzero(np.diff(i, prepend=-1))
        cuts = begins[np.flatnonzero(np.diff(begins // (4 * _PAIRS))) + 1] if len(begins) else begins
        for one, other in zip(np.split(i, cuts), np.split(j, cuts), strict=True):
            yield rows[one], other


def share_left(mine: Extents, theirs: Extents, overlaps: Overlaps, floor: float) -> float:
    """Return which share of the pairs `contenders` would yield, by some of the found boxes."""
    rows = np.unique(np.linspace(0, len(mine.area) - 1, _SAMPLE).astype(np.intp))
    return len(_Pile(mine, theirs, overlaps, floor).remaining(rows)[0]) / (len(rows) * len(theirs.area))


class _Pile:
    """Found and true boxes of a pile, the true ones in blocks."""

    def __init__(self, mine: Extents, theirs: Extents, overlaps: Overlaps, floor: float) -> None:
        self._mine, self._theirs, self._overlaps, self._floor = mine, theirs, overlaps, floor
        self._features, self._others = mine.features(), theirs.features()
        self._blocks = _Blocks.of(theirs, self._others)

    def remaining(self, rows: Indices) -> tuple[Indices, Indices]:
        """Return the pairs of some found boxes that are not ruled out: places in `rows`, rising, and true boxes."""
        mine = self._mine
        likely = _likely(self._features[rows], self._others, self._blocks)
        reached = self._overlaps(np.repeat(rows, likely.shape[1]), likely.ravel()).reshape(likely.shape).max(axis=1)
        part = Extents(mine.low[:, rows], mine.high[:, rows], mine.area[rows])
        return _able(part, self._theirs, self._blocks, np.maximum(reached, self._floor) - _SLACK)


@dataclass(frozen=True)
class _Blocks:
    """Blocks of true boxes: numbers of their members (b, _BLOCK), -1 where none is left, and the range of what those are."""

    members: Indices
    low: Floats
    high: Floats
    smallest: Floats
    largest: Floats
    least: Floats
    most: Floats

    @classmethod
    def of(cls, boxes: Extents, features: Floats) -> _Blocks:
        order = _blocked(features)
        count = -(-len(order) // _BLOCK)
        filled = order[np.minimum(np.arange(count * _BLOCK), len(order) - 1)].reshape(count, _BLOCK)
        members = np.concatenate([order, np.full(count * _BLOCK - len(order), -1)]).reshape(count, _BLOCK)
        area, here = boxes.area[filled], features[filled]
        low, high = boxes.low[:, filled].min(axis=2), boxes.high[:, filled].max(axis=2)
        return cls(members, low, high, area.min(axis=1), area.max(axis=1), here.min(axis=1), here.max(axis=1))


def _likely(features: Floats, others: Floats, blocks: _Blocks) -> Indices:
    """Return (n, _LIKELY) true boxes that are most like each found one, among the blocks that are: a guess."""
    apart = np.zeros((len(features), len(blocks.members)))
    for column, least, most in zip(features.T[:, :, None], blocks.least.T, blocks.most.T, strict=True):
        gap = np.maximum(least - column, column - most)
        np.maximum(gap, 0.0, out=gap)
        apart += gap * gap
    near = np.argpartition(apart, min(_NEAR, apart.shape[1] - 1), axis=1)[:, :_NEAR]
    members = blocks.members[near].reshape(len(features), -1)
    apart = ((others[members] - features[:, None]) ** 2).sum(axis=2)
    apart[members < 0] = np.inf
    best = np.argpartition(apart, min(_LIKELY, apart.shape[1] - 1), axis=1)[:, :_LIKELY]
    return np.maximum(np.take_along_axis(members, best, axis=1), 0)


def _able(mine: Extents, theirs: Extents, blocks: _Blocks, least: Floats) -> tuple[Indices, Indices]:
    """Return the pairs that may overlap by `least`, (n,) for the found boxes, by their areas and extents."""
    shared = _shared(mine.low[:4, :, None], mine.high[:4, :, None], blocks.low[:4, None], blocks.high[:4, None])
    np.minimum(shared, mine.area[:, None], out=shared)
    one, block = np.nonzero(_reached(shared, mine.area[:, None], blocks.smallest, blocks.largest) >= least[:, None])
    step = _PAIRS // _BLOCK
    found = [(one[:0], one[:0])]
    for start in range(0, len(one), step):
        i, j = np.repeat(one[start : start + step], _BLOCK), blocks.members[block[start : start + step]].ravel()
        area, other = mine.area.take(i), theirs.area.take(j)
        alike = np.flatnonzero((np.minimum(area, other) >= least.take(i) * np.maximum(area, other)) & (j >= 0))
        i, j = i.take(alike), j.take(alike)
        for frame in range(0, len(mine.low), 2):
            rows = slice(frame, frame + 2)
            shared = _shared(
                mine.low[rows].take(i, axis=1),
                mine.high[rows].take(i, axis=1),
                theirs.low[rows].take(j, axis=1),
                theirs.high[rows].take(j, axis=1),
            )
            total = mine.area.take(i) + theirs.area.take(j)
            alike = np.flatnonzero(shared >= least.take(i) * (total - shared))
            i, j = i.take(alike), j.take(alike)
        found.append((i, j))
    i, j = (np.concatenate(part) for part in zip(*found, strict=True))
    return i, j


def _reached(shared: Floats, area: Floats, smallest: Floats, largest: Floats) -> Floats:
    """Return the most that boxes of an area overlap boxes of a range of areas, of which they share no more than `shared`."""
    # The overlap shared / (area + other - shared) is largest for the smallest other that covers what is shared.
    other = np.maximum(smallest, np.minimum(shared, largest))
    shared = np.minimum(shared, largest)
    most: Floats = shared / np.maximum(area + other - shared, 1e-300)
    return most


def _shared(low: Floats, high: Floats, other_low: Floats, other_high: Floats) -> Floats:
    """Return the most that boxes share by their extents, given a direction and the one across it in turn."""
    length = np.minimum(high, other_high)
    length -= np.maximum(low, other_low)
    np.maximum(length, 0.0, out=length)
    least: Floats = (length[0::2] * length[1::2]).min(axis=0)
    return least


def _blocked(features: Floats) -> Indices:
    """Return an order of rows in which each run of `_BLOCK` is alike: halved where it is widest, again and again."""
    order = np.arange(len(features))
    parts = [(0, len(order))]
    while parts:
        start, stop = parts.pop()
        blocks = -(-(stop - start) // _BLOCK)
        if blocks < 2:
            continue
        rows = order[start:stop]
        values = features[rows]
        widest = np.ptp(values, axis=0).argmax()
        middle = blocks // 2 * _BLOCK
        order[start:stop] = rows[np.argpartition(values[:, widest], middle)]
        parts += [(start, start + middle), (start + middle, stop)]
    return order
