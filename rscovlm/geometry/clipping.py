"""Triangles cut out of quadrilaterals and clipped against each other: the careful way, for the few awkward pairs."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rscovlm.geometry.affine import Floats


def quad_shapes(quads: Floats) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Tell which quadrilaterals are convex and which cross themselves; neither is true of one with a dent.

    A corner bent the other way by no more than rounding does not count.

    Args:
        quads: (n, 8) corners in order, either direction.

    Returns:
        (n,) True where convex, (n,) True where it crosses itself.
    """
    c = quads.reshape(-1, 4, 2)
    edges = np.roll(c, -1, axis=1) - c
    turns = _cross(edges, np.roll(edges, -1, axis=1))
    noise = 1e-14 * np.square(np.abs(edges).max(axis=(1, 2), initial=0.0))[:, None]
    left, right = (turns > noise).sum(axis=1), (turns < -noise).sum(axis=1)
    return (left == 0) | (right == 0), (left == 2) & (right == 2)


def triangles(quads: Floats) -> tuple[Floats, Floats]:
    """Cut quadrilaterals of every shape into two triangles that cover the same region without overlapping.

    Args:
        quads: (n, 8) corners in order, either direction; they may be concave or cross themselves.

    Returns:
        (n, 3, 2) and (n, 3, 2) corners.
    """
    c = quads.reshape(-1, 4, 2)
    u, v, w = c[:, 2] - c[:, 0], c[:, 3] - c[:, 1], c[:, 1] - c[:, 0]
    # Twice the signed areas: corners 0 1 2 against 2 3 0, and corners 0 1 3 against 1 2 3.
    whole, one, two = _cross(u, v), _cross(w, u), _cross(w, v)
    bent_1, bent_0 = one * (whole - one) < 0, two * (whole - two) < 0
    # With corner 1 or 3 bent inwards the diagonal 1-3 lies inside, otherwise 0-2 does.
    turned = np.where(bent_1[:, None, None], np.roll(c, -1, axis=1), c)
    first, second = turned[:, [0, 1, 2]], turned[:, [2, 3, 0]]
    crossed = bent_1 & bent_0
    if crossed.any():
        first[crossed], second[crossed] = _lobes(c[crossed])
    return first, second


def triangle_area(corners: Floats) -> Floats:
    """Return the areas, (n,), of (n, 3, 2) triangles."""
    area: Floats = 0.5 * np.abs(_cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]))
    return area


def triangle_intersection(a: Floats, b: Floats) -> Floats:
    """Return the areas shared by triangles, pair by pair (Sutherland and Hodgman's clipping, all pairs at once).

    Args:
        a: (n, 3, 2) corners, either direction.
        b: (n, 3, 2).

    Returns:
        (n,) areas.
    """
    shared = np.zeros(len(a))
    together = (a.min(axis=1) < b.max(axis=1)).all(axis=1) & (b.min(axis=1) < a.max(axis=1)).all(axis=1)
    # One without area shares none; one that is a point, as a repeated corner leaves, has no side that would cut.
    rows = np.flatnonzero(together & (triangle_area(b) > 0))
    polygon, knife = a[rows] - a[rows, :1], b[rows] - a[rows, :1]
    backwards = _cross(knife[:, 1] - knife[:, 0], knife[:, 2] - knife[:, 0]) < 0
    knife[backwards] = knife[backwards][:, ::-1]
    for k in range(3):
        polygon = _cut(polygon, knife[:, k], knife[:, (k + 1) % 3])
    polygon = polygon - polygon[:, :1]
    doubled = _cross(polygon, np.roll(polygon, -1, axis=1)).sum(axis=1)
    shared[rows] = 0.5 * np.abs(doubled)
    return shared


def _cut(polygon: Floats, start: Floats, end: Floats) -> Floats:
    """Keep the part of convex polygons, (n, k, 2), left of the lines from `start` to `end`; one corner more at most."""
    side = _cross((end - start)[:, None], polygon - start[:, None])
    following, beyond = np.roll(side, -1, axis=1), np.roll(polygon, -1, axis=1)
    crossing = ((side > 0) & (following < 0)) | ((side < 0) & (following > 0))
    along = side / np.where(crossing, side - following, 1.0)
    met = polygon + along[..., None] * (beyond - polygon)
    n, k = side.shape
    points = np.stack([polygon, met], axis=2).reshape(n, 2 * k, 2)
    keep = np.stack([side >= 0, crossing], axis=2).reshape(n, 2 * k)
    # Kept corners first, in order; free places repeat the first of them, which adds no area.
    order = np.argsort(~keep, axis=1, kind="stable")[:, : k + 1]
    order = np.where(np.take_along_axis(keep, order, axis=1), order, order[:, :1])
    cut = np.take_along_axis(points, order[..., None], axis=1)
    cut[~keep.any(axis=1)] = 0.0
    return cut


def _lobes(c: Floats) -> tuple[Floats, Floats]:
    """The two triangles, (n, 3, 2) each, of (n, 4, 2) quadrilaterals that cross themselves."""
    # Either edges 0-1 and 2-3 cross or edges 1-2 and 3-0; turned by one corner, the latter are the former.
    side_2 = _cross(c[:, 1] - c[:, 0], c[:, 2] - c[:, 0])
    side_3 = _cross(c[:, 1] - c[:, 0], c[:, 3] - c[:, 0])
    straight = ((side_2 <= 0) != (side_3 <= 0))[:, None]
    p, q, r, s = (np.where(straight, c[:, k], c[:, (k + 1) % 4]) for k in range(4))
    across = _cross(q - p, s - r)
    along = np.clip(_cross(r - p, s - r) / np.where(across == 0, 1.0, across), 0.0, 1.0)
    meet = p + along[:, None] * (q - p)
    return np.stack([q, r, meet], axis=1), np.stack([s, p, meet], axis=1)


def _cross(u: Floats, v: Floats) -> Floats:
    product: Floats = u[..., 0] * v[..., 1] - u[..., 1] * v[..., 0]
    return product
