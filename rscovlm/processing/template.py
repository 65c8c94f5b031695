"""The chat template as shipped with every checkpoint that our processor saves."""

import re
from functools import lru_cache
from importlib import resources
from typing import Any

from rscovlm.processing.families import FAMILIES

# What a tokenizer takes as ``response_template``. Without one, `transformers serve` and TRL look for tool calls in what
# Qwen models write, strip it, and fail on a call that is no valid JSON.
RESPONSE_AS_WRITTEN = {
    "start_anchor": "<|im_start|>assistant\n",
    "defaults": {"role": "assistant"},
    "fields": {
        "content": {
            "close_pattern": r"<\|im_end\|>|<\|endoftext\|>",
            "content": "text",
            "content_args": {"strip": False},
        }
    },
}
"""Gives answers as the model wrote them, tool calls included: for checkpoints that `transformers serve` serves."""
RESPONSE_WITH_CALLS = {
    "start_anchor": "<|im_start|>assistant\n",
    "defaults": {"role": "assistant"},
    "fields": {
        "reasoning_content": {"open": "<think>", "close_pattern": r"</think>\s*", "content": "text"},
        "tool_calls": {
            "open": "<tool_call>",
            "close_pattern": r"</tool_call>\s*",
            "repeats": True,
            "content": "json",
            "content_args": {"allow_non_json": True},
            "transform": {"type": "function", "function": "{content}"},
        },
        "content": {"close_pattern": r"<\|im_end\|>|<\|endoftext\|>", "content": "text"},
    },
}
"""Parts answers into words and tool calls: for trainers of TRL, whose `add_response_schema` knows stock templates by their text.

A call that is no valid JSON comes back as its text. It is not saved by default: with one, pipelines keep end marks in answers.
"""

_DEFAULT_SYSTEM = "{%- set default_system = 'You are a helpful assistant.' -%}"
_NO_SYSTEM = "{%- set default_system = '' -%}"

_GENERATION = re.compile(r"\{%-?\s*generation\s*-?%\}")
_TURNS: list[dict[str, Any]] = [
    {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "one"}]},
    {"role": "assistant", "content": "two"},
    {"role": "user", "content": [{"type": "text", "text": "three"}]},
]
_CALL = {"type": "function", "function": {"name": "look", "arguments": {"at": [1, 2], "why": "\u00e9 < 3"}}}
_TOOL_TURNS: list[dict[str, Any]] = [
    {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "one"}]},
    {"role": "assistant", "content": "two", "tool_calls": [_CALL]},
    {"role": "tool", "content": [{"type": "image"}, {"type": "text", "text": "three"}]},
    {"role": "assistant", "content": "", "tool_calls": [_CALL, _CALL]},
    {"role": "tool", "content": "four"},
    {"role": "tool", "content": "five"},
    {"role": "assistant", "content": "six"},
]
_TOOL = {"type": "function", "function": {"name": "look", "description": "\u00e9", "parameters": {"type": "object"}}}


def chat_template(family: str = "qwen2_5_vl") -> str:
    """Return the jinja chat template of a model family.

    The text equals the stock template's wherever that one has something to say. Beyond it: ``tools`` (a header in the
    system turn, in the format Qwen models know), ``tool_calls`` of assistant turns, ``tool`` turns with text and images,
    and ``{% generation %}`` marks around what the assistant wrote and its ``<|im_end|>``, from which
    ``return_assistant_tokens_mask`` makes labels.

    Args:
        family: ``"qwen2_vl"`` or ``"qwen2_5_vl"``, which open with a default system turn where the conversation has none,
            or ``"qwen3_vl"`` or ``"qwen3_5"``, which do not.

    Raises:
        ValueError: if the family is none of them.

    >>> "image_pad" in chat_template()
    True
    """
    if family not in FAMILIES:
        raise ValueError(f"family {family!r} has no chat template here; choose one of {', '.join(FAMILIES)}")
    text = resources.files(__package__).joinpath("chat_template.jinja").read_text(encoding="utf-8")
    return text if FAMILIES[family].patch_size == 14 else text.replace(_DEFAULT_SYSTEM, _NO_SYSTEM)


def same_text(one: str, other: str, *, tools: bool = False) -> bool:
    """Return whether two templates render conversations with images, with and without a system turn, alike.

    Args:
        one: A template.
        other: Another.
        tools: Compare conversations with tools, calls and images in replies of tools too.
    """
    from jinja2 import TemplateError
    from transformers.utils.chat_template_utils import render_jinja_template

    texts = []
    for template in (one, other):
        try:
            texts.append(
                [
                    render_jinja_template(
                        conversations=[turns, [{"role": "system", "content": "zero"}, *turns]],
                        chat_template=template,
                        tools=offered,
                        add_generation_prompt=prompted,
                    )[0]
                    for turns, offered in ((_TURNS, None), (_TOOL_TURNS, [_TOOL]))[: 1 + tools]
                    for prompted in (True, False)
                ]
            )
        except (
            TemplateError,
            TypeError,
            ValueError,
            LookupError,
            AttributeError,
        ):  # a template for other conversations
            return False
    return texts[0] == texts[1]


def has_marks(template: str) -> bool:
    """Return whether a template marks what the assistant writes, as ``return_assistant_tokens_mask`` asks of it."""
    return _GENERATION.search(template) is not None


@lru_cache(maxsize=16)
def training_template(template: str, family: str) -> str:
    """Return the template that a conversation is trained by: a checkpoint's own, or ours where that adds only marks.

    Published templates mark nothing. They stay with the checkpoint as they are, since other tools know them by their text.

    Args:
        template: The checkpoint's template.
        family: As for `chat_template`.

    >>> training_template(chat_template("qwen3_vl"), "qwen3_vl") == chat_template("qwen3_vl")
    True
    """
    ours = chat_template(family)
    return ours if not has_marks(template) and same_text(template, ours, tools=True) else template


default_template = chat_template  # where `chat_template` is also the name of an argument
