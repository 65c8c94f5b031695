"""Telling images apart without reading all of them."""

from __future__ import annotations

import hashlib
import io
import os
from pathlib import Path
from typing import Any, BinaryIO

from PIL import Image

from rscovlm.rasters.errors import RasterError
from rscovlm.rasters.formats import sniff
from rscovlm.rasters.georeference import beside, world_files
from rscovlm.rasters.vrt import read_vrt

PIECE = 65536
"""Bytes read at the beginning, middle and end of a file."""


def fingerprint(source: Any) -> str | None:
    """Return 16 hexadecimal digits of a file's size and three of its pieces; ``None`` for what is no file.

    Args:
        source: A path, or the bytes of a file.

    Example:
        >>> fingerprint(b"a picture") == fingerprint(b"a picture") != fingerprint(b"a pictures")
        True
    """
    if isinstance(source, (bytes, bytearray, memoryview)):
        return _of(io.BytesIO(source))
    if not isinstance(source, (str, os.PathLike)):
        return None
    with open(source, "rb") as file:
        return _of(file)


def content(path: str | os.PathLike[str]) -> str:
    """Return 64 hexadecimal digits of all bytes of an image file and of the files beside it that may be read with it.

    Those are overviews, masks, world files, projections, GDAL's own notes, and the sources of a VRT. Every byte is read:
    about a second a gigabyte.

    Raises:
        OSError: The file cannot be read.
    """
    return _content(Path(path), laid_out=True)


def _content(image: Path, *, laid_out: bool) -> str:
    with image.open("rb") as file:
        head = file.read(4096)
        file.seek(0)
        found = hashlib.file_digest(file, "sha256")
    for source in _sources(image, head) if laid_out else ():  # one that is a VRT is not opened, nor looked into
        found.update(_content(source, laid_out=False).encode())
    names = [f"{image.name}{ending}" for ending in (".ovr", ".msk", ".aux.xml")]
    names += [f"{image.stem}.prj", *(side.name for side in world_files(image))]
    for name in names:
        side = beside(image, name)
        if side is not None:
            with side.open("rb") as file:
                found.update(side.name.encode() + hashlib.file_digest(file, "sha256").digest())
    return found.hexdigest()


def _sources(path: Path, head: bytes) -> list[Path]:
    """Return the files that a VRT lays out, none for any other file."""
    try:
        if sniff(head, str(path)) != "vrt":
            return []
        mosaic = read_vrt(path, str(path))
    except RasterError:  # which opening it will say
        return []
    bands = [*mosaic.bands, *([] if mosaic.mask is None else [mosaic.mask])]
    return sorted({source.path for band in bands for source in band.sources})


def print_of(picture: Image.Image) -> str:
    """Return 16 hexadecimal digits of a picture's pixels."""
    return hashlib.sha256(repr(picture.size).encode() + picture.tobytes()).hexdigest()[:16]


def _of(file: BinaryIO) -> str:
    size = file.seek(0, os.SEEK_END)
    found = hashlib.sha256(str(size).encode())
    for place in (0, size // 2, max(0, size - PIECE)):
        file.seek(place)
        found.update(file.read(PIECE))
    return found.hexdigest()[:16]
