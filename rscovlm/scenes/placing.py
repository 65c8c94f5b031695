"""Putting objects into a large scene so that none overlap."""

from __future__ import annotations

import math
from collections import defaultdict

import numpy as np

from rscovlm.scenes.objects import COLOURS, SceneObject, touching
from rscovlm.scenes.scene import LENGTHS
from rscovlm.scenes.shapes import GIANTS, SHAPES

_BUCKET = 512
_GAP = 4.0
_GIANT_LENGTHS = {"airliner": (92.0, 124.0), "freighter": (170.0, 250.0)}


class Placer:
    """Places objects in a scene, keeping them apart, inside, and off a forbidden box.

    Attributes:
        objects: Everything placed so far.
    """

    def __init__(
        self, rng: np.random.Generator, size: tuple[int, int], lengths: tuple[float, float], colours: tuple[str, ...]
    ) -> None:
        self.objects: list[SceneObject] = []
        self._rng, self._size, self._lengths, self._colours = rng, size, lengths, colours
        self._near: dict[tuple[int, int], list[SceneObject]] = defaultdict(list)

    def put(self, label: str, centre: tuple[float, float], angle: float) -> SceneObject | None:
        """Place an object of random length, colour and variant; None if there is no room for it here."""
        thing = self._make(label, centre, angle)
        low, high = thing.quad.min(axis=0), thing.quad.max(axis=0)
        if low.min() < 2 or high[0] > self._size[0] - 2 or high[1] > self._size[1] - 2:
            return None
        row, column = int(centre[1]) // _BUCKET, int(centre[0]) // _BUCKET
        for r in range(row - 1, row + 2):
            for c in range(column - 1, column + 2):
                if any(touching(thing, other, _GAP) for other in self._near.get((r, c), ())):
                    return None
        self._near[row, column].append(thing)
        self.objects.append(thing)
        return thing

    def _make(self, label: str, centre: tuple[float, float], angle: float) -> SceneObject:
        rng = self._rng
        draw = rng.uniform(0, 1, 4)
        shapes = SHAPES.get(label) or GIANTS[label]
        variant = int(draw[0] * len(shapes))
        if label in GIANTS:
            low, high = _GIANT_LENGTHS[label]
        else:
            shares, spread = LENGTHS[label], self._lengths[1] - self._lengths[0]
            low, high = (self._lengths[0] + spread * share for share in shares)
        length = low + (high - low) * float(draw[1])
        shape = shapes[variant]
        width = length if shape.round else length * shape.width * (0.95 + 0.1 * float(draw[2]))
        colour = self._colours[int(draw[3] * len(self._colours))]
        shift = rng.integers(-6, 7, 3) + int(rng.integers(-12, 9))
        red, green, blue = (int(v) for v in np.clip(COLOURS[colour] + shift, 0, 255))
        heading = 0.0 if shape.round else angle % (2 * math.pi)
        return SceneObject(label, colour, centre, length, width, heading, variant, (red, green, blue))

    def drop(self, box: np.ndarray[tuple[int], np.dtype[np.float64]]) -> None:
        """Remove every object that reaches into an x1 y1 x2 y2 box."""
        kept = []
        for thing in self.objects:
            low, high = thing.quad.min(axis=0), thing.quad.max(axis=0)
            if (low >= box[2:]).any() or (high <= box[:2]).any():
                kept.append(thing)
        self.objects[:] = kept
