"""Polygons and keypoints: sets of points, each of its own length."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import SupportsIndex

import numpy as np
from numpy.typing import ArrayLike

from rscovlm.geometry.affine import Floats, apply
from rscovlm.geometry.boxes import Boxes
from rscovlm.geometry.checks import Index, chosen
from rscovlm.geometry.frame import Frame


class PointSets:
    """Sets of points on one grid; never changed after they are made.

    What a set means (a closed ring, corners, keypoints in order) is up to the task.

    Args:
        points: One (k, 2) array of x, y per set, k >= 1; copied as float64 and read-only.
        frame: The grid they are counted in; None where it is not known.

    Raises:
        ValueError: When a set is empty, has another shape, or holds NaN or infinity. The message names the set.

    >>> field = PointSets([[(0, 0), (40, 0), (20, 30)]], Frame(100, 100))
    >>> field.to(Frame(100, 100).resized(50, 50)).points[0].tolist()
    [[0.0, 0.0], [20.0, 0.0], [10.0, 15.0]]
    >>> field.bounds().coords.tolist()
    [[0.0, 0.0, 40.0, 30.0]]
    """

    __slots__ = ("_frame", "_points")

    def __init__(self, points: Sequence[ArrayLike], frame: Frame | None = None) -> None:
        self._points = tuple(_validated(one, number) for number, one in enumerate(points))
        self._frame = frame

    @property
    def points(self) -> list[Floats]:
        """The sets, each (k, 2) and read-only."""
        return list(self._points)

    @property
    def frame(self) -> Frame | None:
        """The grid the points are counted in, None where it is not known."""
        return self._frame

    def to(self, frame: Frame) -> PointSets:
        """Return the same points counted on another grid of the same root image.

        Raises:
            ValueError: When the grid of these points is not known.
        """
        if self._frame is None:
            raise ValueError(
                "these points have no frame, so where they lie is not known; make them with PointSets(..., frame)"
            )
        affine = self._frame.to(frame)
        return PointSets([apply(affine, one) for one in self._points], frame)

    def bounds(self) -> Boxes:
        """Return the smallest horizontal box around each set."""
        sides = [np.concatenate([one.min(axis=0), one.max(axis=0)]) for one in self._points]
        return Boxes(np.array(sides), "hbb", self._frame)

    def __len__(self) -> int:
        return len(self._points)

    def __getitem__(self, index: Index) -> PointSets:
        if isinstance(index, SupportsIndex) and not isinstance(index, np.ndarray):
            return PointSets([self._points[index]], self._frame)
        rows = range(len(self))[index] if isinstance(index, slice) else chosen(index, len(self))
        return PointSets([self._points[row] for row in rows], self._frame)

    def __iter__(self) -> Iterator[PointSets]:
        return (self[row] for row in range(len(self)))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, PointSets):
            return NotImplemented
        if self._frame != other._frame or len(self) != len(other):
            return False
        return all(np.array_equal(mine, theirs) for mine, theirs in zip(self._points, other._points, strict=True))

    __hash__ = None  # type: ignore[assignment]

    def __reduce__(self) -> tuple[type[PointSets], tuple[list[Floats], Frame | None]]:
        return PointSets, (self.points, self._frame)

    def __repr__(self) -> str:
        return f"PointSets({[one.tolist() for one in self._points]}, {self._frame})"


def _validated(points: ArrayLike, number: int) -> Floats:
    try:
        values = np.array(points, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"point set {number} is not a table of numbers ({error}); give (k, 2)") from None
    if values.ndim != 2 or values.shape[1] != 2 or not len(values):
        raise ValueError(f"point set {number} has shape {values.shape}; give (k, 2) with k from 1 up")
    finite = np.isfinite(values).all(axis=1)
    if not finite.all():
        row = int(np.flatnonzero(~finite)[0])
        raise ValueError(
            f"point {row} of set {number} is {values[row].tolist()}; every number must be finite, drop or correct it"
        )
    values += 0.0
    values.flags.writeable = False
    return values
