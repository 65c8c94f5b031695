"""Scenes as records of every task say what was drawn, are answered as they are asked, and read back to the truth."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import shapely

from rscovlm.codec import Codec
from rscovlm.codec.dialect import Dialect
from rscovlm.geometry import Frame
from rscovlm.mixtures.scene_tasks import PLACES, SCENE_TASKS, SceneTaskTurns, change_record, instructions
from rscovlm.processing import PixelBudget
from rscovlm.records.pictures import loaded
from rscovlm.scenes import COVERS, Scene, SceneConfig, make_change, make_scene
from rscovlm.tasks.table import problems, task_of
from rscovlm.tasks.task import Answered
from rscovlm.tasks.taxonomy import taxonomy

CODEC = Codec.preset("rscovlm-v1")
BUDGET = PixelBudget(min_pixels=84 * 84, max_pixels=84 * 84, mode="fixed")
CONFIG = SceneConfig(min_objects=1, max_objects=3, min_length=22, max_length=40, classes=("plane", "ship", "tank"))


def turns(kind: str, **changes: object) -> SceneTaskTurns:
    return replace(SceneTaskTurns((kind,), CONFIG, CODEC, BUDGET), **changes)  # type: ignore[arg-type]


def test_every_task_of_the_taxonomy_has_scenes() -> None:
    rows = {(row.group, row.task) for row in taxonomy()}
    served = {task.row for task in SCENE_TASKS.values()}
    assert served <= rows
    # Drawn by `ZoomTurns`.
    assert rows - served == {("referring", "object reasoning")}
    assert set(PLACES) == set(COVERS)


@pytest.mark.parametrize("kind", SCENE_TASKS)
def test_the_true_answer_scores_all_and_another_does_not(kind: str) -> None:
    drawn, dialect = turns(kind), Dialect.preset("rscovlm-v1")
    renderer, rng = drawn.renderer(), np.random.default_rng(7)
    right, wrong = [], []
    for _ in range(12):
        (record,) = drawn.records(rng)
        assert not problems(record)
        sample = renderer(record, rng)
        answer = sample["messages"][-1]["content"][0]["text"]
        seen = None if sample["truth"] is None and sample.get("areas") is None else Frame(84, 84)
        right.append(Answered(answer, answer, sample["truth"], seen, sample.get("areas")))
        wrong.append(replace(right[-1], reply="There are none."))
    task = task_of(record.task)
    # A point is written as a whole pixel, and outlines are simplified to the length of an answer.
    least = 0.8 if kind in ("outlines", "change") else 0.6 if "segmentation" in kind else 1.0
    assert next(iter(task.measure(right, dialect).values())) >= least
    assert next(iter(task.measure(wrong, dialect).values())) < 0.6


def test_several_questions_about_a_scene_stand_in_one_conversation() -> None:
    asked = Counter(
        sum(
            turn["role"] == "assistant"
            for turn in turns("comprehension", turns=2)(np.random.default_rng(seed))["messages"]
        )
        for seed in range(30)
    )
    assert set(asked) == {1, 2}


def test_conditions_choose_by_the_geometry_of_what_was_drawn() -> None:
    seen = Counter[str]()
    config = replace(CONFIG, min_objects=3)
    for seed in range(60):
        scene = make_scene(seed, config)
        for words, places in instructions(scene, CONFIG.classes):
            first, _, rest = words.removeprefix("the ").partition(" ")
            if first in ("leftmost", "rightmost", "topmost", "bottommost", "largest", "smallest"):
                (place,) = places
                assert place == _leading(scene, first, rest)
                seen[first] += 1
            elif "left of" in words:
                label, _, other = words.removeprefix("the ").partition("s to the left of the ")
                (single,) = scene.find(other)
                assert all(scene.objects[place].label == label for place in places)
                assert all(scene.objects[place].centre[0] < scene.objects[single].centre[0] for place in places)
                seen["left of"] += 1
    assert len(seen) == 7 and min(seen.values()) > 1


def _leading(scene: Scene, word: str, label: str) -> int:
    places = scene.find(label)
    outlines = {place: shapely.Polygon(scene.objects[place].polygon) for place in places}
    keys = {
        "leftmost": lambda place: scene.objects[place].hbb[[0, 2]].sum(),
        "rightmost": lambda place: -scene.objects[place].hbb[[0, 2]].sum(),
        "topmost": lambda place: scene.objects[place].hbb[[1, 3]].sum(),
        "bottommost": lambda place: -scene.objects[place].hbb[[1, 3]].sum(),
        "largest": lambda place: -shapely.box(*outlines[place].bounds).area,
        "smallest": lambda place: shapely.box(*outlines[place].bounds).area,
    }
    return min(places, key=keys[word])


def test_a_pair_without_change_is_answered_with_none() -> None:
    drawn, none = turns("change"), 0
    for seed in range(40):
        pair = make_change(seed, replace(CONFIG, max_objects=2), max_changes=1)
        sample = drawn.renderer()(change_record(pair, np.random.default_rng(seed)), np.random.default_rng(0))
        answer = sample["messages"][-1]["content"][0]["text"]
        changed = len(pair.removed) + len(pair.added)
        assert (answer == "There are none.") == (changed == 0)
        assert len(sample["areas"]) == changed
        assert [
            np.array_equal(np.asarray(loaded(image)), np.asarray(scene.image))
            for image, scene in zip(sample["images"], (pair.before, pair.after), strict=True)
        ] == [True, True]
        none += not changed
    assert 0 < none < 40


def test_the_other_way_round_is_asked_at_its_rate() -> None:
    drawn = turns("comprehension", cyclic=0.5)
    texts = [drawn(np.random.default_rng(seed))["messages"][-1]["content"][0]["text"] for seed in range(80)]
    boxes = sum(text[0].isdigit() for text in texts)
    assert 25 < boxes < 55
    assert all(text.split()[-1] in CONFIG.classes for text in texts)
