"""The rectangle of smallest area around a quadrilateral, chosen and rounded as the peers' tool does.

About one real quadrilateral in forty has two different rectangles of exactly the same area (the rectangles along two
edges that meet in a corner often tie), and the two overlap by as little as 0.8. Which one is meant then decides whether
a box is right. The published numbers come from OpenCV, whose choice follows from the order in which it turns the
rectangle and from 32-bit rounding; so both are reproduced here step by step. Where a choice is free, use
`rscovlm.geometry` instead: `Boxes.as_kind("obb")` is exact and does not depend on the corner order.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rscovlm.geometry.affine import Floats

Singles = NDArray[np.float32]

_CHUNK = 8192
_ORDERS = ((0, 1, 2, 3), (0, 1, 3, 2), (0, 2, 1, 3))
_TRIANGLES = ((0, 1, 2), (0, 1, 3), (0, 2, 3), (1, 2, 3))


def smallest_rectangles(quads: Floats) -> Floats:
    """Return the corners of OpenCV's ``minAreaRect`` around quadrilaterals of any shape.

    Args:
        quads: (n, 8) corners in pixels, rounded to 32 bits first, as the peers do.

    Returns:
        (n, 8) corners of rectangles; a line or a point where the quadrilateral has no area.

    Source:
        Compared bit by bit with OpenCV 5.0, which agrees with 4.10.

    Example:
        >>> smallest_rectangles(np.array([[0.0, 0, 4, 0, 4, 2, 0, 1]])).tolist()
        [[4.0, 0.0, 4.0, 2.0, 0.0, 2.0, 0.0, 0.0]]
    """
    corners = np.empty((len(quads), 8))
    for start in range(0, len(quads), _CHUNK):
        corners[start : start + _CHUNK] = _chunk(quads[start : start + _CHUNK].reshape(-1, 4, 2).astype(np.float32))
    return corners


def _chunk(points: Singles) -> Floats:
    wide = points.astype(np.float64)
    corners = np.repeat(wide[:, :1], 4, axis=1).reshape(-1, 8)  # without area: a point
    left = np.ones(len(points), bool)
    for order in _ORDERS:
        turns = _turns(wide[:, order])
        convex = left & ((turns > 0).all(axis=1) | (turns < 0).all(axis=1))
        left &= ~convex
        if convex.any():
            corners[convex] = _around(points[convex], order)
        if not left.any():
            return corners
    # What is no convex quadrilateral in any order has a triangle as its hull: the largest.
    sizes = np.stack([np.abs(_turns(wide[:, triple])[:, 0]) for triple in _TRIANGLES], axis=1)
    largest = sizes.argmax(axis=1)
    for number, triple in enumerate(_TRIANGLES):
        rows = left & (largest == number) & (sizes[:, number] > 0)
        if rows.any():
            corners[rows] = _around(points[rows], triple)
    return corners


def _turns(corners: Floats) -> Floats:
    edges = np.roll(corners, -1, axis=1) - corners
    following = np.roll(edges, -1, axis=1)
    turns: Floats = edges[..., 0] * following[..., 1] - edges[..., 1] * following[..., 0]
    return turns


def _around(points: Singles, order: tuple[int, ...]) -> Floats:
    """Return rectangles around convex hulls whose corners are `points` in that order."""
    # The hull runs in the direction of positive turns. It starts where the numbers of the points, as given, then rise
    # or fall without a break, else at the rightmost point (the lower of two).
    hull = points[:, order]
    backwards = _turns(hull.astype(np.float64))[:, 0] < 0
    hull = np.where(backwards[:, None, None], hull[:, ::-1], hull)
    if list(order) != sorted(order):
        rank = hull[..., 0] + 0.0
        rightmost = rank == rank.max(axis=1, keepdims=True)
        first = np.where(rightmost, hull[..., 1], -np.inf).argmax(axis=1)
        hull = hull[np.arange(len(hull))[:, None], (first[:, None] + np.arange(len(order))) % len(order)]
    return _calipers(hull)


def _calipers(hull: Singles) -> Floats:
    """Turn a rectangle around (m, n, 2) hulls, edge by edge, and keep the last of the smallest."""
    m, n, _ = hull.shape
    row = np.arange(m)
    x, y = hull[..., 0], hull[..., 1]
    edge = np.roll(hull, -1, axis=1) - hull
    length = np.sqrt((edge.astype(np.float64) ** 2).sum(axis=2))
    inverse = (1.0 / length).astype(np.float32)
    # The hull corners that touch the sides: bottom, right, top, left. The rectangle turns by the edges that start there.
    touch = np.stack([y.argmin(axis=1), x.argmax(axis=1), y.argmax(axis=1), x.argmin(axis=1)], axis=1)
    smallest = np.full(m, np.inf, np.float32)
    kept = np.zeros((6, m), np.float32)  # direction (a, b), width, height; corners at the left and at the bottom
    for _ in range(n):
        ahead = edge[row[:, None], touch]
        # As seen from each side; the one whose edge has the least angle to its side comes next.
        dx = np.stack([ahead[:, 0, 0], ahead[:, 1, 1], -ahead[:, 2, 0], -ahead[:, 3, 1]])
        dy = np.stack([ahead[:, 0, 1], -ahead[:, 1, 0], -ahead[:, 2, 1], ahead[:, 3, 0]])
        side = np.zeros(m, np.intp)
        for k in range(1, 4):
            earlier = dy[k] * dx[side, row] - dx[k] * dy[side, row] < 0
            side = np.where(earlier, k, side)
        scale = inverse[row, touch[row, side]]
        a, b = dx[side, row] * scale, dy[side, row] * scale
        touch[row, side] = (touch[row, side] + 1) % n
        at = hull[row[:, None], touch]
        across, up = at[:, 1] - at[:, 3], at[:, 2] - at[:, 0]
        width = across[:, 0] * a + across[:, 1] * b
        height = -up[:, 0] * b + up[:, 1] * a
        area = width * height
        better = area <= smallest
        smallest = np.where(better, area, smallest)
        corner_left, corner_bottom = touch[:, 3], touch[:, 0]
        found = np.stack([a, b, width, height, corner_left.astype(np.float32), corner_bottom.astype(np.float32)])
        kept = np.where(better, found, kept)
    a, b, width, height = kept[:4]
    start, base = hull[row, kept[4].astype(np.intp)], hull[row, kept[5].astype(np.intp)]
    # Where the side through the left corner meets the side through the bottom corner.
    along = a * start[:, 0] + start[:, 1] * b
    off = -b * base[:, 0] + base[:, 1] * a
    share = np.float32(1) / (a * a - (-b) * b)
    px, py = (along * a - off * b) * share, (a * off - (-b) * along) * share
    wx, wy, hx, hy = a * width, b * width, -b * height, a * height
    half = np.float32(0.5)
    cx, cy = px + (wx + hx) * half, py + (wy + hy) * half
    w = np.hypot(wx.astype(np.float64), wy.astype(np.float64)).astype(np.float32)
    h = np.hypot(hx.astype(np.float64), hy.astype(np.float64)).astype(np.float32)
    return _corners(cx, cy, w, h, np.arctan2(wy.astype(np.float64), wx.astype(np.float64)).astype(np.float32))


def _corners(cx: Singles, cy: Singles, w: Singles, h: Singles, angle: Singles) -> Floats:
    """Return the (m, 8) corners of rectangles with an angle in radians, in 64 bits from here on."""
    cos, sin = np.cos(angle.astype(np.float64)), np.sin(angle.astype(np.float64))
    # The cosine of a right angle's 32-bit neighbour is 4e-8; a rectangle along the axes shall stay so.
    upright, level = np.abs(cos) < 1e-7, np.abs(sin) < 1e-7
    cos = np.where(upright, 0.0, np.where(level, np.sign(cos), cos))
    sin = np.where(level, 0.0, np.where(upright, np.sign(sin), sin))
    centre = np.stack([cx, cy], axis=1).astype(np.float64)
    along = np.stack([cos * w, sin * w], axis=1) / 2
    across = np.stack([-sin * h, cos * h], axis=1) / 2
    return np.concatenate(
        [centre - along - across, centre + along - across, centre + along + across, centre - along + across], axis=1
    )
