"""Zoom scenes: the pad is where the truth says, and only the region around it tells the marking."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from rscovlm.scenes import GLYPHS, Pad, make_zoom_scene
from rscovlm.scenes.pad import PAD


def test_same_seed_same_bytes_and_all_markings_occur() -> None:
    scenes = [make_zoom_scene(seed) for seed in range(24)]
    assert {s.answer for s in scenes} == set(GLYPHS)
    assert all(make_zoom_scene(seed).image.tobytes() == s.image.tobytes() for seed, s in enumerate(scenes))
    assert len({s.image.tobytes() for s in scenes}) == 24


def test_the_pad_is_the_white_thing_in_its_box() -> None:
    for seed in range(20):
        scene = make_zoom_scene(seed)
        x1, y1, x2, y2 = (int(v) for v in scene.pad.box)
        image = np.asarray(scene.image).astype(int)
        inside = image[y1 + 2 : y2 - 2, x1 + 2 : x2 - 2]
        assert ((inside == [238, 238, 234]).all(axis=2) | (inside == [24, 24, 26]).all(axis=2)).all()
        assert not (image[y1, x1:x2] > 100).any()
        assert not (image[y1:y2, x2 - 1] > 100).any()
        assert x2 - x1 == y2 - y1 == 2 * PAD
        assert (scene.pad.crop >= 0).all()
        assert (scene.pad.crop <= 336).all()


def test_half_of_the_scenes_are_landscapes() -> None:
    classes = [make_zoom_scene(seed).scene_class for seed in range(60)]
    assert 15 < classes.count("mixed") < 45
    assert make_zoom_scene(0, mixed=0).scene_class != "mixed"


def ink(glyph: str, scale: int) -> float:
    canvas = Image.new("L", (120 * scale, 120 * scale), 255).convert("RGB")
    Pad((60.0 * scale, 60.0 * scale), glyph, 336 * scale, 336 * scale).draw(canvas)
    return float((np.asarray(canvas) == [24, 24, 26]).all(axis=2).sum() / scale**2)


def test_markings_have_equal_ink_so_that_darkness_tells_nothing() -> None:
    amounts = [ink(glyph, 8) for glyph in GLYPHS]
    assert max(amounts) / min(amounts) < 1.05


def test_a_smaller_marking_needs_a_closer_look() -> None:
    usual, fine = make_zoom_scene(5), make_zoom_scene(5, marking=18)
    assert usual.pad.centre == fine.pad.centre
    np.testing.assert_array_equal(usual.pad.box, fine.pad.box)
    width = [scene.pad.crop[2] - scene.pad.crop[0] for scene in (usual, fine)]
    assert width[1] / width[0] == pytest.approx(0.6, abs=0.05)
    with pytest.raises(ValueError, match="marking=60"):
        make_zoom_scene(5, marking=60)


@pytest.mark.parametrize("glyph", GLYPHS)
def test_a_larger_scene_shows_the_same_pad(glyph: str) -> None:
    small, large = Image.new("RGB", (336, 336)), Image.new("RGB", (336 * 8, 336 * 8))
    Pad((100.0, 200.0), glyph, 336, 336).draw(small)
    Pad((800.0, 1600.0), glyph, 336 * 8, 336 * 8).draw(large)
    difference = np.abs(np.asarray(small).astype(int) - np.asarray(large.reduce(8)))
    assert difference.mean() < 0.5


def test_a_tiny_zoom_scene_is_an_error() -> None:
    with pytest.raises(ValueError, match="100"):
        make_zoom_scene(0, 100)
