"""Large scenes on disk: the file has the plan's pixels, the truth lies on it, and memory stays bounded."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from rscovlm.rasters import open_image
from rscovlm.scenes import LargeScene, LayoutConfig, write_large_scene

CONFIG = LayoutConfig(2304, 2048)


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> LargeScene:
    return write_large_scene(tmp_path_factory.mktemp("large") / "scene.tif", 3, CONFIG)


def test_windows_of_the_file_are_the_plans(scene: LargeScene) -> None:
    raster = open_image(scene.path)
    for thing in scene.objects[::4]:
        x, y = (int(v) for v in thing.centre)
        box = (max(x - 42, 0), max(y - 42, 0), min(x + 42, 2304), min(y + 42, 2048))
        view = raster.read(box)
        np.testing.assert_array_equal(np.asarray(view.image), np.asarray(scene.layout.render(*box)))


def test_the_file_and_the_truth_have_the_same_place_on_the_map(scene: LargeScene) -> None:
    assert open_image(scene.path).frame == scene.frame
    assert scene.frame.root_to_world is not None
    quads = np.stack([o.quad for o in scene.objects])
    np.testing.assert_allclose(scene.truth.boxes.coords.reshape(-1, 4, 2), quads)
    assert scene.truth.labels == tuple(o.label for o in scene.objects)


def test_same_seed_same_bytes(scene: LargeScene, tmp_path: Path) -> None:
    again = write_large_scene(tmp_path / "again.tif", 3, CONFIG)
    assert again.path.read_bytes() == scene.path.read_bytes()


def test_questions_are_true(scene: LargeScene) -> None:
    asked = scene.questions()
    assert {q.task for q in asked} == {"marking", "count", "colour", "grounding"}
    for q in asked:
        if q.task == "marking":
            assert scene.pad is not None
            assert q.answer == scene.pad.glyph
            np.testing.assert_allclose(q.region, scene.pad.crop)
        elif q.task == "count":
            assert int(q.answer) == sum(o.label == q.label for o in scene.objects)
        else:
            thing = scene.objects[q.objects[0]]
            x1, y1, x2, y2 = q.region
            assert x1 <= thing.centre[0] <= x2
            assert y1 <= thing.centre[1] <= y2
            assert q.label == thing.label
            assert not q.answer or q.answer == thing.colour
            if "topmost" in q.phrase and thing.colour not in q.phrase:
                assert thing.centre[1] == min(o.centre[1] for o in scene.objects if o.label == q.label)
    phrases = [q.phrase for q in asked if q.task == "grounding"]
    assert len(phrases) == len(set(phrases)) > 10
