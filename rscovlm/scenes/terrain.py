"""The land under a large scene: coast, woods, dry land, light, and fields between hedges."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from rscovlm.geometry.affine import Floats

CELL = 16
"""Pixels of the scene per sample of the fields."""
Field = NDArray[np.float32]


class Local(NamedTuple):
    """A turned coordinate system on the scene: origin in pixels, direction of its x axis in radians.

    >>> Local((100.0, 50.0), 0.0).point(1, 2)
    (101.0, 52.0)
    """

    origin: tuple[float, float]
    angle: float

    def point(self, x: float, y: float) -> tuple[float, float]:
        """Pixel of the scene at local (x, y)."""
        cos, sin = math.cos(self.angle), math.sin(self.angle)
        return self.origin[0] + x * cos - y * sin, self.origin[1] + x * sin + y * cos

    def points(self, values: Sequence[tuple[float, float]]) -> Floats:
        """(k, 2) pixels of the scene at local points."""
        return np.array([self.point(x, y) for x, y in values])

    def box(self, x1: float, y1: float, x2: float, y2: float) -> Floats:
        """(4, 2) corners of a local rectangle."""
        return self.points([(x1, y1), (x2, y1), (x2, y2), (x1, y2)])

    def within(self, point: tuple[float, float], box: tuple[float, float, float, float], reach: float) -> bool:
        """True if a pixel of the scene lies in a local x1 y1 x2 y2 box or within ``reach`` pixels of it."""
        u, v = (float(c[0]) for c in self.undo(np.array(point[:1]), np.array(point[1:])))
        return box[0] - reach < u < box[2] + reach and box[1] - reach < v < box[3] + reach

    def undo(self, x: Floats, y: Floats) -> tuple[Floats, Floats]:
        """Local coordinates of pixels of the scene."""
        cos, sin = math.cos(self.angle), math.sin(self.angle)
        dx, dy = x - self.origin[0], y - self.origin[1]
        return dx * cos + dy * sin, dy * cos - dx * sin


@dataclass(frozen=True, eq=False)
class Parcel:
    """A field: (4, 2) corners in pixels, and which crop grows there."""

    corners: Floats
    crop: int


class Terrain:
    """Smooth fields over a scene, one sample every ``CELL`` pixels.

    Attributes:
        width: Width of the scene in pixels.
        height: Height of the scene in pixels.
        home: The scene's own coordinates: origin in the middle, y towards the sea.
        reach: Half the scene's extent along and across ``home``.
        elevation: Above 0 is land, below is water.
        wood: Above 0 is forest.
        dry: Above 0 is desert.
        light: Brightness to add.
        parcels: Fields of the farmland.
    """

    def __init__(self, rng: np.random.Generator, width: int, height: int) -> None:
        self.width, self.height = width, height
        self.home = Local((width / 2, height / 2), int(rng.integers(4)) * math.pi / 2)
        turned = round(self.home.angle / math.pi * 2) % 2 == 1
        self.reach = (height / 2, width / 2) if turned else (width / 2, height / 2)
        rows, columns = -(-height // CELL) + 1, -(-width // CELL) + 1
        self.y, self.x = (g.astype(np.float64) for g in np.mgrid[0:rows, 0:columns] * CELL + CELL / 2)
        _, seaward = self.home.undo(self.x, self.y)
        coast = 0.56 * self.reach[1]
        self.elevation = ((coast - seaward) / (0.35 * self.reach[1])).astype(np.float32)
        for share, strength in ((0.3, 0.55), (0.1, 0.28), (0.03, 0.12)):
            self.elevation += strength * self._noise(rng, share)
        self.wood = self._noise(rng, 0.2) + 0.6 * self._noise(rng, 0.06) + 0.25 * self._noise(rng, 0.015) - 0.75
        self.dry = self._noise(rng, 0.4) + 0.4 * self._noise(rng, 0.1) + 0.15 * self._noise(rng, 0.02) - 1.1
        self.light = 5 * self._noise(rng, 0.12) + 3 * self._noise(rng, 0.03)
        self.parcels = _parcels(rng, width, height)

    def _noise(self, rng: np.random.Generator, share: float) -> Field:
        """Noise of unit spread whose features are this share of the scene's shorter side."""
        rows, columns = self.x.shape
        cell = max(share * min(self.width, self.height) / CELL, 1.0)
        size = (math.ceil(columns / cell) + 4, math.ceil(rows / cell) + 4)
        grid = Image.fromarray(rng.normal(0, 1, size[::-1]).astype(np.float32))
        x, y = (float(v) for v in rng.uniform(1, 2, 2))
        box = (x, y, x + columns / cell, y + rows / cell)
        smooth = np.asarray(grid.resize((columns, rows), Image.Resampling.BICUBIC, box=box))
        return smooth * np.float32(1.3)

    def at(self, along: float, inland: float) -> tuple[float, float]:
        """Pixel at a share of the way along the coast and inland (0 at the sea's edge of the scene, 1 opposite)."""
        return self.home.point((2 * along - 1) * self.reach[0], (1 - 2 * inland) * self.reach[1])

    def inside(self, local: Local, box: tuple[float, float, float, float], soft: float) -> Field:
        """1 inside a local rectangle, 0 further than ``soft`` pixels outside."""
        u, v = local.undo(self.x, self.y)
        x1, y1, x2, y2 = box
        outside = np.maximum.reduce([x1 - u, u - x2, y1 - v, v - y2])
        share: Field = np.clip(1 - outside / soft, 0, 1).astype(np.float32)
        return share

    def elevation_at(self, x: float, y: float) -> float:
        """Elevation at a pixel of the scene."""
        rows, columns = self.x.shape
        return float(self.elevation[min(max(int(y) // CELL, 0), rows - 1), min(max(int(x) // CELL, 0), columns - 1)])


_PARCEL = 430.0
CROPS = 9
"""Number of different crops."""


def _parcels(rng: np.random.Generator, width: int, height: int) -> list[Parcel]:
    """Cover the scene with irregular four-sided fields on a turned grid."""
    local = Local((width / 2, height / 2), float(rng.uniform(-0.5, 0.5)))
    half = math.hypot(width, height) / 2
    count = math.ceil(half / _PARCEL) + 1
    steps = np.arange(-count, count + 1) * _PARCEL
    corners = (
        np.stack(np.meshgrid(steps, steps), axis=-1) + rng.uniform(-0.28, 0.28, (len(steps), len(steps), 2)) * _PARCEL
    )
    crops = rng.integers(0, CROPS, corners.shape[:2])
    out = []
    for row in range(len(steps) - 1):
        for column in range(len(steps) - 1):
            ring = [
                corners[row, column],
                corners[row, column + 1],
                corners[row + 1, column + 1],
                corners[row + 1, column],
            ]
            points = local.points([(float(x), float(y)) for x, y in ring])
            low, high = points.min(axis=0), points.max(axis=0)
            if high[0] > 0 and high[1] > 0 and low[0] < width and low[1] < height:
                out.append(Parcel(points, int(crops[row, column])))
    return out
