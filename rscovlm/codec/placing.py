"""From the numbers of an answer to boxes and points on a grid, and what is odd about them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from rscovlm.codec.found_objects import FoundObject
from rscovlm.codec.layouts import KIND_OF, Form
from rscovlm.codec.spaces import SPACES, SpaceName, limits, pixels, placed
from rscovlm.geometry import Boxes, Frame, PointSets
from rscovlm.geometry.affine import Floats
from rscovlm.geometry.kinds import Kind

_FAR = 2.0
"""Shares of 1 do not reach this; an object that is cut by the border reaches less far."""


def boxes_of(
    found: Sequence[FoundObject],
    spaces: Sequence[SpaceName],
    frame: Frame,
    wanted: Kind | None,
    default: Kind,
    problems: Counter[str],
) -> Boxes:
    """Return what was found as boxes of one kind, in order; what is odd is counted.

    Args:
        found: Objects that are no points.
        spaces: The space of each.
        frame: The grid.
        wanted: Kind to return; None for that of the first object.
        default: Kind to return where there is no object.
        problems: Counts by reason.
    """
    kinds: list[Kind] = [KIND_OF[one.form] for one in found]
    if wanted is None:
        wanted = kinds[0] if kinds else default
    parts: list[Boxes] = []
    places: list[int] = []
    ways = [(one.form, space) for one, space in zip(found, spaces, strict=True)]
    for form, space in dict.fromkeys(ways):
        rows = [row for row, own in enumerate(ways) if own == (form, space)]
        numbers = np.array([found[row].numbers for row in rows])
        parts.append(placed(pixels(_checked(numbers, form, space, frame, problems), form, space, frame), form, frame))
        places += rows
        if KIND_OF[form] != wanted:
            problems["converted"] += len(rows)
    if not parts:
        return Boxes.empty(wanted, frame)
    boxes = [part.as_kind(wanted) for part in parts]
    return boxes[0] if len(boxes) == 1 else Boxes.concatenate(boxes)[np.argsort(places)]


def points_of(
    found: Sequence[FoundObject], spaces: Sequence[SpaceName], frame: Frame, problems: Counter[str]
) -> PointSets:
    """Return points, one set of one point each; what is odd is counted."""
    sets: list[Floats] = []
    for one, space in zip(found, spaces, strict=True):
        numbers = np.array([one.numbers])
        problems["outside"] += int(_outside(numbers, "point", space, frame).sum())
        problems["space_suspect"] += int(_suspect(numbers, "point", space, frame).sum())
        sets.append(pixels(numbers, "point", space, frame))
    return PointSets(sets, frame)


def _checked(values: Floats, form: Form, space: SpaceName, frame: Frame, problems: Counter[str]) -> Floats:
    """Return numbers with exchanged corners put right; what is odd about them is counted."""
    if form in ("hbb", "corners"):
        low, high = np.minimum(values[:, :2], values[:, 2:4]), np.maximum(values[:, :2], values[:, 2:4])
        problems["inverted"] += int((low != values[:, :2]).any(axis=1).sum())
        values = np.concatenate([low, high, values[:, 4:]], axis=1)
    problems["degenerate"] += int(_degenerate(values, form).sum())
    problems["outside"] += int(_outside(values, form, space, frame).sum())
    problems["space_suspect"] += int(_suspect(values, form, space, frame).sum())
    return values


def _degenerate(values: Floats, form: Form) -> NDArray[np.bool_]:
    """Return which boxes have no width or no height."""
    if form in ("hbb", "corners"):
        flat: NDArray[np.bool_] = (values[:, :2] == values[:, 2:4]).any(axis=1)
        return flat
    if form == "obb":
        return np.asarray((values[:, 2:4] == 0).any(axis=1))
    corners = values.reshape(len(values), -1, 2)
    sides = corners[:, 1:] - corners[:, :1]
    cross = sides[:, :, None, 0] * sides[:, None, :, 1] - sides[:, :, None, 1] * sides[:, None, :, 0]
    return np.asarray((cross == 0).all(axis=(1, 2)))


def _on_grid(form: Form) -> int:
    """How many numbers of a form must lie on the grid; the upright form of a slanted box may reach beyond it."""
    return {"hbb": 4, "obb": 2, "corners": 0, "quad": 8, "point": 2}[form]


def _outside(values: Floats, form: Form, space: SpaceName, frame: Frame) -> NDArray[np.bool_]:
    """Return which boxes have a coordinate outside the grid."""
    count = _on_grid(form)
    if form == "corners":
        values, count = (values[:, :2] + values[:, 2:4]) / 2, 2
    largest = limits(space, form, frame)[:count] - SPACES[space].bins
    return np.asarray(((values[:, :count] < 0) | (values[:, :count] > largest)).any(axis=1))


def _suspect(values: Floats, form: Form, space: SpaceName, frame: Frame) -> NDArray[np.bool_]:
    """Return which boxes have numbers that do not look like those of the space."""
    places = values[:, :2] if form == "obb" else values[:, : 4 if form == "corners" else values.shape[1]]
    if SPACES[space].units == 1:
        return np.asarray((places > _FAR).any(axis=1))
    shares = (places >= 0).all(axis=1) & (places <= 1).all(axis=1) & (places != np.rint(places)).any(axis=1)
    return np.asarray(shares & (min(limits(space, form, frame)[:2]) > _FAR))
