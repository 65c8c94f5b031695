"""One list of objects from overlapping tiles."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from shapely import STRtree
from shapely import box as shapely_box

from rscovlm.geometry import Boxes, Objects, iou
from rscovlm.geometry.window import Window

# An object this close to a tile's border, in pixels of the original, was probably cut by it.
_CUT = 2.0


def merge(
    objects: Objects,
    tile_of: Sequence[int],
    windows: Sequence[Window],
    size: tuple[int, int],
    *,
    overlap: float = 0.1,
    fragment: float = 0.6,
) -> NDArray[np.intp]:
    """Choose which objects of overlapping tiles to keep: greedy, class by class, between tiles only.

    Two objects of one class from different tiles are the same object when their IoU (of the boxes as they are, oriented
    where they are oriented) is above ``overlap``, or when one was cut by the border of its tile and at least
    ``fragment`` of its area lies in the other. The better one stays; better is, in this order: the higher score; not
    cut by its tile's border; farther from that border; larger; earlier tile, earlier in its answer. So without scores
    the result does not depend on the order of tiles, save between identical boxes. Objects of one tile never suppress
    each other: the model saw them side by side.

    (:func:`rscovlm.metrics.merge_tiles` is the merge of the reference evaluation, which knows boxes and no tiles.)

    Args:
        objects: n objects of all tiles, in pixels of the original image.
        tile_of: (n,) which tile each came from.
        windows: Each tile's window, in pixels of the original.
        size: Width and height of the original; a tile's border that is the image's border cuts nothing.
        overlap: IoU above which two are one; 0.1 is what the DOTA merge uses.
        fragment: Share of a cut object's area inside another.

    Returns:
        Sorted indices of what stays.
    """
    count = len(objects)
    if count < 2:
        return np.arange(count)
    tile = np.asarray(tile_of)
    bounds = objects.boxes.as_kind("hbb").coords
    areas = objects.boxes.area()
    margin = _margins(bounds, np.asarray(windows, dtype=float)[tile], size)
    cut = margin <= _CUT
    scores = np.zeros(count) if objects.scores is None else objects.scores
    rank = np.lexsort((np.arange(count), tile, -areas, -margin, cut, -scores))
    first, second = _neighbours(bounds, objects.labels, tile)
    if not len(first):
        return np.arange(count)
    shared = iou(objects.boxes[first], objects.boxes[second], paired=True)
    # From IoU to the area both cover: I = u (A + B) / (1 + u).
    inside = shared * (areas[first] + areas[second]) / (1 + shared)
    same = shared > overlap
    same |= cut[first] & (inside >= fragment * areas[first]) & (areas[first] <= areas[second])
    same |= cut[second] & (inside >= fragment * areas[second]) & (areas[second] <= areas[first])
    place = np.empty(count, dtype=np.intp)
    place[rank] = np.arange(count)
    rivals: dict[int, list[int]] = {}
    for a, b in zip(first[same].tolist(), second[same].tolist(), strict=True):
        better, worse = (a, b) if place[a] < place[b] else (b, a)
        rivals.setdefault(better, []).append(worse)
    keep = np.ones(count, dtype=bool)
    for index in rank.tolist():
        if keep[index]:
            keep[rivals.get(index, [])] = False
    return np.flatnonzero(keep)


def _neighbours(
    bounds: NDArray[np.float64], labels: Sequence[str], tile: NDArray[np.intp]
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the pairs of one class and two tiles whose bounding boxes touch."""
    shapes = shapely_box(bounds[:, 0], bounds[:, 1], bounds[:, 2], bounds[:, 3])
    first, second = STRtree(shapes).query(shapes)
    known = {label: number for number, label in enumerate(dict.fromkeys(labels))}
    code = np.array([known[label] for label in labels])
    pairs = (first < second) & (code[first] == code[second]) & (tile[first] != tile[second])
    return first[pairs], second[pairs]


def _margins(bounds: NDArray[np.float64], windows: NDArray[np.float64], size: tuple[int, int]) -> NDArray[np.float64]:
    """Return how far each box is from the nearest border of its tile that is not a border of the image."""
    width, height = size
    gaps = np.stack(
        [
            np.where(windows[:, 0] > 0, bounds[:, 0] - windows[:, 0], np.inf),
            np.where(windows[:, 1] > 0, bounds[:, 1] - windows[:, 1], np.inf),
            np.where(windows[:, 2] < width, windows[:, 2] - bounds[:, 2], np.inf),
            np.where(windows[:, 3] < height, windows[:, 3] - bounds[:, 3], np.inf),
        ]
    )
    margins: NDArray[np.float64] = gaps.min(axis=0)
    return margins


def duplicates(boxes: Boxes, labels: Sequence[str]) -> NDArray[np.bool_]:
    """Return which objects say exactly what an earlier one said: (n,) bool.

    >>> duplicates(Boxes([[0, 0, 4, 4], [0, 0, 4, 4]], "hbb"), ["ship", "ship"]).tolist()
    [False, True]
    """
    met: set[tuple[str, bytes]] = set()
    again = np.zeros(len(boxes), dtype=bool)
    for row, label in enumerate(labels):
        key = label, boxes.coords[row].tobytes()
        again[row] = key in met
        met.add(key)
    return again
