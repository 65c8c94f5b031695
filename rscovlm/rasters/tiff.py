"""Reading windows of a TIFF without GDAL: tags through tifffile, blocks decoded here."""

from __future__ import annotations

import io
import itertools
import math
import os
import struct
import zlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from rscovlm.geometry.window import WindowLike
from rscovlm.rasters.errors import RasterError
from rscovlm.rasters.formats import NOT_TURNED, first_of
from rscovlm.rasters.geokeys import tiff_place
from rscovlm.rasters.georeference import world_file
from rscovlm.rasters.limits import PixelLimits, block_too_large
from rscovlm.rasters.quiet import hushed
from rscovlm.rasters.reader import Level, Place
from rscovlm.rasters.tiff_blocks import COMPRESSIONS, DEFLATE, JPEG, decode, packed
from rscovlm.rasters.tiff_tags import ORIENTATION, PAGES, PHOTOMETRIC, layout_of, nodata_of

LARGE_BLOCK = 2**21
"""Pixels above which a block is kept once decoded."""

MOST_CORES = 16
"""Blocks that are decoded at a time, at most: each takes its pixels' memory."""

MASKED = "its mask is not used; install rscovlm[geo] for that"


class Unsupported(Exception):
    """A TIFF that is stored in a way not read here; Pillow may."""

    def __init__(
        self,
        why: str,
        place: Place | None = None,
        nodata: float | None = None,
        *,
        opaque: bool = False,
        notes: tuple[str, ...] = (),
    ) -> None:
        super().__init__(why)
        self.place, self.nodata, self.opaque, self.notes = place, nodata, opaque, notes


class TiffReader:
    """A TIFF in strips or tiles of 8 to 128 bits, with its overviews and masks.

    Uncompressed, Deflate and JPEG are unpacked here; LZW, PackBits, LZMA and Zstandard through Pillow's libtiff.

    Args:
        source: The file, opened; closed with the reader.
        name: What messages call it.
        limits: Sizes to refuse.
        path: Its path where it has one, for a world file beside it.

    Raises:
        Unsupported: It is stored in another way.
        RasterError: It is damaged, or a block is above the limit.
    """

    front_to_back = False

    def __init__(self, source: BinaryIO, *, name: str, limits: PixelLimits, path: Path | None = None) -> None:
        self.name = name
        self._file = source
        self._kept: tuple[int, int, NDArray[Any]] | None = None
        with self._errors():
            import tifffile

            pages = list(itertools.islice(tifffile.TiffFile(source).pages, PAGES))
            main: Any = pages[0]
            try:
                _check(main, name, limits)
            except Unsupported as why:
                known = int(main.photometric) in PHOTOMETRIC
                raise Unsupported(
                    str(why),
                    tiff_place(main.tags),
                    nodata_of(main),
                    opaque=known and "alpha" not in layout_of(main, False).colours,
                    notes=tuple(_more(main, pages)) + (MASKED,) * any(page.is_mask for page in pages),
                ) from why
            reduced = [page for page in pages[1:] if page.is_reduced and not page.is_mask and _like(page, main)]
            masks = [page for page in pages[1:] if page.is_mask]
            if _mask_of(main, masks) is not None:  # a level without a mask would show what the mask hides
                reduced = [page for page in reduced if _mask_of(page, masks) is not None]
            self._pages = [main, *sorted(reduced, key=lambda page: -int(page.imagewidth))]
            self._masks = [_mask_of(page, masks) for page in self._pages]
            self.levels: Sequence[Level] = tuple(_level(page) for page in self._pages)
            self.layout = layout_of(main, self._masks[0] is not None)
            self.place = tiff_place(main.tags)
        if self.place.to_world is None and path is not None:
            self.place = Place(world_file(path), self.place.crs, self.place.notes)
        self.orientation = int(main.tags.valueof(ORIENTATION, 1))
        self.notes: tuple[str, ...] = (*self.place.notes, *_more(main, pages))

    def read(self, level: int, window: WindowLike, bands: Sequence[int]) -> NDArray[Any]:
        """Return (len(bands), h, w) stored numbers of a window, decoding only the blocks under it."""
        with self._errors():
            return self._read(self._pages[level], window, bands)

    def mask(self, level: int, window: WindowLike) -> NDArray[np.bool_] | None:
        """Return (h, w) True where the file's own mask says valid."""
        page = self._masks[level]
        with self._errors():
            return None if page is None else np.asarray(self._read(page, window, [0])[0] > 0)

    def blank(self, level: int, window: WindowLike) -> bool:
        """Tell whether all blocks under a window are holes of a sparse file."""
        page, grid = self._pages[level], self.levels[level]
        with self._errors():
            return not any(page.databytecounts[index] for index, _, _, _ in _blocks(page, grid, window))

    def close(self) -> None:
        """Close the file."""
        self._file.close()
        self._kept = None

    def _read(self, page: Any, window: WindowLike, bands: Sequence[int]) -> NDArray[Any]:
        x1, y1, x2, y2 = window
        grid = _level(page)
        out = np.zeros((len(bands), y2 - y1, x2 - x1), dtype=page.dtype)
        fill = nodata_of(page)
        if fill is not None and _can_hold(out.dtype, fill):
            out[:] = fill
        separate = page.planarconfig == 2
        shown = [place for place in _blocks(page, grid, window) if page.databytecounts[place[0]]]
        shown = [place for place in shown if not separate or place[1] in bands]
        blocks = self._decoded(page, grid, [(index, top) for index, _, _, top in shown])
        for (_, plane, left, top), block in zip(shown, blocks, strict=True):
            wanted = [k for k, band in enumerate(bands) if not separate or band == plane]
            bx, by = min(left + block.shape[1], x2), min(top + block.shape[0], y2)
            if bx <= max(left, x1) or by <= max(top, y1):
                continue
            part = block[max(y1 - top, 0) : by - top, max(x1 - left, 0) : bx - left]
            for k in wanted:
                out[k, max(top - y1, 0) : by - y1, max(left - x1, 0) : bx - x1] = part[..., 0 if separate else bands[k]]
        return out

    def _decoded(self, page: Any, grid: Level, places: Sequence[tuple[int, int]]) -> Iterator[NDArray[Any]]:
        """Yield the blocks of (number, top) in order, as many decoded at a time as there are cores."""
        cores = min(
            len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1, MOST_CORES
        )
        if cores == 1 or len(places) < 4 or grid.block_width * grid.block_height > LARGE_BLOCK:
            yield from (self._kept_block(page, grid, index, top) for index, top in places)
            return
        with ThreadPoolExecutor(cores) as pool:
            for first in range(0, len(places), cores):
                some = places[first : first + cores]
                yield from pool.map(lambda place: self._block(page, grid, *place), some)

    def _kept_block(self, page: Any, grid: Level, index: int, top: int) -> NDArray[Any]:
        """Decode a block; one that is read in several pieces is kept until another one is."""
        if self._kept is not None and self._kept[:2] == (page.offset, index):
            return self._kept[2]
        block = self._block(page, grid, index, top)
        if block.shape[0] * block.shape[1] > LARGE_BLOCK:
            self._kept = (page.offset, index, block)
        return block

    def _block(self, page: Any, grid: Level, index: int, top: int) -> NDArray[Any]:
        # A tile may be larger than the image and is stored whole; the last strip is not.
        rows = int(page.tilelength) if page.is_tiled else min(grid.block_height, grid.height - top)
        width = int(page.tilewidth) if page.is_tiled else grid.width
        samples = 1 if page.planarconfig == 2 else page.samplesperpixel
        stored = int(page.databytecounts[index])
        if stored > 2 * rows * width * samples * page.dtype.itemsize + 65536:
            raise ValueError(f"block {index} claims {stored:,} bytes, more than its pixels")
        data = self._bytes(int(page.dataoffsets[index]), stored)
        if len(data) < stored:
            raise ValueError(f"it ends inside block {index}")
        return decode(data, page, (rows, width, samples), index)

    def _bytes(self, offset: int, count: int) -> bytes:
        if isinstance(self._file, io.BytesIO):
            return bytes(self._file.getbuffer()[offset : offset + count])
        return os.pread(
            self._file.fileno(), count, offset
        )  # leaves the place in the file, which forked processes share

    @contextmanager
    def _errors(self) -> Iterator[None]:
        """Turn what a damaged file makes tifffile and the decoders raise into one error that names the file."""
        import tifffile

        try:
            with hushed("tifffile"):
                yield
        except RasterError:
            raise
        except (
            tifffile.TiffFileError,
            ValueError,
            KeyError,
            IndexError,
            TypeError,
            OSError,
            OverflowError,
            SyntaxError,
            MemoryError,
            struct.error,
            zlib.error,
        ) as error:
            # What tifffile and the decoders raise on bytes of strangers.
            raise RasterError(f"{self.name}: cannot be read as TIFF ({error}); is it whole?") from error


def check_deflated(page: Any, data: bytes, window: WindowLike, known: set[tuple[int, int]]) -> None:
    """Refuse Deflate blocks under a window that hold more than their pixels.

    libdeflate, through which GDAL inflates, stops before the first copy that would not fit: up to 257 bytes at the end
    of such a block are then whatever this process had in memory there.

    Args:
        page: The directory (tifffile's page) the blocks belong to.
        data: The whole file.
        window: Pixels of that directory's picture.
        known: Blocks found good before, by directory and number; those found now are added.

    Raises:
        ValueError: A block inflates to more bytes than its pixels take.
    """
    if page.compression not in DEFLATE:
        return
    grid = _level(page)
    samples = 1 if page.planarconfig == 2 else int(page.samplesperpixel)
    width = int(page.tilewidth) if page.is_tiled else grid.width
    row = (width * samples * int(page.bitspersample) + 7) // 8
    for index, _, _, top in _blocks(page, grid, window):
        rows = int(page.tilelength) if page.is_tiled else min(grid.block_height, grid.height - top)
        start, count = int(page.dataoffsets[index]), int(page.databytecounts[index])
        if not count or (page.offset, index) in known:
            continue
        if len(zlib.decompressobj().decompress(data[start : start + count], rows * row + 1)) > rows * row:
            raise ValueError(f"block {index} holds more than its {rows * row:,} bytes of pixels")
        known.add((page.offset, index))


def _check(page: Any, name: str, limits: PixelLimits) -> None:
    if page.compression not in COMPRESSIONS:
        raise Unsupported(f"compression {_named(page.compression)}")
    if page.photometric not in PHOTOMETRIC:
        raise Unsupported(f"colours of kind {_named(page.photometric)}")
    whole = page.bitspersample in (8, 16, 32, 64, 128)
    if not whole and not packed(page) or page.fillorder != 1 or page.imagedepth != 1:
        raise Unsupported(f"{page.bitspersample} bits a sample")
    if page.dtype is None or (whole and page.dtype.itemsize * 8 != page.bitspersample):
        raise Unsupported(f"numbers of kind {_named(page.sampleformat)}")
    if page.photometric == 6 and page.compression != JPEG:
        raise Unsupported("YCbCr that is not JPEG")
    if page.compression == JPEG and (page.bitspersample != 8 or page.photometric not in (1, 6)):
        raise Unsupported("JPEG of other than YCbCr or grey bytes")
    if page.imagewidth < 1 or page.imagelength < 1:
        raise RasterError(f"{name}: has {page.imagewidth}x{page.imagelength} pixels; nothing can be shown of it")
    grid = _level(page)
    if min(grid.block_width, grid.block_height) < 1:
        raise RasterError(f"{name}: claims blocks of {grid.block_width}x{grid.block_height} pixels; is it whole?")
    together = int(page.samplesperpixel) if page.planarconfig == 1 else 1
    if grid.block_width * grid.block_height * together > limits.block:
        raise RasterError(block_too_large(name, grid.block_width, grid.block_height, together, limits.block))


def _named(value: Any) -> str:
    """Return what tifffile calls a value of a tag."""
    return str(getattr(value, "name", value))


def _can_hold(dtype: np.dtype[Any], value: float) -> bool:
    """Tell whether a type has a value."""
    if dtype.kind in "fc":
        return True
    bounds = np.iinfo(dtype)
    return bool(math.isfinite(value) and value == int(value) and bounds.min <= value <= bounds.max)


def _more(main: Any, pages: Sequence[Any]) -> Iterator[str]:
    """Say what else the file holds."""
    pictures = sum(not page.is_reduced and not page.is_mask for page in pages)
    if pictures > 1:
        yield first_of(pictures)
    if main.tags.valueof(ORIENTATION, 1) != 1:
        yield NOT_TURNED


def _like(page: Any, main: Any) -> bool:
    return bool(
        page.samplesperpixel == main.samplesperpixel
        and page.dtype == main.dtype
        and page.compression in COMPRESSIONS
        and page.imagewidth < main.imagewidth
    )


def _mask_of(page: Any, masks: Sequence[Any]) -> Any | None:
    for mask in masks:
        same = (mask.imagewidth, mask.imagelength) == (page.imagewidth, page.imagelength)
        if same and mask.compression in COMPRESSIONS and mask.bitspersample in (1, 8):
            return mask
    return None


def _level(page: Any) -> Level:
    width, height = int(page.imagewidth), int(page.imagelength)
    if page.is_tiled:
        return Level(width, height, min(int(page.tilewidth), width), min(int(page.tilelength), height))
    return Level(width, height, width, min(int(page.rowsperstrip), height))


def _blocks(page: Any, grid: Level, window: WindowLike) -> Iterator[tuple[int, int, int, int]]:
    """Give index, plane, left and top of the blocks under a window."""
    x1, y1, x2, y2 = window
    wide, high = (int(page.tilewidth), int(page.tilelength)) if page.is_tiled else (grid.width, grid.block_height)
    columns, rows = math.ceil(grid.width / wide), math.ceil(grid.height / high)
    for plane in range(page.samplesperpixel if page.planarconfig == 2 else 1):
        for row in range(y1 // high, math.ceil(y2 / high)):
            for column in range(x1 // wide, math.ceil(x2 / wide)):
                yield (plane * rows + row) * columns + column, plane, column * wide, row * high
