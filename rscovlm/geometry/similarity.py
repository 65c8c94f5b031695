"""Intersection over union of boxes of any kind."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rscovlm.geometry.affine import Floats
from rscovlm.geometry.boxes import Boxes
from rscovlm.geometry.kinds import COLUMNS, Kind, bounds
from rscovlm.geometry.overlaps import hbb_intersection, quad_intersection

_CELLS = 1 << 18
"""Cells of the (n, m) table worked on at once."""

_HUGE = 1e100
"""Coordinates beyond this are scaled down first, so that areas stay finite."""


def iou(a: Boxes | ArrayLike, b: Boxes | ArrayLike, paired: bool = False) -> Floats:
    """Return the exact intersection over union of boxes of any kind.

    Of a quadrilateral that crosses itself or is not convex, the region it covers counts, both lobes of it. A box without
    area has 0 with everything, itself included. Two kinds may be mixed; an array's kind is told by its columns
    (4: hbb, 5: obb, 8: quad). Horizontal boxes are compared as they are, all others by clipping in float64.

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
    left, right = _boxes(a, "a"), _boxes(b, "b")
    if left.frame is not None and right.frame is not None and left.frame != right.frame:
        raise ValueError(f"a lies on {left.frame} and b on {right.frame}; bring both to one frame with to first")
    if paired and len(left) != len(right):
        raise ValueError(f"a has {len(left)} boxes and b {len(right)}; paired comparison needs equal numbers")
    one, two, kind = _comparable(left, right)
    if kind == "hbb":
        return _hbb_iou(one, two) if paired else _hbb_iou(one[:, None], two[None])
    area_1, area_2 = Boxes(one, kind).area(), Boxes(two, kind).area()
    if paired:
        return _ratio(quad_intersection(one, two), area_1, area_2)
    table = np.zeros((len(one), len(two)))
    for i, j in _close_pairs(bounds(one, kind), bounds(two, kind)):
        table[i, j] = _ratio(quad_intersection(one[i], two[j]), area_1[i], area_2[j])
    return table


def _boxes(boxes: Boxes | ArrayLike, name: str) -> Boxes:
    if isinstance(boxes, Boxes):
        return boxes
    values = np.asarray(boxes, dtype=np.float64)
    if values.size == 0 and values.ndim == 1:
        return Boxes.empty("hbb")
    kinds: dict[int, Kind] = {columns: kind for kind, columns in COLUMNS.items()}
    if values.ndim != 2 or values.shape[1] not in kinds:
        raise ValueError(f"{name} has shape {values.shape}; give Boxes or (n, 4) hbb, (n, 5) obb or (n, 8) quad")
    return Boxes(values, kinds[values.shape[1]])


def _comparable(a: Boxes, b: Boxes) -> tuple[Floats, Floats, Kind]:
    """Coordinates of both as one kind, small enough to multiply."""
    kind: Kind = "hbb" if a.kind == b.kind == "hbb" else "quad"
    one, two = a.as_kind(kind).coords, b.as_kind(kind).coords
    largest = max(np.abs(one).max(initial=0.0), np.abs(two).max(initial=0.0))
    if largest > _HUGE:
        return one / largest, two / largest, kind
    return one, two, kind


def _close_pairs(a: Floats, b: Floats) -> list[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """Row numbers of the pairs whose horizontal bounds share area, in groups of bounded size."""
    rows = max(1, _CELLS // max(1, len(b)))
    pairs = []
    for start in range(0, len(a), rows):
        part = a[start : start + rows]
        close = (part[:, None, 0] < b[None, :, 2]) & (b[None, :, 0] < part[:, None, 2])
        close &= (part[:, None, 1] < b[None, :, 3]) & (b[None, :, 1] < part[:, None, 3])
        i, j = np.nonzero(close)
        pairs.append((i + start, j))
    return pairs


def _hbb_iou(a: Floats, b: Floats) -> Floats:
    area_a = (a[..., 2] - a[..., 0]) * (a[..., 3] - a[..., 1])
    area_b = (b[..., 2] - b[..., 0]) * (b[..., 3] - b[..., 1])
    return _ratio(hbb_intersection(a, b), area_a, area_b)


def _ratio(shared: Floats, area_a: Floats, area_b: Floats) -> Floats:
    union = area_a + area_b - shared
    ratio: Floats = np.divide(shared, union, out=np.zeros_like(union), where=union > 0)
    return np.clip(ratio, 0.0, 1.0, out=ratio)
