"""FSDP2 for real: the shipped configuration, the model sharded over two processes, trains as one process does.

Accelerate takes its path for FSDP on accelerators alone, so the processes tell it that they have one (`Job.fsdp`); the rest,
from reading the file to `fully_shard` and the checkpoint, is what runs on GPUs, over gloo.
"""

from argparse import Namespace
from pathlib import Path
from typing import Any

import pytest

from tests.training.conftest import recipe_of
from tests.training.courses import ROOT, Course, Server

STEPS = 4


def _environment() -> dict[str, str]:
    """Return what ``accelerate launch`` sets for the shipped configuration."""
    from accelerate.commands.launch import _validate_launch_command as validated
    from accelerate.commands.launch import launch_command_parser
    from accelerate.utils.launch import prepare_multi_gpu_env

    path = ROOT / "examples" / "launch" / "accelerate_fsdp.yaml"
    options: Namespace = launch_command_parser().parse_args(["--config_file", str(path), "script.py"])
    environment = prepare_multi_gpu_env(validated(options)[0])
    return {name: value for name, value in environment.items() if name.startswith(("FSDP_", "ACCELERATE_USE_FSDP"))}


@pytest.mark.slow
def test_two_shards_train_as_one_process_and_go_on_when_killed(server: Server, root: Path, tmp_path: Path) -> None:
    from transformers import AutoModelForImageTextToText, AutoProcessor

    environment = _environment()
    assert environment["FSDP_VERSION"] == "2"
    assert environment["ACCELERATE_USE_FSDP"] == "true"
    rates = {"merger": 1e-4, "vision": 2e-3}
    recipe = recipe_of(root, steps=STEPS, packing={"tokens": 512, "lookahead": 8}, learning_rates=rates)
    recipe["train"] |= {"save_strategy": "steps", "save_steps": 2}
    one: dict[str, Any] = {**recipe, "train": {**recipe["train"], "gradient_accumulation_steps": 2}}
    alone = Course(server, tmp_path / "one", root, one)
    alone.undisturbed()
    sharded = Course(server, tmp_path / "two", root, recipe, processes=2, fsdp=True, environment=environment)
    sharded.undisturbed()
    assert (sharded.folder / "whole" / f"checkpoint-{STEPS}" / "pytorch_model_fsdp.bin").is_file(), (
        "written by FSDP alone"
    )
    assert sharded.losses("whole") == pytest.approx(alone.losses("whole"), rel=1e-4)
    batches = [entry["digest"] for step in range(STEPS) for entry in alone.whole[step, 0]]
    assert batches == [sharded.whole[step, rank][0]["digest"] for step in range(STEPS) for rank in range(2)]
    assert sharded.killed_and_resumed("killed", kill_at=3, kill_rank=1) == 2
    last = sharded.folder / "killed" / f"checkpoint-{STEPS}"
    assert AutoProcessor.from_pretrained(last).codec.name == "rscovlm-v1"
    AutoModelForImageTextToText.from_pretrained(last)
