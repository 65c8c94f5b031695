"""Where an image lies, from side files and ground control points."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from rscovlm.geometry.affine import Affine6

NO_RATIONAL = "it has rational polynomial coefficients, which are not used: no map coordinates"


def fit_affine(
    pixels: Sequence[tuple[float, float]], world: Sequence[tuple[float, float]]
) -> tuple[Affine6 | None, float]:
    """Fit the affine map that takes pixels (x, y) to world coordinates with the least squared error.

    Returns:
        The map, and its r.m.s. error in pixels; None and infinity when the points lie on one line.

    Example:
        >>> affine, residual = fit_affine([(0, 0), (10, 0), (0, 10)], [(5, 50), (25, 50), (5, 30)])
        >>> [round(value) for value in affine], residual < 1e-9
        ([2, 0, 5, 0, -2, 50], True)
    """
    source, target = np.asarray(pixels, dtype=np.float64), np.asarray(world, dtype=np.float64)
    centre, middle = source.mean(axis=0), target.mean(axis=0)
    solution, _, rank, _ = np.linalg.lstsq(source - centre, target - middle, rcond=None)
    linear = solution.T
    if rank < 2 or abs(np.linalg.det(linear)) == 0:
        return None, math.inf
    offset = middle - linear @ centre
    error = target - (source @ linear.T + offset)
    residual = float(np.sqrt((np.linalg.solve(linear, error.T) ** 2).sum(axis=0).mean()))
    (a, b), (d, e) = linear.tolist()
    return (a, b, float(offset[0]), d, e, float(offset[1])), residual


def fit_note(count: int, residual: float) -> str:
    """Say that a place is such a fit, of so many points and with what error in pixels."""
    return f"map coordinates are an affine fit to {count} ground control points, r.m.s. {residual:.3g} pixels"


def world_file(path: Path) -> Affine6 | None:
    """Read the six numbers of a world file (.tfw, .pgw, .jgw, .wld) beside an image, if there is one.

    Its last two numbers are the centre of the first pixel; the result maps that pixel's outer corner.
    """
    for candidate in _world_files(path):
        try:
            a, d, b, e, x, y = (float(line) for line in candidate.read_text("ascii").split()[:6])
        except ValueError:
            continue
        if all(map(math.isfinite, (a, b, d, e, x, y))) and a * e - b * d != 0:
            return (a, b, x - a / 2 - b / 2, d, e, y - d / 2 - e / 2)
    return None


def unread(path: Path) -> Iterator[str]:
    """Say which files beside an image without a place may hold one that is not read."""
    for candidate in _world_files(path):
        yield f"{candidate.name} beside it does not hold the six numbers of a world file and is not used"
    aux = path.with_name(f"{path.name}.aux.xml")
    if aux.is_file():
        yield f"{aux.name} beside it is not read; where it holds map coordinates, write a GeoTIFF"


def _world_files(path: Path) -> Iterator[Path]:
    """Yield the files beside an image that are called like its world file, whatever the case."""
    suffix = path.suffix.lstrip(".").lower()
    short = f"{suffix[:1]}{suffix[-1:]}w" if len(suffix) > 1 else f"{suffix}w"
    for ending in dict.fromkeys((f".{short}", f".{suffix}w", ".wld")):
        for candidate in (path.with_suffix(ending), path.with_suffix(ending.upper())):
            if candidate.is_file() and candidate.stat().st_size <= 4096:
                yield candidate
