"""The boxes of a JPEG 2000 file that state where it lies, read as data."""

from __future__ import annotations

import io
import math
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO
from xml.etree import ElementTree

from rscovlm.geometry.affine import Affine6
from rscovlm.rasters.crs import authority
from rscovlm.rasters.plain_xml import plain_xml

GEOTIFF = bytes.fromhex("b14bf8bd083d4b43a5ae8cd7d5a6ce03")
MSIG = bytes.fromhex("96a9f1f1dc98402da7aed68e34451809")
BOXES = 4096
"""Boxes looked at."""
LARGEST = 16 * 2**20
"""Bytes of a box that are read."""


@dataclass(frozen=True)
class Jp2Boxes:
    """What was found: degenerate GeoTIFFs, the coverage of GMLJP2, the numbers of an MSIG box."""

    geotiffs: tuple[bytes, ...] = ()
    gml: bytes | None = None
    msig: bytes | None = None


@dataclass(frozen=True)
class GmlGrid:
    """A rectified grid: the centre of its first pixel, its steps across and down, and the code of its system.

    Attributes:
        origin: Two coordinates in the order of the system's axes.
        across: Step from column to column.
        down: Step from row to row.
        code: EPSG code, or None.
        x_first: Whether the grid itself says that east (or longitude) comes first.
        swapped: Whether steps are stated in the other order (a comment that GDAL writes).
    """

    origin: tuple[float, float]
    across: tuple[float, float]
    down: tuple[float, float]
    code: int | None
    x_first: bool
    swapped: bool


def jp2_boxes(source: Path | bytes) -> Jp2Boxes:
    """Read the boxes of a file that state its place."""
    if isinstance(source, bytes):
        return _read(io.BytesIO(source), len(source))
    with source.open("rb") as file:
        return _read(file, source.stat().st_size)


def _read(file: BinaryIO, size: int) -> Jp2Boxes:
    geotiffs: list[bytes] = []
    gml = msig = None
    for kind, start, end in _boxes(file, 0, size):
        if kind == b"uuid" and end - start >= 16:
            head = _part(file, start, start + 16)
            if head == GEOTIFF:
                geotiffs.append(_part(file, start + 16, end))
            elif head == MSIG and msig is None:
                msig = _part(file, start + 16, end)
        elif kind == b"asoc" and gml is None:
            gml = _coverage(file, start, end)
    return Jp2Boxes(tuple(geotiffs), gml, msig)


def _boxes(file: BinaryIO, start: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Yield kind, beginning and end of what each box between two places holds."""
    for _ in range(BOXES):
        file.seek(start)
        head = file.read(16)
        if start + 8 > end or len(head) < 8:
            return
        length, kind = struct.unpack(">I4s", head[:8])
        inside = 8
        if length == 1 and len(head) == 16:
            length, inside = struct.unpack(">Q", head[8:])[0], 16
        stop = end if length == 0 else start + length
        if stop < start + inside or stop > end:
            return
        yield kind, start + inside, stop
        start = stop


def _part(file: BinaryIO, start: int, end: int) -> bytes:
    file.seek(start)
    return file.read(min(end - start, LARGEST))


def _coverage(file: BinaryIO, start: int, end: int) -> bytes | None:
    """Return the root instance of GMLJP2 in an association box labelled gml.data."""
    parts = list(_boxes(file, start, end))
    if not parts or parts[0][0] != b"lbl " or _part(file, *parts[0][1:]).rstrip(b"\0") != b"gml.data":
        return None
    for kind, first, last in parts[1:]:
        if kind != b"asoc":
            continue
        inner = {name: (a, b) for name, a, b in _boxes(file, first, last)}
        label = _part(file, *inner[b"lbl "]).rstrip(b"\0") if b"lbl " in inner else b""
        if label == b"gml.root-instance" and b"xml " in inner:
            return _part(file, *inner[b"xml "])
    return None


def gml_grid(text: bytes) -> GmlGrid | None:
    """Read the rectified grid of a coverage; None if there is none that is whole."""
    text = text.rstrip(b"\0 \r\n").replace(b"\0", b"\n")
    try:
        root = plain_xml(text)
    except ValueError:
        return None
    grid = next((element for element in root.iter() if _name(element) == "RectifiedGrid"), None)
    if grid is None:
        return None
    point = next((e for part in grid if _name(part) == "origin" for e in part if _name(e) == "Point"), None)
    steps = [_pair(part.text) for part in grid if _name(part) == "offsetVector"]
    origin = None
    for element in point if point is not None else ():
        if _name(element) in ("pos", "coordinates"):
            origin = _pair(element.text)
    if point is None or origin is None or len(steps) < 2 or steps[0] is None or steps[1] is None:
        return None
    envelopes = [e for e in root.iter() if _name(e) == "Envelope"]
    named = next((e.get("srsName") for e in (point, *envelopes, grid) if e.get("srsName")), None)
    axes = [(part.text or "").strip().upper() for part in grid if _name(part) == "axisName"]
    return GmlGrid(
        origin=origin,
        across=steps[0],
        down=steps[1],
        code=_code(named),
        x_first=len(axes) > 1 and axes[0].startswith(("EAST", "LONG")) and axes[1].startswith(("NORTH", "LAT")),
        swapped=b"GDAL_JP2K_ALT_OFFSETVECTOR_ORDER=TRUE" in text,
    )


def grid_transform(grid: GmlGrid, north_first: bool) -> Affine6:
    """Return the map from pixels to x (east) and y (north) of a grid whose system may name north first."""
    (x, y), (a, d), (b, e) = grid.origin, grid.across, grid.down
    if north_first and not grid.x_first:
        # Every pair is turned round; where GDAL's comment stands, the two steps were written in each other's place.
        x, y = y, x
        a, b, d, e = (e, d, b, a) if grid.swapped else (d, e, a, b)
    return (a, b, x - (a + b) / 2, d, e, y - (d + e) / 2)


def msig_transform(box: bytes | None) -> Affine6 | None:
    """Return the map from pixels that an MSIG box states: the six numbers of a world file."""
    if box is None or len(box) < 70 or box[:5] != b"MSIG/":
        return None
    a, d, b, e, x, y = struct.unpack("<6d", box[22:70])
    if not all(map(math.isfinite, (a, b, d, e, x, y))) or a * e == b * d:
        return None
    return (a, b, x - (a + b) / 2, d, e, y - (d + e) / 2)


def _name(element: ElementTree.Element) -> str:
    return element.tag.rpartition("}")[2]


def _pair(text: str | None) -> tuple[float, float] | None:
    try:
        first, second = (float(part) for part in re.split(r"[\s,]+", (text or "").strip())[:2])
    except ValueError:
        return None
    return (first, second) if math.isfinite(first) and math.isfinite(second) else None


def _code(named: str | None) -> int | None:
    known = authority(named) if named else None
    return int(known[1]) if known and known[0] == "EPSG" and known[1].isdecimal() else None
