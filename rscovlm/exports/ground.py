"""Where a web map shows an image: its place on Mercator, over the 180th meridian too."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Self

import numpy as np
from PIL import Image

from rscovlm.exports.outlines import outlines, rounds_pole
from rscovlm.geometry import Frame
from rscovlm.geometry.affine import Floats
from rscovlm.rasters.view import View
from rscovlm.rasters.world import LONGITUDE_LATITUDE, WGS84, is_degrees, to_map, transformed

HIGHEST = 85.05
"""Latitude where web maps end."""

HIDDEN = 0.25
"""Share of an image that may lie beyond it."""

LARGEST = 2048
"""Pixels of the longer side of the picture in the page."""

CELL = 32
"""Pixels of the squares that are laid out as a whole: their corners are exact, what is between them bilinear."""


@dataclass(frozen=True)
class MapExtent:
    """The part of a web map that an image covers, in degrees; longitudes go on beyond 180 where it does.

    Attributes:
        west: Its smallest longitude, from -180 up.
        south: Its smallest latitude.
        east: Its largest longitude, above 180 where the image crosses that meridian.
        north: Its largest latitude, at most where web maps end.
    """

    west: float
    south: float
    east: float
    north: float

    @classmethod
    def of(cls, frame: Frame) -> Self | None:
        """Return where an image lies; None without map coordinates, or where a web map does not show it (a pole).

        Raises:
            ValueError: The image's coordinates cannot be changed to longitude and latitude.
        """
        if frame.to_world() is None or frame.crs is None:
            return None
        rim = outlines(_corners(frame)[None], frame, WGS84)[0]
        share = np.linspace(0.05, 0.95, 10)
        inside = np.stack(np.meshgrid(share * frame.width, share * frame.height), axis=-1).reshape(-1, 2)
        beyond = np.abs(to_map(inside, frame, WGS84)[:, 1]) > HIGHEST
        if rounds_pole(rim) or beyond.mean() > HIDDEN:
            return None
        west, east = float(rim[:, 0].min()), float(rim[:, 0].max())
        turn = 360 * math.floor((west + 180) / 360)
        latitudes = rim[:, 1].clip(-HIGHEST, HIGHEST)
        return cls(west - turn, float(latitudes.min()), east - turn, float(latitudes.max()))

    def rings(self, quads: Floats, frame: Frame) -> list[Floats]:
        """Return the outlines of (n, 4, 2) boxes in longitude and latitude, on the same turn round the world."""
        middle = (self.west + self.east) / 2
        rings = []
        for ring in outlines(quads, frame, WGS84):
            away = middle - (ring[:, 0].min() + ring[:, 0].max()) / 2
            rings.append(ring + (360 * round(away / 360), 0))
        return rings

    def laid_out(self, view: View) -> tuple[Image.Image, list[list[float]]]:
        """Return a view on Mercator, transparent outside of it, and its south-western and north-eastern corner."""
        top, bottom = _northing(self.north), _northing(self.south)
        across, down = math.radians(self.east - self.west), top - bottom
        step = max(across, down) / min(max(view.frame.width, view.frame.height), LARGEST)
        width, height = max(1, round(across / step)), max(1, round(down / step))
        columns, rows = _steps(width), _steps(height)
        longitude = self.west + (self.east - self.west) * columns / width
        latitude = np.degrees(np.arctan(np.sinh(top - down * rows / height)))
        nodes = np.stack(np.meshgrid(longitude, latitude), axis=-1)
        there = _pixels(nodes.reshape(-1, 2), view.frame).reshape(nodes.shape)
        mesh = []
        for row in range(len(rows) - 1):
            for column in range(len(columns) - 1):
                corners = there[[row, row + 1, row + 1, row], [column, column, column + 1, column + 1]]
                if np.isfinite(corners).all():
                    box = (columns[column], rows[row], columns[column + 1], rows[row + 1])
                    mesh.append((tuple(int(side) for side in box), tuple(corners.ravel().tolist())))
        picture = _transparent(view)
        laid = picture.transform((width, height), Image.Transform.MESH, mesh, Image.Resampling.BILINEAR)
        return laid, [[self.south, self.west], [self.north, self.east]]


def _corners(frame: Frame) -> Floats:
    return np.array([[0.0, 0.0], [frame.width, 0.0], [frame.width, frame.height], [0.0, frame.height]])


def _northing(latitude: float) -> float:
    """Return Mercator's y, in radians."""
    return math.asinh(math.tan(math.radians(latitude)))


def _steps(length: int) -> Floats:
    """Return the borders of cells along a side, in pixels."""
    return np.append(np.arange(0, length, CELL), length).astype(np.float64)


def _pixels(degrees: Floats, frame: Frame) -> Floats:
    """Return the pixels of a frame at (n, 2) longitudes and latitudes; not a number where there are none."""
    ground = degrees
    if frame.crs not in LONGITUDE_LATITUDE and frame.crs is not None:
        ground = transformed(degrees, WGS84, frame.crs, anywhere=True)
        if is_degrees(frame.crs):  # such a system's longitudes jump where the image's go on
            middle = frame.places(np.array([[frame.width / 2, frame.height / 2]]))[0, 0]
            ground[:, 0] += 360 * np.round((middle - ground[:, 0]) / 360)
    else:
        middle = frame.places(np.array([[frame.width / 2, frame.height / 2]]))[0, 0]
        ground = degrees + (360 * round((middle - float(degrees[:, 0].mean())) / 360), 0)
    found = np.full(ground.shape, np.nan)
    known = np.isfinite(ground).all(axis=1)
    found[known] = frame.pixels(ground[known])
    return found


def _transparent(view: View) -> Image.Image:
    """Return a view's picture, transparent where nothing was measured and black is shown."""
    shown = np.asarray(view.image)
    opaque = np.full(shown.shape[:2], 255, dtype=np.uint8)
    if view.valid is not None:  # white that is marked as no data, such as a glaring roof, stays to be seen
        opaque[~view.valid & (shown.max(axis=2) == 0)] = 0
    return Image.fromarray(np.dstack([shown, opaque]))
