"""Masks as polygons: outlines simplified by a stated tolerance, small parts left out and counted."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import shapely

from rscovlm.codec.point_objects import PointObject
from rscovlm.geometry.affine import Floats
from rscovlm.geometry.filling import fill
from rscovlm.geometry.masks import Mask, rings_each
from rscovlm.geometry.shapes import corners, rings_of, shape_of_directed
from rscovlm.geometry.window import Window

TOLERANCE = 0.75
"""Pixels by which an outline may differ from the edges of the pixels: steps of one pixel become straight lines."""

LEAST_IOU = 0.99
"""Overlap with the pixels that the polygon of a part keeps at least: where the tolerance costs more, it is made finer."""

_FINER, _TRIES = 0.7, 6
_MARGIN, _MOVED, _SURE = 2, 0.25, 2.5

_TINY = 8.0
"""Pixels below which an outline stays as the pixels have it."""

LEAST_AREA = 4.0
"""Pixels that a part or a hole has at least."""


@dataclass(frozen=True)
class MaskPolygons:
    """The polygons of a mask.

    Attributes:
        objects: One a connected part, largest first.
        small: Parts left out for their area.
        holes: Holes filled for their area.
    """

    objects: tuple[PointObject, ...]
    small: int
    holes: int


def polygons_of(
    mask: Mask,
    label: str = "",
    *,
    tolerance: float = TOLERANCE,
    least_area: float = LEAST_AREA,
    least_iou: float = LEAST_IOU,
) -> MaskPolygons:
    """Return the connected parts of a mask as polygons.

    Args:
        mask: The pixels; those that touch at a corner only are apart.
        label: Name of every part.
        tolerance: Pixels by which outlines may differ (Douglas-Peucker, topology kept); 0 keeps the edges of the pixels.
        least_area: Pixels that a part or a hole has at least; the largest part is kept whatever its area.
        least_iou: Overlap with its pixels that each polygon keeps; a finer tolerance is taken where it costs more.

    Raises:
        ValueError: Tolerance or area is negative.

    >>> import numpy as np
    >>> found = polygons_of(Mask.of(np.pad(np.ones((20, 30)), 4)), "roof")
    >>> [one.shape.area for one in found.objects], found.small
    ([600.0], 0)
    """
    options = {"tolerance": tolerance, "least_area": least_area, "least_iou": least_iou}
    return polygons_each([mask], [label], **options)[0]


def polygons_each(
    masks: Sequence[Mask],
    labels: Sequence[str] | None = None,
    *,
    tolerance: float = TOLERANCE,
    least_area: float = LEAST_AREA,
    least_iou: float = LEAST_IOU,
) -> list[MaskPolygons]:
    """Return the polygons of many masks: those that `polygons_of` gives of each, in half the time for small ones.

    Args:
        masks: Objects of one image or of several.
        labels: A name for each; none where left out.
        tolerance: As for `polygons_of`.
        least_area: As for `polygons_of`.
        least_iou: As for `polygons_of`.

    Raises:
        ValueError: Tolerance or area is negative, or there is not one label a mask.

    >>> import numpy as np
    >>> [len(one.objects) for one in polygons_each([Mask.of(np.ones((4, 6))), Mask.of(np.eye(4))])]
    [1, 1]
    """
    if tolerance < 0 or least_area < 0:
        raise ValueError(f"tolerance is {tolerance} and least_area {least_area}; give 0 or more pixels")
    if labels is not None and len(labels) != len(masks):
        raise ValueError(f"there are {len(masks)} masks and {len(labels)} labels; give one a mask")
    names = [""] * len(masks) if labels is None else labels
    shapes = [shape_of_directed(rings) for rings in rings_each(masks)]
    rows = zip(masks, names, shapes, strict=True)
    return [_polygons(mask, label, shape, tolerance, least_area, least_iou) for mask, label, shape in rows]


def _polygons(
    mask: Mask, label: str, shape: Any, tolerance: float, least_area: float, least_iou: float
) -> MaskPolygons:
    parts = sorted(shapely.get_parts(shape), key=lambda part: -part.area)
    parts = [part for part in parts if not part.is_empty]
    kept = [part for number, part in enumerate(parts) if part.area >= least_area or not number]
    holes = 0
    objects = []
    for part in kept:
        inner = list(part.interiors)
        own = [hole for hole in inner if shapely.Polygon(hole).area >= least_area]
        holes += len(inner) - len(own)
        whole = part if len(own) == len(inner) else shapely.Polygon(part.exterior, own)
        known = mask if whole is part and tuple(part.bounds) == tuple(mask.window) and len(parts) == 1 else None
        rings = rings_of(_simple(whole, tolerance, least_iou, known))
        objects.append(PointObject.polygon(label, rings, mask.frame))
    return MaskPolygons(tuple(objects), len(parts) - len(kept), holes)


def mask_of(one: PointObject) -> Mask:
    """Return the pixels of an object: of a box with points, those of the box.

    Raises:
        ValueError: Its grid is not known.
    """
    frame = one.sets.frame
    if frame is None:
        raise ValueError("these points have no frame, so which pixels they mean is not known; make them with a frame")
    return Mask.filled(rings_of(one.shape), frame)


def _simple(polygon: Any, tolerance: float, least: float, mask: Mask | None = None) -> Any:
    """Return a polygon without the steps of its pixels and simplified, as far as the overlap allows.

    Args:
        polygon: A connected part, along the edges of its pixels.
        tolerance: Pixels by which the outline may differ.
        least: Overlap that is kept.
        mask: Its pixels, where they are at hand.
    """
    area = float(polygon.area)
    if not tolerance or area < _TINY:
        return polygon
    # A margin for what a simplified outline adds.
    grown = Window.around(*polygon.bounds).grown(_MARGIN)
    pixels = fill(_all_corners(polygon), grown) if mask is None else np.pad(mask.pixels, _MARGIN)
    inside = int(np.count_nonzero(pixels))
    # What surely costs too much is not tried: an outline that moves by some share of the tolerance costs that share of its length.
    share = _MOVED * tolerance * float(polygon.length) / area
    skipped = max(0, math.ceil(math.log(max(share, 1e-9) / (_SURE * max(1 - least, 1e-3))) / -math.log(_FINER)))
    smooth = shapely.Polygon(_without_steps(polygon.exterior), [_without_steps(hole) for hole in polygon.interiors])
    for start in (smooth, polygon):
        for step in range(min(skipped, _TRIES - 1), _TRIES if start.is_valid else 0):
            simple = shapely.simplify(start, tolerance * _FINER**step, preserve_topology=True)
            filled = fill(_all_corners(simple), grown)
            shared = int(np.count_nonzero(filled & pixels))
            whole = int(np.count_nonzero(filled)) + inside - shared
            if shared >= least * whole and simple.is_valid:
                return simple
    return polygon


def _all_corners(polygon: Any) -> list[Floats]:
    return [corners(ring) for ring in (polygon.exterior, *polygon.interiors)]


def _without_steps(ring: Any) -> Floats:
    """Return a ring along the edges of pixels with the middles of its sides in place of corners of a step of one pixel.

    A slanted line is drawn as steps of which one side in two has one pixel: the middles of all sides lie on the line.
    """
    points = corners(ring)
    ahead = np.roll(points, -1, axis=0)
    long = np.abs(ahead - points).sum(axis=1) > 1
    corner = long & np.roll(long, 1)  # between two long sides
    found = np.stack([points, (points + ahead) / 2], axis=1)
    kept = np.column_stack([corner, ~corner | ~np.roll(corner, -1)])
    smooth: Floats = found[kept]
    return smooth if len(smooth) > 3 else points
