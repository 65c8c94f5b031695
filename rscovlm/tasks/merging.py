"""One list of objects from overlapping tiles."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from rscovlm.geometry import Boxes, Objects, iou
from rscovlm.geometry.overlaps import hbb_intersection, most_of_strips, strips
from rscovlm.geometry.suppression import stand_ins
from rscovlm.geometry.window import WindowLike
from rscovlm.tasks.pieces import CUT, Merged, Seams, grown, joined_groups, margins

Ints = NDArray[np.intp]


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

    Two objects of one class are pieces of one when each is cut by the border of its tile at which the other continues, and
    they agree in what both tiles see (`rscovlm.tasks.pieces.Seams`). Pieces of more than two tiles are joined too.
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
    return joined_groups(objects, kept, rivals.pieces, rivals.margin, tile_of, windows, size)


class _Rivals:
    """Which objects of overlapping tiles are the same one, and which are pieces of one.

    Attributes:
        stands_for: (n,) the object that stays for each; its own number where it stays itself.
        margin: (n,) pixels from the nearest border of its tile, infinite at the border of the image.
        pieces: (k, 2) pairs that stay and are two pieces of one object, each cut where the other continues.
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
        self._boxes, self._overlap, self._fragment = objects.boxes, overlap, fragment
        self._tile = np.asarray(tile_of, dtype=np.intp)
        self._bounds = objects.boxes.as_kind("hbb").coords
        shown = np.asarray(windows, dtype=float).reshape(-1, 4)
        self.margin = margins(self._bounds, shown[self._tile], size).min(axis=1, initial=np.inf)
        self._areas, self._cut = objects.boxes.area(), self.margin <= CUT
        self._strips = None if objects.boxes.kind == "hbb" else strips(objects.boxes.as_kind("quad").coords)
        self._seams = Seams(objects.boxes, self._bounds, self._tile, shown) if join else None
        known = {label: number for number, label in enumerate(dict.fromkeys(objects.labels))}
        groups = np.array([known[label] for label in objects.labels], dtype=np.intp)
        scores = np.zeros(count) if objects.scores is None else objects.scores
        # Of two that are cut the larger shows more of the object, however near the border they end.
        inner = np.where(self._cut, 0, self.margin)
        rank = np.lexsort((np.arange(count), self._tile, -self._areas, -inner, self._cut, -scores))
        self.stands_for = stand_ins(grown(self._bounds), groups, rank, self._same)
        self.pieces = np.empty((0, 2), dtype=np.intp)
        if self._seams is not None:
            self.pieces = self._seams.joined(groups, self.stands_for)

    def _same(self, better: Ints, worse: Ints) -> NDArray[np.bool_]:
        """Return which pairs are one object seen in two tiles."""
        same: NDArray[np.bool_] = self._tile[better] != self._tile[worse]
        rows = np.flatnonzero(same)
        a, b = better[rows], worse[rows]
        most = self._most(a, b)
        reach = most >= (self._overlap - 1e-9) * (self._areas[a] + self._areas[b] - most)
        # No overlap can be more than that of the bounds; a fragment lies in the other at most as far as they do.
        reach |= self._within(a, b, most * (1 + 1e-9)) | self._within(b, a, most * (1 + 1e-9))
        rows = rows[reach]
        first, second = np.minimum(better[rows], worse[rows]), np.maximum(better[rows], worse[rows])
        coords = self._boxes.coords
        shared = iou(coords[first], coords[second], paired=True)
        # From IoU to the area both cover: I = u (A + B) / (1 + u).
        inside = shared * (self._areas[first] + self._areas[second]) / (1 + shared)
        one = shared > self._overlap
        one |= self._within(first, second, inside) | self._within(second, first, inside)
        rows, first, second = rows[one], first[one], second[one]
        if self._seams is not None:  # two halves may share more than `overlap`, and neither stands for the other
            rows = rows[~self._seams.continued(first, second)]
        same[:] = False
        same[rows] = True
        return same

    def _most(self, a: Ints, b: Ints) -> NDArray[np.float64]:
        """Return the areas that pairs share at most, by what is quick to compute."""
        most: NDArray[np.float64] = np.minimum(
            hbb_intersection(self._bounds[a], self._bounds[b]), np.minimum(self._areas[a], self._areas[b])
        )
        if self._strips is not None:
            np.minimum(most, most_of_strips(self._strips[a], self._strips[b]) * (1 + 1e-6), out=most)
        return most

    def _within(self, part: Ints, whole: Ints, inside: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Return which boxes are fragments of others, given the area that both cover."""
        areas = self._areas
        found: NDArray[np.bool_] = (
            self._cut[part] & (inside >= self._fragment * areas[part]) & (areas[part] <= areas[whole])
        )
        return found


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
