"""Read GDAL's virtual files: parsed once, here, into a mosaic of plain files. GDAL never sees them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from rscovlm.geometry.affine import Affine6
from rscovlm.rasters.errors import RasterError
from rscovlm.rasters.plain_xml import plain_xml

LARGEST = 64 * 2**20
"""Bytes of a VRT; one of a hundred thousand sources has about 50 MB."""
BANDS = 4096

DTYPES = {
    "byte": "uint8",
    "int8": "int8",
    "uint16": "uint16",
    "int16": "int16",
    "uint32": "uint32",
    "int32": "int32",
    "uint64": "uint64",
    "int64": "int64",
    "float32": "float32",
    "float64": "float64",
    "cfloat32": "complex64",
    "cfloat64": "complex128",
}
SOURCES = ("simplesource", "complexsource")
# What changes pixels in ways that are not computed here, or names files in other ways.
REFUSED = (
    "averagedsource",
    "kernelfilteredsource",
    "arraysource",
    "nodatafrommasksource",
    "openoptions",
    "pixelfunctioncode",
    "pixelfunctionlanguage",
    "pixelfunctiontype",
    "gdalwarpoptions",
    "pansharpeningoptions",
    "processingsteps",
    "group",
    "exponent",
)

Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class VrtSource:
    """A rectangle of one band of a file, and where it is laid.

    Attributes:
        path: The file, symlinks resolved.
        band: Number from 0, or None for the file's mask as 0 and 255.
        src: x, y, width, height in the file's pixels; None is all of it.
        dst: x, y, width, height in the mosaic's pixels; None is all of it.
        scale: Stored numbers times this, plus `offset`.
        offset: See `scale`.
        nodata: Number that is left out, or None.
        masked: Whether pixels outside the file's mask are left out.
        lut: (n, 2) numbers from and to, joined by lines; None for none.
        component: Which of red, green, blue, alpha (0 to 3) of the file's palette is shown, or None.
    """

    path: Path
    band: int | None
    src: Box | None = None
    dst: Box | None = None
    scale: float = 1.0
    offset: float = 0.0
    nodata: float | None = None
    masked: bool = False
    lut: NDArray[np.float64] | None = None
    component: int | None = None


@dataclass(frozen=True)
class Band:
    """A band of a mosaic: type, what its numbers mean, and its sources in the order in which they are laid."""

    dtype: np.dtype[np.generic]
    colour: str = "undefined"
    nodata: float | None = None
    hidden: bool = False
    palette: NDArray[np.uint8] | None = None
    sources: tuple[VrtSource, ...] = ()


@dataclass(frozen=True)
class VrtDescription:
    """What a VRT says."""

    width: int
    height: int
    bands: tuple[Band, ...]
    mask: Band | None = None
    transform: Affine6 | None = None
    srs: str = ""
    points: tuple[tuple[float, float, float, float], ...] = ()
    notes: tuple[str, ...] = field(default=())


def read_vrt(path: Path, name: str) -> VrtDescription:
    """Read a VRT; its sources must be plain files under its folder.

    Raises:
        RasterError: It is too large, not XML, asks for more than laying out files, or a source is elsewhere.
    """
    if path.stat().st_size > LARGEST:
        raise RasterError(f"{name}: {path.stat().st_size:,} bytes is too large for a VRT; convert it to a GeoTIFF")
    text = path.read_bytes()
    try:
        root = plain_xml(text)
    except ValueError as error:
        raise RasterError(f"{name}: cannot be read as a VRT ({error}); write it again with gdalbuildvrt") from error
    for element in root.iter():
        kind = element.get("subClass", "")
        if _tag(element) in REFUSED or (kind and kind != "VRTSourcedRasterBand"):
            raise RasterError(f"{name}: uses {kind or element.tag}, which is not opened; convert it to a GeoTIFF")
    try:
        return _VrtParser(path, name).mosaic(root)
    except (TypeError, ValueError, OverflowError) as error:
        # Attributes that are absent or no numbers, of a file that anybody may write.
        if isinstance(error, RasterError):
            raise
        raise RasterError(f"{name}: is not a whole VRT ({error}); write it again with gdalbuildvrt") from error


class _VrtParser:
    """Turns the elements of one VRT into a `VrtDescription`; names of elements count whatever their case, as for GDAL."""

    def __init__(self, path: Path, name: str) -> None:
        self._name = name
        self._folder = path.absolute().parent
        # A file of the Hub's cache is a link; the folder of either end will do.
        self._roots = {self._folder.resolve(), path.resolve().parent}
        self._known: dict[tuple[str, bool], Path] = {}

    def mosaic(self, root: ElementTree.Element) -> VrtDescription:
        bands = tuple(self._band(element) for element in _children(root, "vrtrasterband"))
        width, height = int(root.get("rasterXSize", 0)), int(root.get("rasterYSize", 0))
        if not bands or width < 1 or height < 1 or len(bands) > BANDS:
            raise RasterError(f"{self._name}: states {width}x{height} pixels and {len(bands)} bands; is it whole?")
        masks = [self._band(band) for mask in _children(root, "maskband") for band in _children(mask, "vrtrasterband")]
        gcps = next(_children(root, "gcplist"), None)
        srs = _text(root, "srs") or (gcps.get("Projection", "") if gcps is not None else "")
        ordered = None if gcps is None else gcps.get("dataAxisToSRSAxisMapping")
        notes = (f"its control points' axes {ordered} are taken for x and y",) if ordered not in (None, "1,2") else ()
        points = [tuple(float(p.get(key, "nan")) for key in ("Pixel", "Line", "X", "Y")) for p in gcps or ()]
        return VrtDescription(
            width,
            height,
            bands,
            mask=masks[0] if masks else None,
            transform=_transform(_text(root, "geotransform")),
            srs=srs,
            points=tuple(p for p in points if all(map(math.isfinite, p))),  # type: ignore[misc]
            notes=notes,
        )

    def _band(self, element: ElementTree.Element) -> Band:
        dtype = DTYPES.get(element.get("dataType", "Byte").lower())
        if dtype is None:
            raise RasterError(f"{self._name}: has a band of type {element.get('dataType')!r}; convert it to a GeoTIFF")
        if next(_children(element, "maskband"), None) is not None:
            raise RasterError(f"{self._name}: has a mask of one band alone, which is not read; convert it to a GeoTIFF")
        nodata = _number(element, "nodatavalue")
        entries = [
            [int(e.get(f"c{k}", 255)) for k in (1, 2, 3, 4)] for t in _children(element, "colortable") for e in t
        ]
        return Band(
            np.dtype(dtype),
            colour=_text(element, "colorinterp").lower() or "undefined",
            nodata=nodata,
            hidden=_truth(_text(element, "hidenodatavalue")),
            palette=np.clip(np.array(entries), 0, 255).astype(np.uint8) if entries else None,
            sources=tuple(self._source(child) for child in element if _tag(child) in SOURCES),
        )

    def _source(self, element: ElementTree.Element) -> VrtSource:
        stated = _text(element, "sourceband") or "1"
        band = None if stated.lower().startswith("mask") else int(stated) - 1
        source = VrtSource(
            self._file(next(_children(element, "sourcefilename"), None)),
            band,
            src=_box(next(_children(element, "srcrect"), None)),
            dst=_box(next(_children(element, "dstrect"), None)),
        )
        if _tag(element) == "simplesource":
            return source
        lut = _text(element, "lut")
        component = _text(element, "colortablecomponent")
        return VrtSource(
            source.path,
            band,
            source.src,
            source.dst,
            scale=_number(element, "scaleratio", 1.0) or 0.0,
            offset=_number(element, "scaleoffset", 0.0) or 0.0,
            nodata=_number(element, "nodata"),
            masked=_truth(_text(element, "usemaskband")),
            lut=np.array([[float(v) for v in pair.split(":")] for pair in lut.split(",")]) if lut else None,
            component=min(max(int(component), 1), 4) - 1 if component else None,
        )

    def _file(self, element: ElementTree.Element | None) -> Path:
        text = (element.text or "").strip() if element is not None else ""
        relative = element is not None and _truth(element.get("relativeToVRT", "0"))
        key = (text, relative)
        if key not in self._known:
            path = self._folder / text if relative else Path(text)
            try:
                found = path.resolve() if text and path.is_file() else None
            except (OSError, ValueError):  # a name that no file can have
                found = None
            if found is None or not any(found.is_relative_to(root) for root in self._roots):
                raise RasterError(
                    f"{self._name}: its source {text[:80]!r} is not a local file under the folder of the VRT; only "
                    "mosaics of such files are opened"
                )
            self._known[key] = found
        return self._known[key]


def _tag(element: ElementTree.Element) -> str:
    return element.tag.rpartition("}")[2].lower()


def _children(element: ElementTree.Element, tag: str) -> Iterator[ElementTree.Element]:
    return (child for child in element if _tag(child) == tag)


def _text(element: ElementTree.Element, tag: str) -> str:
    child = next(_children(element, tag), None)
    return (child.text or "").strip() if child is not None else ""


def _truth(text: str) -> bool:
    return text.strip().lower() in ("1", "yes", "true", "on")


def _number(element: ElementTree.Element, tag: str, default: float | None = None) -> float | None:
    text = _text(element, tag)
    return float(text) if text else default


def _box(element: ElementTree.Element | None) -> Box | None:
    if element is None:
        return None
    x, y, width, height = (float(element.get(key, "nan")) for key in ("xOff", "yOff", "xSize", "ySize"))
    if not all(map(math.isfinite, (x, y, width, height))) or width <= 0 or height <= 0:
        raise ValueError(f"a rectangle of {width}x{height} at {x}, {y}")
    return x, y, width, height


def _transform(text: str) -> Affine6 | None:
    if not text:
        return None
    c, a, b, f, d, e = (float(part) for part in text.split(","))
    return (a, b, c, d, e, f) if all(map(math.isfinite, (a, b, c, d, e, f))) else None
