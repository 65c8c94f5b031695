"""The collator trains assistant turns and nothing else, on the text inference sees."""

import pickle
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from rscovlm.experiments.embedded import STAGES, budget, build_mixture, build_processor
from rscovlm.mixtures.scene_records import ZoomTurns
from rscovlm.records.pictures import loaded
from rscovlm.scenes import SceneConfig
from rscovlm.training.collator import Collator, PackedCollator
from rscovlm.training.encoding import IGNORED


@pytest.fixture(scope="module")
def samples() -> list[dict[str, Any]]:
    mixture = build_mixture(STAGES, seed=5)
    return [mixture[i] for i in [*range(20), *range(200_000, 200_030)]]


@pytest.fixture(scope="module")
def processor(samples: list[dict[str, Any]]) -> Any:
    return build_processor(samples)


def _trained(processor: Any, batch: dict[str, Any], row: int) -> str:
    labels = batch["labels"][row]
    return str(processor.tokenizer.decode(labels[labels != IGNORED]))


def test_the_trained_text_is_the_answers(processor: Any, samples: list[dict[str, Any]]) -> None:
    assert {"zoom", "detection"} <= {task for sample in samples for task in sample["task"].split("+")}
    batch = Collator(processor)(samples)
    for row, sample in enumerate(samples):
        answers = [turn["content"][0]["text"] for turn in sample["messages"] if turn["role"] == "assistant"]
        assert _trained(processor, batch, row) == "".join(f"{answer}<|im_end|>" for answer in answers)


def test_the_text_is_what_the_processor_renders(processor: Any, samples: list[dict[str, Any]]) -> None:
    batch = Collator(processor)(samples)
    for row, sample in enumerate(samples):
        images = iter(map(loaded, sample["images"]))
        messages = []
        for turn in sample["messages"]:
            content = turn["content"]
            if not isinstance(content, str):
                content = [{**block, "image": next(images)} if block["type"] == "image" else block for block in content]
            messages.append({**turn, "content": content})
        whole = processor.apply_chat_template(messages, tokenize=True, return_dict=True, return_tensors="pt")
        length = int(batch["attention_mask"][row].sum())
        assert batch["input_ids"][row, :length].equal(whole["input_ids"][0])
        assert batch["mm_token_type_ids"][row, :length].equal(whole["mm_token_type_ids"][0].long())


def test_a_row_does_not_depend_on_its_batch(processor: Any, samples: list[dict[str, Any]]) -> None:
    collator = Collator(processor)
    together = collator(samples[:8])
    patches = 0
    for row, sample in enumerate(samples[:8]):
        alone = collator([sample])
        length = alone["input_ids"].shape[1]
        assert together["input_ids"][row, :length].equal(alone["input_ids"][0])
        assert together["labels"][row, :length].equal(alone["labels"][0])
        assert (together["labels"][row, length:] == IGNORED).all()
        count = alone["pixel_values"].shape[0]
        assert together["pixel_values"][patches : patches + count].equal(alone["pixel_values"])
        patches += count


def _text(role: str, text: str, image: bool = False) -> dict[str, Any]:
    blocks: list[dict[str, Any]] = [{"type": "image"}] if image else []
    return {"role": role, "content": [*blocks, {"type": "text", "text": text}]}


def test_an_image_in_a_tool_turn_is_seen(processor: Any) -> None:
    codec = processor.codec
    sample = ZoomTurns(SceneConfig(), codec, budget(), layout="native", direct=0.0)(np.random.default_rng(0))
    assert sample["messages"][2]["role"] == "tool"
    batch = Collator(processor)([sample])
    assert batch["image_grid_thw"].tolist() == [[1, 6, 6]] * 2
    assert int(batch["mm_token_type_ids"].sum()) == 18
    assert "image_zoom_in" in _trained(processor, batch, 0)


def test_text_alone_needs_no_image(processor: Any) -> None:
    batch = Collator(processor)([{"messages": [_text("user", "hello"), _text("assistant", "yes")], "images": []}])
    assert "pixel_values" not in batch
    assert _trained(processor, batch, 0) == "yes<|im_end|>"


def test_what_a_table_fills_with_none_counts_as_absent(processor: Any) -> None:
    call = {"function": {"name": "look", "arguments": {"at": None}}}
    plain: list[dict[str, Any]] = [
        {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "where?"}]},
        {"role": "assistant", "tool_calls": [call]},
        {"role": "tool", "content": "there"},
        {"role": "assistant", "content": "there"},
    ]
    table: list[dict[str, Any]] = [{"tool_calls": None, "content": None, **turn} for turn in plain]
    table[0]["content"] = [{"text": None, "image": None, **block} for block in plain[0]["content"]]
    image = Image.new("L", (84, 84))
    one, other = (Collator(processor)([{"messages": turns, "images": [image]}]) for turns in (plain, table))
    assert all(one[name].equal(other[name]) for name in one)
    trained = '<tool_call>\n{"name": "look", "arguments": {"at": null}}\n</tool_call><|im_end|>there<|im_end|>'
    assert _trained(processor, other, 0) == trained


@pytest.mark.parametrize(
    ("messages", "images", "message"),
    [
        ([_text("user", "hello", image=True)], 1, "row 0 has nothing to train"),
        ([_text("user", "hello"), _text("assistant", " \n")], 0, "row 0 has nothing to train"),
        ([], 0, "row 0 has nothing to train"),
        ([{"from": "gpt", "value": "b"}], 0, "row 0 has a turn without a role, of from, value"),
        ([_text("user", "a"), _text("assistant", "b\ud800")], 0, "row 0 holds text that is not Unicode"),
        ([_text("user", "a", image=True), _text("assistant", "b")], 0, "row 0 has 1 image blocks and 0 images"),
        ([_text("user", "a"), _text("assistant", "b")], 1, "row 0 has 0 image blocks and 1 images"),
        ([_text("user", "a"), _text("assistant", "b", image=True)], 1, "row 0 shows an image in an assistant turn"),
        (
            [_text("user", "a<|image_pad|>"), _text("assistant", "b")],
            0,
            "row 0 comes to 1 times <.image_pad.> for 0 images",
        ),
        ([_text("user", "a", image=True), _text("assistant", "<|image_pad|>")], 1, "row 0 comes to 2 times"),
        (
            [{"role": "user", "content": [{"type": "video"}]}, _text("assistant", "b")],
            0,
            "row 0 shows a video, which is not taken",
        ),
        (
            [{"role": "user", "content": [{"video": "a.mp4"}]}, _text("assistant", "b")],
            0,
            "row 0 shows a video, which is not taken",
        ),
        (None, 0, "row 0 has nothing to train"),
    ],
)
def test_unusable_rows_are_named(processor: Any, messages: list[Any] | None, images: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Collator(processor)([{"messages": messages, "images": [Image.new("RGB", (84, 84))] * images}])


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (Image.new("RGB", (900, 4)), "row 1: an image of 900x4 pixels has an aspect ratio of 225"),
        (np.zeros((84, 84, 3), np.uint8), "row 1 has a ndarray among its images"),
        (Image.new("I;16", (84, 84)), "image of sample 1: the image has mode 'I;16'"),
    ],
)
def test_rows_of_unusable_images_are_named(processor: Any, image: Any, message: str) -> None:
    messages = [_text("user", "a", image=True), _text("assistant", "b")]
    rows = [{"messages": messages, "images": [given]} for given in (Image.new("P", (84, 84)), image)]
    with pytest.raises(ValueError, match=message):
        Collator(processor)(rows)


def test_a_batch_that_is_held_is_not_written_over_and_one_that_is_not_makes_room(processor: Any) -> None:
    collate = PackedCollator(processor)

    def batch(grey: int) -> Any:
        image = Image.new("RGB", (112, 112), (grey, grey, grey))
        ask = {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "Is it day?"}]}
        say = {"role": "assistant", "content": [{"type": "text", "text": "yes"}]}
        return collate([{"samples": [{"messages": [ask, say], "images": [image]}]}])

    held = batch(10)["pixel_values"]
    before = held.clone()
    part = batch(20)["pixel_values"][:1]
    copy = part.clone()
    others = {batch(grey)["pixel_values"].data_ptr() for grey in range(30, 40)}
    assert torch.equal(held, before)
    assert torch.equal(part, copy)
    assert len(others) == 1
    assert held.data_ptr() not in others
    again = pickle.loads(pickle.dumps(collate._buffers))
    assert again.take(2, 3).shape == (2, 3)
