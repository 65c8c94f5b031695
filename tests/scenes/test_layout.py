"""Large scenes: any window shows the same pixels, and the truth is where the picture has it."""

from __future__ import annotations

import numpy as np
import pytest
import shapely
from PIL import Image

from rscovlm.scenes.layout import STEPS, LayoutConfig, SceneLayout
from rscovlm.scenes.objects import COLOURS

CONFIG = LayoutConfig(3072, 2048)


@pytest.fixture(scope="module")
def layout() -> SceneLayout:
    return SceneLayout(5, CONFIG)


@pytest.fixture(scope="module")
def whole(layout: SceneLayout) -> Image.Image:
    return layout.render(0, 0, 3072, 2048)


def test_every_window_shows_the_same_pixels(layout: SceneLayout, whole: Image.Image) -> None:
    pixels = np.asarray(whole)
    rng = np.random.default_rng(0)
    for _ in range(12):
        x, y = (int(v) for v in rng.integers(0, (2400, 1400)))
        w, h = (int(v) for v in rng.integers(30, 640, 2))
        window = np.asarray(layout.render(x, y, x + w, y + h))
        np.testing.assert_array_equal(window, pixels[y : y + h, x : x + w])
    assert layout.pad is not None
    for x, y in layout.pad.box.reshape(2, 2).astype(int):
        window = np.asarray(layout.render(x - 150, y - 150, x + 150, y + 150))
        np.testing.assert_array_equal(window, pixels[y - 150 : y + 150, x - 150 : x + 150])


def test_same_seed_same_scene_and_other_seed_other_scene(layout: SceneLayout) -> None:
    again, other = SceneLayout(5, CONFIG), SceneLayout(6, CONFIG)
    window = (1000, 700, 1400, 1000)
    assert again.render(*window).tobytes() == layout.render(*window).tobytes()
    assert [o.centre for o in again.objects] == [o.centre for o in layout.objects]
    assert other.render(*window).tobytes() != layout.render(*window).tobytes()


def test_objects_are_apart_and_inside(layout: SceneLayout) -> None:
    quads = [shapely.Polygon(o.quad) for o in layout.objects]
    tree = shapely.STRtree(quads)
    assert tree.query(quads, predicate="intersects").shape[1] == len(quads)
    assert len(quads) > 40
    for thing in layout.objects:
        assert (thing.quad >= 0).all()
        assert (thing.quad <= [3072, 2048]).all()


def test_an_objects_pixels_have_its_colour(layout: SceneLayout) -> None:
    names, values = list(COLOURS), np.array(list(COLOURS.values()), float)
    for thing in layout.objects[::3]:
        x1, y1 = (int(v) for v in np.floor(thing.quad.min(axis=0)))
        x2, y2 = (int(v) for v in np.ceil(thing.quad.max(axis=0)))
        window = np.asarray(layout.render(x1, y1, x2, y2)).astype(float)
        middle = np.median(window[thing.moved(-x1, -y1).mask(x2 - x1, y2 - y1)], axis=0)
        assert names[int(np.argmin(np.linalg.norm(values - middle, axis=1)))] == thing.colour


def test_the_pad_is_in_the_picture_and_nothing_lies_on_it(layout: SceneLayout) -> None:
    assert layout.pad is not None
    x1, y1, x2, y2 = layout.pad.box
    assert x2 - x1 == pytest.approx(68 / 336 * 2048)
    inside = np.asarray(layout.render(int(x1) + 40, int(y1) + 40, int(x1) + 80, int(y2) - 40))
    assert (inside == [238, 238, 234]).all()
    pad = shapely.box(x1, y1, x2, y2)
    assert not any(pad.intersects(shapely.Polygon(o.quad)) for o in layout.objects)


def test_without_pad_and_giants() -> None:
    layout = SceneLayout(2, LayoutConfig(4096, 4096, pad=False, giants=False))
    assert layout.pad is None
    assert {o.label for o in layout.objects} == {"plane", "ship", "vehicle", "tank", "court"}
    assert all(24 <= o.length <= 44 for o in layout.objects)
    assert {o.label for o in SceneLayout(2, LayoutConfig(8192, 8192)).objects} >= {"airliner", "freighter"}


@pytest.mark.parametrize("step", STEPS[1:])
def test_a_coarse_picture_is_like_the_fine_one_reduced(layout: SceneLayout, whole: Image.Image, step: int) -> None:
    coarse, fine = layout.render(0, 0, 3072, 2048, step=step), whole.reduce(step)
    assert coarse.size == fine.size
    difference = np.abs(np.asarray(coarse).astype(int) - np.asarray(fine)).mean()
    other = np.abs(np.asarray(coarse.rotate(180)).astype(int) - np.asarray(fine)).mean()
    assert difference < min(0.5 + 0.25 * step, other / 4)


@pytest.mark.parametrize("side", [2048, 2500])
def test_small_large_scenes_have_objects(side: int) -> None:
    for seed in range(3):
        assert len(SceneLayout(seed, LayoutConfig(side, side)).objects) > 20


def test_a_wrong_request_says_what_to_do(layout: SceneLayout) -> None:
    with pytest.raises(ValueError, match="999"):
        LayoutConfig(width=999)
    with pytest.raises(ValueError, match="max_length"):
        LayoutConfig(max_length=90)
    with pytest.raises(ValueError, match="pink"):
        LayoutConfig(colours=("pink",))
    with pytest.raises(ValueError, match="window"):
        layout.render(0, 0, 4000, 100)
    with pytest.raises(ValueError, match="step=3"):
        layout.render(0, 0, 300, 300, step=3)
