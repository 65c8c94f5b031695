"""Sets of points of different lengths on a grid."""

import pickle
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rscovlm.geometry import Boxes, Frame, PointSets
from tests.geometry.grids import turned, upright

IMAGE = Frame(4000, 3000)


def _sets(seed: int) -> PointSets:
    rng = np.random.default_rng(seed)
    return PointSets([rng.uniform(0, 3000, (count, 2)) for count in (1, 3, 7)], IMAGE)


@settings(max_examples=60, derandomize=True)
@given(seed=st.integers(0, 2**32 - 1), grid=st.one_of(upright(), turned()))
def test_there_and_back(seed: int, grid: Frame) -> None:
    sets = _sets(seed)
    there = sets.to(grid)
    assert there.frame == grid
    for mine, back in zip(sets.points, there.to(IMAGE).points, strict=True):
        np.testing.assert_allclose(back, mine, atol=1e-7)


def test_points_travel_as_the_corners_of_boxes_do() -> None:
    quads = Boxes(np.random.default_rng(1).uniform(0, 3000, (5, 8)), "quad", IMAGE)
    grid = IMAGE.cropped(100, 200, 900, 700).resized(333, 444)
    corners = PointSets(list(quads.coords.reshape(-1, 4, 2)), IMAGE)
    np.testing.assert_allclose(np.array(corners.to(grid).points).reshape(-1, 8), quads.to(grid).coords, atol=1e-9)
    assert corners.bounds() == quads.as_kind("hbb")


def test_sets_are_picked_and_compared() -> None:
    sets = _sets(2)
    assert [len(one) for one in sets.points] == [1, 3, 7]
    assert sets[[0, 2]] == sets[::2] == sets[np.array([True, False, True])]
    assert sets[-1].points[0].tolist() == sets.points[2].tolist()
    assert [len(one) for one in sets] == [1, 1, 1]
    assert sets != sets[:2]
    assert sets != PointSets(sets.points)
    assert pickle.loads(pickle.dumps(sets)) == sets
    with pytest.raises(ValueError, match="read-only"):
        sets.points[0][0, 0] = 1


def test_no_sets_are_sets() -> None:
    none = PointSets([], IMAGE)
    assert len(none.to(IMAGE.normalised())) == 0
    assert none.bounds() == Boxes.empty("hbb", IMAGE)


@pytest.mark.parametrize(
    ("points", "message"),
    [
        ([[(0, 0)], [(0, 0), (1, np.nan)]], r"point 1 of set 1 is \[1.0, nan\]"),
        ([[(0, 0, 0)]], r"point set 0 has shape \(1, 3\)"),
        ([[(0, 0)], []], r"point set 1 has shape \(0,\)"),
        ([[(0, 0), (1,)]], "point set 0 is not a table of numbers"),
    ],
)
def test_what_is_no_set_of_points_is_refused(points: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        PointSets(points)


def test_points_of_an_unknown_grid_cannot_move() -> None:
    with pytest.raises(ValueError, match="have no frame"):
        PointSets([[(0, 0)]]).to(IMAGE)


def test_the_first_point_that_is_no_number_is_named() -> None:
    points = [[[0.0, 1.0]], [[0.0, 1.0], [float("inf"), 2.0], [3.0, 4.0], [5.0, float("nan")]]]
    with pytest.raises(ValueError, match=r"point 1 of set 1 is \[inf, 2\.0\]; every number must be finite"):
        PointSets(points)
