"""The numbers a codec writes: pixels of a grid to whole units of a coordinate space, and back."""

from __future__ import annotations

from typing import Literal, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from rscovlm.codec.layouts import KIND_OF, Form
from rscovlm.geometry import Boxes, Frame
from rscovlm.geometry.affine import Floats

SpaceName: TypeAlias = Literal["pixels", "0-1000", "0-999", "0-100", "0-1", "1000 bins", "1024 bins"]


class Space(NamedTuple):
    """How much the whole width, and the whole height, counts in a space.

    Attributes:
        units: The count; None for the grid's own pixels.
        bins: Numbers name the bins that the side is cut into, from 0 to ``units - 1``, and mean their middles.
    """

    units: int | None
    bins: bool = False

    def last(self, largest: int) -> int:
        """Return the largest whole number written for a grid whose longest side has so many pixels."""
        return largest if self.units is None else self.units - self.bins


SPACES: dict[SpaceName, Space] = {
    "pixels": Space(None),
    "0-1000": Space(1000),
    "0-999": Space(999),
    "0-100": Space(100),
    "0-1": Space(1),
    "1000 bins": Space(1000, bins=True),
    "1024 bins": Space(1024, bins=True),
}

_COORDINATES: dict[Form, int] = {"hbb": 4, "obb": 2, "corners": 4, "quad": 8, "point": 2}
"""How many numbers of a form, from the first on, are places on the grid."""


def pixels_per_unit(space: SpaceName, form: Form, frame: Frame) -> Floats:
    """Return how many pixels 1 stands for, (k,), for each number of a box.

    x counts along the width and y along the height. An oriented box's w and h count along the longer side, both alike,
    so that w >= h holds in every space; its angle is in degrees on the pixel grid in every space.
    """
    units = SPACES[space].units
    x, y = (1.0, 1.0) if units is None else (frame.width / units, frame.height / units)
    if form == "obb":
        return np.array([x, y, max(x, y), max(x, y), 1.0])
    corners = [x, y] * (_COORDINATES[form] // 2)
    return np.array([*corners, 1.0] if form == "corners" else corners)


def limits(space: SpaceName, form: Form, frame: Frame) -> Floats:
    """Return the largest value, (k,), each number of a box inside the grid can have; infinity if there is none."""
    units = SPACES[space].units
    x, y = (float(frame.width), float(frame.height)) if units is None else (float(units), float(units))
    places = _COORDINATES[form]
    return np.array([x, y] * (places // 2) + [np.inf] * (len(pixels_per_unit(space, form, frame)) - places))


def pixels(values: Floats, form: Form, space: SpaceName, frame: Frame) -> Floats:
    """Return numbers of a space, (n, k), in pixels; those of bins mean the middles of their bins."""
    moved = values.astype(np.float64)
    if SPACES[space].bins:
        moved[:, : _COORDINATES[form]] += 0.5
    scaled: Floats = moved * pixels_per_unit(space, form, frame)
    return scaled


def quantise(values: Floats, form: Form, space: SpaceName, decimals: int, frame: Frame) -> NDArray[np.int64]:
    """Round numbers of boxes, (n, k) in pixels of `frame`, to the nearest steps that `decimals` digits can write.

    Coordinates are clipped to the grid, but for the corners of an oriented box: those of its upright form may lie
    outside when all of it is inside. Angles are rounded to whole degrees in every space.

    Returns:
        (n, k) numbers of steps of 10 ** -decimals; degrees where the form has an angle.
    """
    unit, places = pixels_per_unit(space, form, frame), _COORDINATES[form]
    steps = np.full(len(unit), 10.0**decimals)
    low = np.zeros(len(unit))
    high = limits(space, form, frame)
    if form in ("obb", "corners"):
        steps[4], low[4] = 1.0, -np.inf
    if form == "corners":
        low[:4], high[:4] = -np.inf, np.inf
    clipped = np.clip(values / unit, low, high)
    if SPACES[space].bins:
        clipped[:, :places] = np.minimum(np.floor(clipped[:, :places]), SPACES[space].last(0))
    whole = np.rint(clipped * steps)
    if form == "quad":
        # Rounding may move another corner to the smallest (y, x).
        whole = Boxes(whole, "quad").coords
    steps_written: NDArray[np.int64] = whole.astype(np.int64)
    return steps_written


def restore(whole: NDArray[np.int64], form: Form, space: SpaceName, decimals: int, frame: Frame) -> Boxes:
    """Return the boxes that quantised numbers, (n, k), stand for."""
    steps = np.full(whole.shape[1], 10.0**decimals)
    if form in ("obb", "corners"):
        steps[4] = 1.0
    return placed(pixels(whole / steps, form, space, frame), form, frame)


def placed(values: Floats, form: Form, frame: Frame) -> Boxes:
    """Return the boxes that numbers, (n, k) in pixels of `frame`, make up."""
    if form == "corners":
        low, high = values[:, :2], values[:, 2:4]
        values = np.column_stack([(low + high) / 2, high - low, values[:, 4]])
    elif form == "point":
        values = np.column_stack([values, values])
    return Boxes(values, KIND_OF[form], frame)


def spread(boxes: Boxes, form: Form, angle_from: int, frame: Frame) -> Floats:
    """Return the numbers, (n, k) in pixels, that boxes on `frame` have in a form: the inverse of `placed`.

    Args:
        boxes: Boxes on `frame`, of the kind of the form.
        form: What the numbers are.
        angle_from: First angle that is written: -90 for the half turn from there, 0 for the quarter turn from there, in
            which w may be the shorter side.
        frame: The grid.
    """
    values = boxes.coords
    if form == "point":
        return (values[:, :2] + values[:, 2:]) / 2 if boxes.kind == "hbb" else values[:, :2]
    if form not in ("obb", "corners"):
        return values
    values = values.copy()
    if angle_from == 0:
        # Rounding first, so that 89.7 degrees do not become 90, which is outside the quarter turn.
        quarter = np.floor_divide(np.rint(values[:, 4]), 90.0)
        values[:, 4] -= 90.0 * quarter
        odd = quarter % 2 == 1
        values[odd, 2:4] = values[odd, 3:1:-1]
    else:
        values[np.rint(values[:, 4]) >= 90.0, 4] = -90.0
    if form == "obb":
        return values
    middle = np.clip(values[:, :2], 0.0, (frame.width, frame.height))
    half = values[:, 2:4] / 2
    return np.column_stack([middle - half, middle + half, values[:, 4]])


def written(whole: NDArray[np.int64], form: Form, decimals: int) -> list[list[str]]:
    """Return quantised numbers as the digits an answer shows."""
    if decimals == 0:
        return [[str(number) for number in row] for row in whole.tolist()]
    step = 10**decimals
    rows = [[f"{number / step:.{decimals}f}" for number in row] for row in whole.tolist()]
    if form in ("obb", "corners"):
        for row, angle in zip(rows, whole[:, 4].tolist(), strict=True):
            row[4] = str(angle)
    return rows
