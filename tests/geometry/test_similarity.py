"""IoU of every pair of kinds: shapely, rational arithmetic where shapely fails, and what must not change it."""

import itertools
import math

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from rscovlm.geometry import Boxes, Frame, iou
from rscovlm.geometry.kinds import Kind
from tests.geometry.exact import exact_iou

Floats = NDArray[np.float64]
KINDS: tuple[Kind, ...] = ("hbb", "obb", "quad")
few = settings(max_examples=50, derandomize=True)


def _oriented(count: int, seed: int, span: float = 1000) -> Floats:
    rng = np.random.default_rng(seed)
    columns = [rng.uniform(0, span, (count, 2)), rng.uniform(8, 120, (count, 2)), rng.uniform(-90, 90, count)]
    return np.column_stack(columns)


def _random(kind: Kind, count: int, seed: int, span: float = 300) -> Boxes:
    return Boxes(_oriented(count, seed, span), "obb").as_kind(kind)


def _shapely(a: Floats, b: Floats) -> Floats:
    one, two = (shapely.make_valid(np.asarray(shapely.polygons(q.reshape(-1, 4, 2)))) for q in (a, b))
    shared = shapely.area(shapely.intersection(one, two))
    union = shapely.area(one) + shapely.area(two) - shared
    return np.divide(shared, union, out=np.zeros_like(union), where=union > 0)


def _pairs(case: str) -> tuple[Floats, Floats]:
    """Pairs of quadrilaterals; all cases together are 100,000."""
    rng = np.random.default_rng(11)
    boxes = _oriented(20_000, 12)
    turn = np.deg2rad(boxes[:, 4])
    along = np.stack([np.cos(turn), np.sin(turn)], axis=1) * boxes[:, 2:3]
    other = boxes.copy()
    if case == "random":
        other[:, :2] += rng.normal(0, 0.2, (20_000, 2)) * boxes[:, 2:4]
        other[:, 2:4] *= rng.uniform(0.8, 1.25, (20_000, 2))
        other[:, 4] += rng.normal(0, 8, 20_000)
    elif case == "touching":
        other[:, :2] += along
    elif case == "nested":
        other[:, 2:4] *= rng.uniform(0.1, 0.9, (20_000, 2))
    elif case == "identical":
        pass
    elif case == "flush":
        other[:, 2] *= 0.5
        other[:, :2] += along / 4
    elif case == "integer":
        base = np.round(Boxes(_oriented(10_000, 13, 20) * [1, 1, 0.15, 0.15, 1], "obb").as_kind("quad").coords)
        return base, base + rng.integers(-1, 2, base.shape)
    elif case == "degenerate":
        other[:, 2] *= rng.integers(0, 2, 20_000)
        other[:, 3] = 0
    quads = [Boxes(part[:15_000], "obb").as_kind("quad").coords for part in (boxes, other)]
    return quads[0], quads[1]


@pytest.mark.parametrize("case", ["random", "touching", "nested", "identical", "flush", "integer", "degenerate"])
def test_pairs_against_shapely(case: str) -> None:
    a, b = _pairs(case)
    found, expected = iou(a, b, paired=True), _shapely(a, b)
    # GEOS misses a few overlaps of boxes that share sides; rational arithmetic decides there.
    for row in np.flatnonzero(np.abs(found - expected) > 1e-9):
        expected[row] = exact_iou(a[row], b[row])
    assert np.abs(found - expected).max() < 1e-9
    assert found.min() >= 0 and found.max() <= 1
    if case == "random":
        assert 0.3 < found.mean() < 0.8
    if case == "identical":
        np.testing.assert_allclose(found, 1.0, rtol=0, atol=1e-12)


@pytest.mark.parametrize(("kind_a", "kind_b"), list(itertools.product(KINDS, KINDS)))
def test_every_pair_of_kinds(kind_a: Kind, kind_b: Kind) -> None:
    a, b = _random(kind_a, 60, 1), _random(kind_b, 50, 2)
    table = iou(a, b)
    assert table.shape == (60, 50)
    one = np.repeat(a.as_kind("quad").coords, 50, axis=0)
    two = np.tile(b.as_kind("quad").coords, (60, 1))
    assert np.abs(table.ravel() - _shapely(one, two)).max() < 1e-9
    assert (table > 0).sum() > 100
    np.testing.assert_allclose(table, iou(b, a).T, rtol=0, atol=1e-12)
    np.testing.assert_array_equal(np.diag(table), iou(a[:50], b, paired=True))
    np.testing.assert_array_equal(table, iou(a.coords, b.coords))


@pytest.mark.parametrize("kind", KINDS)
def test_a_box_with_itself_is_one(kind: Kind) -> None:
    boxes = _random(kind, 500, 3)
    np.testing.assert_allclose(np.diag(iou(boxes, boxes)), 1.0, rtol=0, atol=1e-12)


@few
@given(seed=st.integers(0, 2**32 - 1), kind=st.sampled_from(KINDS))
def test_order_of_rows_only_orders_the_table(seed: int, kind: Kind) -> None:
    rng = np.random.default_rng(seed)
    a, b = _random(kind, 12, seed, 100), _random(kind, 9, seed + 1, 100)
    i, j = rng.permutation(12), rng.permutation(9)
    np.testing.assert_array_equal(iou(a[i], b[j]), iou(a, b)[np.ix_(i, j)])


@few
@given(
    seed=st.integers(0, 2**32 - 1),
    power=st.integers(-30, 30),
    shift=st.tuples(st.integers(-10_000, 10_000), st.integers(-10_000, 10_000)),
    turn=st.floats(-math.pi, math.pi),
)
def test_shift_scale_and_turn_change_nothing(seed: int, power: int, shift: tuple[int, int], turn: float) -> None:
    a, b = _random("quad", 12, seed, 100), _random("quad", 9, seed + 1, 100)
    scale, cos, sin = 2.0**power, math.cos(turn), math.sin(turn)
    place = (scale * cos, -scale * sin, scale * shift[0], scale * sin, scale * cos, scale * shift[1])
    moved = Frame(10, 10, to_root=place)
    there = [Boxes(boxes.coords, "quad", moved).to(Frame(10, 10)) for boxes in (a, b)]
    np.testing.assert_allclose(iou(there[0], there[1]), iou(a, b), rtol=0, atol=1e-10)


def test_without_area_nothing_overlaps_not_even_itself() -> None:
    line, point = [0.0, 0, 9, 0, 9, 0, 0, 0], [5.0, 5] * 4
    quads = np.array([line, point, [0, 0, 9, 0, 9, 9, 0, 9]])
    np.testing.assert_array_equal(iou(quads, quads), np.diag([0.0, 0, 1]))
    np.testing.assert_array_equal(iou([[3, 3, 3, 8]], [[3, 3, 3, 8], [0, 0, 9, 9]]), [[0.0, 0.0]])
    np.testing.assert_array_equal(iou([[3, 3, 5, 0, 30]], [[3, 3, 5, 0, 30]], paired=True), [0.0])


def test_both_lobes_of_a_bow_tie_count() -> None:
    bow = [[0, 0, 10, 10, 10, 0, 0, 10]]  # two triangles of 25 each
    np.testing.assert_allclose(iou(bow, [[0, 0, 10, 10]]), [[0.5]], atol=1e-15)
    np.testing.assert_allclose(iou(bow, bow), [[1.0]], atol=1e-15)


def test_a_dent_counts() -> None:
    arrow = [[0, 0, 10, 0, 10, 10, 8, 2]]
    np.testing.assert_allclose(iou(arrow, [[0, 0, 10, 10]]), [[0.2]], atol=1e-15)


@pytest.mark.parametrize("size", [1e-200, 1e-80, 1e80, 1e200, 1e307])
@pytest.mark.parametrize("kind", KINDS)
def test_no_size_overflows_or_vanishes(kind: Kind, size: float) -> None:
    box = Boxes([[0, 0, 1, 1]], "hbb").as_kind(kind).coords.copy()
    box[:, : 4 if kind == "obb" else 8] *= size
    np.testing.assert_allclose(iou(box, box), [[1.0]], atol=1e-12)
    np.testing.assert_allclose(iou(box, np.array([[0, 0, size / 2, size]])), [[0.5]], atol=1e-12)


def test_empty_sides_give_empty_tables() -> None:
    boxes = Boxes([[0, 0, 1, 1]], "hbb")
    assert iou(boxes, Boxes.empty("quad")).shape == (1, 0)
    assert iou([], boxes).shape == (0, 1)
    assert iou(np.empty((0, 5)), np.empty((0, 8)), paired=True).shape == (0,)


@pytest.mark.parametrize(
    ("a", "b", "paired", "message"),
    [
        ([[0, 0, 1, 1], [0, float("nan"), 1, 1]], [[0, 0, 1, 1]], False, r"a: row 1 .*nan.*finite"),
        ([[0, 0, 1, 1]], [[0, 0, 1, float("inf"), 0]], False, r"b: row 0 .*inf.*finite"),
        ([[5, 0, 1, 1]], [[0, 0, 1, 1]], False, r"a: row 0 .*x2 is below x1"),
        ([[0, 0, 1]], [[0, 0, 1, 1]], False, r"a has shape \(1, 3\)"),
        ([[0, 0, 1, 1], [0, 0]], [[0, 0, 1, 1]], False, "a is no table of numbers"),
        ([0, 0, 1, 1], [[0, 0, 1, 1]], False, r"a has shape \(4,\)"),
        ([[0, 0, 1, 1]] * 2, [[0, 0, 1, 1]], True, "a has 2 boxes and b 1"),
    ],
)
def test_bad_rows_are_named(a: list[list[float]], b: list[list[float]], paired: bool, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        iou(a, b, paired=paired)


def test_boxes_of_two_grids_are_not_compared() -> None:
    boxes = Boxes([[0, 0, 1, 1]], "hbb", Frame(10, 10))
    with pytest.raises(ValueError, match="bring both to one frame"):
        iou(boxes, boxes.to(Frame(10, 10).resized(20, 20)))
    assert iou(boxes, Boxes([[0, 0, 1, 1]], "hbb")).tolist() == [[1.0]]
