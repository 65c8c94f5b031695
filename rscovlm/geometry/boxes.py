"""One value object for every box: coordinates, their kind, and the grid they are counted in."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import SupportsIndex

import numpy as np
import shapely
from numpy.typing import ArrayLike

from rscovlm.geometry.affine import Floats
from rscovlm.geometry.checks import Index, checked_coords, checked_kind, chosen
from rscovlm.geometry.frame import Frame, checked_frame
from rscovlm.geometry.kinds import (
    COLUMNS,
    Kind,
    bounds,
    convert,
    mapped,
    outside,
    smallest_rectangle,
    tidy_obb,
    tidy_quads,
)
from rscovlm.geometry.overlaps import quad_area


class Boxes:
    """Boxes of one kind on one grid; never changed after they are made.

    Kinds, in continuous pixels (x right, y down):

    * ``"hbb"``: x1, y1, x2, y2 of the region [x1, x2) x [y1, y2). A side of 0 is allowed.
    * ``"obb"``: cx, cy, w, h, angle in degrees; w runs along (cos angle, sin angle), so a positive angle turns
      clockwise on screen. Kept with w >= h and the angle in [-90, 90): other values are brought to that form.
    * ``"quad"``: four corners x, y; kept clockwise on screen with the smallest (y, x) first.

    Args:
        coords: (n, 4), (n, 5) or (n, 8) numbers; copied as float64 and read-only.
        kind: What the numbers are.
        frame: The grid they are counted in; None where it is not known.

    Raises:
        ValueError: For an unknown kind, a wrong shape, NaN or infinity, x2 < x1, y2 < y1, or a negative w or h. The
            message names the row and the value.

    >>> boxes = Boxes([[10, 20, 30, 60]], "hbb", Frame(100, 100))
    >>> boxes.to(Frame(100, 100).normalised()).coords.tolist()
    [[100.0, 200.0, 300.0, 600.0]]
    >>> boxes.as_kind("quad").coords.tolist()
    [[10.0, 20.0, 30.0, 20.0, 30.0, 60.0, 10.0, 60.0]]
    >>> boxes.as_kind("obb").coords.tolist()
    [[20.0, 40.0, 40.0, 20.0, -90.0]]
    """

    __slots__ = ("_coords", "_frame", "_kind")

    def __init__(self, coords: ArrayLike, kind: Kind, frame: Frame | None = None) -> None:
        self._kind: Kind = checked_kind(kind)
        self._coords = _settled(checked_coords(coords, kind), kind)
        self._frame = None if frame is None else checked_frame(frame)

    @classmethod
    def empty(cls, kind: Kind, frame: Frame | None = None) -> Boxes:
        """Return no boxes, of a kind and on a grid."""
        return cls(np.empty((0, COLUMNS[checked_kind(kind)])), kind, frame)

    @classmethod
    def concatenate(cls, parts: Sequence[Boxes]) -> Boxes:
        """Return the boxes of all `parts` in order.

        Raises:
            ValueError: When there are no parts, or they differ in kind or frame.
        """
        if not parts:
            raise ValueError("there are no boxes to concatenate; use Boxes.empty(kind, frame) for none")
        first = parts[0]
        for number, part in enumerate(parts):
            if part.kind != first.kind:
                raise ValueError(
                    f"part {number} is {part.kind!r} and part 0 {first.kind!r}; convert with as_kind first"
                )
            if part.frame != first.frame:
                raise ValueError(
                    f"part {number} lies on {part.frame} and part 0 on {first.frame}; convert with to first"
                )
        return cls(np.concatenate([part.coords for part in parts]), first.kind, first.frame)

    @property
    def coords(self) -> Floats:
        """(n, 4), (n, 5) or (n, 8) numbers, read-only."""
        return self._coords

    @property
    def kind(self) -> Kind:
        """``"hbb"``, ``"obb"`` or ``"quad"``."""
        return self._kind

    @property
    def frame(self) -> Frame | None:
        """The grid the numbers are counted in, None where it is not known."""
        return self._frame

    def to(self, frame: Frame) -> Boxes:
        """Return the same regions counted on another grid of the same root image.

        Horizontal boxes stay exact where axes stay axes and become the smallest box around where the grid is turned;
        oriented boxes stay exact unless x and y are scaled differently or sheared, and become the rectangle of smallest
        area around then; quadrilaterals are always exact.

        Raises:
            ValueError: When the grid of these boxes is not known.
        """
        if self._frame is None:
            raise ValueError(
                "these boxes have no frame, so where they lie is not known; make them with Boxes(..., frame=...)"
            )
        return Boxes(mapped(self._coords, self._kind, self._frame.to(checked_frame(frame))), self._kind, frame)

    def as_kind(self, kind: Kind) -> Boxes:
        """Return the smallest boxes of another kind around these; exact from hbb to obb and from either to quad."""
        if checked_kind(kind) == self._kind:
            return self
        return Boxes(convert(self._coords, self._kind, kind), kind, self._frame)

    def clipped(self) -> Boxes:
        """Return the parts inside the frame, one row per box, in order.

        Rows that lie inside are untouched. A horizontal box is cut; one that lies outside keeps no area and stays as a
        line or point on the border. A quadrilateral becomes the part inside, or the four corners that keep most of that
        where it has more; with nothing inside, its corners are moved to the border. An oriented box becomes the smallest
        rectangle around the part inside, which may reach over the border as far as its slant needs.

        Raises:
            ValueError: When the frame is not known.
        """
        if self._frame is None:
            raise ValueError("these boxes have no frame to be clipped to; make them with Boxes(..., frame=...)")
        width, height = self._frame.width, self._frame.height
        sides = np.array([width, height, width, height], dtype=np.float64)
        if self._kind == "hbb":
            return Boxes(np.clip(self._coords, 0.0, sides), "hbb", self._frame)
        crossing = np.flatnonzero(outside(bounds(self._coords, self._kind), width, height))
        if not len(crossing):
            return self
        quads = convert(self._coords[crossing], self._kind, "quad")
        part = _part_inside(quads, width, height)
        coords = self._coords.copy()
        coords[crossing] = smallest_rectangle(part) if self._kind == "obb" else _four_corners(part)
        return Boxes(coords, self._kind, self._frame)

    def area(self) -> Floats:
        """Return (n,) areas in squared pixels of this grid; of a quadrilateral, the region it truly covers."""
        if self._kind == "quad":
            return quad_area(self._coords)
        if self._kind == "obb":
            return self._coords[:, 2] * self._coords[:, 3]
        x1, y1, x2, y2 = self._coords.T
        area: Floats = (x2 - x1) * (y2 - y1)
        return area

    def __len__(self) -> int:
        return len(self._coords)

    def __getitem__(self, index: Index) -> Boxes:
        if isinstance(index, SupportsIndex) and not isinstance(index, np.ndarray):
            rows = self._coords[index][None]
        else:
            rows = self._coords[index if isinstance(index, slice) else chosen(index, len(self))]
        return Boxes(rows, self._kind, self._frame)

    def __iter__(self) -> Iterator[Boxes]:
        return (self[row] for row in range(len(self)))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Boxes):
            return NotImplemented
        same = self._kind == other._kind and self._frame == other._frame
        return same and np.array_equal(self._coords, other._coords)

    __hash__ = None  # type: ignore[assignment]

    def __reduce__(self) -> tuple[type[Boxes], tuple[Floats, Kind, Frame | None]]:
        return Boxes, (self._coords, self._kind, self._frame)

    def __repr__(self) -> str:
        return f"Boxes({np.array2string(self._coords, threshold=40)}, {self._kind!r}, {self._frame})"


def _settled(coords: Floats, kind: Kind) -> Floats:
    """Bring coordinates to the one form their kind has, and make them read-only."""
    values = tidy_obb(coords) if kind == "obb" else tidy_quads(coords) if kind == "quad" else coords
    values.flags.writeable = False
    return values


def _part_inside(quads: Floats, width: int, height: int) -> Floats:
    """Corners, (n, k, 2), of the part of each quadrilateral inside the grid, repeated to fill up rows."""
    shapes = shapely.make_valid(np.asarray(shapely.polygons(quads.reshape(-1, 4, 2))))
    parts = shapely.convex_hull(shapely.intersection(shapes, shapely.box(0, 0, width, height)))
    corners, owner = shapely.get_coordinates(parts, return_index=True)
    moved: Floats = np.clip(quads.reshape(-1, 4, 2), 0.0, (width, height))
    count = np.bincount(owner, minlength=len(quads))
    start = np.cumsum(count) - count
    most = max(4, int(count.max(initial=0)))
    pick = start[:, None] + np.minimum(np.arange(most), np.maximum(count - 1, 0)[:, None])
    padded: Floats = np.concatenate([moved, np.repeat(moved[:, :1], most - 4, axis=1)], axis=1)
    seen = count > 0
    padded[seen] = corners[pick[seen]]
    return padded


def _four_corners(polygons: Floats) -> Floats:
    """Drop the corner that costs the least area from convex polygons, (n, k, 2), until four are left."""
    while polygons.shape[1] > 4:
        ahead, behind = np.roll(polygons, -1, axis=1) - polygons, np.roll(polygons, 1, axis=1) - polygons
        cost = np.abs(ahead[..., 0] * behind[..., 1] - ahead[..., 1] * behind[..., 0])
        kept = np.arange(polygons.shape[1]) != np.argmin(cost, axis=1)[:, None]
        polygons = polygons[kept].reshape(len(polygons), -1, 2)
    return polygons.reshape(-1, 8)
