"""Chat requests as they come in: read, bounded, and refused with the reason."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast, get_args

from rscovlm.codec.prompts import Kind, Style
from rscovlm.engines.engine import Conversation
from rscovlm.rasters import Limits, Raster, open_image
from rscovlm.zoom.windows import show

Task = Literal["ask", "detect", "ground", "classify", "caption"]
TASKS: tuple[Task, ...] = get_args(Task)
_DATA = re.compile(r"data:(?:image/[\w.+-]{1,64}|application/octet-stream);base64,", re.IGNORECASE)
_ROLES = ("system", "user", "assistant")


class BadRequest(ValueError):
    """A request is refused.

    Attributes:
        status: HTTP status.
    """

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True)
class RequestLimits:
    """What one request may ask for.

    Attributes:
        body: Bytes of the request.
        images: Number of images.
        pixels: Pixels of one image, by what its header claims.
        tokens: Generated tokens of one reply of the model.
        steps: Windows shown for one question.
        visual_tokens: Visual tokens of all images shown for one question.
        turns: Messages of a conversation.
        text: Characters of all its texts.
        tiles: Tiles of one detection.
        waiting: Requests in the house at a time; more are told to come back.
    """

    body: int = 64 * 2**20
    images: int = 8
    pixels: int = 2**28
    tokens: int = 2048
    steps: int = 4
    visual_tokens: int = 6000
    turns: int = 64
    text: int = 32_768
    tiles: int = 400
    waiting: int = 64

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if value < 1:
                raise ValueError(f"limit {name} is {value}; give a number from 1 up")


@dataclass(frozen=True)
class Request:
    """A chat request.

    Attributes:
        task: What is asked for.
        text: The last user turn's text: question, expression, or class names.
        images: The images of that turn.
        earlier: The whole conversation for the engine, where there were turns before; such a one is answered at once.
        classes: Class names, for detection and classification.
        kind: Box kind of the answer.
        style: Form of the answer.
        zoom: Whether the chain may look closer.
        max_tokens: Generated tokens of one reply.
        max_steps: Windows shown.
        max_visual_tokens: Visual tokens shown.
        stream: The client wants server-sent events.
    """

    task: Task
    text: str
    images: tuple[Raster, ...]
    earlier: tuple[Mapping[str, Any], ...]
    classes: tuple[str, ...]
    kind: Kind | None
    style: Style
    zoom: bool
    max_tokens: int
    max_steps: int
    max_visual_tokens: int
    stream: bool


def read_request(body: bytes, limits: RequestLimits) -> Request:
    """Read a request of the chat completions API.

    Images come as data URIs only; nothing is fetched. What is ours stands in an object ``rscovlm`` beside the API's own
    fields: ``task``, ``classes``, ``kind``, ``style``, ``zoom``, ``max_steps``, ``max_visual_tokens``. A model name that
    ends in ``:detect``, ``:ground``, ``:classify`` or ``:caption`` chooses the task too, for clients that can only set
    that.

    Raises:
        BadRequest: Anything is not of this form or above a limit.
    """
    try:
        values = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise BadRequest("the body is not JSON") from error
    if not isinstance(values, dict):
        raise BadRequest("the body is no JSON object; send model and messages")
    own = values.get("rscovlm") or {}
    if not isinstance(own, dict):
        raise BadRequest("rscovlm is no JSON object")
    task = _task(values.get("model"), own.get("task"))
    turns = _turns(values.get("messages"), limits)
    images = [_opened(turn["images"], limits) for turn in turns]
    *before, last = turns
    text: str = last["text"].strip()
    talked = any(turn["role"] != "system" for turn in before)
    if talked and task != "ask":
        raise BadRequest(f"task {task!r} takes one user turn; send the image and the text in it")
    if not images[-1] and not talked:
        raise BadRequest("the user turn has no image; send one as a data URI in an image_url block")
    if task != "ask" and len(images[-1]) > 1:
        raise BadRequest(f"task {task!r} takes one image and {len(images[-1])} came")
    earlier = tuple({**turn, "images": shown} for turn, shown in zip(turns, images, strict=True)) if talked else ()
    return Request(
        task,
        text,
        tuple(images[-1]),
        earlier,
        _classes(own.get("classes"), text if task in ("detect", "classify") else ""),
        cast(Kind | None, _chosen(own, "kind", ("hbb", "obb", "quad"), None)),
        cast(Style, _chosen(own, "style", ("plain", "json"), "plain")),
        _flag(own, "zoom", default=True),
        _number(values, ("max_completion_tokens", "max_tokens"), limits.tokens, 1),
        _number(own, ("max_steps",), limits.steps, 0),
        _number(own, ("max_visual_tokens",), limits.visual_tokens, 1),
        _flag(values, "stream", default=False),
    )


def conversation(request: Request, budget: Any) -> Conversation:
    """Return the turns of a longer conversation for an engine, its images as the model sees them at once."""
    messages = []
    for turn in request.earlier:
        views = [show(raster, None, 0, budget, 2**40) for raster in turn["images"]]
        blocks: list[dict[str, Any]] = [{"type": "image", "image": view.image} for view in views if view is not None]
        messages.append({"role": turn["role"], "content": [*blocks, {"type": "text", "text": turn["text"]}]})
    return Conversation(messages)


def _task(model: Any, named: Any) -> Task:
    suffix = model.rsplit(":", 1)[-1] if isinstance(model, str) else ""
    wanted = named if named is not None else suffix if suffix in TASKS else "ask"
    for task in TASKS:
        if wanted == task:
            return task
    raise BadRequest(f"task is {str(wanted)[:80]!r}; choose one of {', '.join(TASKS)}")


def _turns(messages: Any, limits: RequestLimits) -> list[dict[str, Any]]:
    if not isinstance(messages, list) or not messages or len(messages) > limits.turns:
        raise BadRequest(f"messages must be a list of 1 to {limits.turns} turns")
    turns = [_turn(message) for message in messages]
    if turns[-1]["role"] != "user":
        raise BadRequest("the last turn is not the user's; nothing is asked")
    if sum(len(turn["images"]) for turn in turns) > limits.images:
        raise BadRequest(f"there are more than {limits.images} images", 413)
    if sum(len(turn["text"]) for turn in turns) > limits.text:
        raise BadRequest(f"the texts have more than {limits.text} characters", 413)
    return turns


def _turn(message: Any) -> dict[str, Any]:
    if not isinstance(message, dict) or message.get("role") not in _ROLES:
        raise BadRequest(f"a turn needs a role, one of {', '.join(_ROLES)}")
    content = message.get("content")
    blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content
    if not isinstance(blocks, list):
        raise BadRequest("the content of a turn must be text or a list of blocks")
    texts: list[str] = []
    images: list[Any] = []
    for block in blocks:
        kind = block.get("type") if isinstance(block, dict) else None
        if kind == "text" and isinstance(block.get("text"), str):
            texts.append(block["text"])
        elif kind == "image_url":
            value = block.get("image_url")
            images.append(value.get("url") if isinstance(value, dict) else value)
        else:
            raise BadRequest("a block must be {'type': 'text', 'text': ...} or {'type': 'image_url', ...}")
    return {"role": message["role"], "text": "\n".join(texts), "images": images}


def _opened(urls: list[Any], limits: RequestLimits) -> list[Raster]:
    return [_image(url, limits) for url in urls]


def _image(url: Any, limits: RequestLimits) -> Raster:
    start = _DATA.match(url[:128]) if isinstance(url, str) else None
    if start is None:
        raise BadRequest("an image must be a data URI (data:image/png;base64,...); addresses are not fetched")
    try:
        data = base64.b64decode(url[start.end() :], validate=True)
    except (binascii.Error, ValueError) as error:
        raise BadRequest("an image's data URI is not base64") from error
    bounds = Limits(in_memory=limits.pixels, sequential=limits.pixels, streamed=limits.pixels)
    try:
        raster = open_image(data, limits=bounds)
    except ValueError as error:
        raise BadRequest(f"an image cannot be read: {error}") from error
    if raster.width * raster.height > limits.pixels:
        raise BadRequest(f"an image has {raster.width}x{raster.height} pixels; {limits.pixels} are allowed", 413)
    return raster


def _classes(given: Any, text: str) -> tuple[str, ...]:
    if given is None:
        given = [name for name in re.split(r"[,;\n]", text) if name.strip()]
    if not isinstance(given, list) or not all(isinstance(name, str) for name in given) or len(given) > 1000:
        raise BadRequest("classes must be a list of at most 1000 names")
    return tuple(name.strip() for name in given if name.strip())


def _chosen(own: Mapping[str, Any], name: str, choices: tuple[str, ...], default: str | None) -> str | None:
    value = own.get(name, default)
    if value is not None and value not in choices:
        raise BadRequest(f"{name} must be one of {', '.join(choices)}")
    return cast(str | None, value)


def _flag(values: Mapping[str, Any], name: str, *, default: bool) -> bool:
    value = values.get(name)
    if value is None:
        return default
    if not isinstance(value, bool):
        raise BadRequest(f"{name} must be true or false")
    return value


def _number(values: Mapping[str, Any], names: tuple[str, ...], most: int, least: int) -> int:
    """Return the first of some numbers that is given, at most the limit; the limit where none is."""
    value = next((values[name] for name in names if values.get(name) is not None), most)
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise BadRequest(f"{names[0]} must be a whole number from {least} up")
    return min(value, most)
