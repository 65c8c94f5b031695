"""What the tags of a TIFF say of its bands."""

from __future__ import annotations

import io
import itertools
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rscovlm.rasters.plain_xml import plain_xml
from rscovlm.rasters.quiet import hushed
from rscovlm.rasters.reader import BandLayout
from rscovlm.rasters.tiff_blocks import packed

PAGES = 64
"""Directories looked at: a main image, its overviews and their masks."""

NODATA, EXTRA, PALETTE, ORIENTATION, METADATA = 42113, 338, 320, 274, 42112
PHOTOMETRIC = {
    0: ("gray",),
    1: ("gray",),
    2: ("red", "green", "blue"),
    3: ("palette",),
    5: ("cyan", "magenta", "yellow", "black"),
    6: ("red", "green", "blue"),
}


ASSOCIATED = 1
"""Kind of extra sample: opacity that the colours were multiplied by."""

COLOURS = ("gray", "red", "green", "blue", "alpha", "cyan", "magenta", "yellow", "black", "undefined")
"""Names that GDAL writes of bands, in lower case."""


def nodata_of(page: Any) -> float | None:
    """Return the number that GDAL's tag says means no data."""
    try:
        return float(str(page.tags.valueof(NODATA)).strip("\0 "))
    except ValueError:
        return None


def layout_of(page: Any, masked: bool) -> BandLayout:
    """Return what the bands of a directory (tifffile's page) are."""
    colours = list(PHOTOMETRIC[int(page.photometric)])
    kinds = _extra(page)
    missing = int(page.samplesperpixel) - len(colours)
    colours = [*colours, *("alpha" if kind in (1, 2) else "undefined" for kind in kinds[-missing:] if missing > 0)]
    colours += ["undefined"] * (int(page.samplesperpixel) - len(colours))
    if colours[0] == "gray" and len(colours) > 2:
        colours[0] = "undefined"
    items = _items(page.tags.valueof(METADATA))
    colours = _told(items, colours)
    palette = None
    if colours[0] == "palette":
        table = np.asarray(page.tags.valueof(PALETTE), dtype=np.uint16).reshape(3, -1) >> 8
        palette = np.full((table.shape[1], 4), 255, dtype=np.uint8)
        palette[:, :3] = table.T
    return BandLayout(
        colours=tuple(colours[: int(page.samplesperpixel)]),
        dtype=page.dtype,
        nodata=(nodata_of(page),) * int(page.samplesperpixel),
        palette=palette,
        masked=masked,
        bits=int(page.bitspersample) if packed(page) else None,
        white_is_zero=page.photometric == 0,
        descriptions=_descriptions(items, int(page.samplesperpixel)),
        premultiplied=ASSOCIATED in kinds[-missing:] if missing > 0 else False,
    )


def _extra(page: Any) -> list[int]:
    """Return the kinds of the samples beyond the colours."""
    extra = page.tags.valueof(EXTRA, ())
    return [int(kind) for kind in (extra if isinstance(extra, Sequence) else (extra,))]


def _items(metadata: Any) -> list[tuple[str, int, str]]:
    """Return role, band from 0 and text of what GDAL wrote of bands beside the standard's own tags."""
    if not isinstance(metadata, str) or len(metadata) > 2**20:
        return []
    try:
        items = list(plain_xml(metadata.strip("\0 ")).iter("Item"))
    except ValueError:
        return []
    found = [(item.get("role", ""), item.get("sample", ""), item.text or "") for item in items]
    return [(role, int(band), text) for role, band, text in found if band.isdecimal()]


def _told(items: Sequence[tuple[str, int, str]], colours: list[str]) -> list[str]:
    """Return the colours with those that GDAL wrote; those it has no name for here (NIR) are undefined."""
    for role, band, text in items:
        if role == "colorinterp" and band < len(colours):
            colours[band] = text.lower() if text.lower() in COLOURS else "undefined"
    return colours


def _descriptions(items: Sequence[tuple[str, int, str]], count: int) -> tuple[str, ...]:
    told = {band: text for role, band, text in items if role == "description"}
    return tuple(told.get(band, "") for band in range(count))


def hidden_facts(source: Path | bytes) -> tuple[bool, set[tuple[int, int]]]:
    """Return what GDAL does not tell of a TIFF, or nothing where it cannot be found out.

    Returns:
        Whether colours are stored multiplied by alpha, and the sizes of its masks, the main one and those of levels.
    """
    import tifffile

    try:
        with hushed("tifffile"), tifffile.TiffFile(io.BytesIO(source) if isinstance(source, bytes) else source) as tiff:
            pages: list[Any] = list(itertools.islice(tiff.pages, PAGES))
            sizes = {(int(page.imagewidth), int(page.imagelength)) for page in pages if page.is_mask}
            return ASSOCIATED in _extra(pages[0]), sizes
    except (tifffile.TiffFileError, ValueError, KeyError, IndexError, TypeError, OSError, struct.error):
        # What tifffile raises on bytes of strangers.
        return False, set()


def orientation_of(source: Path | bytes) -> int:
    """Return how a TIFF's first picture is to be turned, by the numbers of EXIF; 1 where that cannot be found out."""
    import tifffile

    try:
        with hushed("tifffile"), tifffile.TiffFile(io.BytesIO(source) if isinstance(source, bytes) else source) as tiff:
            first: Any = tiff.pages[0]
            return int(first.tags.valueof(ORIENTATION, 1))
    except (tifffile.TiffFileError, ValueError, KeyError, IndexError, TypeError, OSError, struct.error):
        # tifffile on damaged bytes raises any of these; the reader that opens the file names what is wrong.
        return 1
