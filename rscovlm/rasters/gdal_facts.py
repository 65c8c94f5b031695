"""What GDAL says of an open file, in our terms: levels, bands, mask, type of its numbers, place."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from rscovlm.geometry.affine import IDENTITY, Affine6
from rscovlm.rasters.crs import crs_name, north_first
from rscovlm.rasters.georeference import NO_RATIONAL, between_points, world_file
from rscovlm.rasters.jp2_boxes import GmlGrid, grid_transform
from rscovlm.rasters.reader import BandLayout, Level, Place

GML_UNKNOWN = "the coordinate system of its GMLJP2 is not known"


def level_of(file: Any) -> Level:
    """Return the size of a file and of its blocks."""
    height, width = file.block_shapes[0]
    return Level(file.width, file.height, min(width, file.width), min(height, file.height))


def layout_of(file: Any) -> BandLayout:
    """Return what the numbers of a file mean, band by band."""
    colours = tuple(interpretation.name for interpretation in file.colorinterp)
    if file.count == 3 and colours[1:] == ("undefined", "undefined"):
        colours = ("undefined",) * 3
    palette = None
    if colours[0] == "palette":
        table = file.colormap(1)
        palette = np.zeros((max(table) + 1, 4), dtype=np.uint8)
        for index, entry in table.items():
            palette[index] = entry
    bits = file.tags(1, ns="IMAGE_STRUCTURE").get("NBITS")
    return BandLayout(
        colours=colours,
        dtype=dtype_of(file),
        nodata=tuple(file.nodatavals),
        palette=palette,
        masked=has_mask(file),
        bits=int(bits) if bits is not None and palette is None else None,
        white_is_zero=file.tags(ns="IMAGE_STRUCTURE").get("MINISWHITE") == "YES",
        descriptions=tuple(told or "" for told in file.descriptions),
        alpha_top=float(np.iinfo(file.dtypes[0]).max) if file.driver == "PNG" else None,
    )


def has_mask(file: Any) -> bool:
    """Tell whether a file has a mask of its own, apart from alpha and no-data values."""
    from rasterio.enums import MaskFlags

    flags = file.mask_flag_enums[0]
    return MaskFlags.per_dataset in flags and MaskFlags.alpha not in flags


def dtype_of(file: Any) -> np.dtype[Any]:
    """Return the type that numbers of a file are read as; numpy has no complex integers."""
    return np.dtype("complex64" if file.dtypes[0] == "complex_int16" else file.dtypes[0])


def place_of(file: Any, path: Path | None) -> Place:
    """Return where a file lies on the map: its own transform, its control points, or the world file of a path."""
    transform: Affine6 = tuple(float(v) for v in file.transform[:6])  # type: ignore[assignment]
    crs = crs_name(file.crs)
    if transform != IDENTITY:
        return Place(transform, crs)
    points, points_crs = file.gcps
    if len(points) >= 3:
        pixels, places = [(p.col, p.row) for p in points], [(p.x, p.y) for p in points]
        degrees = points_crs is not None and points_crs.is_geographic
        fitted = between_points(pixels, places, crs_name(points_crs), degrees=degrees)
        if fitted is not None:
            return fitted
    if path is not None:
        numbers = world_file(path)
        if numbers is not None:
            return Place(numbers, crs)
    if file.rpcs is not None:
        return Place(None, crs, (NO_RATIONAL,))
    return Place(None, crs)


def names_overviews(file: Any) -> bool:
    """Tell whether metadata name an overview file, in GDAL's own view of them: it is GDAL that would open it."""
    return any(file.tags(ns=name) for name in file.tag_namespaces() if name.casefold() == "overviews")


def overview_count(file: Any) -> int:
    """Return how many overviews a file holds; GDAL is not asked where it would open another file to tell."""
    return 0 if names_overviews(file) else len(file.overviews(1))


def grid_place(grid: GmlGrid) -> Place:
    """Return the place that GMLJP2 states."""
    if grid.code is None:
        return Place(grid_transform(grid, north_first=False), None, (GML_UNKNOWN,))
    try:
        return Place(grid_transform(grid, north_first(grid.code)), f"EPSG:{grid.code}")
    except ValueError as error:
        return Place(grid_transform(grid, north_first=False), None, (f"{GML_UNKNOWN} ({error})",))
