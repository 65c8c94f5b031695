"""Shared areas held against shapely and against rational arithmetic."""

import numpy as np
import pytest
import shapely
from numpy.typing import NDArray

from rscovlm.geometry import Boxes, iou
from rscovlm.geometry.clipping import quad_shapes
from rscovlm.geometry.overlaps import (
    can_reach,
    hbb_intersection,
    most_of_strips,
    quad_area,
    quad_intersection,
    quad_overlap,
    strips,
)
from tests.geometry.exact import exact_iou

Floats = NDArray[np.float64]


def _regions(quads: Floats) -> NDArray[np.object_]:
    return np.asarray(shapely.make_valid(np.asarray(shapely.polygons(quads.reshape(-1, 4, 2)))))


def _shapely(a: Floats, b: Floats) -> Floats:
    return np.asarray(shapely.area(shapely.intersection(_regions(a), _regions(b))))


def _oriented(count: int, rng: np.random.Generator) -> Floats:
    columns = [rng.uniform(0, 1000, (count, 2)), rng.uniform(8, 120, (count, 2)), rng.uniform(-90, 90, count)]
    return np.column_stack(columns)


def _quads(oriented: Floats) -> Floats:
    return Boxes(oriented, "obb").as_kind("quad").coords


def _moved_along(oriented: Floats, widths: float) -> Floats:
    turn = np.deg2rad(oriented[:, 4])
    step = widths * oriented[:, 2:3] * np.stack([np.cos(turn), np.sin(turn)], axis=1)
    return np.column_stack([oriented[:, :2] + step, oriented[:, 2:]])


def test_random_quadrilaterals_of_every_shape() -> None:
    rng = np.random.default_rng(0)
    a = rng.uniform(0, 100, (6_000, 8))
    b = rng.uniform(0, 100, (6_000, 8))
    assert np.abs(quad_intersection(a, b) - _shapely(a, b)).max() < 1e-9
    np.testing.assert_allclose(quad_area(a), shapely.area(_regions(a)), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("grid", [0, 1, 10])
def test_a_repeated_corner_changes_nothing(grid: int) -> None:
    """A box that a border cut may be a triangle, with two corners in one place, or less."""
    rng = np.random.default_rng(21)
    corners = rng.uniform(0, 100, (2, 6_000, 4, 2))
    corners = np.round(corners / grid) * grid if grid else corners
    for one in corners:
        place = rng.integers(0, 4, len(one))
        one[np.arange(len(one)), place] = one[np.arange(len(one)), (place + rng.integers(1, 3, len(one))) % 4]
        one[:500, :2] = one[:500, 2:3]  # a line
    a, b = (one.reshape(-1, 8) for one in corners)
    regions = [shapely.area(_regions(one)) for one in (a, b)]
    np.testing.assert_allclose(quad_intersection(a, b), _shapely(a, b), rtol=1e-9, atol=1e-7)
    np.testing.assert_allclose([quad_area(a), quad_area(b)], regions, rtol=1e-9, atol=1e-9)


def test_no_pair_shares_more_than_the_strips_they_lie_in() -> None:
    rng = np.random.default_rng(20)
    long = np.column_stack(
        [rng.uniform(0, 60, (4_000, 2)), np.exp(rng.uniform(-3, 5, (4_000, 2))), rng.uniform(-90, 90, 4_000)]
    )
    any_shape = rng.uniform(0, 100, (4_000, 8))
    flat = np.tile(rng.uniform(0, 100, (500, 2)), (1, 4)) + np.array([0, 0, 9, 0, 9, 0, 0, 0])
    a = np.concatenate([_quads(long), any_shape, flat, _quads(long)])
    b = np.concatenate([_quads(long)[::-1], any_shape[::-1], flat[::-1], any_shape])
    most = most_of_strips(strips(a), strips(b))
    assert (_shapely(a, b) <= most * (1 + 1e-6) + 1e-9).all()
    # Of boxes that cross it is the very area.
    cross = np.array([[0.0, 40, 100, 40, 100, 44, 0, 44]]), np.array([[50.0, 0, 53, 0, 53, 90, 50, 90]])
    assert most_of_strips(*map(strips, cross)).tolist() == pytest.approx([12.0])


@pytest.mark.parametrize("floor", [0.05, 0.3, 0.5, 0.9, 1.0])
def test_a_pair_is_left_out_only_where_it_overlaps_less(floor: float) -> None:
    rng = np.random.default_rng(22)
    low = rng.integers(0, 25, (2, 3_000, 2)).astype(np.float64)
    a, b = np.concatenate([low, low + rng.integers(1, 20, (2, 3_000, 2))], axis=2)
    b[:50] = a[:50]
    area_a, area_b = (np.prod(one[:, 2:] - one[:, :2], axis=1) for one in (a, b))
    overlap = iou(a, b, paired=True)
    reach = can_reach(floor, a, b, area_a, area_b)
    assert reach[overlap >= floor].all() and reach[:50].all()
    # Of upright boxes that meet enough, it is the overlap itself.
    assert not reach[(overlap < floor - 1e-6)].any()
    slim = can_reach(floor, a, b, area_a / 4, area_b)  # a slanted one covers less than the box around it
    most = np.minimum(overlap / (1 + overlap) * (area_a + area_b), area_a / 4)
    assert np.array_equal(slim, most / (area_a / 4 + area_b - most) >= floor - 1e-9)


def test_integer_boxes_of_twelve_pixels() -> None:
    rng = np.random.default_rng(1)
    base = rng.integers(0, 12, (6_000, 8)).astype(np.float64)
    other = base + rng.integers(-2, 3, base.shape)
    assert np.abs(quad_intersection(base, other) - _shapely(base, other)).max() < 1e-9


def test_corners_on_a_grid_of_three_points_coincide_in_every_way() -> None:
    rng = np.random.default_rng(3)
    a = rng.integers(0, 3, (4_000, 8)).astype(np.float64)
    b = rng.integers(0, 3, (4_000, 8)).astype(np.float64)
    assert np.abs(quad_intersection(a, b) - _shapely(a, b)).max() < 1e-12
    np.testing.assert_allclose(quad_area(a), shapely.area(_regions(a)), atol=1e-12)


@pytest.mark.parametrize("scale", [2.0**-20, 2.0**-6, 2.0**20])
def test_areas_of_small_and_large_shapes_are_those_of_the_same_shapes(scale: float) -> None:
    # A power of two rounds nothing: a threshold in pixels would show.
    a, b = np.random.default_rng(10).uniform(-50, 50, (2, 3_000, 8))
    np.testing.assert_allclose(quad_intersection(scale * a, scale * b), scale**2 * quad_intersection(a, b), rtol=1e-12)
    np.testing.assert_array_equal(quad_area(scale * a), scale**2 * quad_area(a))


def test_a_box_shares_its_own_area_with_itself() -> None:
    quads = np.random.default_rng(2).uniform(0, 3000, (1000, 8))
    np.testing.assert_array_equal(quad_intersection(quads, quads), quad_area(quads))
    turned = np.roll(quads, 2, axis=1)
    np.testing.assert_allclose(quad_intersection(quads, turned), quad_area(quads), rtol=1e-9)


def test_two_boxes_share_as_much_in_either_order() -> None:
    a, b = np.random.default_rng(12).uniform(0, 100, (2, 2000, 8))
    np.testing.assert_allclose(quad_intersection(b, a), quad_intersection(a, b), rtol=1e-12, atol=1e-9)
    one, two = (Boxes(each, "quad").as_kind("hbb").coords for each in (a, b))
    np.testing.assert_array_equal(hbb_intersection(two, one), hbb_intersection(one, two))
    areas = quad_area(a), quad_area(b)
    np.testing.assert_array_equal(can_reach(0.3, two, one, *areas[::-1]), can_reach(0.3, one, two, *areas))


def test_direction_of_the_corners_does_not_matter() -> None:
    rng = np.random.default_rng(4)
    a, b = rng.uniform(0, 100, (2, 2000, 8))
    backwards = a.reshape(-1, 4, 2)[:, ::-1].reshape(-1, 8)
    np.testing.assert_allclose(quad_intersection(backwards, b), quad_intersection(a, b), atol=1e-10)


@pytest.mark.parametrize(
    "case",
    ["shifted", "turned by rounding", "touching along a side", "half over", "flush on three sides", "far from 0"],
)
def test_rotated_boxes_against_rational_arithmetic(case: str) -> None:
    rng = np.random.default_rng(5)
    boxes = _oriented(300, rng)
    others = {
        "shifted": np.column_stack([boxes[:, :2] + rng.normal(0, 9, (300, 2)), boxes[:, 2:]]),
        "turned by rounding": boxes * (1 + rng.normal(0, 1e-15, boxes.shape)),
        "touching along a side": _moved_along(boxes, 1.0),
        "half over": _moved_along(boxes, 0.5),
        "flush on three sides": _moved_along(boxes, 0.25) * [1, 1, 0.5, 1, 1],
        "far from 0": np.column_stack([boxes[:, :2] + 3, boxes[:, 2:]]),
    }
    far = 5e6 if case == "far from 0" else 0.0
    a, b = _quads(boxes) + far, _quads(others[case]) + far
    shared, area_a, area_b = quad_overlap(a, b)
    expected = np.array([exact_iou(one, two) for one, two in zip(a, b, strict=True)])
    assert np.abs(shared / (area_a + area_b - shared) - expected).max() < 1e-14


@pytest.mark.parametrize("thickness", [1e-2, 1e-4, 1e-6, 1e-9, 1e-12])
def test_slivers_that_cross_keep_their_digits(thickness: float) -> None:
    rng = np.random.default_rng(6)
    boxes = _oriented(300, rng)
    boxes[:, 2:4] = 1000, thickness
    across = np.column_stack([boxes[:, :2] + rng.normal(0, 50, (300, 2)), boxes[:, 2:4], boxes[:, 4] + 40])
    a, b = _quads(boxes), _quads(across)
    shared, area_a, area_b = quad_overlap(a, b)
    expected = np.array([exact_iou(one, two) for one, two in zip(a, b, strict=True)])
    assert np.abs(shared / (area_a + area_b - shared) - expected).max() < 1e-10
    assert (shared > 0).mean() > 0.5


@pytest.mark.parametrize("thickness", [1e-3, 1e-5, 1e-7])
@pytest.mark.parametrize("end", [0.0, 499.999, -499.999])
def test_a_long_sliver_over_a_small_box_keeps_its_digits(thickness: float, end: float) -> None:
    rng = np.random.default_rng(8)
    small = np.column_stack(
        [rng.uniform(0, 1000, (300, 2)), rng.uniform(1e-3, 1e-2, (300, 2)), rng.uniform(-90, 90, 300)]
    )
    long = np.column_stack(
        [small[:, :2] + rng.normal(0, 1e-3, (300, 2)), np.full(300, 1e3), np.full(300, thickness), small[:, 4] + 33]
    )[: 300 if end == 0 else 80]
    small, long = small[: len(long)], _moved_along(long, end / 1e3)  # over the middle of the long one, or at an end
    for a, b in ((_quads(small), _quads(long)), (_quads(long), _quads(small))):
        shared, area_a, area_b = quad_overlap(a, b)
        expected = np.array([exact_iou(one, two) for one, two in zip(a, b, strict=True)])
        assert np.abs(shared / (area_a + area_b - shared) - expected).max() < 1e-10


def test_sides_upright_but_for_a_hair_do_not_overflow() -> None:
    square = np.array([[0.0, 0, 10, 0, 10, 10, 0, 10]])
    for hair in (5e-324, 1e-300, 1e-18):
        leaning = np.array([[0.0, 0, 10, 0, 10, 10, hair, 10]])
        np.testing.assert_allclose(quad_overlap(leaning, square), np.full((3, 1), 100.0), rtol=1e-15)


def test_boxes_apart_share_exactly_nothing() -> None:
    boxes = _oriented(1000, np.random.default_rng(7))
    far = np.column_stack([boxes[:, 0], boxes[:, 1] + 300, boxes[:, 2:]])
    assert not quad_intersection(_quads(boxes), _quads(far)).any()


def test_boxes_that_touch_share_exactly_nothing() -> None:
    rng = np.random.default_rng(9)
    low, sides = rng.uniform(-1000, 1000, (500, 2)), rng.uniform(1e-3, 300, (500, 2))
    one = np.concatenate([low, low + sides], axis=1)
    for axis in (0, 1):
        other = one.copy()
        other[:, [1 - axis, 3 - axis]] += rng.uniform(-0.3, 0.3, (500, 1)) * sides[:, [1 - axis]]
        other[:, axis], other[:, 2 + axis] = one[:, 2 + axis], one[:, 2 + axis] + sides[:, axis]
        a, b = (Boxes(boxes, "hbb").as_kind("quad").coords for boxes in (one, other))
        assert not quad_intersection(a, b).any() and not quad_intersection(b, a).any()


def test_more_pairs_than_are_worked_on_at_once() -> None:
    rng = np.random.default_rng(8)
    a, b = rng.uniform(0, 100, (2, 5000, 8))
    whole = quad_intersection(a, b)
    parts = [quad_intersection(a[k : k + 700], b[k : k + 700]) for k in range(0, 5000, 700)]
    np.testing.assert_array_equal(whole, np.concatenate(parts))
    assert quad_intersection(a[:0], b[:0]).shape == (0,)


def test_shapes_are_told_apart() -> None:
    square, bow = [0, 0, 9, 0, 9, 9, 0, 9], [0, 0, 9, 9, 9, 0, 0, 9]
    dent, triangle, line = [0, 0, 9, 0, 9, 9, 8, 2], [0, 0, 9, 0, 9, 9, 4.5, 4.5], [0, 0, 3, 3, 6, 6, 9, 9]
    quads = np.array([square, bow, dent, triangle, line, np.roll(bow, 2), np.roll(dent, 4)], dtype=np.float64)
    convex, crossed = quad_shapes(quads)
    assert convex.tolist() == [True, False, False, True, True, False, False]
    assert crossed.tolist() == [False, True, False, False, False, True, False]
    rng = np.random.default_rng(9)
    assert quad_shapes(_quads(_oriented(5000, rng)))[0].all()
    anything = rng.uniform(0, 100, (5000, 8))
    np.testing.assert_array_equal(
        quad_shapes(anything)[1], ~shapely.is_valid(shapely.polygons(anything.reshape(-1, 4, 2)))
    )
