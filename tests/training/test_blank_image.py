"""A batch without images takes the vision tower along, and nothing comes of it."""

from typing import Any

import pytest
import torch

from rscovlm.testing import tiny_checkpoint
from rscovlm.training.blank_image import show_blank
from rscovlm.training.collator import Collator
from rscovlm.training.tiny import Family


def _gradients(model: Any, batch: dict[str, Any]) -> tuple[torch.Tensor, dict[str, torch.Tensor | None]]:
    model.zero_grad()
    loss = model(**batch, use_cache=False).loss
    loss.backward()
    return loss.detach(), {name: weight.grad for name, weight in model.named_parameters()}


@pytest.mark.parametrize("family", ["qwen2_5_vl", "qwen3_vl"])
def test_text_alone_gives_the_tower_gradients_of_zero(tmp_path: Any, family: Family) -> None:
    from PIL import Image
    from transformers import AutoModelForImageTextToText, AutoProcessor

    folder = tiny_checkpoint(tmp_path, family)
    processor: Any = AutoProcessor.from_pretrained(folder)
    model = AutoModelForImageTextToText.from_pretrained(folder).train()
    answer = {"role": "assistant", "content": "yes"}
    text = Collator(processor)([{"messages": [{"role": "user", "content": "is it?"}, answer]}])
    image = {"role": "user", "content": [{"type": "image"}]}
    seen = Collator(processor)([{"messages": [image, answer], "images": [Image.new("RGB", (64, 64))]}])
    before, without = _gradients(model, text)
    pictured, expected = _gradients(model, seen)
    towers = [name for name in without if "visual." in name]
    assert all(without[name] is None for name in towers)
    calls: list[Any] = []
    show_blank(model)
    show_blank(model)
    model.model.visual.register_forward_hook(lambda *_: calls.append(1))
    after, with_blank = _gradients(model, text)
    assert after.equal(before)
    assert len(calls) == 1
    # Every weight of the tower has a gradient where images give it one, and it is zero.
    for name, gradient in with_blank.items():
        if name in towers:
            assert (gradient is None) == (expected[name] is None), name
            assert gradient is None or not gradient.any(), name
        else:
            assert gradient is not None, name
            assert gradient.equal(without[name]), name
    again, same = _gradients(model, seen)
    assert len(calls) == 2, "an image is looked at once, and no blank beside it"
    assert again.equal(pictured)
    assert all(torch.equal(same[name], expected[name]) for name in same if expected[name] is not None)
    with torch.no_grad():
        model(**text, use_cache=False)
    assert len(calls) == 2
