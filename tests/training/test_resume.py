"""A killed run goes on as if it had not been: same batches, same losses; what was half written is never loaded."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

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
from tests.training.courses import Course, Server

STEPS = 7


@pytest.fixture(scope="module")
def course(server: Server, tmp_path_factory: pytest.TempPathFactory, root: Path) -> Course:
    recipe = recipe_of(root, steps=STEPS, packing={"tokens": 512, "lookahead": 8})
    changes = {"save_strategy": "steps", "save_steps": 2, "save_total_limit": 2, "lr_scheduler_type": "cosine"}
    recipe["train"] = {**recipe["train"], **changes}
    made = Course(server, tmp_path_factory.mktemp("resume"), root, recipe)
    made.undisturbed()
    return made


@pytest.mark.slow
def test_a_killed_run_goes_on_as_if_it_had_not_been(course: Course) -> None:
    assert course.killed_and_resumed("killed", kill_at=5) == 4


@pytest.mark.slow
def test_a_checkpoint_half_written_is_passed_over(course: Course) -> None:
    # Killed after the weights were written and before the rest: step 4 is there in part, step 2 whole.
    assert course.killed_and_resumed("saving", kill_saving=4) == 2


def _full(course: Course, name: str, **options: Any) -> None:
    """Run into a full disk at step 4, make room, go on."""
    assert course.server.run(course.job(name, **options)) == [1]
    said = course.said(name)
    assert "checkpoint-4 could not be written" in said
    assert "checkpoint-2 is whole, free some space" in said
    last = last_complete(course.folder / name)
    assert last is not None
    assert last.name == "checkpoint-2"
    assert not (course.folder / name / "checkpoint-4").exists()


@pytest.mark.slow
def test_files_that_may_not_grow_leave_the_last_good_checkpoint(course: Course) -> None:
    _full(course, "full", largest=100_000)
    assert course.server.run(course.job("full", resume=True)) == [0]
    course.same_as_whole("full")


@pytest.fixture
def small_disk(course: Course) -> Iterator[Path]:
    """A file system with room for one checkpoint and a half."""
    folder = course.folder / "disk"
    folder.mkdir()
    whole = last_complete(course.folder / "whole")
    assert whole is not None
    size = sum(path.stat().st_size for path in whole.rglob("*"))
    command = ["mount", "-t", "tmpfs", "-o", f"size={size * 3 // 2}", "tmpfs", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False) if shutil.which("mount") else None
    if done is None or done.returncode:
        said = "there is no mount" if done is None else done.stderr.strip()
        pytest.skip(f"no file system can be mounted here ({said}); that files may not grow is tested")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.mark.slow
def test_a_full_disk_leaves_the_last_good_checkpoint(course: Course, small_disk: Path) -> None:
    _full(course, small_disk.name)
    subprocess.run(["mount", "-o", "remount,size=100m", str(small_disk)], check=True)
    assert course.server.run(course.job(small_disk.name, resume=True)) == [0]
    course.same_as_whole(small_disk.name)
    # Full once more when the model is saved at the end: the last checkpoint is whole, and there is nothing left to train.
    for path in small_disk.iterdir():
        if path.is_file():
            path.unlink()
    used = sum(path.stat().st_size for path in small_disk.rglob("*") if path.is_file())
    subprocess.run(["mount", "-o", f"remount,size={used + 200_000}", str(small_disk)], check=True)
    assert course.server.run(course.job(small_disk.name, resume=True)) == [1]
    assert f"checkpoint-{STEPS} is whole, free some space" in course.said(small_disk.name)
    subprocess.run(["mount", "-o", "remount,size=100m", str(small_disk)], check=True)
    assert course.server.run(course.job(small_disk.name, resume=True)) == [0]
    assert (small_disk / "model.safetensors").is_file()


@pytest.mark.slow
def test_a_checkpoint_holds_all_there_is_to_know(course: Course) -> None:
    from transformers import AutoModelForImageTextToText, AutoProcessor

    last = last_complete(course.folder / "whole")
    assert last is not None
    said = json.loads((last / RUN_FILE).read_text())
    assert TrainingRecipe.from_dict(said["recipe"]) == TrainingRecipe.load(course.path)
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
def test_a_checkpoint_of_another_recipe_is_refused(course: Course) -> None:
    subset = {**course.recipe["mixture"]["subsets"][0], "weight": 2}
    for changes, key in (
        ({"steps": STEPS + 1}, "steps: 7 there, 8 here"),
        ({"lora": {"r": 2}}, "lora"),
        (
            {"mixture": {**course.recipe["mixture"], "subsets": [subset]}},
            r"mixture.subsets.0.weight: 1.0 there, 2.0 here",
        ),
    ):
        recipe = TrainingRecipe.from_dict({**course.recipe, **changes})
        with pytest.raises(ValueError, match=f"belongs to another recipe .*{key}"):
            prepare(recipe, root=course.root, output=course.folder / "whole", resume=True)
    with pytest.raises(ValueError, match="trained 1 rows a step, this run would train 2"):
        prepare(
            TrainingRecipe.from_dict(course.recipe),
            root=course.root,
            output=course.folder / "whole",
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
def test_every_file_cut_short_is_found(course: Course, tmp_path: Path) -> None:
    whole = last_complete(course.folder / "whole")
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
    assert differences({"a": {"b": [1]}, "c": 1}, {"a": {"b": [2]}, "c": 1}) == ["a.b.0"]
    assert differences({"a": 1}, {"a": 1}) == []
