"""The turns of a chat request: read, bounded, their images opened and never fetched."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from rscovlm.codec.control_tokens import check_words
from rscovlm.rasters import Raster
from rscovlm.serving.pictures import open_pictures
from rscovlm.serving.refusals import BadRequest, RequestLimits

Role = Literal["system", "user", "assistant", "tool"]

_ROLES: dict[str, Role] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "assistant": "assistant",
    "tool": "tool",
}
_DETAILS = (None, "auto", "low", "high")
# No tokenizer of ours has longer tokens, so that texts beyond any limit are refused before they are counted.
_LONGEST_TOKEN = 128


@dataclass(frozen=True)
class ClientTurn:
    """One turn as the client sent it.

    Attributes:
        role: Who speaks.
        text: The words, boxes in pixels of the image sent last before them.
        images: The images, opened.
        calls: Tools that an assistant's turn called, as ``(name, arguments)``.
    """

    role: Role
    text: str
    images: tuple[Raster, ...] = ()
    calls: tuple[tuple[str, Any], ...] = ()


@dataclass(frozen=True)
class _Read:
    """One turn before its images are opened."""

    role: Role
    text: str
    urls: Sequence[Any]
    calls: Mapping[str, tuple[str, Any]]
    answers: str | None

    def words(self) -> str:
        return self.text + "".join(name + json.dumps(arguments) for name, arguments in self.calls.values())


def read_turns(messages: Any, limits: RequestLimits, count: Callable[[str], int]) -> list[ClientTurn]:
    """Read the messages of a request.

    Args:
        messages: The field of the request.
        limits: What a request may hold.
        count: Counts the tokens of a text.

    Raises:
        BadRequest: They are not of the API's form, an image is no data URI or cannot be read, or a limit is passed.
    """
    if not isinstance(messages, list) or not messages or len(messages) > limits.turns:
        raise BadRequest(f"messages must be a list of 1 to {limits.turns} turns", param="messages")
    turns = [_turn(message) for message in messages]
    _check_calls(turns)
    if sum(len(turn.urls) for turn in turns) > limits.images:
        raise BadRequest(f"there are more than {limits.images} images", 413, param="messages")
    texts = [turn.words() for turn in turns]
    if sum(map(len, texts)) > limits.text * _LONGEST_TOKEN or sum(map(count, texts)) > limits.text:
        raise BadRequest(f"the texts have more than {limits.text} tokens", 413, param="messages")
    opened = open_pictures([url for turn in turns for url in turn.urls], limits)
    return [
        ClientTurn(turn.role, turn.text, tuple(next(opened) for _ in turn.urls), tuple(turn.calls.values()))
        for turn in turns
    ]


def read_tools(given: Any, limits: RequestLimits, count: Callable[[str], int]) -> tuple[dict[str, Any], ...]:
    """Read the tools that a raw conversation offers.

    Raises:
        BadRequest: They are no list of functions, hold control tokens, or have too many tokens.
    """
    tools = [] if given is None else given
    functions = (
        [tool.get("function") if isinstance(tool, dict) else None for tool in tools]
        if isinstance(tools, list)
        else [None]
    )
    if not all(isinstance(one, dict) and isinstance(one.get("name"), str) for one in functions):
        raise BadRequest("tools must be a list of {'type': 'function', 'function': {'name': ...}}", param="tools")
    text = json.dumps(tools, ensure_ascii=False)
    if len(text) > limits.text * _LONGEST_TOKEN or count(clean_text(text)) > limits.text:
        raise BadRequest(f"the tools have more than {limits.text} tokens", 413, param="tools")
    return tuple(tools)


def clean_text(text: str) -> str:
    """Return a text that may stand in a prompt.

    Raises:
        BadRequest: It holds a control token, which would end a turn or stand for an image, or no proper characters.
    """
    try:
        return check_words(text)
    except ValueError as error:
        raise BadRequest(str(error), param="messages") from error


def _turn(message: Any) -> _Read:
    said = message.get("role") if isinstance(message, dict) else None
    role = _ROLES.get(said) if isinstance(said, str) else None
    if role is None:
        raise BadRequest(f"a turn needs a role, one of {', '.join(_ROLES)}", param="messages")
    calls = _calls(message.get("tool_calls")) if role == "assistant" else {}
    answers = message.get("tool_call_id") if role == "tool" else None
    content = message.get("content")
    if content is None and calls:  # a turn that only called a tool
        content = ""
    blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content
    if not isinstance(blocks, list):
        raise BadRequest("the content of a turn must be text or a list of blocks", param="messages")
    texts: list[str] = []
    images: list[Any] = []
    for block in blocks:
        kind = block.get("type") if isinstance(block, dict) else None
        if kind == "text" and isinstance(block.get("text"), str):
            texts.append(block["text"])
        elif kind == "image_url" and role in ("user", "tool"):
            images.append(_url(block.get("image_url")))
        else:
            raise BadRequest(
                "a block must be {'type': 'text', 'text': ...}, or in a turn of the user or a tool {'type': 'image_url', ...}",
                param="messages",
            )
    return _Read(role, clean_text("\n".join(texts)), images, calls, answers if isinstance(answers, str) else None)


def _url(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    if value.get("detail") not in _DETAILS:
        raise BadRequest("detail must be auto, low or high", param="messages")
    return value.get("url")


def _calls(given: Any) -> dict[str, tuple[str, Any]]:
    """Return the calls of an assistant's turn by their identifiers."""
    calls: dict[str, tuple[str, Any]] = {}
    if given is not None and not isinstance(given, list):
        raise BadRequest("tool_calls must be a list", param="messages")
    for call in given or ():
        function = call.get("function") if isinstance(call, dict) else None
        if not isinstance(function, dict) or not isinstance(call.get("id"), str):
            raise BadRequest("a tool call needs an id and a function", param="messages")
        name, arguments = function.get("name"), function.get("arguments")
        if not isinstance(name, str) or not isinstance(arguments, str):
            raise BadRequest("a called function needs a name and its arguments as a text", param="messages")
        try:
            parsed = json.loads(arguments or "{}")
        except (ValueError, RecursionError):
            parsed = arguments  # a model may have written anything
        clean_text(name + json.dumps(parsed, ensure_ascii=False))
        calls[call["id"]] = name, parsed
    return calls


def _check_calls(turns: Sequence[_Read]) -> None:
    """Refuse answers of tools that nobody called, and calls that nobody answered."""
    waiting: set[str] = set()
    for turn in turns:
        if turn.role == "tool":
            if turn.answers not in waiting:
                raise BadRequest(
                    "a turn with the role tool must answer one of the tool_calls of the assistant's turn before it, by "
                    "its tool_call_id",
                    param="messages",
                )
            waiting.discard(turn.answers)
            continue
        if waiting:
            break
        waiting = set(turn.calls)
    if waiting:
        raise BadRequest(
            f"tool call {min(waiting)[:80]!r} has no answer; a turn with the role tool must follow", param="messages"
        )
