"""The tiny checkpoints load like any other and run end to end."""

from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from transformers import AutoModelForImageTextToText, AutoProcessor

from rscovlm.processing import PixelBudget, RSCoVLMProcessor
from rscovlm.testing import tiny_checkpoint
from rscovlm.zoom.layouts import ZOOM_SYSTEM

CHAT = [
    {"role": "system", "content": ZOOM_SYSTEM},
    {
        "role": "user",
        "content": [{"type": "image", "image": Image.new("RGB", (90, 70))}, {"type": "text", "text": "find the plane"}],
    },
]


@pytest.mark.parametrize(("family", "factor"), [("qwen2_5_vl", 28), ("qwen3_vl", 32)])
def test_a_checkpoint_loads_and_generates(tmp_path: Path, family: Any, factor: int) -> None:
    budget = PixelBudget(factor * factor, (4 * factor) ** 2, factor)
    assert tiny_checkpoint(tmp_path / "new", family, budget=budget) == tmp_path / "new"
    model = AutoModelForImageTextToText.from_pretrained(tmp_path / "new")
    assert model.config.model_type == family
    assert sum(weight.numel() for weight in model.parameters()) < 1_000_000
    text = model.config.text_config
    assert text.hidden_size // text.num_attention_heads == 64
    processor = AutoProcessor.from_pretrained(tmp_path / "new")
    assert type(processor) is RSCoVLMProcessor and processor.budget == budget
    options: dict[str, Any] = {
        "tokenize": True,
        "return_dict": True,
        "return_tensors": "pt",
        "add_generation_prompt": True,
    }
    inputs = processor.apply_chat_template(CHAT, **options)
    assert inputs["input_ids"].shape[1] < 60  # the system text is one token
    first, again = (model.generate(**inputs, max_new_tokens=4) for _ in range(2))
    assert torch.equal(first, again) and first.shape[1] > inputs["input_ids"].shape[1]
    assert "find the plane" in processor.post_process_image_text_to_text(first)[0]


def test_seeds_differ_and_repeat(tmp_path: Path) -> None:
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        tiny_checkpoint(tmp_path / name, seed=seed, codec="qwen2.5-vl")
    weights = [(tmp_path / name / "model.safetensors").read_bytes() for name in "abc"]
    assert weights[0] == weights[1] != weights[2]
    assert AutoProcessor.from_pretrained(tmp_path / "a").codec.name == "qwen2.5-vl"


def test_an_unknown_family_is_named_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="'llava'"):
        tiny_checkpoint(tmp_path / "new", "llava")  # type: ignore[arg-type]
    assert not (tmp_path / "new").exists()
