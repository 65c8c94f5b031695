"""The best true box of each found box, held against the overlaps of all pairs."""

from typing import Literal

import numpy as np
import pytest

from rscovlm.metrics import matching
from rscovlm.metrics.detections import read_items
from rscovlm.metrics.matching import areas, best_truths, odd_shapes, overlaps, shaped
from tests.metrics.scenes import scenes


@pytest.mark.parametrize("chunk", [3, 1 << 14])
@pytest.mark.parametrize("floor", [0.0, 0.3, 0.5, 0.9])
@pytest.mark.parametrize("shape", ["quad", "rectangle", "horizontal"])
def test_the_best_of_all_pairs(
    shape: Literal["quad", "rectangle", "horizontal"], floor: float, chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(matching, "_CHUNK", chunk)
    matched = 0
    for seed, span in enumerate((60.0, 300.0, 3000.0)):
        predictions, references = scenes(3, seed=seed, boxes=40, span=span, doubles=0.3)
        # Somewhere else: left of 0, ending at 0, and far to the right.
        most = max(item["boxes"][:, 0::2].max() for item in references)
        for item in (*predictions, *references):
            item["boxes"] = item["boxes"] - np.tile([(5000.0, most, -7000.0)[seed], 0.0], 4)
        found, true, names = read_items(predictions, references, None)
        priority = np.random.default_rng(seed).permutation(len(true))
        (best,) = best_truths(found, true, len(names), shape, [priority], floor)
        mine, theirs = shaped(found.quads, shape), shaped(true.quads, shape)
        i, j = (rows.ravel() for rows in np.indices((len(found), len(true))))
        table = overlaps(mine[i], theirs[j], areas(mine)[i], areas(theirs)[j]).reshape(len(found), len(true))
        table[(found.image[:, None] != true.image) | (found.label[:, None] != true.label)] = 0.0
        expected = np.lexsort((np.broadcast_to(priority, table.shape), -table), axis=1)[:, 0]
        most = table[np.arange(len(found)), expected]
        reached = most >= max(floor, 1e-10)
        matched += int(reached.sum())
        assert (best.truth[reached] == expected[reached]).all() and (best.iou[reached] == most[reached]).all()
        assert (best.iou[~reached] <= most[~reached]).all()
    assert matched > (10 if floor > 0.8 else 100)


def test_odd_shapes_are_counted_once_each() -> None:
    """Shapes that differ, away from the origin, in both directions round."""
    square, kite = [(3, 2), (9, 2), (9, 8), (3, 8)], [(5, 0), (9, 4), (5, 12), (1, 4)]
    dart, arrow = [(0, 0), (10, 4), (0, 8), (3, 4)], [(0, 0), (6, 10), (12, 0), (6, 3)]
    bow, line, point = [(0, 0), (9, 9), (9, 0), (0, 7)], [(0, 0), (4, 4), (9, 9), (2, 2)], [(5, 5)] * 4
    for moved in (0, 700.5):
        for step in (1, -1):
            shapes = [one[::step] for one in (square, kite, dart, arrow, bow, line, point)]
            quads = np.array(shapes, dtype=float).reshape(-1, 8) + moved
            assert odd_shapes(quads) == {"zero_area": 2, "self_crossing": 1, "not_convex": 2}
            assert odd_shapes(quads[:2]) == {"zero_area": 0, "self_crossing": 0, "not_convex": 0}
            assert odd_shapes(quads[2:4]) == {"zero_area": 0, "self_crossing": 0, "not_convex": 2}
            assert odd_shapes(quads[4:5]) == {"zero_area": 0, "self_crossing": 1, "not_convex": 0}
