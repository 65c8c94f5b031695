"""How far the pixels of a mask lie from its edge: exact Euclidean distances, without a loop over pixels."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rscovlm.geometry.affine import Floats

_FAR = 1e18


def distances(mask: NDArray[np.bool_], *, most: float = np.inf, edge: bool = True) -> Floats:
    """Return how far each pixel inside lies from the nearest pixel outside, from centre to centre, (h, w); 0 outside.

    Down the columns the nearest pixel outside is found by running maxima; then columns further and further away are looked at,
    until none can be nearer. That takes as many rounds as the largest distance has pixels.

    Args:
        mask: (h, w) True inside.
        most: Distance beyond which it does not matter: larger ones come back as infinity.
        edge: Whether what lies beyond the image is outside.

    >>> distances(np.array([[0, 1, 1, 1]], bool), edge=False).tolist()
    [[0.0, 1.0, 2.0, 3.0]]
    """
    inside = np.pad(mask.astype(bool), 1, constant_values=not edge)
    height, width = inside.shape
    rows = np.arange(height, dtype=np.float64)[:, None]
    above = rows - np.maximum.accumulate(np.where(inside, -_FAR, rows), axis=0)
    below = np.minimum.accumulate(np.where(inside, _FAR, rows)[::-1], axis=0)[::-1] - rows
    column = np.minimum(above, below) ** 2
    squared = column.copy()
    for step in range(1, width):
        if step > most or step * step >= squared.max():
            break
        np.minimum(squared[:, step:], column[:, :-step] + step * step, out=squared[:, step:])
        np.minimum(squared[:, :-step], column[:, step:] + step * step, out=squared[:, :-step])
    found: Floats = np.sqrt(squared[1:-1, 1:-1])
    found[found > min(most, 1e9)] = np.inf
    return found
