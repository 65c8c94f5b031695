"""Intersection over union of boxes of any kind."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rscovlm.geometry.affine import Floats
from rscovlm.geometry.boxes import Boxes
from rscovlm.geometry.checks import checked_coords
from rscovlm.geometry.kinds import COLUMNS, Kind, bounds, convert
from rscovlm.geometry.overlaps import hbb_intersection, quad_overlap

_CELLS = 1 << 18
"""Cells of the (n, m) table worked on at once."""

_HUGE = 1e75
"""Coordinates beyond this are scaled first, so that products of four of them stay finite."""


def iou(a: Boxes | ArrayLike, b: Boxes | ArrayLike, paired: bool = False) -> Floats:
    """Return the exact intersection over union of boxes of any kind.

    Of a quadrilateral that crosses itself or is not convex, the region it covers counts, both lobes of it. A box without
    area has 0 with everything, itself included. Two kinds may be mixed; the number of columns says an array's kind
    (4: hbb, 5: obb, 8: quad). The error stays below 1e-12 for sides of any ratio up to 1000 and grows with the ratio
    beyond, as rounding of the corners themselves does.

    Args:
        a: n boxes.
        b: m boxes; n where `paired`.
        paired: Compare row i with row i instead of every row with every row.

    Returns:
        (n, m), or (n,) where `paired`, in [0, 1], never NaN.

    Raises:
        ValueError: When a row is not a box (NaN, x2 < x1: see `Boxes`), lengths differ where `paired`, or the two lie on
            different frames.

    >>> iou([[0, 0, 10, 10]], [[0, 0, 10, 5], [5, 0, 15, 10]]).round(4).tolist()
    [[0.5, 0.3333]]
    """
    if isinstance(a, Boxes) and isinstance(b, Boxes) and a.frame and b.frame and a.frame != b.frame:
        raise ValueError(f"a lies on {a.frame} and b on {b.frame}; bring both to one frame with to first")
    one, two, kind = _comparable(*_table(a, "a"), *_table(b, "b"))
    if paired and len(one) != len(two):
        raise ValueError(f"a has {len(one)} boxes and b {len(two)}; paired comparison needs equal numbers")
    compare = _hbb_iou if kind == "hbb" else _quad_iou
    if paired:
        return compare(one, two)
    table = np.zeros((len(one), len(two)))
    for i, j in _close_pairs(bounds(one, kind), bounds(two, kind)):
        table[i, j] = compare(one[i], two[j])
    return table


def _table(boxes: Boxes | ArrayLike, name: str) -> tuple[Floats, Kind]:
    """Coordinates of boxes and their kind; of an array, given by its columns."""
    if isinstance(boxes, Boxes):
        return boxes.coords, boxes.kind
    try:
        values = np.asarray(boxes, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name} is no table of numbers ({error}); give Boxes or an array") from None
    if values.shape == (0,):
        return np.empty((0, 4)), "hbb"
    kinds: dict[int, Kind] = {columns: kind for kind, columns in COLUMNS.items()}
    if values.ndim != 2 or values.shape[1] not in kinds:
        raise ValueError(f"{name} has shape {values.shape}; give Boxes or (n, 4) hbb, (n, 5) obb or (n, 8) quad")
    kind = kinds[values.shape[1]]
    try:
        return checked_coords(values, kind), kind
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None


def _comparable(a: Floats, kind_a: Kind, b: Floats, kind_b: Kind) -> tuple[Floats, Floats, Kind]:
    """Coordinates of both as one kind, of a size at which areas neither overflow nor vanish."""
    kind: Kind = "hbb" if kind_a == kind_b == "hbb" else "quad"
    lengths = [coords[:, :4] if one == "obb" else coords for coords, one in ((a, kind_a), (b, kind_b))]
    largest = max(np.abs(length).max(initial=0.0) for length in lengths)
    if largest > 0 and not 1 / _HUGE < largest < _HUGE:
        a, b = _shrunk(a, kind_a, largest), _shrunk(b, kind_b, largest)
    return convert(a, kind_a, kind), convert(b, kind_b, kind), kind


def _shrunk(coords: Floats, kind: Kind, by: float) -> Floats:
    return np.column_stack([coords[:, :4] / by, coords[:, 4]]) if kind == "obb" else coords / by


def _close_pairs(a: Floats, b: Floats) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """Row numbers of the pairs whose horizontal bounds share area, in groups of bounded size."""
    rows = max(1, _CELLS // max(1, len(b)))
    for start in range(0, len(a), rows):
        part = a[start : start + rows, None]
        close = (part[..., 0] < b[:, 2]) & (b[:, 0] < part[..., 2])
        close &= (part[..., 1] < b[:, 3]) & (b[:, 1] < part[..., 3])
        i, j = np.nonzero(close)
        yield i + start, j


def _hbb_iou(a: Floats, b: Floats) -> Floats:
    area_a = (a[:, 2] - a[:, 0]) * (a[:, 3] - a[:, 1])
    area_b = (b[:, 2] - b[:, 0]) * (b[:, 3] - b[:, 1])
    return _ratio(hbb_intersection(a, b), area_a, area_b)


def _quad_iou(a: Floats, b: Floats) -> Floats:
    return _ratio(*quad_overlap(a, b))


def _ratio(shared: Floats, area_a: Floats, area_b: Floats) -> Floats:
    union = area_a + area_b - shared
    ratio: Floats = np.divide(shared, union, out=np.zeros_like(union), where=union > 0)
    return np.minimum(ratio, 1.0, out=ratio)
