"""Reading windows of an array in memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rscovlm.rasters.errors import RasterError
from rscovlm.rasters.reader import Layout, Level, Place, Window

COLOURS = {1: ("gray",), 2: ("gray", "alpha"), 3: ("red", "green", "blue"), 4: ("red", "green", "blue", "alpha")}


class ArrayReader:
    """An (h, w) or (h, w, bands) array.

    Two bands are grey and alpha and four are colour and alpha when the array holds bytes; more, or other
    numbers, are bands without a stated colour (the first three are shown unless a choice is made).
    """

    front_to_back = False

    def __init__(self, array: NDArray[Any], *, name: str = "array", nodata: float | None = None) -> None:
        if array.ndim not in (2, 3) or array.size == 0:
            raise RasterError(f"an array of shape {array.shape} is not an image; give (height, width[, bands])")
        if array.ndim == 3 and array.shape[2] > 64 and array.shape[0] <= 64:
            raise RasterError(
                f"an array of shape {array.shape} has its bands first; give np.moveaxis(array, 0, -1) instead"
            )
        if array.dtype.kind not in "buifc":
            raise RasterError(f"an array of {array.dtype} is not an image; give numbers")
        self._array = array[..., None] if array.ndim == 2 else array
        if array.dtype.kind == "b":
            self._array = self._array.astype(np.uint8) * np.uint8(255)
        height, width, bands = self._array.shape
        colours = COLOURS.get(bands) if self._array.dtype == np.uint8 or bands in (1, 3) else None
        self.name = name
        self.layout = Layout(
            colours=colours or ("undefined",) * bands, dtype=self._array.dtype, nodata=(nodata,) * bands
        )
        self.place = Place()
        self.notes: tuple[str, ...] = ()
        self.levels: Sequence[Level] = (Level(width, height, width, height),)

    def read(self, level: int, window: Window, bands: Sequence[int]) -> NDArray[Any]:
        """Return (len(bands), h, w) numbers of a window."""
        x1, y1, x2, y2 = window
        part = self._array[y1:y2, x1:x2]
        return np.stack([part[..., band] for band in bands])

    def mask(self, level: int, window: Window) -> NDArray[np.bool_] | None:
        """Return None: an array has no mask of its own."""
        return None

    def blank(self, level: int, window: Window) -> bool:
        """Return False: an array has no holes."""
        return False

    def close(self) -> None:
        """Do nothing."""
