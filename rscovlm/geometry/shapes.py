"""Areas bounded by rings, as shapely's polygons: one rule for rings that cross, hold holes or lie apart."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import shapely
from numpy.typing import ArrayLike, NDArray

from rscovlm.geometry.affine import Floats


def shape_of(rings: Iterable[ArrayLike]) -> Any:
    """Return what an odd number of rings encloses, as a valid polygon or multipolygon; empty where that is nothing.

    A ring that crosses itself encloses what its line goes round an odd number of times: of a figure of eight both loops. Lines and points that are left have no area and are dropped.

    Args:
        rings: (k, 2) corners of each; the first may be repeated at the end. One of fewer than three corners encloses nothing.

    >>> shape_of([[(0, 0), (4, 4), (4, 0), (0, 4)]]).area
    8.0
    >>> shape_of([[(0, 0), (9, 0), (9, 9), (0, 9)], [(3, 3), (6, 3), (6, 6), (3, 6)]]).area
    72.0
    """
    parts = [_area(ring) for ring in map(np.asarray, rings) if len(ring) > 2]
    if len(parts) > 1 and _disjoint(parts):
        return shapely.multipolygons(shapely.get_parts(parts))
    while len(parts) > 1:
        pairs = [parts[at : at + 2] for at in range(0, len(parts), 2)]
        parts = [_areas_of(shapely.symmetric_difference(*pair)) if len(pair) == 2 else pair[0] for pair in pairs]
    return parts[0] if parts else shapely.Polygon()


def rings_of(shape: Any) -> list[Floats]:
    """Return the rings of a polygon or multipolygon, (k, 2) each, the first corner not repeated.

    Each outer ring is followed by its holes. Outer rings run clockwise on screen (y down), holes the other way.

    >>> [ring.tolist() for ring in rings_of(shapely.box(0, 0, 2, 1))]
    [[[0.0, 0.0], [2.0, 0.0], [2.0, 1.0], [0.0, 1.0]]]
    """
    rings = []
    for part in shapely.get_parts(shape):
        if part.geom_type == "Polygon" and not part.is_empty:
            rings += [directed(corners(part.exterior), clockwise=True)]
            rings += [directed(corners(hole), clockwise=False) for hole in part.interiors]
    return rings


def shape_of_directed(rings: Sequence[Floats]) -> Any:
    """Return the area of rings that neither cross nor share sides and whose direction tells outer ones from holes, as `trace` gives them.

    Args:
        rings: (k, 2) each; outer ones clockwise on screen, holes the other way.
    """
    outer = [ring for ring in rings if signed_area(ring) > 0]
    holes = [ring for ring in rings if signed_area(ring) < 0]
    if not outer:
        return shapely.Polygon()
    if not holes:
        return _joined([shapely.Polygon(ring) for ring in outer])
    own: list[list[Floats]] = [[] for _ in outer]
    solid = np.array([shapely.Polygon(ring) for ring in outer])
    inner = np.array([shapely.Polygon(hole) for hole in holes])
    # Outer rings inside a hole lie inside the area around it too: the smallest one around a hole is its own.
    pairs = shapely.STRtree(solid).query(inner, predicate="within")
    sizes = shapely.area(solid)
    for hole in range(len(holes)):
        around = pairs[1][pairs[0] == hole]
        own[int(around[np.argmin(sizes[around])])].append(holes[hole])
    return _joined([shapely.Polygon(ring, inside) for ring, inside in zip(outer, own, strict=True)])


def corners(ring: Any) -> Floats:
    """Return the corners of a linear ring, (k, 2), the first not repeated."""
    return np.asarray(shapely.get_coordinates(ring))[:-1]


def signed_area(ring: Floats) -> float:
    """Return the area that a ring encloses: positive where it runs clockwise on screen (x right, y down)."""
    # From the first corner, so that large coordinates cost no digits and the closing side adds nothing.
    x, y = (ring - ring[0]).T
    return float(np.dot(x[:-1], y[1:]) - np.dot(x[1:], y[:-1])) / 2


def directed(ring: Floats, *, clockwise: bool = True) -> Floats:
    """Return a ring that begins with its topmost, then leftmost corner and runs in one direction on screen."""
    ring = ring if (signed_area(ring) >= 0) == clockwise else ring[::-1]
    return np.roll(ring, -int(np.lexsort((ring[:, 0], ring[:, 1]))[0]), axis=0)


def shape_iou(one: Any, two: Any) -> float:
    """Return the area that two valid shapes share over that of both together; 1 for two empty ones."""
    shared = float(shapely.intersection(one, two).area)
    whole = float(one.area + two.area) - shared
    return shared / whole if whole > 0 else 1.0


def _area(ring: Floats) -> Any:
    polygon = shapely.Polygon(ring)
    if polygon.is_valid:
        return polygon
    # The faces between the lines, those of them that the ring goes round an odd number of times: GEOS's ``make_valid``
    # loses some where the ring runs along one side twice.
    lines = shapely.node(shapely.linestrings(np.concatenate([ring, ring[:1]])))
    faces = shapely.get_parts(shapely.polygonize(shapely.get_parts(lines)))
    if not len(faces):
        return shapely.Polygon()
    inside = shapely.get_coordinates(shapely.point_on_surface(faces))
    return _areas_of(shapely.union_all(faces[_odd(np.asarray(ring, np.float64), inside)]))


def _odd(ring: Floats, points: Floats) -> NDArray[np.bool_]:
    """Tell of points, (n, 2), whether a line from each to the right crosses a ring an odd number of times."""
    (x1, y1), (x2, y2) = ring.T, np.roll(ring, -1, axis=0).T
    x, y = points[:, :1], points[:, 1:]
    crosses = (y1 > y) != (y2 > y)
    with np.errstate(divide="ignore", invalid="ignore"):
        at = x1 + (y - y1) * (x2 - x1) / (y2 - y1)
    return np.asarray((crosses & (at > x)).sum(axis=1) % 2 == 1)


def _areas_of(shape: Any) -> Any:
    """Return the polygons of a shape without its lines and points."""
    parts = [piece for part in shapely.get_parts(shape) for piece in shapely.get_parts(part)]
    return _joined([part for part in parts if part.geom_type == "Polygon"])


def _joined(polygons: Sequence[Any]) -> Any:
    return (
        polygons[0] if len(polygons) == 1 else shapely.MultiPolygon(list(polygons)) if polygons else shapely.Polygon()
    )


def _disjoint(parts: Sequence[Any]) -> bool:
    """Tell whether no two bounding boxes meet."""
    boxes = shapely.box(*np.array([part.bounds or (0, 0, 0, 0) for part in parts]).T)
    pairs = shapely.STRtree(boxes).query(boxes, predicate="intersects")
    return bool((pairs[0] == pairs[1]).all()) and not any(part.is_empty for part in parts)
