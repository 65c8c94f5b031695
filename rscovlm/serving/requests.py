"""Chat requests as they come in: read, bounded, and refused with the reason."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast, get_args

from rscovlm.codec.writing import Style
from rscovlm.geometry.kinds import Kind
from rscovlm.rasters import Raster
from rscovlm.serving.prediction import Task
from rscovlm.serving.refusals import BadRequest, RequestLimits
from rscovlm.serving.turns import Turn, clean_text, read_turns

TASKS: tuple[Task, ...] = get_args(Task)


@dataclass(frozen=True)
class Request:
    """A chat request.

    Attributes:
        task: What is asked for.
        turns: The conversation, the user's question last; system turns left out.
        system: What the system turns say.
        classes: Class names, for detection and classification.
        kind: Box kind of the answer.
        style: Form of the answer; ``None`` for what suits the task.
        zoom: Whether the chain may look closer.
        constrained: Whether an answer with boxes is held to its grammar.
        max_tokens: Generated tokens of one reply.
        max_steps: Windows shown.
        max_visual_tokens: Visual tokens shown.
        stream: The client wants server-sent events.
        usage: And the token counts at their end.
    """

    task: Task
    turns: tuple[Turn, ...]
    system: str | None
    classes: tuple[str, ...]
    kind: Kind | None
    style: Style | None
    zoom: bool
    constrained: bool
    max_tokens: int
    max_steps: int
    max_visual_tokens: int
    stream: bool
    usage: bool

    @property
    def text(self) -> str:
        """The last turn's text: question, expression, or class names."""
        return self.turns[-1].text.strip()

    @property
    def images(self) -> list[Raster]:
        """The images of all turns, in order."""
        return [image for turn in self.turns for image in turn.images]


def read_request(body: bytes, limits: RequestLimits, model: str = "") -> Request:
    """Read a request of the chat completions API.

    Images come as data URIs only; nothing is fetched. What is ours stands in an object ``rscovlm`` beside the API's own
    fields: ``task``, ``classes``, ``kind``, ``style``, ``zoom``, ``constrained``, ``max_steps``, ``max_visual_tokens``. A
    model name that ends in ``:detect``, ``:ground``, ``:classify`` or ``:caption`` chooses the task too, for clients that
    can only set that; any other ending of the name ``model``, under which we serve, is refused.

    Raises:
        BadRequest: Anything is not of this form or above a limit.
    """
    try:
        values = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise BadRequest("the body is not JSON") from error
    if not isinstance(values, dict):
        raise BadRequest("the body is no JSON object; send model and messages")
    own = _object(values, "rscovlm")
    task = _task(values.get("model"), own.get("task"), model)
    _refuse_what_changes_nothing(values)
    read = read_turns(values.get("messages"), limits)
    turns = tuple(turn for turn in read if turn.role != "system")
    system = "\n\n".join(turn.text for turn in read if turn.role == "system" and turn.text.strip())
    request = Request(
        task,
        turns,
        system or None,
        _classes(own.get("classes"), turns[-1].text if task in ("detect", "classify") else ""),
        cast(Kind | None, _chosen(own, "kind", ("hbb", "obb", "quad"))),
        cast(Style | None, _chosen(own, "style", ("plain", "json"))),
        _flag(own, "zoom", default=True),
        _flag(own, "constrained", default=False),
        _number(values, ("max_completion_tokens", "max_tokens"), limits.tokens, 1),
        _number(own, ("max_steps",), limits.steps, 0),
        _number(own, ("max_visual_tokens",), limits.visual_tokens, 1),
        _flag(values, "stream", default=False),
        _flag(_object(values, "stream_options"), "include_usage", default=False),
    )
    _check(request)
    return request


def _check(request: Request) -> None:
    """Refuse a request that lacks what its task needs."""
    task, images = request.task, request.turns[-1].images
    if task == "ask":
        if not request.text:
            raise BadRequest("the user turn has no text; ask something")
        return
    if not request.images:
        raise BadRequest(f"task {task!r} has no image; send one as a data URI in an image_url block")
    if len(images) > 1:
        raise BadRequest(f"task {task!r} takes one image and {len(images)} came")
    if task == "ground" and not request.text:
        raise BadRequest("task 'ground' needs the expression as the user's text")
    if task == "detect" and not request.classes:
        raise BadRequest("task 'detect' needs class names, as rscovlm.classes or as the user's text, with commas")


def _refuse_what_changes_nothing(values: Mapping[str, Any]) -> None:
    """Refuse fields whose silent neglect would give a client something else than it asked for."""
    if values.get("n") not in (None, 1):
        raise BadRequest("n must be 1; send the request again for another answer", param="n")
    form = values.get("response_format")
    if form is not None and not (isinstance(form, dict) and form.get("type") == "text"):
        raise BadRequest(
            "response_format is not known here; for boxes in JSON send rscovlm.style = 'json'", param="response_format"
        )
    if values.get("logprobs"):
        raise BadRequest("logprobs are not known here", param="logprobs")


def _task(model: Any, named: Any, served: str) -> Task:
    name, _, suffix = model.rpartition(":") if isinstance(model, str) else ("", "", "")
    if served and name == served and suffix not in TASKS:
        raise BadRequest(f"there is no model {model[:80]!r}; see /v1/models", 404, param="model")
    wanted = named if named is not None else suffix if suffix in TASKS else "ask"
    for task in TASKS:
        if wanted == task:
            return task
    raise BadRequest(f"task is {str(wanted)[:80]!r}; choose one of {', '.join(TASKS)}", param="rscovlm.task")


def _object(values: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = values.get(name)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise BadRequest(f"{name} is no JSON object", param=name)
    return value


def _classes(given: Any, text: str) -> tuple[str, ...]:
    if given is None:
        given = [name for name in re.split(r"[,;\n]", text) if name.strip()]
    if not isinstance(given, list) or not all(isinstance(name, str) for name in given) or len(given) > 1000:
        raise BadRequest("classes must be a list of at most 1000 names", param="rscovlm.classes")
    return tuple(clean_text(name.strip()) for name in given if name.strip())


def _chosen(own: Mapping[str, Any], name: str, choices: tuple[str, ...]) -> str | None:
    value = own.get(name)
    if value is not None and value not in choices:
        raise BadRequest(f"{name} must be one of {', '.join(choices)}", param=f"rscovlm.{name}")
    return cast(str | None, value)


def _flag(values: Mapping[str, Any], name: str, *, default: bool) -> bool:
    value = values.get(name)
    if value is None:
        return default
    if not isinstance(value, bool):
        raise BadRequest(f"{name} must be true or false", param=name)
    return value


def _number(values: Mapping[str, Any], names: tuple[str, ...], most: int, least: int) -> int:
    """Return the first of some numbers that is given, at most the limit; the limit where none is."""
    name = next((name for name in names if values.get(name) is not None), names[0])
    value = most if values.get(name) is None else values[name]
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise BadRequest(f"{name} must be a whole number from {least} up", param=name)
    return min(value, most)
