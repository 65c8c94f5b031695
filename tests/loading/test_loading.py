"""Every file set in which checkpoints of the families are published or saved opens, and answers as ours does."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, get_args

import pytest
import torch
from PIL import Image

import rscovlm
from rscovlm.codec import Codec
from rscovlm.data.storage import write_jsonl
from rscovlm.engines import Conversation, Transformers
from rscovlm.loading import load_processor
from rscovlm.predicting.latest_rows import LatestRows
from rscovlm.processing import PixelBudget, RSCoVLMProcessor, chat_template
from rscovlm.processing.families import FAMILIES
from rscovlm.records.record import ImageRef, Record
from rscovlm.testing import AdapterLayout, Layout, tiny_adapter, tiny_checkpoint

LAYOUTS, ADAPTERS = get_args(Layout), get_args(AdapterLayout)
# Every layout of the families in use, and of the others what differs by family.
FOLDERS = [(family, layout) for family in ("qwen2_5_vl", "qwen3_vl") for layout in LAYOUTS]
FOLDERS += [(family, layout) for family in ("qwen2_vl", "qwen3_5") for layout in ("ours", "stock", "trl")]
PICTURE = Image.new("RGB", (90, 70), (9, 99, 199))


def answer(checkpoint: Any, text: str = "find the plane") -> str:
    chat = [{"role": "user", "content": [{"type": "image", "image": PICTURE}, {"type": "text", "text": text}]}]
    factor = 2 * checkpoint.processor.image_processor.patch_size
    checkpoint.processor.budget = PixelBudget(factor**2, 16 * factor**2, factor)
    engine = Transformers(*checkpoint, dialect=Codec.preset("rscovlm-v1"))
    return engine.generate([Conversation(chat)], max_new_tokens=6)[0].text


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Checkpoints in each layout."""
    root = tmp_path_factory.mktemp("checkpoints")
    for family, layout in FOLDERS:
        tiny_checkpoint(root / family / layout, family, layout=layout)  # type: ignore[arg-type]
    return root


@pytest.fixture(scope="module")
def answers(folders: Path) -> dict[str, str]:
    """What each family answers from our own layout."""
    return {family: answer(rscovlm.load(folders / family / "ours", device="cpu")) for family in FAMILIES}


@pytest.mark.parametrize(("family", "layout"), FOLDERS)
def test_a_checkpoint_of_any_layout_answers_as_ours(
    folders: Path, answers: dict[str, str], family: str, layout: str
) -> None:
    stated = FAMILIES[family]
    found = rscovlm.load(folders / family / layout, device="cpu")
    assert found.model.config.model_type == family and not found.model.training
    processor = found.processor
    assert type(processor) is RSCoVLMProcessor
    assert processor.training_template == chat_template(family)  # the same text, with marks to train by
    assert processor.tokenizer.padding_side == "left"
    if layout != "ours":
        assert processor.dialect.saved() == stated.dialect
        budget = processor.budget
        assert (budget.min_pixels, budget.max_pixels) == (stated.min_pixels, stated.max_pixels)
        assert processor.image_processor.image_mean == stated.image_mean
    if family != "qwen3_5":  # whose tokenizer transformers parts otherwise than ours
        assert answer(found) == answers[family]


@pytest.mark.parametrize(
    ("family", "layout"),
    [("qwen2_5_vl", layout) for layout in ADAPTERS]
    + [(family, "trl") for family in FAMILIES if family != "qwen2_5_vl"],
)
def test_an_adapter_of_any_layout_is_put_on_its_base(folders: Path, tmp_path: Path, family: str, layout: Any) -> None:
    base = folders / family / "stock"
    tiny_adapter(tmp_path, base, layout=layout)
    found, named = rscovlm.load(tmp_path, device="cpu"), rscovlm.load(base, adapter=tmp_path, device="cpu")
    alone = rscovlm.load(base, device="cpu")
    # One of PEFT's own, on a model of plain transformers.
    from peft import PeftModel
    from transformers import AutoModelForImageTextToText

    stock = AutoModelForImageTextToText.from_pretrained(base)
    plain = rscovlm.loading.Checkpoint(PeftModel.from_pretrained(stock, tmp_path).eval(), alone.processor)
    texts = [answer(one) for one in (found, named, plain, alone)]
    assert texts[0] == texts[1] == texts[2] != texts[3]
    assert found.processor.dialect.saved() == FAMILIES[family].dialect


def test_what_is_given_goes_before_what_is_saved(folders: Path) -> None:
    budget = PixelBudget(32 * 32, 64 * 64, 32)
    processor = load_processor(folders / "qwen3_vl" / "stock", dialect="rscovlm-v1", budget=budget)
    assert processor.codec.name == "rscovlm-v1" and processor.budget == budget
    codec = Codec("mine", space="0-100")
    model, processor = rscovlm.load(folders / "qwen2_5_vl" / "trl", dialect=codec, dtype=torch.float16, device="cpu")
    assert processor.codec == codec and model.dtype == torch.float16
    mapped, _ = rscovlm.load(folders / "qwen2_5_vl" / "stock", device_map={"": "cpu"})
    assert mapped.device.type == "cpu"
    with pytest.raises(ValueError, match="one of the two"):
        rscovlm.load("embedded", device="cpu", device_map="auto")
    with pytest.raises(ValueError, match="'3bit'; choose one of 4bit, 8bit"):
        rscovlm.load("embedded", quantised="3bit")


def test_an_adapter_keeps_the_processor_that_was_trained_with_it(folders: Path, tmp_path: Path) -> None:
    base, other = folders / "qwen2_5_vl" / "stock", tmp_path / "adapter"
    tiny_adapter(other, base)
    budget = PixelBudget(28 * 28, 56 * 56)
    RSCoVLMProcessor.from_pretrained(base, codec="rscovlm-v1", budget=budget).save_pretrained(other)
    processor = load_processor(other)
    assert processor.codec.name == "rscovlm-v1" and processor.budget == budget
    assert load_processor(other, dialect="qwen3-vl").codec.name == "qwen3-vl"


def test_an_adapter_travels_with_its_base(folders: Path, tmp_path: Path) -> None:
    """Its base may be named relative to where it lies; where it is not found, the message says what to give."""
    shutil.copytree(folders / "qwen2_5_vl" / "trl", tmp_path / "run" / "base")
    adapter = tiny_adapter(tmp_path / "run" / "adapter", tmp_path / "run" / "base", layout="peft")
    config = json.loads((adapter / "adapter_config.json").read_text())
    (adapter / "adapter_config.json").write_text(json.dumps(config | {"base_model_name_or_path": "../base"}))
    assert answer(rscovlm.load(adapter, device="cpu"))
    (adapter / "adapter_config.json").write_text(json.dumps(config | {"base_model_name_or_path": "/nowhere"}))
    with pytest.raises(FileNotFoundError, match="is an adapter of '/nowhere', which is not here.*give its base"):
        rscovlm.load(adapter)
    assert answer(rscovlm.load(tmp_path / "run" / "base", adapter=adapter, device="cpu"))
    with pytest.raises(ValueError, match=r"has no adapter_config.json; give the folder that PEFT saved"):
        rscovlm.load(tmp_path / "run" / "base", adapter=folders / "qwen2_5_vl" / "stock")
    with pytest.raises(ValueError, match="is itself an adapter"):
        rscovlm.load(adapter, adapter=adapter)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b'{"peft_type":', "adapter_config.json is not JSON"),
        (b"\xff\xfe\x00", "adapter_config.json is not JSON"),
        (b"[1]", "adapter_config.json holds a list"),
        (b"{}", "adapter_config.json names no base_model_name_or_path"),
        (b'{"base_model_name_or_path": 3}', "adapter_config.json names no base_model_name_or_path"),
        (b'{"base_model_name_or_path": "BASE", "peft_type": "LORA"}', "adapter has no adapter_model.safetensors"),
    ],
)
def test_a_broken_adapter_ends_in_a_line_that_names_its_file(
    folders: Path, tmp_path: Path, text: bytes, words: str
) -> None:
    base = folders / "qwen2_5_vl" / "stock"
    (tmp_path / "adapter").mkdir()
    (tmp_path / "adapter" / "adapter_config.json").write_bytes(text.replace(b"BASE", bytes(base)))
    with pytest.raises(ValueError, match=words) as refused:
        rscovlm.load(tmp_path / "adapter", device="cpu")
    assert "\n" not in str(refused.value) and str(tmp_path) in str(refused.value)
    if "base_model" not in words:
        with pytest.raises(ValueError, match=words):
            rscovlm.load(base, adapter=tmp_path / "adapter", device="cpu")


def test_weights_that_would_be_left_out_are_refused(folders: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    base = folders / "qwen2_5_vl" / "bare"
    adapter = tiny_adapter(tmp_path / "adapter", base, layout="peft")
    weights = load_file(adapter / "adapter_model.safetensors")
    renamed = {name.replace("self_attn", "attention"): value for name, value in weights.items()}
    save_file(renamed, adapter / "adapter_model.safetensors")
    with pytest.raises(ValueError, match="do not fit its base"):
        rscovlm.load(adapter, device="cpu")
    half = Path(shutil.copytree(base, tmp_path / "half"))
    weights = load_file(half / "model.safetensors")
    save_file(dict(list(weights.items())[3:]), half / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ValueError, match="the weights lack 4 that its configuration has"):
        rscovlm.load(half)


def test_others_are_refused_by_name(folders: Path, tmp_path: Path) -> None:
    from transformers import BertConfig

    BertConfig().save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="type 'bert'; give one of qwen2_vl, qwen2_5_vl"):
        load_processor(tmp_path)
    named = Path(shutil.copytree(folders / "qwen2_5_vl" / "stock", tmp_path / "named"))
    config = json.loads((named / "preprocessor_config.json").read_text())
    (named / "preprocessor_config.json").write_text(json.dumps(config | {"processor_class": "MyProcessor"}))
    with pytest.raises(ValueError, match="processor class 'MyProcessor'"):
        load_processor(named)
    for wrong in ("/no/such/folder", "nosuchname", "./here"):
        with pytest.raises(FileNotFoundError, match="does not exist"):
            rscovlm.load(wrong)
    with pytest.raises(FileNotFoundError, match="did you mean 'embedded'"):
        rscovlm.load("embeded")


@pytest.mark.parametrize("family", ["qwen2_5_vl", "qwen3_vl"])
def test_a_published_folder_works_with_every_command(folders: Path, tmp_path: Path, family: str) -> None:
    """As `rscovlm train`, `predict` and `data inspect` find it; `serve` loads as `predict` does."""
    model, factor = folders / family / "stock", 2 * FAMILIES[family].patch_size
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    PICTURE.save(pictures / "one.png")
    out = tmp_path / "rows.jsonl"
    run("predict", pictures, "--model", model, "--out", out, "--task", "caption", "--no-zoom")
    assert list(LatestRows(out)) == ["one.png"]
    seen = ImageRef("pictures/one.png", width=90, height=70)
    record = Record("a", "here", "train", "classification", (seen,), classes=("airfield",))
    write_jsonl([record], tmp_path / "rows-in.jsonl")
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(
        f"""
model: {model}
steps: 1
dtype: float32
mixture:
  codec: {FAMILIES[family].dialect}
  budget: {{min_pixels: {factor**2}, max_pixels: {16 * factor**2}, factor: {factor}}}
  subsets:
    - {{name: here, records: rows-in.jsonl, weight: 1}}
packing: {{tokens: 512}}
train: {{per_device_train_batch_size: 1, use_cpu: true, report_to: none, save_strategy: steps, save_steps: 1}}
"""
    )
    run(
        "data", "inspect", recipe, "--root", tmp_path, "--model", model, "--out", tmp_path / "page.html", "--draws", "2"
    )
    run("train", recipe, "--root", tmp_path, "--output", tmp_path / "run")
    trained = rscovlm.load(tmp_path / "run" / "checkpoint-1", device="cpu")
    assert trained.model.config.model_type == family and trained.processor.dialect.saved() == FAMILIES[family].dialect


def run(*arguments: Any) -> None:
    command = [sys.executable, "-m", "rscovlm", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-3000:]
