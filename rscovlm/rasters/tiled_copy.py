"""A tiled copy of a file that is decoded from its beginning: written once, of which crops are then read block by block."""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rscovlm.files import EDGE, check_output, mark, replacing
from rscovlm.geometry.window import WindowLike
from rscovlm.rasters.cache import file_key
from rscovlm.rasters.errors import RasterError
from rscovlm.rasters.reader import Level, Reader
from rscovlm.rasters.user_cache import make_room

_LOGGER = logging.getLogger(__name__)

TILED = "tiled-copy"
"""Kind of the file."""

ENDING = ".tiles.tif"

SIDE = 256
"""Pixels of a side of a tile: as many rows of the file are in memory while the copy is written."""

BOUND = 16 * 2**30
"""Bytes of all copies in the user's folder; those that were not used for longest are removed."""

ADVICE = (
    "every crop decodes it from its beginning; tiled=True (--tiled) writes a tiled copy once and reads crops from that"
)


class TiledCopy:
    """Reads a file through a tiled GeoTIFF of its stored numbers, which is written when something is first read.

    The copy holds every level of the file as its reader gives it, so views are equal to those without. It counts for the
    file with the same path, size, time, first and last bytes. Where it cannot be written, on a full disk for instance, the log
    says so and the file is read as before.

    Args:
        reader: Reads the file.
        path: The file.
        folder: Where the copy is kept; made where it does not exist.
        opener: Opens the copy.
        bounded: Whether old copies in the folder are removed to make room.
    """

    front_to_back = True
    """The first read decodes the file from its beginning; overviews are made as without a copy, so that they are equal."""

    def __init__(
        self, reader: Reader, path: Path, folder: Path, *, opener: Callable[[Path], Reader], bounded: bool
    ) -> None:
        self._original, self._path, self._folder, self._opener = reader, path, folder, opener
        self._bounded = bounded
        self._source: Reader | None = None
        self.name, self.layout, self.place = reader.name, reader.layout, reader.place
        self.orientation = getattr(reader, "orientation", 1)
        self.notes = (*reader.notes, f"crops are read from a tiled copy kept in {folder}")
        self.levels: Sequence[Level] = [
            Level(one.width, one.height, min(SIDE, one.width), min(SIDE, one.height)) for one in reader.levels
        ]
        self._masked = reader.layout.masked
        self._bands = len(reader.layout.colours)

    def read(self, level: int, window: WindowLike, bands: Sequence[int]) -> NDArray[Any]:
        """Return (len(bands), h, w) stored numbers of a window of a level."""
        return self._reader().read(level, window, bands)

    def mask(self, level: int, window: WindowLike) -> NDArray[np.bool_] | None:
        """Return (h, w) True where the file's own mask says valid; None where it holds no mask."""
        source = self._reader()
        if source is self._original or not self._masked:
            return self._original.mask(level, window)
        valid: NDArray[np.bool_] = source.read(level, window, [self._bands])[0] > 0
        return valid

    def blank(self, level: int, window: WindowLike) -> bool:
        """Return False: such files have no holes."""
        return False

    def close(self) -> None:
        """Close the file and its copy."""
        self._original.close()
        if self._source is not None:
            self._source.close()

    @property
    def file(self) -> Path:
        """Where the copy is, or will be."""
        name = hashlib.sha256(str(self._path.absolute()).encode()).hexdigest()[:16]
        return self._folder / f"{self._path.stem}.{name}{ENDING}"

    def _reader(self) -> Reader:
        """Return what is read: the copy, written where there is none that fits the file as it is now."""
        if self._source is None:
            self._source = self._stored() or self._written() or self._original
        return self._source

    def _stored(self) -> Reader | None:
        """Return the stored copy, or None if there is none that fits the file as it is now."""
        try:
            with self.file.open("rb") as file:
                if json.dumps(self._key()).encode() not in file.read(EDGE):
                    return None
            copy = self._opener(self.file)
            sizes = [(level.width, level.height) for level in copy.levels]
            same = sizes == [(level.width, level.height) for level in self.levels]
            if not same or len(copy.layout.colours) != self._bands + self._masked:
                copy.close()
                return None
            if self._bounded:
                os.utime(self.file)  # used last now
            return copy
        except (OSError, RasterError):  # there is none, or it is damaged: it is made anew
            return None

    def _written(self) -> Reader | None:
        """Write the copy, strip by strip, and return it; None where that is not possible."""
        file = self.file
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            check_output(file, TILED)
            root = self.levels[0]
            _LOGGER.info("%s: writing a tiled copy of %d x %d pixels to %s", self.name, root.width, root.height, file)
            with replacing(file, TILED) as part:
                self._write(part)
            if self._bounded:
                make_room(file.parent, ENDING, keep=file, bound=BOUND)
        except RasterError:  # the file itself is damaged
            raise
        except (OSError, ValueError) as error:
            _LOGGER.warning("no tiled copy of %s is kept: %s", self.name, error)
            return None
        return self._stored()

    def _write(self, part: Path) -> None:
        import tifffile

        bands = self._bands + self._masked
        how: dict[str, Any] = {
            "dtype": self._original.layout.dtype,
            "tile": (SIDE, SIDE),
            "photometric": "minisblack",
            "planarconfig": "contig" if bands > 1 else None,
            "compression": "zlib",
            "compressionargs": {"level": 1},
            "predictor": self._original.layout.dtype.kind in "iu",
            "metadata": None,
            "buffersize": 2**24,
        }
        with tifffile.TiffWriter(part, bigtiff=True) as tiff:
            for number, level in enumerate(self.levels):
                shape = (level.height, level.width, bands)[: 3 if bands > 1 else 2]
                # The description of the first page holds the mark and the key, near the beginning of the file.
                about = {"subfiletype": 1} if number else {"description": json.dumps(self._key())}
                tiff.write(self._tiles(number), shape=shape, **how, **about)

    def _tiles(self, number: int) -> Iterator[NDArray[Any]]:
        """Yield the tiles of a level row by row, (SIDE, SIDE, bands), filled up with zeros at the right and the bottom."""
        level, bands = self.levels[number], range(self._bands)
        for top in range(0, level.height, SIDE):
            window = (0, top, level.width, min(top + SIDE, level.height))
            strip = self._original.read(number, window, bands)
            if self._masked:
                valid = self._original.mask(number, window)
                strip = np.concatenate([strip, np.asarray(valid, strip.dtype)[None]])
            for left in range(0, level.width, SIDE):
                piece = strip[:, :, left : left + SIDE].transpose(1, 2, 0)
                tile = np.zeros((SIDE, SIDE, len(strip)), strip.dtype)
                tile[: piece.shape[0], : piece.shape[1]] = piece
                yield tile if len(strip) > 1 else tile[:, :, 0]

    def _key(self) -> dict[str, Any]:
        # What the file holds: self.layout may have been told otherwise since (opaque, nodata).
        plain = replace(self._original.layout, palette=None)
        sizes = [(level.width, level.height) for level in self.levels]
        about = f"{type(self._original).__name__} {plain} {sizes}"
        return {"mark": mark(TILED), **file_key(self._path), "read": hashlib.sha256(about.encode()).hexdigest(), "v": 1}
