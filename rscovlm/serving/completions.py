"""Answers in the form of the chat completions API, at once or as a stream of events."""

from __future__ import annotations

import json
import re
import secrets
import time
from collections.abc import Iterator, Mapping
from typing import Any

from rscovlm.serving.answering import Answer

DONE = b"data: [DONE]\n\n"
WAITING = b": still here\n\n"
"""A comment, which clients pass over."""
_LONG = 400


class Completion:
    """One answer under one name, whole or in pieces.

    Args:
        model: Name of the model.
    """

    def __init__(self, model: str) -> None:
        self._head: dict[str, Any] = {
            "id": f"chatcmpl-{secrets.token_hex(12)}",
            "created": int(time.time()),
            "model": model,
        }

    def name(self, model: str) -> None:
        """Answer under the name that the client asked for."""
        self._head["model"] = model

    def whole(self, answer: Answer) -> dict[str, Any]:
        """Return the answer, with what only we know under ``rscovlm``."""
        message = {"role": "assistant", "content": answer.text, "refusal": None}
        choice = {"index": 0, "message": message, "finish_reason": answer.finish, "logprobs": None}
        return {
            **self._head,
            "object": "chat.completion",
            "choices": [choice],
            "usage": _usage(answer),
            "rscovlm": dict(answer.extra),
        }

    def opening(self) -> bytes:
        """Return the event that says who speaks."""
        return self._chunk({"role": "assistant", "content": ""})

    def step(self, about: Mapping[str, Any]) -> bytes:
        """Return the event of a step: no text yet, but what was done, under ``rscovlm``."""
        return self._chunk({}, more={"rscovlm": dict(about)})

    def pieces(self, answer: Answer, *, usage: bool) -> Iterator[bytes]:
        """Yield the events of an answer: its text line by line, or word by word where it is one; then its end."""
        for piece in _pieces(answer.text):
            yield self._chunk({"content": piece})
        yield self._chunk({}, finish=answer.finish, more={"rscovlm": dict(answer.extra)})
        if usage:
            yield event({**self._head, "object": "chat.completion.chunk", "choices": [], "usage": _usage(answer)})
        yield DONE

    def _chunk(
        self, delta: Mapping[str, Any], *, finish: str | None = None, more: Mapping[str, Any] | None = None
    ) -> bytes:
        choice = {"index": 0, "delta": dict(delta), "finish_reason": finish, "logprobs": None}
        return event({**self._head, "object": "chat.completion.chunk", "choices": [choice], **(more or {})})


def event(value: Mapping[str, Any]) -> bytes:
    """Return one server-sent event."""
    return b"data: " + json.dumps(value).encode() + b"\n\n"


def _pieces(text: str) -> list[str]:
    """Return a text in pieces that give it back when joined, no more than some hundreds.

    >>> _pieces("It is red.")
    ['It ', 'is ', 'red.']
    """
    lines = text.splitlines(keepends=True)
    pieces = re.findall(r"\s*\S+\s*", text) if len(lines) == 1 else lines
    if len(pieces) > _LONG or "".join(pieces) != text:
        size = max(1, -(-len(text) // _LONG))
        return [text[place : place + size] for place in range(0, len(text), size)]
    return pieces


def _usage(answer: Answer) -> dict[str, int]:
    return {
        "prompt_tokens": answer.prompt_tokens,
        "completion_tokens": answer.tokens,
        "total_tokens": answer.prompt_tokens + answer.tokens,
    }
