"""Outlines of the objects in a generated scene, in units of half their length and half their width."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Tone = Literal["dark", "light", "glass", "line"]
Points = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Shape:
    """One way an object may look from above, heading along x.

    Attributes:
        outline: (k, 2) polygon touching all four sides of the square from -1 to 1.
        details: Polygons drawn on it, each with the tone it is drawn in.
        width: Width as a fraction of the length.
        round: True if it has no heading (a storage tank).
        flat: True if it casts no shadow (a court).
    """

    outline: Points
    details: tuple[tuple[Tone, Points], ...]
    width: float
    round: bool = False
    flat: bool = False


def _points(*values: tuple[float, float]) -> Points:
    return np.array(values, dtype=np.float64)


def _mirrored(*values: tuple[float, float]) -> Points:
    """The upper half of an outline from bow to stern, completed by its mirror image."""
    upper = np.array(values, dtype=np.float64)
    lower = upper[::-1] * [1, -1]
    return np.concatenate([upper, lower[lower[:, 1] != 0]])


def _box(x1: float, y1: float, x2: float, y2: float) -> Points:
    return _points((x1, y1), (x2, y1), (x2, y2), (x1, y2))


def _disc(radius: float, steps: int = 24) -> Points:
    angles = np.arange(steps) * (2 * np.pi / steps)
    return np.stack([np.cos(angles), np.sin(angles)], axis=1) * radius


def _half_disc(radius: float) -> Points:
    angles = np.linspace(0, np.pi, 12) - np.pi / 4
    return np.stack([np.cos(angles), np.sin(angles)], axis=1) * radius


_JET = Shape(
    _mirrored(
        (1, 0), (0.9, 0.08), (0.34, 0.13), (-0.2, 1), (-0.4, 1), (-0.16, 0.13), (-0.68, 0.1), (-0.86, 0.4), (-1, 0.4),
        (-0.94, 0.05),
    ),
    (
        ("light", _mirrored((0.8, 0), (0.74, 0.05), (-0.86, 0.04))),
        ("dark", _box(-0.1, 0.4, 0.1, 0.5)),
        ("dark", _box(-0.1, -0.5, 0.1, -0.4)),
        ("glass", _box(0.8, -0.05, 0.88, 0.05)),
    ),
    0.92,
)  # fmt: skip
_PROPELLER = Shape(
    _mirrored(
        (1, 0), (0.94, 0.1), (0.5, 0.13), (0.46, 1), (0.14, 1), (0.08, 0.13), (-0.7, 0.08), (-0.74, 0.42), (-1, 0.42),
        (-0.96, 0.04),
    ),
    (
        ("light", _mirrored((0.7, 0), (0.66, 0.05), (-0.9, 0.04))),
        ("dark", _box(0.24, 0.42, 0.48, 0.52)),
        ("dark", _box(0.24, -0.52, 0.48, -0.42)),
        ("glass", _box(0.68, -0.08, 0.78, 0.08)),
    ),
    1.0,
)  # fmt: skip
_FREIGHTER = Shape(
    _mirrored((1, 0), (0.82, 0.55), (0.6, 0.95), (0.5, 1), (-0.9, 1), (-1, 0.8)),
    (
        ("dark", _mirrored((0.86, 0), (0.56, 0.68), (-0.86, 0.68))),
        ("light", _mirrored((0.8, 0), (0.54, 0.5), (-0.84, 0.5))),
        ("dark", _box(0.12, -0.4, 0.4, 0.4)),
        ("dark", _box(-0.3, -0.4, -0.02, 0.4)),
        ("line", _box(-0.8, -0.62, -0.5, 0.62)),
    ),
    0.3,
)
_BOAT = Shape(
    _mirrored((1, 0), (0.7, 0.6), (0.3, 1), (-0.6, 1), (-1, 0.78)),
    (
        ("light", _mirrored((0.72, 0), (0.2, 0.6), (-0.84, 0.5))),
        ("glass", _box(0.0, -0.5, 0.14, 0.5)),
        ("line", _box(-0.5, -0.42, 0.0, 0.42)),
    ),
    0.38,
)
_LORRY = Shape(
    _points((1, 0.8), (0.94, 1), (-0.96, 1), (-1, 0.9), (-1, -0.9), (-0.96, -1), (0.94, -1), (1, -0.8)),
    (
        ("glass", _box(0.5, -1, 0.58, 1)),
        ("glass", _box(0.8, -0.8, 0.9, 0.8)),
        ("light", _box(-0.92, -0.55, 0.44, 0.55)),
    ),
    0.38,
)
_VAN = Shape(
    _points((1, 0.6), (0.86, 0.96), (0.7, 1), (-0.92, 1), (-1, 0.8), (-1, -0.8), (-0.92, -1), (0.7, -1), (0.86, -0.96), (1, -0.6)),
    (
        ("glass", _points((0.66, -0.84), (0.46, -0.7), (0.46, 0.7), (0.66, 0.84))),
        ("light", _box(-0.66, -0.66, 0.4, 0.66)),
        ("glass", _box(-0.88, -0.7, -0.76, 0.7)),
    ),
    0.44,
)  # fmt: skip
_TANK = Shape(
    _disc(1.0),
    (("dark", _half_disc(1.0)), ("light", _disc(0.8)), ("dark", _disc(0.34, 16)), ("light", _disc(0.2, 12))),
    1.0,
    round=True,
)
_LINE = 0.045
_COURT = Shape(
    _box(-1, -1, 1, 1),
    (
        ("line", _box(-0.86, -0.8, 0.86, -0.8 + 2 * _LINE)),
        ("line", _box(-0.86, 0.8 - 2 * _LINE, 0.86, 0.8)),
        ("line", _box(-0.86, -0.8, -0.86 + _LINE, 0.8)),
        ("line", _box(0.86 - _LINE, -0.8, 0.86, 0.8)),
        ("line", _box(-_LINE / 2, -0.96, _LINE / 2, 0.96)),
        ("line", _box(-0.45, -_LINE, 0.45, _LINE)),
        ("line", _box(-0.45 - _LINE / 2, -0.8, -0.45 + _LINE / 2, 0.8)),
        ("line", _box(0.45 - _LINE / 2, -0.8, 0.45 + _LINE / 2, 0.8)),
    ),
    0.56,
    flat=True,
)

SHAPES: dict[str, tuple[Shape, ...]] = {
    "plane": (_JET, _PROPELLER),
    "ship": (_FREIGHTER, _BOAT),
    "vehicle": (_LORRY, _VAN),
    "tank": (_TANK,),
    "court": (_COURT,),
}
"""Every class of object and its variants."""
GIANTS: dict[str, tuple[Shape, ...]] = {"airliner": (_JET,), "freighter": (_FREIGHTER,)}
"""Classes found in large scenes only, several times as long as the others."""
