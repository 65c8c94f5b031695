"""How much boxes overlap: exact intersection over union of convex and general quadrilaterals, vectorised."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_CHUNK = 2048
"""Pairs worked on at once: small enough for the working arrays to stay in cache."""

_SLACK = 1e-14
"""Distance, relative to the size of the pair, within which a point counts as lying on a line.

About twenty times the rounding error of such a distance, so that shared edges and corners are never lost,
and small enough that the area it can add stays far below 1e-9 of the boxes."""


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


def quad_area(quads: Floats) -> Floats:
    """Return the area each quadrilateral covers; both lobes of a self-intersecting one count.

    Args:
        quads: (n, 8) corners in order.

    Returns:
        (n,) areas in squared pixels, at least 0.
    """
    convex, pieces = split_quads(quads)
    area = np.zeros(len(quads))
    area[convex] = np.abs(_signed_area(quads[convex].reshape(-1, 4, 2)))
    for owner, corners in pieces:
        np.add.at(area, owner, np.abs(_signed_area(corners)))
    return area


def quad_intersection(a: Floats, b: Floats) -> Floats:
    """Return the areas shared by quadrilaterals, pair by pair.

    Convex pairs are intersected directly. A quadrilateral that is not convex, or that crosses itself, is the union of
    two triangles, and the shared area is summed over them, so the result is the true overlap of the regions covered.

    Args:
        a: (n, 8) corners in order, either direction.
        b: (n, 8).

    Returns:
        (n,) areas in squared pixels.
    """
    convex_a, pieces_a = split_quads(a)
    convex_b, pieces_b = split_quads(b)
    plain = convex_a & convex_b
    shared = np.zeros(len(a))
    shared[plain] = convex_intersection(a[plain].reshape(-1, 4, 2), b[plain].reshape(-1, 4, 2))
    if plain.all():
        return shared
    rest = np.flatnonzero(~plain)
    for mine in _pieces_of(a, rest, convex_a, pieces_a):
        for theirs in _pieces_of(b, rest, convex_b, pieces_b):
            shared[rest] += convex_intersection(mine, theirs)
    return shared


def split_quads(quads: Floats) -> tuple[NDArray[np.bool_], list[tuple[NDArray[np.intp], Floats]]]:
    """Tell convex quadrilaterals from the others, and cut the others into two triangles each.

    Args:
        quads: (n, 8) corners in order.

    Returns:
        (n,) True where convex, and for the first and second triangle of all others a pair of
        (m,) row numbers and (m, 4, 2) corners, the last one doubled.
    """
    corners = quads.reshape(-1, 4, 2)
    edges = np.roll(corners, -1, axis=1) - corners
    turns = _cross(edges, np.roll(edges, -1, axis=1))
    size = np.abs(edges).max(axis=(1, 2), initial=0.0)
    noise = (1e-14 * size * size)[:, None]
    convex = ~((turns > noise).any(axis=1) & (turns < -noise).any(axis=1))
    rows = np.flatnonzero(~convex)
    if not len(rows):
        return convex, []
    bent = corners[rows]
    first, second = _triangles(bent, turns[rows])
    return convex, [(rows, first), (rows, second)]


def _triangles(corners: Floats, turns: Floats) -> tuple[Floats, Floats]:
    """Cut (n, 4, 2) quadrilaterals that are not convex into two triangles with disjoint interiors."""
    n = len(corners)
    every = np.arange(n)
    negative = (turns < 0).sum(axis=1)
    crossing = negative == 2
    # turns[i] is the turn at corner i + 1. The reflex corner is the one whose turn is in the minority.
    minority = np.where((negative == 1)[:, None], turns < 0, turns > 0)
    reflex = (np.argmax(minority, axis=1) + 1) % 4
    p = [corners[every, (reflex + k) % 4] for k in range(4)]
    first = np.stack([p[0], p[1], p[2], p[2]], axis=1)
    second = np.stack([p[0], p[2], p[3], p[3]], axis=1)
    if crossing.any():
        # Two neighbouring corners turn the other way: the edges before and after that pair's edge cross.
        c = corners[crossing]
        opposite = _edges_cross(c)
        q = [np.where(opposite[:, None], c[:, k], c[:, (k + 1) % 4]) for k in range(4)]
        meet = _meeting_point(q[0], q[1], q[2], q[3])
        first[crossing] = np.stack([q[1], q[2], meet, meet], axis=1)
        second[crossing] = np.stack([q[3], q[0], meet, meet], axis=1)
    return first, second


def _edges_cross(c: Floats) -> NDArray[np.bool_]:
    """True where edge 0-1 crosses edge 2-3, False where edge 1-2 crosses edge 3-0."""
    one = _cross(c[:, 1] - c[:, 0], c[:, 2] - c[:, 0]) * _cross(c[:, 1] - c[:, 0], c[:, 3] - c[:, 0])
    two = _cross(c[:, 3] - c[:, 2], c[:, 0] - c[:, 2]) * _cross(c[:, 3] - c[:, 2], c[:, 1] - c[:, 2])
    return (one <= 0) & (two <= 0)


def _meeting_point(p: Floats, q: Floats, r: Floats, s: Floats) -> Floats:
    """Return where the lines p-q and r-s meet, all (n, 2)."""
    across = _cross(q - p, s - r)
    along = _cross(r - p, s - r) / np.where(across == 0, 1.0, across)
    return p + np.clip(along, 0.0, 1.0)[:, None] * (q - p)


def _pieces_of(
    quads: Floats, rows: NDArray[np.intp], convex: NDArray[np.bool_], pieces: list[tuple[NDArray[np.intp], Floats]]
) -> list[Floats]:
    """Return the convex parts of `quads[rows]`: one list entry per part, a point where a row has no such part."""
    whole = quads.reshape(-1, 4, 2)
    parts = []
    for number in range(2):
        part = np.repeat(whole[:, :1], 4, axis=1)
        if number == 0:
            part[convex] = whole[convex]
        for owner, corners in pieces[number : number + 1]:
            part[owner] = corners
        parts.append(part[rows])
    return parts


def convex_intersection(a: Floats, b: Floats) -> Floats:
    """Return the areas shared by convex quadrilaterals (repeated corners allowed), pair by pair.

    The shared region is the convex hull of the parts of `a`'s edges inside `b` and of `b`'s corners inside `a`. A point
    kept by mistake lies within `_SLACK` of the region, so no rounding can cost or add more than that.

    Args:
        a: (n, 4, 2) corners in order, either direction.
        b: (n, 4, 2).

    Returns:
        (n,) areas in squared pixels.
    """
    shared = np.empty(len(a))
    for start in range(0, len(a), _CHUNK):
        stop = start + _CHUNK
        shared[start:stop] = _convex_chunk(a[start:stop], b[start:stop])
    return shared


def _convex_chunk(a: Floats, b: Floats) -> Floats:
    # Corners as (4, n) arrays of x and y, counted from the first corner of `a`, in the direction of positive area.
    origin = a[:, :1]
    ax, ay = _oriented(a - origin)
    bx, by = _oriented(b - origin)
    slack = _SLACK * np.maximum(np.abs(ax).max(0) + np.abs(ay).max(0), np.abs(bx).max(0) + np.abs(by).max(0))

    to_b = _distances(ax, ay, bx, by) + slack  # (line of b, corner of a, n)
    to_a = _distances(bx, by, ax, ay) + slack
    # Each edge of a, as a stretch [enter, leave] of its own length, cut by the four lines of b.
    start, end = to_b, to_b[:, [1, 2, 3, 0]]
    run = start - end
    at = start / np.where(run == 0, 1.0, run)
    enter = np.where(start < 0, at, 0.0).max(axis=0)
    leave = np.where(end < 0, at, 1.0).min(axis=0)
    outside = ((start < 0) & (end < 0)).any(axis=0) | ~(enter <= leave)

    ex, ey = ax[[1, 2, 3, 0]] - ax, ay[[1, 2, 3, 0]] - ay
    px = np.concatenate([ax + enter * ex, ax + leave * ex, bx])
    py = np.concatenate([ay + enter * ey, ay + leave * ey, by])
    keep = np.concatenate([~outside, ~outside, (to_a >= 0).all(axis=0)])
    smaller = np.minimum(np.abs(_signed_area(a)), np.abs(_signed_area(b)))
    return np.minimum(_hull_area(px, py, keep), smaller)


def _hull_area(px: Floats, py: Floats, keep: NDArray[np.bool_]) -> Floats:
    """Area of the convex polygons whose corners are, in any order, the kept ones of (k, n) points."""
    count = keep.sum(axis=0)
    weight = keep / np.maximum(count, 1)
    # Points that do not count move to the middle, where they add nothing.
    px = np.where(keep, px, 0.0)
    py = np.where(keep, py, 0.0)
    px = np.where(keep, px - (px * weight).sum(axis=0), 0.0)
    py = np.where(keep, py - (py * weight).sum(axis=0), 0.0)
    # An angle without trigonometry: grows with the true angle, 0 to 4. Points that do not count come last.
    reach = np.abs(px) + np.abs(py)
    ratio = py / np.where(reach == 0, 1.0, reach)
    angle = np.where(keep, np.where(px < 0, 2.0 - ratio, ratio), 9.0)
    order = np.argsort(angle.T, axis=1).T
    px = np.take_along_axis(px, order, axis=0)
    py = np.take_along_axis(py, order, axis=0)
    # The last point that counts is followed by the first.
    area = (px[:-1] * py[1:] - px[1:] * py[:-1]).sum(axis=0)
    last = np.maximum(count - 1, 0)[None]
    lx, ly = np.take_along_axis(px, last, axis=0)[0], np.take_along_axis(py, last, axis=0)[0]
    shared: Floats = np.maximum(0.5 * (area + lx * py[0] - px[0] * ly), 0.0)
    return shared


def _oriented(corners: Floats) -> tuple[Floats, Floats]:
    """(n, 4, 2) corners to x and y of shape (4, n), reversed where their signed area is negative."""
    x, y = np.ascontiguousarray(corners[..., 0].T), np.ascontiguousarray(corners[..., 1].T)
    backwards = _signed_area(corners) < 0
    x[1], x[3] = np.where(backwards, x[3], x[1]), np.where(backwards, x[1], x[3])
    y[1], y[3] = np.where(backwards, y[3], y[1]), np.where(backwards, y[1], y[3])
    return x, y


def _distances(px: Floats, py: Floats, lx: Floats, ly: Floats) -> Floats:
    """Signed distances (line, point, n) of points to the lines through a polygon's edges, positive inside."""
    ex, ey = lx[[1, 2, 3, 0]] - lx, ly[[1, 2, 3, 0]] - ly
    length = np.hypot(ex, ey)
    length[length == 0] = 1.0
    ex, ey = ex / length, ey / length
    offset = ex * ly - ey * lx
    return ex[:, None] * py[None] - ey[:, None] * px[None] - offset[:, None]


def _signed_area(corners: Floats) -> Floats:
    diagonal_1 = corners[:, 2] - corners[:, 0]
    diagonal_2 = corners[:, 3] - corners[:, 1]
    area: Floats = 0.5 * _cross(diagonal_1, diagonal_2)
    return area


def _cross(u: Floats, v: Floats) -> Floats:
    product: Floats = u[..., 0] * v[..., 1] - u[..., 1] * v[..., 0]
    return product
