"""Ground sample distance: metres on the ground along one pixel."""

from __future__ import annotations

import math
import re

import numpy as np

from rscovlm.geometry import Frame
from rscovlm.rasters.crs import is_geographic, read_crs

_DEGREE = 111_319.49
"""Metres of a degree on the equator of WGS 84."""
_RADIUS = 6_378_137.0
_UTM = re.compile(r"EPSG:(326|327|258|269)\d\d", re.IGNORECASE)
_MERCATOR = ("EPSG:3857", "EPSG:900913", "EPSG:3785")


def ground_sample_distance(frame: Frame) -> float | None:
    """Return the metres per pixel of a frame: as stated with it, else by its coordinate reference system.

    Args:
        frame: A grid; what it shows at a quarter of the size has four times the distance.

    Returns:
        The root of the area of a pixel in square metres, in the middle of the grid; None where nothing says it.

    >>> utm = Frame(800, 600, root_to_world=(0.5, 0, 600_000, 0, -0.5, 5_300_000), crs="EPSG:32632")
    >>> ground_sample_distance(utm), ground_sample_distance(utm.resized(200, 150))
    (0.5, 2.0)
    >>> round(ground_sample_distance(Frame(9, 9, root_to_world=(1e-5, 0, 7, 0, -1e-5, 60), crs="OGC:CRS84")), 3)
    0.787
    """
    if frame.ground is not None:
        return frame.ground * frame.root_pixels
    world = frame.to_world()
    if world is None or frame.crs is None:
        return None
    a, b, _, d, e, _ = world
    side = math.sqrt(abs(a * e - b * d))
    middle = frame.places(np.array([[frame.width / 2, frame.height / 2]]))
    metres = _metres(frame.crs, float(middle[0, 1]))
    return None if metres is None else side * metres


def _metres(crs: str, north: float) -> float | None:
    """Return the metres of one unit of a system, on average over both directions; None where it is not known."""
    name = crs.strip().upper()
    if name in _MERCATOR:  # stretched by the secant of the latitude
        return 1 / math.cosh(north / _RADIUS)
    if _UTM.fullmatch(name):
        return 1.0
    if name in ("EPSG:4326", "OGC:CRS84") or is_geographic(crs):
        shrunk = math.cos(math.radians(min(abs(north), 90.0)))
        return _DEGREE * math.sqrt(shrunk) if shrunk > 1e-9 else None
    try:
        known = read_crs(crs)
        return float(known.linear_units_factor[1]) if known.is_projected else None
    except (ImportError, ValueError):
        return None
