"""The recipes for large models, run as they are shipped but for the model, the number of steps and what a CPU forces."""

import contextlib
import json
import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any, get_args

import pytest
import torch
import yaml
from typer.testing import CliRunner

from rscovlm.cli import app
from rscovlm.testing import tiny_checkpoint
from rscovlm.training.arguments import adapter_config, trainer_arguments
from rscovlm.training.checkpoints import last_complete
from rscovlm.training.parts import Part, freeze, part_of
from rscovlm.training.provenance import RUN_FILE
from rscovlm.training.recipe import TrainingRecipe
from rscovlm.training.stages import prepare
from tests.data.sources.layouts import chat, encoded, picture, text
from tests.training.courses import ENVIRONMENT, ROOT

RECIPES = ROOT / "examples" / "recipes"
SIDE = 360


def _raw(folder: Path) -> None:
    """Write a few rows of each source of the paper's mixture as they are published, where the guide has them unpacked."""
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    root = folder / "vhm"
    rows: list[Any] = []
    for number in range(3):
        picture(root, f"images/aid/{number}.jpg", SIDE, SIDE)
        asked = chat("<image>\nWhich class?", "Airport")
        rows.append({"id": number, "image": f"aid/{number}.jpg", "conversations": asked})
    text(root, "vhm_sft_mix_qwen2_5_vl_conversations.json", rows)

    root = folder / "geochat"
    rows = []
    for number in range(3):
        picture(root, f"final_images_llava/{number}.jpg", SIDE, SIDE)
        rows.append({"id": number, "image": f"{number}.jpg", "conversations": chat("<image>\nDescribe.", "A field.")})
    text(root, "GeoChat_Instruct.json", rows)

    root = folder / "refgeo"
    picture(root, "images/rsvg/a.jpg", SIDE, SIDE)
    row: dict[str, Any] = {"image_id": "a.jpg", "bbox": [60, 80, 200, 180], "image_width": SIDE, "image_height": SIDE}
    row |= {"dataset": "rsvg", "poly": [60, 80, 200, 80, 200, 180, 60, 180]}
    text(root, "metainfo_v2/rsvg_train_v2.jsonl", [row | {"question": f"roof {n}", "question_id": n} for n in range(3)])

    root = folder / "dota_512"
    for part in ("train", "val"):
        picture(root, f"{part}/images/{part}.png", 700, 560)
        places = [(40, 30), (300, 200), (600, 420)]
        lines = [f"{x} {y} {x + 60} {y} {x + 60} {y + 30} {x} {y + 30} ship 0" for x, y in places]
        text(root, f"{part}/labelTxt-v1.0/{part}.txt", "\n".join(lines) + "\n")

    root = folder / "teochatlas"
    frames = [picture(root, f"TEOChatlas/train/fMoW/{time}.png", SIDE, SIDE) for time in ("before", "after")]
    asked = chat("<video>\nWhat was built?", "A hall.")
    row = {"id": "7", "video": frames, "timestamp": ["2017-01-02", "2018-03-04"], "conversations": asked}
    text(root, "TEOChatlas/train/instruct_fMoW.json", [row])

    root = folder / "lrs_vqa_zoom"
    picture(root, "LRS_VQA/images/train/dota/a.png", 1600, 1200)
    row = {"image": "/home/someone/dataset/dota/a.png", "image_ori_width": 1600, "image_ori_height": 1200}
    row |= {"bbox_info": {"crop_hbox": [[100, 200, 400, 500]]}, "question": "Which colour?", "answer": "blue"}
    text(root, "LRS_VQA/annotations/train/a.json", [row])

    root = folder.parent / "LLAVA"
    root.mkdir()
    image = {"bytes": encoded(SIDE, SIDE), "path": "a.png"}
    rows = [{"id": "1", "image": image, "conversations": chat("What is it?", "A cat.")}]
    rows.append({"id": "2", "image": None, "conversations": chat("2 + 2?", "4")})
    parquet.write_table(pyarrow.Table.from_pylist(rows), root / "train-00000-of-00001.parquet")


def _commands() -> list[list[str]]:
    """Return the commands of the guide that prepare the data of the recipes."""
    guide = (ROOT / "docs" / "training.md").read_text(encoding="utf-8").split("## The recipes that ship")[1]
    lines = guide.split("```")[1].splitlines()
    return [shlex.split(line, comments=True)[1:] for line in lines if line.startswith("rscovlm")]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the guide's commands make of the published layouts, and a tiny model of the recipes' family."""
    folder = tmp_path_factory.mktemp("shipped")
    _raw(folder / "data")
    tiny_checkpoint(folder / "data" / "model")
    with contextlib.chdir(folder):
        for command in _commands():
            done = CliRunner().invoke(app, command)
            assert done.exit_code == 0, done.output
    return folder / "data"


def _changed(name: str, data: Path, **train: Any) -> dict[str, Any]:
    """Return a shipped recipe's plain values with the model, the steps and what the CPU forces changed."""
    recipe: dict[str, Any] = yaml.safe_load((RECIPES / f"{name}.yaml").read_text(encoding="utf-8"))
    recipe |= {"model": str(data / "model"), "steps": 2}
    recipe["train"] |= {"use_cpu": True, "logging_steps": 1, "disable_tqdm": True, **train}
    return recipe


@pytest.mark.parametrize("name", ["rscovlm-7b", "rscovlm-7b-detection"])
def test_the_paper_s_numbers_are_what_the_trainer_gets(name: str, tmp_path: Path) -> None:
    from transformers import get_scheduler
    from trl import SFTConfig

    recipe = TrainingRecipe.load(RECIPES / f"{name}.yaml")
    settings = trainer_arguments(recipe.train) | {"use_cpu": True, "deepspeed": None, "max_steps": recipe.steps}
    arguments = SFTConfig(str(tmp_path), **settings)
    assert recipe.packing is not None
    assert recipe.packing.tokens == 6144
    assert (recipe.mixture.budget.min_pixels, recipe.mixture.budget.max_pixels) == (224**2, 1008**2)
    assert (arguments.weight_decay, arguments.bf16, recipe.dtype) == (0.1, True, "bfloat16")
    launch = yaml.safe_load((ROOT / "examples" / "launch" / "accelerate_zero1.yaml").read_text(encoding="utf-8"))
    rows = arguments.per_device_train_batch_size * arguments.gradient_accumulation_steps
    assert launch["num_processes"] * rows == 32
    assert launch["deepspeed_config"]["deepspeed_config_file"] == recipe.train["deepspeed"]
    assert json.loads((ROOT / recipe.train["deepspeed"]).read_text(encoding="utf-8"))["zero_optimization"] == {
        "stage": 1
    }
    optimizer = torch.optim.AdamW([torch.zeros(1, requires_grad=True)], lr=arguments.learning_rate)
    warmup = arguments.get_warmup_steps(recipe.steps)
    assert recipe.steps is not None
    assert warmup == recipe.steps // 20
    schedule: Any = get_scheduler(arguments.lr_scheduler_type, optimizer, warmup, recipe.steps)
    (rate,) = schedule.lr_lambdas
    assert (rate(0), rate(warmup // 2), rate(warmup), rate(recipe.steps)) == pytest.approx((0, 0.5, 1, 0))
    assert rate(warmup + (recipe.steps - warmup) // 2) == pytest.approx(0.5)  # half of a cosine
    assert arguments.learning_rate == 2e-6


def test_the_paper_s_recipe_draws_forms_and_sizes_as_the_paper_does() -> None:
    subsets = {subset.name: subset for subset in TrainingRecipe.load(RECIPES / "rscovlm-7b.yaml").mixture.subsets}
    assert {"vhm", "geochat", "refgeo", "dota", "teochat", "lrs_vqa_zoom", "llava_onevision"} == set(subsets)
    assert all(subset.render.resize_rate > 0 for subset in subsets.values())
    assert all(0 < (subsets[name].render.json_rate or 0) < 1 for name in ("vhm", "refgeo", "dota", "teochat"))
    assert dict(subsets["refgeo"].render.kinds) == {"hbb": 1}


# What their configurations say: width, width of the gated layers, layers, heads, of which for keys, words, whether the
# head is the embedding; and how many weights vision tower, merger and language model have, of 8.29 and 3.75 billions.
SIZES = {
    "7B": ((3584, 18944, 28, 28, 4, 152064, False), (631_975_680, 44_574_464, 7_615_616_512)),
    "3B": ((2048, 11008, 36, 16, 2, 151936, True), (631_975_680, 36_708_608, 3_085_938_688)),
}


def _skeleton(size: str) -> Any:
    """Build Qwen2.5-VL in a published size, without weights."""
    from transformers import AutoModelForImageTextToText, Qwen2_5_VLConfig

    width, gated, layers, heads, keys, words, tied = SIZES[size][0]
    text: Any = {
        "hidden_size": width,
        "intermediate_size": gated,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
    }
    text |= {"num_key_value_heads": keys, "vocab_size": words, "tie_word_embeddings": tied}
    text |= {"rope_parameters": {"rope_type": "default", "rope_theta": 1e6, "mrope_section": [16, 24, 24]}}
    vision = {"depth": 32, "hidden_size": 1280, "intermediate_size": 3420, "num_heads": 16, "out_hidden_size": width}
    config = Qwen2_5_VLConfig(text_config=text, vision_config=vision, tie_word_embeddings=tied)
    with torch.device("meta"):
        return AutoModelForImageTextToText.from_config(config, dtype=torch.bfloat16)


@pytest.mark.parametrize("name", ["rscovlm-7b", "rscovlm-7b-detection", "rscovlm-3b-lora"])
def test_the_recipes_fit_the_models_they_name(name: str) -> None:
    recipe = TrainingRecipe.load(RECIPES / f"{name}.yaml")
    size = recipe.model.split("-")[-2]
    model = _skeleton(size)
    vision = model.config.vision_config
    assert recipe.mixture.budget.factor == vision.patch_size * vision.spatial_merge_size
    counts = {part: 0 for part in get_args(Part)}
    for weight_name, weight in model.named_parameters():
        counts[part_of(weight_name)] += weight.numel()
    assert tuple(counts.values()) == SIZES[size][1]
    freeze(model, recipe.freeze)
    trained = {part_of(weight_name) for weight_name, weight in model.named_parameters() if weight.requires_grad}
    assert trained == set(counts) - set(recipe.freeze)
    if recipe.lora is None:
        return
    from peft import get_peft_model

    adapted = get_peft_model(model, adapter_config(recipe.lora))
    hit = [place for place, module in adapted.named_modules() if hasattr(module, "lora_A")]
    assert len(hit) == 7 * model.config.text_config.num_hidden_layers
    assert all("language_model.layers." in place for place in hit)
    assert {part_of(place) for place, weight in adapted.named_parameters() if weight.requires_grad} == {"language"}


def test_the_paper_s_recipe_runs(data: Path, tmp_path: Path) -> None:
    from transformers import AutoModelForImageTextToText, AutoProcessor

    recipe = TrainingRecipe.from_dict(_changed("rscovlm-7b", data, deepspeed=None, gradient_accumulation_steps=1))
    run = prepare(recipe, root=data, output=tmp_path)
    assert set(run.report.tasks) == {"conversation", "grounding", "detection", "zoom"}
    (shares,) = run.report.shares
    assert len(shares) == 7
    assert all(share == pytest.approx(1 / 7, abs=0.001) for share in shares.values())
    assert run.report.fill is not None
    assert run.report.fill > 0.97
    assert not run.report.left_out
    run.train()
    logs = [entry for entry in run.trainer.state.log_history if "loss" in entry]
    assert [entry["learning_rate"] for entry in logs] == pytest.approx([0, 2e-6])
    assert all(torch.isfinite(torch.tensor(entry["loss"])) for entry in logs)
    model = AutoModelForImageTextToText.from_pretrained(tmp_path)
    processor: Any = AutoProcessor.from_pretrained(tmp_path)
    assert model.dtype == torch.bfloat16
    assert (processor.budget.min_pixels, processor.budget.max_pixels) == (224**2, 1008**2)
    assert processor.codec.name == "rscovlm-v1"


def test_the_detection_recipe_starts(data: Path, tmp_path: Path) -> None:
    run = prepare(
        TrainingRecipe.from_dict(_changed("rscovlm-7b-detection", data, deepspeed=None)), root=data, output=tmp_path
    )
    assert run.report.tasks == {"detection": 64}
    assert run.report.boxes > 64
    assert not run.report.left_out


def test_the_adapter_recipe_runs(data: Path, tmp_path: Path) -> None:
    from peft import PeftModel
    from transformers import AutoModelForImageTextToText

    recipe = TrainingRecipe.from_dict(_changed("rscovlm-3b-lora", data, gradient_accumulation_steps=1))
    run = prepare(recipe, root=data, output=tmp_path)
    run.train()
    trained = {name for name, weight in run.trainer.model.named_parameters() if weight.requires_grad}
    assert trained
    assert all("lora_" in name and part_of(name) == "language" for name in trained)
    base = AutoModelForImageTextToText.from_pretrained(data / "model", dtype=torch.bfloat16)
    adapted = PeftModel.from_pretrained(base, str(tmp_path))
    moved = [weight for name, weight in adapted.named_parameters() if "lora_B" in name]
    assert len(moved) == 7 * base.config.text_config.num_hidden_layers
    assert all(float(weight.detach().abs().sum()) > 0 for weight in moved)


@pytest.mark.slow
@pytest.mark.skipif(not os.environ.get("RSCOVLM_LAUNCH"), reason="two launches take minutes; set RSCOVLM_LAUNCH=1")
@pytest.mark.parametrize("launcher", ["accelerate", "torchrun"])
def test_the_paper_s_recipe_runs_on_two_processes(data: Path, tmp_path: Path, launcher: str) -> None:
    pytest.importorskip("deepspeed", reason="deepspeed is not installed")
    path, output = tmp_path / "recipe.yaml", tmp_path / "out"
    path.write_text(yaml.safe_dump(_changed("rscovlm-7b", data, save_steps=2)), encoding="utf-8")
    port = str(29100 + os.getpid() % 400)
    if launcher == "torchrun":
        command = ["bash", "examples/launch/torchrun.sh", str(path), str(data), str(output)]
    else:
        options = ["--config_file", "examples/launch/accelerate_zero1.yaml", "--num_processes", "2"]
        command = [sys.executable, "-m", "accelerate.commands.launch", *options, "--main_process_port", port]
        command += ["examples/sft.py", "--recipe", str(path), "--root", str(data), "--output", str(output)]
    paths = f"{Path(sys.executable).parent}{os.pathsep}{ENVIRONMENT['PATH']}"
    environment = {**ENVIRONMENT, "PATH": paths, "GPUS": "2", "PORT": port}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    last = last_complete(output)
    assert last is not None
    run = json.loads((last / RUN_FILE).read_text(encoding="utf-8"))
    assert (run["next_row"], run["processes"], run["rows_per_step"]) == (16, 2, 8)
    assert list(last.glob("global_step*/*optim_states.pt"))  # ZeRO's own states, one a process
