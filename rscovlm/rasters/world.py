"""From pixels to map coordinates, and from one coordinate reference system to another."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache, partial
from typing import Any

import numpy as np

from rscovlm.geometry import Frame
from rscovlm.geometry.affine import Floats
from rscovlm.rasters.crs import check_crs, crs_name, read_crs
from rscovlm.rasters.gdal_errors import translated
from rscovlm.rasters.reader import Place

WGS84 = "EPSG:4326"
LONGITUDE_LATITUDE = (WGS84, "OGC:CRS84")
FARTHEST = (720.0, 95.0)
"""Longitude and latitude beyond which numbers are no degrees: grids of the world overstep the poles by half a cell."""


def to_map(points: Floats, frame: Frame, crs: str | None = WGS84) -> Floats:
    """Map pixels to coordinates: x east (or longitude), y north (or latitude).

    Args:
        points: (n, 2) pixels of `frame`.
        frame: A grid that knows its place on the ground.
        crs: Coordinate reference system wanted, longitude and latitude by default; None for the image's own.

    Returns:
        (n, 2) coordinates.

    Raises:
        ValueError: The frame has no map coordinates, or the coordinates cannot be changed into that system, or they are
            no longitudes and latitudes though the image says so.
    """
    return in_other_system(frame.places(points), frame.crs, crs)


def in_other_system(places: Floats, own: str | None, crs: str | None) -> Floats:
    """Return (n, 2) coordinates of images in the system wanted; see `to_map`.

    Args:
        places: (n, 2) coordinates in the images' own system.
        own: That system; None where it is not known.
        crs: System wanted; None for their own.

    Raises:
        ValueError: As for `to_map`.
    """
    if crs is None or crs == own or (crs in LONGITUDE_LATITUDE and own in LONGITUDE_LATITUDE):
        return _in_world(places, own) if crs in LONGITUDE_LATITUDE else places
    if own is None:
        raise ValueError(
            f"the image does not say its coordinate system, so {crs} cannot be computed; use crs=None for its own"
        )
    changed = transformed(places, own, crs)
    return _in_world(changed, own) if crs in LONGITUDE_LATITUDE else changed


@lru_cache(maxsize=256)
def one_way(own: str | None, crs: str | None) -> bool:
    """Tell whether there is but one way from a system to another, so that points of many images can be changed at once.

    Between two datums GDAL takes the way that is best where the points lie on average, so that the points of one image
    would be changed by way of another's.
    """
    if crs is None or own is None or own == crs:
        return True
    if crs not in LONGITUDE_LATITUDE:
        return False
    try:
        text = str(read_crs(own).to_wkt())
    except (ImportError, ValueError):
        return False
    return 'DATUM["WGS_1984"' in text and "TOWGS84" not in text and "COMPD_CS" not in text


def _in_world(degrees: Floats, own: str | None) -> Floats:
    """Return longitudes and latitudes; metres that a file calls degrees are refused, which would lie anywhere."""
    beyond = np.flatnonzero((np.abs(degrees) > FARTHEST).any(axis=1))
    if len(beyond):
        x, y = degrees[beyond[0]].tolist()
        raise ValueError(
            f"the image's coordinate system, {str(own)[:40]}, makes ({x:g}, {y:g}) of a place, which is no longitude and "
            "latitude; open the image with the system that its numbers are in (crs=..., --crs)"
        )
    return degrees


def in_system(place: Place, crs: str) -> tuple[Place, tuple[str, ...]]:
    """Return a place in a coordinate reference system that its caller knows, and what is to be said of that.

    Raises:
        ValueError: The system is not known.
    """
    named = _known(crs)
    note = None
    if place.to_world is None:
        note = f"crs={named[:40]} is of no use: it has no map coordinates"
    elif place.crs is not None and place.crs != named:
        note = f"its coordinate system, {place.crs[:40]}, is taken for {named[:40]}, as the caller says"
    return replace(place, crs=named), () if note is None else (note,)


def _known(crs: str) -> str:
    advice = "give an EPSG code such as 'EPSG:32633', or WKT"
    if not isinstance(crs, str) or not crs.strip():
        raise ValueError(f"crs={crs!r} is no coordinate reference system; {advice}")
    try:
        return crs_name(read_crs(crs)) or crs
    except ImportError:
        check_crs(crs.strip())
        return crs.strip().upper() if "[" not in crs else crs.strip()
    except ValueError as error:
        raise ValueError(f"crs={crs[:40]!r} is not known ({error}); {advice}") from error


def is_degrees(crs: str) -> bool:
    """Tell whether a system's coordinates are longitudes and latitudes; needs rasterio."""
    return bool(read_crs(crs).is_geographic)


def transformed(points: Floats, source: str, target: str, *, anywhere: bool = False) -> Floats:
    """Change (n, 2) coordinates from one coordinate reference system to another, x before y in both.

    Args:
        points: (n, 2) coordinates.
        source: Their system.
        target: System wanted.
        anywhere: Points without a place in the new system come out as infinite, where this is no error.

    Raises:
        ValueError: rasterio is not installed, a system is not known or names a file, or a point has no place in the
            new one.
    """
    if not len(points):
        return points
    try:
        old, new = read_crs(source), read_crs(target)
    except ValueError as error:
        raise ValueError(f"coordinates in {source[:40]} cannot be changed to {target[:40]}: {error}") from error
    except ImportError:
        raise ValueError(
            f"coordinates in {source[:40]} cannot be changed to {target} without rasterio; install rscovlm[geo], or "
            "use crs=None for the image's own system"
        ) from None
    what = f"coordinates in {source[:40]} cannot be changed to {target[:40]}"
    change = partial(_changed, old=old, new=new, what=what)
    changed = _where_possible(points, change) if anywhere else change(points)
    if not anywhere and not np.isfinite(changed).all():
        row = int(np.flatnonzero(~np.isfinite(changed).all(axis=1))[0])
        raise ValueError(f"point {row} ({points[row].tolist()} in {source[:40]}) has no place in {target[:40]}")
    return changed


def _changed(points: Floats, old: Any, new: Any, what: str) -> Floats:
    from rasterio.warp import transform

    with translated(what):
        return np.stack(transform(old, new, points[:, 0].tolist(), points[:, 1].tolist()), axis=1, dtype=np.float64)


def _where_possible(points: Floats, change: Callable[[Floats], Floats]) -> Floats:
    """Return infinity for the points that have no place: one of them makes GDAL refuse all that it is given at once."""
    try:
        return change(points)
    except ValueError:
        if len(points) == 1:
            return np.full((1, 2), np.inf)
    half = len(points) // 2
    return np.concatenate([_where_possible(part, change) for part in (points[:half], points[half:])])
