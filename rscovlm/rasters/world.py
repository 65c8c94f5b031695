"""From pixels to map coordinates, and from one coordinate reference system to another."""

from __future__ import annotations

import numpy as np

from rscovlm.geometry import Frame
from rscovlm.geometry.affine import Floats, apply

WGS84 = "EPSG:4326"
LONGITUDE_LATITUDE = (WGS84, "OGC:CRS84")


def to_map(points: Floats, frame: Frame, crs: str | None = WGS84) -> Floats:
    """Map pixels to coordinates: x east (or longitude), y north (or latitude).

    Args:
        points: (n, 2) pixels of `frame`.
        frame: A grid that knows its place on the ground.
        crs: Coordinate reference system wanted, longitude and latitude by default; None for the image's own.

    Returns:
        (n, 2) coordinates.

    Raises:
        ValueError: The frame has no map coordinates, or the coordinates cannot be changed into that system.
    """
    affine = frame.to_world()
    if affine is None:
        raise ValueError(
            "the image has no map coordinates; give one with a world file or geotransform, or use its pixels"
        )
    ground = apply(affine, points)
    if crs is None or crs == frame.crs or (crs in LONGITUDE_LATITUDE and frame.crs in LONGITUDE_LATITUDE):
        return ground
    if frame.crs is None:
        raise ValueError(
            f"the image does not say its coordinate system, so {crs} cannot be had; use crs=None for its own"
        )
    return transformed(ground, frame.crs, crs)


def transformed(points: Floats, source: str, target: str) -> Floats:
    """Change (n, 2) coordinates from one coordinate reference system to another, x before y in both.

    Raises:
        ValueError: rasterio is not installed, a system is not known, or a point has no place in the new one.
    """
    if not len(points):
        return points
    try:
        from rasterio.crs import CRS
        from rasterio.errors import CRSError, RasterioError
        from rasterio.warp import transform
    except ImportError:
        raise ValueError(
            f"coordinates in {source[:40]} cannot be changed to {target} without rasterio; install rscovlm[geo], or "
            "use crs=None for the image's own system"
        ) from None
    try:
        old, new = CRS.from_user_input(source), CRS.from_user_input(target)
        xs, ys = transform(old, new, points[:, 0].tolist(), points[:, 1].tolist())
    except (CRSError, RasterioError, ValueError) as error:
        raise ValueError(f"coordinates in {source[:40]} cannot be changed to {target[:40]}: {error}") from error
    changed = np.stack([np.asarray(xs, dtype=np.float64), np.asarray(ys, dtype=np.float64)], axis=1)
    if not np.isfinite(changed).all():
        row = int(np.flatnonzero(~np.isfinite(changed).all(axis=1))[0])
        raise ValueError(f"point {row} ({points[row].tolist()} in {source[:40]}) has no place in {target[:40]}")
    return changed
