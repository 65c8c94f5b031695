"""Samples made of generated scenes say what is true of the scene."""

from dataclasses import replace

import numpy as np
import pytest

from rscovlm.codec import Codec
from rscovlm.geometry import Frame, iou
from rscovlm.mixtures.scene_records import SceneTurns, ZoomTurns, scene_objects
from rscovlm.processing import PixelBudget
from rscovlm.records.pictures import loaded
from rscovlm.scenes import SceneConfig, make_scene, make_zoom_scene

CODEC = Codec.preset("rscovlm-v1")
BUDGET = PixelBudget(min_pixels=84 * 84, max_pixels=84 * 84, mode="fixed")
CONFIG = SceneConfig(min_objects=1, max_objects=3, min_length=22, max_length=40, classes=("plane", "ship", "tank"))


def test_detection_answers_decode_to_the_true_quads() -> None:
    turns = SceneTurns(CONFIG, CODEC, BUDGET)
    seen = 0
    for seed in range(30):
        sample = turns(np.random.default_rng(seed))
        scene = make_scene(np.random.default_rng(seed), CONFIG)
        assert np.array_equal(np.asarray(loaded(sample["images"][0])), np.asarray(scene.image))
        truth = scene_objects(scene)
        for question, answer in zip(sample["messages"][1::2], sample["messages"][2::2], strict=True):
            text = question["content"][-1]["text"]
            if text != "find the plane, ship, tank":
                continue
            found = CODEC.decode(answer["content"][0]["text"], Frame(84, 84), kind="quad")
            assert not found.problems
            assert sorted(found.objects.labels) == sorted(truth.labels)
            overlaps = iou(found.objects.boxes, truth.boxes)
            assert overlaps.max(axis=1).min() > 0.8
            seen += 1
    assert seen > 3


def test_every_task_is_drawn_and_words_are_balanced() -> None:
    turns = SceneTurns(replace(CONFIG, max_objects=1), CODEC, BUDGET, kind="hbb", tasks=("presence", "count"))
    answers = []
    for seed in range(200):
        sample = turns(np.random.default_rng(seed))
        pairs = zip(sample["messages"][1::2], sample["messages"][2::2], strict=True)
        for question, answer in pairs:
            if question["content"][-1]["text"].startswith("Is there"):
                answers.append(answer["content"][0]["text"])
    assert 0.35 < answers.count("yes") / len(answers) < 0.65


def test_a_zoom_sample_shows_the_region_it_calls_for() -> None:
    sample = ZoomTurns(CONFIG, CODEC, BUDGET, direct=0.0)(np.random.default_rng(3))
    scene = make_zoom_scene(np.random.default_rng(3), 336, CONFIG)
    overview, crop = sample["images"]
    assert overview.size == (84, 84)
    assert sample["messages"][-1]["content"][0]["text"] == scene.answer
    # The crop lies within a tenth of its side of the true region, and is as large.
    assert np.abs(np.array(crop.window) - scene.pad.crop).max() <= 0.1 * (scene.pad.crop[2] - scene.pad.crop[0]) + 1
    assert np.array(crop.window) @ [-1, 0, 1, 0] == pytest.approx(scene.pad.crop @ [-1, 0, 1, 0], abs=1)
    assert np.asarray(loaded(crop)).reshape(-1, 3).max(axis=0).min() > 200
