"""Questions have one true answer, and a referring phrase means one object."""

from __future__ import annotations

import numpy as np
import pytest

from rscovlm.scenes import CLASSES, Scene, SceneConfig, make_scene, questions, references


@pytest.fixture(scope="module")
def scenes() -> list[Scene]:
    rng = np.random.default_rng(21)
    config = SceneConfig(max_objects=5, max_length=30, classes=("plane", "tank", "ship"), colours=("white", "red"))
    return [make_scene(rng, config) for _ in range(200)]


def meant(scene: Scene, phrase: str) -> list[int]:
    """Read a phrase as a person would: the objects of that class and colour, then the extreme one."""
    words = phrase.split()[1:]
    found = scene.find(words[-1], next((w for w in words if w in ("white", "red")), None))
    keys = {
        "leftmost": lambda i: scene.objects[i].centre[0],
        "rightmost": lambda i: -scene.objects[i].centre[0],
        "topmost": lambda i: scene.objects[i].centre[1],
        "bottommost": lambda i: -scene.objects[i].centre[1],
        "largest": lambda i: -scene.objects[i].length,
        "smallest": lambda i: scene.objects[i].length,
    }
    return [min(found, key=keys[words[0]])] if words[0] in keys else found


def test_each_reference_means_its_object_and_no_other(scenes: list[Scene]) -> None:
    kinds = set()
    for scene in scenes:
        for i, phrase in enumerate(references(scene.objects)):
            if phrase is not None:
                assert meant(scene, phrase) == [i]
                kinds.add(phrase.split()[1])
    assert {"plane", "red", "leftmost", "topmost"} <= kinds


def test_most_objects_have_a_reference(scenes: list[Scene]) -> None:
    phrases = [p for s in scenes for p in references(s.objects)]
    assert sum(p is not None for p in phrases) > 0.95 * len(phrases)


def test_answers_agree_with_the_objects(scenes: list[Scene]) -> None:
    seen = set()
    for scene in scenes:
        for q in questions(scene.scene_class, scene.objects, classes=CLASSES):
            seen.add(q.task)
            if q.task == "class":
                assert q.answer == scene.scene_class
            elif q.task == "count":
                assert int(q.answer) == scene.count(q.label) == len(q.objects)
            elif q.task == "presence":
                assert (q.answer == "yes") == (scene.count(q.label) > 0)
            elif q.task == "colour":
                assert scene.count(q.label) == scene.count(q.label, q.answer) == 1
            elif q.task == "grounding":
                assert list(q.objects) == meant(scene, q.phrase)
            else:
                assert list(q.objects) == scene.find(q.label or None)
    assert len(seen) == 6


def test_plain_phrases_only(scenes: list[Scene]) -> None:
    for scene in scenes:
        asked = questions(scene.scene_class, scene.objects, classes=CLASSES, tasks=("grounding",), extremes=False)
        assert all(q.phrase.split()[1] in (*CLASSES, "white", "red") for q in asked)


def test_unknown_task_is_an_error() -> None:
    with pytest.raises(ValueError, match="poem"):
        questions("field", (), classes=CLASSES, tasks=("poem",))  # type: ignore[arg-type]
