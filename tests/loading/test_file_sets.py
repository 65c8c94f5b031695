"""Folders with other files and keys than the layouts have: limits as the stock class reads them, the same text and tokens."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from safetensors.torch import load_file, save_file
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

import rscovlm
from rscovlm.loading import load_processor
from rscovlm.testing import tiny_checkpoint

PICTURE = Image.new("RGB", (90, 70), (9, 99, 199))
CHAT = [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "Where is it?"}]}]


@pytest.fixture(scope="module")
def stock(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_checkpoint(tmp_path_factory.mktemp("stock") / "model", layout="stock")


def edit(folder: Path, name: str, drop: tuple[str, ...] = (), **more: Any) -> dict[str, Any]:
    """Drop and set keys of a JSON file, and return what it held."""
    before = json.loads((folder / name).read_text())
    after = {key: value for key, value in before.items() if key not in drop} | more
    (folder / name).write_text(json.dumps(after))
    return dict(before)


LIMITS = ("min_pixels", "max_pixels", "size")


@pytest.mark.parametrize(
    "keys",
    [
        {"size": {"shortest_edge": 3136, "longest_edge": 200704}},
        {"size": {"min_pixels": 3136, "max_pixels": 200704}},
        {"max_pixels": 200704},
        {"min_pixels": 6272},
        {"min_pixels": 3136, "max_pixels": 200704, "size": {"shortest_edge": 784, "longest_edge": 12845056}},
        {"min_pixels": None, "max_pixels": None, "size": {"shortest_edge": 3136, "longest_edge": 200704}},
        {},
    ],
)
def test_limits_are_those_that_the_stock_class_reads(stock: Path, tmp_path: Path, keys: dict[str, Any]) -> None:
    folder = tmp_path / "model"
    shutil.copytree(stock, folder)
    edit(folder, "preprocessor_config.json", LIMITS, **keys)
    budget = load_processor(folder).budget
    size: Any = Qwen2VLImageProcessorPil.from_pretrained(folder).size
    stated = (size.shortest_edge or size.min_pixels, size.longest_edge or size.max_pixels)
    assert (budget.min_pixels, budget.max_pixels) == stated


def old_vocabulary(folder: Path) -> None:
    """The vocabulary as in 2024: ``vocab.json``, ``merges.txt``, and the added tokens in a file of their own."""
    (folder / "tokenizer.json").unlink()
    said = edit(folder, "tokenizer_config.json", ("added_tokens_decoder",))
    added = {token["content"]: int(number) for number, token in said["added_tokens_decoder"].items()}
    (folder / "added_tokens.json").write_text(json.dumps(added))


def named_templates(folder: Path) -> None:
    said = json.loads((folder / "chat_template.json").read_text())["chat_template"]
    (folder / "chat_template.json").unlink()
    several = [{"name": "default", "template": said}, {"name": "tool_use", "template": "other"}]
    edit(folder, "tokenizer_config.json", chat_template=several)


def one_processor_file(folder: Path) -> None:
    images = json.loads((folder / "preprocessor_config.json").read_text())
    (folder / "preprocessor_config.json").unlink()
    said = {"processor_class": "Qwen2_5_VLProcessor", "image_processor": images}
    (folder / "processor_config.json").write_text(json.dumps(said))


def videos_alone(folder: Path) -> None:
    (folder / "preprocessor_config.json").rename(folder / "video_preprocessor_config.json")


def later_names(folder: Path) -> None:
    """One file of weights, under the names that transformers gives them since 4.52."""
    index = json.loads((folder / "model.safetensors.index.json").read_text())
    weights: dict[str, Any] = {}
    for shard in sorted(set(index["weight_map"].values())):
        weights |= load_file(folder / shard)
        (folder / shard).unlink()
    (folder / "model.safetensors.index.json").unlink()
    first = {"visual.": "model.visual.", "model.": "model.language_model."}
    renamed: dict[str, Any] = {}
    for name, value in weights.items():
        old = next((prefix for prefix in first if name.startswith(prefix)), "")
        renamed[first.get(old, "") + name.removeprefix(old)] = value
    save_file(renamed, folder / "model.safetensors", metadata={"format": "pt"})


def clutter(folder: Path) -> None:
    """What trainers and downloads leave, and a name of code that is never run."""
    for name in ("README.md", "optimizer.pt", ".gitattributes", "model.safetensors.index.json.bak"):
        (folder / name).write_text("x")
    (folder / "global_step5").mkdir()
    edit(
        folder,
        "preprocessor_config.json",
        ("processor_class", "image_processor_type"),
        auto_map={"AutoImageProcessor": "x.Y"},
    )


@pytest.mark.parametrize(
    "change", [old_vocabulary, named_templates, one_processor_file, videos_alone, later_names, clutter]
)
def test_other_files_give_the_same_answer(stock: Path, tmp_path: Path, change: Callable[[Path], None]) -> None:
    folder = tmp_path / "a folder v1.0"
    shutil.copytree(stock, folder)
    change(folder)
    made = []
    for one in (stock, folder):
        model, processor = rscovlm.load(one, device="cpu")
        text = processor.apply_chat_template(CHAT, add_generation_prompt=True)
        inputs = processor(images=[PICTURE], text=[text], return_tensors="pt", max_pixels=64 * 784)
        tokens = model.generate(**inputs, max_new_tokens=6, do_sample=False)
        made.append((text, tokens.tolist(), processor.budget))
    assert made[0] == made[1]
