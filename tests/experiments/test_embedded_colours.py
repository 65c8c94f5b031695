"""The recipe of colours asks for them often enough to be learnt, points where only they help, and trains."""

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rscovlm.embedded import embedded_model
from rscovlm.experiments.embedded_colours import colour_subsets, train_colours
from rscovlm.scenes.objects import COLOURS


def _turns(sample: Any) -> list[str]:
    """Texts of questions and answers, without the system text and the picture."""
    spoken = [turn for turn in sample["messages"] if turn["role"] != "system"]
    return [
        turn["content"] if isinstance(turn["content"], str) else "".join(one.get("text", "") for one in turn["content"])
        for turn in spoken
    ]


def test_colours_are_named_as_often_as_they_are_drawn() -> None:
    (alone,) = (subset.source for subset in colour_subsets(naming=True) if subset.name == "colour of one")
    assert callable(alone)
    turns = [_turns(alone(np.random.default_rng([5, seed]))) for seed in range(200)]
    assert {len(spoken) for spoken in turns} == {2}
    assert {question.removesuffix("?").rsplit(" ", 1)[0] for question, _ in turns} == {"What colour is the"}
    answers = Counter(answer for _, answer in turns)
    assert set(answers) == set(COLOURS)
    assert max(answers.values()) < 0.35 * 200  # nothing is gained by always saying the same


@pytest.mark.parametrize("label", ["plane", "ship", "tank"])
def test_where_all_are_of_one_class_only_the_colour_says_which(label: str) -> None:
    (alike,) = (subset.source for subset in colour_subsets(naming=False) if subset.name == f"point at one {label}")
    assert callable(alike)
    for seed in range(30):
        spoken = _turns(alike(np.random.default_rng([7, seed])))
        for question in spoken[::2]:
            assert any(f"the {colour} {label}" in question for colour in COLOURS), question
        answers = spoken[1::2]
        assert len(set(answers)) == len(answers)


def test_it_trains_and_resumes(tmp_path: Path) -> None:
    options: dict[str, Any] = {"naming": 1, "falling": 1, "hard": 0, "row": 300, "workers": 0, "save_steps": 1}
    trained = train_colours(Path(embedded_model()), tmp_path, steps=1, logging_steps=1, **options)
    assert trained.state.global_step == 1
    resumed = train_colours(Path(embedded_model()), tmp_path, steps=2, resume=True, logging_steps=1, **options)
    losses = [entry["loss"] for entry in resumed.state.log_history if "loss" in entry]
    assert len(losses) == 2
    assert max(losses) < 4  # a model that begins anew has a loss of 6
