"""Two processes train as one does, text beside images too, plainly and under ZeRO-1."""

import importlib.util
from pathlib import Path

import pytest

from rscovlm.data.storage import write_jsonl
from rscovlm.records.record import Record, Turn
from tests.training.conftest import recipe_of
from tests.training.courses import ROOT, Course, Server

STEPS = 6


@pytest.mark.slow
def test_two_processes_of_which_one_has_no_image_train_as_one(server: Server, own_root: Path, tmp_path: Path) -> None:
    talk = [
        Record(f"t{i}", "talk", "train", "conversation", turns=(Turn("user", f"Say {i}."), Turn("assistant", "yes")))
        for i in range(8)
    ]
    write_jsonl(talk, own_root / "talk.jsonl")
    # One sample a row, so that one process often has text alone while the other has an image.
    recipe = recipe_of(own_root, steps=STEPS, packing=None)
    recipe["mixture"]["subsets"] = [*recipe["mixture"]["subsets"], {"name": "talk", "records": "talk.jsonl"}]
    recipe["train"] |= {"save_strategy": "steps", "save_steps": STEPS}
    courses = {}
    for name, processes, train in (
        ("one", 1, {"gradient_accumulation_steps": 2}),
        ("two", 2, {}),
        ("zero", 2, {"deepspeed": str(ROOT / "examples" / "recipes" / "zero1.json")}),
    ):
        if name == "zero" and importlib.util.find_spec("deepspeed") is None:
            continue
        content = {**recipe, "train": {**recipe["train"], **train}}
        courses[name] = Course(server, tmp_path / name, own_root, content, processes=processes)
        courses[name].undisturbed()
    alone = [entry for step in range(STEPS) for entry in courses["one"].whole[step, 0]]
    pairs = {(alone[place]["images"], alone[place + 1]["images"]) for place in range(0, 2 * STEPS, 2)}
    assert pairs & {(True, False), (False, True)}, "no step has text beside an image; choose another seed"
    for name in set(courses) - {"one"}:
        both = [courses[name].whole[step, rank][0] for step in range(STEPS) for rank in range(2)]
        assert [entry["digest"] for entry in both] == [entry["digest"] for entry in alone]
        assert courses[name].losses("whole") == pytest.approx(courses["one"].losses("whole"), rel=1e-3)
