"""Reading windows through rasterio (GDAL): every format, block by block."""

from __future__ import annotations

import io
import itertools
import math
import os
import struct
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rscovlm.geometry.window import WindowLike
from rscovlm.rasters.errors import RasterError
from rscovlm.rasters.formats import FORMATS, NOT_TURNED, first_of
from rscovlm.rasters.gdal_errors import translated
from rscovlm.rasters.gdal_facts import (
    dtype_of,
    grid_place,
    layout_of,
    level_of,
    names_overviews,
    overview_count,
    place_of,
)
from rscovlm.rasters.georeference import beside, world_file
from rscovlm.rasters.limits import PixelLimits, block_too_large
from rscovlm.rasters.quiet import hushed, unwarned
from rscovlm.rasters.reader import Level, Place
from rscovlm.rasters.stated_place import stated_place
from rscovlm.rasters.tiff import check_deflated
from rscovlm.rasters.tiff_tags import PAGES, hidden_facts, orientation_of

DRIVERS = {name: one.driver for name, one in FORMATS.items() if one.driver}
"""Names of the formats read here, and of the one driver that may open each."""

# Opening a file reads that file. GDAL believes that nothing lies beside it, reads no side file of its own (PAM), and
# leaves the georeferencing alone, whose texts may name files and addresses: `stated_place` reads it. What is left is
# the name of an overview file, which GDAL follows when it is first asked for overviews: `_opened` never asks then.
OPTIONS: dict[str, Any] = {
    "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",
    "GDAL_PAM_ENABLED": "NO",
    "GDAL_GEOREF_SOURCES": "NONE",
}
ELSEWHERE = "its metadata name another file for its overviews, which is not opened; gdaladdo makes overviews inside it"
CACHE = 96
"""Megabytes of decoded blocks that GDAL may keep."""
ROWS = 96 * 2**20
"""Bytes of rows kept of a PNG or JPEG."""


def available() -> bool:
    """Tell whether rasterio is installed."""
    try:
        import rasterio  # noqa: F401
    except ImportError:
        return False
    return True


class GdalReader:
    """A file, or a file's bytes, opened with one named GDAL driver.

    Args:
        source: Path or bytes of the file.
        kind: Format found in the first bytes, a key of `DRIVERS`.
        name: What messages call it.
        limits: Sizes to refuse.
    """

    reads_overviews_beside = True

    def __init__(self, source: Path | bytes, kind: str, *, name: str, limits: PixelLimits) -> None:
        from rasterio.io import MemoryFile

        self.name = name
        self.front_to_back = kind in ("png", "jpeg")
        self._source, self._kind = source, kind
        self._memory = MemoryFile(source) if isinstance(source, bytes) else None
        self._open_files: dict[tuple[str, int], Any] = {}
        self._process, self._cache = os.getpid(), CACHE
        self._kept: dict[tuple[int, ...], tuple[int, NDArray[Any]]] = {}
        self._inflated: set[tuple[int, int]] = set()
        with self._environment():
            self._check(limits)
            self.layout = layout_of(self._file)
            self._mask_sizes: set[tuple[int, int]] = set()
            if kind == "tiff" and ("alpha" in self.layout.colours or self.layout.masked):
                premultiplied, self._mask_sizes = hidden_facts(source)
                self.layout = replace(self.layout, premultiplied=premultiplied)
            self.place = self._placed()
            self.orientation = int(self._file.tags().get("EXIF_Orientation", "1"))
            if kind == "tiff" and self.place.to_world is None:  # GDAL does not tell that of a TIFF
                self.orientation = orientation_of(source)
            self.notes: tuple[str, ...] = (*self.place.notes, *self._more())

    @property
    def turns_inks(self) -> bool:
        """Whether GDAL turns inks (CMYK) into colours, and with that loses the opacity that may stand beside them."""
        with self._environment():
            return str(self._file.tags(ns="IMAGE_STRUCTURE").get("SOURCE_COLOR_SPACE")) == "CMYK"

    @cached_property
    def levels(self) -> Sequence[Level]:
        """Levels of detail: the file's own overviews and those of an .ovr file beside it."""
        with self._environment():
            return tuple(level_of(file) for file in self._level_files)

    def read(self, level: int, window: WindowLike, bands: Sequence[int]) -> NDArray[Any]:
        """Return (len(bands), h, w) stored numbers of a window of a level."""
        x1, y1, x2, y2 = window
        each = len(bands) * self.layout.dtype.itemsize
        with self._environment():
            file = self._level_files[level]
            self._check_deflated(file, window)
            if self.front_to_back and not level and (y2 - y1) * file.width * each <= ROWS:
                return self._rows(file, y1, y2, tuple(bands))[:, :, x1:x2]
            out: NDArray[Any] = file.read([band + 1 for band in bands], window=((y1, y2), (x1, x2)))
        return out

    def _rows(self, file: Any, y1: int, y2: int, bands: tuple[int, ...]) -> NDArray[Any]:
        """Return whole rows of a file that is decoded from its beginning, keeping them.

        Every step back begins anew, so that the tiles of a large PNG, read one by one, would each decode all above
        them: rows that were just decoded are taken from what is kept, and only those below are read.
        """
        first, kept = self._kept.pop(bands, (0, np.empty((len(bands), 0, file.width), self.layout.dtype)))
        last = first + kept.shape[1]
        if not first <= y1 <= y2 <= last:
            rows = np.empty((len(bands), y2 - y1, file.width), self.layout.dtype)
            known = last - y1 if first <= y1 < last < y2 else 0
            rows[:, :known] = kept[:, kept.shape[1] - known :]
            first, kept = y1, rows  # lets go of the rows above before more are decoded
            rows[:, known:] = file.read([band + 1 for band in bands], window=((y1 + known, y2), (0, file.width)))
        self._kept = {bands: (first, kept)}
        return kept[:, y1 - first : y2 - first]

    def mask(self, level: int, window: WindowLike) -> NDArray[np.bool_] | None:
        """Return (h, w) True where the file's own mask says valid."""
        x1, y1, x2, y2 = window
        with self._environment():
            file = self._level_files[level]
            self._check_deflated(file, window)
            values = file.read_masks(1, window=((y1, y2), (x1, x2)))
        return np.asarray(values > 0)

    def blank(self, level: int, window: WindowLike) -> bool:
        """Tell whether all blocks under a window are holes of a sparse TIFF."""
        if level or self._stored is None:
            return False
        x1, y1, x2, y2 = window
        root = self.levels[0]
        rows = slice(y1 // root.block_height, math.ceil(y2 / root.block_height))
        columns = slice(x1 // root.block_width, math.ceil(x2 / root.block_width))
        return not self._stored[:, rows, columns].any()

    def close(self) -> None:
        """Close the file and its levels."""
        self._kept = {}
        for file in self._open_files.values():
            file.close()
        if self._memory is not None:
            self._memory.close()

    @property
    def _file(self) -> Any:
        return self._open(self._path)

    @property
    def _path(self) -> Path | str:
        if isinstance(self._source, Path):
            return self._source.absolute()
        return str(getattr(self._memory, "name", ""))

    @property
    def _level_files(self) -> list[Any]:
        """Files of all levels; opened anew in a forked process, which would share its parent's place in the file."""
        if self._process != os.getpid():
            self._process, self._open_files = os.getpid(), {}
            self.__dict__.pop("_opened", None)
        return self._opened

    @cached_property
    def _opened(self) -> list[Any]:
        files = [self._file]
        files += [self._open(self._path, level=k) for k in range(overview_count(self._file))]
        masks = self._mask_sizes
        if len(files) == 1 and isinstance(self._source, Path):
            other = beside(self._source.absolute(), f"{self._source.name}.ovr")
            if other is not None:
                first = self._open(other, kind="tiff")
                files += [first, *(self._open(other, level=k, kind="tiff") for k in range(overview_count(first)))]
                masks = hidden_facts(other)[1] if self.layout.masked else set()
        # A level that is not a smaller picture of the same bands, or has no mask where the file has one, is of no use.
        fitting = [f for f in files[1:] if f.width < self._file.width and f.count >= self._file.count]
        if self.layout.masked and self._kind == "tiff":  # GDAL says of every level that it has one
            fitting = [f for f in fitting if (f.width, f.height) in masks]
        return [self._file, *fitting]

    def _placed(self) -> Place:
        """Return where the file lies, from what `stated_place` lets through."""
        import rasterio
        from rasterio.errors import NotGeoreferencedWarning
        from rasterio.io import MemoryFile

        path = self._source if isinstance(self._source, Path) else None
        stated = stated_place(self._source, self._kind)
        if stated.stub is not None:
            try:
                with (
                    translated("where it lies cannot be read", kind=RasterError),
                    rasterio.Env(GDAL_GEOREF_SOURCES="INTERNAL"),
                    MemoryFile(stated.stub) as memory,
                    unwarned(NotGeoreferencedWarning),
                    memory.open(driver="GTiff", sharing=False) as file,
                ):
                    place = place_of(file, path)
            except RasterError as error:  # its pixels can be read all the same
                place = Place(None, None, (str(error),))
            return replace(place, notes=(*stated.notes, *place.notes))
        if stated.grid is not None:
            return grid_place(stated.grid)
        numbers = world_file(path) if path is not None and stated.transform is None else None
        return Place(stated.transform or numbers)

    def _check_deflated(self, file: Any, window: WindowLike) -> None:
        """Refuse blocks of bytes that came from elsewhere (an upload) whose pixels GDAL would not fill to the end."""
        if self._kind != "tiff" or not isinstance(self._source, bytes):
            return
        try:
            for page in self._directories:
                if (page.imagewidth, page.imagelength) == (file.width, file.height):
                    check_deflated(page, self._source, window, self._inflated)
        except (ValueError, KeyError, IndexError, TypeError, OSError, struct.error, zlib.error) as error:
            # What tifffile raises on bytes of strangers.
            raise RasterError(f"{self.name}: cannot be read as TIFF ({error}); write the file again") from error

    @cached_property
    def _directories(self) -> list[Any]:
        """Directories of a TIFF given as bytes."""
        import tifffile

        with hushed("tifffile"):
            return list(itertools.islice(tifffile.TiffFile(io.BytesIO(self._source)).pages, PAGES))  # type: ignore[arg-type]

    @cached_property
    def _stored(self) -> NDArray[np.bool_] | None:
        """(planes, rows, columns) of blocks: which hold anything; None where all do or it is not known."""
        if self._kind != "tiff":
            return None
        import tifffile

        try:
            source = self._source if isinstance(self._source, Path) else io.BytesIO(self._source)
            with hushed("tifffile"), tifffile.TiffFile(source) as tiff:
                page: Any = tiff.pages[0]
                counts = np.asarray(page.databytecounts) > 0
        except (tifffile.TiffFileError, ValueError, KeyError, IndexError, OSError, struct.error):
            # What tifffile raises on bytes of strangers; GDAL then says what is wrong.
            return None
        root = self.levels[0]
        rows, columns = math.ceil(root.height / root.block_height), math.ceil(root.width / root.block_width)
        if counts.all() or len(counts) % (rows * columns):
            return None
        return counts.reshape(-1, rows, columns)

    def _open(self, path: Path | str, *, level: int | None = None, kind: str | None = None) -> Any:
        import rasterio
        from rasterio.errors import NotGeoreferencedWarning

        key = (str(path), -1 if level is None else level)
        if key not in self._open_files:
            options: dict[str, Any] = {} if level is None else {"overview_level": level}
            if (kind or self._kind) == "tiff":  # the blocks under a window are decoded on all cores
                options["NUM_THREADS"] = "ALL_CPUS"
            with unwarned(NotGeoreferencedWarning):
                self._open_files[key] = rasterio.open(
                    path, driver=DRIVERS[kind or self._kind], sharing=False, **options
                )
        return self._open_files[key]

    def _check(self, limits: PixelLimits) -> None:
        width, height = self._file.width, self._file.height
        if self.front_to_back and width * height > limits.sequential:
            raise RasterError(
                f"{self.name}: claims {width}x{height} pixels, above the limit of {limits.sequential:,} for a "
                f"{self._kind.upper()}, which is decoded from its beginning; if you trust the file, set "
                f"limits=PixelLimits(sequential={width * height}) or convert it to a tiled GeoTIFF"
            )
        block_height, block_width = self._file.block_shapes[0]
        together = self._file.count if str(self._file.tags(ns="IMAGE_STRUCTURE").get("INTERLEAVE")) == "PIXEL" else 1
        if block_width * block_height * together > limits.block:
            raise RasterError(block_too_large(self.name, block_width, block_height, together, limits.block))
        each = dtype_of(self._file).itemsize
        # A block that does not fit the cache would be decoded for every piece of it that is read.
        self._cache = max(CACHE, 2 + block_width * block_height * together * each * 5 // 4 // 2**20)

    def _more(self) -> Iterator[str]:
        """Say what else the file holds."""
        if names_overviews(self._file):
            yield ELSEWHERE
        pictures = len(self._file.subdatasets)
        if pictures > 1:
            yield first_of(pictures)
        if self.orientation != 1:
            yield NOT_TURNED

    @contextmanager
    def _environment(self) -> Iterator[None]:
        """Run GDAL with our options; its errors become ours, naming the file."""
        import rasterio

        what = f"{self.name}: cannot be read as {self._kind.upper()}; is it whole?"
        path = self._path
        # What lies in memory has a path that GDAL made up, of which it names the whole or the end.
        named = {path: self.name, path.rpartition("/")[2]: self.name} if isinstance(path, str) and path else {}
        with translated(what, kind=RasterError, named=named), rasterio.Env(**OPTIONS, GDAL_CACHEMAX=self._cache):
            yield
