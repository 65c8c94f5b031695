"""The chain of directories of a TIFF, bounded before a library that follows all of it sees the file."""

from __future__ import annotations

import io
import struct
from pathlib import Path

from rscovlm.rasters.errors import RasterError

MOST = 4096
"""Directories of a file; GDAL takes 0.1 ms for each, and a request of 64 MiB could hold half a million."""


def check_directories(source: Path | bytes, name: str) -> None:
    """Refuse a TIFF with more pictures, overviews and masks than any file has that is meant to be read.

    Source: TIFF 6.0, section 2, and the BigTIFF design: a directory ends with the place of the next.

    Args:
        source: Path or bytes of the file; a damaged chain is left to who reads it.
        name: What messages call it.

    Raises:
        RasterError: It has more than `MOST` directories.
    """
    with io.BytesIO(source) if isinstance(source, bytes) else source.open("rb") as handle:
        head = handle.read(16)
        order = "<" if head[:2] == b"II" else ">"
        big = head[2:4] in (b"+\0", b"\0+")
        # Format of the count of tags, bytes of a tag, format of a place, and where the first place stands.
        count, tag, place, at = ("Q", 20, "Q", 8) if big else ("H", 12, "L", 4)
        for _ in range(MOST + 1):
            handle.seek(at)
            data = handle.read(struct.calcsize(order + place))
            following = struct.unpack(order + place, data)[0] if len(data) == struct.calcsize(order + place) else 0
            if not 0 < following < 2**62:
                return
            handle.seek(following)
            data = handle.read(struct.calcsize(order + count))
            if len(data) < struct.calcsize(order + count):
                return
            at = following + len(data) + tag * struct.unpack(order + count, data)[0]
            if at >= 2**62:
                return
    raise RasterError(
        f"{name}: holds more than {MOST} pictures, overviews and masks; save those that you need as a file of their own"
    )
