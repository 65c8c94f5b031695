"""Conditions that geometry decides: size, side, distance, inside, between, along a line, nearest."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray

from rscovlm.geometry import Frame, Objects
from rscovlm.geometry.affine import Floats, apply
from rscovlm.points.conditions import SIDES, SUPERLATIVES, SubInstruction
from rscovlm.rasters.world import WGS84, to_map, transformed

Shapes = NDArray[np.object_]
Bools = NDArray[np.bool_]

MOST_PAIRS = 10_000
"""Pairs of things that objects may lie between."""

LEAST_SHARE = 0.1
"""Share of the way to an object that must lead to a side: what lies straight north is not east, whatever rounding says."""

_MAP_SIDES = {
    "north_of",
    "south_of",
    "east_of",
    "west_of",
    "northernmost",
    "southernmost",
    "easternmost",
    "westernmost",
}
_AXIS = {
    "left_of": (0, -1),
    "right_of": (0, 1),
    "above": (1, -1),
    "below": (1, 1),
    "west_of": (0, -1),
    "east_of": (0, 1),
    "south_of": (1, -1),
    "north_of": (1, 1),
    "leftmost": (0, -1),
    "rightmost": (0, 1),
    "topmost": (1, -1),
    "bottommost": (1, 1),
    "westernmost": (0, -1),
    "easternmost": (0, 1),
    "southernmost": (1, -1),
    "northernmost": (1, 1),
}
"""Coordinate and direction: pixels count right and down, metres east and north."""


@dataclass(frozen=True)
class GroundPlane:
    """Where the pixels of an image lie in metres: east and north of the image's middle.

    Attributes:
        frame: The image's own grid.
        system: A PROJ string of an azimuthal equidistant projection round the middle; lengths in an image 100 km wide are
            right to 1 in 10,000.
    """

    frame: Frame
    system: str

    @classmethod
    def of(cls, frame: Frame) -> GroundPlane:
        """Return the plane of an image.

        Raises:
            ValueError: The image does not say where it lies, or its coordinates cannot be changed.
        """
        if frame.to_world() is None or frame.crs is None:
            raise ValueError(
                "the image has no map coordinates, so metres and compass directions are not known; give one that has, "
                "or use pixels, left, right, above and below"
            )
        ((longitude, latitude),) = to_map(np.array([[frame.width / 2, frame.height / 2]]), frame).tolist()
        return cls(frame, f"+proj=aeqd +lat_0={latitude:.9f} +lon_0={longitude:.9f} +datum=WGS84 +units=m")

    def points(self, pixels: Floats) -> Floats:
        """Return (n, 2) pixels as metres east and north."""
        return transformed(to_map(pixels, self.frame), WGS84, self.system)

    def shapes(self, shapes: Shapes) -> Shapes:
        """Return shapes in pixels as shapes in metres; edges are cut at 16 places, since they may be curved on the ground."""
        finer = (
            shapely.segmentize(shapes, [max(_extent(shape) / 16, 1e-9) for shape in shapes]) if len(shapes) else shapes
        )
        moved: Shapes = shapely.transform(finer, self.points)
        return moved


def shapes_of(objects: Objects) -> Shapes:
    """Return the outlines of objects in the pixels of the image, as valid polygons.

    >>> from rscovlm.geometry import Boxes
    >>> shapely.area(shapes_of(Objects(Boxes([[0, 0, 4, 3]], "hbb"), ("ship",)))).tolist()
    [12.0]
    """
    corners = objects.boxes.as_kind("quad").coords.reshape(-1, 4, 2)
    frame = objects.boxes.frame
    if frame is not None:
        corners = apply(frame.to_root, corners.reshape(-1, 2)).reshape(-1, 4, 2)
    found = np.empty(len(corners), dtype=object)
    for row, corner in enumerate(corners):
        found[row] = shapely.make_valid(shapely.Polygon(corner))
    return found


class ConditionJudge:
    """Decides conditions about the objects of one image.

    Args:
        frame: The image's own grid; metres and compass directions need its map coordinates.
    """

    def __init__(self, frame: Frame) -> None:
        self.frame = frame
        self._plane: GroundPlane | None = None

    @property
    def plane(self) -> GroundPlane:
        """Where the image lies, in metres.

        Raises:
            ValueError: The image does not say it.
        """
        if self._plane is None:
            self._plane = GroundPlane.of(self.frame)
        return self._plane

    def kept(self, step: SubInstruction, shapes: Shapes, others: Sequence[Shapes]) -> list[int]:
        """Return which objects a step keeps, in order: of superlatives the leading one first.

        Args:
            step: What is decided.
            shapes: Outlines of the objects to choose from, in pixels of the image.
            others: Outlines of each thing that the step compares with.

        Raises:
            ValueError: The step needs map coordinates that the image does not have, or is no matter of geometry.
        """
        if step.do == "count" or not len(shapes):
            return list(range(len(shapes)))
        if step.do in SUPERLATIVES:
            return self._leading(step, shapes)
        if step.do == "part":
            return np.flatnonzero(self._in_part(step.what, shapes)).tolist()
        if any(not len(other) for other in others):
            return []
        decide = _DECIDE.get(step.do, None) if step.do not in SIDES else _on_side
        if decide is None:
            raise ValueError(f"step {step.name!r} ({step.do}) is asked of a model; geometry cannot decide it")
        metric = step.do in _MAP_SIDES or (
            step.do in ("within", "beyond", "along") and step.unit == "m" and step.distance is not None
        )
        if metric:
            shapes, others = self.plane.shapes(shapes), [self.plane.shapes(other) for other in others]
        return decide(step, shapes, others)

    def _leading(self, step: SubInstruction, shapes: Shapes) -> list[int]:
        if step.do in ("largest", "smallest"):
            values = shapely.area(shapes) * (-1 if step.do == "largest" else 1)
        else:
            axis, sign = _AXIS[step.do]
            places = self.plane.shapes(shapes) if step.do in _MAP_SIDES else shapes
            values = -sign * _centres(places)[:, axis]
        return [int(row) for row in np.argsort(values, kind="stable")[: step.count]]

    def _in_part(self, part: str, shapes: Shapes) -> Bools:
        centres = _centres(shapes)
        if part in ("north", "south", "east", "west"):
            # The middle of the image is the middle of the plane.
            east, north = _centres(self.plane.shapes(shapes)).T
            return np.asarray({"north": north > 0, "south": north < 0, "east": east > 0, "west": east < 0}[part])
        x, y = (centres / (self.frame.width, self.frame.height)).T
        middle = (np.abs(x - 0.5) <= 1 / 6) & (np.abs(y - 0.5) <= 1 / 6)
        return np.asarray(
            {"left": x < 0.5, "right": x > 0.5, "top": y < 0.5, "bottom": y > 0.5, "centre": middle}[part]
        )


def _centres(shapes: Shapes) -> Floats:
    return np.asarray(shapely.get_coordinates(shapely.centroid(shapes)), dtype=np.float64).reshape(-1, 2)


def _extent(shape: shapely.Geometry) -> float:
    left, low, right, high = shapely.bounds(shape)
    return float(max(right - left, high - low))


def _distances(shapes: Shapes, others: Sequence[Shapes]) -> Floats:
    """Return the distance of each shape to the nearest of the others."""
    return np.asarray(shapely.distance(shapes, shapely.union_all(np.concatenate(list(others)))))


def _on_side(step: SubInstruction, shapes: Shapes, others: Sequence[Shapes]) -> list[int]:
    """Keep shapes whose middle lies on a side of the nearest point of the others; one within them lies on no side."""
    axis, sign = _AXIS[step.do]
    whole = shapely.union_all(np.concatenate(list(others)))
    kept = []
    for row, centre in enumerate(shapely.centroid(shapes)):
        if whole.covers(centre):
            continue
        there = shapely.get_coordinates(shapely.shortest_line(whole, centre))
        way = there[1] - there[0]
        if sign * way[axis] > LEAST_SHARE * float(np.hypot(*way)):
            kept.append(row)
    return kept


def _within(step: SubInstruction, shapes: Shapes, others: Sequence[Shapes]) -> list[int]:
    return np.flatnonzero(_distances(shapes, others) <= (step.distance or 0.0)).tolist()


def _beyond(step: SubInstruction, shapes: Shapes, others: Sequence[Shapes]) -> list[int]:
    return np.flatnonzero(_distances(shapes, others) > (step.distance or 0.0)).tolist()


def _along(step: SubInstruction, shapes: Shapes, others: Sequence[Shapes]) -> list[int]:
    """Keep shapes as near to a line as the distance, or as each is long."""
    if step.distance is not None:
        return _within(step, shapes, others)
    lengths = np.array([_extent(shape) for shape in shapes])
    return np.flatnonzero(_distances(shapes, others) <= lengths).tolist()


def _nearest(step: SubInstruction, shapes: Shapes, others: Sequence[Shapes]) -> list[int]:
    sign = 1 if step.do == "nearest" else -1
    order = np.argsort(sign * _distances(shapes, others), kind="stable")
    return [int(row) for row in order[: step.count]]


def _inside(step: SubInstruction, shapes: Shapes, others: Sequence[Shapes]) -> list[int]:
    whole = shapely.union_all(np.concatenate(list(others)))
    within = shapely.covers(whole, shapely.centroid(shapes))
    return np.flatnonzero(within if step.do == "inside" else ~within).tolist()


def _between(step: SubInstruction, shapes: Shapes, others: Sequence[Shapes]) -> list[int]:
    """Keep shapes whose middle lies in the hull of two of the others, and in neither of the two."""
    one, two = others if len(others) == 2 else (others[0], others[0])
    rows, columns = (
        np.indices((len(one), len(two))).reshape(2, -1) if len(others) == 2 else np.triu_indices(len(one), 1)
    )
    if len(rows) > MOST_PAIRS:
        raise ValueError(f"step {step.name!r} compares {len(rows)} pairs; name things of which there are fewer")
    centres = shapely.centroid(shapes)
    pairs = shapely.geometrycollections(np.stack([one[rows], two[columns]], axis=1))
    hulls: Shapes = np.asarray(shapely.convex_hull(pairs), dtype=object)
    shapely.prepare(hulls)
    in_one, in_two = (shapely.covers(other[None], centres[:, None]) for other in (one, two))
    kept = []
    for row, centre in enumerate(centres):
        apart = ~(in_one[row, rows] | in_two[row, columns])
        if shapely.covers(hulls[apart], centre).any():
            kept.append(row)
    return kept


_Decide = Callable[[SubInstruction, Shapes, Sequence[Shapes]], list[int]]
_DECIDE: dict[str, _Decide] = {
    "within": _within,
    "beyond": _beyond,
    "along": _along,
    "nearest": _nearest,
    "farthest": _nearest,
    "inside": _inside,
    "outside": _inside,
    "between": _between,
}
