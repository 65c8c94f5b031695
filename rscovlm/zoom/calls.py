"""Reading the tool call out of what a model said: a call that fits the schema, or the reason why it does not."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from string import ascii_letters
from typing import Any, Literal

from rscovlm.zoom.layouts import CALL_CLOSE, CALL_OPEN, TOOL_NAME

Refusal = Literal[
    "malformed", "unknown_tool", "bad_arguments", "not_finite", "inverted", "zero_area", "outside", "repeated"
]

_FUNCTION = "<function="  # Qwen3.5 writes its calls in tags, the families before it in JSON
_DECODER = json.JSONDecoder()


@dataclass(frozen=True)
class Call:
    """A zoom call that fits the tool's schema.

    Attributes:
        bbox: The four finite numbers, x1 < x2 and y1 < y2, in the codec's coordinates.
        image: Which shown image, counted from 1, or ``None`` for the one shown last.
    """

    bbox: tuple[float, float, float, float]
    image: int | None = None


@dataclass(frozen=True)
class ParsedReply:
    """A reply taken apart.

    Attributes:
        text: What the model said outside of any call, stripped.
        call: The first call, when it fits the schema.
        refusal: Why the first call cannot be carried out, when it does not.
        calls: How many calls there were.
    """

    text: str
    call: Call | None = None
    refusal: Refusal | None = None
    calls: int = 0


def read_calls(reply: str, *, several: bool = False) -> ParsedReply:
    """Take a reply apart into words and the first tool call; never raises, in time linear in the reply's length.

    A call stands between ``<tool_call>`` and ``</tool_call>`` (or the end, when the reply was cut) or is the whole
    reply as one JSON object, with or without a code fence; between the tags it is JSON, or in tags as Qwen3.5 writes it. Reasons: ``malformed`` (not a JSON object with a name and
    arguments), ``unknown_tool``, ``bad_arguments`` (they do not fit the schema), ``not_finite`` (NaN, infinity or a
    number beyond float), ``inverted`` (x2 < x1 or y2 < y1), ``zero_area``.

    Args:
        reply: What the model said.
        several: Several images are asked about, so that a call may name one.

    >>> read_calls('Here: <tool_call>{"name": "image_zoom_in", "arguments": {"bbox": [1, 2, 3, 4]}}</tool_call>').call
    Call(bbox=(1.0, 2.0, 3.0, 4.0), image=None)
    >>> read_calls("Two ships.")
    ParsedReply(text='Two ships.', call=None, refusal=None, calls=0)
    """
    said, bodies = _split(reply)
    if not bodies:
        bare = _bare_call(said)
        if bare is None:
            return ParsedReply(said)
        said, bodies = "", [bare]
    call, refusal = _read(bodies[0], several)
    return ParsedReply(said, call, refusal, len(bodies))


def _split(reply: str) -> tuple[str, list[str]]:
    """Return the words outside of calls, and the bodies of the calls."""
    head, *rest = reply.split(CALL_OPEN)
    words, bodies = [head], []
    for piece in rest:
        body, _, after = piece.partition(CALL_CLOSE)
        bodies.append(body)
        words.append(after)
    return "".join(words).replace(CALL_CLOSE, "").strip(), bodies


def _bare_call(text: str) -> str | None:
    """Return the text when all of it is one JSON object with a name and arguments: a call without its tags."""
    body = _unfenced(text)
    if not body.startswith("{") or '"name"' not in body or '"arguments"' not in body:
        return None
    return body


def _unfenced(text: str) -> str:
    """Return the text without a code fence around it."""
    text = text.strip()
    if text.startswith("```"):
        text = text[3:].lstrip(ascii_letters)
    return text.removesuffix("```").strip()


def _read(body: str, several: bool) -> tuple[Call | None, Refusal | None]:
    body = _unfenced(body)
    value: Any
    try:
        value, end = (_tagged(body), len(body)) if body.startswith(_FUNCTION) else _DECODER.raw_decode(body)
    except (ValueError, RecursionError):
        return None, "malformed"
    if not isinstance(value, dict) or not isinstance(value.get("name"), str) or body[end:].strip():
        return None, "malformed"
    if value["name"] != TOOL_NAME:
        return None, "unknown_tool"
    if "arguments" not in value:
        return None, "malformed"
    return check_arguments(value["arguments"], several=several)


def _tagged(body: str) -> dict[str, Any]:
    """Return the call that stands in tags: ``<function=name><parameter=bbox>[1, 2, 3, 4]</parameter></function>``."""
    name, closed, rest = body.removeprefix(_FUNCTION).partition(">")
    if not closed:
        raise ValueError("the tag of the function does not end")
    arguments: dict[str, Any] = {}
    for piece in rest.split("<parameter=")[1:]:
        key, _, value = piece.partition(">")
        arguments[key.strip()] = json.loads(value.partition("</parameter>")[0])
    return {"name": name.strip(), "arguments": arguments}


def check_arguments(arguments: Any, *, several: bool = False) -> tuple[Call | None, Refusal | None]:
    """Return the call that a tool's arguments make, or why they make none.

    >>> check_arguments({"bbox": [1, 2, 3, 4]})
    (Call(bbox=(1.0, 2.0, 3.0, 4.0), image=None), None)
    """
    allowed = {"bbox", "image"} if several else {"bbox"}
    if not isinstance(arguments, dict) or not set(arguments) <= allowed:
        return None, "bad_arguments"
    bbox, image = arguments.get("bbox"), arguments.get("image", 1)
    if not isinstance(bbox, list) or len(bbox) != 4 or not all(_is_number(value) for value in bbox):
        return None, "bad_arguments"
    if not _is_number(image) or image < 1 or image != image // 1:  # 2.0 is an integer to JSON Schema
        return None, "bad_arguments"
    try:
        x1, y1, x2, y2 = (float(value) for value in bbox)
    except OverflowError:
        return None, "not_finite"
    if not all(math.isfinite(value) for value in (x1, y1, x2, y2)):
        return None, "not_finite"
    if x2 < x1 or y2 < y1:
        return None, "inverted"
    if x1 == x2 or y1 == y2:
        return None, "zero_area"
    return Call((x1, y1, x2, y2), int(image) if "image" in arguments else None), None


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
