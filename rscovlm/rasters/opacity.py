"""What the numbers of an alpha band mean: from which one on a pixel is opaque."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rscovlm.geometry.window import WindowLike
from rscovlm.rasters.reader import Reader

SAMPLED = 2**18
"""Pixels of the coarsest level up to which all of it is looked at."""

PLACES, SIDE = 4, 64
"""Of a larger level, so many squares across and down of so many pixels are looked at."""

SHADES, INNER = 32, 0.5
"""A band with more different numbers than this, most of them neither clear nor opaque, looks like a picture."""


class Opacity:
    """The alpha band of an image.

    Formats do not keep to one scale: files of 16 bits hold 0 and 255, files of 8 bits 0 and 1. The largest number of
    the band is what opaque pixels have, unless the format is one that defines it (PNG, WebP). A pixel is valid
    wherever its number is above 0, as in GDAL's masks.

    Args:
        reader: An opened file.
        band: Index of its alpha band.

    Attributes:
        note: What a reader of the result should know of the band, found with the first pixels read.
    """

    def __init__(self, reader: Reader, band: int) -> None:
        self.note: str | None = None
        self._reader, self._band = reader, band
        self._full = reader.layout.alpha_top

    def share(self, alpha: NDArray[Any]) -> NDArray[np.float32]:
        """Return the opacity of (h, w) numbers of the band, 0 to 1."""
        full = self._full
        if full is None:
            full = self._found()
        if full is None:  # clear where it was looked at: the first number above 0 decides
            full = self._full = _largest(alpha) or None
        shares: NDArray[np.float32] = alpha.astype(np.float32) / np.float32(full or 1)
        return np.clip(shares, 0, 1)

    def _found(self) -> float | None:
        seen = np.concatenate([self._reader.read(self._level, w, [self._band]).ravel() for w in self._windows()])
        full = _largest(seen)
        if not full:
            return None
        self._full = full
        if self._like_a_picture(seen, full):
            self.note = (
                f"band {self._band + 1} is marked as alpha and holds numbers up to {full:g} as a picture does (near "
                "infrared?); it is used as opacity here: where it is data, open the image with opaque=True"
            )
        return full

    def _like_a_picture(self, seen: NDArray[Any], full: float) -> bool:
        inner = seen[(seen > 0) & (seen < full)]
        if len(inner) > INNER * len(seen) and len(np.unique(inner)) > SHADES:
            return True
        bits = self._reader.layout.bits
        tops = [1.0, 255.0, float(np.iinfo(seen.dtype).max) if seen.dtype.kind in "ui" else 1.0, 2.0 ** (bits or 1) - 1]
        usual = any(0.9 * top <= full <= top for top in tops)  # lossy files and means do not quite reach it
        return not usual and not (seen == 0).any()

    @property
    def _level(self) -> int:
        return len(self._reader.levels) - 1

    def _windows(self) -> Iterator[WindowLike]:
        grid = self._reader.levels[self._level]
        if grid.width * grid.height <= SAMPLED:
            yield 0, 0, grid.width, grid.height
            return
        for row in range(PLACES):
            for column in range(PLACES):
                left = (grid.width * (2 * column + 1)) // (2 * PLACES)
                top = (grid.height * (2 * row + 1)) // (2 * PLACES)
                yield left, top, min(left + SIDE, grid.width), min(top + SIDE, grid.height)


def _largest(numbers: NDArray[Any]) -> float:
    """Return the largest finite number, 0 where none is above 0."""
    kept = numbers[np.isfinite(numbers)] if numbers.dtype.kind == "f" else numbers
    return max(float(kept.max()), 0.0) if kept.size else 0.0
