"""Keypoints, polygons, segmenters and windows: properties that hold whatever the objects are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from rscovlm.codec.point_objects import PointObject
from rscovlm.geometry import Frame
from rscovlm.geometry.distance import distances
from rscovlm.geometry.masks import Mask, rings_each
from rscovlm.geometry.shapes import shape_iou
from rscovlm.geometry.window import Window
from rscovlm.metrics import mask_iou
from rscovlm.points.keypoints import inside_points, outside_points, prompt_of
from rscovlm.points.polygons import mask_of, polygons_each, polygons_of
from rscovlm.points.sam2 import MEAN, STD, Sam2Segmenter
from rscovlm.points.segmenter import FilledShapes, Segmenter
from rscovlm.points.tiled import segment
from tests.points.tiny_sam2 import tiny_sam2

SEEDS = st.integers(0, 2**32 - 1)


def blob(seed: int, width: int = 60, height: int = 50) -> NDArray[np.bool_]:
    """Some discs together."""
    rng = np.random.default_rng(seed)
    ys, xs = np.mgrid[:height, :width]
    out = np.zeros((height, width), bool)
    for _ in range(3):
        y, x, r = rng.uniform(0, height), rng.uniform(0, width), rng.uniform(1, 12)
        out |= (ys - y) ** 2 + (xs - x) ** 2 <= r * r
    out[int(rng.integers(height)), int(rng.integers(width))] = True
    return out


@settings(max_examples=80, deadline=None)
@given(SEEDS, st.integers(1, 6), st.booleans())
def test_points_lie_inside_and_outside(seed: int, count: int, drawn: bool) -> None:
    mask, other = Mask.of(blob(seed)), Mask.of(blob(seed + 1))
    rng = np.random.default_rng(seed) if drawn else None
    inside = inside_points(mask, count, rng)
    assert len(inside) == min(count, mask.area)
    assert len(np.unique(inside, axis=0)) == len(inside)
    rows = inside.astype(int)
    assert mask.full()[rows[:, 1], rows[:, 0]].all()
    away = outside_points(mask, count, [other], rng).astype(int)
    assert not mask.full()[away[:, 1], away[:, 0]].any()
    near = mask.window
    assert ((away >= (near.x1 - 20, near.y1 - 20)) & (away < (near.x2 + 20, near.y2 + 20))).all()
    again = np.random.default_rng(seed) if drawn else None
    assert np.array_equal(inside, inside_points(mask, count, again))


@settings(max_examples=40, deadline=None)
@given(SEEDS)
def test_the_first_point_lies_deepest(seed: int) -> None:
    mask = Mask.of(blob(seed))
    depth = distances(mask.full())
    x, y = inside_points(mask, 1)[0].astype(int)
    assert depth[y, x] == depth.max()


def test_large_masks_are_looked_at_in_blocks() -> None:
    pixels = np.zeros((900, 1400), bool)
    pixels[100:800, 200:1300] = True
    points = inside_points(Mask.of(pixels), 2)
    assert pixels[points[:, 1].astype(int), points[:, 0].astype(int)].all()
    assert np.abs(points - np.roll(points, 1, axis=0)).max() > 250
    line = np.zeros((900, 1400), bool)
    line[400, 100:1300] = True  # no block lies inside as a whole
    assert (inside_points(Mask.of(line), 3)[:, 1] == 400.5).all()


def test_one_pixel_and_no_pixel() -> None:
    one = np.zeros((5, 5))
    one[2, 3] = 1
    prompt = prompt_of(Mask.of(one), "well", inside=2, outside=1)
    assert [points.tolist() for points in prompt.sets.points] == [[[3.0, 2.0], [4.0, 3.0]], [[3.5, 2.5]]]
    empty = Mask.of(np.zeros((5, 5)))
    for wrong in (inside_points, outside_points, prompt_of):
        with pytest.raises(ValueError, match="empty mask"):
            wrong(empty)
    with pytest.raises(ValueError, match="count is -1"):
        inside_points(Mask.of(one), -1)
    assert polygons_of(empty).objects == ()
    assert [each.shape.area for each in polygons_of(Mask.of(one)).objects] == [1.0]


def buildings(seed: int, side: int = 256) -> NDArray[np.bool_]:
    """Turned rectangles and L shapes of the size of buildings on 0.5 m pixels, as LEVIR-CD's masks show them."""
    from rasterio import features

    rng = np.random.default_rng(seed)
    shapes = []
    for _ in range(int(rng.integers(1, 12))):
        x, y = rng.uniform(0, side, 2)
        w, h = rng.uniform(14, 60, 2)
        part = shapely.box(-w / 2, -h / 2, w / 2, h / 2)
        if rng.random() < 0.4:
            part = part.difference(shapely.box(0, 0, w, h))
        turned = shapely.affinity.rotate(part, rng.uniform(0, 90), origin=(0, 0))
        shapes.append(shapely.affinity.translate(turned, x, y))
    return np.asarray(features.rasterize(shapes, out_shape=(side, side), dtype="uint8") > 0)


def test_masks_of_buildings_become_polygons_at_one_per_cent() -> None:
    masks = [buildings(seed) for seed in range(200)]
    back, points, corners = [], 0, 0
    for pixels in masks:
        mask = Mask.of(pixels)
        found = polygons_of(mask)
        frame = Frame(256, 256)
        rings = [ring for one in found.objects for ring in one.sets.points]
        points += sum(len(ring) for ring in rings)
        corners += sum(len(ring) for ring in mask.rings())
        back.append(Mask.filled(rings, frame).full())
    result = mask_iou(back, masks)
    assert result["ciou"] >= 0.99
    assert result["giou"] >= 0.99
    assert points < corners / 5


@pytest.mark.parametrize("together", [1 << 24, 5000, 1])
def test_many_masks_are_outlined_as_each_alone(together: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """In one group or many, in any order, with parts, holes and nothing, and where a mask's window is not cut to its pixels."""
    from rscovlm.geometry import masks as outlining

    monkeypatch.setattr(outlining, "_TOGETHER", together)
    rng = np.random.default_rng(3)
    many = [Mask.of(buildings(seed, 90)) for seed in range(12)]
    many += [Mask.of(rng.random((int(h), int(w))) < 0.6) for h, w in rng.integers(1, 40, (40, 2))]
    loose = np.zeros((60, 80), bool)
    loose[20:40, 30:55], loose[25:30, 35:40] = True, False
    many += [Mask(loose, Window(7, 3, 87, 63), Frame(100, 90)), Mask.of(np.zeros((5, 5)))]
    many = [many[at] for at in rng.permutation(len(many))]
    for mask, rings in zip(many, rings_each(many), strict=True):
        assert [ring.tolist() for ring in rings] == [ring.tolist() for ring in mask.rings()]
    names = [str(number) for number in range(len(many))]
    for mask, name, found in zip(many, names, polygons_each(many, names), strict=True):
        alone = polygons_of(mask, name)
        assert (found.small, found.holes) == (alone.small, alone.holes)
        assert [one.label for one in found.objects] == [name] * len(alone.objects)
        for one, other in zip(found.objects, alone.objects, strict=True):
            assert shapely.equals_exact(one.shape, other.shape)
        drawn = Mask.filled([ring for one in found.objects for ring in one.sets.points], mask.frame)
        if not found.small and not found.holes:
            assert mask_iou([drawn.full()], [mask.full()])["giou"] >= 0.99
    with pytest.raises(ValueError, match="give one a mask"):
        polygons_each(many, ["roof"])


@settings(max_examples=60, deadline=None)
@given(SEEDS, st.sampled_from([0.0, 0.75, 3.0]), st.sampled_from([0.0, 4.0, 50.0]))
def test_polygons_keep_to_tolerance_and_least_area(seed: int, tolerance: float, least: float) -> None:
    mask = Mask.of(blob(seed))
    found = polygons_of(mask, "x", tolerance=tolerance, least_area=least)
    parts = [part for part in shapely.get_parts(mask.shape()) if not part.is_empty]
    assert len(found.objects) + found.small == len(parts)
    assert found.small == sum(part.area < least for part in parts) - (max(part.area for part in parts) < least)
    whole = shapely.union_all([one.shape for one in found.objects])
    kept = shapely.union_all([part for part in parts if part.area >= least] or parts[:1])
    if not found.holes and not found.small:
        # A step's side has its middle half a pixel from its corners.
        assert shapely.hausdorff_distance(whole.boundary, kept.boundary) <= tolerance + 1 + 1e-9
        filled = Mask.filled([ring for one in found.objects for ring in one.sets.points], mask.frame)
        assert mask_iou([filled.full()], [mask.full()])["giou"] >= 0.99
    if not tolerance and not least:
        assert shape_iou(whole, mask.shape()) == 1
        assert sum(mask_of(one).area for one in found.objects) == mask.area


def _prompts(count: int, width: int, height: int, seed: int = 0) -> list[PointObject]:
    rng = np.random.default_rng(seed)
    frame = Frame(width, height)
    found = []
    for number in range(count):
        low = rng.uniform(0, 0.6, 2) * (width, height)
        high = low + rng.uniform(0.1, 0.4, 2) * (width, height)
        inside = rng.uniform(low, high, (number % 3, 2))
        found.append(
            PointObject.prompt("x", [*low, *high], inside, frame, rng.uniform(low, high, (number % 3 // 2, 2)))
        )
    return found


def test_sam2_answers_alike_one_by_one_and_in_batches() -> None:
    import torch

    model = tiny_sam2()
    image = np.random.default_rng(1).integers(0, 256, (50, 80, 3), np.uint8)
    prompts = _prompts(7, 80, 50)
    together = Sam2Segmenter(model, batch_size=4).segment(image, prompts)
    for number, (one, mask) in enumerate(zip(prompts, together, strict=True)):
        (alone,) = Sam2Segmenter(model).segment(image, [one])
        assert np.mean(alone.full() != mask.full()) < 0.001
        # As transformers' model is asked for one prompt: pixels from their middles, on the model's square.
        scale = np.array([64 / 80, 64 / 50])
        given: dict[str, Any] = {"input_boxes": _tensor(one.box.coords.reshape(2, 2) * scale - 0.5).reshape(1, 1, 4)}
        if len(one.sets) > 1:
            points = np.concatenate(one.sets.points[1:]) * scale - 0.5
            marks = [1] * len(one.sets.points[1]) + [0] * (len(points) - len(one.sets.points[1]))
            given |= {"input_points": _tensor(points)[None, None], "input_labels": torch.tensor([[marks]])}
        with torch.inference_mode():
            pixels = Sam2Segmenter(model).pixels(image)
            out = model(pixel_values=pixels, multimask_output=False, **given)
        size = (50, 80)
        large = torch.nn.functional.interpolate(out.pred_masks[:, 0], size, mode="bilinear", align_corners=False)
        assert np.mean((large[0, 0] > 0).numpy() != mask.full()) < 0.001, number
    assert 0 < sum(mask.area for mask in together) < 7 * 4000


def _tensor(values: Any) -> Any:
    import torch

    return torch.tensor(np.asarray(values), dtype=torch.float32)


def test_pixels_are_scaled_as_published() -> None:
    image = np.full((64, 64, 3), 255, np.uint8)
    pixels = Sam2Segmenter(tiny_sam2()).pixels(image).numpy()
    assert pixels.shape == (1, 3, 64, 64)
    assert pixels[0, :, 5, 5] == pytest.approx(
        [(1 - mean) / std for mean, std in zip(MEAN, STD, strict=True)], abs=1e-5
    )


def test_a_saved_checkpoint_is_loaded(tmp_path: Any) -> None:
    tiny_sam2(3).save_pretrained(tmp_path)
    (tmp_path / "preprocessor_config.json").write_text('{"image_mean": [0.5, 0.5, 0.5], "image_std": [1, 1, 1]}')
    loaded = Sam2Segmenter.load(tmp_path, batch_size=2)
    assert isinstance(loaded, Segmenter)
    image = np.zeros((64, 64, 3), np.uint8)
    assert loaded.pixels(image).unique().tolist() == [-0.5]
    mine = Sam2Segmenter(tiny_sam2(3), mean=(0.5,) * 3, std=(1.0,) * 3).segment(image, _prompts(3, 64, 64))
    assert [
        np.array_equal(a.full(), b.full())
        for a, b in zip(mine, loaded.segment(image, _prompts(3, 64, 64)), strict=True)
    ]
    assert loaded.segment(image, []) == []
    with pytest.raises(ValueError, match="shape"):
        loaded.segment(np.zeros((4, 4), np.uint8), _prompts(1, 4, 4))
    with pytest.raises(ValueError, match="batch_size is 0"):
        Sam2Segmenter(tiny_sam2(), batch_size=0)


class Bright:
    """Takes the bright pixels of each box."""

    def __init__(self) -> None:
        self.sizes: list[tuple[int, ...]] = []

    def segment(self, image: NDArray[np.uint8], prompts: Sequence[PointObject]) -> list[Mask]:
        """Return what is bright."""
        self.sizes.append(image.shape)
        frame = Frame(image.shape[1], image.shape[0])
        bright = image[..., 0] > 128
        return [Mask.of(bright & mask_of(one).full(), frame) for one in prompts]


@pytest.mark.parametrize(("tile", "overlap"), [(64, 0), (64, 16), (100, 40), (1024, 128)])
def test_windows_give_what_the_whole_image_gives(tile: int, overlap: int) -> None:
    rng = np.random.default_rng(2)
    bright = blob(5, 300, 220) | blob(6, 300, 220)
    image = np.where(bright[..., None], 200, 50).astype(np.uint8).repeat(3, axis=2)
    frame = Frame(300, 220)
    prompts = _prompts(12, 300, 220, seed=3)
    prompts += [PointObject.prompt("all", (0, 0, 300, 220), rng.uniform(0, 200, (3, 2)), frame)]
    seen, whole = Bright(), Bright()
    found = segment(seen, image, prompts, tile=tile, overlap=overlap)
    expected = whole.segment(image, prompts)
    for one, two in zip(found, expected, strict=True):
        assert np.array_equal(one.full(), two.full())
    assert all(max(size) <= tile for size in seen.sizes)
    shapes = [PointObject.area("x", one.shape, frame) for one in prompts]
    filled = segment(FilledShapes(), image, shapes, tile=tile, overlap=overlap)
    assert [mask.area for mask in filled] == [mask_of(one).area for one in shapes]


def test_a_raster_larger_than_a_window_is_read_in_parts(tmp_path: Any) -> None:
    rasterio = pytest.importorskip("rasterio")
    path = tmp_path / "a.tif"
    with rasterio.open(path, "w", driver="GTiff", width=3000, height=2000, count=3, dtype="uint8", tiled=True) as out:
        out.write(np.full((3, 600, 700), 200, np.uint8), window=((300, 900), (900, 1600)))
    box = PointObject.prompt("roof", (850, 250, 1700, 950), [(1000, 500)], Frame(3000, 2000))
    seen = Bright()
    (mask,) = segment(seen, path, [box], tile=512, overlap=64)
    assert mask.window == (900, 300, 1600, 900)
    assert mask.area == 600 * 700
    assert all(max(size) <= 512 for size in seen.sizes)
    assert len(seen.sizes) < 15  # windows without an object are not read


def test_every_object_of_a_large_raster_is_found_in_windows() -> None:
    """One object crosses the raster; what is read, and that each mask is exact, the work itself asserts."""
    pytest.importorskip("rasterio")
    from tests.benchmarks.segmented_raster import OBJECTS, segment_raster

    masks = segment_raster(5000)()
    assert len(masks) > OBJECTS // 2
    assert masks[0].window.width > 4 * 1024


class Wrong:
    """Gives what it was made with."""

    def __init__(self, masks: Any) -> None:
        self.masks = masks

    def segment(self, image: NDArray[np.uint8], prompts: Sequence[PointObject]) -> Any:
        """Return it."""
        return self.masks


@pytest.mark.parametrize("masks", [None, [], [np.ones((9, 9))], [Mask.of(np.ones((3, 3)))]])
def test_a_segmenter_that_gives_something_else_is_named(masks: Any) -> None:
    with pytest.raises(ValueError, match=r"Wrong\.segment gave"):
        segment(Wrong(masks), np.zeros((9, 9, 3), np.uint8), _prompts(1, 9, 9))


def test_nothing_found_and_boxes_outside_are_empty_masks() -> None:
    image, frame = np.zeros((9, 9, 3), np.uint8), Frame(9, 9)
    outside = PointObject.prompt("x", (20, 20, 30, 30), [], frame)
    found = segment(Bright(), image, [outside, *_prompts(1, 9, 9)])
    assert [mask.area for mask in found] == [0, 0]
    assert segment(Bright(), image, []) == []


def test_a_thousand_objects_are_converted_in_bounded_time() -> None:
    from tests.benchmarks.bench_masks import measure

    seconds = measure(1024)
    # A second of a quiet processor; rasterio in the same run tells how quiet this one is.
    slow = max(1.0, seconds.pop("rasterio: image to exact polygons") / 0.06)
    late = {name: value for name, value in seconds.items() if "pycoco" not in name and value > slow}
    assert not late
