"""What is wrong with a recipe is said in one line, without a traceback and before weights are loaded."""

import json
import logging
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from typer.testing import CliRunner

from rscovlm.cli import app
from rscovlm.training.precision import share_out_of_reach, warn_of_rounding
from rscovlm.training.recipe import TrainingRecipe
from rscovlm.training.stages import prepare
from tests.training.conftest import recipe_of

NAN, INF = float("nan"), float("inf")
LORA = {"r": 4, "target_modules": r".*language_model.*\.(q_proj|v_proj)"}
EVALUATION = {"subsets": [{"name": "held", "records": "scenes.jsonl"}], "count": 3, "every": 2}
BOMB = "".join(f"  a{place}: &a{place} [{', '.join([f'*a{place - 1}'] * 10)}]\n" for place in range(1, 9))


@pytest.fixture(scope="module")
def weightless(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Scenes, and a model whose weights are not there: a message about anything else came before they were needed."""
    folder = tmp_path_factory.mktemp("weightless")
    shutil.copytree(root, folder, dirs_exist_ok=True)
    next((folder / "model").glob("*.safetensors")).unlink()
    lines = [json.loads(line) for line in (folder / "scenes.jsonl").read_text(encoding="utf-8").splitlines()]
    for line in lines:
        line["images"][0]["image"]["path"] = "gone.png"
    (folder / "gone.jsonl").write_text("\n".join(map(json.dumps, lines)) + "\n", encoding="utf-8")
    (folder / "text.jsonl").write_text("no record\n" * 9, encoding="utf-8")
    (folder / "empty.jsonl").touch()
    (folder / "notes.txt").touch()
    (folder / "shards").mkdir()
    (folder / "shards" / "train-00000-of-00001.parquet").write_bytes(b"PAR1")
    (folder / "nothing").mkdir()
    (folder / "other").mkdir()
    (folder / "other" / "config.json").write_text('{"model_type": "bert"}', encoding="utf-8")
    return folder


def _said(recipe: Path, root: Path) -> str:
    """Return the line that the command ends with."""
    arguments = ["train", str(recipe), "--root", str(root), "--output", str(recipe.parent / "out"), "--dry-run"]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 2, done.output + repr(done.exception)
    assert isinstance(done.exception, SystemExit)
    return done.output[done.output.index("rscovlm train: ") + len("rscovlm train: ") :].rstrip()


def _changed(recipe: dict[str, Any], place: str, value: Any) -> dict[str, Any]:
    inner: Any = recipe
    *path, last = place.split(".")
    for key in path:
        inner = inner[int(key)] if isinstance(inner, list) else inner.setdefault(key, {})
    inner[last] = value
    return recipe


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        ("steps", 1e30, "rows; give fewer than 1000000000000"),
        ("steps", True, "steps of the recipe is True; give a whole number"),
        ("model", ["a"] * 500, "...; give a text"),
        ("model", "nowhere", "(nowhere does not exist); give the folder of a checkpoint, or its name on the Hub"),
        ("model", "no/such/folder", "(no/such/folder does not exist); give the folder of a checkpoint"),
        ("model", "{root}/nothing", "cannot be loaded (Unrecognized model in"),
        ("model", "{root}/other",  "holds a model of type 'bert'; give one of qwen2_vl, qwen2_5_vl, qwen3_vl"),
        ("model", "embedded ", "did you mean 'embedded'?"),
        ("model", "{root}/model", "no file named model.safetensors"),
        ("dtype", "float16", "'float16', whose steps underflow; give bfloat16 or float32"),
        ("packing.tokens", 10**9, "tokens 1000000000, lookahead 16; give 1 or more, and no more than 1000000"),
        ("packing.lookahead", 10**9, "and no more than 1000000"),
        ("packing.overlap", NAN, "overlap of packing is nan; give a finite number"),
        ("packing.overlap", 0.9, "packing.overlap is 0.9"),
        ("task_weights", {"detection": INF}, "detection in task_weights of the recipe is inf; give a finite number"),
        ("lora", {}, "lora has no target_modules"),
        ("lora", {**LORA, "r": 0}, "lora.r is 0; give 1 or more"),
        ("lora", {**LORA, "r": "many"}, "lora.r is 'many'; give a whole number"),
        ("lora", {**LORA, "bias": "some"}, "lora.bias is 'some'; known are all, lora_only, none"),
        ("lora", {"target_modules": "("}, "lora.target_modules is '(', which is no regular expression"),
        ("lora", {"target_modules": ["q_prj"]}, "lora of the recipe does not fit model"),
        ("lora", {**LORA, "lora_dropout": 3}, "dropout probability has to be between 0 and 1"),
        ("quantization", {"load_in_4bits": True}, "did you mean 'load_in_4bit'?"),
        ("quantization", {"load_in_4bit": "yes"}, "quantization.load_in_4bit is 'yes'; give true or false"),
        ("quantization", {}, "quantization names no number of bits"),
        ("train", "fast", "train of the recipe is 'fast'; give keys and values"),
        ("train.xyz", 1, "train has the unknown key 'xyz'; it takes the arguments of trl.SFTConfig"),
        ("train.warmup_ratio", 0.05, "did you mean 'warmup_steps'?"),
        ("train.learning_rate", [1e-5], "train.learning_rate is [1e-05]; give a number"),
        ("train.learning_rate", None, "train.learning_rate is None; give a number"),
        ("train.learning_rate", NAN, "train.learning_rate is nan; give a finite number"),
        ("train.learning_rate", -1, "train.learning_rate is -1; give 0 or more"),
        ("train.per_device_train_batch_size", 0, "give 1 or more"),
        ("train.per_device_train_batch_size", 2.5, "is 2.5; give a whole number"),
        ("train.gradient_accumulation_steps", {}, "is {}; give a whole number"),
        ("train.dataloader_num_workers", "two", "is 'two'; give a whole number"),
        ("train.dataloader_num_workers", 10**9, "give 1024 or fewer processes"),
        ("learning_rates", {"vision": -1e-5}, "vision in learning_rates of the recipe is -1e-05; give 0 or more"),
        ("train.use_cpu", "no", "train.use_cpu is 'no'; give true or false"),
        ("train.seed", "lucky", "train.seed is 'lucky'; give a whole number"),
        ("train.logging_steps", [], "train.logging_steps is []; give a number"),
        ("train.lr_scheduler_type", "cosin", "cosin is not a valid SchedulerType"),
        ("train.lr_scheduler_type", {"a": 1}, "train.lr_scheduler_type is {'a': 1}; give a text"),
        ("train.report_to", {"a": 1}, "train.report_to is {'a': 1}; give a list"),
        ("train.report_to", "wandbb", "did you mean 'wandb'?"),
        ("train.report_to", "kubeflow", "train.report_to is 'kubeflow', which is not installed"),
        ("train.deepspeed", "nowhere.json", "train.deepspeed is 'nowhere.json', where there is no file"),
        ("train.parallelism_config", {}, "leave it out"),
        ("train.adam_beta1", 3, "Invalid beta parameter"),
        ("train.optim", "adam", "adam is not a valid OptimizerNames"),
        ("train.lr_scheduler_kwargs", {"xyz": 1}, "xyz"),
        ("train.resume_from_checkpoint", "runs/one", "leave it out, and give --resume"),
        ("train.ignore_data_skip", True, "ignore_data_skip=True would cut, join or reorder samples"),
        ("train.auto_find_batch_size", True, "auto_find_batch_size=True would cut, join or reorder samples"),
        ("attention", "sdp", "attention 'sdp' of the recipe does not fit model"),
        ("attention", "kernels-of/nobody", "attention 'kernels-of/nobody' of the recipe does not fit model"),
        ("train.packing", True, "packing=True would cut, join or reorder samples"),
        ("mixture", [], "the recipe is []; give keys and values"),
        ("mixture.codec", "rscovlm_v1", "did you mean 'rscovlm-v1'"),
        ("mixture.codec", "qwen3-vl", "name a codec of the same space"),
        ("mixture.budget.factor", 32, "set budget.factor to 28"),
        ("mixture.budget.max_pixels", 10**30, "is more than any image has"),
        ("mixture.tolerate", "0.5 %", "tolerate of the recipe is '0.5 %'; give a number"),
        ("mixture.schedule", [{"at": -5, "weights": {"scenes": 1}}], "schedule has a change at -5"),
        ("mixture.schedule", [{"at": 5, "weights": {"scene": 1}}], "did you mean 'scenes'?"),
        ("mixture.subsets.0.weight", 0, "no subset has a positive weight among ['scenes']"),
        ("mixture.subsets.0.weight", -2, "weight of subset 'scenes' is -2.0"),
        ("mixture.subsets.0.wieght", 1, "subset 0 has the unknown key 'wieght'; did you mean 'weight'?"),
        ("mixture.subsets.0.render", {"json_rat": 1}, "did you mean 'json_rate'?"),
        ("mixture.subsets.0.render", {"kinds": {"qaud": 1}}, "did you mean 'quad'?"),
        ("mixture.subsets.0.records", "nowhere.jsonl", "no records at"),
        ("mixture.subsets.0.records", "nothing", "give a folder as `rscovlm data convert` writes it"),
        ("mixture.subsets.0.records", "empty.jsonl", "subset 'scenes' has no rows; give it some, or weight 0"),
        ("mixture.subsets.0.records", "text.jsonl", "subset 'scenes' at position 0: ValueError: text.jsonl, row"),
        ("mixture.subsets.0.records", "notes.txt", "records 'notes.txt' are no .jsonl file, .parquet shard or folder"),
        ("mixture.subsets.0.records", "shards", "train-00000-of-00001.parquet cannot be read as a shard"),
        ("mixture.subsets.0.records", "gone.jsonl", "images of subset 'scenes' can be read (no file 'gone.png'"),
        ("mixture.subsets.0.records", "../a.jsonl", "climbs out of its root with '..'"),
        ("mixture.subsets.0.records", "/etc/passwd", "is absolute; write paths relative to the data folder"),
        ("mixture.subsets.0.split", "train", "'scenes.jsonl' is no folder of shards, which alone has splits"),
        ("mixture.subsets.0.images", "nowhere", "images of 'scenes' are to be in 'nowhere', which is no folder"),
        ("evaluation", {"subsets": []}, "no subsets; list at least one"),
        ("evaluation", {**EVALUATION, "subsets": [{"name": "h", "records": "no.jsonl"}]}, "no records at"),
        ("evaluation", {**EVALUATION, "every": 0}, "3 samples every 0 steps; give at least one of each"),
        ("balance", {"targets": {"scenes": {"detection/ap_nc50": 0.5}}}, "by no evaluation; give an evaluation"),
    ],
)  # fmt: skip
def test_a_wrong_recipe_ends_in_one_line(
    weightless: Path, tmp_path: Path, place: str, value: Any, message: str
) -> None:
    value = value.format(root=weightless) if isinstance(value, str) else value
    recipe = recipe_of(weightless, **({"lora": LORA} if place == "quantization" else {}))
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump(_changed(recipe, place, value)), encoding="utf-8")
    said = _said(path, weightless)
    assert message in said
    if "rows: " not in said:  # a table of reasons has lines
        assert "\n" not in said
    assert len(said) < 1500


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the recipe is empty; give keys and values"),
        ("- a\n", "the recipe is ['a']; give keys and values"),
        ("model: [a\n", "recipe.yaml, line 2, column 1 is not YAML"),
        ("model: !!python/object/apply:os.system [ls]\n", "could not determine a constructor for the tag"),
        ("model: a\nsteps: 3\nmodel: b\n", "recipe.yaml, line 3, column 1 has the key 'model' a second time; keep one"),
        ("model: &a [*a]\n", "recipe.yaml, line 1, column 8 holds itself by an alias"),
        ("model: a\nsteps: 3\ntrain:\n  a0: &a0 [x]\n" + BOMB, "stands for more than 100000 values"),
        ("model: a\nsteps: 3\nmixture: " + "[" * 3000 + "]" * 3000, "is not YAML: maximum recursion depth exceeded"),
        ("1: 2\n", "the recipe has the unknown key 1"),
        ("model: a\x00b\n", "is not YAML: unacceptable character #x0000"),
    ],
)
def test_what_is_no_recipe_ends_in_one_line(weightless: Path, tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(text, encoding="utf-8")
    said = _said(path, weightless)
    assert message in said
    assert "\n" not in said


def test_targets_of_what_no_evaluation_measures_are_refused(weightless: Path, tmp_path: Path) -> None:
    balance = {"every": 2, "targets": {"scenes": {"detection/ap50": 0.5}}}
    recipe = recipe_of(weightless, evaluation=EVALUATION, balance=balance)
    with pytest.raises(ValueError, match=r"'detection/ap50' for 'scenes', not measured; did you mean"):
        prepare(TrainingRecipe.from_dict(recipe), root=weightless, output=tmp_path)


def test_weights_that_are_not_all_there_are_refused(root: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    shutil.copytree(root / "model", tmp_path / "model")
    file = next((tmp_path / "model").glob("*.safetensors"))
    weights = load_file(file)
    name = next(name for name in weights if "q_proj.weight" in name)
    save_file({key: value for key, value in weights.items() if key != name}, file, metadata={"format": "pt"})
    recipe = TrainingRecipe.from_dict(recipe_of(root, model=str(tmp_path / "model")))
    with pytest.raises(ValueError, match=r"lack 1 that its configuration has, such as .*q_proj"):
        prepare(recipe, root=root, output=tmp_path)


@pytest.mark.parametrize(("dtype", "rate", "warned"), [("bfloat16", 2e-6, True), ("float32", 2e-6, False)])
def test_steps_that_rounding_takes_away_are_told(
    root: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, dtype: str, rate: float, warned: bool
) -> None:
    recipe = recipe_of(root, dtype=dtype)
    recipe["train"] |= {"learning_rate": rate, "bf16": True}
    with caplog.at_level(logging.WARNING, logger=warn_of_rounding.__module__):
        run = prepare(TrainingRecipe.from_dict(recipe), root=root, output=tmp_path)
    assert ("too small to change" in caplog.text) is warned
    model = run.trainer.model
    share, before = share_out_of_reach(model, rate), [weight.detach().clone() for weight in model.parameters()]
    # What the share says is what a step does: Adam's first one is the learning rate, up or down, for every weight.
    torch.manual_seed(0)
    optimizer = torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=0.0)
    for weight in model.parameters():
        weight.grad = torch.randn_like(weight)
    optimizer.step()
    kept = sum(int((one == other).sum()) for one, other in zip(model.parameters(), before, strict=True))
    assert kept / sum(weight.numel() for weight in before) == pytest.approx(share, abs=0.02)
