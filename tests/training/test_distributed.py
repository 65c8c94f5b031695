"""Two real processes: started as the examples start them, mixed batches, ZeRO-1; and the launch files are well formed."""

import importlib.util
import json
import os
import shlex
import subprocess
import sys
from argparse import Namespace
from pathlib import Path
from typing import Any

import pytest
import yaml

from rscovlm.data.storage import write_jsonl
from rscovlm.records.record import Record, Turn
from tests.training.conftest import recipe_of

ROOT = Path(__file__).resolve().parents[2]
LAUNCH = ROOT / "examples" / "launch"


def _recipe(root: Path, tmp_path: Path, train: dict[str, Any] | None = None, **changes: Any) -> Path:
    recipe = recipe_of(root, **{"steps": 3, "packing": {"tokens": 256, "lookahead": 1}, **changes})
    recipe["train"] = {**recipe["train"], "save_strategy": "steps", "save_steps": 3, **(train or {})}
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump(recipe), encoding="utf-8")
    return path


def _run(command: list[str], recipe: Path, root: Path, output: Path) -> dict[str, Any]:
    command += [
        str(ROOT / "examples" / "sft.py"),
        "--recipe",
        str(recipe),
        "--root",
        str(root),
        "--output",
        str(output),
    ]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "DS_ACCELERATOR": "cpu"}
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment, timeout=540, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    said: dict[str, Any] = json.loads((output / "checkpoint-3" / "rscovlm_run.json").read_text(encoding="utf-8"))
    state = json.loads((output / "checkpoint-3" / "trainer_state.json").read_text(encoding="utf-8"))
    return {
        **said,
        "losses": [entry["loss"] for entry in state["log_history"] if "loss" in entry],
        "log": state["log_history"],
    }


def _launcher(name: str, *options: str) -> list[str]:
    return [sys.executable, "-m", name, *options]


@pytest.mark.slow
def test_accelerate_starts_two_and_text_beside_images_does_not_hang(own_root: Path, tmp_path: Path) -> None:
    talk = [
        Record(f"t{i}", "talk", "train", "conversation", turns=(Turn("user", f"Say {i}."), Turn("assistant", "yes")))
        for i in range(8)
    ]
    write_jsonl(talk, own_root / "talk.jsonl")
    # One sample a row: with equal weights, one process often has text alone while the other has an image.
    mixture = recipe_of(own_root)["mixture"]
    mixture["subsets"] = [*mixture["subsets"], {"name": "talk", "records": "talk.jsonl"}]
    recipe = _recipe(own_root, tmp_path, mixture=mixture, packing=None)
    port = str(29900 + os.getpid() % 90)
    command = _launcher(
        "accelerate.commands.launch", "--multi_gpu", "--num_machines", "1", "--num_processes", "2",
        "--mixed_precision", "no", "--dynamo_backend", "no", "--main_process_port", port,
    )  # fmt: skip
    found = _run(command, recipe, own_root, tmp_path / "out")
    assert found["processes"] == 2
    assert found["rows_per_step"] == 2
    assert len(found["losses"]) == 3
    seen = {task for entry in found["log"] for task in ("conversation", "detection") if f"samples/{task}" in entry}
    assert "conversation" in seen
    # Samples of both processes are counted.
    samples = [
        sum(v for k, v in entry.items() if k.startswith("samples/")) for entry in found["log"] if "loss" in entry
    ]
    assert samples == [2, 2, 2]


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("deepspeed") is None, reason="deepspeed is not installed")
def test_zero_1_on_two_processes_follows_the_course_of_two_plain_ones(root: Path, tmp_path: Path) -> None:
    losses = []
    zero = {"deepspeed": str(ROOT / "examples" / "recipes" / "zero1.json")}
    for name, changes in (("plain", {}), ("zero", zero)):
        folder = tmp_path / name
        folder.mkdir()
        recipe = _recipe(root, folder, train=changes, learning_rates={"merger": 1e-5, "language": 5e-3})
        port = str(29800 + os.getpid() % 90)
        command = _launcher("torch.distributed.run", "--nproc_per_node", "2", "--master_port", port)
        found = _run(command, recipe, root, folder / "out")
        assert found["processes"] == 2
        losses.append(found["losses"])
    assert len(losses[0]) == 3
    assert losses[1] == pytest.approx(losses[0], rel=1e-3)


def test_accelerate_configs_are_taken_by_accelerate() -> None:
    from accelerate.commands.config.config_args import load_config_from_file
    from transformers.models.qwen2_5_vl import modeling_qwen2_5_vl

    found = sorted(LAUNCH.glob("accelerate_*.yaml"))
    assert len(found) == 2
    for path in found:
        config: Any = load_config_from_file(str(path))
        assert config.num_processes == 8
        if config.distributed_type == "FSDP":
            for name in config.fsdp_config["fsdp_transformer_layer_cls_to_wrap"].split(","):
                assert hasattr(modeling_qwen2_5_vl, name), name
        else:
            assert (ROOT / config.deepspeed_config["deepspeed_config_file"]).is_file()


@pytest.mark.parametrize("name", ["slurm.sh", "torchrun.sh", "two_cpus.sh"])
def test_launch_scripts_parse_and_start_what_there_is(name: str) -> None:
    path = LAUNCH / name
    assert subprocess.run(["bash", "-n", str(path)], check=False).returncode == 0
    words = shlex.split(path.read_text().replace("\\\n", " "), comments=True)
    script = words.index("examples/sft.py")
    options = words[script + 1 :]
    text = (ROOT / "examples" / "sft.py").read_text()
    assert all(f'"{option}"' in text for option in options if option.startswith("--"))
    if "torchrun" in words:
        from torch.distributed.run import get_args_parser

        start = words.index("torchrun") + 1
        numbers = [word if word.startswith("--") or "c10d" in word else "1" for word in words[start:script]]
        parsed: Namespace = get_args_parser().parse_args([*numbers, "script.py"])
        assert parsed.training_script == "script.py"


def test_launch_scripts_hand_on_paths_with_spaces_and_ask_for_what_is_missing(tmp_path: Path) -> None:
    for name in ("srun", "torchrun", "accelerate", "scontrol"):
        said = "printf 'first\\nsecond\\n'" if name == "scontrol" else "printf '%s\\n' \"$@\""
        (tmp_path / name).write_text(f"#!/bin/sh\n{said}\n")
        (tmp_path / name).chmod(0o755)
    slurm = {"SLURM_JOB_NODELIST": "n[1-2]", "SLURM_JOB_ID": "71234", "SLURM_JOB_NUM_NODES": "2"}
    plain = {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    given = ["my recipe.yaml", "my data", "my run"]
    for name, environment, head in (
        ("slurm.sh", {**slurm, "SLURM_CPUS_PER_TASK": "8"}, "first:31234"),
        ("torchrun.sh", {"NODES": "2", "RANK": "1", "HEAD": "first"}, "first"),
        ("two_cpus.sh", {}, "no"),
    ):
        command = ["bash", str(LAUNCH / name)]
        done = subprocess.run(
            [*command, *given], capture_output=True, text=True, env={**plain, **environment}, check=True
        )
        words = done.stdout.splitlines()
        script = words.index("examples/sft.py")
        assert words[script + 1 : script + 7] == ["--recipe", given[0], "--root", given[1], "--output", given[2]]
        assert head in words[:script]
        for missing in ("recipe", "HEAD") if name == "torchrun.sh" else ("recipe",):
            less = {**plain, **environment} | ({"HEAD": ""} if missing == "HEAD" else {})
            less_given = [] if missing == "recipe" else given
            failed = subprocess.run([*command, *less_given], capture_output=True, text=True, env=less, check=False)
            assert failed.returncode
            assert missing in failed.stderr


def test_slurm_asks_for_one_task_a_node() -> None:
    lines = [
        line.split(" ", 1)[1] for line in (LAUNCH / "slurm.sh").read_text().splitlines() if line.startswith("#SBATCH")
    ]
    asked = dict(line.removeprefix("--").split("=") for line in lines if "=" in line)
    # torchrun starts the processes of a node itself.
    assert asked["ntasks-per-node"] == "1"
    assert int(asked["gpus-per-node"]) == 8
