"""Masks, outlines and areas against rasterio's own, shapely's, and pixels counted one by one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from rscovlm.geometry import Frame, masks
from rscovlm.geometry.filling import fill
from rscovlm.geometry.masks import Mask, label_image, masks_of
from rscovlm.geometry.shapes import rings_of, shape_iou, shape_of
from rscovlm.geometry.tracing import trace
from rscovlm.geometry.window import Window

SEEDS = st.integers(0, 2**32 - 1)


def _mask(seed: int) -> NDArray[np.bool_]:
    rng = np.random.default_rng(seed)
    height, width = rng.integers(1, 15, 2)
    return np.asarray(rng.random((height, width)) < rng.choice([0.0, 0.2, 0.5, 0.8, 1.0]))


def _centres(height: int, width: int) -> tuple[NDArray[Any], NDArray[Any]]:
    ys, xs = np.mgrid[:height, :width]
    return xs + 0.5, ys + 0.5


@settings(max_examples=150, deadline=None)
@given(SEEDS)
def test_outlines_are_those_of_rasterio_and_give_the_pixels_back(seed: int) -> None:
    features = pytest.importorskip("rasterio.features", reason="rasterio (extra geo) is not installed")
    pixels = _mask(seed)
    mask = Mask.of(pixels)
    assert np.array_equal(mask.full(), pixels)
    assert mask.area == pixels.sum()
    shape = mask.shape()
    assert shape.is_valid
    assert np.array_equal(shapely.contains_xy(shape, *_centres(*pixels.shape)), pixels)
    theirs = [shapely.geometry.shape(one) for one, value in features.shapes(pixels.astype("uint8")) if value]
    assert shape.equals(shapely.union_all(theirs))
    parts = [part for part in shapely.get_parts(shape) if not part.is_empty]
    assert len(parts) == len(theirs)  # pixels that touch at a corner only are apart
    assert np.array_equal(Mask.filled(mask.rings(), mask.frame).full(), pixels)
    assert np.array_equal(Mask.filled(rings_of(shape), mask.frame).full(), pixels)


@settings(max_examples=60, deadline=None)
@given(SEEDS)
def test_all_labels_at_once_are_each_label_alone(seed: int) -> None:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 5, rng.integers(1, 25, 2)) * 3
    rings, masks = trace(labels), masks_of(labels)
    assert sorted(masks) == sorted(set(labels.ravel().tolist()) - {0})
    for label, mask in masks.items():
        assert np.array_equal(mask.full(), labels == label)
        alone = list(trace(labels == label).each())
        ours = [rings.of(number) for number in np.flatnonzero(rings.labels == label).tolist()]
        assert [ring.tolist() for ring in ours] == [ring.tolist() for ring in alone]
    image = label_image(list(masks.values()), Frame(labels.shape[1], labels.shape[0]))
    assert np.array_equal(image > 0, labels > 0)


@settings(max_examples=150, deadline=None)
@given(SEEDS)
def test_filling_is_shapelys_containment_and_gdals_burning(seed: int) -> None:
    features = pytest.importorskip("rasterio.features", reason="rasterio (extra geo) is not installed")
    rng = np.random.default_rng(seed)
    rings = [rng.uniform(-5, 25, (int(rng.integers(3, 9)), 2)) for _ in range(int(rng.integers(1, 4)))]
    filled = fill(rings, (0, 0, 20, 18))
    inside = np.zeros((18, 20), int)
    for ring in rings:
        inside += shapely.contains_xy(shape_of([ring]), *_centres(18, 20))
    assert np.array_equal(filled, inside % 2 == 1)
    assert np.array_equal(filled, shapely.contains_xy(shape_of(rings), *_centres(18, 20)))
    shape = shape_of(rings)
    if shape.area > 1:
        burnt = features.rasterize([shape], out_shape=(18, 20), dtype="uint8") > 0
        assert np.mean(filled != burnt) < 0.01  # GDAL rounds crossings elsewhere


@settings(max_examples=100, deadline=None)
@given(SEEDS)
def test_an_area_is_what_an_odd_number_of_rings_goes_round(seed: int) -> None:
    rng = np.random.default_rng(seed)
    rings = [rng.integers(0, 12, (int(rng.integers(3, 7)), 2)) for _ in range(int(rng.integers(1, 5)))]
    shape = shape_of(rings)
    assert shape.is_valid
    assert shape.geom_type in ("Polygon", "MultiPolygon")
    points = rng.uniform(0, 12, (200, 2))
    odd = np.zeros(200, int)
    for ring in rings:
        odd += _crossings(np.asarray(ring, float), points)
    assert np.array_equal(shapely.contains_xy(shape, *points.T), odd % 2 == 1)
    assert shape_of(rings_of(shape)).equals(shape)


def test_rings_without_an_area_enclose_nothing() -> None:
    square = [(0, 0), (4, 0), (4, 3), (0, 3)]
    for ring in ([], [(1, 1)], [(1, 1), (2, 2)], [(1, 1), (2, 2), (3, 3)], [(1, 1), (3, 2), (1, 1)]):
        assert shape_of([ring]).is_empty
        assert shape_of([square, ring]).equals(shape_of([square]))


def test_areas_apart_are_not_laid_over_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    # Thousands of buildings of a tile would take minutes pair by pair.
    corners = np.array([(0, 0), (4, 0), (4, 3), (0, 3)])
    rings = [corners + (9 * column, 7 * row) for column in range(20) for row in range(15)]
    monkeypatch.setattr("rscovlm.geometry.shapes.shapely.symmetric_difference", None)
    assert shape_of(rings).area == 20 * 15 * 12


def _crossings(ring: NDArray[Any], points: NDArray[Any]) -> NDArray[np.int64]:
    """Count the sides that a ray to the right crosses, point by point."""
    counts = []
    for x, y in points:
        count = 0
        for (x1, y1), (x2, y2) in zip(ring, np.roll(ring, -1, axis=0), strict=True):
            if (y1 > y) != (y2 > y) and x < x1 + (y - y1) * (x2 - x1) / (y2 - y1):
                count += 1
        counts.append(count)
    return np.array(counts)


@settings(max_examples=80, deadline=None)
@given(SEEDS)
def test_run_lengths_count_the_columns(seed: int) -> None:
    pixels = _mask(seed)
    runs, value, expected = [0], False, pixels.T.ravel().tolist()
    for pixel in expected:
        if pixel != value:
            runs.append(0)
            value = pixel
        runs[-1] += 1
    assert Mask.of(pixels).runs() == runs


def test_masks_move_between_grids() -> None:
    image = Frame(40, 40)
    mask = Mask.of(np.pad(np.ones((10, 20)), ((10, 20), (10, 10))), image)
    half = mask.to(image.resized(20, 20))
    assert half.window == Window(5, 5, 15, 10)
    assert half.to(image).window == mask.window
    assert mask.part(Window(8, 8, 12, 12)).astype(int).tolist() == [[0] * 4, [0] * 4, [0, 0, 1, 1], [0, 0, 1, 1]]


def _placed(rng: np.random.Generator, frame: Frame) -> Mask:
    """A mask of any shape somewhere in an image, most often not square and away from the corner."""
    pixels = rng.random(rng.integers(1, 12, 2)) < rng.choice([0.0, 0.3, 0.8, 1.0])
    x, y = (int(place) for place in rng.integers(-6, (frame.width, frame.height)))
    mask = Mask.of(pixels, frame, at=(x, y))
    whole = np.zeros((frame.height + 40, frame.width + 40), bool)  # with a border of 20 pixels
    whole[y + 20 : y + 20 + pixels.shape[0], x + 20 : x + 20 + pixels.shape[1]] = pixels
    assert np.array_equal(mask.full(), whole[20:-20, 20:-20])  # what lies outside of the image is left out
    return mask


@settings(max_examples=40, deadline=None)
@given(SEEDS, st.sampled_from([1, 60, 1 << 24]))
def test_outlines_of_many_masks_are_those_of_each(seed: int, together: int) -> None:
    rng = np.random.default_rng(seed)
    many = [_placed(rng, Frame(50, 30)) for _ in range(rng.integers(0, 12))]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(masks, "_TOGETHER", together)
        found = masks.rings_each(many)
    assert [[ring.tolist() for ring in rings] for rings in found] == [
        [ring.tolist() for ring in mask.rings()] for mask in many
    ]


@settings(max_examples=60, deadline=None)
@given(SEEDS, st.integers(-9, 60), st.integers(-9, 40), st.integers(1, 50), st.integers(1, 30))
def test_a_part_of_a_mask_is_that_part_of_its_image(seed: int, x: int, y: int, width: int, height: int) -> None:
    mask = _placed(np.random.default_rng(seed), Frame(50, 30))
    around = np.pad(mask.full(), 80)  # a window may reach outside
    part = around[y + 80 : y + 80 + height, x + 80 : x + 80 + width]
    assert np.array_equal(mask.part(Window(x, y, x + width, y + height)), part)
    assert Mask.from_rle(mask.rle()).window == mask.window
    assert np.array_equal(Mask.from_rle(mask.rle(), mask.frame).full(), mask.full())


def test_of_masks_that_overlap_the_later_one_counts() -> None:
    frame = Frame(5, 4)
    one, two = (
        Mask.filled([[(1, 0), (4, 0), (4, 2), (1, 2)]], frame),
        Mask.filled([[(3, 1), (5, 1), (5, 4), (3, 4)]], frame),
    )
    assert label_image([one, two], frame).tolist() == [
        [0, 1, 1, 1, 0],
        [0, 1, 1, 2, 2],
        [0, 0, 0, 2, 2],
        [0, 0, 0, 2, 2],
    ]
    assert label_image([two, one], frame)[1].tolist() == [0, 2, 2, 2, 1]


def test_masks_of_labels_lie_on_the_grid_that_is_given() -> None:
    labels = np.array([[0, 3, 3], [0, 0, 3]])
    grid = Frame(12, 8).resized(3, 2)
    assert masks_of(labels, grid)[3].frame == grid
    assert masks_of(labels)[3].frame == Frame(3, 2)
    assert masks_of(np.zeros((2, 3), int)) == {}


def test_an_image_of_nothing_has_no_ring() -> None:
    rings = trace(np.zeros((3, 4), dtype=bool))
    assert (rings.points.shape, rings.starts.tolist(), rings.labels.tolist()) == ((0, 2), [0], [])


def test_sizes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="5x4"):
        Mask.of(np.ones((4, 5)), Frame(4, 4))
    with pytest.raises(ValueError, match="does not fit the window"):
        Mask(np.ones((2, 2), bool), Window(0, 0, 3, 2), Frame(4, 4))
    with pytest.raises(ValueError, match="outside the image"):
        Mask(np.ones((2, 2), bool), Window(3, 0, 5, 2), Frame(4, 4))
    with pytest.raises(ValueError, match="has no box"):
        _ = Mask.of(np.zeros((2, 2))).box
    with pytest.raises(ValueError, match="whole numbers"):
        trace(np.zeros((2, 2)))  # type: ignore[arg-type]  # what a caller may pass


def test_the_overlap_of_nothing_with_nothing_is_all() -> None:
    assert shape_iou(shapely.Polygon(), shapely.Polygon()) == 1
    assert shape_iou(shapely.box(0, 0, 2, 1), shapely.box(1, 0, 3, 1)) == pytest.approx(1 / 3)
