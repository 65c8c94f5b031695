"""Conversions between horizontal boxes, oriented boxes and quadrilaterals, as plain arrays."""

from __future__ import annotations

from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from rscovlm.geometry.affine import Affine6, Floats, apply

Kind: TypeAlias = Literal["hbb", "obb", "quad"]

COLUMNS: dict[Kind, int] = {"hbb": 4, "obb": 5, "quad": 8}
"""Numbers per box of each kind."""

_TIE = 1e-12
"""Relative difference below which two rectangles, or two sides of one, count as equal: their rounding noise."""

_CHUNK = 8192


def convert(coords: Floats, kind: Kind, wanted: Kind) -> Floats:
    """Return boxes of `kind`, (n, k), as boxes of `wanted`.

    To a horizontal box: the smallest one around. To an oriented box: the rectangle of smallest area around.
    """
    if kind == wanted:
        return coords
    if wanted == "hbb":
        return bounds(coords, kind)
    if wanted == "quad":
        return _hbb_to_quad(coords) if kind == "hbb" else _obb_to_quad(coords)
    return _hbb_to_obb(coords) if kind == "hbb" else smallest_rectangle(coords.reshape(-1, 4, 2))


def bounds(coords: Floats, kind: Kind) -> Floats:
    """Return the smallest horizontal boxes around boxes of `kind`, (n, 4)."""
    if kind == "hbb":
        return coords
    if kind == "quad":
        x, y = coords[:, 0::2], coords[:, 1::2]
        return np.stack([x.min(1), y.min(1), x.max(1), y.max(1)], axis=1)
    cos, sin = _direction(coords[:, 4])
    half_w, half_h = coords[:, 2] / 2, coords[:, 3] / 2
    reach = np.stack([np.abs(cos) * half_w + np.abs(sin) * half_h, np.abs(sin) * half_w + np.abs(cos) * half_h], axis=1)
    return np.concatenate([coords[:, :2] - reach, coords[:, :2] + reach], axis=1)


def mapped(coords: Floats, kind: Kind, affine: Affine6) -> Floats:
    """Return boxes of `kind` carried through an affine map.

    A horizontal box becomes the smallest one around its image, which is its image itself when axes stay axes. An
    oriented box stays exact under shift, turn, mirror and equal scale; under anything else its image is a
    parallelogram and the result is the rectangle of smallest area around that. A quadrilateral is exact.
    """
    a, b, c, d, e, f = affine
    if kind == "quad":
        return apply(affine, coords.reshape(-1, 4, 2)).reshape(-1, 8)
    if kind == "hbb":
        ax, by = a * coords[:, 0::2], b * coords[:, 1::2]
        dx, ey = d * coords[:, 0::2], e * coords[:, 1::2]
        low = np.stack([ax.min(1) + by.min(1) + c, dx.min(1) + ey.min(1) + f], axis=1)
        high = np.stack([ax.max(1) + by.max(1) + c, dx.max(1) + ey.max(1) + f], axis=1)
        return np.concatenate([low, high], axis=1)
    mirror = -1.0 if a * e < b * d else 1.0
    scale = float(np.hypot(a, d))
    if max(abs(e - mirror * a), abs(b + mirror * d)) > _TIE * scale:
        return smallest_rectangle(apply(affine, _obb_to_quad(coords).reshape(-1, 4, 2)))
    turn = float(np.rad2deg(np.arctan2(d, a)))
    centre = apply(affine, coords[:, :2])
    return np.column_stack([centre, scale * coords[:, 2:4], turn + mirror * coords[:, 4]])


def tidy_obb(coords: Floats) -> Floats:
    """Return oriented boxes with w >= h and the angle in [-90, 90), leaving rows that are so untouched."""
    tidy = coords.copy()
    tall = tidy[:, 2] < tidy[:, 3]
    tidy[tall, 2], tidy[tall, 3] = coords[tall, 3], coords[tall, 2]
    tidy[tall, 4] += 90.0
    angle = tidy[:, 4]
    wrapped = np.mod(angle + 90.0, 180.0) - 90.0
    wrapped[wrapped >= 90.0] = -90.0
    tidy[:, 4] = np.where((angle >= -90.0) & (angle < 90.0), angle, wrapped)
    return tidy


def tidy_quads(coords: Floats) -> Floats:
    """Return quadrilaterals clockwise on screen, the corner with the smallest (y, x) first.

    One that crosses itself keeps the order of its corners; where its two lobes cancel, the smaller (y, x) of the two
    corners next to the first one comes second.
    """
    corners = coords.reshape(-1, 4, 2)
    n = len(corners)
    if n == 0:
        return coords
    with np.errstate(over="ignore", invalid="ignore"):
        diagonals = corners[:, 2:] - corners[:, :2]
        area = diagonals[:, 0, 0] * diagonals[:, 1, 1] - diagonals[:, 0, 1] * diagonals[:, 1, 0]
    corners = np.where((area < 0)[:, None, None], corners[:, ::-1], corners)
    # Where corners coincide, the one that follows a different corner is the first.
    x, y = corners[..., 0], corners[..., 1]
    top = y == y.min(axis=1, keepdims=True)
    left = top & (x == np.where(top, x, np.inf).min(axis=1, keepdims=True))
    fresh = left & ~np.roll(left, 1, axis=1)
    first = np.argmax(np.where(fresh.any(axis=1, keepdims=True), fresh, left), axis=1)
    turned: Floats = corners[np.arange(n)[:, None], (first[:, None] + np.arange(4)) % 4]
    second, last = turned[:, 1], turned[:, 3]
    later = (second[:, 1] > last[:, 1]) | ((second[:, 1] == last[:, 1]) & (second[:, 0] > last[:, 0]))
    flip = (area == 0) & later
    turned[flip] = turned[flip][:, [0, 3, 2, 1]]
    return turned.reshape(-1, 8)


def smallest_rectangle(points: Floats) -> Floats:
    """Return the rectangle of smallest area around each set of points.

    One side of it lies along an edge of the convex hull, and every edge of the hull joins two of the points, so the
    directions of all pairs are tried. Of equal rectangles the first pair's is taken; a square's angle is in [-45, 45).

    Args:
        points: (n, k, 2), k >= 1; repeat points to fill up shorter sets.

    Returns:
        (n, 5) oriented boxes.
    """
    found = np.empty((len(points), 5))
    for start in range(0, len(points), _CHUNK):
        found[start : start + _CHUNK] = _smallest_rectangle(points[start : start + _CHUNK])
    return found


def _smallest_rectangle(points: Floats) -> Floats:
    middle = points.mean(axis=1)
    local = points - middle[:, None]
    i, j = np.triu_indices(points.shape[1], 1)
    # One direction more, for a set of one point. Two points that coincide give it too: no smaller a rectangle.
    along = np.concatenate([local[:, j] - local[:, i], np.zeros((len(points), 1, 2))], axis=1)
    length = np.hypot(along[..., 0], along[..., 1])
    along[length == 0] = (1.0, 0.0)
    along /= np.where(length == 0, 1.0, length)[..., None]

    cos, sin = along[..., None, 0], along[..., None, 1]
    x, y = local[:, None, :, 0], local[:, None, :, 1]
    u, v = cos * x + sin * y, cos * y - sin * x  # (n, direction, point)
    u1, u2, v1, v2 = u.min(-1), u.max(-1), v.min(-1), v.max(-1)
    area = (u2 - u1) * (v2 - v1)
    size = (np.maximum(u2 - u1, v2 - v1)).max(axis=1)
    limit = area.min(axis=1) + _TIE * size * size
    best = np.argmax(area <= limit[:, None], axis=1)

    row = np.arange(len(points))
    u1, u2, v1, v2 = u1[row, best], u2[row, best], v1[row, best], v2[row, best]
    cos, sin = along[row, best, 0], along[row, best, 1]
    mid_u, mid_v = (u1 + u2) / 2, (v1 + v2) / 2
    centre = middle + np.stack([cos * mid_u - sin * mid_v, sin * mid_u + cos * mid_v], axis=1)
    w, h = u2 - u1, v2 - v1
    angle = np.rad2deg(np.arctan2(sin, cos))
    found = tidy_obb(np.column_stack([centre, w, h, angle]))
    steep = (np.abs(w - h) <= 1e-9 * w) & ((found[:, 4] < -45.0) | (found[:, 4] >= 45.0))
    found[steep, 4] = np.where(found[steep, 4] < 0, found[steep, 4] + 90.0, found[steep, 4] - 90.0)
    return found


def _direction(angle: Floats) -> tuple[Floats, Floats]:
    """Cosine and sine of degrees, without the rounding noise at a right angle."""
    radians = np.deg2rad(angle)
    return np.where(np.abs(angle) == 90.0, 0.0, np.cos(radians)), np.sin(radians)


def _obb_to_quad(coords: Floats) -> Floats:
    cos, sin = _direction(coords[:, 4])
    half_w, half_h = coords[:, 2] / 2, coords[:, 3] / 2
    corners = np.empty((len(coords), 8))
    for axis, along, across in ((0, cos * half_w, -sin * half_h), (1, sin * half_w, cos * half_h)):
        one, other = along + across, along - across
        for corner, offset in enumerate((-one, other, one, -other)):
            np.add(coords[:, axis], offset, out=corners[:, 2 * corner + axis])
    return corners


def _hbb_to_quad(coords: Floats) -> Floats:
    corners: Floats = coords[:, [0, 1, 2, 1, 2, 3, 0, 3]]
    return corners


def _hbb_to_obb(coords: Floats) -> Floats:
    low, high = coords[:, :2], coords[:, 2:]
    return tidy_obb(np.column_stack([(low + high) / 2, high - low, np.zeros(len(coords))]))


def outside(coords: Floats, width: float, height: float) -> NDArray[np.bool_]:
    """True for horizontal boxes, (n, 4), of which some part lies outside [0, width] x [0, height]."""
    low, high = coords[:, :2], coords[:, 2:]
    crossing: NDArray[np.bool_] = np.any((low < 0) | (high > (width, height)), axis=1)
    return crossing
