"""Average precision of images redrawn many times, from one order of all copies that any draw may hold.

A box's place among random ties depends on its content and on which copy of its image it is, never on what else was drawn. So all
copies are put in order once, each copy's being right or wrong is settled once, and a draw only says which copies count.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rscovlm.geometry.affine import Floats
from rscovlm.metrics import content
from rscovlm.metrics.matched_detections import DEFAULT_THRESHOLDS, Board
from rscovlm.metrics.precision import GRIDS, Outcomes, taken_levels

Counts = NDArray[np.int16]

_CHUNK = 1 << 23
"""Copies, counted once a draw, worked on at a time."""


def can_redraw(board: Board, ties: str) -> bool:
    """Tell whether `redrawn_precisions` gives what `Board.redrawn` and `Board.run` give."""
    distinct = len(np.unique(board.image_keys)) == board.images
    return ties == "random" and board.found.scores is None and board.rules.interpolation in GRIDS and distinct


def redrawn_precisions(board: Board, drawn: Counts, orders: int) -> tuple[Floats, NDArray[np.bool_]]:
    """Return average precisions of many draws, what `Board.run` gives on the images of each.

    Args:
        board: Without scores, no two images alike.
        drawn: (draws, images) how often each image was drawn.
        orders: Random orders of each draw.

    Returns:
        (draws, classes, thresholds), the mean over orders; and (draws, classes) whether a class has a true box that counts.
    """
    thresholds, most = len(board.thresholds), int(drawn.max(initial=1))
    values = np.zeros((len(drawn), len(board.classes), thresholds))
    true = np.zeros((board.images, len(board.classes)))
    counting = ~board.void_truths
    np.add.at(true, (board.true.image[counting], board.true.label[counting]), 1)
    positives = drawn.astype(np.float64) @ true
    keys = _copy_keys(board, most)
    for draw in content.streams(orders, 0):
        for c, rows, _ in board.parts():
            chance = content.mixed(keys[rows] ^ draw)
            copies = _Copies.of(board, rows, chance)
            values[:, c] += copies.precisions(drawn, positives[:, c], board.rules.interpolation, thresholds)
    return values / orders, positives > 0


def redrawn_headlines(board: Board, drawn: Counts, orders: int = 1) -> dict[str, Floats]:
    """Return (draws,) means over classes with a true box that counts: ``ap_nc50`` and so on, as `ap_nc` names them."""
    values, counted = redrawn_precisions(board, drawn, orders)
    means = (values * counted[..., None]).sum(axis=1) / np.maximum(counted.sum(axis=1), 1)[:, None]
    found = {
        f"ap_nc{round(100 * t)}": means[:, board.thresholds.index(t)] for t in (0.5, 0.75) if t in board.thresholds
    }
    if board.thresholds == DEFAULT_THRESHOLDS:
        found["ap_nc50_95"] = means.mean(axis=1)
    return found | {"ap_nc": means.mean(axis=1)}


def _copy_keys(board: Board, most: int) -> content.Keys:
    """Return (found boxes, copies) keys: those that `Board.keys` has where an image was drawn that often."""
    step, number = np.uint64(0x9E3779B97F4A7C15), np.arange(most, dtype=np.uint64)
    images = content.mixed(board.image_keys[:, None] ^ (number * step)[None, :])
    keys = content.mixed(board.row_keys[:, None] ^ images[board.found.image])
    # Rows of an image that say the same are told apart by their number, in every copy alike.
    same = np.lexsort((board.row_keys, board.found.image))
    image, row = board.found.image[same], board.row_keys[same]
    fresh = np.concatenate([[True], (image[1:] != image[:-1]) | (row[1:] != row[:-1])])[: len(same)]
    place = np.arange(len(same))
    rank = np.empty(len(same), np.uint64)
    rank[same] = place - np.maximum.accumulate(np.where(fresh, place, 0))
    return content.mixed(keys ^ (rank * step)[:, None])


class _Copies:
    """All copies of a class's boxes, best first: which image, which copy of it, and what it is worth."""

    def __init__(self, image: NDArray[np.intp], copy: Counts, hit: Counts, until: Counts, void: Counts) -> None:
        self.image, self.copy, self.hit, self.until, self.void = image, copy, hit, until, void

    @classmethod
    def of(cls, board: Board, rows: NDArray[np.intp], chance: content.Keys) -> _Copies:
        outcomes = board.outcomes(rows, board.fair, 1)
        most = chance.shape[1]
        order = np.argsort(chance.ravel(), kind="stable")
        box, copy = np.divmod(order, most)
        every = Outcomes(
            outcomes.truth[box] + copy * (1 + int(outcomes.truth.max(initial=0))),
            outcomes.level[box],
            outcomes.void[box],
            1,
        )
        taken = taken_levels(every, np.arange(len(order))[None], len(board.thresholds))
        until = np.zeros(len(order), np.int16) if taken is None else taken[0]
        return cls(board.found.image[rows][box], copy.astype(np.int16), every.level, until, every.void)

    def precisions(self, drawn: Counts, positives: Floats, interpolation: str, thresholds: int) -> Floats:
        """Return (draws, thresholds) average precisions."""
        values = np.zeros((len(drawn), thresholds))
        grid = GRIDS[interpolation]
        step = max(1, _CHUNK // max(1, len(self.image)))
        for start in range(0, len(drawn), step):
            part = slice(start, start + step)
            there = drawn[part][:, self.image] > self.copy
            spots = np.flatnonzero(there)
            draw, place = np.divmod(spots, len(self.image))
            begins = np.searchsorted(draw, np.arange(len(there) + 1))
            for k in range(thresholds):
                values[part, k] = self._at(k, place, draw, begins, positives[part], grid)
        return values

    def _at(
        self,
        k: int,
        place: NDArray[np.intp],
        draw: NDArray[np.intp],
        begins: NDArray[np.intp],
        positives: Floats,
        grid: Floats,
    ) -> Floats:
        """Return (draws,) average precisions at a threshold."""
        right = np.flatnonzero(((self.hit > k) & (self.until <= k))[place])
        counts = np.bincount(draw[right], minlength=len(begins) - 1)
        ends = np.cumsum(counts)
        firsts = ends - counts
        mine = draw[right]
        if (self.void > k).any():
            counted = np.cumsum((self.void <= k)[place], dtype=np.int64)
            before = np.concatenate([[0], counted])[begins[:-1]]
            number = counted[right] - before[mine]
        else:
            number = right - begins[mine] + 1
        precision = np.append((np.arange(len(right)) - firsts[mine] + 1) / number, 0.0)
        need = _first(positives, grid)
        reached = need < counts[:, None]
        index = np.where(reached, firsts[:, None] + need, ends[:, None])
        best = np.maximum.reduceat(precision, index.ravel()).reshape(index.shape)
        best = np.where(reached, best, 0.0)
        envelope = np.maximum.accumulate(best[:, ::-1], axis=1)
        values: Floats = envelope.sum(axis=1) / len(grid)
        return values


def _first(positives: Floats, grid: Floats) -> NDArray[np.int64]:
    """Return (draws, grid) the number, from 0, of the right box at which recall reaches a point of the grid."""
    total = np.maximum(positives, 1)[:, None]
    least = np.maximum(np.floor(grid * total) - 1, 1)
    # The same division as recall itself, so that what rounding does to a grid point is the same.
    for _ in range(3):
        least = np.where(least / total >= grid, least, least + 1)
    found: NDArray[np.int64] = least.astype(np.int64) - 1
    return found
