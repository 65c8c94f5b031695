"""Greedy suppression and the pairs that it looks at, held against every pair of small inputs."""

from typing import Any

import numpy as np
import pytest
import shapely

from rscovlm.geometry import suppression
from rscovlm.geometry.suppression import stand_ins
from rscovlm.geometry.touching import Touching


def _boxes(count: int, span: int, rng: np.random.Generator) -> Any:
    corner = rng.integers(0, span, (count, 2))
    return np.concatenate([corner, corner + rng.integers(0, 12, (count, 2))], axis=1).astype(float)


@pytest.mark.parametrize("most", [1, 7, 10_000])
@pytest.mark.parametrize("span", [6, 60])
def test_all_pairs_that_meet_are_named_in_order_and_few_at_a_time(span: int, most: int) -> None:
    rng = np.random.default_rng(span)
    boxes, asked = _boxes(80, span, rng), _boxes(50, span, rng)
    chunks = list(Touching(boxes).pairs(asked, most=most))
    found = [pair for i, j in chunks for pair in zip(i.tolist(), j.tolist(), strict=True)]
    meet = shapely.intersects(shapely.box(*asked.T)[:, None], shapely.box(*boxes.T))
    assert sorted(found) == list(zip(*(rows.tolist() for rows in np.nonzero(meet)), strict=True))
    assert [i for i, _ in found] == sorted(i for i, _ in found)
    assert all(len(i) <= most or len(set(i.tolist())) == 1 for i, _ in chunks)
    assert most > 1000 or len(chunks) > 1


@pytest.mark.parametrize("block", [1, 4, 512])
def test_the_best_that_stays_stands_for_what_is_close_to_it(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(suppression, "_BLOCK", block)
    for seed in range(30):
        rng = np.random.default_rng(seed)
        count = int(rng.integers(0, 90))
        boxes, groups = _boxes(count, 30, rng), rng.integers(0, 3, count)
        order, chance = rng.permutation(count), rng.random((count, count)) < 0.5
        meet = shapely.intersects(shapely.box(*boxes.T)[:, None], shapely.box(*boxes.T)) & chance
        expected = np.arange(count)
        for place, row in enumerate(order):
            if expected[row] == row:
                for other in order[place + 1 :]:
                    if expected[other] == other and groups[other] == groups[row] and meet[row, other]:
                        expected[other] = row
        found = stand_ins(boxes, groups, order, lambda better, worse, meet=meet: meet[better, worse])  # type: ignore[misc]
        assert found.tolist() == expected.tolist(), seed


def test_in_a_pile_few_pairs_are_compared() -> None:
    asked = 0

    def close(better: Any, worse: Any) -> Any:
        nonlocal asked
        asked += len(better)
        return np.ones(len(better), bool)

    boxes = np.tile([0.0, 0, 10, 10], (5000, 1))
    found = stand_ins(boxes, np.zeros(5000, np.intp), np.arange(5000), close)
    assert not found.any() and asked < 150_000  # every pair: 12,497,500
