"""Where an image lies, by points of it whose place is known: a thin plate spline through all of them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from rscovlm.geometry.affine import Affine6, Floats, apply, inverse, validated

MOST = 1024
"""Points that a spline runs through; of more, one of each cell of a grid of 32 x 32."""

CHUNK = 2**21
"""Distances that are computed at once."""

STEPS, CLOSE = 30, 1e-7
"""Newton steps at most from the map back to pixels, and pixels at which they end."""


@dataclass(frozen=True)
class ControlPoints:
    """Points of an image and their places in map units; between them places are interpolated.

    The spline is the one of GDAL (`gdalwarp -tps`): it meets every point and bends as little as it can between them
    (Bookstein 1989, "Principal warps", eq. 1-8, with the kernel r² log r²). Radar images come with a grid of such
    points, which no affine map and no polynomial meets, because their ground is neither flat nor level.

    Args:
        pixels: x and y of at least three points that are not on one line, no two at one place.
        world: X and Y of each.

    Raises:
        ValueError: There are too few points, all are on one line, or a number is not finite.

    >>> corners = ControlPoints(((0, 0), (10, 0), (0, 10), (10, 10)), ((5, 50), (25, 50), (5, 30), (26, 30)))
    >>> corners.to_world(np.array([[10.0, 10.0], [5.0, 0.0]])).round(6).tolist()
    [[26.0, 30.0], [15.0, 50.0]]
    """

    pixels: tuple[tuple[float, float], ...]
    world: tuple[tuple[float, float], ...]

    def __post_init__(self) -> None:
        for name in ("pixels", "world"):
            points = np.asarray(getattr(self, name), dtype=np.float64)
            if points.ndim != 2 or points.shape[1] != 2 or not np.isfinite(points).all():
                raise ValueError(f"control points: {name} has shape {points.shape}; give two finite numbers a point")
            object.__setattr__(self, name, tuple((float(x), float(y)) for x, y in points))
        if len(self.pixels) != len(self.world):
            raise ValueError(
                f"there are {len(self.pixels)} pixels and {len(self.world)} places; give one of each a point"
            )
        if len(self.pixels) < 3 or np.linalg.matrix_rank(self._nodes - self._nodes.mean(axis=0), tol=1e-9) < 2:
            raise ValueError(
                f"{len(self.pixels)} control points do not span an area; give three that are not on a line"
            )

    def to_world(self, points: Floats) -> Floats:
        """Return the places of (n, 2) pixels, in map units."""
        nodes, weights = self._nodes, self._weights
        rows = max(CHUNK // len(nodes), 1)
        parts = [self._spline(points[first : first + rows], nodes, weights) for first in range(0, len(points), rows)]
        return np.concatenate(parts) if parts else np.empty((0, 2))

    def to_pixels(self, places: Floats) -> Floats:
        """Return the (n, 2) pixels of places.

        Raises:
            ValueError: A place is so far from the points that no pixel is found for it.
        """
        start = inverse(self.affine)
        found = apply(start, places)
        for _ in range(STEPS):
            missed = self.to_world(found) - places
            # What one step to the right and one down changes: the columns of the Jacobian.
            right = self.to_world(found + (0.5, 0)) - self.to_world(found - (0.5, 0))
            down = self.to_world(found + (0, 0.5)) - self.to_world(found - (0, 0.5))
            size = right[:, 0] * down[:, 1] - right[:, 1] * down[:, 0]
            with np.errstate(all="ignore"):
                x = (missed[:, 0] * down[:, 1] - missed[:, 1] * down[:, 0]) / size
                y = (missed[:, 1] * right[:, 0] - missed[:, 0] * right[:, 1]) / size
            step = np.stack([x, y], axis=1)
            found = found - step
            if not np.isfinite(found).all():
                break
            if not len(step) or np.abs(step).max() < CLOSE:
                return found
        raise ValueError("a place is too far from the control points to be found in the image; give one inside of it")

    @cached_property
    def affine(self) -> Affine6:
        """The affine map with the least squared error in map units."""
        source, target = np.asarray(self.pixels), np.asarray(self.world)
        centre, middle = source.mean(axis=0), target.mean(axis=0)
        linear = np.linalg.lstsq(source - centre, target - middle, rcond=None)[0].T
        x, y = (middle - linear @ centre).tolist()
        (a, b), (d, e) = linear.tolist()
        return a, b, x, d, e, y

    @cached_property
    def affine_error(self) -> float:
        """R.m.s. distance of the points from `affine`, in pixels."""
        return self._in_pixels(apply(self.affine, np.asarray(self.pixels)) - np.asarray(self.world))

    @cached_property
    def error(self) -> float | None:
        """R.m.s. distance in pixels by which points that the spline was made without are missed.

        Each point in turn is left out; where there are more than `MOST`, those that it does not run through. None for
        three points, which leave nothing to compare with.
        """
        if len(self._chosen) < len(self.pixels):
            others = np.setdiff1d(np.arange(len(self.pixels)), self._chosen)
            rest = np.asarray(self.pixels)[others]
            return self._in_pixels(self.to_world(rest) - np.asarray(self.world)[others])
        if len(self.pixels) == 3:
            return None
        # Without solving anew: the error at a point is its weight by the diagonal of the inverse (Rippa 1999).
        diagonal = np.diagonal(np.linalg.inv(self._system))[: len(self._nodes), None]
        return self._in_pixels(self._weights[:-3] / diagonal)

    @cached_property
    def _chosen(self) -> np.ndarray[tuple[int], np.dtype[np.intp]]:
        """Numbers of the points that the spline runs through."""
        points = np.asarray(self.pixels)
        _, first = np.unique(points, axis=0, return_index=True)  # two places of one pixel cannot both be met
        if len(first) > MOST:
            side = int(MOST**0.5)
            low, high = points.min(axis=0), points.max(axis=0)
            cells = ((points[first] - low) / np.maximum(high - low, 1e-12) * side).astype(int).clip(0, side - 1)
            first = first[np.unique(cells @ (side, 1), return_index=True)[1]]
        return np.sort(first)

    @cached_property
    def _scale(self) -> tuple[Floats, float]:
        points = np.asarray(self.pixels)
        return points.mean(axis=0), float(np.abs(points - points.mean(axis=0)).max()) or 1.0

    @cached_property
    def _nodes(self) -> Floats:
        """The points of the spline around 0, at most 1 away from it, which keeps the equations well conditioned."""
        centre, scale = self._scale
        nodes: Floats = (np.asarray(self.pixels)[self._chosen] - centre) / scale
        return nodes

    @cached_property
    def _system(self) -> Floats:
        nodes = self._nodes
        count = len(nodes)
        system = np.zeros((count + 3, count + 3))
        system[:count, :count] = _kernel(nodes, nodes)
        system[:count, count:] = np.concatenate([np.ones((count, 1)), nodes], axis=1)
        system[count:, :count] = system[:count, count:].T
        return system

    @cached_property
    def _weights(self) -> Floats:
        """(points + 3, 2): of each point's kernel, then of 1, x and y."""
        places = np.concatenate([np.asarray(self.world)[self._chosen], np.zeros((3, 2))])
        middle = places[:-3].mean(axis=0)
        places[:-3] -= middle
        weights: Floats = np.linalg.solve(self._system, places)
        weights[-3] += middle
        return weights

    def _spline(self, points: Floats, nodes: Floats, weights: Floats) -> Floats:
        centre, scale = self._scale
        there = (np.asarray(points, dtype=np.float64) - centre) / scale
        bent: Floats = _kernel(there, nodes) @ weights[:-3] + weights[-3] + there @ weights[-2:]
        return bent

    def _in_pixels(self, missed: Floats) -> float:
        a, b, _, d, e, _ = self.affine
        back = np.linalg.solve(np.array([[a, b], [d, e]]), missed.T)
        return float(np.sqrt((back**2).sum(axis=0).mean()))


def _kernel(points: Floats, nodes: Floats) -> Floats:
    squared: Floats = np.square(points[:, :1] - nodes[:, 0])
    squared += np.square(points[:, 1:] - nodes[:, 1])
    logarithm = np.log(squared, where=squared > 0, out=np.zeros_like(squared))
    return np.multiply(squared, logarithm, out=squared)


def spanning(pixels: Floats, world: Floats) -> ControlPoints | None:
    """Return control points, or None where they do not span an area, in the image or on the map."""
    try:
        points = ControlPoints(tuple(map(tuple, pixels)), tuple(map(tuple, world)))
        validated(points.affine, "affine")
        return points if np.isfinite(points._weights).all() else None
    except (ValueError, np.linalg.LinAlgError):
        return None
