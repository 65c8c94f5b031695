"""The real launchers, all their processes killed at once at a random step after a checkpoint: the run goes on as if not."""

import importlib.util
import os
import shlex
import sys
from pathlib import Path

import numpy as np
import pytest

from rscovlm.training.checkpoints import last_complete
from tests.training.conftest import recipe_of
from tests.training.courses import ROOT, Course, Launcher

STEPS = 10
ZERO = str(ROOT / "examples" / "recipes" / "zero1.json")


def _two() -> list[str]:
    """Return the launcher with its options as ``examples/launch/two_cpus.sh`` starts it."""
    words = shlex.split((ROOT / "examples" / "launch" / "two_cpus.sh").read_text().replace("\\\n", " "), comments=True)
    begin, end = words.index("launch"), words.index("examples/sft.py")
    port = str(29700 + os.getpid() % 90)
    return [sys.executable, "-m", "accelerate.commands.launch", *words[begin + 1 : end], "--main_process_port", port]


@pytest.mark.slow
@pytest.mark.skipif(not os.environ.get("RSCOVLM_LAUNCH"), reason="six launches take minutes; set RSCOVLM_LAUNCH=1")
@pytest.mark.parametrize("kind", ["plain", "ZeRO-1"])
def test_all_killed_at_once_under_accelerate_launch(root: Path, tmp_path: Path, kind: str) -> None:
    if kind == "ZeRO-1" and importlib.util.find_spec("deepspeed") is None:
        pytest.skip("deepspeed is not installed")
    recipe = recipe_of(root, steps=STEPS, packing={"tokens": 512, "lookahead": 8})
    saving = {"save_strategy": "steps", "save_steps": 2, "save_total_limit": 1, "lr_scheduler_type": "cosine"}
    recipe["train"] = {**recipe["train"], **saving, "dataloader_num_workers": 1}
    if kind == "ZeRO-1":
        recipe["train"]["deepspeed"] = ZERO
    course = Course(Launcher(_two()), tmp_path / "course", root, recipe, processes=2)
    course.undisturbed()
    step = int(np.random.default_rng(int(os.environ.get("RSCOVLM_KILLS_SEED", "0"))).integers(3, STEPS - 1))
    since = course.killed_and_resumed("killed", kill_at=step)
    print(f"{kind}: all killed after step {step} at the earliest, went on from step {since}")
    assert 2 <= since < STEPS
    last = last_complete(course.folder / "killed")
    assert last is not None
    assert last.name == f"checkpoint-{STEPS}"
