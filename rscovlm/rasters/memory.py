"""How much memory reading an image may take, known from its header before a byte of it is decoded."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any

from rscovlm.rasters.cache import KEPT
from rscovlm.rasters.formats import FORMATS, sniff
from rscovlm.rasters.gdal import ROWS
from rscovlm.rasters.pixels import Pixels
from rscovlm.rasters.reader import Reader
from rscovlm.rasters.sampling import PIECE
from rscovlm.rasters.tiff import LARGE_BLOCK, MOST_CORES

# Bytes a number that libjpeg keeps of a progressive picture, all of it: its coefficients.
_COEFFICIENT = 2
_JP2_CODE_BLOCKS = 2**22
_LEAST = 2**23


def reading_bytes(reader: Reader, pixels: Pixels, source: Any, max_pixels: int) -> int:
    """Return how many bytes reading views of up to `max_pixels` pixels may hold at a time, at most.

    Args:
        reader: The opened image.
        pixels: Its channels.
        source: What it was opened from.
        max_pixels: Pixels of the largest view.
    """
    root, layout = reader.levels[0], reader.layout
    size, each = root.width * root.height, len(layout.colours) * layout.dtype.itemsize
    kind, block = _kind(source), min(size, root.block_width * root.block_height)
    if not kind:  # in memory already
        decoding = 0
    elif block == size:  # by Pillow, or in one block
        decoding = size * max(FORMATS[kind].decoding + _kept_by_libjpeg(source), 3 * each)
    else:
        # A TIFF's blocks are decoded several at a time, of two million pixels at most each.
        together = min(MOST_CORES, max(os.cpu_count() or 1, 1)) if kind == "tiff" and block <= LARGE_BLOCK else 1
        decoding = (2 + together) * block * each
        if kind == "jp2":
            decoding += 4 * min(size, _JP2_CODE_BLOCKS) * each
        if reader.front_to_back:
            whole = each * _interlaced(source) + _kept_by_libjpeg(source)
            decoding += min(ROWS, size * each) + size * whole
    # Averaging reads pieces, whose numbers become floats where some may be invalid.
    floating = 6 * (pixels.channels + 1) if pixels.weighted or pixels.dtype.itemsize > 1 else 0
    piece = min(size, max(3 * PIECE // 2, 9 * max_pixels))
    return _LEAST + decoding + piece * (3 * each // 2 + floating) + min(KEPT, size * each) + 16 * min(size, max_pixels)


def _kind(source: Any) -> str:
    return sniff(_head(source, 4096), "") if isinstance(source, bytes | str | Path) else ""


def _head(source: Any, size: int) -> bytes:
    if isinstance(source, bytes):
        return source[:size]
    with Path(source).open("rb") as handle:
        return handle.read(size)


def _interlaced(source: Any) -> bool:
    """Tell whether a PNG is stored in passes, for which a decoder holds all of it."""
    head = _head(source, 33) if _kind(source) == "png" else b""
    return len(head) == 33 and head[28] == 1


def _kept_by_libjpeg(source: Any) -> int:
    """Return the bytes a pixel that are held of a progressive JPEG."""
    if _kind(source) != "jpeg":
        return 0
    from PIL import JpegImagePlugin

    with JpegImagePlugin.JpegImageFile(io.BytesIO(source) if isinstance(source, bytes) else source) as image:
        return _COEFFICIENT * len(image.getbands()) if image.info.get("progressive") else 0
