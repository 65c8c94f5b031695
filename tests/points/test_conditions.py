"""Plans: what is refused, what rules understand, and what a model's answers become."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rscovlm.engines import Conversation
from rscovlm.points.condition_rules import parse_by_rules
from rscovlm.points.condition_writer import ConditionWriter
from rscovlm.points.conditions import ACTIONS, SCHEMA, ConditionPlan, SubInstruction
from tests.zoom.scripted import Scripted, texts

FIND = {"name": "a", "do": "find", "what": "ship"}


def plan(*steps: dict[str, Any], given: tuple[str, ...] = ()) -> ConditionPlan:
    return ConditionPlan.from_dict({"steps": list(steps)}, given=given)


@pytest.mark.parametrize(
    ("steps", "reason"),
    [
        ([], "0 steps"),
        ([{"name": "a", "do": "largest", "of": "b"}, {"name": "b", "do": "smallest", "of": "a"}], "wait for each other in a loop"),
        ([FIND, {"name": "b", "do": "largest", "of": "b"}], "in a loop"),
        ([FIND, {"name": "b", "do": "nearest", "of": "a", "to": ["c"]}, {"name": "c", "do": "largest", "of": "b"}], "in a loop"),
        ([FIND, {"name": "b", "do": "largest", "of": "ships"}], "names 'ships', which is no step"),
        ([FIND, FIND], "two steps or areas are called 'a'"),
        ([FIND, {"name": "b", "do": "find", "what": "pier"}], "used by no other step"),
        ([FIND, {"name": "b", "do": "larges", "of": "a"}], "did you mean 'largest'"),
        ([FIND, {"name": "b", "do": "within", "of": "a", "to": ["a"]}], "no distance"),
        ([FIND, {"name": "b", "do": "within", "of": "a", "to": ["a"], "distance": -1}], "give a number from 0"),
        ([FIND, {"name": "b", "do": "within", "of": "a", "to": ["a"], "distance": 1, "unit": "mile"}], "unit 'mile'"),
        ([FIND, {"name": "b", "do": "largest", "of": "a", "distance": 4}], "has a distance"),
        ([FIND, {"name": "b", "do": "largest", "of": "a", "to": ["a"]}], "and nothing else"),
        ([FIND, {"name": "b", "do": "largest", "of": "a", "count": 0}], "keeps 0 objects"),
        ([FIND, {"name": "b", "do": "largest", "of": "a", "count": True}], "count True"),
        ([FIND, {"name": "b", "do": "part", "of": "a", "what": "north-east"}], "keeps the part"),
        ([FIND, {"name": "b", "do": "inside", "of": "a"}], "name what a relation compares with"),
        ([{"name": "a", "do": "find"}], "has what=''"),
        ([{"name": "a", "do": "find", "what": "x", "of": "b"}], "has of='b'"),
        ([{"do": "find", "what": "x"}], "has no name"),
        ([{**FIND, "where": 1}], "unknown key 'where'"),
        ([7], "step 1 is 7"),
        ([{"name": str(k), "do": "find", "what": "x"} for k in range(65)], "65 steps"),
    ],
)  # fmt: skip
def test_plans_that_cannot_be_solved_are_refused(steps: list[Any], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        plan(*steps)


def test_areas_are_compared_with_but_not_chosen_from() -> None:
    assert plan(FIND, {"name": "b", "do": "inside", "of": "a", "to": ["zone"]}, given=("zone",)).given == ("zone",)
    with pytest.raises(ValueError, match="chooses from the area 'zone'"):
        plan({"name": "b", "do": "largest", "of": "zone"}, given=("zone",))


STEPS = st.builds(
    lambda do, what, to, number: {"name": "b", "do": do} | ({"of": "a"} if do != "find" else {}) | what | to | number,
    st.sampled_from([*ACTIONS, "x"]),
    st.sampled_from([{}, {"what": "ship"}, {"what": "left"}, {"what": 3}]),
    st.sampled_from([{}, {"to": ["a"]}, {"to": []}, {"to": [1]}, {"to": "a"}]),
    st.sampled_from([{}, {"distance": 4.5}, {"count": 2}, {"distance": "4"}, {"many": 1}, {"unit": "px"}]),
)


@given(STEPS)
def test_what_is_taken_fits_the_schema_and_comes_back(step: dict[str, Any]) -> None:
    values = {"steps": [FIND, step]}
    try:
        made = ConditionPlan.from_dict(values)
    except ValueError:
        return
    jsonschema.validate(values, SCHEMA)
    jsonschema.validate(made.to_dict(), SCHEMA)
    assert ConditionPlan.from_dict(made.to_dict()) == made


@pytest.mark.parametrize(
    ("instruction", "steps"),
    [
        ("all planes on the east bank of the river", ["find planes", "find river", "planes east of river"]),
        ("Where is the ship?", ["find ship"]),
        ("the three northernmost storage tanks", ["find storage tanks", "3 northernmost of storage tanks"]),
        (
            "Find the largest ship north of the pier within 0.2 km of the crane.",
            [
                *("find ship", "find pier", "ship north of pier", "find crane"),
                *("ship north of pier within 200 m of crane", "largest of ship north of pier within 200 m of crane"),
            ],
        ),
        (
            "the ship closest to the largest hangar",
            ["find ship", "find hangar", "largest of hangar", "ship nearest to largest of hangar"],
        ),
        (
            "How many vehicles are inside the zone?",
            ["find vehicles", "vehicles inside zone", "count vehicles inside zone"],
        ),
        (
            "trucks between the hangar and the tower",
            ["find trucks", "find hangar", "find tower", "trucks between hangar and tower"],
        ),
        ("cars parked along the road", ["find cars", "find road", "cars along road"]),
        ("houses within 30 pixels of the river", ["find houses", "find river", "houses within 30 px of river"]),
        ("ships more than 2 miles from the pier", ["find ships", "find pier", "ships beyond 3218.69 m of pier"]),
        ("planes in the northern part of the image", ["find planes", "planes in the north of the image"]),
        ("the leftmost court", ["find court", "leftmost of court"]),
        (
            "vehicles that are not in the parking lot",
            ["find vehicles", "find parking lot", "vehicles outside parking lot"],
        ),
        (
            "every tank that is below the road and to the right of the court",
            ["find tank", "find road", "tank below road", "find court", "tank below road right of court"],
        ),
        ("Which planes are in between the pier and the mole?", ["find planes", "find pier", "find mole", "planes between pier and mole"]),
        ("I'm looking for ships no closer than 80 m to the pier", ["find ships", "find pier", "ships beyond 80 m of pier"]),
        ("ships not within 80 m of the pier", ["find ships", "find pier", "ships beyond 80 m of pier"]),
        ("ships within a radius of 2 km of the pier", ["find ships", "find pier", "ships within 2000 m of pier"]),
        ("Could you highlight every ship no farther than 9 m from the pier?", ["find ship", "find pier", "ship within 9 m of pier"]),
        ("Tell me how many sports fields are above the road.", ["find sports fields", "find road", "sports fields above road", "count sports fields above road"]),
        ("the number of planes", ["find planes", "count planes"]),
        ("draw a box around the ships 80 m or less from the pier", ["find ships", "find pier", "ships within 80 m of pier"]),
        ("ships 80 m or more from the pier", ["find ships", "find pier", "ships beyond 80 m of pier"]),
        ("can you spot ships higher up than the pier?", ["find ships", "find pier", "ships above pier"]),
        ("ships lined up along the pier", ["find ships", "find pier", "ships along pier"]),
        ("the farthest left ship", ["find ship", "leftmost of ship"]),
        ("the ship farthest from the pier", ["find ship", "find pier", "ship farthest to pier"]),
        ("ships in the upper half", ["find ships", "ships in the top of the image"]),
    ],
)  # fmt: skip
def test_rules_understand(instruction: str, steps: list[str]) -> None:
    parsed = parse_by_rules(instruction, areas=("zone",))
    assert [step.words() for step in parsed.steps] == steps
    assert bool(parsed.notes) == (sum(step.startswith("find") for step in steps) > 2 and "between" not in instruction)


@pytest.mark.parametrize("word", ["near", "near to", "next to", "close to", "beside", "adjacent to"])
def test_near_is_a_distance_and_is_noted(word: str) -> None:
    parsed = parse_by_rules(f"ships {word} the pier")
    assert [step.words() for step in parsed.steps] == ["find ships", "find pier", "ships along pier"]
    assert parsed.notes == ("near is taken to mean: no farther away than each object is long",)


@pytest.mark.parametrize(
    "instruction", ["", "   ", "north of the pier", "ships north of", "the zone inside the zone", "x" * 1001]
    + ["the location of the ships", "put a mark on the ships", "ships in the vicinity of the pier", "ships that one sees in the harbour"]
    + ["ships moored up along the pier", "planes a minimum of 80 m from the pier", "find the three", "get me all the ships"],
)  # fmt: skip
def test_what_rules_cannot_parse_is_refused(instruction: str) -> None:
    with pytest.raises(
        ValueError, match="instruction|names no object|compares with|asks for the area|has 0 characters"
    ):
        parse_by_rules(instruction, areas=("zone",))


PIECES = [*"aeinorst 0123,.?", " north of the ", " within 3 m of ", " largest ", " and ", " between "]


@given(st.lists(st.sampled_from(PIECES), max_size=40).map("".join))
def test_rules_give_a_plan_or_a_reason(instruction: str) -> None:
    try:
        parsed = parse_by_rules(instruction)
    except ValueError as error:
        assert str(error)
        return
    assert ConditionPlan.from_dict(parsed.to_dict()).steps == parsed.steps


GOOD = json.dumps({"steps": [FIND, {"name": "b", "do": "largest", "of": "a"}]})


def test_a_model_is_asked_again_with_the_reason_and_its_plan_is_kept(tmp_path: Path) -> None:
    lines = ["I cannot.", '{"steps": [{"name": "b", "do": "largest", "of": "a"}]}', f"Here: ```json\n{GOOD}\n```"]
    engine = Scripted(lines)
    writer = ConditionWriter(engine, cache=tmp_path / "plans.jsonl")
    made = writer("the largest ship")
    assert [step.words() for step in made.steps] == ["find ship", "largest of a"]
    last = texts(engine.asked[-1][0])
    assert [line.split(":")[0] for line in last] == ["system", "user", "assistant", "user", "assistant", "user"]
    assert "no JSON object with steps" in last[3] and "names 'a', which is no step" in last[5]
    assert writer("the largest ship") == made and writer.asked == 3
    again = ConditionWriter(silent := Scripted([]), cache=tmp_path / "plans.jsonl")
    assert again("the largest ship") == made and silent.asked == []


def test_a_model_without_a_plan_ends_in_its_last_reason() -> None:
    def loop(conversation: Conversation, turn: int) -> str:
        return json.dumps({"steps": [{"name": "a", "do": "largest", "of": "a"}]})

    writer = ConditionWriter(Scripted(loop), tries=2)
    with pytest.raises(ValueError, match="2 answers to 'ships' were no valid plan, the last because .* in a loop"):
        writer("ships")
    assert writer.asked == 2
    with pytest.raises(ValueError, match="tries is 0"):
        ConditionWriter(Scripted([]), tries=0)


def test_the_example_of_the_prompt_is_a_valid_plan() -> None:
    from rscovlm.points.condition_writer import SYSTEM, read_object

    shown = read_object(SYSTEM.split("Instruction:")[1])
    jsonschema.validate(shown, SCHEMA)
    assert ConditionPlan.from_dict(shown).answer == SubInstruction("answer", "largest", of="near", count=2)
