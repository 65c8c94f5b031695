"""Where an image lies, from side files and ground control points."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rscovlm.geometry.affine import Affine6
from rscovlm.geometry.control_points import spanning
from rscovlm.rasters.crs import is_geographic
from rscovlm.rasters.reader import Place

NO_RATIONAL = (
    "it has rational polynomial coefficients, which are not used: no map coordinates; rectify it first (gdalwarp -rpc)"
)

EXACT = 0.1
"""R.m.s. pixels within which an affine map is taken for what control points mean."""


def between_points(pixels: Any, world: Any, crs: str | None, *, degrees: bool) -> Place | None:
    """Return the place of an image of which only some points are placed (radar, scanned maps, raw aerial pictures).

    Args:
        pixels: (n, 2) x and y of the points.
        world: (n, 2) X and Y of each, in units of `crs`.
        crs: Coordinate reference system.
        degrees: Whether X is a longitude, which jumps at the 180th meridian.

    Returns:
        An affine map where one meets the points within `EXACT`, else control points; None where they are on one line.

    Example:
        >>> place = between_points([(0, 0), (10, 0), (0, 10)], [(5, 50), (25, 50), (5, 30)], None, degrees=False)
        >>> [round(value) for value in place.to_world], place.control
        ([2, 0, 5, 0, -2, 50], None)
    """
    places = np.array(world, dtype=np.float64)
    if degrees and np.ptp(places[:, 0]) > 180:
        places[:, 0] += 360 * (places[:, 0] < 0)
    points = spanning(np.asarray(pixels, dtype=np.float64), places)
    if points is None:
        return None
    count, off = len(points.pixels), points.affine_error
    if off <= EXACT:
        note = f"map coordinates are an affine fit to {count} ground control points, r.m.s. {off:.3g} pixels"
        return Place(points.affine, crs, (note,), accuracy=off if count > 3 else None)
    note = f"map coordinates are interpolated between {count} ground control points"
    if points.error is not None:
        note += f"; one that is left out is missed by {points.error:.3g} pixels (r.m.s.), an affine fit by {off:.3g}"
    return Place(points.affine, crs, (note,), points, points.error)


def points_place(points: Sequence[tuple[float, float, float, float]], crs: str | None) -> Place | None:
    """Return the place of an image of which some points (x, y, X, Y) are placed; None where they are on one line."""
    pixels, world = np.hsplit(np.asarray(points, dtype=np.float64), 2)
    return between_points(pixels, world, crs, degrees=is_geographic(crs))


def world_file(path: Path) -> Affine6 | None:
    """Read the six numbers of a world file (.tfw, .pgw, .jgw, .wld) beside an image, if there is one.

    Its last two numbers are the centre of the first pixel; the result maps that pixel's outer corner.
    """
    for candidate in world_files(path):
        try:
            a, d, b, e, x, y = (float(line) for line in candidate.read_text("ascii").split()[:6])
        except ValueError:
            continue
        if all(map(math.isfinite, (a, b, d, e, x, y))) and a * e - b * d != 0:
            return (a, b, x - a / 2 - b / 2, d, e, y - d / 2 - e / 2)
    return None


def unread(path: Path) -> Iterator[str]:
    """Say which files beside an image without a place may hold one that is not read."""
    for candidate in world_files(path):
        yield f"{candidate.name} beside it does not hold the six numbers of a world file and is not used"
    for ending in (".tab", ".map", ".aux"):
        if beside(path, f"{path.stem}{ending}") is not None:
            yield f"{path.stem}{ending} beside it is not read; where it holds map coordinates, write a GeoTIFF"


def beside(path: Path, name: str) -> Path | None:
    """Return a plain file beside an image; None if there is none, or a link that leads to another folder."""
    candidate = path.with_name(name)
    if not candidate.is_file():
        return None
    # A file of the Hub's cache is itself a link, into a folder where all files of a repository lie.
    folders = (path.absolute().parent.resolve(), path.resolve().parent)
    return candidate if candidate.resolve().parent in folders else None


def world_files(path: Path) -> Iterator[Path]:
    """Yield the files beside an image that are called like its world file, whatever the case."""
    suffix = path.suffix.lstrip(".").lower()
    short = f"{suffix[:1]}{suffix[-1:]}w" if len(suffix) > 1 else f"{suffix}w"
    for ending in dict.fromkeys((f".{short}", f".{suffix}w", ".wld")):
        for name in (path.with_suffix(ending).name, path.with_suffix(ending.upper()).name):
            candidate = beside(path, name)
            if candidate is not None and candidate.stat().st_size <= 4096:
                yield candidate
