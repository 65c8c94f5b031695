"""Affine maps of the plane as six numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float64]
Affine6: TypeAlias = tuple[float, float, float, float, float, float]

IDENTITY: Affine6 = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)


def validated(values: Sequence[float], name: str) -> Affine6:
    """Return six finite numbers of an invertible map as a tuple of floats.

    Args:
        values: a, b, c, d, e, f of ``X = a x + b y + c``, ``Y = d x + e y + f``.
        name: What to call them in an error.

    Raises:
        ValueError: When there are not six, one is not finite, or the map cannot be undone.
    """
    numbers = tuple(float(value) for value in values)
    if len(numbers) != 6:
        raise ValueError(
            f"{name} has {len(numbers)} numbers; give six: a, b, c, d, e, f of X = ax + by + c, Y = dx + ey + f"
        )
    if not all(math.isfinite(number) for number in numbers):
        raise ValueError(f"{name} is {numbers}; every number must be finite")
    a, b, c, d, e, f = numbers
    if abs(a * e - b * d) <= 1e-12 * (abs(a) + abs(b)) * (abs(d) + abs(e)):
        raise ValueError(f"{name} is {numbers}, which flattens the plane to a line or a point; give an invertible map")
    return a, b, c, d, e, f


def compose(outer: Affine6, inner: Affine6) -> Affine6:
    """Return the map that applies `inner` first and `outer` to its result.

    >>> compose((2, 0, 0, 0, 2, 0), (1, 0, 5, 0, 1, 7))
    (2, 0, 10, 0, 2, 14)
    """
    a, b, c, d, e, f = outer
    p, q, r, s, t, u = inner
    return (a * p + b * s, a * q + b * t, a * r + b * u + c, d * p + e * s, d * q + e * t, d * r + e * u + f)


def inverse(affine: Affine6) -> Affine6:
    """Return the map back.

    >>> inverse((2.0, 0.0, 10.0, 0.0, 4.0, 8.0))
    (0.5, 0.0, -5.0, 0.0, 0.25, -2.0)
    """
    a, b, c, d, e, f = affine
    if b == 0 and d == 0:
        return (1 / a, 0.0, 0.0 - c / a, 0.0, 1 / e, 0.0 - f / e)
    size = a * e - b * d
    return (e / size, -b / size, (b * f - e * c) / size, -d / size, a / size, (d * c - a * f) / size)


def apply(affine: Affine6, points: Floats) -> Floats:
    """Map points.

    Args:
        affine: The map.
        points: (..., 2) x and y.

    Returns:
        (..., 2) mapped points, new memory.
    """
    a, b, c, d, e, f = affine
    x, y = points[..., 0], points[..., 1]
    mapped: Floats = np.stack([a * x + b * y + c, d * x + e * y + f], axis=-1)
    return mapped
