"""Measuring while training: true answers score one, and measuring changes nothing of the course."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from rscovlm.codec.dialect import Dialect
from rscovlm.codec.places import write_place
from rscovlm.mixtures.renderer import RecordRenderer
from rscovlm.processing import PixelBudget
from rscovlm.records import Annotation, ImageRef, Record
from rscovlm.tasks import RenderOptions
from rscovlm.training.evaluation import Answers, EvaluatedSample, metric_of, score
from rscovlm.training.recipe import TrainingRecipe
from rscovlm.training.stages import prepare
from tests.training.conftest import recipe_of

_SET = {"subsets": [{"name": "held", "records": "scenes.jsonl"}], "count": 6, "every": 2, "max_new_tokens": 12}


def test_measuring_is_logged_and_changes_nothing(root: Path, tmp_path: Path) -> None:
    courses = []
    for evaluation in (None, _SET):
        run = prepare(TrainingRecipe.from_dict(recipe_of(root, evaluation=evaluation)), root=root, output=tmp_path)
        run.trainer.train()
        courses.append(run.trainer.state.log_history)
    losses = [[entry["loss"] for entry in course if "loss" in entry] for course in courses]
    assert losses[0] == losses[1]
    measured = [entry for entry in courses[1] if "eval_classification/accuracy" in entry]
    assert [entry["step"] for entry in measured] == [2, 4]
    assert all("eval_detection/ap_nc50" in entry for entry in measured)


def test_true_answers_score_one_and_others_less(root: Path, tmp_path: Path) -> None:
    run = prepare(TrainingRecipe.from_dict(recipe_of(root, evaluation=_SET)), root=root, output=tmp_path)
    answers: Any = next(one for one in run.trainer.callback_handler.callbacks if isinstance(one, Answers))
    processor = run.trainer.processing_class

    class Codecs:
        codec, budget = processor.codec, processor.budget

    def asked(reply: Any) -> list[tuple[EvaluatedSample, Any]]:
        found = []
        for sample in answers.samples:
            expected = sample["messages"][-1]["content"][0]["text"]
            found.append((EvaluatedSample(sample["task"], sample["truth"], expected, reply(expected)), sample))
        return found

    engine: Any = Codecs()
    right = score(asked(lambda text: text), engine)
    assert right == {"classification/accuracy": 1.0, "detection/ap_nc50": pytest.approx(1.0)}
    wrong = score(asked(lambda text: "no idea"), engine)
    assert wrong == {"classification/accuracy": 0.0, "detection/ap_nc50": 0.0}


def test_areas_are_measured_by_their_overlap(tmp_path: Path) -> None:
    rings = ((100.0, 80.0, 400.0, 90.0, 380.0, 300.0, 110.0, 280.0),)
    Image.new("RGB", (600, 500)).save(tmp_path / "a.png")
    item = Annotation((100, 80, 400, 300), "lake", "hbb", polygons=rings)
    image = ImageRef("a.png", width=600, height=500)
    dialect, budget = Dialect.preset("rscovlm-v1"), PixelBudget()
    renderer = RecordRenderer(dialect, budget, tmp_path, RenderOptions(outline_rate=1.0))
    engine: Any = SimpleNamespace(dialect=dialect, codec=dialect.codec, budget=budget)
    records = [
        Record("r", "test", "train", "segmentation", (image,), objects=(item,), categories=("lake",)),
        Record("r", "test", "train", "change", (image, image), objects=(item,), categories=("lake",)),
    ]
    samples = [renderer(record, np.random.default_rng(0)) for record in records]

    def scored(reply: Any) -> dict[str, float]:
        texts = [sample["messages"][-1]["content"][0]["text"] for sample in samples]
        asked = [
            EvaluatedSample(one["task"], None, text, reply(text)) for one, text in zip(samples, texts, strict=True)
        ]
        return score(list(zip(asked, samples, strict=True)), engine)

    # Change is measured object by object too.
    names = {"segmentation/giou", "change/giou", "change/ap_nc50"}
    assert {metric_of(one["task"], [one]) for one in samples} == {"giou"}
    assert scored(lambda text: text) == {name: pytest.approx(1, abs=0.02) for name in names}
    assert scored(lambda _: "There are none.") == dict.fromkeys(names, 0.0)
    half = scored(lambda _: "[(100,80),(250,85),(245,290),(110,280),(100,80)] lake")
    assert all(0.4 < half[name] < 0.6 for name in names - {"change/ap_nc50"})


def test_a_set_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="0 samples every 5 steps"):
        Answers([], every=5)


def test_what_is_answered_in_words_is_measured_as_its_task_says() -> None:
    dialect = Dialect.preset("rscovlm-v1")
    engine: Any = SimpleNamespace(dialect=dialect, codec=dialect.codec, budget=PixelBudget())
    near, far = write_place(52.5, 13.4, "Berlin"), write_place(-33.9, 151.2, "Sydney")

    def scored(*rows: tuple[str, str, str]) -> dict[str, float]:
        samples = [{"task": task, "messages": []} for task, _, _ in rows]
        asked = [EvaluatedSample(task, None, expected, reply) for task, expected, reply in rows]
        return score(list(zip(asked, samples, strict=True)), engine)

    found = scored(
        ("counting", "There are 4.", "four"),
        ("counting", "There are 4.", "There are 5 of them."),
        ("geolocation", near, write_place(52.4, 13.1, "Potsdam")),
        ("geolocation", far, near),
        ("classification", "harbour", "Harbour"),
        ("detection", "There are none.", "There are none."),  # a turn of a conversation, which states no boxes
    )
    assert found["counting/accuracy"] == 0.5 and found["counting/relative_error"] == 0.125
    assert found["geolocation/within_200km"] == 0.5 and found["geolocation/city"] == 0.0
    assert found["classification/accuracy"] == 1.0 and found["detection/accuracy"] == 1.0
    assert [metric_of(task, [{}]) for task in ("counting", "geolocation", "grounding")] == [
        "accuracy",
        "within_200km",
        "accuracy",
    ]
    # Numbers that nobody can compare are compared as words.
    assert scored(("counting", "many", "many"), ("counting", "3", "4")) == {"counting/accuracy": 0.5}
