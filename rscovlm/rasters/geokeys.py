"""Where a GeoTIFF lies, from its tags."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from rscovlm.geometry.affine import Affine6
from rscovlm.rasters.georeference import NO_RATIONAL, between_points
from rscovlm.rasters.reader import Place

SCALE, TIEPOINTS, MATRIX, DIRECTORY, RATIONAL = 33550, 33922, 34264, 34735, 50844
RASTER_TYPE, GEOGRAPHIC, PROJECTED = 1025, 2048, 3072
POINT, USER_DEFINED = 2, 32767


def tiff_place(tags: Any) -> Place:
    """Return the place that GeoTIFF tags state.

    Args:
        tags: tifffile's tags of the main image.
    """
    keys = _keys(tags)
    crs, notes = _crs(keys)
    shift = 0.5 if keys.get(RASTER_TYPE) == POINT else 0.0
    matrix, scale, ties = (_numbers(tags, tag) for tag in (MATRIX, SCALE, TIEPOINTS))
    points = np.empty((0, 6)) if ties is None or len(ties) % 6 else ties.reshape(-1, 6)
    # Of a file that has both, against the standard, GDAL takes the scale.
    if len(points) and scale is not None and len(scale) >= 2 and scale[0] and scale[1]:
        column, row, _, x, y, _ = points[0]
        across, down = float(scale[0]), -float(scale[1])
        place: Affine6 = (across, 0.0, float(x - (column + shift) * across), 0.0, down, float(y - (row + shift) * down))
        return Place(place, crs, notes)
    if matrix is not None and len(matrix) == 16:
        a, b, c, d, e, f = (float(matrix[k]) for k in (0, 1, 3, 4, 5, 7))
        if a * e - b * d:
            return Place((a, b, c - shift * (a + b), d, e, f - shift * (d + e)), crs, notes)
    if len(points) >= 3:
        fitted = between_points(points[:, :2] + shift, points[:, 3:5], crs, degrees=PROJECTED not in keys)
        if fitted is not None:
            return replace(fitted, notes=(*notes, *fitted.notes))
    return Place(None, crs, (*notes, NO_RATIONAL) if tags.valueof(RATIONAL) is not None else notes)


def _numbers(tags: Any, tag: int) -> Any:
    value = tags.valueof(tag)
    if value is None:
        return None
    numbers = np.asarray(value, dtype=np.float64).ravel()
    return numbers if np.isfinite(numbers).all() else None


def _keys(tags: Any) -> dict[int, int]:
    """Return the GeoTIFF keys whose values are short integers."""
    directory = tags.valueof(DIRECTORY)
    if directory is None:
        return {}
    entries = np.asarray(directory, dtype=np.int64).ravel()
    rows = entries[4 : 4 + len(entries[4:]) // 4 * 4].reshape(-1, 4)
    return {int(key): int(value) for key, tag, _, value in rows if tag == 0}


def _crs(keys: dict[int, int]) -> tuple[str | None, tuple[str, ...]]:
    for key in (PROJECTED, GEOGRAPHIC):
        code = keys.get(key)
        if code == USER_DEFINED:
            return None, ("its coordinate system is described without an EPSG code; install rscovlm[geo] to use it",)
        if code is not None:
            return f"EPSG:{code}", ()
    return None, ()
