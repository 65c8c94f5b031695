"""Telling images apart by all that they are read from."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from rscovlm.rasters.errors import RasterError
from rscovlm.rasters.formats import sniff
from rscovlm.rasters.georeference import beside, world_files
from rscovlm.rasters.vrt import read_vrt


def digest_of(source: Any) -> str:
    """Return 64 hexadecimal digits of all that an image is read from.

    Args:
        source: A path (see `content`), the bytes of a file, an array, or a PIL image.

    Example:
        >>> digest_of(b"a picture") == digest_of(bytearray(b"a picture")) != digest_of(b"a pictures")
        True
    """
    if isinstance(source, str | os.PathLike):
        return content(source)
    if isinstance(source, bytes | bytearray | memoryview):
        return hashlib.sha256(source).hexdigest()
    if isinstance(source, Image.Image):
        about = (source.size, source.mode, source.getpalette(), source.info.get("transparency"))
        return hashlib.sha256(repr(about).encode() + source.tobytes()).hexdigest()
    array = np.ascontiguousarray(source)
    found = hashlib.sha256(repr((array.shape, array.dtype.str)).encode() + array.tobytes())
    if isinstance(source, np.ma.MaskedArray):
        found.update(np.ma.getmaskarray(source).tobytes())
    return found.hexdigest()


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
