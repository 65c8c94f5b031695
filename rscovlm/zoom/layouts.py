"""The turns of a zoom conversation, one place for training and inference alike.

Two layouts: ``reference`` is what released RSCoVLM checkpoints were trained on (tools in the system text, the crop in a
user turn); ``native`` uses the chat template's own ``tools``, ``tool_calls`` and an image in a tool turn. The texts a
released checkpoint expects are constants here.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

Layout = Literal["reference", "native"]
LAYOUTS: tuple[Layout, ...] = get_args(Layout)

Message = dict[str, Any]
Tool = dict[str, Any]

TOOL_NAME = "image_zoom_in"
CALL_OPEN = "<tool_call>"
CALL_CLOSE = "</tool_call>"

# What stands around the four numbers of a call, and the two fixed sentences of the reference layout: released
# checkpoints know these bytes.
CALL_START = CALL_OPEN + '\n{"name": "' + TOOL_NAME + '", "arguments": {"bbox": ['
CALL_END = "]}}\n" + CALL_CLOSE
ZOOM_REQUEST = "\nZoom in to the region of interest and answer the question."
CROP_TEXT = "Here's the zoomed-in image. You can complete your task now."

# The frame that Qwen and Hermes checkpoints know their tools in: a format, kept to the byte.
_TOOLS_HEAD = (
    "# Tools\n\nYou may call one or more functions to assist with the user query.\n\n"
    "You are provided with function signatures within <tools></tools> XML tags:\n<tools>"
)
_TOOLS_TAIL = (
    "\n</tools>\n\nFor each function call, return a json object with function name and arguments within "
    '<tool_call></tool_call> XML tags:\n<tool_call>\n{"name": <function-name>, "arguments": <args-json-object>}'
    "\n</tool_call>"
)


@dataclass(frozen=True)
class ZoomWords:
    """The texts of the reference layout; a checkpoint that was trained on others brings them with its dialect.

    Attributes:
        system: The whole system text that announces the tool; None for one made of `zoom_tool`.
        request: What follows the question.
        crop: What stands beside the crop.
    """

    system: str | None = None
    request: str = ZOOM_REQUEST
    crop: str = CROP_TEXT


WORDS = ZoomWords()

_REGION = "Region as [x1, y1, x2, y2], left top and right bottom corner, in coordinates of"


def zoom_tool(*, several: bool = False) -> Tool:
    """Describe the zoom tool as a function whose ``parameters`` are a valid JSON Schema.

    Args:
        several: Several images are asked about: the call may then name the image it means.

    >>> zoom_tool()["function"]["parameters"]["required"]
    ['bbox']
    """
    properties: dict[str, Any] = {
        "bbox": {
            "type": "array",
            "items": {"type": "number"},
            "minItems": 4,
            "maxItems": 4,
            "description": f"{_REGION} the image shown last.",
        }
    }
    if several:
        properties["bbox"]["description"] = f"{_REGION} the chosen image."
        properties["image"] = {
            "type": "integer",
            "minimum": 1,
            "description": (
                "Number of the chosen image, counted in the order shown, crops included; "
                "without it the image shown last."
            ),
        }
    description = "Look at a region of the image again, read from the original at the best resolution available."
    parameters = {"type": "object", "properties": properties, "required": ["bbox"], "additionalProperties": False}
    return {"type": "function", "function": {"name": TOOL_NAME, "description": description, "parameters": parameters}}


def system_text(tools: Sequence[Tool]) -> str:
    """Return the system text that announces ``tools`` the way Qwen's own templates do."""
    return _TOOLS_HEAD + "".join("\n" + json.dumps(tool, ensure_ascii=False) for tool in tools) + _TOOLS_TAIL


#: The system turn of the reference layout for one image.
ZOOM_SYSTEM = system_text([zoom_tool()])


def tools_part(
    layout: Layout, *, several: bool = False, system: str | None = None, words: ZoomWords = WORDS
) -> tuple[list[Message], list[Tool] | None]:
    """Return the messages that open a conversation with the tool, and the ``tools`` for the chat template (``None``
    where the text says it all); ``system`` is what a user's own system turn says, ``words`` those of the reference layout.

    >>> messages, tools = tools_part("native")
    >>> messages, tools[0]["function"]["name"]
    ([], 'image_zoom_in')
    """
    tools = [zoom_tool(several=several)]
    if check_layout(layout) == "native":
        return system_part(system), tools
    announced = system_text(tools) if words.system is None else words.system
    return system_part("\n\n".join((*([system] if system else []), announced))), None


def system_part(system: str | None) -> list[Message]:
    """Return the system turn that says ``system``, or nothing."""
    return [{"role": "system", "content": [_text(system)]}] if system else []


def overview_turn(image: Any, question: str, layout: Layout, *, zoom: bool = True, words: ZoomWords = WORDS) -> Message:
    """Return the user turn that shows the image (or a list of images) and asks.

    Args:
        image: Anything the processor takes, a list of those, or ``None`` for a placeholder that is filled from a
            sample's ``images`` in order.
        question: The question as the user wrote it.
        layout: ``"reference"`` or ``"native"``.
        zoom: False asks for the answer at once; the turn then reads the same in both layouts.
        words: Texts of the reference layout.

    >>> overview_turn(None, "How many ships?", "reference")["content"][1]["text"]
    'How many ships?\\nZoom in to the region of interest and answer the question.'
    """
    images = image if isinstance(image, (list, tuple)) else [image]
    suffix = words.request if zoom and check_layout(layout) == "reference" else ""
    return {"role": "user", "content": [*(_image(one) for one in images), _text(question + suffix)]}


def call_turn(bbox: Sequence[float], layout: Layout, *, image: int | None = None, said: str = "") -> Message:
    """Return the assistant turn that calls the tool on ``bbox``.

    Args:
        bbox: Four numbers ``x1 y1 x2 y2`` in the coordinates of the codec (``Codec.encode_box`` gives them).
        layout: ``"reference"`` or ``"native"``.
        image: Number of the image meant, where several are asked about.
        said: What the model said before the call.

    >>> call_turn([1, 2, 30, 40], "reference")["content"][0]["text"]
    '<tool_call>\\n{"name": "image_zoom_in", "arguments": {"bbox": [1, 2, 30, 40]}}\\n</tool_call>'
    """
    arguments: dict[str, Any] = {"bbox": list(bbox)}
    if image is not None:
        arguments["image"] = image
    if check_layout(layout) == "native":
        content = [_text(said)] if said else []
        return {"role": "assistant", "content": content, "tool_calls": [_call(arguments)]}
    body = json.dumps({"name": TOOL_NAME, "arguments": arguments})
    return answer_turn(f"{said}\n{CALL_OPEN}\n{body}\n{CALL_CLOSE}" if said else f"{CALL_OPEN}\n{body}\n{CALL_CLOSE}")


def crop_turn(image: Any, layout: Layout, *, note: str = "", words: ZoomWords = WORDS) -> Message:
    """Return the turn that shows a crop: a user turn in the reference layout, a tool turn in the native one.

    Args:
        image: The crop, or ``None`` for a placeholder.
        layout: ``"reference"`` or ``"native"``.
        note: What the model has to know about this crop, added as one more sentence.
        words: Texts of the reference layout.
    """
    if check_layout(layout) == "native":
        return {"role": "tool", "name": TOOL_NAME, "content": [_image(image), *([_text(note)] if note else [])]}
    return {"role": "user", "content": [_image(image), _text(f"{words.crop} {note}" if note else words.crop)]}


def refusal_turn(text: str, layout: Layout, *, called: bool = True) -> Message:
    """Return the turn that tells the model why it gets no crop.

    Args:
        text: The reason.
        layout: ``"reference"`` or ``"native"``.
        called: The turn before holds a tool call of the native layout, so that a tool turn may follow.
    """
    if check_layout(layout) == "native" and called:
        return {"role": "tool", "name": TOOL_NAME, "content": [_text(text)]}
    return {"role": "user", "content": [_text(text)]}


def answer_turn(text: str) -> Message:
    """Return an assistant turn that says ``text``."""
    return {"role": "assistant", "content": [_text(text)]}


def zoom_conversation(
    overview: Any,
    question: str,
    bbox: Sequence[float],
    crop: Any,
    answer: str,
    layout: Layout,
    *,
    words: ZoomWords = WORDS,
) -> tuple[list[Message], list[Tool] | None]:
    """Return a whole training conversation with one zoom, and its ``tools``.

    The same turns that :class:`~rscovlm.zoom.ZoomChain` builds when a model makes this call, so training and inference
    are equal text for text.

    >>> messages, tools = zoom_conversation(None, "What is it?", [1, 2, 3, 4], None, "a hangar", "reference")
    >>> [turn["role"] for turn in messages], tools
    (['system', 'user', 'assistant', 'user', 'assistant'], None)
    """
    return looks_conversation(overview, question, [(bbox, crop)], answer, layout, words=words)


def looks_conversation(
    overview: Any,
    question: str,
    looks: Sequence[tuple[Sequence[float], Any]],
    answer: str,
    layout: Layout,
    *,
    words: ZoomWords = WORDS,
) -> tuple[list[Message], list[Tool] | None]:
    """Return a whole training conversation with several zooms, each a call on the image shown last and its crop.

    >>> messages, _ = looks_conversation(None, "What is it?", [([1, 2, 3, 4], None)] * 2, "a hangar", "reference")
    >>> [turn["role"] for turn in messages]
    ['system', 'user', 'assistant', 'user', 'assistant', 'user', 'assistant']
    """
    opening, tools = tools_part(layout, words=words)
    turns = [overview_turn(overview, question, layout, words=words)]
    for bbox, crop in looks:
        turns += [call_turn(bbox, layout), crop_turn(crop, layout, words=words)]
    return [*opening, *turns, answer_turn(answer)], tools


def check_layout(layout: str) -> Layout:
    """Return ``layout``, or raise ``ValueError`` when there is no such layout."""
    for known in LAYOUTS:
        if layout == known:
            return known
    raise ValueError(f"unknown zoom layout {layout!r}; choose one of {', '.join(LAYOUTS)}")


def _call(arguments: dict[str, Any]) -> dict[str, Any]:
    return {"type": "function", "function": {"name": TOOL_NAME, "arguments": arguments}}


def _text(text: str) -> dict[str, Any]:
    return {"type": "text", "text": text}


def _image(image: Any) -> dict[str, Any]:
    return {"type": "image"} if image is None else {"type": "image", "image": image}
