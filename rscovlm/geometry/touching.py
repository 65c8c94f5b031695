"""Which horizontal boxes meet which others, in chunks whose memory is bounded."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import shapely
from numpy.typing import NDArray

from rscovlm.geometry.affine import Floats

Ints = NDArray[np.intp]

PAIRS = 1 << 18
"""Pairs handed out at once; with what is computed for each, some 50 MB."""


class Touching:
    """Horizontal boxes that are asked, many times, which of them meet other boxes.

    Args:
        bounds: (n, 4) x1, y1, x2, y2 in pixels.
    """

    def __init__(self, bounds: Floats) -> None:
        self._tree = shapely.STRtree(outlines(bounds))
        self._low, self._high = np.sort(bounds[:, :2], axis=0), np.sort(bounds[:, 2:], axis=0)

    def pairs(self, asked: Floats, *, most: int = PAIRS) -> Iterator[tuple[Ints, Ints]]:
        """Yield which rows meet, borders included: all pairs of some asked rows at a time, in the order of those.

        Args:
            asked: (m, 4) boxes.
            most: Pairs at once; more only where one asked box alone meets more.

        Yields:
            (k,) rows of `asked`, rising, and (k,) rows of the boxes.
        """
        # A box meets no more than share its columns, and no more than share its rows.
        bound = np.min([self._sharing(asked, axis) for axis in (0, 1)], axis=0, initial=len(self._low))
        total = np.cumsum(bound)
        start = 0
        while start < len(asked):
            reached = total[start - 1] if start else 0
            stop = max(start + 1, int(np.searchsorted(total, reached + most, side="right")))
            i, j = self._tree.query(outlines(asked[start:stop]))
            yield i + start, j
            start = stop

    def _sharing(self, asked: Floats, axis: int) -> Ints:
        before = np.searchsorted(self._high[:, axis], asked[:, axis], side="left")
        not_after = np.searchsorted(self._low[:, axis], asked[:, axis + 2], side="right")
        shared: Ints = np.maximum(not_after - before, 0)
        return shared


def outlines(bounds: Floats) -> NDArray[np.object_]:
    """Return horizontal boxes (n, 4) as shapely geometries."""
    made: NDArray[np.object_] = np.asarray(shapely.box(bounds[:, 0], bounds[:, 1], bounds[:, 2], bounds[:, 3]))
    return made
