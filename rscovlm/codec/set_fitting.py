"""Polygons simplified until their text fits, and what that costs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import shapely

from rscovlm.codec.point_objects import PointObject
from rscovlm.codec.set_of_points import SetOfPoints
from rscovlm.codec.writing import Style
from rscovlm.geometry import Frame
from rscovlm.geometry.affine import Floats
from rscovlm.geometry.shapes import rings_of, shape_iou

_FINEST = 0.125
_STEP = 2**0.5
"""Tolerances that are tried: none, then from an eighth of a pixel on, each the square root of two times the one before."""


@dataclass(frozen=True)
class FittedText:
    """An answer that keeps to a length, and what its polygons lost.

    Attributes:
        text: The answer.
        tolerance: Pixels of the grid by which outlines were simplified for the length of the whole; 0 where it fitted as it was.
        iou: (n,) overlap of each object, as it reads back from a text of its own, with what was given; 1 where nothing was lost.
        rings: Rings left out for their size or number, over all objects.
    """

    text: str
    tolerance: float
    iou: Floats
    rings: int


def fitted(
    text: SetOfPoints,
    objects: Sequence[PointObject],
    frame: Frame,
    *,
    longest: int | None = None,
    length: Callable[[str], int] = len,
    style: Style | None = None,
    categories: Sequence[str] | None = None,
) -> FittedText:
    """Write objects with polygons simplified (Douglas-Peucker, topology kept) as far as the limits ask for, and no further.

    Each ring keeps to ``text.most_points`` and each object to ``text.most_rings``, the smallest rings being left out, at the
    finest tolerance at which it does; then all polygons together are simplified until the text is short enough.

    Args:
        text: How to write.
        objects: What to write; prompts and corners are written as they are.
        frame: Pixel grid the model sees.
        longest: Largest length of the text; None for any.
        length: What is counted, such as tokens; characters by default.
        style: As for `SetOfPoints.encode`.
        categories: As for `SetOfPoints.encode`.

    Raises:
        ValueError: The text does not fit even with every polygon down to a triangle or so; or as for `SetOfPoints.encode`.

    >>> from rscovlm.codec import Codec
    >>> grid = Frame(200, 200)
    >>> disc = PointObject.area("tank", shapely.Point(100, 100).buffer(60, quad_segs=32), grid)
    >>> found = fitted(SetOfPoints(Codec.preset("rscovlm-v1")), [disc], grid, longest=170)
    >>> len(found.text) <= 170, bool(found.iou[0] > 0.95)
    (True, True)
    """
    moved = [one.to(frame) for one in objects]
    shapes = [one.shape for one in moved]
    finest = [_least(text, one, shape) for one, shape in zip(moved, shapes, strict=True)]
    tolerances = [0.0, *(_FINEST * _STEP**step for step in range(_steps(frame)))]

    def attempt(tolerance: float) -> tuple[str, list[PointObject], int]:
        pairs = [
            _simplified(text, one, shape, max(tolerance, own))
            for one, shape, own in zip(moved, shapes, finest, strict=True)
        ]
        written = [one for one, _ in pairs]
        whole = text.encode(written, frame, style=style, categories=categories)
        return whole, written, sum(lost for _, lost in pairs)

    fits = [0.0]
    if longest is not None:
        # Longer tolerances give shorter texts, but for rounding: the first that fits is sought by halves.
        low, high = 0, len(tolerances) - 1
        if length(attempt(tolerances[high])[0]) > longest:
            raise ValueError(
                f"an answer of {len(objects)} objects does not fit into {longest}, however simple its polygons; raise the "
                "limit, or write fewer objects"
            )
        while low < high:
            middle = (low + high) // 2
            low, high = (low, middle) if length(attempt(tolerances[middle])[0]) <= longest else (middle + 1, high)
        fits = [tolerances[low]]
    whole, written, lost = attempt(fits[0])
    return FittedText(whole, fits[0], _overlaps(text, written, shapes, frame), lost)


def _least(text: SetOfPoints, one: PointObject, shape: Any) -> float:
    """Return the finest tolerance at which every ring of an object keeps to the limit of points."""
    if one.form != "polygon" or shape.is_empty:
        return 0.0
    tolerance = 0.0
    while max(len(ring) for ring in _rings(text, shape, tolerance)[0]) > text.most_points:
        tolerance = max(tolerance * _STEP, _FINEST)
    return tolerance


def _simplified(text: SetOfPoints, one: PointObject, shape: Any, tolerance: float) -> tuple[PointObject, int]:
    if one.form != "polygon" or shape.is_empty:
        return one, 0
    rings, lost = _rings(text, shape, tolerance)
    return PointObject.polygon(one.label, rings, one.sets.frame or Frame(1, 1)), lost


def _rings(text: SetOfPoints, shape: Any, tolerance: float) -> tuple[list[Floats], int]:
    """Return the largest rings of a simplified shape, and how many were left out."""
    simple = shapely.simplify(shape, tolerance, preserve_topology=True) if tolerance else shape
    rings = rings_of(simple)
    areas = np.array([shapely.Polygon(ring).area for ring in rings])
    order = np.argsort(-areas, kind="stable")[: text.most_rings]
    kept = [row for row in order.tolist() if areas[row] >= tolerance**2 or row == order[0]]
    return [rings[row] for row in sorted(kept)], len(rings) - len(kept)


def _overlaps(text: SetOfPoints, written: Sequence[PointObject], shapes: Sequence[Any], frame: Frame) -> Floats:
    overlaps = []
    for one, shape in zip(written, shapes, strict=True):
        if one.form != "polygon":
            overlaps.append(1.0)
            continue
        read = text.decode(text.encode([one], frame, style="json"), frame, form="polygon").objects
        overlaps.append(shape_iou(read[0].shape, shape) if read else 0.0)
    return np.array(overlaps, np.float64)


def _steps(frame: Frame) -> int:
    """Return how many tolerances there are up to half of the image."""
    return int(np.ceil(2 * np.log2(max(frame.width, frame.height) / 2 / _FINEST))) + 1
