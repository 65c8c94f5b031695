"""The best true box of each found box, held against the overlaps of all pairs."""

from typing import Literal

import numpy as np
import pytest

from rscovlm.metrics import matching
from rscovlm.metrics.detections import read_items
from rscovlm.metrics.matching import areas, best_truths, overlaps, shaped
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
