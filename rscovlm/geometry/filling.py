"""Pixels inside rings: every pixel whose centre an odd number of rings encloses."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rscovlm.geometry.window import WindowLike

MOST_PIXELS = 1 << 30
"""Largest window that is filled at once."""


def fill(rings: Iterable[ArrayLike], window: WindowLike) -> NDArray[np.bool_]:
    """Return which pixels of a window have their centre inside rings, (h, w).

    A centre on a side belongs to the ring on its right, or below it, so that areas that share a side share no pixel. What a second
    ring encloses too is outside: holes are rings inside others, whatever their direction.

    Args:
        rings: (k, 2) corners x, y of each, in pixels of the image; the first may be repeated at the end.
        window: (x1, y1, x2, y2) whole pixels; rings may reach outside.

    Raises:
        ValueError: The window is empty or has more than 2^30 pixels.

    >>> fill([[(0, 0), (3, 0), (3, 2), (0, 2)], [(1, 0), (2, 0), (2, 1), (1, 1)]], (0, 0, 3, 2)).astype(int)
    array([[1, 0, 1],
           [1, 1, 1]])
    """
    x1, y1, x2, y2 = window
    width, height = x2 - x1, y2 - y1
    if width < 1 or height < 1 or width * height > MOST_PIXELS:
        raise ValueError(f"a window of {width}x{height} pixels cannot be filled; give 1 to {MOST_PIXELS} pixels")
    sides = [_sides(np.asarray(ring, np.float64)) for ring in rings]
    changes = np.zeros((height, width + 1), bool)
    if not sides:
        return changes[:, :width]
    start, end = (
        np.concatenate([one for one, _ in sides]) - (x1, y1),
        np.concatenate([two for _, two in sides]) - (x1, y1),
    )
    # A side crosses the centres of the rows from its upper end up to, but without, its lower end.
    first = np.ceil(np.minimum(start[:, 1], end[:, 1]) - 0.5).clip(0, height).astype(np.int64)
    last = np.ceil(np.maximum(start[:, 1], end[:, 1]) - 0.5).clip(0, height).astype(np.int64)
    count = last - first
    side = np.repeat(np.arange(len(count)), count)
    row = np.arange(len(side)) - np.repeat(np.cumsum(count) - count, count) + first[side]
    slope = (end[side, 0] - start[side, 0]) / (end[side, 1] - start[side, 1])
    x = start[side, 0] + (row + 0.5 - start[side, 1]) * slope
    column = np.ceil(x - 0.5).clip(0, width).astype(np.int64)
    # Every crossing turns inside and outside round for all pixels on its right; two at one place do nothing.
    places, times = np.unique(row * (width + 1) + column, return_counts=True)
    changes.ravel()[places[times % 2 == 1]] = True
    return np.asarray(np.logical_xor.accumulate(changes, axis=1)[:, :width])


def _sides(ring: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    if ring.ndim != 2 or ring.shape[1] != 2:
        raise ValueError(f"a ring has shape {ring.shape}; give (k, 2) corners x, y")
    return ring, np.concatenate([ring[1:], ring[:1]])
