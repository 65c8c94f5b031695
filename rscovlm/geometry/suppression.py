"""Greedy suppression: the best box stays and removes those that are too close to it, and so on."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from rscovlm.geometry.affine import Floats
from rscovlm.geometry.touching import Touching

Ints = NDArray[np.intp]
Close = Callable[[Ints, Ints], NDArray[np.bool_]]

_BLOCK = 512
"""Boxes first decided among themselves. In a pile the few that stay then remove the rest, and most pairs are never compared."""

_LARGEST = 1 << 15
"""Where boxes hardly touch, blocks grow up to this."""


def stand_ins(bounds: Floats, groups: Ints, order: Ints, close: Close) -> Ints:
    """Return for each box the one that stands for it: itself where it stays, else the best that stays and is close to it.

    A box that was removed removes none. Time is near linear in the number of boxes where few of those that stay meet many
    others; memory is bounded by the boxes, however many pairs meet.

    Args:
        bounds: (n, 4) horizontal boxes; two that do not meet are never close.
        groups: (n,) numbers; boxes of two groups are never close.
        order: (n,) rows, the best first.
        close: Takes rows (k,) of better and (k,) of worse boxes that meet and returns (k,) which pairs are too close.

    Returns:
        (n,) rows.
    """
    standing = np.arange(len(bounds))
    sorted_rows = order[np.argsort(groups[order], kind="stable")]
    ends = np.flatnonzero(np.diff(groups[sorted_rows])) + 1
    for rows in np.split(sorted_rows, ends):
        if len(rows) > 1:
            standing[rows] = rows[_Group(bounds[rows], lambda a, b, rows=rows: close(rows[a], rows[b])).decided()]  # type: ignore[misc]
    return standing


class _Group:
    """Boxes of one group, the best first; numbers are places in that order."""

    def __init__(self, bounds: Floats, close: Close) -> None:
        self._bounds, self._close = bounds, close
        self._standing = np.arange(len(bounds))
        self._alive = np.ones(len(bounds), bool)

    def decided(self) -> Ints:
        """Decide block by block and return for each place the place that stands for it."""
        count, start, size = len(self._bounds), 0, _BLOCK
        held, index = np.arange(0), None
        while start < count:
            stop = min(count, start + size)
            block = start + np.flatnonzero(self._alive[start:stop])
            met = self._within(block) if len(block) > 1 else 0
            size = min(size * 2, _LARGEST) if met < 8 * len(block) else max(size // 2, _BLOCK)
            staying = block[self._alive[block]]
            start = stop
            if not len(staying) or start >= count:
                continue
            if index is None or 2 * np.count_nonzero(self._alive[start:]) < len(held):
                held = start + np.flatnonzero(self._alive[start:])
                index = Touching(self._bounds[held])
            for i, j in index.pairs(self._bounds[staying]):
                later = np.flatnonzero(self._alive[held[j]] & (held[j] >= start))
                self._remove(staying[i[later]], held[j[later]])
        return self._standing

    def _within(self, block: Ints) -> int:
        """Decide a block by itself; returns how many pairs of it meet."""
        met, firsts, seconds = 0, [block[:0]], [block[:0]]
        bounds = self._bounds[block]
        for i, j in Touching(bounds).pairs(bounds):
            ahead = i < j
            first, second = block[i[ahead]], block[j[ahead]]
            met += len(first)
            close = self._close(first, second)
            firsts.append(first[close])
            seconds.append(second[close])
        first, second = np.concatenate(firsts), np.concatenate(seconds)
        better, begins = np.unique(first, return_index=True)  # pairs come in the order of the better
        ends = [*begins[1:].tolist(), len(first)]
        for one, begin, end in zip(better.tolist(), begins.tolist(), ends, strict=False):
            if self._alive[one]:
                removed = second[begin:end][self._alive[second[begin:end]]]
                self._standing[removed] = one
                self._alive[removed] = False
        return met

    def _remove(self, better: Ints, worse: Ints) -> None:
        """Let boxes that stay, the best first, remove what is close to them."""
        close = self._close(better, worse)
        removed, first = np.unique(worse[close], return_index=True)
        self._standing[removed] = better[close][first]
        self._alive[removed] = False
