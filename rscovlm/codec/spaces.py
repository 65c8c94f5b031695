"""The numbers a codec writes: pixels of a grid to whole units of a coordinate space, and back."""

from __future__ import annotations

from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from rscovlm.geometry import Boxes, Frame
from rscovlm.geometry.affine import Floats
from rscovlm.geometry.kinds import Kind

SpaceName: TypeAlias = Literal["pixels", "0-1000", "0-100", "0-1"]

SCALES: dict[SpaceName, int | None] = {"pixels": None, "0-1000": 1000, "0-100": 100, "0-1": 1}
"""How much the whole width, and the whole height, counts in a space; None for the grid's own pixels."""


def pixels_per_unit(space: SpaceName, kind: Kind, frame: Frame) -> Floats:
    """Return how many pixels 1 stands for, (k,), for each number of a box.

    x counts along the width and y along the height. An oriented box's w and h count along the longer side, both alike,
    so that w >= h holds in every space; its angle is in degrees on the pixel grid in every space.
    """
    scale = SCALES[space]
    x, y = (1.0, 1.0) if scale is None else (frame.width / scale, frame.height / scale)
    if kind == "obb":
        return np.array([x, y, max(x, y), max(x, y), 1.0])
    return np.array([x, y] * (2 if kind == "hbb" else 4))


def limits(space: SpaceName, kind: Kind, frame: Frame) -> Floats:
    """Return the largest value, (k,), each number of a box inside the grid can have; infinity where there is none."""
    scale = SCALES[space]
    x, y = (float(frame.width), float(frame.height)) if scale is None else (float(scale), float(scale))
    if kind == "obb":
        return np.array([x, y, np.inf, np.inf, np.inf])
    return np.array([x, y] * (2 if kind == "hbb" else 4))


def quantise(boxes: Boxes, space: SpaceName, decimals: int, frame: Frame) -> NDArray[np.int64]:
    """Round boxes, counted in pixels of `frame`, to the nearest steps that `decimals` digits can write.

    Coordinates are clipped to the grid, an oriented box's centre likewise. Angles are rounded to whole degrees in every
    space and stay in [-90, 90).

    Returns:
        (n, k) numbers of steps of 10 ** -decimals; degrees in the fifth column of an oriented box.
    """
    steps = np.full(boxes.coords.shape[1], 10.0**decimals)
    if boxes.kind == "obb":
        steps[4] = 1.0
    values = boxes.coords / pixels_per_unit(space, boxes.kind, frame)
    low = np.zeros(len(steps))
    if boxes.kind == "obb":
        low[4] = -np.inf
    whole = np.rint(np.clip(values, low, limits(space, boxes.kind, frame)) * steps)
    if boxes.kind == "obb":
        whole[whole[:, 4] >= 90.0, 4] = -90.0
    elif boxes.kind == "quad":
        # Rounding may move another corner to the smallest (y, x).
        whole = Boxes(whole, "quad").coords
    steps_written: NDArray[np.int64] = whole.astype(np.int64)
    return steps_written


def restore(whole: NDArray[np.int64], kind: Kind, space: SpaceName, decimals: int, frame: Frame) -> Boxes:
    """Return the boxes that quantised numbers, (n, k), stand for."""
    steps = np.full(whole.shape[1], 10.0**decimals)
    if kind == "obb":
        steps[4] = 1.0
    return Boxes(whole / steps * pixels_per_unit(space, kind, frame), kind, frame)


def written(whole: NDArray[np.int64], kind: Kind, decimals: int) -> list[list[str]]:
    """Return quantised numbers as the digits an answer shows."""
    if decimals == 0:
        return [[str(number) for number in row] for row in whole.tolist()]
    step = 10**decimals
    rows = [[f"{number / step:.{decimals}f}" for number in row] for row in whole.tolist()]
    if kind == "obb":
        for row, angle in zip(rows, whole[:, 4].tolist(), strict=True):
            row[4] = str(angle)
    return rows
