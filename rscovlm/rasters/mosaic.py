"""Reading windows of a mosaic: files laid side by side, as a VRT says."""

from __future__ import annotations

import math
import os
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rscovlm.geometry.window import WindowLike
from rscovlm.rasters.errors import RasterError
from rscovlm.rasters.georeference import points_place
from rscovlm.rasters.reader import BandLayout, Level, Place, Reader
from rscovlm.rasters.vrt import Band, Box, VrtDescription, VrtSource

OPEN = 32
"""Sources kept open; each may hold a handle for every level."""
LOOKED_AT = 8
"""Sources that tell which levels a mosaic has."""
BLOCK = 512
PIECE = 2**24
"""Pixels of a source that are read at once."""


class MosaicReader:
    """A mosaic, read by opening each of its sources as a file of its own.

    Pixels are taken from the nearest of the source, as GDAL does unless a VRT says otherwise.

    Args:
        mosaic: What a VRT says.
        name: What messages call it.
        opener: Opens a source; raises `RasterError` for what is no image, and for another VRT.
        crs: Reads the definition of its coordinate system; returns it and notes.
    """

    front_to_back = False

    def __init__(
        self,
        mosaic: VrtDescription,
        *,
        name: str,
        opener: Callable[[Path], Reader],
        crs: Callable[[str], tuple[str | None, tuple[str, ...]]],
    ) -> None:
        self.name = name
        self._mosaic, self._opener = mosaic, opener
        self._readers: OrderedDict[Path, Reader] = OrderedDict()
        self._process = os.getpid()
        bands = mosaic.bands
        dtype = np.result_type(*(band.dtype for band in bands))
        colours = tuple("palette" if band.palette is not None else band.colour for band in bands)
        self.layout = BandLayout(
            colours=("undefined",) * 3 if len(bands) == 3 and colours[1:] == ("undefined",) * 2 else colours,
            dtype=dtype,
            nodata=tuple(None if band.hidden else band.nodata for band in bands),
            palette=bands[0].palette,
            masked=mosaic.mask is not None,
        )
        self.place = _place(mosaic, *crs(mosaic.srs))
        self.notes: tuple[str, ...] = (*mosaic.notes, *self.place.notes)
        for path in self._paths[:LOOKED_AT]:
            self._reader(path)

    @cached_property
    def levels(self) -> Sequence[Level]:
        """The mosaic itself, and halvings of it for which its sources have levels."""
        width, height = self._mosaic.width, self._mosaic.height
        found = [Level(width, height, min(BLOCK, width), min(BLOCK, height))]
        step = max(1, len(self._paths) // LOOKED_AT)
        coarsest = []
        for path in self._paths[::step][:LOOKED_AT]:
            levels = self._reader(path).levels
            coarsest.append(levels[0].width / min(level.width for level in levels))
        for power in range(1, int(math.log2(min(coarsest, default=1)) + 0.05) + 1):
            across, down = math.ceil(width / 2**power), math.ceil(height / 2**power)
            found.append(Level(across, down, min(BLOCK, across), min(BLOCK, down)))
        return tuple(found)

    def read(self, level: int, window: WindowLike, bands: Sequence[int]) -> NDArray[Any]:
        """Return (len(bands), h, w) numbers of a window of a level."""
        return np.stack([self._lay(self._mosaic.bands[band], level, window) for band in bands]).astype(
            self.layout.dtype, copy=False
        )

    def mask(self, level: int, window: WindowLike) -> NDArray[np.bool_] | None:
        """Return (h, w) True where the mosaic's mask says valid."""
        band = self._mosaic.mask
        return None if band is None else np.asarray(self._lay(band, level, window) > 0)

    def blank(self, level: int, window: WindowLike) -> bool:
        """Tell whether no source lies under a window."""
        x1, y1, x2, y2 = self._in_root(level, window)
        for band in self._mosaic.bands:
            for source in band.sources:
                x, y, width, height = source.dst or (0, 0, self._mosaic.width, self._mosaic.height)
                if x < x2 and x1 < x + width and y < y2 and y1 < y + height:
                    return False
        return True

    def close(self) -> None:
        """Close the sources."""
        while self._readers:
            self._readers.popitem()[1].close()

    @cached_property
    def _paths(self) -> list[Path]:
        bands = self._mosaic.bands + ((self._mosaic.mask,) if self._mosaic.mask is not None else ())
        return list(dict.fromkeys(source.path for band in bands for source in band.sources))

    def _reader(self, path: Path) -> Reader:
        """Return a source, opened; the one that was used longest ago is closed for it."""
        if path in self._readers:
            self._readers.move_to_end(path)
            return self._readers[path]
        reader = self._readers[path] = self._opener(path)
        if len(self._readers) > OPEN:
            self._readers.popitem(last=False)[1].close()
        return reader

    def _in_root(self, level: int, window: WindowLike) -> tuple[float, float, float, float]:
        grid = self.levels[level]
        across, down = self._mosaic.width / grid.width, self._mosaic.height / grid.height
        return window[0] * across, window[1] * down, window[2] * across, window[3] * down

    def _lay(self, band: Band, level: int, window: WindowLike) -> NDArray[Any]:
        x1, y1, x2, y2 = window
        grid = self.levels[level]
        out = np.zeros((y2 - y1, x2 - x1), dtype=band.dtype)
        if band.nodata is not None:
            out[:] = _stored(np.array(band.nodata), band.dtype)
        # Centres of the pixels asked for, in pixels of the mosaic.
        xs = (np.arange(x1, x2) + 0.5) * (self._mosaic.width / grid.width)
        ys = (np.arange(y1, y2) + 0.5) * (self._mosaic.height / grid.height)
        for source in band.sources:
            box = source.dst or (0.0, 0.0, float(self._mosaic.width), float(self._mosaic.height))
            columns = np.flatnonzero((xs >= box[0]) & (xs < box[0] + box[2]))
            rows = np.flatnonzero((ys >= box[1]) & (ys < box[1] + box[3]))
            if len(columns) and len(rows):
                self._lay_source(out, source, box, (rows, ys[rows]), (columns, xs[columns]))
        return out

    def _lay_source(
        self,
        out: NDArray[Any],
        source: VrtSource,
        box: Box,
        down: tuple[NDArray[np.intp], NDArray[np.floating[Any]]],
        across: tuple[NDArray[np.intp], NDArray[np.floating[Any]]],
    ) -> None:
        reader = self._reader(source.path)
        if source.band is not None and not 0 <= source.band < len(reader.layout.colours):
            raise RasterError(f"{self.name}: band {source.band + 1} of {source.path.name} does not exist")
        if (
            reader.layout.expanded
            and source.band is not None
            and (source.component is None or source.nodata is not None)
        ):
            raise RasterError(
                f"{self.name}: {source.path.name} is read as the colours of its palette, not as its numbers; write the mosaic "
                "with its colours (gdal_translate -expand rgba), or convert the file"
            )
        root = reader.levels[0]
        src = source.src or (0.0, 0.0, float(root.width), float(root.height))
        step = (across[1][-1] - across[1][0]) / max(1, len(across[1]) - 1) * src[2] / box[2]
        level = _level(reader.levels, step)
        grid = reader.levels[level]
        u = nearest(src[0] + (across[1] - box[0]) * src[2] / box[2], grid.width / root.width)
        v = nearest(src[1] + (down[1] - box[1]) * src[3] / box[3], grid.height / root.height)
        inside_x, inside_y = (u >= 0) & (u < grid.width), (v >= 0) & (v < grid.height)
        u, v, columns, rows = u[inside_x], v[inside_y], across[0][inside_x], down[0][inside_y]
        if not len(u) or not len(v):
            return
        for window, picked, part_rows in gathered(u, v):
            values, valid = _values(reader, level, window, source)
            part, place = _stored(values[picked], out.dtype), np.ix_(rows[part_rows], columns)
            out[place] = part if valid is None else np.where(valid[picked], part, out[place])


def gathered(
    u: NDArray[np.intp], v: NDArray[np.intp]
) -> Iterator[tuple[WindowLike, tuple[NDArray[np.intp], ...], slice]]:
    """Yield windows to read, the pixels of each to pick, and the rows these are, for columns u and rows v of a file.

    Args:
        u: Columns, ascending; may repeat.
        v: Rows, ascending; may repeat. A window spans as many as keep it within `PIECE` pixels.
    """
    left, right = int(u[0]), int(u[-1]) + 1
    most = max(1, PIECE // (right - left))
    start = 0
    while start < len(v):
        stop = max(start + 1, int(np.searchsorted(v, v[start] + most)))
        window = (left, int(v[start]), right, int(v[stop - 1]) + 1)
        yield window, np.ix_(v[start:stop] - window[1], u - left), slice(start, stop)
        start = stop


def nearest(positions: NDArray[np.floating[Any]], scale: float) -> NDArray[np.intp]:
    """Return the pixels that positions, times a scale, lie in."""
    # A position computed a hair below a pixel's edge belongs to that pixel.
    found: NDArray[np.intp] = np.floor(positions * scale + 1e-9).astype(np.intp)
    return found


def _values(
    reader: Reader, level: int, window: WindowLike, source: VrtSource
) -> tuple[NDArray[Any], NDArray[np.bool_] | None]:
    """Return a window of a source's band, changed as the VRT says, and which of it is laid (None: all)."""
    if source.band is None:
        return _valid(reader, level, window).astype(np.uint8) * np.uint8(255), None
    if reader.layout.expanded and source.component is not None:
        return _colour(reader, level, window, source.component), None
    raw = reader.read(level, window, [source.band])[0]
    valid = _valid(reader, level, window) if source.masked else None
    if source.nodata is not None:
        kept = ~np.isnan(raw) if math.isnan(source.nodata) else raw != source.nodata
        valid = kept if valid is None else valid & kept
    if source.component is not None and reader.layout.palette is not None:
        palette = reader.layout.palette
        raw = palette[np.minimum(raw, len(palette) - 1), source.component]
    if source.scale != 1 or source.offset:
        scaled = raw * source.scale + source.offset
        # As GDAL does: what it holds in a float rounds to another byte in one case of a hundred.
        raw = scaled.astype(np.float32) if raw.dtype.itemsize <= 2 or raw.dtype == np.float32 else scaled
    if source.lut is not None:
        raw = np.interp(raw, source.lut[:, 0], source.lut[:, 1])
    return raw, valid


def _colour(reader: Reader, level: int, window: WindowLike, component: int) -> NDArray[Any]:
    """Return red, green, blue or alpha (0 to 3) of a file whose palette is looked up as it is read."""
    if component < len(reader.layout.colours):
        return np.asarray(reader.read(level, window, [component])[0])
    return np.full((window[3] - window[1], window[2] - window[0]), 255, np.uint8)


def _valid(reader: Reader, level: int, window: WindowLike) -> NDArray[np.bool_]:
    """Return where a file says that its pixels are valid: by a mask, an alpha band, or no-data."""
    mask = reader.mask(level, window) if reader.layout.masked else None
    if mask is not None:
        return mask
    if "alpha" in reader.layout.colours:
        return np.asarray(reader.read(level, window, [reader.layout.colours.index("alpha")])[0] > 0)
    nodata = reader.layout.nodata[0] if reader.layout.nodata else None
    if nodata is not None:
        return np.asarray(reader.read(level, window, [0])[0] != nodata)
    return np.ones((window[3] - window[1], window[2] - window[0]), dtype=bool)


def _level(levels: Sequence[Level], step: float) -> int:
    """Return the coarsest level that is no coarser than a step in pixels of the file."""
    fine = [k for k, level in enumerate(levels) if levels[0].width / level.width <= max(step, 1) * 1.02]
    return max(fine, key=lambda k: levels[0].width / levels[k].width, default=0)


def _stored(values: NDArray[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Return numbers as a type, rounded and clipped to it as GDAL does."""
    if values.dtype == dtype or dtype.kind in "fc":
        return values.astype(dtype, copy=False)
    if values.dtype.kind == "c":
        values = values.real
    if values.dtype.kind == "f":
        values = np.nan_to_num(np.floor(values + 0.5), posinf=np.inf, neginf=-np.inf)
    low, high = np.iinfo(dtype).min, np.iinfo(dtype).max
    if values.dtype.kind in "iu":
        low, high = max(low, np.iinfo(values.dtype).min), min(high, np.iinfo(values.dtype).max)
    stored: NDArray[Any] = np.clip(values, low, high).astype(dtype)
    return stored


def _place(mosaic: VrtDescription, crs: str | None, notes: tuple[str, ...]) -> Place:
    if mosaic.transform is not None:
        return Place(mosaic.transform, crs, notes)
    if len(mosaic.points) >= 3:
        fitted = points_place(mosaic.points, crs)
        if fitted is not None:
            return replace(fitted, notes=(*notes, *fitted.notes))
    return Place(None, crs, notes)
