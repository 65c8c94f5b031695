"""Check what a GDAL virtual file refers to before GDAL sees it."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

from rscovlm.rasters.errors import RasterError
from rscovlm.rasters.formats import sniff

LARGEST = 64 * 2**20
REFUSED = ("VRTRawRasterBand", "VRTProcessedDataset")


def check_vrt(path: Path, name: str) -> None:
    """Refuse a VRT that names anything but plain local images, or that asks for raw files or code.

    Raises:
        RasterError: It is too large, not XML, uses raw or code-carrying bands, or a source is not a local image.
    """
    if path.stat().st_size > LARGEST:
        raise RasterError(f"{name}: {path.stat().st_size:,} bytes is too large for a VRT; convert it to a GeoTIFF")
    text = path.read_bytes()
    if b"<!DOCTYPE" in text or b"<!ENTITY" in text:
        raise RasterError(f"{name}: declares XML entities, which a VRT has no need of; write it anew with gdalbuildvrt")
    try:
        root = ElementTree.fromstring(text)
    except ElementTree.ParseError as error:
        raise RasterError(f"{name}: is not well-formed XML ({error}); write it anew with gdalbuildvrt") from error
    for element in root.iter():
        subclass = element.get("subClass", "")
        if subclass in REFUSED or element.tag in ("PixelFunctionCode", "PixelFunctionLanguage", "OpenOptions"):
            raise RasterError(f"{name}: uses {subclass or element.tag}, which is not opened; convert it to a GeoTIFF")
        if element.tag in ("SourceFilename", "SourceDataset"):
            _check_source(element, path, name)


def _check_source(element: ElementTree.Element, path: Path, name: str) -> None:
    text = (element.text or "").strip()
    relative = element.get("relativeToVRT") == "1"
    source = (path.absolute().parent / text) if relative else Path(text)
    if not text or not source.is_file():
        raise RasterError(f"{name}: its source {text[:80]!r} is not a local file; only VRTs of local images are opened")
    with source.open("rb") as handle:
        head = handle.read(4096)
    try:
        kind = sniff(head, str(source))
    except RasterError:  # says how the file begins, which is not for everyone who may write a VRT
        raise RasterError(f"{name}: its source {text[:80]!r} is not an image of a kind that is read") from None
    if kind == "vrt":
        raise RasterError(f"{name}: its source {text[:80]!r} is a VRT itself; convert that to a GeoTIFF first")
