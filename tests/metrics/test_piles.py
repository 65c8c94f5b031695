"""The best true box of each found one in piles and crowds, against every pair compared."""

from __future__ import annotations

from typing import Any, get_args

import numpy as np
import pytest

from rscovlm.metrics import matching
from rscovlm.metrics.detections import Rows, read_items
from rscovlm.metrics.matching import Shape, areas, best_truths, overlaps, shaped
from tests.metrics.scenes import rectangles


def _rows(count: int, seed: int, span: float, images: int) -> tuple[Rows, Rows, int]:
    rng = np.random.default_rng(seed)
    quads = rectangles(rng.uniform(0, span, (count, 2)), rng.uniform(5, 60, (count, 2)), rng.uniform(-1.5, 1.5, count))
    # Whole pixels, and boxes that occur twice, so that overlaps are equal.
    true = np.concatenate([quads, quads[: count // 3]]).round()
    found = np.concatenate([quads + rng.normal(0, 2, quads.shape), quads[: count // 4]]).round()
    labels = rng.choice(["ship", "plane"], len(true)).tolist()
    said = rng.choice(["ship", "plane", "car"], len(found)).tolist()
    where, seen = rng.integers(0, images, len(true)), rng.integers(0, images, len(found))
    references = [
        {"boxes": true[where == k], "labels": [one for one, at in zip(labels, where, strict=True) if at == k]}
        for k in range(images)
    ]
    predictions = [
        {"boxes": found[seen == k], "labels": [one for one, at in zip(said, seen, strict=True) if at == k]}
        for k in range(images)
    ]
    read, truths, names = read_items(predictions, references, None)
    return read, truths, len(names)


@pytest.mark.parametrize("shape", get_args(Shape))
@pytest.mark.parametrize("floor", [0.0, 0.5])
@pytest.mark.parametrize("crowded", [matching._CROWDED, 12])
@pytest.mark.parametrize(("count", "span", "images"), [(150, 20.0, 1), (150, 120.0, 1), (120, 60.0, 3)])
def test_the_best_of_all_pairs_is_found(
    monkeypatch: pytest.MonkeyPatch, shape: Shape, floor: float, count: int, span: float, images: int, crowded: int
) -> None:
    monkeypatch.setattr(matching, "_CROWDED", crowded)
    for seed in range(2):
        found, true, classes = _rows(count, seed, span, images)
        orders = [np.arange(len(true)), np.random.default_rng(seed).permutation(len(true))]
        mine, theirs = shaped(found.quads, shape), shaped(true.quads, shape)
        my_area, their_area = areas(mine), areas(theirs)
        results = best_truths(found, true, classes, shape, orders, floor)
        for row in range(len(found)):
            among = np.flatnonzero((true.image == found.image[row]) & (true.label == found.label[row]))
            repeated = np.repeat(mine[row : row + 1], len(among), axis=0)
            iou = overlaps(repeated, theirs[among], np.repeat(my_area[row], len(among)), their_area[among])
            largest = iou.max(initial=0.0)
            for result, order in zip(results, orders, strict=True):
                if largest <= 0 or largest < floor:
                    assert result.iou[row] <= largest  # overlaps below the floor do not matter
                    continue
                best = among[iou == largest]
                assert result.iou[row] == largest
                assert result.truth[row] == best[np.argmin(order[best])]


@pytest.mark.parametrize("shape", get_args(Shape))
def test_a_pile_is_matched_as_pair_by_pair(monkeypatch: pytest.MonkeyPatch, shape: Shape) -> None:
    found, true, classes = _rows(5600, 3, 60.0, 1)
    orders = [np.arange(len(true)), np.random.default_rng(3).permutation(len(true))]
    piles: list[int] = []
    of_groups = matching._piles

    def counted(*given: Any) -> Any:
        found_piles = of_groups(*given)
        piles.append(len(found_piles))
        return found_piles

    monkeypatch.setattr(matching, "_piles", counted)
    results = best_truths(found, true, classes, shape, orders, 0.5)
    assert piles == [2]  # ships and planes
    mine, theirs = shaped(found.quads, shape), shaped(true.quads, shape)
    my_area, their_area = areas(mine), areas(theirs)
    for row in range(0, len(found), 250):
        among = np.flatnonzero(true.label == found.label[row])
        repeated = np.repeat(mine[row : row + 1], len(among), axis=0)
        iou = overlaps(repeated, theirs[among], np.repeat(my_area[row], len(among)), their_area[among])
        for result, order in zip(results, orders, strict=True):
            if iou.max(initial=0.0) >= 0.5:
                best = among[iou == iou.max()]
                assert result.iou[row] == iou.max()
                assert result.truth[row] == best[np.argmin(order[best])]
