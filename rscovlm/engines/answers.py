"""What a server sent back, read: anything may come from a server."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping, Sequence
from email.utils import parsedate_to_datetime
from typing import Any

from rscovlm.engines.engine import Finish, Reply

_SHOWN = 300
"""Bytes of a server's own words that an error repeats."""


class Unreadable(ValueError):
    """An answer that is no chat completion."""


def read_reply(body: bytes, seconds: float, *, logprobs: bool) -> Reply:
    """Read the body of a chat completion.

    A tool call that the server parsed becomes what the model wrote again. Counts that are missing or none are 0.

    Raises:
        Unreadable: It is no JSON, holds no choice, or one of another form.
    """
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise Unreadable("its body is no JSON") from error
    choices = _at(answer, "choices", list)
    if not choices:
        raise Unreadable("it holds no choice")
    choice = choices[0]
    message = _at(choice, "message", dict) or {}
    text = _content(message.get("content"))
    for call in _at(message, "tool_calls", list) or ():
        text = f"{text}\n<tool_call>\n{_written(_at(call, 'function', dict) or {})}\n</tool_call>".lstrip("\n")
    text = text.encode(errors="replace").decode()  # half a character would end whatever writes it later
    finish: Finish = "length" if choice.get("finish_reason") == "length" else "stop"
    tokens = _count(answer.get("usage"), "completion_tokens")
    read = _count(answer.get("usage"), "prompt_tokens")
    listed = _listed(choice.get("logprobs")) if logprobs else []
    if not listed:
        return Reply(text, tokens, seconds, finish, prompt_tokens=read)
    pieces, values = zip(*listed, strict=True)
    return Reply(text, tokens or len(listed), seconds, finish, list(values), token_texts(text, pieces), read)


def token_texts(text: str, pieces: Sequence[bytes]) -> list[str]:
    """Return what each token adds to an answer, so that they join to it.

    A token that does not show, such as the one that ends a turn, adds nothing; a character of several tokens stands with
    the last of them.

    >>> token_texts("a ship", [b"a", b" ship", b"<|im_end|>"])
    ['a', ' ship', '']
    """
    whole, begun, place, texts = text.encode(), 0, 0, []
    for piece in pieces:
        if whole.startswith(piece, place):
            place += len(piece)
        try:
            texts.append(whole[begun:place].decode())
            begun = place
        except UnicodeDecodeError:
            texts.append("")
    return texts


def told(words: bytes | str, secret: str | None) -> str:
    """Return what a server or connection said, for an error: short, without the key and without control characters.

    >>> told(b'{"error": "bad key hf_abc"}', "hf_abc")
    '{"error": "bad key ***"}'
    """
    text = words.decode(errors="replace") if isinstance(words, bytes) else words
    if secret:
        text = text.replace(secret, "***")
    return "".join(one if one.isprintable() else " " for one in text[:_SHOWN])


def retry_after(value: str | None) -> float:
    """Return how long ``Retry-After`` asks to wait, in seconds, at most a minute; 0 where it says neither how long nor
    until when.

    >>> retry_after("2"), retry_after("Thu, 01 Jan 1970 00:00:00 GMT"), retry_after("soon")
    (2.0, 0.0, 0.0)
    """
    if value is None:
        return 0.0
    try:
        wait = float(value)
    except ValueError:
        try:
            wait = parsedate_to_datetime(value).timestamp() - time.time()
        except (ValueError, OverflowError):
            return 0.0
    return min(60.0, max(0.0, wait)) if not math.isnan(wait) else 0.0


def _at(value: Any, name: str, kind: type) -> Any:
    """Return a field of an object, ``None`` where it is absent or null."""
    if not isinstance(value, Mapping):
        raise Unreadable(f"what should hold {name} is no object")
    found = value.get(name)
    if found is not None and not isinstance(found, kind):
        raise Unreadable(f"{name} is no {'list' if kind is list else 'object'}")
    return found


def _content(content: Any) -> str:
    """Return the words of a message: a string, or the texts of its parts."""
    if content is None or isinstance(content, str):
        return content or ""
    if not isinstance(content, list):
        raise Unreadable("content is neither text nor parts")
    texts = [_at(part, "text", str) for part in content]
    return "".join(text for text in texts if text)


def _written(function: Mapping[str, Any]) -> str:
    arguments = function.get("arguments")
    body = arguments if isinstance(arguments, str) and arguments else json.dumps(arguments or {})
    return f'{{"name": {json.dumps(function.get("name"))}, "arguments": {body}}}'


def _count(usage: Any, name: str) -> int:
    tokens = usage.get(name) if isinstance(usage, Mapping) else None
    return max(0, tokens) if isinstance(tokens, int) and not isinstance(tokens, bool) else 0


def _listed(logprobs: Any) -> list[tuple[bytes, float]]:
    """Return the bytes and log-probability of each token; none where any is not given."""
    content = logprobs.get("content") if isinstance(logprobs, Mapping) else None
    listed: list[tuple[bytes, float]] = []
    for one in content if isinstance(content, list) else ():
        value = one.get("logprob") if isinstance(one, Mapping) else None
        if not isinstance(value, (int, float)):
            return []
        listed.append((_piece(one), float(value)))
    return listed


def _piece(token: Mapping[str, Any]) -> bytes:
    try:
        return bytes(token["bytes"])
    except (KeyError, TypeError, ValueError):
        # Servers of older versions give no bytes.
        return str(token.get("token", "")).encode(errors="replace")
