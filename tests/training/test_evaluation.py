"""Measuring while training: true answers score one, and measuring changes nothing of the course."""

from pathlib import Path
from typing import Any

import pytest

from rscovlm.training.evaluation import Answers, EvaluatedSample, score
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


def test_a_set_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="0 samples every 5 steps"):
        Answers([], every=5)
