"""Outlines of boxes on the map: edges that bend, longitudes that go on beyond 180 degrees, poles inside."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import shapely
from numpy.typing import NDArray

from rscovlm.geometry import Frame
from rscovlm.geometry.affine import Floats
from rscovlm.rasters.world import LONGITUDE_LATITUDE, in_other_system, one_way

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
    they are not. Longitudes are continuous: a box over the 180th meridian continues beyond 180 degrees. A box round a
    pole goes once round the world and along the pole.

    Args:
        quads: (n, 4, 2) corners in pixels of the frame.
        frame: Their grid, which knows its place.
        crs: System wanted; None for the image's own.

    Raises:
        ValueError: Coordinates cannot be changed into that system.
    """
    (rings,) = outlines_each([(quads, frame)], crs)
    return rings


def outlines_each(images: Sequence[tuple[Floats, Frame]], crs: str | None) -> list[list[Floats]]:
    """Return the rings of the boxes of many images; coordinates of images in one system are changed together.

    Args:
        images: (n, 4, 2) corners in pixels of a frame, and that frame, of each image.
        crs: System wanted; None for each image's own.

    Returns:
        For each image what `outlines` gives.

    Raises:
        ValueError: Coordinates of some image cannot be changed into that system.
    """
    together: dict[tuple[object, ...], list[int]] = {}
    for number, (_, frame) in enumerate(images):
        straight = frame.control is None and _own(frame.crs, crs)
        alone = None if one_way(frame.crs, crs) else number
        together.setdefault((frame.crs, straight, alone), []).append(number)
    rings: list[list[Floats]] = [[] for _ in images]
    for numbers in together.values():
        group = _OneSystem([images[number] for number in numbers], crs)
        for number, found in zip(numbers, group.rings(), strict=True):
            rings[number] = found
    return rings


def _own(own: str | None, crs: str | None) -> bool:
    """Tell whether the system wanted is the image's own."""
    return crs is None or crs == own or (crs in LONGITUDE_LATITUDE and own in LONGITUDE_LATITUDE)


class _OneSystem:
    """Boxes of images that share a coordinate reference system."""

    def __init__(self, images: Sequence[tuple[Floats, Frame]], crs: str | None) -> None:
        self._frames = [frame for _, frame in images]
        self._sizes = [len(quads) for quads, _ in images]
        self._quads = np.concatenate([quads for quads, _ in images])
        self._owner = np.repeat(np.arange(len(images)), self._sizes)
        self._crs, self._degrees = crs, crs in LONGITUDE_LATITUDE

    def rings(self) -> list[list[Floats]]:
        """Return the rings of each image."""
        straight = self._frames[0].control is None and _own(self._frames[0].crs, self._crs)
        rings = self._straight() if straight or not len(self._quads) else self._bent()
        ends = np.cumsum(self._sizes).tolist()
        return [rings[end - size : end] for size, end in zip(self._sizes, ends, strict=True)]

    def _straight(self) -> list[Floats]:
        """Return the corners alone: an affine map keeps lines straight."""
        return list(_within(self._changed(self._quads, self._owner), self._degrees))

    def _bent(self) -> list[Floats]:
        quads = self._quads
        # (n, 9, 2): corners, middles, the first corner again
        halves = self._mapped(_edges(quads, 2), self._owner)
        start, middle, end = halves[:, :-1:2], halves[:, 1::2], halves[:, 2::2]
        length = np.maximum(np.linalg.norm(end - start, axis=2), 1e-300)
        pixels = np.linalg.norm(np.roll(quads, -1, axis=1) - quads, axis=2)
        bend = (np.linalg.norm(middle - (start + end) / 2, axis=2) / length * pixels).max(axis=1)
        if self._degrees:
            steps = np.abs(np.diff(halves[..., 0], axis=1)).max(axis=1)
            turns = np.abs(halves[:, -1, 0] - halves[:, 0, 0])  # 360 round a pole
            bend[(steps > WIDE) | (turns > 180)] = np.inf
        rings = list(_within(start, self._degrees))
        # The error of a chord falls with the square of the number of points.
        wanted = np.minimum(2 * np.ceil(np.sqrt(bend / BEND)), CLOSELY)
        wanted[bend <= BEND] = 0
        for points in np.unique(wanted[wanted > 0]).astype(int).tolist():
            rows = np.flatnonzero(wanted == points)
            closed = self._mapped(_edges(quads[rows], points), self._owner[rows])
            for row, ring in zip(rows.tolist(), closed, strict=True):
                frame = self._frames[self._owner[row]]
                rings[row] = _round_pole(ring, quads[row], frame) if self._degrees else ring[:-1]
        return rings

    def _mapped(self, points: Floats, owner: NDArray[np.intp]) -> Floats:
        ground = self._changed(points, owner)
        if self._degrees:
            ground[..., 0] = np.unwrap(ground[..., 0], period=360, axis=1)
        return ground

    def _changed(self, points: Floats, owner: NDArray[np.intp]) -> Floats:
        """Return (n, k, 2) points of boxes on the map; the owners of the boxes are in order."""
        parts = np.split(points, np.flatnonzero(np.diff(owner)) + 1)
        owners = [int(owner[0]), *owner[np.flatnonzero(np.diff(owner)) + 1].tolist()] if len(owner) else [0]
        places = [self._frames[k].places(part.reshape(-1, 2)) for k, part in zip(owners, parts, strict=True)]
        ground = in_other_system(np.concatenate(places), self._frames[0].crs, self._crs)
        return ground.reshape(points.shape)


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
