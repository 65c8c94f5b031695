"""Polygons of a large scene, kept so that any window of it can be drawn by itself."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

RGB = tuple[int, int, int]
Texturing = Callable[[str, tuple[int, int], tuple[int, int]], Image.Image]
_BUCKET = 512
_FINE = 2


class Polygon(NamedTuple):
    """A filled polygon: corners in pixels of the scene as a flat tuple, and a colour or the name of a texture."""

    points: tuple[float, ...]
    fill: RGB | str


class Drawing:
    """Polygons in the order in which they are painted.

    >>> drawing = Drawing()
    >>> drawing.add(np.array([[2, 2], [6, 2], [6, 6], [2, 6]]), (255, 0, 0))
    >>> picture = drawing.paint(Image.new("RGB", (4, 4)), (4, 4), 1, lambda *_: Image.new("RGB", (1, 1)))
    >>> picture.getpixel((1, 1)), picture.getpixel((3, 3))
    ((255, 0, 0), (0, 0, 0))
    """

    def __init__(self) -> None:
        self._polygons: list[Polygon] = []
        self._buckets: dict[tuple[int, int], list[int]] = defaultdict(list)

    def __len__(self) -> int:
        return len(self._polygons)

    def add(self, points: NDArray[np.float64], fill: RGB | str) -> None:
        """Append a (k, 2) polygon."""
        low, high = points.min(axis=0), points.max(axis=0)
        for row in range(math.floor(low[1] / _BUCKET), math.floor(high[1] / _BUCKET) + 1):
            for column in range(math.floor(low[0] / _BUCKET), math.floor(high[0] / _BUCKET) + 1):
                self._buckets[row, column].append(len(self._polygons))
        self._polygons.append(Polygon(tuple(points.ravel().tolist()), fill))

    def line(self, start: Sequence[float], end: Sequence[float], width: float, fill: RGB | str) -> None:
        """Append a straight band."""
        a, b = np.asarray(start, float), np.asarray(end, float)
        across = np.array([a[1] - b[1], b[0] - a[0]]) / max(float(np.hypot(*(b - a))), 1e-9) * width / 2
        self.add(np.stack([a - across, b - across, b + across, a + across]), fill)

    def dashes(
        self, start: Sequence[float], end: Sequence[float], width: float, on: float, off: float, fill: RGB
    ) -> None:
        """Append a broken line."""
        a, b = np.asarray(start, float), np.asarray(end, float)
        length = max(float(np.hypot(*(b - a))), 1e-9)
        for k in range(int(length / (on + off))):
            s = k * (on + off) / length
            self.line(a + (b - a) * s, a + (b - a) * (s + on / length), width, fill)

    def paint(self, image: Image.Image, origin: tuple[int, int], step: int, texture: Texturing) -> Image.Image:
        """Return the picture of a window with the polygons on it, edges smoothed.

        Args:
            image: RGB window; may be changed.
            origin: Pixel of the scene at its first pixel.
            step: Pixels of the scene per pixel of the window.
            texture: Gives a piece of a texture from its name, first pixel in the window, and size.
        """
        rows = range(origin[1] // _BUCKET, (origin[1] + image.height * step - 1) // _BUCKET + 1)
        columns = range(origin[0] // _BUCKET, (origin[0] + image.width * step - 1) // _BUCKET + 1)
        found = sorted({i for row in rows for column in columns for i in self._buckets.get((row, column), ())})
        fine: Image.Image | None = None
        scale = _FINE / step
        for i in found:
            points, fill = self._polygons[i]
            # Pillow would cut off decimals towards 0, which depends on the window
            flat = [float(math.floor((value - origin[k % 2]) * scale)) for k, value in enumerate(points)]
            if isinstance(fill, str):
                if fine:
                    image, fine = fine.reduce(_FINE), None
                _paste(image, flat, lambda *where, name=fill: texture(name, *where))
            else:
                if fine is None:
                    fine = image.resize((image.width * _FINE, image.height * _FINE), Image.Resampling.NEAREST)
                ImageDraw.Draw(fine).polygon(flat, fill=fill)
        return fine.reduce(_FINE) if fine else image


def _paste(
    image: Image.Image, flat: list[float], texture: Callable[[tuple[int, int], tuple[int, int]], Image.Image]
) -> None:
    """Fill a polygon, given in fine pixels, with a texture."""
    x1, y1 = max(int(min(flat[::2])) // _FINE, 0), max(int(min(flat[1::2])) // _FINE, 0)
    x2, y2 = min(int(max(flat[::2])) // _FINE + 1, image.width), min(int(max(flat[1::2])) // _FINE + 1, image.height)
    if x2 <= x1 or y2 <= y1:
        return
    mask = Image.new("L", ((x2 - x1) * _FINE, (y2 - y1) * _FINE))
    corner = (x1 * _FINE, y1 * _FINE)
    ImageDraw.Draw(mask).polygon([value - corner[k % 2] for k, value in enumerate(flat)], fill=255)
    image.paste(texture((x1, y1), (x2 - x1, y2 - y1)), (x1, y1), mask.reduce(_FINE))
