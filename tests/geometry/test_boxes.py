"""Boxes: kinds there and back, grids there and back, clipping, rows, and what is refused."""

import pickle
import warnings
from typing import Any

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from rscovlm.geometry import Boxes, Frame, iou
from rscovlm.geometry.kinds import Kind, smallest_rectangle, tidy_quads
from tests.geometry.grids import turned, upright

Floats = NDArray[np.float64]
KINDS: tuple[Kind, ...] = ("hbb", "obb", "quad")
IMAGE = Frame(4000, 3000)
few = settings(max_examples=60, derandomize=True)
seeds = st.integers(0, 2**32 - 1)


def _oriented(count: int, seed: int) -> Boxes:
    rng = np.random.default_rng(seed)
    centres = rng.uniform(0, 1, (count, 2)) * [4000, 3000]
    sides = rng.uniform(5, 300, (count, 2))
    return Boxes(np.column_stack([centres, sides, rng.uniform(-360, 360, count)]), "obb", IMAGE)


def _anything(count: int, seed: int) -> Boxes:
    return Boxes(np.random.default_rng(seed).uniform(0, 3000, (count, 8)), "quad", IMAGE)


def _polygons(quads: Boxes) -> NDArray[np.object_]:
    return np.asarray(shapely.make_valid(np.asarray(shapely.polygons(quads.coords.reshape(-1, 4, 2)))))


# Kinds ------------------------------------------------------------------------------------------------------------


@few
@given(seed=seeds)
def test_oriented_boxes_survive_as_quadrilaterals(seed: int) -> None:
    boxes = _oriented(50, seed)
    again = boxes.as_kind("quad").as_kind("obb")
    np.testing.assert_allclose(again.coords[:, :4], boxes.coords[:, :4], atol=1e-9)
    square = np.abs(boxes.coords[:, 2] - boxes.coords[:, 3]) < 1e-6
    turn = np.abs(again.coords[:, 4] - boxes.coords[:, 4])[~square]
    np.testing.assert_allclose(np.minimum(turn, 180 - turn), 0, atol=1e-6)


def test_horizontal_boxes_survive_every_other_kind_exactly() -> None:
    rng = np.random.default_rng(1)
    low = rng.integers(0, 500, (200, 2))
    boxes = Boxes(np.column_stack([low, low + rng.integers(0, 90, (200, 2))]), "hbb", IMAGE)
    for kind in KINDS:
        assert boxes.as_kind(kind).as_kind("hbb") == boxes
        np.testing.assert_allclose(boxes.as_kind(kind).area(), boxes.area(), rtol=1e-12)
    assert set(boxes.as_kind("obb").coords[:, 4]) <= {0.0, -90.0}


@pytest.mark.parametrize("side", [1e-3, 0.5, 1.0, 40.0])
@pytest.mark.parametrize("start", range(4))
@pytest.mark.parametrize("order", [1, -1])
def test_quadrilaterals_of_any_size_become_clockwise(side: float, start: int, order: int) -> None:
    # Wider than tall, away from the diagonal, and leaning, so that no two numbers can be taken for each other.
    kept = np.array([[0.0, 0.0], [1.0, 0.1], [0.9, 0.6], [-0.1, 0.5]]) * side + (310.0, 75.0)
    given_box = np.roll(kept[::order], start, axis=0).reshape(1, 8)
    np.testing.assert_array_equal(Boxes(given_box, "quad").coords, kept.reshape(1, 8))


def test_numbers_at_the_end_of_the_range_are_no_warning() -> None:
    far = 1.7e308
    quad = np.array([[-far, -far, far, -far, far, far, -far, far]])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        np.testing.assert_array_equal(tidy_quads(quad), quad)
        # Both products of its diagonals are too large for a number, and so is what is left of them.
        slim = np.array([[-far, -far, -far, -0.9 * far, far, far, far, 0.9 * far]])
        kept = tidy_quads(slim).reshape(4, 2)
    assert sorted(kept.tolist()) == sorted(slim.reshape(4, 2).tolist())


def test_w_runs_along_the_angle_with_y_down() -> None:
    quad = Boxes([[100, 100, 20, 10, 30]], "obb").as_kind("quad").coords.reshape(4, 2)
    along = np.array([np.cos(np.pi / 6), np.sin(np.pi / 6)])
    sides = np.roll(quad, -1, axis=0) - quad
    np.testing.assert_allclose(sides[0], 20 * along, atol=1e-12)  # from the top corner, down to the right
    np.testing.assert_allclose(sides[1], 10 * np.array([-along[1], along[0]]), atol=1e-12)


@pytest.mark.parametrize(
    ("given_box", "kept"),
    [
        ([5, 5, 2, 8, 0], [5, 5, 8, 2, -90]),
        ([5, 5, 8, 2, 90], [5, 5, 8, 2, -90]),
        ([5, 5, 8, 2, -90], [5, 5, 8, 2, -90]),
        ([5, 5, 2, 8, -60], [5, 5, 8, 2, 30]),
        ([5, 5, 8, 2, 725], [5, 5, 8, 2, 5]),
        ([5, 5, 8, 2, -90 - 1e-14], [5, 5, 8, 2, 90 - 1.5e-14]),
        ([5, 5, 8, 2, np.nextafter(-90, -91)], [5, 5, 8, 2, np.nextafter(90, 89)]),
    ],
)
def test_oriented_boxes_have_one_form(given_box: list[float], kept: list[float]) -> None:
    found = Boxes([given_box], "obb").coords[0]
    assert -90 <= found[4] < 90
    turn = abs(found[4] - kept[4])
    assert min(turn, 180 - turn) < 1e-12
    np.testing.assert_array_equal(found[:4], kept[:4])


def test_quadrilaterals_have_one_form() -> None:
    corners = np.random.default_rng(2).uniform(0, 100, (500, 4, 2))
    hulls = [np.asarray(shapely.convex_hull(shapely.multipoints(c)).exterior.coords)[:-1] for c in corners]
    convex = np.array([hull for hull in hulls if len(hull) == 4])
    kept = Boxes(convex.reshape(-1, 8), "quad").coords
    for start in range(4):
        for order in (1, -1):
            same = np.roll(convex[:, ::order], start, axis=1).reshape(-1, 8)
            np.testing.assert_array_equal(Boxes(same, "quad").coords, kept)
    x, y = kept[:, 0::2], kept[:, 1::2]
    assert (y[:, :1] <= y).all()
    assert (shapely.is_ccw(shapely.linearrings(kept.reshape(-1, 4, 2)))).all()  # with y down: clockwise on screen
    assert ((x[:, 0] <= x[:, 1]) | (y[:, 0] < y[:, 1])).all()


@pytest.mark.parametrize(
    ("corners", "kept"),
    [
        ([0, 5, 9, 5, 9, 0, 0, 0], [0, 0, 9, 0, 9, 5, 0, 5]),  # among equal y the smaller x is first
        ([7, 0, 7, 0, 9, 9, 0, 9], [7, 0, 7, 0, 9, 9, 0, 9]),
        ([7, 0, 9, 9, 0, 9, 7, 0], [7, 0, 7, 0, 9, 9, 0, 9]),  # of two equal corners, the one that comes second
        ([3, 3, 3, 3, 3, 3, 3, 3], [3, 3, 3, 3, 3, 3, 3, 3]),
        ([0, 0, 10, 10, 10, 0, 0, 10], [0, 0, 0, 10, 10, 0, 10, 10]),  # a bow tie keeps its edges
        ([-0.0, 0, 9, -0.0, 9, 5, 0, 5], [0, 0, 9, 0, 9, 5, 0, 5]),
    ],
)
def test_odd_quadrilaterals_have_one_form(corners: list[float], kept: list[float]) -> None:
    found = Boxes([corners], "quad")
    assert found.coords.tolist() == [kept]
    assert not np.signbit(found.coords).any()
    assert Boxes(found.coords, "quad") == found


def test_the_rectangle_around_is_the_smallest_there_is() -> None:
    quads = _anything(300, 3)
    boxes = quads.as_kind("obb")
    around = _polygons(boxes.as_kind("quad"))
    assert shapely.covers(shapely.buffer(around, 1e-6), _polygons(quads)).all()
    # No direction in steps of a tenth of a degree does better.
    corners = quads.coords.reshape(-1, 1, 4, 2)
    turn = np.deg2rad(np.arange(0, 90, 0.1))[:, None]
    u = np.cos(turn) * corners[..., 0] + np.sin(turn) * corners[..., 1]
    v = np.cos(turn) * corners[..., 1] - np.sin(turn) * corners[..., 0]
    least = (np.ptp(u, axis=2) * np.ptp(v, axis=2)).min(axis=1)
    assert (boxes.area() <= least * (1 + 1e-12)).all()
    assert (boxes.area() >= least * 0.98).all()


def test_rectangles_around_points_lines_and_squares() -> None:
    sets = np.array([[[3, 4]] * 4, [[0, 0], [3, 4], [0, 0], [3, 4]], [[5, 0], [10, 5], [5, 10], [0, 5]]], dtype=float)
    point, line, square = smallest_rectangle(sets)
    np.testing.assert_allclose(point, [3, 4, 0, 0, 0])
    np.testing.assert_allclose(line, [1.5, 2, 5, 0, np.rad2deg(np.arctan2(4, 3))], atol=1e-12)
    np.testing.assert_allclose(square, [5, 5, np.sqrt(50), np.sqrt(50), -45], atol=1e-12)
    assert smallest_rectangle(np.empty((0, 4, 2))).shape == (0, 5)
    np.testing.assert_array_equal(smallest_rectangle(np.array([[[3.0, 4.0]]])), [[3, 4, 0, 0, 0]])


def test_among_equal_rectangles_rounding_does_not_choose() -> None:
    # Each side of this triangle bears a rectangle of the same area.
    triangle = np.array([[0.0, 0.0], [1.0, 0.0], [0.5, np.sqrt(0.75)]])
    scales = np.random.default_rng(10).uniform(0.1, 1000, 200)
    sets = scales[:, None, None] * triangle + scales[::-1, None, None]
    np.testing.assert_allclose(smallest_rectangle(sets)[:, 4], 0, atol=1e-9)


def test_the_horizontal_box_around_is_tight() -> None:
    for boxes in (_oriented(300, 4), _anything(300, 4)):
        expected = shapely.bounds(shapely.polygons(boxes.as_kind("quad").coords.reshape(-1, 4, 2)))
        np.testing.assert_allclose(boxes.as_kind("hbb").coords, expected, atol=1e-9)


# Grids ------------------------------------------------------------------------------------------------------------


@few
@given(seed=seeds, kind=st.sampled_from(["hbb", "quad"]), grid=upright())
def test_upright_grids_there_and_back(seed: int, kind: Kind, grid: Frame) -> None:
    boxes = _anything(20, seed).as_kind(kind)
    there = boxes.to(grid)
    assert (there.kind, there.frame) == (kind, grid)
    np.testing.assert_allclose(there.to(IMAGE).coords, boxes.coords, atol=1e-8)


@few
@given(seed=seeds, kind=st.sampled_from(["obb", "quad"]), grid=turned())
def test_turned_and_mirrored_grids_there_and_back(seed: int, kind: Kind, grid: Frame) -> None:
    boxes = _oriented(20, seed).as_kind(kind)
    back = boxes.to(grid).to(IMAGE)
    np.testing.assert_allclose(iou(back, boxes, paired=True), 1.0, atol=1e-7)
    # Which kind they travel as does not matter: the corners arrive at the same places.
    direct, around = boxes.to(grid).as_kind("quad"), boxes.as_kind("quad").to(grid)
    np.testing.assert_allclose(iou(direct, around, paired=True), 1.0, atol=1e-9)
    scale = boxes.to(grid).area() / boxes.area()
    np.testing.assert_allclose(scale, scale[0], rtol=1e-9)


@few
@given(seed=seeds, grid=turned())
def test_a_horizontal_box_on_a_turned_grid_is_the_one_around(seed: int, grid: Frame) -> None:
    boxes = _oriented(20, seed).as_kind("hbb")
    np.testing.assert_allclose(
        boxes.to(grid).coords, boxes.as_kind("quad").to(grid).as_kind("hbb").coords, rtol=1e-9, atol=1e-6
    )


def test_a_horizontal_box_on_a_mirrored_or_quarter_turned_grid_is_exact() -> None:
    boxes = Boxes([[10, 20, 30, 60]], "hbb", IMAGE)
    mirrored = Frame(100, 100, to_root=(-1, 0, 100, 0, 1, 0))
    assert boxes.to(mirrored).coords.tolist() == [[70, 20, 90, 60]]
    quarter = Frame(100, 100, to_root=(0, -1, 100, 1, 0, 0))  # X = 100 - y, Y = x
    assert boxes.to(quarter).coords.tolist() == [[20, 70, 60, 90]]
    assert boxes.as_kind("quad").to(mirrored).coords.tolist() == [[70, 20, 90, 20, 90, 60, 70, 60]]


def test_an_oriented_box_stretched_is_the_smallest_rectangle_around_its_image() -> None:
    stretched = IMAGE.resized(2000, 3000)
    boxes = _oriented(100, 5)
    image = boxes.as_kind("quad").to(stretched)
    np.testing.assert_allclose(boxes.to(stretched).coords, image.as_kind("obb").coords, atol=1e-8)
    straight = Boxes([[100, 50, 40, 10, 0]], "obb", IMAGE).to(stretched)
    assert straight.coords.tolist() == [[50, 50, 20, 10, 0]]


@pytest.mark.parametrize("kind", KINDS)
def test_boxes_of_an_unknown_grid_cannot_move(kind: Kind) -> None:
    boxes = Boxes([[0, 0, 5, 5]], "hbb").as_kind(kind)
    with pytest.raises(ValueError, match="have no frame"):
        boxes.to(IMAGE)
    with pytest.raises(ValueError, match="have no frame"):
        boxes.clipped()


# Clipping ---------------------------------------------------------------------------------------------------------


def test_a_clipped_horizontal_box_is_the_part_inside() -> None:
    boxes = Boxes([[-5, -5, 5, 5], [2, 2, 4, 4], [95, 40, 130, 70], [200, 200, 210, 210]], "hbb", Frame(100, 50))
    assert boxes.clipped().coords.tolist() == [[0, 0, 5, 5], [2, 2, 4, 4], [95, 40, 100, 50], [100, 50, 100, 50]]


@pytest.mark.parametrize("kind", ["obb", "quad"])
def test_a_clipped_slanted_box_holds_the_part_inside(kind: Kind) -> None:
    frame = Frame(1700, 1300)
    boxes = Boxes(_oriented(500, 6).coords, "obb", frame).as_kind(kind)
    clipped = boxes.clipped()
    assert len(clipped) == len(boxes)
    around = boxes.as_kind("hbb").coords
    inside = (around[:, :2] >= 0).all(axis=1) & (around[:, 2:] <= (1700, 1300)).all(axis=1)
    assert 20 < inside.sum() < 480
    np.testing.assert_array_equal(clipped.coords[inside], boxes.coords[inside])
    window = shapely.box(0, 0, 1700, 1300)
    part = shapely.intersection(_polygons(boxes.as_kind("quad")), window)
    seen = ~shapely.is_empty(part)
    kept = _polygons(clipped.as_kind("quad"))
    if kind == "obb":
        assert shapely.covers(shapely.buffer(kept[seen], 1e-6), part[seen]).all()
        smallest = shapely.area(shapely.oriented_envelope(part[seen]))
        np.testing.assert_allclose(shapely.area(kept[seen]), smallest, rtol=1e-6)
    else:
        assert (clipped.coords >= 0).all()
        assert (clipped.coords.reshape(-1, 4, 2) <= (1700, 1300)).all()
        assert shapely.covers(shapely.buffer(part[seen], 1e-6), kept[seen]).all()
        # Four corners hold all of it but what a fifth and sixth corner of the part inside add.
        lost = 1 - shapely.area(kept[seen]) / shapely.area(part[seen])
        few_corners = shapely.get_num_coordinates(part[seen]) <= 5
        assert few_corners.sum() > 20
        np.testing.assert_allclose(lost[few_corners], 0, atol=1e-9)
        assert lost.max() < 0.35
    assert clipped.area()[~seen].max(initial=0) == 0


def test_nothing_inside_leaves_no_area() -> None:
    away = Boxes([[300, 300, 310, 305, 305, 320, 296, 310]], "quad", Frame(100, 50))
    assert away.clipped().coords.tolist() == [[100, 50] * 4]
    assert away.as_kind("obb").clipped().area().tolist() == [0]


# Rows -------------------------------------------------------------------------------------------------------------


def test_rows_are_picked_by_number_slice_list_and_mask() -> None:
    boxes = _oriented(6, 7)
    mask = np.array([False, True, False, True, False, False])
    for index in (mask, mask.tolist(), [1, 3], np.array([1, 3]), slice(1, 4, 2)):
        assert boxes[index].coords.tolist() == boxes.coords[[1, 3]].tolist()
    assert boxes[-1].coords.tolist() == boxes.coords[5:].tolist()
    assert boxes[np.int64(2)] == boxes[2]
    assert len(boxes[[]]) == 0
    assert [len(box) for box in boxes] == [1] * 6
    assert Boxes.concatenate(list(boxes)) == boxes
    with pytest.raises(IndexError):
        boxes[6]
    with pytest.raises(ValueError, match="mask has 2 truth values for 6 rows"):
        boxes[np.array([True, False])]
    with pytest.raises(ValueError, match="index is an array of float64"):
        boxes[np.array([0.5])]


def test_boxes_do_not_change() -> None:
    mine = np.zeros((1, 4))
    boxes = Boxes(mine, "hbb", IMAGE)
    mine[0, 2] = 5
    assert boxes.coords[0, 2] == 0
    with pytest.raises(ValueError, match="read-only"):
        boxes.coords[0, 0] = 1
    with pytest.raises(AttributeError):
        boxes.kind = "obb"  # type: ignore[misc]
    assert pickle.loads(pickle.dumps(boxes)) == boxes
    assert not pickle.loads(pickle.dumps(boxes)).coords.flags.writeable
    assert boxes != Boxes(np.zeros((1, 4)), "hbb")
    assert boxes != "boxes"


def test_boxes_are_written_with_their_kind_and_grid() -> None:
    assert repr(Boxes([[1, 2, 3.5, 4]], "hbb")) == "Boxes([[1.  2.  3.5 4. ]], 'hbb', None)"
    assert repr(Boxes([[1, 2, 3, 4]], "hbb", Frame(9, 8))).endswith(f"'hbb', {Frame(9, 8)})")
    assert len(repr(_oriented(5000, 1))) < 1500  # of many boxes the first and the last ones


def test_nothing_is_a_table_without_rows_but_no_row_without_numbers() -> None:
    assert Boxes(np.empty((0, 0)), "quad") == Boxes(np.empty((0, 8)), "quad") == Boxes([], "quad")
    for wrong in (np.empty((0, 5)), np.empty((1, 0)), np.empty((2, 0))):
        with pytest.raises(ValueError, match=r"give \(n, 4\)"):
            Boxes(wrong, "hbb")
    assert len(Boxes([[0, 0, 3, 4]], "hbb")[np.array([False])]) == 0
    assert len(Boxes([], "hbb")[np.zeros(0, bool)]) == 0
    for index in (np.array([[0]]), np.array([[True]]), np.array(["a"])):
        with pytest.raises(ValueError, match="give row numbers or a mask"):
            Boxes([[0, 0, 3, 4]], "hbb")[index]


def test_no_boxes_are_boxes() -> None:
    for kind, columns in (("hbb", 4), ("obb", 5), ("quad", 8)):
        none = Boxes.empty(kind, IMAGE)  # type: ignore[arg-type]
        assert none.coords.shape == (0, columns)
        assert none == Boxes([], kind, IMAGE)  # type: ignore[arg-type]
        assert none.area().shape == (0,)
        for other in KINDS:
            assert none.as_kind(other).to(IMAGE.normalised()).clipped().kind == other


def test_only_like_boxes_are_joined() -> None:
    boxes = _oriented(2, 8)
    with pytest.raises(ValueError, match="part 1 is 'quad' and part 0 'obb'"):
        Boxes.concatenate([boxes, boxes.as_kind("quad")])
    with pytest.raises(ValueError, match="part 1 lies on"):
        Boxes.concatenate([boxes, boxes.to(IMAGE.normalised())])
    with pytest.raises(ValueError, match="no boxes to concatenate"):
        Boxes.concatenate([])


def test_areas_are_true_areas() -> None:
    quads = _anything(500, 9)
    np.testing.assert_allclose(quads.area(), shapely.area(_polygons(quads)), rtol=1e-9)
    boxes = _oriented(100, 9)
    np.testing.assert_allclose(boxes.area(), boxes.as_kind("quad").area(), rtol=1e-12)
    assert Boxes([[1, 2, 4, 8]], "hbb").area().tolist() == [18]


@pytest.mark.parametrize(
    ("coords", "kind", "message"),
    [
        ([[0, 0, 1, 1], [0, 0, np.nan, 1]], "hbb", r"row 1 .*nan.*must be finite"),
        ([[0, 0, 1, -np.inf, 0]], "obb", r"row 0 .*-inf.*must be finite"),
        ([[0, 0, 1, 1], [3, 0, 1, 1]], "hbb", r"row 1 .*\[3.0, 0.0, 1.0, 1.0\].*x2 is below x1"),
        ([[0, 3, 1, 1]], "hbb", r"row 0 .*y2 is below y1"),
        ([[0, 0, -1, 1, 0]], "obb", r"row 0 .*negative"),
        ([[0, 0, 1, -1, 0]], "obb", r"row 0 .*negative"),
        ([[0, 0, 1, 1]], "quad", r"shape \(1, 4\); give \(n, 8\)"),
        ([0, 0, 1, 1], "hbb", r"shape \(4,\); give \(n, 4\)"),
        ([[0, 0, 1, 1], [0, 0]], "hbb", "no table of numbers"),
        ([["a", 0, 1, 1]], "hbb", "no table of numbers"),
        ([[0, 0, 1, 1]], "xyxy", "box kind is 'xyxy'; choose one of 'hbb', 'obb', 'quad'"),
    ],
)
def test_what_is_no_box_is_refused(coords: Any, kind: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Boxes(coords, kind)


def test_an_unknown_kind_is_refused_everywhere() -> None:
    with pytest.raises(ValueError, match="box kind is 'circle'"):
        Boxes.empty("circle")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="box kind is 'circle'"):
        _oriented(1, 0).as_kind("circle")  # type: ignore[arg-type]
