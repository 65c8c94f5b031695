"""Pieces of objects that are longer than what tiles share: found, joined, or flagged."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from rscovlm.geometry import Boxes, Objects
from rscovlm.geometry.window import WindowLike

CUT = 2.0
"""An object this close to a tile's border, in pixels of the original, was probably cut by it."""

AGREE = 0.5
"""IoU, in what both tiles see, above which two pieces belong to one object."""

FILLED = 0.5
"""Least share of a joined box that its pieces cover: an L of two pieces is no box."""

# Sides of a window (left, top, right, bottom) and the side of a neighbour at which the same object goes on.
_SIDES = ((0, 2), (1, 3), (2, 0), (3, 1))
Floats = NDArray[np.float64]


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


def continued(
    boxes: Boxes, bounds: Floats, windows: Floats, first: NDArray[np.intp], second: NDArray[np.intp]
) -> NDArray[np.bool_]:
    """Return which pairs are two pieces of one object, (k,).

    One is cut by a border of its tile beyond which the other's tile goes on, the other by the border opposite; so the
    object crosses all of what both tiles see, and there the two must cover nearly the same.

    Args:
        boxes: n boxes in pixels of the original.
        bounds: (n, 4) their bounds.
        windows: (n, 4) the window of each box's tile.
        first: (k,) one of each pair.
        second: (k,) the other.
    """
    found = np.zeros(len(first), dtype=bool)
    near = np.abs(bounds - windows) <= CUT
    # Boxes of cut objects may reach over the border, as the rectangle round a slanted piece does.
    near |= np.stack([bounds[:, 0] < windows[:, 0], bounds[:, 1] < windows[:, 1]] * 2, axis=1) & [
        True,
        True,
        False,
        False,
    ]
    near |= np.stack([bounds[:, 2] > windows[:, 2], bounds[:, 3] > windows[:, 3]] * 2, axis=1) & [
        False,
        False,
        True,
        True,
    ]
    for mine, theirs in _SIDES:
        sign = 1 if mine >= 2 else -1
        beyond = sign * (windows[second, mine] - windows[first, mine]) > CUT
        meets = sign * (windows[first, mine] - windows[second, theirs]) >= -CUT
        for row in np.flatnonzero(near[first, mine] & near[second, theirs] & beyond & meets & ~found):
            a, b = first[row], second[row]
            found[row] = _agreement(boxes, a, b, windows[a], windows[b], mine % 2) >= AGREE
    return found


def _agreement(boxes: Boxes, a: int, b: int, of_a: Floats, of_b: Floats, axis: int) -> float:
    """Return the IoU of two pieces in what both tiles see; along the border where the tiles share next to nothing."""
    shapes: list[Any] = [shapely.Polygon(boxes[[n]].as_kind("quad").coords.reshape(4, 2)) for n in (a, b)]
    one, two = shapes
    low, high = np.maximum(of_a[:2], of_b[:2]), np.minimum(of_a[2:], of_b[2:])
    if high[axis] - low[axis] > 2 * CUT:
        zone = shapely.box(*low, *high)
        one, two = shapely.intersection(one, zone), shapely.intersection(two, zone)
        whole = shapely.union(one, two).area
        return float(shapely.intersection(one, two).area / whole) if whole else 0.0
    across = 1 - axis
    spans = []
    for shape, window in ((one, of_a), (two, of_b)):
        # A strip along the border, where an object that is cut there must be.
        middle = (low[axis] + high[axis]) / 2
        strip = np.array([*window], dtype=float)
        strip[axis], strip[axis + 2] = middle - 4 * CUT, middle + 4 * CUT
        part = shapely.intersection(shape, shapely.box(*strip))
        if part.is_empty:
            return 0.0
        spans.append((part.bounds[across], part.bounds[across + 2]))
    (start, end), (other, last) = spans
    shared, covered = min(end, last) - max(start, other), max(end, last) - min(start, other)
    return float(max(0.0, shared) / covered) if covered > 0 else 0.0


def joined_groups(
    objects: Objects,
    kept: NDArray[np.intp],
    pairs: NDArray[np.intp],
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
    groups = _groups(kept, pairs)
    places = np.asarray(windows, dtype=float).reshape(-1, 4)
    chosen, coords, cut, scores, count = [], [], [], [], 0
    for group in groups:
        box = objects.boxes[group[:1]].coords[0] if len(group) == 1 else _joined(objects.boxes[group])
        if box is None:
            parts = [[one] for one in group]
        else:
            parts, count = [group], count + (len(group) > 1)
        for part in parts:
            corners = objects.boxes[part].coords[0] if box is None else box
            chosen.append(part[0])
            coords.append(corners)
            scores.append(0.0 if objects.scores is None else float(objects.scores[part].max()))
            if len(part) == 1:
                cut.append(bool(margin[part[0]] <= CUT))
            else:
                seen = places[np.asarray(tile_of)[part]]
                window = np.concatenate([seen[:, :2].min(axis=0), seen[:, 2:].max(axis=0)])[None]
                bounds = Boxes([corners], objects.boxes.kind).as_kind("hbb").coords
                cut.append(bool(margins(bounds, window, size).min() <= CUT))
    boxes = objects.boxes[kept[:0]] if not coords else Boxes(np.stack(coords), objects.boxes.kind, objects.boxes.frame)
    labels = tuple(objects.labels[one] for one in chosen)
    found = Objects(boxes, labels, None if objects.scores is None else np.array(scores))
    return Merged(found, np.array(cut, dtype=bool), count, len(objects) - len(found))


def _groups(kept: NDArray[np.intp], pairs: NDArray[np.intp]) -> list[list[int]]:
    """Return the connected groups of what stays, each sorted, in the order of their first members."""
    parent = {int(one): int(one) for one in kept}

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
