"""What can be read in an overview: large markings by their templates, small ones on worn pads by nobody."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from rscovlm.scenes import GLYPHS, LayoutConfig, Pad, SceneLayout, make_zoom_scene
from rscovlm.scenes.legibility import read_marking
from rscovlm.scenes.pad import place_pad


def read(marking: float, worn: float, resampling: Image.Resampling, count: int = 300) -> float:
    """The share of pads read right in overviews of 84 pixels."""
    right = 0
    for seed in range(count):
        pad = place_pad(np.random.default_rng([seed, 5]), 672, 672, marking, worn)
        scene = Image.new("RGB", (672, 672), (90, 110, 80))
        pad.draw(scene)
        right += read_marking(scene.resize((84, 84), resampling), pad) == pad.glyph
    return right / count


@pytest.mark.parametrize("resampling", [Image.Resampling.BOX, Image.Resampling.BICUBIC])
def test_a_small_marking_on_a_worn_pad_is_read_as_often_as_one_guesses(resampling: Image.Resampling) -> None:
    assert read(30, 0, resampling, 40) == 1.0
    # Guessing has a standard deviation of 0.025 on these.
    assert abs(read(5, 50, resampling) - 1 / len(GLYPHS)) < 0.08


def test_the_same_marking_is_read_in_the_region_to_look_at() -> None:
    for seed in range(24):
        scene = make_zoom_scene(seed, 672, marking=5, worn=50)
        x1, y1, x2, y2 = (round(value) for value in scene.pad.crop)
        window = scene.image.crop((x1, y1, x2, y2))
        # The window as a scene of its own, as many pixels to a unit as before.
        pad = Pad(
            (scene.pad.centre[0] - x1, scene.pad.centre[1] - y1), "plus", *window.size, marking=5 * 672 / (x2 - x1)
        )
        assert read_marking(window, pad) == scene.answer


def test_stains_are_the_same_in_every_window_and_change_no_clean_scene() -> None:
    layout = SceneLayout(0, LayoutConfig(2048, 2048, marking=9, worn=40))
    clean = SceneLayout(0, LayoutConfig(2048, 2048, marking=9))
    assert layout.pad is not None and clean.pad is not None
    assert (layout.pad.worn, clean.pad.worn) == (40, 0)
    x1, y1, x2, y2 = (int(value) // 8 * 8 for value in layout.pad.box)
    whole = np.asarray(layout.render(x1, y1, x2, y2))
    middle = (x1 + x2) // 2
    halves = [np.asarray(layout.render(left, y1, right, y2)) for left, right in ((x1, middle), (middle, x2))]
    np.testing.assert_array_equal(np.concatenate(halves, axis=1), whole)
    assert len(np.unique(whole)) > 50
    assert np.asarray(layout.render(0, 0, 64, 64)).tobytes() == np.asarray(clean.render(0, 0, 64, 64)).tobytes()


def test_a_pad_at_the_border_is_refused() -> None:
    pad = Pad((2.0, 2.0), "plus", 336, 336)
    with pytest.raises(ValueError, match="border"):
        read_marking(Image.new("RGB", (84, 84)), pad)


def test_what_no_pad_can_be_is_refused() -> None:
    with pytest.raises(ValueError, match="marking=4"):
        make_zoom_scene(0, 672, marking=4)
    with pytest.raises(ValueError, match="worn=-1"):
        make_zoom_scene(0, 672, worn=-1)
