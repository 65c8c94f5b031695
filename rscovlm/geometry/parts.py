"""Connected parts of a mask, numbered without a loop over pixels."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Ints = NDArray[np.int64]


def number_parts(mask: ArrayLike, *, diagonal: bool = True) -> NDArray[np.int32]:
    """Return the number of the connected part that each pixel belongs to, (h, w), 0 outside.

    Parts count from 1 in the order of their first pixels, row by row.

    Args:
        mask: (h, w), not 0 inside.
        diagonal: Whether pixels that touch at a corner only are connected.

    Raises:
        ValueError: The mask is no image.

    >>> number_parts([[1, 0, 1], [0, 1, 0], [0, 0, 0]]).max(), number_parts(np.eye(3), diagonal=False).tolist()
    (np.int32(1), [[1, 0, 0], [0, 2, 0], [0, 0, 3]])
    """
    inside = np.asarray(mask) != 0
    if inside.ndim != 2:
        raise ValueError(f"a mask has shape {inside.shape}; give (h, w)")
    height, width = inside.shape
    out = np.zeros((height, width), np.int32)
    edges = np.diff(np.pad(inside.astype(np.int8), ((0, 0), (1, 1))), axis=1)
    row, start = np.nonzero(edges > 0)
    end = np.nonzero(edges < 0)[1]
    if not len(row):
        return out
    numbers = np.unique(_roots(row, start, end, width, int(diagonal)), return_inverse=True)[1] + 1
    length = end - start
    columns = np.arange(int(length.sum())) - np.repeat(np.cumsum(length) - length, length) + np.repeat(start, length)
    out[np.repeat(row, length), columns] = np.repeat(numbers, length)
    return out


def _roots(row: Ints, start: Ints, end: Ints, width: int, reach: int) -> Ints:
    """Return for each run of pixels, row by row, the first run that it is connected with."""
    # Runs of the next row that begin before this one ends and end after it begins.
    stride = width + 3
    low = np.searchsorted(row * stride + end, (row + 1) * stride + start - reach, side="right")
    high = np.searchsorted(row * stride + start, (row + 1) * stride + end + reach, side="left")
    count = np.maximum(high - low, 0)
    above = np.repeat(np.arange(len(row)), count)
    below = np.arange(len(above)) - np.repeat(np.cumsum(count) - count, count) + np.repeat(low, count)
    root = np.arange(len(row))
    while True:
        one, two = root[above], root[below]
        if np.array_equal(one, two):
            return root
        np.minimum.at(root, np.maximum(one, two), np.minimum(one, two))
        while not np.array_equal(further := root[root], root):
            root = further
