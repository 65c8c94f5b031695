"""One list of objects from overlapping tiles."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from shapely import STRtree
from shapely import box as shapely_box

from rscovlm.geometry import Boxes, Objects, iou
from rscovlm.geometry.window import WindowLike
from rscovlm.tasks.pieces import CUT, Merged, continued, joined_groups, margins


def merge(
    objects: Objects,
    tile_of: Sequence[int],
    windows: Sequence[WindowLike],
    size: tuple[int, int],
    *,
    overlap: float = 0.1,
    fragment: float = 0.6,
) -> NDArray[np.intp]:
    """Choose which objects of overlapping tiles to keep: greedy, class by class, between tiles only.

    Two objects of one class from different tiles are the same object when their IoU (of the boxes as they are, oriented
    where they are oriented) is above ``overlap``, or when one was cut by the border of its tile and at least
    ``fragment`` of its area lies in the other. The better one stays; better is, in this order: the higher score; not
    cut by its tile's border; farther from that border, unless it is cut; larger; earlier tile, earlier in its answer. So without scores
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
    return np.flatnonzero(
        _Rivals(objects, tile_of, windows, size, overlap, fragment).stands_for == np.arange(len(objects))
    )


def merge_and_join(
    objects: Objects,
    tile_of: Sequence[int],
    windows: Sequence[WindowLike],
    size: tuple[int, int],
    *,
    overlap: float = 0.1,
    fragment: float = 0.6,
) -> Merged:
    """Merge as `merge` does, and join the pieces of objects that no tile saw whole.

    Two objects of one class are pieces of one when each is cut by the border of its tile at which the other goes on, and
    they agree in what both tiles see (`rscovlm.tasks.pieces.continued`). Pieces of more than two tiles are joined too.
    What is still cut by a border is flagged.

    Args:
        objects: As for `merge`.
        tile_of: As for `merge`.
        windows: As for `merge`.
        size: As for `merge`.
        overlap: As for `merge`.
        fragment: As for `merge`.
    """
    rivals = _Rivals(objects, tile_of, windows, size, overlap, fragment, join=True)
    kept = np.flatnonzero(rivals.stands_for == np.arange(len(objects)))
    return joined_groups(objects, kept, rivals.stands_for[rivals.pieces], rivals.margin, tile_of, windows, size)


class _Rivals:
    """Which objects of overlapping tiles are the same one, and which are pieces of one.

    Attributes:
        stands_for: (n,) the object that stays for each; its own number where it stays itself.
        margin: (n,) pixels from the nearest border of its tile, infinite at the border of the image.
        pieces: (k, 2) pairs that are two pieces of one object, each cut where the other goes on.
    """

    def __init__(
        self,
        objects: Objects,
        tile_of: Sequence[int],
        windows: Sequence[WindowLike],
        size: tuple[int, int],
        overlap: float,
        fragment: float,
        *,
        join: bool = False,
    ) -> None:
        count = len(objects)
        self.stands_for = np.arange(count)
        self.pieces = np.empty((0, 2), dtype=np.intp)
        tile = np.asarray(tile_of, dtype=np.intp)
        places = np.asarray(windows, dtype=float).reshape(-1, 4)[tile]
        bounds = objects.boxes.as_kind("hbb").coords
        self.margin = margins(bounds, places, size).min(axis=1, initial=np.inf)
        first, second = _neighbours(bounds, objects.labels, tile) if count > 1 else (tile[:0], tile[:0])
        if not len(first):
            return
        areas, cut = objects.boxes.area(), self.margin <= CUT
        shared = iou(objects.boxes[first], objects.boxes[second], paired=True)
        # From IoU to the area both cover: I = u (A + B) / (1 + u).
        inside = shared * (areas[first] + areas[second]) / (1 + shared)
        same = shared > overlap
        same |= cut[first] & (inside >= fragment * areas[first]) & (areas[first] <= areas[second])
        same |= cut[second] & (inside >= fragment * areas[second]) & (areas[second] <= areas[first])
        if join:
            joined = continued(objects.boxes, bounds, places, first, second)
            self.pieces = np.stack([first[joined], second[joined]], axis=1)
            same &= ~joined  # two halves may share more than `overlap`, and neither stands for the other
        scores = np.zeros(count) if objects.scores is None else objects.scores
        # Of two that are cut the larger shows more of the object, however near the border they end.
        inner = np.where(cut, 0, self.margin)
        rank = np.lexsort((np.arange(count), tile, -areas, -inner, cut, -scores))
        self._choose(rank, first[same], second[same])

    def _choose(self, rank: NDArray[np.intp], first: NDArray[np.intp], second: NDArray[np.intp]) -> None:
        """Let the better of each pair stand for the other, the best first."""
        place = np.empty(len(rank), dtype=np.intp)
        place[rank] = np.arange(len(rank))
        rivals: dict[int, list[int]] = {}
        for a, b in zip(first.tolist(), second.tolist(), strict=True):
            better, worse = (a, b) if place[a] < place[b] else (b, a)
            rivals.setdefault(better, []).append(worse)
        for index in rank.tolist():
            if self.stands_for[index] == index:
                for worse in rivals.get(index, []):
                    if self.stands_for[worse] == worse:
                        self.stands_for[worse] = index


def _neighbours(
    bounds: NDArray[np.float64], labels: Sequence[str], tile: NDArray[np.intp]
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the pairs of one class and two tiles whose bounding boxes touch, or nearly."""
    # Pieces that a border parts without overlap may end a little before it.
    low, high = bounds[:, :2] - CUT, bounds[:, 2:] + CUT
    shapes = shapely_box(low[:, 0], low[:, 1], high[:, 0], high[:, 1])
    first, second = STRtree(shapes).query(shapes)
    known = {label: number for number, label in enumerate(dict.fromkeys(labels))}
    code = np.array([known[label] for label in labels])
    pairs = (first < second) & (code[first] == code[second]) & (tile[first] != tile[second])
    return first[pairs], second[pairs]


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
