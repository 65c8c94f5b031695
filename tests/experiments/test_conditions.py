"""Cases of conditions: their truth is that of the places they are drawn from, and rules that overlook a condition are found out."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from rscovlm.experiments.conditions.__main__ import draw_cases, score_case, table
from rscovlm.experiments.conditions.cases import draw_case
from rscovlm.points.condition_rules import parse_by_rules
from rscovlm.points.conditions import ConditionPlan, SubInstruction


@pytest.mark.parametrize("words", ["known", "other"])
def test_rules_and_solver_give_the_true_answer(words: str) -> None:
    scores = [score_case(case) for case in draw_cases(12, seed=11, words=words)]
    wrong = [(one.case.instruction, one.reason) for one in scores if not (one.right and one.step_right)]
    assert not wrong
    assert {len(one.case.conditions) for one in scores} == {1, 2, 3, 4}
    assert sum(one.case.nothing is not None for one in scores) == 12


def test_cases_are_drawn_again_alike_and_truths_differ() -> None:
    one, two = (draw_case(np.random.default_rng([3, 3]), 3) for _ in range(2))
    assert (one.instruction, one.answer, one.conditions) == (two.instruction, two.answer, two.conditions)
    assert len({case.answer for case in draw_cases(8, seed=5)}) > 16


def _without_last(instruction: str, **options: Any) -> ConditionPlan:
    """Overlook the last condition that is decided."""
    plan = parse_by_rules(instruction, **options)
    last = plan.answer
    kept = {step.name: step for step in plan.steps if step is not last}
    needed, left = set(), [last.of] if last.of else []
    while left:
        name = left.pop()
        needed.add(name)
        left += [one for one in (kept[name].of, *kept[name].to) if one in kept]
    return ConditionPlan([step for step in plan.steps if step.name in needed], given=plan.given) if needed else plan


def _wrong_side(instruction: str, **options: Any) -> ConditionPlan:
    """Take left for west and up for north, as who forgets the map."""
    plan = parse_by_rules(instruction, **options)
    names = {"north_of": "above", "south_of": "below", "east_of": "right_of", "west_of": "left_of"}

    def changed(step: SubInstruction) -> SubInstruction:
        return dataclasses.replace(step, do=names.get(step.do, step.do))

    return ConditionPlan([changed(step) for step in plan.steps], given=plan.given)


@pytest.mark.parametrize(("parse", "most"), [(_without_last, 0.6), (_wrong_side, 0.97)])
def test_a_parser_that_overlooks_something_is_found_out(parse: Any, most: float) -> None:
    scores = [score_case(case, parse) for case in draw_cases(12, seed=11)]
    assert np.mean([one.right for one in scores]) < most


def test_what_rules_cannot_read_is_refused_and_seldom_guessed() -> None:
    scores = [score_case(case) for case in draw_cases(12, seed=12, words="fresh")]
    guessed = [one.case.instruction for one in scores if one.solved is not None and not one.right]
    assert len(guessed) <= 8
    assert all("ask a model" in one.reason for one in scores if one.solved is None)


def test_the_command_prints_a_row_for_each_number_of_conditions() -> None:
    command = [sys.executable, "-m", "rscovlm.experiments.conditions", "--count", "4", "--seed", "1"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    rows = done.stdout.splitlines()
    assert [row.split("|")[1].strip() for row in rows[2:]] == ["1", "2", "3", "4"]
    assert rows == table([score_case(case) for case in draw_cases(4, seed=1)]).splitlines()
