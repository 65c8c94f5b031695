"""Which true box each found box points at, and how well it covers it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from rscovlm.geometry.affine import Floats
from rscovlm.geometry.clipping import quad_shapes
from rscovlm.geometry.kinds import bounds
from rscovlm.geometry.overlaps import can_reach, hbb_intersection, quad_area, quad_intersection
from rscovlm.geometry.touching import Touching
from rscovlm.metrics.detections import Ints, Rows
from rscovlm.metrics.piles import Extents, contenders, share_left
from rscovlm.metrics.rectangles import smallest_rectangles
from rscovlm.metrics.sectors import near_twins

Shape = Literal["quad", "rectangle", "horizontal"]

_DECIMALS = 10
"""Overlaps are rounded to this: an overlap that is exactly a threshold must not fall on either side by noise."""

_CHUNK = 1 << 14
"""Found boxes looked up at once."""

_CROWDED = 2048
"""Boxes of one image and class, a quarter of which must meet one of them on average, that are compared as a pile."""

_SAMPLE = 64
"""Found boxes of which it is counted how many true ones they meet."""


_ALIKE = 0.05
"""Share of the pairs of a pile that areas and extents must leave for its boxes to be compared by sectors: what both cost then."""


@dataclass(frozen=True)
class Best:
    """For each found box the true box of its image and class that it covers best.

    Attributes:
        truth: (n,) row of that true box, -1 where none is touched.
        iou: (n,) intersection over union with it, 0 where none.
    """

    truth: NDArray[np.intp]
    iou: Floats


def best_truths(
    found: Rows, true: Rows, classes: int, shape: Shape, priorities: list[Ints], floor: float = 0.0
) -> list[Best]:
    """Return the best true box of every found box.

    Args:
        found: Found boxes.
        true: True boxes.
        classes: Number of classes.
        shape: What is compared: the quadrilaterals, the rectangles of smallest area or the horizontal boxes around.
        priorities: Orders of the true boxes, each (m,) numbers. Among equal overlaps the lowest number wins.
        floor: Overlaps below this do not matter: boxes that cannot reach it are not compared.

    Returns:
        One result per order.
    """
    mine, theirs = shaped(found.quads, shape), shaped(true.quads, shape)
    my_area, their_area = areas(mine), areas(theirs)
    results = [Best(np.full(len(found), -1, np.intp), np.zeros(len(found))) for _ in priorities]
    my_bounds, their_bounds = _bounds(mine), _bounds(theirs)
    cores = _cores(my_bounds, my_area, floor), _cores(their_bounds, their_area, floor)
    group, other = found.image * classes + found.label, true.image * classes + true.label

    def crowded(
        rows: NDArray[np.intp], columns: NDArray[np.intp]
    ) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp]]]:
        columns = _leaders(true.quads, columns, priorities)

        def compared(i: NDArray[np.intp], j: NDArray[np.intp]) -> Floats:
            i, j = rows[i], columns[j]
            return overlaps(mine[i], theirs[j], my_area[i], their_area[j])

        extents = Extents.of(mine[rows], my_area[rows]), Extents.of(theirs[columns], their_area[columns])
        if share_left(*extents, compared, floor) > _ALIKE:
            forms = _as_quads(mine[rows]), _as_quads(theirs[columns])
            pairs = near_twins(*forms, extents[0].area, extents[1].area, compared, floor)
        else:
            pairs = contenders(*extents, compared, floor)
        for i, j in pairs:
            yield rows[i], columns[j]

    piles = [] if floor <= 0 else _piles(cores[0], group, cores[1], other)
    alone = ~np.isin(group, [group[rows[0]] for rows, _ in piles])
    pairs = [crowded(rows, columns) for rows, columns in piles]
    pairs.append(_touching(cores[0], group, cores[1], other, alone))
    for i, j in chain.from_iterable(pairs):
        area_i, area_j = my_area.take(i), their_area.take(j)
        # In a pile every box meets every other: most pairs go by their areas alone, before more is looked up for them.
        alike = np.flatnonzero(np.minimum(area_i, area_j) >= (floor - 1e-9) * np.maximum(area_i, area_j))
        i, j, area_i, area_j = i.take(alike), j.take(alike), area_i.take(alike), area_j.take(alike)
        bounds_i, bounds_j = my_bounds.take(i, axis=0), their_bounds.take(j, axis=0)
        close = np.flatnonzero(can_reach(floor, bounds_i, bounds_j, area_i, area_j))
        i, j, area_i, area_j = i.take(close), j.take(close), area_i.take(close), area_j.take(close)
        iou = overlaps(mine.take(i, axis=0), theirs.take(j, axis=0), area_i, area_j)
        largest = _largest(i, iou)
        i, j, iou = i.take(largest), j.take(largest), iou.take(largest)
        for result, priority in zip(results, priorities, strict=True):
            order = np.lexsort((priority[j], i))
            rows, first = np.unique(i[order], return_index=True)
            result.truth[rows] = j[order][first]
            result.iou[rows] = iou[order][first]
    return results


def _largest(i: NDArray[np.intp], iou: Floats) -> NDArray[np.intp]:
    """Return which pairs have the largest overlap of their found box, above 0; found boxes rise from pair to pair."""
    if not len(i):
        return np.empty(0, np.intp)
    starts = np.flatnonzero(np.diff(i, prepend=-1))
    best = np.repeat(np.maximum.reduceat(iou, starts), np.diff(starts, append=len(i)))
    return np.flatnonzero((iou == best) & (iou > 0))


def shaped(quads: Floats, shape: Shape) -> Floats:
    """Return (n, 8) quadrilaterals, or what stands for them: rectangles as (n, 8), horizontal boxes as (n, 4).

    Raises:
        ValueError: If the shape is not known.
    """
    if shape == "quad":
        return quads
    if shape == "rectangle":
        return smallest_rectangles(quads)
    if shape == "horizontal":
        return bounds(quads, "quad")
    raise ValueError(f"overlap is {shape!r}; use 'quad', 'rectangle' or 'horizontal'")


def areas(boxes: Floats) -> Floats:
    """Return the (n,) areas of horizontal boxes (n, 4) or quadrilaterals (n, 8)."""
    if boxes.shape[1] == 8:
        return quad_area(boxes)
    area: Floats = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    return area


def overlaps(a: Floats, b: Floats, area_a: Floats, area_b: Floats) -> Floats:
    """Return the (n,) intersections over union of boxes of one form, pair by pair, rounded to 10 decimals."""
    shared = quad_intersection(a, b) if a.shape[1] == 8 else hbb_intersection(a, b)
    union = area_a + area_b - shared
    iou: Floats = np.round(shared / np.where(union > 0, union, 1.0), _DECIMALS)
    return iou


def odd_shapes(quads: Floats) -> dict[str, int]:
    """Count quadrilaterals without area, that cross themselves, and that are otherwise not convex."""
    convex, crossing = quad_shapes(quads)
    empty = np.round(quad_area(quads), _DECIMALS) <= 0
    return {
        "zero_area": int(empty.sum()),
        "self_crossing": int((crossing & ~empty).sum()),
        "not_convex": int((~convex & ~crossing & ~empty).sum()),
    }


def _piles(a: Floats, group: Ints, b: Floats, other: Ints) -> list[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """Return the found and the true rows of each group in which a box, (n, 4), meets very many of the others."""
    piles = []
    many, several = (
        names[number >= _CROWDED] for names, number in (np.unique(one, return_counts=True) for one in (group, other))
    )
    for one in np.intersect1d(many, several):
        rows, columns = np.flatnonzero(group == one), np.flatnonzero(other == one)
        sample = a[rows[:: max(1, len(rows) // _SAMPLE)]]
        met = sum(np.count_nonzero(hbb_intersection(box, b[columns])) for box in sample)
        if met >= _CROWDED / 4 * len(sample):
            piles.append((rows, columns))
    return piles


def _leaders(quads: Floats, columns: NDArray[np.intp], priorities: list[Ints]) -> NDArray[np.intp]:
    """Return the true boxes that come first, in one of the orders, of those that are equal: no other is ever chosen."""
    _, same = np.unique(quads[columns], axis=0, return_inverse=True)
    leading = np.zeros(len(columns), bool)
    for priority in priorities:
        order = np.lexsort((priority[columns], same.ravel()))
        leading[order[np.flatnonzero(np.diff(same.ravel()[order], prepend=-1))]] = True
    return columns[leading]


def _touching(
    a: Floats, group: Ints, b: Floats, other: Ints, alone: NDArray[np.bool_]
) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """Yield pairs of rows of one image and class whose boxes, (n, 4), meet: all of some found rows of `alone` at a time."""
    if not alone.any() or not len(b):
        return
    shared = np.intersect1d(group[alone], other)
    # Groups lie side by side on one long strip, far enough apart that boxes of two groups never meet. What sticks out
    # beyond all true boxes is cut off: a found box that reaches to the moon costs no precision.
    low, high = b[:, 0].min(), b[:, 2].max()
    margin = 0.25 * (high - low)
    pitch = 2.0 * (high - low) or 1.0
    a = a.copy()
    a[:, 0::2] = np.clip(a[:, 0::2], low - margin, high + margin)
    rows, columns = np.flatnonzero(np.isin(group, shared) & alone), np.flatnonzero(np.isin(other, shared))
    if not len(rows):
        return
    for boxes, part, groups in ((a, rows, group), (b, columns, other)):
        boxes[part, 0::2] += (np.searchsorted(shared, groups[part]) * pitch - low)[:, None]
    touching = Touching(b[columns])
    for start in range(0, len(rows), _CHUNK):
        part = rows[start : start + _CHUNK]
        for i, j in touching.pairs(a[part]):
            yield part[i], columns[j]


def _cores(bounds: Floats, area: Floats, floor: float) -> Floats:
    """Return boxes inside the given ones that meet wherever two of those overlap by `floor` or more, both (n, 4).

    Two boxes share at most the width that their bounds share times the height of either, and must share `floor` times
    the area of either. So they share that area over that height in width, and each may be narrowed by half of its own
    such width on either side; in height likewise.
    """
    cores = bounds.copy()
    for axis in (0, 1):
        length, across = bounds[:, 2 + axis] - bounds[:, axis], bounds[:, 3 - axis] - bounds[:, 1 - axis]
        needed = np.divide(area, across, out=np.zeros_like(area), where=across > 0)
        inset = np.minimum(needed * (0.999 * floor), length) / 2
        cores[:, axis] += inset
        cores[:, 2 + axis] -= inset
    return cores


def _as_quads(boxes: Floats) -> Floats:
    return boxes if boxes.shape[1] == 8 else boxes[:, [0, 1, 2, 1, 2, 3, 0, 3]]


def _bounds(boxes: Floats) -> Floats:
    return bounds(boxes, "quad") if boxes.shape[1] == 8 else boxes
