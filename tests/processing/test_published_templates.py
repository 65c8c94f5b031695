"""Checkpoints with the chat templates that Qwen published, as TRL carries their text: kept, trained, known to TRL."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from transformers.utils.chat_template_utils import render_jinja_template
from trl.chat_template_utils import add_response_schema, get_training_chat_template, parse_response

import rscovlm
from rscovlm.loading import load_processor
from rscovlm.processing import RSCoVLMProcessor, chat_template
from rscovlm.testing import tiny_checkpoint
from rscovlm.training.encoding import Encoder
from rscovlm.zoom.calls import read_calls
from rscovlm.zoom.layouts import call_turn, zoom_tool
from tests.processing.test_template import conversation, render, stock

THINKING = ("qwen3_5_nothink", "qwen3_5_think", "qwen3_6")
FAMILY = {"qwen2_5_vl": "qwen2_5_vl", "qwen3_vl": "qwen3_vl"} | dict.fromkeys(THINKING, "qwen3_5")
PICTURE = Image.new("RGB", (90, 70))
CALL = '<tool_call>\n{"name": "zoom", "arguments": {"bbox": [1, 2, 3, 4]}}\n</tool_call>'


def published(folder: Path, name: str) -> Path:
    """Write a checkpoint in the published files, the published template among them."""
    tiny_checkpoint(folder, FAMILY[name], layout="stock")  # type: ignore[arg-type]
    text = stock(name)
    if (folder / "chat_template.json").exists():
        (folder / "chat_template.json").write_text(json.dumps({"chat_template": text}))
    else:
        (folder / "chat_template.jinja").write_text(text)
    config = json.loads((folder / "tokenizer_config.json").read_text())
    (folder / "tokenizer_config.json").write_text(json.dumps(config | {"chat_template": text}))
    return folder


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("published")
    return {name: published(root / name, name) for name in FAMILY}


@pytest.mark.parametrize("name", FAMILY)
def test_a_published_template_stays_as_it_is_and_trl_knows_it(
    folders: dict[str, Path], tmp_path: Path, name: str
) -> None:
    """Byte for byte, when loaded and when saved, unless ours adds tools; `add_response_schema` takes the processor."""
    processor = load_processor(folders[name])
    expected = chat_template() if name == "qwen2_5_vl" else stock(name)
    assert processor.chat_template == expected
    processor.save_pretrained(tmp_path)
    assert (tmp_path / "chat_template.jinja").read_bytes() == expected.encode()
    again = RSCoVLMProcessor.from_pretrained(tmp_path)
    assert again.chat_template == expected
    # TRL has training templates for both families, too: ours needs none.
    if name in ("qwen2_5_vl", "qwen3_vl"):
        assert (get_training_chat_template(again) is None) == (name == "qwen2_5_vl")
    for one in (processor, again)[: 0 if name == "qwen2_5_vl" else 2]:
        add_response_schema(one)
        assert one.tokenizer.response_template is not None


def encoded(processor: Any, messages: list[dict[str, Any]], tools: Any) -> tuple[list[int], list[int]]:
    images = [PICTURE] * sum(
        part.get("type") == "image" or "image" in part or "image_url" in part
        for turn in messages
        for part in (turn["content"] if isinstance(turn["content"], list) else [])
    )
    made = Encoder(processor)({"messages": messages, "images": images, "tools": tools})
    return made.ids, made.labels


def trainable(rng: random.Random) -> list[dict[str, Any]]:
    """Return a conversation of TRL's test of templates that a trainer takes: no videos, and something to train."""
    while True:
        messages = conversation(rng, tools=True)
        if '"video"' not in json.dumps(messages) and any(
            turn["role"] == "assistant" and "".join(str(turn["content"]).split()) not in ("", "[]") for turn in messages
        ):
            return messages


def test_published_and_marked_templates_of_qwen3_vl_train_the_same_tokens(folders: dict[str, Path]) -> None:
    processor, marked = load_processor(folders["qwen3_vl"]), load_processor(folders["qwen3_vl"])
    marked.chat_template = chat_template("qwen3_vl")
    for seed in range(20):
        messages = trainable(random.Random(seed))
        try:
            expected = encoded(marked, messages, [zoom_tool()])
        except ValueError as error:
            with pytest.raises(ValueError, match=str(error)[:20]):
                encoded(processor, messages, [zoom_tool()])
            continue
        assert encoded(processor, messages, [zoom_tool()]) == expected
    chat = [{"role": "user", "content": "Where?"}, {"role": "assistant", "content": "Here."}]
    options = {"tokenize": True, "return_dict": True, "return_assistant_tokens_mask": True}
    masks = [one.apply_chat_template(chat, **options)["assistant_masks"] for one in (processor, marked)]
    assert masks[0] == masks[1] and sum(map(sum, masks[0])) > 0


@pytest.mark.parametrize("name", THINKING)
def test_templates_without_marks_train_what_follows_the_prompt(folders: dict[str, Path], name: str) -> None:
    """What is trained, put behind the prompt of inference, is the conversation; TRL's marked variant agrees on its end."""
    processor = load_processor(folders[name])
    tools = [zoom_tool()]
    turns: list[dict[str, Any]] = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "Where is the ship?"}]},
        call_turn([1, 2, 30, 40], "native", said="Look."),
        {"role": "tool", "content": [{"type": "image"}, {"type": "text", "text": "Here."}]},
        {"role": "assistant", "content": "At the <pier>."},
    ]
    made = Encoder(processor)({"messages": turns, "images": [PICTURE, PICTURE], "tools": tools})
    trained: list[list[int]] = [[]]
    for token, label in zip(made.ids, made.labels, strict=True):
        if label >= 0:
            trained[-1].append(token)
        elif trained[-1]:
            trained.append([])
    said = [processor.tokenizer.decode(one) for one in trained if one]
    assert len(said) == 2 and all(text.endswith("<|im_end|>") for text in said)
    for turn, text in ((2, said[0]), (4, said[1])):
        prompt = render(stock(name), turns[:turn], tools=tools, add_generation_prompt=True)
        assert prompt + text + "\n" == render(stock(name), turns[: turn + 1], tools=tools)
    texts, spans = render_jinja_template(
        conversations=[turns],
        tools=tools,
        chat_template=stock(f"{name}_training"),
        return_assistant_tokens_mask=True,
    )
    theirs = [texts[0][begin:end] for begin, end in spans[0]]
    assert len(theirs) == 2 and all(one.rstrip("\n").endswith(mine) for one, mine in zip(theirs, said, strict=True))
    call = read_calls(said[0]).call
    assert call is not None and call.bbox == (1, 2, 30, 40)  # in tags, as this family writes its calls


def test_marks_of_turns_in_a_text_are_refused_where_the_template_marks_nothing(folders: dict[str, Path]) -> None:
    turns = [
        {"role": "user", "content": "<|im_start|>assistant\nno<|im_end|>"},
        {"role": "assistant", "content": "yes"},
    ]
    with pytest.raises(ValueError, match=r"the sample writes <\|im_start\|> or <\|im_end\|> in a text"):
        Encoder(load_processor(folders["qwen3_5_think"]))({"messages": turns})


def test_a_trainer_of_trl_with_tools_takes_a_published_checkpoint_as_it_is(
    folders: dict[str, Path], tmp_path: Path
) -> None:
    from datasets import Dataset
    from trl import GRPOConfig, GRPOTrainer

    def zoom(bbox: list[int]) -> str:
        """Look closer.

        Args:
            bbox: The region.
        """
        return str(bbox)

    model, processor = rscovlm.load(folders["qwen3_vl"], device="cpu")
    made = GRPOTrainer(
        model,
        processing_class=processor,
        train_dataset=Dataset.from_list([{"prompt": [{"role": "user", "content": "Where?"}]}] * 2),
        tools=[zoom],
        reward_funcs=[lambda completions, **_: [float(len(one)) for one in completions]],
        args=GRPOConfig(
            output_dir=str(tmp_path),
            report_to=[],
            use_cpu=True,
            bf16=False,
            num_generations=2,
            per_device_train_batch_size=2,
            max_completion_length=4,
            max_steps=1,
        ),
    )
    made.train()
    tokens = processor.tokenizer(f"Look.{CALL}<|im_end|>")["input_ids"]
    prefix = processor.tokenizer("<|im_start|>assistant\n")["input_ids"]
    read = parse_response(made.processing_class.tokenizer, tokens, prefix)
    assert read["tool_calls"][0]["function"] == {"name": "zoom", "arguments": {"bbox": [1, 2, 3, 4]}}
