"""A training recipe runs from records on disk to a checkpoint that loads again, packed or not, on one process or two."""

import json
import os
import runpy
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from typer.testing import CliRunner

from rscovlm.cli import app
from rscovlm.processing.resizing import fast_resizer
from rscovlm.training.arguments import trainer_arguments
from rscovlm.training.parts import part_of
from rscovlm.training.recipe import TrainingRecipe
from rscovlm.training.stages import prepare
from tests.training.conftest import recipe_of

ROOT = Path(__file__).resolve().parents[2]


def _losses(trainer: Any) -> list[float]:
    return [float(entry["loss"]) for entry in trainer.state.log_history if "loss" in entry]


@pytest.mark.parametrize("packing", [{"tokens": 1024, "lookahead": 16}, None])
def test_a_recipe_trains_and_its_checkpoint_loads(root: Path, tmp_path: Path, packing: Any) -> None:
    from transformers import AutoModelForImageTextToText, AutoProcessor

    recipe = TrainingRecipe.from_dict(recipe_of(root, packing=packing, resizer=None if packing else "pillow"))
    run = prepare(recipe, root=root, output=tmp_path, per_device_train_batch_size=1 if packing else 12)
    assert run.report.boxes > 10
    assert run.trainer.data_collator.resizer == (fast_resizer() if packing else "pillow")
    run.trainer.train()
    losses = _losses(run.trainer)
    assert len(losses) == 4
    assert losses[-1] < losses[0]
    run.trainer.save_model(str(tmp_path / "saved"))
    processor: Any = AutoProcessor.from_pretrained(tmp_path / "saved")
    assert type(processor).__name__ == "RSCoVLMProcessor"
    assert processor.budget.max_pixels == 112 * 112
    assert processor.image_processor.resizer == "pillow"  # of inference, whatever trained it
    AutoModelForImageTextToText.from_pretrained(tmp_path / "saved")


@pytest.mark.parametrize("lora", [None, {"r": 4, "target_modules": "all-linear"}])
def test_parts_can_be_frozen_and_have_their_own_rates(root: Path, tmp_path: Path, lora: Any) -> None:
    recipe = recipe_of(root, freeze=["vision"], learning_rates={"merger": 5e-4}, lora=lora, steps=2)
    recipe["train"] |= {"optim": "sgd", "max_grad_norm": 1e9}
    run = prepare(TrainingRecipe.from_dict(recipe), root=root, output=tmp_path)
    weights = dict(run.trainer.model.named_parameters())
    before = {name: weight.detach().clone() for name, weight in weights.items()}
    optimizer = run.trainer.create_optimizer()
    assert isinstance(optimizer, torch.optim.SGD)
    rates = {id(weight): group["lr"] for group in optimizer.param_groups for weight in group["params"]}
    run.trainer.train()
    for name, weight in weights.items():
        trained = part_of(name) != "vision" and (lora is None or "lora_" in name)
        assert rates.get(id(weight)) == ((5e-4 if part_of(name) == "merger" else 1e-3) if trained else None), name
        # What an adapter multiplies with zeros at the beginning has no gradient in the first step.
        if not trained or weight.ndim > 1:
            assert weight.equal(before[name]) == (not trained), name
    trained_bytes = 4 * sum(weight.numel() for weight in weights.values() if id(weight) in rates)
    whole = 4 * sum(weight.numel() for weight in weights.values())
    memory = run.report.memory
    assert memory is not None
    assert (memory.weights, memory.gradients, memory.states) == (whole, trained_bytes, 0)


@pytest.mark.parametrize("dora", [False, True])
def test_adapters_train_and_load_in_plain_transformers(root: Path, tmp_path: Path, dora: bool) -> None:
    from peft import PeftModel
    from transformers import AutoModelForImageTextToText

    lora = {"r": 4, "use_dora": dora, "target_modules": r".*language_model.*\.(q_proj|v_proj)"}
    run = prepare(TrainingRecipe.from_dict(recipe_of(root, lora=lora)), root=root, output=tmp_path)
    run.trainer.train()
    run.trainer.save_model(str(tmp_path / "adapter"))
    base = AutoModelForImageTextToText.from_pretrained(root / "model")
    batch = {"input_ids": torch.arange(40)[None] + 30}
    with torch.no_grad():
        before = base(**batch).logits
        adapted: Any = PeftModel.from_pretrained(base, str(tmp_path / "adapter"))
        after = adapted(**batch).logits
        run.trainer.model.eval().base_model.set_attn_implementation({"text_config": "sdpa"})
        trained = run.trainer.model(**batch).logits
        # transformers takes the folder of an adapter for a model, too.
        alone = AutoModelForImageTextToText.from_pretrained(tmp_path / "adapter")(**batch).logits
    assert torch.allclose(after, trained, atol=1e-5)
    assert torch.allclose(alone, trained, atol=1e-5)
    assert float((after - before).abs().max()) > 1e-2
    assert any("magnitude" in name for name, _ in adapted.named_parameters()) == dora


def test_adapters_on_weights_of_four_bits(root: Path, tmp_path: Path) -> None:
    pytest.importorskip("bitsandbytes", reason="bitsandbytes is not installed")
    lora = {"r": 4, "target_modules": r".*language_model.*\.(q_proj|v_proj)"}
    four = {"load_in_4bit": True, "bnb_4bit_quant_type": "nf4", "bnb_4bit_compute_dtype": "float32"}
    recipe = recipe_of(root, lora=lora, quantization=four)
    recipe["train"] |= {"save_strategy": "steps", "save_steps": 2}
    losses = []
    for resume in (False, True):
        run = prepare(TrainingRecipe.from_dict(recipe), root=root, output=tmp_path, resume=resume)
        assert any(type(module).__name__ == "Linear4bit" for module in run.trainer.model.modules())
        run.train()
        losses.append(_losses(run.trainer))
        trained = [weight for name, weight in run.trainer.model.named_parameters() if "lora_B" in name]
        assert trained
        assert all(weight.dtype == torch.bfloat16 and float(weight.abs().sum()) > 0 for weight in trained)
        shutil.rmtree(tmp_path / "checkpoint-4")
    assert losses[1] == losses[0]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"quantization": {"load_in_4bit": True}}, "quantization is set and lora is not"),
        ({"stesp": 3}, "did you mean 'steps'"),
        ({"freeze": ["vision"], "learning_rates": {"vision": 1e-5}}, "freeze and learning_rates both name 'vision'"),
        ({"model": ""}, "no model"),
        ({"freeze": ["visoin"]}, "freeze of the recipe is 'visoin'; did you mean 'vision'"),
        ({"freeze": "vision"}, "freeze of the recipe is 'vision'; give a list"),
        ({"learning_rates": {"mergre": 1e-5}}, "did you mean 'merger'"),
        ({"learning_rates": {"vision": "fast"}}, "vision in learning_rates of the recipe is 'fast'; give a number"),
        ({"steps": "many"}, "steps of the recipe is 'many'; give a whole number"),
        ({"steps": -3}, "steps of the recipe is -3; give 1 or more"),
        ({"steps": None}, "the recipe has no steps"),
        ({"packing": {"tokens": "6k"}}, "tokens of packing is '6k'; give a whole number"),
        ({"packing": {"too_long": "splti"}}, "too_long of packing is 'splti'; did you mean 'split'"),
        ({"packing": {"tokens": 0}}, "packing has tokens 0, lookahead 256; give 1 or more"),
        ({"dtype": "bfloat"}, "dtype of the recipe is 'bfloat'; did you mean 'bfloat16'"),
        ({"loss_per": "tokens"}, "loss_per of the recipe is 'tokens'; did you mean 'token'"),
        ({"mixture": None}, "the recipe has no mixture"),
    ],
)
def test_a_wrong_recipe_is_told_what_is_wrong(root: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TrainingRecipe.from_dict(recipe_of(root, **changes))


@pytest.mark.parametrize(
    ("part", "changes", "message"),
    [
        ("train", {"learning_rat": 1e-5}, "train has the unknown key 'learning_rat'; did you mean 'learning_rate'"),
        ("train", {"learning_rate": "2e-6x"}, "train.learning_rate is '2e-6x'; give a number"),
        ("train", {"max_steps": 9}, "train.max_steps is 9, which steps of the recipe"),
        ("train", {"save_strategy": "best"}, "'best': the trainer itself evaluates nothing"),
        (
            "train",
            {"accelerator_config": {"split_batches": True}},
            "split_batches is True: every process draws its own",
        ),
        ("train", {"max_length": 100}, "max_length=100 would cut"),
        ("train", {"packing": True}, "packing=True would cut, join"),
        ("freeze", ["vision", "merger", "language"], "no weight is left to train .frozen: vision, merger, language"),
        (
            "learning_rates",
            {"vision": 1e-4},
            "learning_rates names 'vision', of which no weight is trained .trained: lang",
        ),
        ("lora", {"rank": 4}, "lora has the unknown key 'rank'"),
        ("lora", {"alpha": 4}, "did you mean 'lora_alpha'"),
    ],
)
def test_arguments_for_others_are_checked_as_well(
    root: Path, tmp_path: Path, part: str, changes: Any, message: str
) -> None:
    recipe = recipe_of(root)
    if part == "learning_rates":
        recipe["lora"] = {"r": 4, "target_modules": r".*language_model.*\.q_proj"}
    recipe[part] = {**recipe.get(part, {}), **changes} if isinstance(changes, dict) else changes
    with pytest.raises(ValueError, match=message):
        prepare(TrainingRecipe.from_dict(recipe), root=root, output=tmp_path)


def test_numbers_that_yaml_takes_for_texts_are_numbers(root: Path, tmp_path: Path) -> None:
    content = {"learning_rates": {"vision": "1e-4"}, "train": {**recipe_of(root)["train"], "learning_rate": "2e-6"}}
    run = prepare(TrainingRecipe.from_dict(recipe_of(root, **content)), root=root, output=tmp_path)
    assert {group["lr"] for group in run.trainer.create_optimizer().param_groups} == {2e-6, 1e-4}


def test_a_model_that_is_not_there_is_named_by_the_command(root: Path, tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump(recipe_of(root, model=str(tmp_path / "nowhere"))), encoding="utf-8")
    done = CliRunner().invoke(app, ["train", str(path), "--root", str(root), "--output", str(tmp_path / "out")])
    assert done.exit_code == 2
    assert "nowhere' cannot be loaded" in done.output
    assert "give the folder of a checkpoint" in done.output


def test_the_example_does_what_the_command_does(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    script = ROOT / "examples" / "sft.py"
    assert len(script.read_text(encoding="utf-8").splitlines()) < 120
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump(recipe_of(root)), encoding="utf-8")
    done = CliRunner().invoke(app, ["train", str(path), "--root", str(root), "--output", str(tmp_path / "command")])
    assert done.exit_code == 0, done.output
    options = ["--recipe", str(path), "--root", str(root), "--output", str(tmp_path / "script")]
    monkeypatch.setattr(sys, "argv", [str(script), *options])
    runpy.run_path(str(script), run_name="__main__")
    one, other = (tmp_path / name / "model.safetensors" for name in ("command", "script"))
    assert one.read_bytes() == other.read_bytes()
    path.write_text(yaml.safe_dump(recipe_of(root, stesp=4)), encoding="utf-8")
    capsys.readouterr()
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(script), run_name="__main__")
    assert ended.value.code == 2
    assert capsys.readouterr().err == "sft.py: the recipe has the unknown key 'stesp'; did you mean 'steps'?\n"


def test_what_is_no_yaml_is_told(tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text("model: [a\nsteps: 3\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"recipe\.yaml, line 2, column \d+ is not YAML"):
        TrainingRecipe.load(path)


def test_rows_that_no_sample_goes_into_are_refused(root: Path, tmp_path: Path) -> None:
    recipe = TrainingRecipe.from_dict(recipe_of(root, packing={"tokens": 24}))
    with pytest.raises(ValueError, match=r"longer than the token budget\); raise packing.tokens"):
        prepare(recipe, root=root, output=tmp_path)


def test_a_budget_of_another_model_is_refused(root: Path, tmp_path: Path) -> None:
    recipe = recipe_of(root)
    recipe["mixture"] = {**recipe["mixture"], "budget": {"factor": 32}}
    with pytest.raises(ValueError, match="counts tokens of 32 pixels"):
        prepare(TrainingRecipe.from_dict(recipe), root=root, output=tmp_path)


def test_the_shipped_recipes_are_read(tmp_path: Path) -> None:
    from peft import LoraConfig
    from trl import SFTConfig

    found = sorted((ROOT / "examples" / "recipes").glob("*.yaml"))
    assert len(found) >= 3
    for path in found:
        recipe = TrainingRecipe.load(path)
        settings = {**trainer_arguments(recipe.train), "bf16": False, "use_cpu": True, "deepspeed": None}
        assert SFTConfig(output_dir=str(tmp_path), **settings).learning_rate == recipe.train["learning_rate"]
        assert recipe.lora is None or LoraConfig(**recipe.lora).target_modules


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
