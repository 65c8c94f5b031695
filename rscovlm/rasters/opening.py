"""Open an image of any size, from a file, its bytes, or memory."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from numbers import Real
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from rscovlm.rasters import gdal
from rscovlm.rasters.arrays import ArrayReader
from rscovlm.rasters.cache import Cache
from rscovlm.rasters.crs import stated_crs
from rscovlm.rasters.errors import MissingRasterError, RasterError
from rscovlm.rasters.formats import ENDINGS, png_header, sniff
from rscovlm.rasters.limits import PixelLimits
from rscovlm.rasters.mosaic import MosaicReader
from rscovlm.rasters.pillow import PillowReader
from rscovlm.rasters.raster import Raster, StretchChoice
from rscovlm.rasters.reader import Reader
from rscovlm.rasters.side_files import with_side_files
from rscovlm.rasters.tiff import TiffReader, Unsupported
from rscovlm.rasters.tiff_directories import check_directories
from rscovlm.rasters.tiled_copy import ADVICE, TiledCopy
from rscovlm.rasters.turned import Orientation, shown_by
from rscovlm.rasters.user_cache import LARGE, user_folder
from rscovlm.rasters.vrt import read_vrt
from rscovlm.rasters.world import in_system

Backend = Literal["auto", "rasterio", "plain"]


def open_image(
    source: str | os.PathLike[str] | bytes | Image.Image | NDArray[Any] | Raster,
    *,
    bands: Sequence[int] | None = None,
    stretch: StretchChoice = "auto",
    percentiles: tuple[float, float] = (2.0, 98.0),
    nodata: float | None = None,
    opaque: bool = False,
    crs: str | None = None,
    allow_vrt: bool = False,
    side_files: bool = False,
    cache: str | os.PathLike[str] | bool | None = None,
    tiled: bool = False,
    limits: PixelLimits | None = None,
    backend: Backend = "auto",
    orientation: Orientation = "shown",
    gsd: float | None = None,
) -> Raster:
    """Open an image; nothing is decoded until a view of it is asked for.

    GeoTIFF and COG, JPEG 2000, PNG and JPEG are read block by block through rasterio where it is installed
    (``pip install rscovlm[geo]``). Without it, TIFFs (uncompressed, Deflate, LZW, PackBits, LZMA, Zstandard, JPEG) are
    still read block by block; other TIFFs, JPEG 2000 and PNG are decoded whole within `limits`. WebP, BMP and GIF always are.

    A file is opened as viewers show it, turned by its EXIF orientation, and coordinates count those pixels; a file that
    lies on a map, and a PIL image, is not turned (`Raster.notes` says so).

    Args:
        source: Path, bytes of a file, PIL image, or array (h, w[, bands]). URLs and GDAL's virtual paths are refused.
        bands: One or three band numbers counted from 1; by default those that the file describes or marks as red, green
            and blue, else its first three, else its first (`Raster.notes` says so). Mask, no-data value and alpha stay
            in force, alpha unless it is among the bands chosen.
        stretch: How stored numbers become 0-255. ``"auto"`` shows bytes as they are and spreads anything else between
            percentiles (complex numbers: logarithm of their magnitude); ``"none"`` clips to 0-255; ``"percentiles"``
            and ``"log"`` (for SAR intensity) ask for it; a `Stretch` fixes it.
        percentiles: Lower and upper percentile, taken from an overview.
        nodata: The number that means nothing was measured, in place of what the file says of it.
        opaque: Take every pixel as valid, whatever the file says: its alpha band is a band like the others (files of
            red, green, blue and near infrared are often marked so), its mask and no-data value are not used.
        crs: Coordinate reference system of a file that does not state its own, such as ``"EPSG:32633"``.
        allow_vrt: Open GDAL virtual files: mosaics of files under the folder of the VRT, which are read one by one.
        side_files: Use files beside a path that are data alone: a mask (``.msk``), a projection (``.prj``), and place,
            system and no-data of an ``.aux.xml``, which go before the file's own as they do for GDAL. Without it
            `Raster.notes` names those that would change something. World files and ``.ovr`` are always used.
        cache: ``"beside"`` or a folder: store the overview made of a file that has none. By default that of a file of
            more than 134 million pixels is stored in the user's cache folder (``RSCOVLM_CACHE`` names another one), which
            is kept within 4 GiB; False stores none.
        tiled: Decode a PNG, JPEG or other file that is read from its beginning once, into a tiled copy in the folder of
            `cache`, by default the user's (within 16 GiB), and read crops from that; `Raster.notes` says when it would pay.
            Views are the same. Other files are read as they are.
        limits: Sizes to refuse.
        backend: ``"rasterio"`` or ``"plain"`` (Pillow and tifffile) instead of the better one for the file.
        orientation: ``"stored"`` leaves the pixels as they are stored, whatever the EXIF orientation.
        gsd: Metres per pixel, for files that do not say it, in place of what those say that do.

    Raises:
        MissingRasterError: There is no such file (a `ValueError` and a `FileNotFoundError`).
        RasterError: It is empty, not an image, of a kind not read, or claims more pixels than the limits (a
            `ValueError`).

    Example:
        >>> import numpy as np
        >>> image = open_image(np.zeros((300, 400, 3), dtype=np.uint8))
        >>> image.read((100, 50, 300, 150), max_pixels=5000).image.size
        (100, 50)
    """
    if isinstance(source, Raster):
        return source
    options: dict[str, Any] = {
        "bands": bands,
        "stretch": stretch,
        "percentiles": percentiles,
        "nodata": nodata,
        "opaque": opaque or None,
        "crs": crs,
        "allow_vrt": allow_vrt,
        "side_files": side_files,
        "cache": cache,
        "tiled": tiled or None,
        "limits": limits,
        "backend": backend,
        "orientation": orientation,
        "gsd": gsd,
    }
    bounds = limits or PixelLimits()
    notes: tuple[str, ...] = ()
    stored: Cache | None = None
    reader: Reader
    if isinstance(source, Image.Image):
        name = str(getattr(source, "filename", "") or "picture")
        reader = PillowReader(source, "image", name=name, limits=bounds)
    elif isinstance(source, np.ndarray):
        name = "array"
        reader = ArrayReader(source, bands=bands)
    elif isinstance(source, bytes | bytearray | memoryview):
        name = "bytes"
        reader = _reader(bytes(source), sniff(bytes(source[:4096]), name), name, bounds, backend, allow_vrt)
    elif isinstance(source, str | os.PathLike):
        path = _local(source)
        name = str(path)
        kind = _kind(path, name)
        if path.suffix.lower() not in ENDINGS[kind]:
            notes = (f"its name ends in {path.suffix!r} and it holds {kind.upper()}: read as that",)
        reader = _reader(path, kind, name, bounds, backend, allow_vrt)
        if reader.front_to_back and tiled:
            reader = _tiled(
                reader, path, cache, opener=lambda copy: _reader(copy, "tiff", name, bounds, backend, False)
            )
        elif reader.front_to_back and reader.levels[0].width * reader.levels[0].height >= LARGE:
            notes = (*notes, ADVICE)
        reader, more = with_side_files(
            reader,
            path,
            kind,
            used=side_files,
            crs=crs,
            opener=lambda mask: _reader(mask, _kind(mask, mask.name), mask.name, bounds, backend, False),
        )
        notes = (*notes, *more)
        opened = repr((nodata, opaque, orientation, backend))
        if isinstance(cache, str | os.PathLike):
            stored = Cache(path, None if cache == "beside" else Path(cache), opened=opened)
        elif cache is not False and _kept_by_default(reader, kind, side_files):
            folder = user_folder()
            stored = None if folder is None else Cache(path, folder, opened=opened, bounded=True)
    else:
        raise RasterError(f"a {type(source).__name__} cannot be opened; give a path, bytes, PIL image or numpy array")
    if orientation not in ("shown", "stored"):
        raise ValueError(f"orientation={orientation!r} is not known; use 'shown' or 'stored'")
    if orientation == "shown" and not isinstance(source, Image.Image):
        reader = shown_by(reader)
    if opaque:
        reader.layout = reader.layout.opaque()
    if crs is not None:
        reader.place, told = in_system(reader.place, crs)
        notes = (*notes, *told)
    if nodata is not None:
        if isinstance(nodata, bool) or not isinstance(nodata, Real):
            raise ValueError(f"nodata={nodata!r} is no number; give the one that means nothing was measured")
        reader.layout = replace(reader.layout, nodata=(float(nodata),) * len(reader.layout.colours))
    raster = Raster(
        reader,
        path=name,
        bands=bands,
        stretch=stretch,
        percentiles=percentiles,
        limits=bounds,
        cache=stored,
        notes=notes,
    )
    if gsd is not None:
        raster.frame = replace(raster.frame, ground=gsd)
    raster._again = _opened_again, (source, {name: value for name, value in options.items() if value is not None})
    return raster


def _opened_again(source: Any, options: dict[str, Any]) -> Raster:
    return open_image(source, **options)


def _tiled(reader: Reader, path: Path, cache: Any, *, opener: Callable[[Path], Reader]) -> Reader:
    """Return a reader of a tiled copy of a file."""
    if cache is False:
        reader.close()
        raise ValueError("tiled=True keeps a copy and cache=False keeps none; leave one of them out")
    if isinstance(cache, str | os.PathLike):
        folder: Path | None = path.parent if cache == "beside" else Path(cache)
    else:
        folder = user_folder()
    if folder is None:  # which the log says
        return reader
    return TiledCopy(reader, path, folder, opener=opener, bounded=not isinstance(cache, str | os.PathLike))


def _kept_by_default(reader: Reader, kind: str, side_files: bool) -> bool:
    """Tell whether a copy is worth its place, and depends on the file alone."""
    root = reader.levels[0]
    return len(reader.levels) == 1 and root.width * root.height >= LARGE and kind != "vrt" and not side_files


def _local(source: str | os.PathLike[str]) -> Path:
    """Return the path of an existing plain file; what only looks like one is refused with the reason."""
    text = os.fspath(source)
    if not text or "\0" in text:
        raise RasterError(f"path {text!r} is not a file name; give the path of an image")
    if "://" in text or text.lower().startswith(("data:", "/vsi", "gtiff_dir:")):
        raise RasterError(f"{text[:80]!r} is not a local file; download it first and give its path")
    path = Path(text)
    if str(path.absolute()).lower().startswith("/vsi"):
        raise RasterError(f"{text[:80]!r} is a virtual path to GDAL; move the file into a folder of another name")
    try:
        path.stat()
    except FileNotFoundError:
        pass  # said below
    except OSError as error:  # a name that no file can have, a folder that is closed to us
        raise RasterError(f"{text[:80]!r} cannot be opened ({error.strerror}); check the path") from error
    if path.is_dir():
        raise RasterError(f"{path} is a folder; give one image file in it")
    if not path.exists():
        raise MissingRasterError(f"{path} does not exist; check the path, which counts from the current folder")
    if not path.is_file():
        raise RasterError(f"{path} is not a plain file; copy the image into one")
    if not path.stat().st_size:
        raise RasterError(f"{path} is empty (0 bytes); copy or download it again")
    return path


def _kind(path: Path, name: str) -> str:
    with path.open("rb") as handle:
        return sniff(handle.read(4096), name)


def _reader(
    source: Path | bytes, kind: str, name: str, limits: PixelLimits, backend: Backend, allow_vrt: bool
) -> Reader:
    if backend not in ("auto", "rasterio", "plain"):
        raise ValueError(f"backend={backend!r} is not known; use 'auto', 'rasterio' or 'plain'")
    if kind == "vrt":
        return _mosaic(source, name, limits, backend, allow_vrt)
    has_gdal = gdal.available()
    if backend == "rasterio" and (not has_gdal or kind not in gdal.DRIVERS):
        raise RasterError(
            f"{name}: rasterio is not installed or does not read {kind.upper()} here; leave backend='auto'"
        )
    use_gdal = has_gdal and backend != "plain" and kind in gdal.DRIVERS
    if kind in ("png", "jpeg") and use_gdal and backend == "auto":
        use_gdal = _wants_gdal(source, kind, name, limits)
    if kind == "tiff":
        check_directories(source, name)
    if use_gdal:
        reader = gdal.GdalReader(source, kind, name=name, limits=limits)
        return _with_opacity(reader, source, limits, backend) if kind == "tiff" and reader.turns_inks else reader
    if kind == "tiff":
        return _plain_tiff(source, name, limits)
    return PillowReader(source, kind, name=name, limits=limits)


def _mosaic(source: Path | bytes, name: str, limits: PixelLimits, backend: Backend, allow_vrt: bool) -> Reader:
    """Open a VRT, each of its sources as a file of its own."""
    if not allow_vrt:
        raise RasterError(
            f"{name}: is a GDAL virtual file, which names other files; set allow_vrt=True to open those under its folder"
        )
    if isinstance(source, bytes):
        raise RasterError(f"{name}: the bytes of a GDAL virtual file do not say where its sources are; give its path")

    def opened(path: Path) -> Reader:
        try:
            kind = _kind(path, path.name)
        except RasterError:  # says how the file begins, which is not for everyone who may write a VRT
            raise RasterError(f"{name}: its source {path.name!r} is not an image of a kind that is read") from None
        if kind == "vrt":
            raise RasterError(f"{name}: its source {path.name!r} is a VRT itself; convert that to a GeoTIFF first")
        return _reader(path, kind, f"{name}: its source {path.name}", limits, backend, False)

    return MosaicReader(read_vrt(source, name), name=name, opener=opened, crs=stated_crs)


def _plain_tiff(source: Path | bytes, name: str, limits: PixelLimits) -> Reader:
    """Read a TIFF block by block where that is possible without GDAL, else whole through Pillow."""
    handle: Any = io.BytesIO(source) if isinstance(source, bytes) else source.open("rb")
    try:
        return TiffReader(handle, name=name, limits=limits, path=source if isinstance(source, Path) else None)
    except Unsupported as why:
        handle.close()
        return PillowReader(
            source,
            "tiff",
            name=name,
            limits=limits,
            place=why.place,
            nodata=why.nodata,
            opaque=why.opaque,
            refused=str(why),
            notes=why.notes,
        )
    except RasterError:
        handle.close()
        raise


def _with_opacity(found: gdal.GdalReader, source: Path | bytes, limits: PixelLimits, backend: Backend) -> Reader:
    """Return a reader that knows the opacity beside the inks of a TIFF, or that says in its notes that it does not."""
    plain = _plain_tiff(source, found.name, limits)
    if backend == "auto" and "alpha" in plain.layout.colours:
        found.close()
        return plain
    if "alpha" in plain.layout.colours:
        found.notes = (*found.notes, "the opacity beside its inks is not read by rasterio; backend='plain' reads it")
    plain.close()
    return found


def _wants_gdal(source: Path | bytes, kind: str, name: str, limits: PixelLimits) -> bool:
    """Tell whether a PNG or JPEG is better read in pieces, or has numbers that Pillow would cut to 8 bits."""
    if kind == "png":
        if isinstance(source, bytes):
            head = source[:33]
        else:
            with source.open("rb") as handle:
                head = handle.read(33)
        width, height, depth, colour = png_header(head, name)
        return width * height > limits.small or (depth == 16 and colour != 0)
    probe = PillowReader(source, kind, name=name, limits=limits)
    root = probe.levels[0]
    return root.width * root.height > limits.small
