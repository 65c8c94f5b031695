"""Reading windows of an array in memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rscovlm.geometry.window import WindowLike
from rscovlm.rasters.errors import RasterError
from rscovlm.rasters.reader import BandLayout, Level, Place

COLOURS = {1: ("gray",), 2: ("gray", "alpha"), 3: ("red", "green", "blue"), 4: ("red", "green", "blue", "alpha")}


class ArrayReader:
    """An (h, w) or (h, w, bands) array.

    Two bands are grey and alpha and four are colour and alpha when the array holds bytes; more, or other
    numbers, are bands without a stated colour (the first three are shown unless a choice is made); so are they where
    `bands` chooses, since nothing but their number says that one is alpha. A masked array's mask says where nothing was
    measured: in any of a pixel's bands.
    """

    front_to_back = False

    def __init__(self, array: NDArray[Any], *, bands: Any = None) -> None:
        if array.ndim not in (2, 3) or array.size == 0:
            raise RasterError(f"an array of shape {array.shape} is not an image; give (height, width[, bands])")
        if array.ndim == 3 and _bands_first(array.shape, bands):
            raise RasterError(
                f"an array of shape {array.shape} seems to have its bands first; give np.moveaxis(array, 0, -1), or "
                f"where they are last a choice of bands with a number above {array.shape[0]}"
            )
        if array.dtype.kind not in "buifc":
            raise RasterError(f"an array of {array.dtype} is not an image; give numbers")
        self._valid: NDArray[np.bool_] | None = None
        if isinstance(array, np.ma.MaskedArray) and np.ma.is_masked(array):
            shown: NDArray[np.bool_] = ~np.ma.getmaskarray(array)
            self._valid = np.asarray(shown.all(axis=2)) if shown.ndim == 3 else shown
        array = np.asarray(array)
        self._array = array[..., None] if array.ndim == 2 else array
        if array.dtype.kind == "b":
            self._array = self._array.astype(np.uint8) * np.uint8(255)
        height, width, count = self._array.shape
        told = self._array.dtype == np.uint8 and bands is None
        colours = COLOURS.get(count) if told or count in (1, 3) else None
        self.name = "array"
        self.layout = BandLayout(
            colours=colours or ("undefined",) * count, dtype=self._array.dtype, masked=self._valid is not None
        )
        self.place = Place()
        self.notes: tuple[str, ...] = ()
        self.levels: Sequence[Level] = (Level(width, height, width, height),)

    def read(self, level: int, window: WindowLike, bands: Sequence[int]) -> NDArray[Any]:
        """Return (len(bands), h, w) numbers of a window."""
        x1, y1, x2, y2 = window
        part = self._array[y1:y2, x1:x2]
        return np.stack([part[..., band] for band in bands])

    def mask(self, level: int, window: WindowLike) -> NDArray[np.bool_] | None:
        """Return (h, w) True where a masked array holds numbers; None for other arrays."""
        x1, y1, x2, y2 = window
        return None if self._valid is None else self._valid[y1:y2, x1:x2]

    def blank(self, level: int, window: WindowLike) -> bool:
        """Return False: an array has no holes."""
        return False

    def close(self) -> None:
        """Do nothing."""


def _bands_first(shape: tuple[int, ...], bands: Any) -> bool:
    """Tell whether an array looks like (bands, height, width): more numbers a pixel than rows, and few rows."""
    rows, columns, depth = shape
    asked = [bands] if isinstance(bands, int) else list(bands or ())
    if any(isinstance(band, int) and rows < band <= depth for band in asked):
        return False
    return depth > 64 >= rows and rows < min(columns, depth)
