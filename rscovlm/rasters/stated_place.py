"""Where a GeoTIFF or a JPEG 2000 file lies, as GDAL reads it from a copy of its tags that holds nothing else.

GDAL is asked to skip the georeferencing of the file itself. The tags that state it are read here, the texts among them
are checked (GDAL parses definitions of coordinate systems in them, which may name files and addresses), and what is
left is written into a GeoTIFF of one pixel in memory, from which GDAL takes transform, system and control points.
"""

from __future__ import annotations

import io
import re
import struct
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from rscovlm.geometry.affine import Affine6
from rscovlm.rasters.crs import check_crs
from rscovlm.rasters.jp2_boxes import GmlGrid, gml_grid, jp2_boxes, msig_transform
from rscovlm.rasters.quiet import hushed

SCALE, TIEPOINTS, MATRIX, DIRECTORY, DOUBLES, TEXTS, RATIONAL = 33550, 33922, 34264, 34735, 34736, 34737, 50844
NUMBERS = (SCALE, TIEPOINTS, MATRIX, DOUBLES, RATIONAL)
SYSTEMS = {2048, 3072}
"""GeoKeys that state a coordinate system, geographic or projected."""
MOST = 2**20
"""Values of a tag that are read; files placed by control points have some thousand."""

DROPPED = "the definition of its coordinate system names other files and is not used"
_DEFINES = re.compile(r"[\[\"]|PE STRING|EXTENSION|PARAMETERFILE|GEOIDMODEL|METHOD|PROJECTION", re.IGNORECASE)
_KEYWORD = re.compile(r"[A-Za-z_]\w*\s*[\[(]")


@dataclass(frozen=True)
class Stated:
    """What a file states of its place: a GeoTIFF of one pixel, or a grid of GMLJP2, or a transform; and notes.

    The last tells whether the GeoTIFF states a coordinate system.
    """

    stub: bytes | None = None
    grid: GmlGrid | None = None
    transform: Affine6 | None = None
    notes: tuple[str, ...] = ()
    has_system: bool = False


def stated_place(source: Path | bytes, kind: str) -> Stated:
    """Return what a TIFF or JPEG 2000 file states of its place; nothing for other kinds and unreadable tags."""
    if kind == "tiff":
        return _of_tiff(source if isinstance(source, Path) else io.BytesIO(source))
    if kind != "jp2":
        return Stated()
    boxes = jp2_boxes(source)
    found = [stated for stated in (_of_tiff(io.BytesIO(box)) for box in boxes.geotiffs[:2]) if stated.stub]
    notes = tuple(note for stated in found for note in stated.notes)
    if found:  # Erdas writes two, of which one may state no system
        best = next((stated for stated in found if stated.has_system), found[0])
        return replace(best, notes=notes)
    grid = gml_grid(boxes.gml) if boxes.gml is not None else None
    if grid is not None:
        return Stated(grid=grid)
    return Stated(transform=msig_transform(boxes.msig))


def _of_tiff(source: Path | io.BytesIO) -> Stated:
    import tifffile

    try:
        with hushed("tifffile"), tifffile.TiffFile(source) as tiff:
            tags: Any = tiff.pages[0].tags
            values = {code: _numbers(tags, code) for code in NUMBERS}
            directory = _numbers(tags, DIRECTORY)
            texts = b""
            if TEXTS in tags and tags[TEXTS].count <= MOST:
                tiff.filehandle.seek(tags[TEXTS].valueoffset)
                texts = tiff.filehandle.read(tags[TEXTS].count)
    except (tifffile.TiffFileError, ValueError, KeyError, IndexError, TypeError, OSError, struct.error, MemoryError):
        # What tifffile raises on bytes of strangers.
        return Stated()
    given = {code: value for code, value in values.items() if value is not None}
    keys, citations, dropped = _checked(directory, texts)
    if not given and keys is None:
        return Stated()
    known = keys is not None and not SYSTEMS.isdisjoint(keys[4::4])
    return Stated(_written(given, keys, citations), notes=(DROPPED,) if dropped else (), has_system=known)


def _numbers(tags: Any, code: int) -> tuple[float, ...] | None:
    if code not in tags or not 0 < tags[code].count <= MOST:
        return None
    value = np.asarray(tags.valueof(code)).ravel()
    return tuple(value.tolist()) if value.dtype.kind in "uif" else None


def _checked(directory: Sequence[float] | None, texts: bytes) -> tuple[list[int] | None, bytes, bool]:
    """Return the GeoKeys with the texts they refer to, laid out anew; and whether one was left out."""
    if directory is None or len(directory) < 4:
        return None, b"", False
    numbers = [int(number) & 0xFFFF for number in directory]
    keys, kept, dropped = [], b"", False
    for k in range(4, min(len(numbers), 4 + 4 * numbers[3]) - 3, 4):
        key, tag, count, value = numbers[k : k + 4]
        if tag == TEXTS:
            text = texts[value : value + count].split(b"\0")[0].decode("ascii", "replace").replace("\ufffd", "?")
            if not _harmless(text):
                dropped = True
                continue
            count, value = len(text), len(kept)
            kept += text.encode("ascii")
        keys.append((key, tag, count, value))
    return [*numbers[:3], len(keys), *(number for entry in keys for number in entry)], kept, dropped


def _harmless(text: str) -> bool:
    """Tell whether a citation holds no definition, or one that names no file."""
    if not _DEFINES.search(text):
        return True
    start = _KEYWORD.search(text)
    try:
        check_crs(text[start.start() if start else 0 :].rstrip("| \n"))
    except ValueError:
        return False
    return True


def _written(given: dict[int, tuple[float, ...]], keys: list[int] | None, texts: bytes) -> bytes:
    """Write a GeoTIFF of one pixel."""
    tags: list[tuple[int, int, int, bytes]] = [
        (code, kind, 1, struct.pack("<H", value))
        for code, kind, value in ((256, 3, 1), (257, 3, 1), (258, 3, 8), (259, 3, 1), (262, 3, 1), (277, 3, 1))
    ]
    tags += [(273, 4, 1, struct.pack("<I", 8)), (278, 3, 1, struct.pack("<H", 1)), (279, 4, 1, struct.pack("<I", 1))]
    tags += [(code, 12, len(value), struct.pack(f"<{len(value)}d", *value)) for code, value in given.items()]
    if keys is not None:
        tags.append((DIRECTORY, 3, len(keys), struct.pack(f"<{len(keys)}H", *keys)))
    if texts:
        tags.append((TEXTS, 2, len(texts) + 1, texts + b"\0"))
    entries, data = b"", bytes(2)  # the pixel, and a byte that keeps what follows even
    for code, kind, count, value in sorted(tags):
        if len(value) > 4:
            entries += struct.pack("<HHII", code, kind, count, 8 + len(data))
            data += value + bytes(len(value) % 2)
        else:
            entries += struct.pack("<HHI", code, kind, count) + value.ljust(4, b"\0")
    start = 8 + len(data)
    return b"II*\0" + struct.pack("<I", start) + data + struct.pack("<H", len(tags)) + entries + bytes(4)
