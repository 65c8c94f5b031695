"""A training recipe runs from records on disk to a checkpoint that loads again, packed or not, on one process or two."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from rscovlm.training.parts import part_of
from rscovlm.training.recipe import TrainingRecipe, prepare
from tests.training.conftest import recipe_of

ROOT = Path(__file__).resolve().parents[2]


def _losses(trainer: Any) -> list[float]:
    return [float(entry["loss"]) for entry in trainer.state.log_history if "loss" in entry]


@pytest.mark.parametrize("packing", [{"tokens": 1024, "lookahead": 16}, None])
def test_a_recipe_trains_and_its_checkpoint_loads(root: Path, tmp_path: Path, packing: Any) -> None:
    from transformers import AutoModelForImageTextToText, AutoProcessor

    recipe = TrainingRecipe.from_dict(recipe_of(root, packing=packing))
    run = prepare(recipe, root=root, output=tmp_path, per_device_train_batch_size=1 if packing else 12)
    assert run.report.boxes > 10
    run.trainer.train()
    losses = _losses(run.trainer)
    assert len(losses) == 4
    assert losses[-1] < losses[0]
    run.trainer.save_model(str(tmp_path / "saved"))
    processor: Any = AutoProcessor.from_pretrained(tmp_path / "saved")
    assert type(processor).__name__ == "RSCoVLMProcessor"
    assert processor.budget.max_pixels == 112 * 112
    AutoModelForImageTextToText.from_pretrained(tmp_path / "saved")


def test_parts_can_be_frozen_and_have_their_own_rates(root: Path, tmp_path: Path) -> None:
    changes = {"freeze": ["vision"], "learning_rates": {"merger": 5e-4}}
    run = prepare(TrainingRecipe.from_dict(recipe_of(root, **changes)), root=root, output=tmp_path)
    before = {name: weight.clone() for name, weight in run.trainer.model.named_parameters()}
    rates = {group["lr"] for group in run.trainer.optimizer.param_groups}
    assert rates == {1e-3, 5e-4}
    run.trainer.train()
    for name, weight in run.trainer.model.named_parameters():
        assert weight.equal(before[name]) == (part_of(name) == "vision") or weight.ndim == 1, name


def test_adapters_train_and_load_in_plain_transformers(root: Path, tmp_path: Path) -> None:
    from peft import PeftModel
    from transformers import AutoModelForImageTextToText

    lora = {"r": 4, "target_modules": r".*language_model.*\.(q_proj|v_proj)"}
    run = prepare(TrainingRecipe.from_dict(recipe_of(root, lora=lora)), root=root, output=tmp_path)
    run.trainer.train()
    run.trainer.save_model(str(tmp_path / "adapter"))
    base = AutoModelForImageTextToText.from_pretrained(root / "tiny")
    adapted = PeftModel.from_pretrained(base, str(tmp_path / "adapter"))
    changed = [weight for name, weight in adapted.named_parameters() if "lora_B" in name]
    assert changed
    assert all(float(weight.abs().sum()) > 0 for weight in changed)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"stesp": 3}, "did you mean 'steps'"),
        ({"model": ""}, "no model"),
        ({"freeze": ["eyes"]}, "no part 'eyes'"),
    ],
)
def test_a_wrong_recipe_is_told_what_is_wrong(root: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TrainingRecipe.from_dict(recipe_of(root, **changes))


def test_a_budget_of_another_model_is_refused(root: Path, tmp_path: Path) -> None:
    recipe = recipe_of(root)
    recipe["mixture"] = {**recipe["mixture"], "budget": {"factor": 32}}
    with pytest.raises(ValueError, match="counts tokens of 32 pixels"):
        prepare(TrainingRecipe.from_dict(recipe), root=root, output=tmp_path)


def test_the_shipped_recipes_are_read() -> None:
    found = sorted((ROOT / "examples" / "recipes").glob("*.yaml"))
    assert len(found) >= 3
    for path in found:
        TrainingRecipe.load(path)


@pytest.mark.parametrize(
    "weights", [{}, pytest.param({"loss_per": "root", "token_weights": {"digits": 2.0}}, marks=pytest.mark.slow)]
)
def test_two_processes_train_as_one_with_the_same_global_batch(
    root: Path, tmp_path: Path, weights: dict[str, Any]
) -> None:
    recipe = recipe_of(root, **weights)
    logs = []
    for processes, batch in ((1, 2), (2, 1)):
        recipe["train"] = {**recipe["train"], "per_device_train_batch_size": batch}
        path = tmp_path / f"recipe{processes}.yaml"
        path.write_text(yaml.safe_dump(recipe), encoding="utf-8")
        output = tmp_path / f"run{processes}"
        command = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", str(processes)]
        command += ["--master_port", str(29500 + os.getpid() % 400), str(ROOT / "examples" / "sft.py")]
        command += ["--recipe", str(path), "--root", str(root), "--output", str(output)]
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
        done = subprocess.run(
            command, capture_output=True, text=True, cwd=ROOT, env=environment, timeout=300, check=False
        )
        assert done.returncode == 0, done.stderr[-3000:]
        state = json.loads((output / "trainer_state.json").read_text(encoding="utf-8"))
        logs.append([entry["loss"] for entry in state["log_history"] if "loss" in entry])
    assert len(logs[0]) == 4
    assert logs[1] == pytest.approx(logs[0], rel=1e-4)
