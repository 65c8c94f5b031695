"""Outlines of boxes on the map: edges that bend, longitudes that go on beyond 180 degrees, poles inside."""

from __future__ import annotations

import math

import numpy as np
import shapely

from rscovlm.geometry import Frame
from rscovlm.geometry.affine import Floats
from rscovlm.rasters.world import LONGITUDE_LATITUDE, to_map

BEND = 0.5
"""Pixels by which an edge may differ from the straight line between its corners; beyond, points are added."""

WIDE = 60.0
"""Degrees of longitude from one point to the next, beyond which an outline is followed closely."""

DECIMALS = 9
"""Digits of a degree that are written: a tenth of a millimetre."""

CLOSELY = 64
"""Points of an edge that is."""

WORLD = shapely.box(-180, -90, 180, 90)


def outlines(quads: Floats, frame: Frame, crs: str | None) -> list[Floats]:
    """Return the ring of each box in a coordinate reference system, (k, 2) points, the first not repeated.

    A ring has the box's four corners where its edges are straight on that map within half a pixel, more points where
    they are not. Longitudes are continuous: a box over the 180th meridian goes on beyond 180 degrees. A box round a
    pole goes once round the world and along the pole.

    Args:
        quads: (n, 4, 2) corners in pixels of the frame.
        frame: Their grid, which knows its place.
        crs: System wanted; None for the image's own.

    Raises:
        ValueError: Coordinates cannot be changed into that system.
    """
    degrees = crs in LONGITUDE_LATITUDE
    own = crs is None or crs == frame.crs or (degrees and frame.crs in LONGITUDE_LATITUDE)
    if not len(quads) or (own and frame.control is None):  # an affine map keeps lines straight
        corners = to_map(quads.reshape(-1, 2), frame, crs).reshape(-1, 4, 2)
        return list(_within(corners, degrees))
    halves = _mapped(_edges(quads, 2), frame, crs, degrees)  # (n, 9, 2): corners, middles, the first corner again
    start, middle, end = halves[:, :-1:2], halves[:, 1::2], halves[:, 2::2]
    length = np.maximum(np.linalg.norm(end - start, axis=2), 1e-300)
    pixels = np.linalg.norm(np.roll(quads, -1, axis=1) - quads, axis=2)
    bend = (np.linalg.norm(middle - (start + end) / 2, axis=2) / length * pixels).max(axis=1)
    if degrees:
        steps = np.abs(np.diff(halves[..., 0], axis=1)).max(axis=1)
        turns = np.abs(halves[:, -1, 0] - halves[:, 0, 0])  # 360 round a pole
        bend[(steps > WIDE) | (turns > 180)] = np.inf
    rings = list(_within(start, degrees))
    for row in np.flatnonzero(bend > BEND):
        # The error of a chord falls with the square of the number of points.
        points = CLOSELY if math.isinf(bend[row]) else min(2 * math.ceil(math.sqrt(bend[row] / BEND)), CLOSELY)
        closed = _mapped(_edges(quads[row : row + 1], points), frame, crs, degrees)[0]
        rings[row] = _round_pole(closed, quads[row], frame) if degrees else closed[:-1]
    return rings


def inside_world(ring: Floats) -> list[shapely.Polygon]:
    """Cut a ring of continuous longitudes at the 180th meridian, into polygons between -180 and 180 degrees."""
    low, high = float(ring[:, 0].min()), float(ring[:, 0].max())
    parts = []
    for turn in range(math.floor((low + 180) / 360), math.ceil((high + 180) / 360)):
        shifted = shapely.make_valid(shapely.Polygon(ring - (360 * turn, 0)))
        parts.append(shapely.intersection(shifted, WORLD))
    # Once round the world, the parts meet where the ring began; in whole steps of a digit that is written, they fit.
    joined = [shapely.union_all(parts, grid_size=10.0**-DECIMALS)] if high - low >= 360 - 10.0**-DECIMALS else parts
    return [part for each in joined for part in shapely.get_parts(each) if part.area > 0]


def rounds_pole(ring: Floats) -> bool:
    """Tell whether a ring of `outlines` in degrees has a pole inside."""
    return bool(np.isclose(np.abs(ring[-2:, 1]), 90).all() and np.isclose(abs(ring[-1, 0] - ring[-2, 0]), 360))


def accuracy_told(frame: Frame) -> str | None:
    """Say how exact an image's places are, where they were fitted to control points."""
    if frame.accuracy is None:
        return None
    how = "fitted to" if frame.control is None else "interpolated between"
    return f"places are {how} ground control points: expect errors of {frame.accuracy:.3g} pixels (r.m.s.)"


def _edges(quads: Floats, points: int) -> Floats:
    """Return (n, 4 * points + 1, 2): points along each edge from its first corner on, closed."""
    share = np.arange(points)[:, None] / points
    start, end = quads[:, :, None], np.roll(quads, -1, axis=1)[:, :, None]
    along = (start + (end - start) * share).reshape(len(quads), -1, 2)
    return np.concatenate([along, along[:, :1]], axis=1)


def _mapped(points: Floats, frame: Frame, crs: str | None, degrees: bool) -> Floats:
    ground = to_map(points.reshape(-1, 2), frame, crs).reshape(points.shape)
    if degrees:
        ground[..., 0] = np.unwrap(ground[..., 0], period=360, axis=1)
    return ground


def _within(rings: Floats, degrees: bool) -> Floats:
    """Return rings whose latitudes end at the poles, which images of the whole world overstep by rounding."""
    if degrees:
        rings = rings.copy()
        rings[..., 1] = rings[..., 1].clip(-90, 90)
    return rings


def _round_pole(closed: Floats, quad: Floats, frame: Frame) -> Floats:
    """Return a ring without its repeated point; one that went round the world ends along the pole that it encloses."""
    turn = closed[-1, 0] - closed[0, 0]
    if abs(turn) < 180:
        return closed[:-1]
    # Eastwards with the inside to the left is round the north pole; maps show the ground unmirrored.
    x, y = frame.places(quad).T
    left = np.sum(x * np.roll(y, -1) - np.roll(x, -1) * y) > 0
    pole = 90.0 if (turn > 0) == left else -90.0
    turned = closed[0, 0] + math.copysign(360, turn)
    return np.concatenate([closed[:-1], [[turned, closed[0, 1]], [turned, pole], [closed[0, 0], pole]]])
