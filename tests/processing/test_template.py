"""Our chat template against the stock ones, as TRL carries them, on random conversations."""

import random
from importlib.resources import files
from typing import Any

import pytest
from transformers.utils.chat_template_utils import render_jinja_template

from rscovlm.processing.template import chat_template

TOOL = {
    "type": "function",
    "function": {
        "name": "image_zoom_in",
        "description": 'Größer "ansehen"',
        "parameters": {"type": "object", "properties": {"bbox": {"type": "array"}}, "required": ["bbox"]},
    },
}
CALL = {"type": "function", "function": {"name": "image_zoom_in", "arguments": {"bbox": [1, 2, 30, 40]}}}


def stock(family: str) -> str:
    return files("trl").joinpath("chat_templates", f"{family}.jinja").read_text(encoding="utf-8")


def render(template: str, messages: list[dict[str, Any]], **options: Any) -> str:
    texts, _ = render_jinja_template(conversations=[messages], chat_template=template, **options)
    return str(texts[0])


def conversation(rng: random.Random, *, tools: bool) -> list[dict[str, Any]]:
    words = ["find the plane", "{% raw %}", "a\n\nb", "", "<tool_call>", "飞机", "  spaces  ", "{{ x }}"]

    def content(images: bool) -> Any:
        if rng.random() < 0.4:
            return rng.choice(words)
        kinds = [{"type": "image"}, {"type": "image", "image": "x.png"}, {"image_url": "u"}, {"type": "video"}]
        parts: list[dict[str, Any]] = [{"type": "text", "text": rng.choice(words)} for _ in range(rng.randint(0, 3))]
        return rng.sample(parts + (rng.sample(kinds, rng.randint(0, 3)) if images else []), k=len(parts)) + (
            [rng.choice(kinds)] if images else []
        )

    messages: list[dict[str, Any]] = []
    if rng.random() < 0.4:
        messages.append({"role": "system", "content": content(False)})
    for _ in range(rng.randint(1, 3)):
        messages.append({"role": "user", "content": content(True)})
        answer: dict[str, Any] = {"role": "assistant", "content": content(False)}
        if tools and rng.random() < 0.6:
            answer["tool_calls"] = rng.choices([CALL, CALL["function"]], k=rng.randint(1, 2))
            messages += [answer, *({"role": "tool", "content": content(True)} for _ in range(rng.randint(1, 2)))]
            answer = {"role": "assistant", "content": content(False)}
        messages.append(answer)
    return messages[: rng.randint(1, len(messages))]


@pytest.mark.parametrize("seed", range(100))
def test_text_equals_stock_qwen2_5_vl(seed: int) -> None:
    rng = random.Random(seed)
    messages = conversation(rng, tools=False)
    options = {"add_generation_prompt": rng.random() < 0.5, "add_vision_id": rng.random() < 0.3}
    assert render(chat_template(), messages, **options) == render(stock("qwen2_5_vl"), messages, **options)


@pytest.mark.parametrize("seed", range(200))
def test_text_equals_stock_qwen3_vl_with_tools(seed: int) -> None:
    rng = random.Random(seed)
    messages = conversation(rng, tools=True)
    options = {
        "add_generation_prompt": rng.random() < 0.5,
        "add_vision_id": rng.random() < 0.3,
        "tools": rng.choice([None, [TOOL], [TOOL, TOOL]]),
    }
    assert render(chat_template("qwen3_vl"), messages, **options) == render(stock("qwen3_vl"), messages, **options)


def test_tools_follow_the_default_system_text_on_qwen2_5_vl() -> None:
    messages = [{"role": "user", "content": "hello"}]
    text = render(chat_template(), messages, tools=[TOOL])
    tools = render(stock("qwen3_vl"), messages, tools=[TOOL])
    assert text == tools.replace("system\n", "system\nYou are a helpful assistant.\n\n", 1)


def test_tool_call_without_content() -> None:
    messages: list[dict[str, Any]] = [{"role": "user", "content": "look"}, {"role": "assistant", "tool_calls": [CALL]}]
    expected = '<tool_call>\n{"name": "image_zoom_in", "arguments": {"bbox": [1, 2, 30, 40]}}\n</tool_call><|im_end|>\n'
    assert render(chat_template(), messages).endswith("<|im_start|>assistant\n" + expected)


def test_generation_marks_cover_the_answers_and_their_end_marks_only() -> None:
    messages = conversation(random.Random(5), tools=True) + [
        {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "now?"}]},
        {"role": "assistant", "content": "first", "tool_calls": [CALL]},
        {"role": "tool", "content": [{"type": "image"}]},
        {"role": "assistant", "content": "a plane"},
    ]
    texts, spans = render_jinja_template(
        conversations=[messages], chat_template=chat_template(), tools=[TOOL], return_assistant_tokens_mask=True
    )
    marked = [texts[0][start:end] for start, end in spans[0]]
    assert len(marked) == sum(message["role"] == "assistant" for message in messages)
    assert marked[-2].startswith("first\n<tool_call>\n") and marked[-2].endswith("</tool_call><|im_end|>")
    assert marked[-1] == "a plane<|im_end|>"
    assert all(text.count("<|im_end|>") == 1 and "<|im_start|>" not in text for text in marked)


def test_an_unknown_family_is_named() -> None:
    with pytest.raises(ValueError, match="'llava'"):
        chat_template("llava")
