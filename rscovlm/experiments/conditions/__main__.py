"""How often rules and solver give the true answer, by the number of conditions: ``python -m rscovlm.experiments.conditions``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from rscovlm.codec.categories import plural
from rscovlm.experiments.conditions.cases import ConditionCase, draw_case
from rscovlm.experiments.conditions.place import ZONE, DrawnPlace
from rscovlm.geometry import Objects
from rscovlm.points.condition_rules import parse_by_rules
from rscovlm.points.condition_solver import ConditionSolver, SolvedConditions
from rscovlm.points.conditions import ConditionPlan

Parse = Callable[..., ConditionPlan]


@dataclass(frozen=True)
class CaseScore:
    """What became of one case.

    Attributes:
        case: What was asked.
        solved: The answer; None where the instruction could not be parsed or solved.
        right: Exactly the true objects, and the true number where one is asked for.
        step_right: The step named as the one that left nothing is the true one, or none is named where something is left.
        reason: Why there is no answer.
    """

    case: ConditionCase
    solved: SolvedConditions | None
    right: bool
    step_right: bool
    reason: str = ""


def score_case(case: ConditionCase, parse: Parse = parse_by_rules) -> CaseScore:
    """Parse and solve an instruction about a place where every thing is found by its name."""
    place = case.place
    try:
        plan = parse(case.instruction, areas=(ZONE,))
        solved = ConditionSolver(_finder(place), place.frame, areas={ZONE: place.zone}).solve(plan)
    except ValueError as error:
        return CaseScore(case, None, right=False, step_right=False, reason=str(error))
    middles = solved.objects.boxes.as_kind("quad").coords.reshape(-1, 4, 2).mean(axis=1)
    found = [int(np.hypot(*(place.quads.mean(axis=1) - middle).T).argmin()) for middle in middles]
    right = frozenset(found) == case.answer and (not case.counts or solved.number in (None, len(case.answer)))
    right = right and (not case.counts or bool(case.nothing) or solved.number == len(case.answer))
    return CaseScore(case, solved, right=right, step_right=_emptied(solved) == case.nothing)


def _finder(place: DrawnPlace) -> Callable[[str, bool], Objects]:
    """Return a function that finds things by their names: the class in singular or plural, or a single thing."""
    names = {plural(label): label for label in set(place.labels)} | {label: label for label in set(place.labels)}
    objects = place.objects

    def find(what: str, many: bool) -> Objects:
        wanted = names.get(what.casefold())
        rows = [row for row, label in enumerate(place.labels) if label == wanted]
        return objects[np.array(rows, dtype=np.intp)]

    return find


_KINDS = {
    **dict.fromkeys(("north_of", "south_of", "east_of", "west_of"), "compass"),
    **dict.fromkeys(("left_of", "right_of", "above", "below"), "screen"),
    "find": "missing",
}


def _emptied(solved: SolvedConditions) -> str | None:
    """Return the kind of condition after which nothing was left."""
    if solved.left_nothing is None:
        return None
    step = next(one for one in solved.plan.steps if one.name == solved.left_nothing)
    return _KINDS.get(step.do, step.do)


def draw_cases(count: int, *, seed: int, words: str = "known", most: int = 4) -> list[ConditionCase]:
    """Draw so many cases for each number of conditions; a quarter of them leave nothing."""
    cases = []
    for number in range(1, most + 1):
        for row in range(count):
            rng = np.random.default_rng([seed, number, row])
            cases.append(draw_case(rng, number, empty=row % 4 == 3, words=words))
    return cases


def table(scores: Sequence[CaseScore]) -> str:
    """Return a Markdown table, a row for each number of conditions, with what is right without looking at all of them."""
    lines = [
        "| conditions | instructions | right | wrong | refused | right by the first condition alone | named the step that left nothing |",
        "|---|---|---|---|---|---|---|",
    ]
    numbers = sorted({len(one.case.conditions) for one in scores})
    for number in numbers:
        some = [one for one in scores if len(one.case.conditions) == number]
        empty = [one for one in some if one.case.nothing]
        parts = (
            np.mean([one.right for one in some]),
            np.mean([one.solved is not None and not one.right for one in some]),
            np.mean([one.solved is None for one in some]),
            np.mean([one.case.first == one.case.answer for one in some]),
            np.mean([one.step_right for one in empty]),
        )
        lines.append(f"| {number} | {len(some)} | " + " | ".join(f"{100 * part:.1f} %" for part in parts) + " |")
    return "\n".join(lines)


def main() -> None:
    """Measure from the command line and print the table, and what was wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=400, help="instructions for each number of conditions")
    parser.add_argument("--seed", type=int, default=2026)
    parser.add_argument(
        "--words",
        choices=("known", "other", "fresh"),
        default="known",
        help="wordings the rules were written with, or not",
    )
    parser.add_argument("--wrong", type=int, default=0, help="print so many of those that were wrong")
    options = parser.parse_args()
    scores = [score_case(case) for case in draw_cases(options.count, seed=options.seed, words=options.words)]
    sys.stdout.write(table(scores) + "\n")
    for one in [one for one in scores if not (one.right and one.step_right)][: options.wrong]:
        steps = [step.words() for step in one.solved.plan.steps] if one.solved else one.reason
        sys.stdout.write(f"{one.case.instruction!r}: {one.case.conditions} {one.case.nothing} {steps}\n")


if __name__ == "__main__":
    main()
