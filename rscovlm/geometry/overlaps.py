"""How much area boxes share: exact for horizontal boxes and quadrilaterals of every shape, vectorised.

Two quadrilaterals are intersected without looking for corners of the shared region. Count an edge as +1 where it runs
to the right and -1 where it runs to the left; then a region is the signed sum, over its edges, of everything below the
edge, and the area shared by two regions is the signed sum, over the 4 x 4 pairs of edges and the stretch of x they have
in common, of the integral of the lower of the two. Every one of these integrals changes smoothly with the corners, so
shared edges, touching corners and parallel sides need no special case and rounding costs no more than rounding.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rscovlm.geometry.affine import Floats
from rscovlm.geometry.clipping import triangle_area, triangle_intersection, triangles

_CHUNK = 2048
"""Pairs worked on at once: the working arrays (6 x 16 numbers a pair) stay in a core's own cache."""

_SLIVER = 1e-5
"""Area, in squared extents of the pair, below which rounding could cost more than 1e-10 of it."""

_NEXT = [1, 2, 3, 0]


class Overlap(NamedTuple):
    """Areas in squared pixels, (n,) each: what two boxes share, and each box's own."""

    shared: Floats
    area_a: Floats
    area_b: Floats


class _Edges(NamedTuple):
    """The four edges of quadrilaterals, (4, n) each, and of each one its signed area and self-crossing, (n,)."""

    left: Floats
    right: Floats
    slope: Floats
    height: Floats
    """y of the edge's line at x = 0."""
    sign: Floats
    area: Floats
    crossed: NDArray[np.bool_]


def hbb_intersection(a: Floats, b: Floats) -> Floats:
    """Return the areas shared by horizontal boxes.

    Args:
        a: (..., 4) x1, y1, x2, y2; broadcasts against `b`.
        b: (..., 4).

    Returns:
        (...) areas in squared pixels.
    """
    width = np.minimum(a[..., 2], b[..., 2]) - np.maximum(a[..., 0], b[..., 0])
    height = np.minimum(a[..., 3], b[..., 3]) - np.maximum(a[..., 1], b[..., 1])
    shared: Floats = np.maximum(width, 0.0) * np.maximum(height, 0.0)
    return shared


def can_reach(floor: float, a: Floats, b: Floats, area_a: Floats, area_b: Floats) -> NDArray[np.bool_]:
    """Return which pairs may overlap by `floor` or more, by the (n, 4) horizontal boxes around them and their (n,) areas."""
    # Two boxes share no more than the boxes around them do, and no more than either covers.
    most = np.minimum(hbb_intersection(a, b), np.minimum(area_a, area_b))
    reach: NDArray[np.bool_] = most >= (floor - 1e-9) * (area_a + area_b - most)
    return reach


def strips(quads: Floats) -> Floats:
    """Return the strip that each quadrilateral lies in, along its longest side.

    Args:
        quads: (n, 8) corners in order, either direction.

    Returns:
        (n, 3): x and y of the strip's direction, of length 1, and its width in pixels.

    >>> strips(np.array([[0.0, 0, 9, 0, 9, 2, 0, 2]])).tolist()
    [[1.0, 0.0, 2.0]]
    """
    corners = quads.reshape(-1, 4, 2)
    sides = corners[:, _NEXT] - corners
    lengths = np.hypot(sides[..., 0], sides[..., 1])
    longest = np.arange(len(quads)), lengths.argmax(axis=1)
    size = lengths[longest]
    along = np.where(size[:, None] > 0, sides[longest] / np.where(size > 0, size, 1.0)[:, None], (1.0, 0.0))
    # Counted from the first corner: a large offset would cost digits.
    x, y = np.moveaxis(corners - corners[:, :1], 2, 0)
    across = y * along[:, :1] - x * along[:, 1:]
    return np.column_stack([along, across.max(axis=1) - across.min(axis=1)])


def most_of_strips(a: Floats, b: Floats) -> Floats:
    """Return (n,) areas that pairs of (n, 3) `strips` share, infinite where they are parallel; no two quadrilaterals share more.

    Long boxes that cross at an angle overlap little, which the horizontal boxes around them do not tell.
    """
    sine = np.abs(a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0])
    shared: Floats = np.divide(a[:, 2] * b[:, 2], sine, out=np.full(len(a), np.inf), where=sine > 1e-12)
    return shared


def quad_area(quads: Floats) -> Floats:
    """Return the area each quadrilateral covers; both lobes of a self-crossing one count.

    Args:
        quads: (n, 8) corners in order, either direction.

    Returns:
        (n,) areas in squared pixels, at least 0.
    """
    edges = _edges(np.subtract(quads.T, np.tile(quads[:, :2].T, (4, 1)), order="C"))
    area = np.abs(edges.area)
    rows = np.flatnonzero(edges.crossed)
    if len(rows):
        area[rows] = sum(triangle_area(part) for part in triangles(quads[rows]))
    return area


def quad_intersection(a: Floats, b: Floats) -> Floats:
    """Return the areas shared by quadrilaterals, pair by pair; see `quad_overlap`."""
    return quad_overlap(a, b).shared


def quad_overlap(a: Floats, b: Floats) -> Overlap:
    """Return the areas shared by quadrilaterals, pair by pair, and the areas they cover.

    Quadrilaterals may be convex or not, and of one that crosses itself both lobes count, so the result is the true
    overlap of the regions covered. Pairs with such a one, and slivers, are cut into triangles first.

    Args:
        a: (n, 8) corners in order, either direction.
        b: (n, 8).

    Returns:
        (n,) shared areas, never above the smaller of the two, and (n,) areas of `a` and of `b`.
    """
    overlap, special = _overlap(a, b)
    rows = np.flatnonzero(special)
    if len(rows):
        parts_a, parts_b = triangles(a[rows]), triangles(b[rows])
        overlap.area_a[rows] = sum(triangle_area(part) for part in parts_a)
        overlap.area_b[rows] = sum(triangle_area(part) for part in parts_b)
        overlap.shared[rows] = sum(triangle_intersection(one, two) for one in parts_a for two in parts_b)
    smaller = np.minimum(overlap.area_a, overlap.area_b)
    np.minimum(overlap.shared, smaller, out=overlap.shared)
    np.copyto(overlap.shared, smaller, where=(a == b).all(axis=1))
    return overlap


def _overlap(a: Floats, b: Floats) -> tuple[Overlap, NDArray[np.bool_]]:
    """Overlaps of quadrilaterals, and which rows this way cannot tell or not with enough digits."""
    n = len(a)
    overlap, special = Overlap(np.zeros(n), np.empty(n), np.empty(n)), np.empty(n, dtype=np.bool_)
    scratch = np.empty((6, 4, 4, min(n, _CHUNK)))
    for start in range(0, n, _CHUNK):
        part = slice(start, start + _CHUNK)
        # Counted from the first corner of a: a large offset would cost digits.
        origin = np.tile(a[part, :2].T, (4, 1))
        corners_a, corners_b = np.subtract(a[part].T, origin, order="C"), np.subtract(b[part].T, origin, order="C")
        edges_a, edges_b = _edges(corners_a), _edges(corners_b)
        below = _below_both(edges_a, edges_b, scratch[..., : origin.shape[1]])
        below *= np.sign(edges_a.area) * np.sign(edges_b.area)
        together = _meet(corners_a[0::2], corners_b[0::2]) & _meet(corners_a[1::2], corners_b[1::2])
        np.maximum(below, 0.0, out=overlap.shared[part], where=together)
        larger = np.maximum(
            np.abs(edges_a.area, out=overlap.area_a[part]), np.abs(edges_b.area, out=overlap.area_b[part])
        )
        extent = np.maximum(np.abs(corners_a).max(axis=0), np.abs(corners_b).max(axis=0))
        sliver = larger < _SLIVER * extent * extent
        special[part] = edges_a.crossed | edges_b.crossed | (sliver & together)
    return overlap, special


def _edges(corners: Floats) -> _Edges:
    """Edges of quadrilaterals given as contiguous (8, n) coordinates."""
    x, y = corners[0::2], corners[1::2]
    end_x = x[_NEXT]
    dx, dy = end_x - x, y[_NEXT] - y
    sign = np.sign(dx)
    # An upright edge has nothing below it. One that is upright but for rounding must not overflow its slope.
    upright = np.abs(dx) <= 1e-16 * np.abs(dy)
    sign[upright], dx[upright] = 0.0, 1.0
    slope = np.divide(dy, dx, out=dy)

    # Twice the signed areas of the whole and of the triangles that two neighbouring corners make with a diagonal.
    ux, uy, vx, vy, wx, wy = x[2] - x[0], y[2] - y[0], x[3] - x[1], y[3] - y[1], x[1] - x[0], y[1] - y[0]
    whole, one, two = ux * vy - uy * vx, wx * uy - wy * ux, wx * vy - wy * vx
    # Each diagonal cuts a convex one into triangles of equal sign; with both it fails only where two edges cross.
    crossed = (one * (whole - one) < 0) & (two * (whole - two) < 0)
    return _Edges(np.minimum(x, end_x), np.maximum(x, end_x), slope, y - slope * x, sign, 0.5 * whole, crossed)


def _meet(a: Floats, b: Floats) -> NDArray[np.bool_]:
    """True where the ranges of (4, n) x or y have a stretch in common."""
    meet: NDArray[np.bool_] = (a.min(axis=0) < b.max(axis=0)) & (b.min(axis=0) < a.max(axis=0))
    return meet


def _below_both(a: _Edges, b: _Edges, scratch: Floats) -> Floats:
    """Signed sum, over all pairs of edges, of the area below both.

    Of min(ya, yb) = yb + min(ya - yb, 0) the first part cancels over the edges of a closed a and is left out. With d the
    difference at the two ends of the common stretch w and s = |d1| + |d2|, the integral of min(d, 0) is
    -w (d1 + d2 - s)^2 / 8 s, whether d changes its sign or not.
    """
    left, right, w, slope, height, t = scratch
    np.maximum(a.left[:, None], b.left, out=left)
    np.minimum(a.right[:, None], b.right, out=right)
    np.subtract(right, left, out=w)
    np.maximum(w, 0.0, out=w)
    np.subtract(a.slope[:, None], b.slope, out=slope)
    np.subtract(a.height[:, None], b.height, out=height)
    for d in (left, right):
        d *= slope
        d += height
    np.add(left, right, out=t)
    s = np.add(np.abs(left, out=left), np.abs(right, out=right), out=left)
    t -= s
    t *= t
    t *= w
    s += 1e-300  # where both are 0, so is t
    t /= s
    t *= b.sign
    total: Floats = (t.sum(axis=1) * a.sign).sum(axis=0)
    return -0.125 * total
