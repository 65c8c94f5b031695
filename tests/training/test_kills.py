"""Runs of every kind users start, killed with SIGKILL: the next batches are those to the byte, and so is the loss.

One kill of each kind by default; ``RSCOVLM_KILLS=20`` kills each that often in all, at random steps, in a random process,
while training or at any instant of saving.
"""

import importlib.util
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rscovlm.training.checkpoints import last_complete
from tests.training.conftest import recipe_of
from tests.training.courses import ROOT, Course, Server

STEPS = 5
LORA = {"r": 4, "lora_dropout": 0.1, "target_modules": r".*language_model.*\.(q_proj|v_proj)"}
ZERO = {"deepspeed": str(ROOT / "examples" / "recipes" / "zero1.json")}
KINDS: dict[str, dict[str, Any]] = {
    "two processes": {"processes": 2},
    "workers": {"processes": 1, "train": {"dataloader_num_workers": 2, "gradient_accumulation_steps": 2}},
    "adapters": {"processes": 2, "lora": LORA, "train": {"dataloader_num_workers": 1}},
    "ZeRO-1": {"processes": 2, "train": {**ZERO, "dataloader_num_workers": 1}},
}
BOTH = ("_save_optimizer_and_scheduler", "_save_scaler", "_save_rng_state", "_save_checkpoint")


@pytest.fixture(scope="module")
def courses(server: Server, root: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Course]:
    """Courses by kind; each is run undisturbed when it is first asked for."""
    folder = tmp_path_factory.mktemp("kills")
    made = {}
    for name, kind in KINDS.items():
        recipe = recipe_of(root, steps=STEPS, packing={"tokens": 512, "lookahead": 8}, lora=kind.get("lora"))
        saving = {"save_strategy": "steps", "save_steps": 2, "save_total_limit": 1, "lr_scheduler_type": "cosine"}
        recipe["train"] = {**recipe["train"], **saving, **kind.get("train", {})}
        made[name] = Course(server, folder / name.replace(" ", "_"), root, recipe, processes=kind["processes"])
    return made


def _course(courses: dict[str, Course], name: str) -> Course:
    if name == "ZeRO-1" and importlib.util.find_spec("deepspeed") is None:
        pytest.skip("deepspeed is not installed")
    if not courses[name].whole:
        courses[name].undisturbed()
    return courses[name]


@pytest.mark.slow
@pytest.mark.parametrize("name", KINDS)
def test_what_was_killed_goes_on_as_if_it_had_not_been(courses: dict[str, Course], name: str) -> None:
    course = _course(courses, name)
    assert course.killed_and_resumed("killed", kill_at=3, kill_rank=course.processes - 1) == 2


@pytest.mark.slow
def test_a_checkpoint_counts_once_every_process_has_written_its_part(courses: dict[str, Course]) -> None:
    course = _course(courses, "two processes")
    # The second process dies before it has written its random state, the first has long written its own.
    assert course.killed_and_resumed("part", kill_saving=4, kill_rank=1, kill_in="_save_rng_state") == 2


@pytest.mark.slow
@pytest.mark.skipif(not os.environ.get("RSCOVLM_KILLS"), reason="twenty kills take minutes; set RSCOVLM_KILLS=20")
def test_many_random_kills(courses: dict[str, Course]) -> None:
    rng = np.random.default_rng(int(os.environ.get("RSCOVLM_KILLS_SEED", "0")))
    for number in range(int(os.environ["RSCOVLM_KILLS"])):
        course = _course(courses, list(KINDS)[number % len(KINDS)])
        options: dict[str, Any] = {"kill_rank": int(rng.integers(course.processes))}
        if rng.random() < 0.5:
            options |= {"kill_saving": int(rng.choice([2, 4])), "kill_in": str(rng.choice(BOTH))}
            options |= {"kill_after": float(rng.uniform(0, 0.3))}
        else:
            options |= {"kill_at": int(rng.integers(STEPS))}
        since = course.killed_and_resumed(f"many{number}", **options)
        print(f"kill {number}, {course.folder.name}: {options}, went on from step {since}")
        last = last_complete(course.folder / f"many{number}")
        assert last is not None
        assert last.name == f"checkpoint-{STEPS}"
