"""Where the answers stand in the text of a conversation, for chat templates that do not mark them."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from transformers.utils.chat_template_utils import render_jinja_template

_BEGIN, _END = "<|im_start|>", "<|im_end|>"
_HEADER = f"{_BEGIN}assistant\n"


def answer_spans(
    template: str, messages: Sequence[Mapping[str, Any]], tools: Any, name: str
) -> tuple[str, list[tuple[int, int]]]:
    """Render a conversation and find what the model is to write: each assistant turn behind what its prompt says already.

    Published templates of Qwen3.5 mark nothing, and open an answer with a thought, empty or not: what a prompt ends
    with at inference is not trained.

    Args:
        template: A chat template whose turns stand between ``<|im_start|>`` and ``<|im_end|>``.
        messages: The conversation.
        tools: Its tools, or None.
        name: What errors call it.

    Returns:
        The text, and where each answer begins and ends in it, its end mark included.

    Raises:
        ValueError: A text writes the marks of turns itself, or the template's turns are not found.
    """
    said = json.dumps([list(messages), tools], ensure_ascii=False, default=str)
    if _BEGIN in said or _END in said:
        raise ValueError(
            f"{name} writes {_BEGIN} or {_END} in a text, and its chat template marks no answers; write it otherwise"
        )
    texts, _ = render_jinja_template(conversations=[list(messages)], tools=tools, chat_template=template)
    text: str = texts[0]
    opening, spans = _opening(template), []
    for header in re.finditer(re.escape(_HEADER), text):
        begin, end = header.end(), text.find(_END, header.end())
        if end < 0:
            break
        begin += len(opening) if text.startswith(opening, begin) else 0
        spans.append((min(begin, end), end + len(_END)))
    if len(spans) != sum(turn["role"] == "assistant" for turn in messages):
        raise ValueError(f"{name} has nothing to train: the chat template marks no turn as generated; take ours")
    return text, spans


@lru_cache(maxsize=16)
def _opening(template: str) -> str:
    """Return what a prompt writes of the answer, behind the header of its turn."""
    asked = [{"role": "user", "content": "?"}]
    closed, open_ = (
        render_jinja_template(conversations=[asked], chat_template=template, add_generation_prompt=prompted)[0][0]
        for prompted in (False, True)
    )
    return str(open_[len(closed) :]).removeprefix(_HEADER) if open_.startswith(closed) else ""
