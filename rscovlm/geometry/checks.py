"""Refuse coordinates, kinds and row numbers that cannot be meant, saying which row, its value and what to do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import SupportsIndex, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rscovlm.geometry.affine import Floats
from rscovlm.geometry.kinds import COLUMNS, Kind

Index: TypeAlias = SupportsIndex | slice | Sequence[int] | Sequence[bool] | NDArray[np.integer] | NDArray[np.bool_]
"""What picks rows: a number, a slice, numbers, or a mask."""


def checked_kind(kind: Kind) -> Kind:
    """Return a box kind, or raise a ValueError that lists them."""
    if kind not in COLUMNS:
        raise ValueError(f"box kind is {kind!r}; choose one of {', '.join(map(repr, COLUMNS))}")
    return kind


def checked_coords(coords: ArrayLike, kind: Kind) -> Floats:
    """Return (n, k) float64 coordinates in new memory, without negative zeros.

    Raises:
        ValueError: For a wrong shape, NaN or infinity, x2 < x1, y2 < y1, or a negative w or h.
    """
    columns = COLUMNS[kind]
    try:
        values = np.array(coords, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"{kind} coordinates are no table of numbers ({error}); give {columns} numbers a box"
        ) from None
    if values.size == 0 and values.shape in ((0,), (0, 0), (0, columns)):
        values = np.empty((0, columns))
    if values.ndim != 2 or values.shape[1] != columns:
        raise ValueError(f"{kind} coordinates have shape {values.shape}; give (n, {columns})")
    finite = np.isfinite(values)
    if not finite.all():
        _refuse(np.any(~finite, axis=1), values, "every number must be finite; drop or correct the row")
    values += 0.0  # -0.0 becomes 0.0
    if kind == "hbb":
        _refuse(values[:, 2] < values[:, 0], values, "x2 is below x1; give the left side first")
        _refuse(values[:, 3] < values[:, 1], values, "y2 is below y1; give the upper side first")
    elif kind == "obb":
        _refuse((values[:, 2] < 0) | (values[:, 3] < 0), values, "w or h is negative; give lengths from 0 up")
    return values


def chosen(index: object, count: int) -> NDArray[np.intp]:
    """Return the rows a list or array of numbers or truth values picks out of `count`.

    Raises:
        ValueError: When it is neither, or a mask of another length.
    """
    rows = np.asarray(index)
    if rows.size == 0 and rows.dtype != np.bool_:
        return np.empty(0, dtype=np.intp)
    if rows.ndim != 1 or not (rows.dtype == np.bool_ or np.issubdtype(rows.dtype, np.integer)):
        raise ValueError(f"index is an array of {rows.dtype} with shape {rows.shape}; give row numbers or a mask")
    if rows.dtype == np.bool_ and len(rows) != count:
        raise ValueError(f"mask has {len(rows)} truth values for {count} rows; give one a row")
    picked: NDArray[np.intp] = np.arange(count)[rows]
    return picked


def _refuse(bad: NDArray[np.bool_], values: Floats, why: str) -> None:
    if bad.any():
        row = int(np.flatnonzero(bad)[0])
        raise ValueError(f"row {row} of the boxes is {values[row].tolist()}: {why}")
