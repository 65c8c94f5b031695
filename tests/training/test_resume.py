"""A killed run goes on as if it had not been: same batches, same losses; what was half written is never loaded."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from rscovlm.training.checkpoints import (
    PLAN_FILE,
    RUN_FILE,
    STATE_FILE,
    differences,
    fault_of,
    last_complete,
    read_plan,
)
from rscovlm.training.recipe import TrainingRecipe, prepare
from tests.training.conftest import recipe_of

ROOT = Path(__file__).resolve().parents[2]
STEPS = 7


class Runs:
    """A recipe that saves every second step, and the course of a run of it that nothing disturbed."""

    def __init__(self, folder: Path, root: Path) -> None:
        self.folder, self.root = folder, root
        self.recipe = recipe_of(root, steps=STEPS, packing={"tokens": 512, "lookahead": 8})
        changes = {"save_strategy": "steps", "save_steps": 2, "save_total_limit": 2, "lr_scheduler_type": "cosine"}
        self.recipe["train"] = {**self.recipe["train"], **changes}
        self.path = folder / "recipe.yaml"
        self.path.write_text(yaml.safe_dump(self.recipe), encoding="utf-8")
        assert self.run("whole").returncode == 0
        self.whole = self.log("whole")
        assert sorted(self.whole) == list(range(STEPS))

    def run(self, name: str, *options: str) -> Any:
        arguments = [self.path, self.root, self.folder / name, self.folder / f"{name}.log", *options]
        command = [sys.executable, "-m", "tests.training.run_watched", *map(str, arguments)]
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
        return subprocess.run(
            command, capture_output=True, text=True, cwd=ROOT, env=environment, timeout=600, check=False
        )

    def log(self, name: str) -> dict[int, list[dict[str, Any]]]:
        found: dict[int, list[dict[str, Any]]] = {}
        for line in (self.folder / f"{name}.log").read_text().splitlines():
            entry = json.loads(line)
            found.setdefault(entry["step"], []).append(entry)
        return found

    def same_as_whole(self, name: str) -> None:
        """Every step was taken, some twice, and always on the same batch with the same loss."""
        found = self.log(name)
        assert sorted(found) == list(range(STEPS))
        for step, entries in found.items():
            for entry in entries:
                assert entry["digest"] == self.whole[step][0]["digest"], step
                assert entry["loss"] == pytest.approx(self.whole[step][0]["loss"], rel=1e-6), step


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory, root: Path) -> Runs:
    return Runs(tmp_path_factory.mktemp("resume"), root)


def _killed_and_resumed(runs: Runs, name: str, *options: str) -> int:
    killed = runs.run(name, *options)
    assert killed.returncode == -9, killed.stderr[-2000:]
    last = last_complete(runs.folder / name)
    done = runs.run(name, "--resume")
    assert done.returncode == 0, done.stderr[-3000:]
    assert "missing keys" not in done.stderr
    runs.same_as_whole(name)
    return 0 if last is None else int(last.name.removeprefix("checkpoint-"))


@pytest.mark.slow
def test_a_killed_run_goes_on_as_if_it_had_not_been(runs: Runs) -> None:
    assert _killed_and_resumed(runs, "killed", "--kill-at", "5") == 4


@pytest.mark.slow
def test_a_checkpoint_half_written_is_passed_over(runs: Runs) -> None:
    # Killed after the weights were written and before the rest: step 4 is there in part, step 2 whole.
    assert _killed_and_resumed(runs, "saving", "--kill-saving", "4") == 2


@pytest.mark.slow
@pytest.mark.skipif(not os.environ.get("RSCOVLM_KILLS"), reason="twenty kills take minutes; set RSCOVLM_KILLS=20")
def test_many_random_kills(runs: Runs) -> None:
    rng = np.random.default_rng(0)
    for number in range(int(os.environ["RSCOVLM_KILLS"])):
        while_saving = rng.random() < 0.3
        step = str(int(rng.choice([2, 4, 6]) if while_saving else rng.integers(0, STEPS)))
        _killed_and_resumed(runs, f"many{number}", "--kill-saving" if while_saving else "--kill-at", step)


@pytest.mark.slow
def test_a_full_disk_leaves_the_last_good_checkpoint(runs: Runs) -> None:
    full = runs.run("full", "--largest", "100000")
    assert full.returncode == 1
    assert "checkpoint-4 could not be written" in full.stderr
    assert "checkpoint-2 is whole, free some space" in full.stderr
    last = last_complete(runs.folder / "full")
    assert last is not None
    assert last.name == "checkpoint-2"
    assert not (runs.folder / "full" / "checkpoint-4").exists()
    done = runs.run("full", "--resume")
    assert done.returncode == 0, done.stderr[-3000:]
    runs.same_as_whole("full")


@pytest.mark.slow
def test_a_checkpoint_holds_all_there_is_to_know(runs: Runs) -> None:
    from transformers import AutoModelForImageTextToText, AutoProcessor

    last = last_complete(runs.folder / "whole")
    assert last is not None
    said = json.loads((last / RUN_FILE).read_text())
    assert TrainingRecipe.from_dict(said["recipe"]) == TrainingRecipe.load(runs.path)
    assert said["next_row"] == said["rows_per_step"] * int(last.name.removeprefix("checkpoint-"))
    assert {"rscovlm", "torch", "transformers", "trl"} <= set(said["versions"])
    lane = read_plan(last)[0]
    assert lane.packs == said["next_row"]
    assert len(lane.waiting) <= 8
    assert lane.next > lane.packs
    processor: Any = AutoProcessor.from_pretrained(last)
    assert processor.codec.name == "rscovlm-v1"
    AutoModelForImageTextToText.from_pretrained(last)


@pytest.mark.slow
def test_a_checkpoint_of_another_recipe_is_refused(runs: Runs) -> None:
    for changes, key in (({"steps": STEPS + 1}, "steps: 7 there, 8 here"), ({"lora": {"r": 2}}, "lora")):
        recipe = TrainingRecipe.from_dict({**runs.recipe, **changes})
        with pytest.raises(ValueError, match=f"belongs to another recipe .*{key}"):
            prepare(recipe, root=runs.root, output=runs.folder / "whole", resume=True)
    with pytest.raises(ValueError, match="trained 1 rows a step, this run would train 2"):
        prepare(
            TrainingRecipe.from_dict(runs.recipe),
            root=runs.root,
            output=runs.folder / "whole",
            resume=True,
            per_device_train_batch_size=2,
        )


def test_adapters_go_on_too(root: Path, tmp_path: Path) -> None:
    recipe = recipe_of(root, lora={"r": 4, "target_modules": r".*language_model.*\.(q_proj|v_proj)"})
    recipe["train"] = {**recipe["train"], "save_strategy": "steps", "save_steps": 2, "learning_rate": 1e-2}
    losses = []
    for resume in (False, True):
        run = prepare(TrainingRecipe.from_dict(recipe), root=root, output=tmp_path, resume=resume)
        run.train()
        losses.append([entry["loss"] for entry in run.trainer.state.log_history if "loss" in entry])
        shutil.rmtree(tmp_path / "checkpoint-4")
    assert run.checkpoint == tmp_path / "checkpoint-2"
    assert len(losses[0]) == 4
    assert losses[1] == pytest.approx(losses[0], rel=1e-6)


@pytest.mark.slow
def test_every_file_cut_short_is_found(runs: Runs, tmp_path: Path) -> None:
    whole = last_complete(runs.folder / "whole")
    assert whole is not None
    for name in ("model.safetensors", "optimizer.pt", "scheduler.pt", "rng_state.pth", PLAN_FILE, STATE_FILE):
        size = (whole / name).stat().st_size
        for kept in (0, size // 2, size - 2):
            copy = tmp_path / f"{name}{kept}" / whole.name
            shutil.copytree(whole, copy)
            with (copy / name).open("r+b") as file:
                file.truncate(kept)
            assert fault_of(copy), (name, kept)
            assert last_complete(copy.parent) is None
            shutil.rmtree(copy.parent)


def test_nothing_to_go_on_from(tmp_path: Path) -> None:
    assert last_complete(tmp_path / "absent") is None
    (tmp_path / "checkpoint-best").mkdir()
    (tmp_path / "checkpoint-3").mkdir()
    assert last_complete(tmp_path) is None


def test_differences_are_named_by_their_path() -> None:
    assert differences({"a": {"b": [1]}, "c": 1}, {"a": {"b": [2]}, "c": 1}) == ["a.b"]
    assert differences({"a": 1}, {"a": 1}) == []
