"""One conversation as trainers write them: OpenAI messages, TRL, ms-swift, LLaMA-Factory, LLaVA and Qwen.

| form | fields that are read |
|---|---|
| OpenAI, Qwen | `messages`, or a bare list of them; pictures inside content blocks; `tool_calls` and turns of the role `tool` |
| TRL | `messages`, or `prompt` and `completion`; bare `{"type": "image"}` blocks filled from `images` or `image` in order |
| ms-swift | `messages` or `query`, `response` and `history`; `<image>` in texts with `images`; `<bbox>` and `<ref-object>` with `objects` |
| LLaMA-Factory, LLaVA | `conversations` of `from` and `value`; `<image>` with `images` or `image`; or `instruction`, `input`, `output` |

A tool call becomes the text that Qwen's template writes for it, `<tool_call>{"name": ..., "arguments": ...}</tool_call>`.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any

from rscovlm.data.formats.picture_cells import picture_cell
from rscovlm.geometry.kinds import Kind
from rscovlm.records.jsonfiles import parsed
from rscovlm.records.record import Annotation, ImageRef, Role, Turn
from rscovlm.records.rows import Row, as_list, as_numbers, as_text, as_whole
from rscovlm.records.tally import Rejected

IMAGE = "<image>"
_MARK = re.compile(r"[ \t]*<image>[ \t]*\n?")
_ROLES: dict[str, Role] = {
    "system": "system",
    "developer": "system",
    "human": "user",
    "user": "user",
    "gpt": "assistant",
    "assistant": "assistant",
    "model": "assistant",
    "function_call": "assistant",
    "tool_call": "assistant",
    "tool": "tool",
    "function": "tool",
    "observation": "tool",
    "tool_response": "tool",
}
_CALLERS = ("function_call", "tool_call")
_TEXT_PARTS = ("text", "input_text", "output_text")
_IMAGE_PARTS = ("image", "image_url", "input_image")
_BOX_KINDS: dict[int, Kind] = {4: "hbb", 8: "quad"}


@dataclass
class ParsedConversation:
    """What a row says.

    Attributes:
        turns: The turns; `<image>` stands for the images in order, `<box:i>` for `objects[i]`.
        images: The images.
        objects: Boxes that the row gives apart from its texts.
        tools: The functions that the assistant may call, as JSON; empty without any.
    """

    turns: list[Turn]
    images: list[ImageRef]
    objects: list[Annotation] = field(default_factory=list)
    tools: str = ""


def read_conversation(item: Any) -> ParsedConversation:
    """Read a row of any of the forms above.

    Raises:
        ValueError: It is none of them, or its pictures do not match its marks.

    >>> row = {"messages": [{"role": "user", "content": "<image>How many?"}], "images": ["a.png"]}
    >>> read_conversation(row).images[0].path
    'a.png'
    """
    row = item if isinstance(item, Row) else Row({"messages": item} if isinstance(item, list) else item)
    for kind in ("videos", "audios", "video", "audio"):
        if row.get(kind):
            raise Rejected("unsupported content", f"the row has {kind!r}; give the frames of a video as images")
    slots: list[ImageRef | None] = []
    turns: list[Turn] = []
    for message in _messages(row):
        _append(turns, message, slots)
    images = _filled(turns, slots, _column(row))
    objects = _placed_boxes(turns, row, images)
    tools = row.get("tools") or ""
    return ParsedConversation(turns, images, objects, tools if isinstance(tools, str) else json.dumps(tools))


def _messages(row: Row) -> list[Row]:
    """Give the turns of any form as rows with a role and a content."""
    if row.get("chosen") is not None or row.get("rejected") is not None:
        raise Rejected("preference row", "the row has chosen and rejected answers; keep one as the answer")
    if row.get("messages") is not None:
        found = list(row.rows("messages"))
    elif row.get("conversations") is not None:
        found = [_spoken(turn) for turn in row.rows("conversations")]
    elif row.get("prompt") is not None and row.get("completion") is not None:
        found = [*_side(row["prompt"], "user"), *_side(row["completion"], "assistant")]
    elif row.get("query") is not None or row.get("instruction") is not None:
        found = _asked(row)
    else:
        fields = ", ".join(map(repr, row)) or "none"
        raise Rejected(
            "no conversation",
            "the row has no messages, conversations, prompt and completion, query and response, or instruction and "
            f"output; fields: {fields}",
        )
    system = row.get("system")
    if system and not any(turn.get("role") == "system" for turn in found):
        found.insert(0, Row({"role": "system", "content": as_text(system, "'system'")}))
    return found


def _spoken(turn: Row) -> Row:
    return Row({"role": turn["from"], "content": turn["value"]}) if "from" in turn else turn


def _side(content: Any, role: Role) -> list[Row]:
    return (
        [Row({"role": role, "content": content})]
        if isinstance(content, str)
        else [Row(turn) for turn in as_list(content)]
    )


def _asked(row: Row) -> list[Row]:
    """Read one question and its answer in fields of their own, with earlier pairs in `history`."""
    if row.get("query") is not None:
        pairs = [(row["query"], row["response"])]
    else:
        more = row.get("input") or ""
        pairs = [("\n".join(filter(None, (row.text("instruction"), as_text(more, "'input'")))), row["output"])]
    earlier = []
    for pair in as_list(row.get("history") or [], "'history'"):
        if not isinstance(pair, (list, tuple)) or len(pair) != 2:
            raise Rejected("malformed row", f"'history' holds {pair!r}, not pairs of a question and its answer")
        earlier.append(tuple(pair))
    return [
        Row({"role": role, "content": text})
        for pair in (*earlier, *pairs)
        for role, text in zip(("user", "assistant"), pair, strict=True)
    ]


def _append(turns: list[Turn], message: Row, slots: list[ImageRef | None]) -> None:
    name = message.text("role")
    if name not in _ROLES:
        raise Rejected("unknown role", f"turn has the role {name!r}; known: {', '.join(_ROLES)}")
    role = _ROLES[name]
    content = message.get("content")
    if name in _CALLERS:
        text = "\n".join(map(_call, _calls_of(content)))
    else:
        text = _text(content, slots)
        calls = [_call(call.get("function") or call.value) for call in _listed(message.get("tool_calls"))]
        text = "\n".join([*filter(None, [text]), *calls])
    if name in _CALLERS and turns and turns[-1].role == "assistant":
        # Several calls at once are turns of their own in ms-swift, and one turn for the template.
        text = f"{turns.pop().text}\n{text}"
    turns.append(Turn(role, text))


def _listed(calls: Any) -> list[Row]:
    return [Row(call) for call in as_list(calls or [], "'tool_calls'")]


def _calls_of(content: Any) -> list[Any]:
    value = parsed(content) if isinstance(content, str) else content
    return value if isinstance(value, list) else [value]


def _call(function: Any) -> str:
    row = Row(function)
    arguments = row.get("arguments") or {}
    if isinstance(arguments, str):
        arguments = parsed(arguments)
    return f"<tool_call>\n{json.dumps({'name': row.text('name'), 'arguments': arguments}, ensure_ascii=False)}\n</tool_call>"


def _text(content: Any, slots: list[ImageRef | None]) -> str:
    """Give a content as text with its marks, and note what each mark stands for: a picture of its own, or one of the row's."""
    if content is None:
        return ""
    if isinstance(content, str):
        text = _MARK.sub(IMAGE, content)
        slots += [None] * text.count(IMAGE)
        return text
    parts = []
    for part in map(Row, as_list(content, "'content'")):
        kind = part.get("type") or next(
            (key for key in ("text", "image", "image_url") if part.get(key) is not None), None
        )
        if kind in _TEXT_PARTS:
            parts.append(_text(part.text("text"), slots))
        elif kind in _IMAGE_PARTS:
            slots.append(picture_cell(part.value) if _holds_picture(part) else None)
            parts.append(IMAGE)
        else:
            raise Rejected("unsupported content", f"content part of type {kind!r}; only text and images are read")
    return "".join(parts)


def _holds_picture(part: Row) -> bool:
    return any(
        part.get(key) is not None for key in part if key not in ("type", "text", "index", "width", "height", "detail")
    )


def _column(row: Row) -> list[ImageRef]:
    """Give the pictures of the row's own column: a list or one."""
    for name in ("images", "image"):
        cell = row.get(name)
        if cell is not None:
            cells = list(cell) if isinstance(cell, (list, tuple)) else [cell]
            return [picture_cell(one) for one in cells if one not in (None, "")]
    return []


def _filled(turns: list[Turn], slots: list[ImageRef | None], column: list[ImageRef]) -> list[ImageRef]:
    """Give every mark its picture; pictures without any mark stand before the first question."""
    waiting = sum(slot is None for slot in slots)
    if not slots and column:
        first = next((i for i, turn in enumerate(turns) if turn.role == "user"), None)
        if first is None:
            raise Rejected("answer without a question", "no user turn to show the images in")
        turns[first] = Turn("user", IMAGE * len(column) + turns[first].text)
        return column
    own = [slot for slot in slots if slot is not None]
    if waiting != len(column) and not (waiting == 0 and column == own):
        held = f", beside {len(own)} that blocks hold" if own else ""
        raise Rejected(
            "image marks do not match",
            f"{waiting} image marks for {len(column)} images of the row{held}; give one each",
        )
    rest = iter(column)
    return [slot if slot is not None else next(rest) for slot in slots]


def _placed_boxes(turns: list[Turn], row: Row, images: list[ImageRef]) -> list[Annotation]:
    """Put `<box:i>` for ms-swift's `<bbox>` and names for its `<ref-object>`, in order."""
    marks = sum(turn.text.count("<bbox>") for turn in turns)
    if not marks or row.get("objects") is None:
        return []
    given = row.row("objects")
    boxes, names = given.list("bbox"), as_list(given.get("ref") or [], "'ref'")
    references = sum(turn.text.count("<ref-object>") for turn in turns)
    if marks != len(boxes) or references > len(names):
        raise Rejected(
            "box marks do not match",
            f"{marks} <bbox> for {len(boxes)} boxes, {references} <ref-object> for {len(names)} names",
        )
    which = as_list(given.get("image_id") or [0] * len(boxes), "'image_id'")
    objects: list[Annotation] = []
    for box, number in zip(boxes, which, strict=False):
        values, image = as_numbers(box, "a box"), as_whole(number, "'image_id'")
        if len(values) not in _BOX_KINDS or not 0 <= image < len(images):
            raise Rejected("malformed box", f"box {box!r} on image {image} is not 4 or 8 numbers on one of the images")
        if given.get("bbox_type") == "norm1":
            shown = images[image]
            if not (shown.width and shown.height):
                raise Rejected("image size unknown", f"box {box!r} is in shares of an image whose size is unknown")
            values = tuple(value * (shown.height if i % 2 else shown.width) for i, value in enumerate(values))
        objects.append(Annotation(values, kind=_BOX_KINDS[len(values)], image=image))
    numbers, said = iter(range(len(boxes))), iter(names)
    for i, turn in enumerate(turns):
        text = re.sub("<bbox>", lambda _: f"<box:{next(numbers)}>", turn.text)
        turns[i] = Turn(turn.role, re.sub("<ref-object>", lambda _: as_text(next(said), "a name"), text))
    return objects
