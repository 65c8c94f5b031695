"""Pieces of objects that are longer than what tiles share: found, joined, or flagged."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray

from rscovlm.geometry import Boxes, Objects
from rscovlm.geometry.kinds import convert
from rscovlm.geometry.overlaps import can_reach, most_of_strips, strips
from rscovlm.geometry.touching import Touching
from rscovlm.geometry.window import WindowLike

CUT = 2.0
"""An object this close to a tile's border, in pixels of the original, was probably cut by it."""

AGREE = 0.5
"""IoU, in what both tiles see, above which two pieces belong to one object."""

FILLED = 0.5
"""Least share of a joined box that its pieces cover: an L of two pieces is no box."""

# Sides of a window (left, top, right, bottom) and the side of a neighbour at which the same object continues.
_SIDES = ((0, 2), (1, 3), (2, 0), (3, 1))
_PAIRS = 1 << 14
"""Pairs of shapes intersected at once: each takes about a kilobyte."""

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]
Bools = NDArray[np.bool_]
Shapes = NDArray[np.object_]


@dataclass(frozen=True)
class Merged:
    """Objects of all tiles as one list.

    Attributes:
        objects: What stays, joined objects in the place of their first piece.
        cut: (n,) which of them the border of a tile still cuts: no tile saw them whole.
        joined: How many are joined from pieces.
        removed: How many were removed or joined to others.
    """

    objects: Objects
    cut: NDArray[np.bool_]
    joined: int
    removed: int


def margins(bounds: Floats, windows: Floats, size: tuple[int, int]) -> Floats:
    """Return (n, 4): how far each box is from each border of its tile, infinite where that is the image's border."""
    width, height = size
    gaps = np.stack(
        [
            np.where(windows[:, 0] > 0, bounds[:, 0] - windows[:, 0], np.inf),
            np.where(windows[:, 1] > 0, bounds[:, 1] - windows[:, 1], np.inf),
            np.where(windows[:, 2] < width, windows[:, 2] - bounds[:, 2], np.inf),
            np.where(windows[:, 3] < height, windows[:, 3] - bounds[:, 3], np.inf),
        ],
        axis=1,
    )
    return gaps


class Seams:
    """Where tiles cut objects, and which objects go on in another tile.

    One is cut by a border of its tile beyond which the other's tile continues, the other by the border opposite; so the
    object crosses all of what both tiles see, and there the two must cover nearly the same.

    Args:
        boxes: n boxes in pixels of the original.
        bounds: (n, 4) their bounds.
        tile: (n,) the tile of each.
        windows: (t, 4) the window of each tile.
    """

    def __init__(self, boxes: Boxes, bounds: Floats, tile: Ints, windows: Floats) -> None:
        self._boxes, self._bounds, self._tile, self._windows = boxes, bounds, tile, windows
        places = windows[tile]
        # Boxes of cut objects may reach over the border, as the rectangle round a slanted piece does.
        over = np.concatenate([bounds[:, :2] < places[:, :2], bounds[:, 2:] > places[:, 2:]], axis=1)
        self._near = (np.abs(bounds - places) <= CUT) | over
        self._strips = strips(convert(boxes.coords, boxes.kind, "quad"))

    def continued(self, first: Ints, second: Ints) -> Bools:
        """Return which pairs, (k,) rows each, are two pieces of one object."""
        found = np.zeros(len(first), dtype=bool)
        for side in _SIDES:
            rows = np.flatnonzero(~found & self._facing(first, second, side))
            found[rows] = self._agree(first[rows], second[rows], side[0] % 2)
        return found

    def joined(self, groups: Ints, standing: Ints) -> Ints:
        """Return the pairs of rows that stay, (k, 2), for which pieces of one object stand.

        Args:
            groups: (n,) numbers; two objects of different ones are never one.
            standing: (n,) the row that stands for each.
        """
        count = len(standing)
        known = np.empty(0, dtype=np.int64)
        for side in _SIDES:
            mine, theirs = (np.flatnonzero(self._near[:, one]) for one in side)
            for group in np.intersect1d(groups[mine], groups[theirs]):
                one, two = mine[groups[mine] == group], theirs[groups[theirs] == group]
                # Pieces that a border parts without overlap may end a little before it.
                for i, j in Touching(grown(self._bounds[two])).pairs(grown(self._bounds[one])):
                    first, second = one[i], two[j]
                    key = standing[first] * count + standing[second]
                    new = (first < second) & (standing[first] != standing[second]) & ~np.isin(key, known)
                    first, second, key = first[new], second[new], key[new]
                    facing = self._facing(first, second, side)
                    first, second, key = first[facing], second[facing], key[facing]
                    known = np.union1d(known, key[self._agree(first, second, side[0] % 2)])
        return np.stack([known // count, known % count], axis=1).astype(np.intp)

    def _facing(self, first: Ints, second: Ints, side: tuple[int, int]) -> Bools:
        """Return which pairs are cut by facing borders of two tiles, the second's tile going on beyond the first's."""
        mine, theirs = side
        sign = 1 if mine >= 2 else -1
        here, there = self._windows[self._tile[first]], self._windows[self._tile[second]]
        beyond = sign * (there[:, mine] - here[:, mine]) > CUT
        meets = sign * (here[:, mine] - there[:, theirs]) >= -CUT
        apart = self._tile[first] != self._tile[second]
        facing: Bools = self._near[first, mine] & self._near[second, theirs] & beyond & meets & apart
        return facing

    def _agree(self, first: Ints, second: Ints, axis: int) -> Bools:
        """Return which pairs cover nearly the same of what both tiles see; of the border where those share next to nothing."""
        agree = np.zeros(len(first), dtype=bool)
        for start in range(0, len(first), _PAIRS):
            part = slice(start, start + _PAIRS)
            agree[part] = self._agreement(first[part], second[part], axis) >= AGREE
        return agree

    def _agreement(self, first: Ints, second: Ints, axis: int) -> Floats:
        one, wide = self._parts(first, second, axis)
        two, _ = self._parts(second, first, axis)
        ratio = np.zeros(len(first))
        a, b = shapely.bounds(one), shapely.bounds(two)  # not a number where there is no such part
        across = 1 - axis
        shared = np.minimum(a[:, across + 2], b[:, across + 2]) - np.maximum(a[:, across], b[:, across])
        covered = np.maximum(a[:, across + 2], b[:, across + 2]) - np.minimum(a[:, across], b[:, across])
        spans = ~wide & (covered > 0)
        ratio[spans] = np.maximum(shared[spans], 0.0) / covered[spans]
        area_a, area_b = shapely.area(one), shapely.area(two)
        most = most_of_strips(self._strips[first], self._strips[second]) * ((1 + AGREE) * (1 + 1e-6))
        reach = can_reach(AGREE, a, b, area_a, area_b) & (most >= AGREE * (area_a + area_b))
        near = np.flatnonzero(wide & reach & (area_a + area_b > 0))
        common = shapely.area(shapely.intersection(one[near], two[near]))
        ratio[near] = common / (area_a[near] + area_b[near] - common)
        return ratio

    def _parts(self, rows: Ints, others: Ints, axis: int) -> tuple[Shapes, Bools]:
        """Return what counts of each box when it is compared with one of another tile, and whether that is an area."""
        keys, place = np.unique(rows * len(self._windows) + self._tile[others], return_inverse=True)
        row, other = keys // len(self._windows), keys % len(self._windows)
        here, there = self._windows[self._tile[row]], self._windows[other]
        low, high = np.maximum(here[:, :2], there[:, :2]), np.minimum(here[:, 2:], there[:, 2:])
        wide = high[:, axis] - low[:, axis] > 2 * CUT
        # Else a strip along the border, where an object that is cut there must be.
        strip = here.copy()
        middle = (low[:, axis] + high[:, axis]) / 2
        strip[:, axis], strip[:, axis + 2] = middle - 4 * CUT, middle + 4 * CUT
        zone = np.where(wide[:, None], np.concatenate([low, high], axis=1), strip)
        corners = convert(self._boxes.coords[row], self._boxes.kind, "quad").reshape(-1, 4, 2)
        shapes = shapely.intersection(shapely.make_valid(shapely.polygons(corners)), shapely.box(*zone.T))
        return np.asarray(shapes)[place], wide[place]


def grown(bounds: Floats) -> Floats:
    """Return bounds, (n, 4), that reach `CUT` further."""
    larger: Floats = bounds + np.array([-CUT, -CUT, CUT, CUT])
    return larger


def joined_groups(
    objects: Objects,
    kept: Ints,
    pairs: Ints,
    margin: Floats,
    tile_of: Sequence[int],
    windows: Sequence[WindowLike],
    size: tuple[int, int],
) -> Merged:
    """Join the pieces among what stays and flag what is still cut.

    Args:
        objects: n objects of all tiles.
        kept: Which stay, sorted.
        pairs: (k, 2) numbers of kept objects that are pieces of one.
        margin: (n,) pixels from the nearest border of the object's tile.
        tile_of: (n,) which tile each came from.
        windows: Each tile's window.
        size: Width and height of the original.
    """
    places, tile = np.asarray(windows, dtype=float).reshape(-1, 4), np.asarray(tile_of, dtype=np.intp)
    coords, cut = objects.boxes.coords.copy(), margin <= CUT
    scores = None if objects.scores is None else np.array(objects.scores)
    head, stays, count = np.arange(len(objects)), np.zeros(len(objects), dtype=bool), 0
    stays[kept] = True
    for group in _groups(pairs):
        first = group[0]
        head[group] = first
        box = _joined(objects.boxes[group])
        if box is None:
            continue
        count += 1
        stays[group[1:]] = False
        coords[first] = box
        if scores is not None:
            scores[first] = scores[group].max()
        seen = places[tile[group]]
        window = np.concatenate([seen[:, :2].min(axis=0), seen[:, 2:].max(axis=0)])[None]
        bounds = Boxes([box], objects.boxes.kind).as_kind("hbb").coords
        cut[first] = margins(bounds, window, size).min() <= CUT
    rows = np.flatnonzero(stays)
    rows = rows[np.argsort(head[rows], kind="stable")]
    boxes = Boxes(coords[rows], objects.boxes.kind, objects.boxes.frame)
    labels = tuple(objects.labels[one] for one in rows.tolist())
    found = Objects(boxes, labels, None if scores is None else scores[rows])
    return Merged(found, cut[rows], count, len(objects) - len(found))


def _groups(pairs: Ints) -> list[list[int]]:
    """Return the connected groups of rows, each sorted."""
    parent = {one: one for one in np.unique(pairs).tolist()}

    def root(one: int) -> int:
        while parent[one] != one:
            parent[one] = parent[parent[one]]
            one = parent[one]
        return one

    for a, b in pairs.tolist():
        low, high = sorted((root(a), root(b)))
        parent[high] = low
    members: dict[int, list[int]] = {}
    for one in parent:
        members.setdefault(root(one), []).append(one)
    return list(members.values())


def _joined(pieces: Boxes) -> Floats | None:
    """Return the box round some pieces, of their kind; None where they fill too little of it."""
    quads = pieces.as_kind("quad").coords.reshape(-1, 4, 2)
    shape = shapely.union_all(shapely.make_valid(shapely.polygons(quads)))
    if pieces.kind == "hbb":
        box = Boxes([shape.bounds], "hbb")
    else:
        corners = shapely.get_coordinates(shapely.minimum_rotated_rectangle(shape))
        if len(corners) != 5:  # without area it is a line
            return None
        box = Boxes([corners[:4].ravel()], "quad").as_kind(pieces.kind)
    if shape.area < FILLED * float(box.area()[0]):
        return None
    joined: Floats = box.coords[0]
    return joined
