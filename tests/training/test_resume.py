"""A killed run goes on as if it had not been: same batches, same losses; what was half written is never loaded."""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml

from rscovlm.training.checkpoints import (
    FILES_FILE,
    Engine,
    check_same_engine,
    engine_of,
    fault_of,
    last_complete,
)
from rscovlm.training.provenance import PLAN_FILE, RUN_FILE, differences, read_plan
from rscovlm.training.recipe import TrainingRecipe
from rscovlm.training.run import claimed
from rscovlm.training.stages import prepare
from tests.training.conftest import recipe_of
from tests.training.courses import ROOT, Course, Server

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
        ({"steps": STEPS - 1}, "steps: 7 there, 6 here"),
        ({"lora": {"r": 2, "target_modules": "q_proj"}}, "lora"),
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
def test_every_damaged_file_is_found(course: Course, tmp_path: Path) -> None:
    whole = last_complete(course.folder / "whole")
    assert whole is not None
    copy = tmp_path / whole.name
    shutil.copytree(whole, copy)
    assert fault_of(copy) is None
    files = [path for path in whole.iterdir() if path.suffix != ".md"]
    assert {"config.json", "tokenizer.json", "scheduler.pt", PLAN_FILE, RUN_FILE, FILES_FILE} <= {f.name for f in files}
    for path in files:
        content = path.read_bytes()
        for damaged in (b"", content[: len(content) // 2], content[:-2], bytes(len(content)), None):
            if damaged is None:
                (copy / path.name).unlink()
            else:
                (copy / path.name).write_bytes(damaged)
            assert fault_of(copy), (path.name, damaged)
        (copy / path.name).write_bytes(content)
    assert fault_of(copy) is None


@pytest.mark.slow
def test_told_to_end_it_saves_the_step_it_is_in(course: Course) -> None:
    # As schedulers do, the process that loads data is told as well.
    recipe = {**course.recipe, "train": {**course.recipe["train"], "dataloader_num_workers": 1}}
    path = course.folder / "workers.yaml"
    path.write_text(yaml.safe_dump(recipe), encoding="utf-8")
    assert course.server.run(replace(course.job("told", term_at=4), recipe=str(path))) == [-15], course.said("told")
    assert "step 5 is saved, resume with --resume" in course.said("told")
    last = last_complete(course.folder / "told")
    assert last is not None
    assert last.name == "checkpoint-5"
    assert course.server.run(course.job("told", resume=True)) == [0]
    course.same_as_whole("told")
    assert course.losses("told") == course.losses("whole")


@pytest.mark.slow
def test_a_run_neither_begins_over_checkpoints_nor_anew_where_none_can_be_used(course: Course, tmp_path: Path) -> None:
    shutil.copytree(course.folder / "whole", tmp_path / "out")
    recipe = TrainingRecipe.from_dict(course.recipe)
    with pytest.raises(
        ValueError, match=r"has checkpoints of an earlier run \(checkpoint-7 is the last\); .* --resume"
    ):
        prepare(recipe, root=course.root, output=tmp_path / "out").train()
    for path in (tmp_path / "out").glob("checkpoint-*/optimizer.pt"):
        path.unlink()
    with pytest.raises(ValueError, match=r"checkpoint-7: it holds no state of the optimiser.*move them away"):
        prepare(recipe, root=course.root, output=tmp_path / "out", resume=True)


@pytest.mark.slow
def test_changed_records_are_refused_by_name(course: Course, tmp_path: Path) -> None:
    shutil.copytree(course.root, tmp_path / "data")
    records = tmp_path / "data" / "scenes.jsonl"
    text = records.read_text(encoding="utf-8")
    recipe = TrainingRecipe.from_dict(course.recipe)
    # A row less, and another word of the same length.
    for changed in (text[: text.rindex("\n", 0, -1) + 1], text.replace("ship", "boat")):
        records.write_text(changed, encoding="utf-8")
        with pytest.raises(
            ValueError, match=r"other records \(scenes.jsonl of subset 'scenes' has \d+ rows .* and had 24"
        ):
            prepare(recipe, root=tmp_path / "data", output=course.folder / "whole", resume=True)


def test_the_optimisers_state_of_another_engine_is_refused(tmp_path: Path) -> None:
    for engine, name in (
        ("DeepSpeed", "global_step4/"),
        ("FSDP", "optimizer_0/"),
        ("FSDP", "optimizer.bin"),
        ("plain", "optimizer.pt"),
    ):
        checkpoint = tmp_path / name.strip("/") / "checkpoint-4"
        checkpoint.mkdir(parents=True)
        (checkpoint / name).mkdir() if name.endswith("/") else (checkpoint / name).touch()
        assert engine_of(checkpoint) == engine
        for other in get_args(Engine):
            with nullcontext() if other == engine else pytest.raises(ValueError, match="start it as it was started"):
                check_same_engine(checkpoint, other)


def test_one_run_at_a_time_writes_to_a_folder(tmp_path: Path) -> None:
    code = "import sys; from pathlib import Path; from rscovlm.training.run import claimed\n"
    code += "with claimed(Path(sys.argv[1]), resumed=False): print('in')"
    command = [sys.executable, "-c", code, str(tmp_path)]
    with claimed(tmp_path, resumed=False):
        second = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    assert f"another run is writing to {tmp_path}; end it first" in second.stderr
    assert not list(tmp_path.iterdir())
    assert subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=True).stdout == "in\n"


def test_an_output_that_is_no_folder_is_refused_before_anything_is_loaded(root: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    recipe = TrainingRecipe.from_dict(recipe_of(root, model="absent"))
    for output in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(ValueError, match="output folder .* cannot be used: .*file is a file; choose another"):
            prepare(recipe, root=root, output=output)
    with pytest.raises(FileNotFoundError, match="absent"):
        prepare(recipe, root=root, output=tmp_path / "new" / "one")
    assert not (tmp_path / "new").exists()


def test_nothing_to_go_on_from(tmp_path: Path) -> None:
    assert last_complete(tmp_path / "absent") is None
    (tmp_path / "checkpoint-best").mkdir()
    (tmp_path / "checkpoint-3").mkdir()
    assert last_complete(tmp_path) is None


def test_differences_are_named_by_their_path() -> None:
    assert differences({"a": {"b": [1]}, "c": 1}, {"a": {"b": [2]}, "c": 1}) == ["a.b.0"]
    assert differences({"a": 1}, {"a": 1}) == []
