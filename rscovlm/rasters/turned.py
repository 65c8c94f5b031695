"""Pictures that a camera held sideways took, turned as viewers show them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from rscovlm.geometry.window import WindowLike
from rscovlm.rasters.formats import NOT_TURNED
from rscovlm.rasters.reader import Level, Reader

Orientation = Literal["shown", "stored"]
"""Which pixels coordinates count: those that viewers show, turned by the EXIF orientation, or those that are stored."""

# By EXIF orientation: rows and columns change places, and then rows and columns are reversed.
_TURNS = {
    2: (False, False, True),
    3: (False, True, True),
    4: (False, True, False),
    5: (True, False, False),
    6: (True, False, True),
    7: (True, True, True),
    8: (True, True, False),
}


def shown_by(reader: Reader) -> Reader:
    """Return a reader of what viewers show of a file; the same one where its pixels are stored so.

    A file that lies on a map is left as it is, since its coordinates count the stored pixels.
    """
    orientation = getattr(reader, "orientation", 1)
    if orientation not in _TURNS or reader.place.to_world is not None:
        return reader
    return TurnedReader(reader, orientation)


class TurnedReader:
    """Reads windows of the turned picture from those of the stored one.

    Args:
        reader: Reads the stored pixels.
        orientation: EXIF's number, 2 to 8.
    """

    def __init__(self, reader: Reader, orientation: int) -> None:
        self._reader = reader
        self._swapped, self._rows, self._columns = _TURNS[orientation]
        self.name, self.layout, self.place = reader.name, reader.layout, reader.place
        self.front_to_back = reader.front_to_back
        self.notes = tuple(note for note in reader.notes if note != NOT_TURNED)

    @property
    def levels(self) -> Sequence[Level]:
        """Levels of the turned picture."""
        if not self._swapped:
            return self._reader.levels
        return [
            Level(level.height, level.width, level.block_height, level.block_width) for level in self._reader.levels
        ]

    def read(self, level: int, window: WindowLike, bands: Sequence[int]) -> NDArray[Any]:
        """Return (len(bands), h, w) numbers of a window."""
        return self._turned(self._reader.read(level, self._stored(level, window), bands))

    def mask(self, level: int, window: WindowLike) -> NDArray[np.bool_] | None:
        """Return (h, w) True where the file's own mask says valid; None where it holds no mask."""
        mask = self._reader.mask(level, self._stored(level, window))
        return None if mask is None else self._turned(mask)

    def blank(self, level: int, window: WindowLike) -> bool:
        """Tell whether a window is known to hold nothing at all."""
        return self._reader.blank(level, self._stored(level, window))

    def close(self) -> None:
        """Close the file."""
        self._reader.close()

    def _stored(self, level: int, window: WindowLike) -> WindowLike:
        x1, y1, x2, y2 = window
        shown = self.levels[level]
        if self._columns:
            x1, x2 = shown.width - x2, shown.width - x1
        if self._rows:
            y1, y2 = shown.height - y2, shown.height - y1
        return (y1, x1, y2, x2) if self._swapped else (x1, y1, x2, y2)

    def _turned(self, array: NDArray[Any]) -> NDArray[Any]:
        if self._swapped:
            array = array.swapaxes(-1, -2)
        if self._rows:
            array = array[..., ::-1, :]
        return np.ascontiguousarray(array[..., ::-1] if self._columns else array)
