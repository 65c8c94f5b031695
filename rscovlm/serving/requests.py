"""Chat requests as they come in: read, bounded, and refused with the reason."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, cast

from rscovlm.codec.writing import Style
from rscovlm.geometry.kinds import Kind
from rscovlm.processing.resolution import PixelBudget
from rscovlm.rasters import Raster
from rscovlm.serving.metering import estimated_tokens
from rscovlm.serving.parameters import check_parameters, read_max_tokens, read_stop
from rscovlm.serving.refusals import BadRequest, RequestLimits
from rscovlm.serving.turns import ClientTurn, clean_text, read_tools, read_turns
from rscovlm.tasks.table import asked_tasks, task_named
from rscovlm.tasks.task import Task
from rscovlm.tasks.wanted import NEEDED, Wanted, fields_of
from rscovlm.zoom.policies import POLICIES

_OWN = (
    "task",
    "classes",
    "kind",
    "style",
    "zoom",
    "constrained",
    "max_steps",
    "max_visual_tokens",
    "policy",
    "max_search_calls",
    "max_search_tokens",
    "raw",
)
# Commas and brackets of a body, and bytes that an empty object takes in memory.
_VALUES, _VALUE = 2**20, 240
# Views of the largest canvas of a policy, in parts of a view's memory.
_CANVAS = 16
# Tiles that a detection reads at a time, and class names that it takes.
_TILES, _CLASSES = 16, 1000
_STREAM = ("include_usage", "include_obfuscation")


@dataclass(frozen=True)
class Request:
    """A chat request.

    Attributes:
        model: The name asked for.
        task: Name of the task asked for.
        turns: The conversation, the user's question last; system turns left out.
        system: What the system turns say.
        classes: Class names that stand beside the user's words.
        kind: Box kind of the answer.
        style: Form of the answer; ``None`` for what suits the task.
        zoom: Whether the chain may look closer.
        constrained: Whether an answer with boxes is held to its grammar.
        max_tokens: Generated tokens of the whole completion at most; ``None`` bounds each reply alone.
        stop: Texts at which the answer ends.
        max_steps: Windows shown.
        max_visual_tokens: Visual tokens shown.
        raw: The conversation goes to the model as it is, and its words come back as they are: no zooming, no boxes moved.
        tools: Function schemas for the chat template, of a raw conversation.
        policy: Who decides where to look closer: ``call``, ``none``, or a policy that the server allows.
        max_search_calls: Conversations with which the policy looks.
        max_search_tokens: Visual tokens of these.
        stream: The client wants server-sent events.
        usage: And the token counts at their end.
    """

    model: str
    task: str
    turns: tuple[ClientTurn, ...]
    system: str | None
    classes: tuple[str, ...]
    kind: Kind | None
    style: Style | None
    zoom: bool
    constrained: bool
    max_tokens: int | None
    stop: tuple[str, ...]
    max_steps: int
    max_visual_tokens: int
    stream: bool
    usage: bool
    raw: bool = False
    tools: tuple[dict[str, Any], ...] = ()
    policy: str = "call"
    max_search_calls: int = 1
    max_search_tokens: int = 1

    @property
    def text(self) -> str:
        """The last turn's text where it is the user's: question, expression, or class names."""
        return self.turns[-1].text.strip() if self.turns and self.turns[-1].role == "user" else ""

    @property
    def asked(self) -> Task:
        """The task asked for."""
        return task_named(self.task)

    @property
    def pictures(self) -> list[Raster]:
        """The images that a task looks at: those sent last, as many as it takes."""
        return self.images[-self.asked.images :]

    def wanted(self, **options: Any) -> Wanted:
        """Return what a task is given: the user's words, the classes beside them, and some options."""
        fields = fields_of(self.text, (*self.asked.wants, *self.asked.may))
        if self.classes and "classes" in fields:
            fields["classes"] = self.classes
        return Wanted(**fields, kind=self.kind, constrained=self.constrained, **options)

    @property
    def searches(self) -> bool:
        """Whether a policy looks for the answer."""
        return self.policy in POLICIES and bool(self.images) and bool(self.text)

    def memory(self, budget: PixelBudget) -> int:
        """Return how many bytes its images may take while views within a budget are read, and those views."""
        views = _TILES if self.asked.tiled or self.asked.masked else self.max_steps + len(self.images)
        searched = 0
        if self.searches:
            searched = min(self.max_search_tokens * budget.factor**2, self.max_search_calls * budget.max_pixels)
            views += _CANVAS
        decoded = sum(image.memory(budget.max_pixels) for image in self.images)
        return decoded + 8 * (budget.max_pixels * views + searched) * bool(self.images)

    @property
    def images(self) -> list[Raster]:
        """The images of all turns, in order."""
        return [image for turn in self.turns for image in turn.images]


def read_request(
    values: Any, limits: RequestLimits, model: str, *, count: Callable[[str], int] = estimated_tokens
) -> Request:
    """Read a request of the chat completions API.

    Images come as data URIs only; nothing is fetched. What is ours stands in an object ``rscovlm`` beside the API's own
    fields: ``task``, ``classes``, ``kind``, ``style``, ``zoom``, ``constrained``, ``max_steps``, ``max_visual_tokens``,
    ``policy``, ``max_search_calls``, ``max_search_tokens``, ``raw``. A model name that ends in ``:detect`` or another task chooses the task too, for clients that can only set that.

    Args:
        values: The parsed body.
        limits: What a request may ask for.
        model: Name under which we serve; it and those of :func:`model_names` are the only ones known.
        count: Counts the tokens of a text.

    Raises:
        BadRequest: Anything is not of this form, above a limit, or not honoured.
    """
    if not isinstance(values, dict):
        raise BadRequest("the body is no JSON object; send model and messages")
    own = _object(values, "rscovlm", _OWN)
    task = _task(values.get("model"), own.get("task"), model)
    raw = _flag(own, "raw", default=False)
    check_parameters({name: value for name, value in values.items() if not (raw and name == "tools")})
    read = read_turns(values.get("messages"), limits, count)
    turns = tuple(turn for turn in read if raw or turn.role != "system")
    system = "\n\n".join(turn.text for turn in read if turn.role == "system" and turn.text.strip())
    request = Request(
        model if values.get("model") is None else values["model"],
        task,
        turns,
        system or None,
        _classes(own.get("classes")),
        cast(Kind | None, _chosen(own, "kind", ("hbb", "obb", "quad"))),
        cast(Style | None, _chosen(own, "style", ("plain", "json"))),
        _flag(own, "zoom", default=True),
        _flag(own, "constrained", default=False),
        read_max_tokens(values),
        read_stop(values),
        _number(own, "max_steps", limits.steps, 0),
        _number(own, "max_visual_tokens", limits.visual_tokens, 1),
        _flag(values, "stream", default=False),
        _flag(_object(values, "stream_options", _STREAM), "include_usage", default=False),
        raw,
        read_tools(values.get("tools"), limits, count) if raw else (),
        _policy(own.get("policy"), limits),
        _number(own, "max_search_calls", limits.search_calls, 1),
        _number(own, "max_search_tokens", limits.search_tokens, 1),
    )
    _check(request)
    return request


def read_body(body: bytes | bytearray) -> Any:
    """Return the JSON of a body.

    Raises:
        BadRequest: It is not JSON.
    """
    try:
        return json.loads(body, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise BadRequest("the body is not JSON") from error


def parsing_bytes(body: bytes | bytearray) -> int:
    """Return how many bytes parsing a body may hold: the body, its text, the bytes of its images, and its values.

    Raises:
        BadRequest: It has more values than any request needs: each takes many times the bytes that it is written with.
    """
    values = sum(body.count(mark) for mark in (b",", b"[", b"{"))
    if values > _VALUES:
        raise BadRequest(f"the body holds {values} commas and brackets; {_VALUES} are allowed", 413)
    return 3 * len(body) + _VALUE * values


def model_names(model: str) -> list[str]:
    """Return the names under which a model is listed and asked for: its own, and one for each task.

    >>> model_names("rscovlm")[:3]
    ['rscovlm', 'rscovlm:detect', 'rscovlm:ground']
    """
    return [model, *(f"{model}:{task}" for task in asked_tasks() if not task_named(task).converses)]


def _no_number(name: str) -> None:
    raise ValueError(f"{name} is no number of JSON")


def _check(request: Request) -> None:
    """Refuse a request that lacks what its task needs."""
    task, asked = request.task, request.asked
    if request.stream is False and request.usage:
        raise BadRequest("stream_options is for streams; send stream = true too", param="stream_options")
    if request.policy != "call":
        _check_policy(request)
    if request.raw and not asked.converses:
        raise BadRequest("raw is for conversations; leave out the task", param="rscovlm.raw")
    if asked.converses:
        return
    if not request.turns or request.turns[-1].role != "user":
        raise BadRequest(f"task {task!r} takes its words from the last turn, which is not the user's", param="messages")
    images = request.turns[-1].images
    if not request.images:
        raise BadRequest(f"task {task!r} has no image; send one as a data URI in an image_url block")
    if len(images) > asked.images or len(request.pictures) < asked.images:
        number = "one image" if asked.images == 1 else f"{asked.images} images"
        raise BadRequest(f"task {task!r} takes {number} and {len(images)} came", param="messages")
    wanted = request.wanted()
    if len(wanted.classes or ()) > _CLASSES:
        raise BadRequest(f"classes must be a list of at most {_CLASSES} names", param="rscovlm.classes")
    for field in asked.wants:
        if not getattr(wanted, field):
            raise BadRequest(f"task {task!r} needs {NEEDED[field]}")


def _task(model: Any, named: Any, served: str) -> str:
    if model is not None and model not in model_names(served):
        raise BadRequest(f"there is no model {str(model)[:80]!r}; see /v1/models", 404, param="model")
    suffix = model[len(served) + 1 :] if isinstance(model, str) else ""
    tasks = asked_tasks()
    wanted = named if named is not None else suffix or next(one for one in tasks if task_named(one).converses)
    for task in tasks:
        if wanted == task:
            return task
    raise BadRequest(f"task is {str(wanted)[:80]!r}; choose one of {', '.join(tasks)}", param="rscovlm.task")


def _object(values: Mapping[str, Any], name: str, known: tuple[str, ...]) -> Mapping[str, Any]:
    value = values.get(name)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise BadRequest(f"{name} is no JSON object", param=name)
    unknown = next((one for one in value if one not in known), None)
    if unknown is not None:
        words = f"{name} has no field {unknown[:80]!r}; the fields are {', '.join(known)}"
        raise BadRequest(words, param=f"{name}.{unknown[:80]}")
    return value


def _classes(given: Any) -> tuple[str, ...]:
    given = [] if given is None else given
    if not isinstance(given, list) or not all(isinstance(name, str) for name in given) or len(given) > _CLASSES:
        raise BadRequest(f"classes must be a list of at most {_CLASSES} names", param="rscovlm.classes")
    return tuple(clean_text(name.strip()) for name in given if name.strip())


def _chosen(own: Mapping[str, Any], name: str, choices: tuple[str, ...]) -> str | None:
    value = own.get(name)
    if value is not None and value not in choices:
        raise BadRequest(f"{name} must be one of {', '.join(choices)}", param=f"rscovlm.{name}")
    return cast(str | None, value)


def _check_policy(request: Request) -> None:
    """Refuse a policy that could not act."""
    reasons = {
        "raw": request.raw,
        f"task {request.task!r}": not request.asked.converses,
        "zoom = false": not request.zoom and request.policy != "none",
    }
    for reason in (words for words, holds in reasons.items() if holds):
        raise BadRequest(
            f"policy {request.policy!r} says where to look for an answer and cannot act with {reason}; send one of the two",
            param="rscovlm.policy",
        )


def _policy(given: Any, limits: RequestLimits) -> str:
    allowed = tuple(dict.fromkeys(("call", "none", *limits.policies)))
    if given is None:
        return "call"
    if given not in allowed:
        raise BadRequest(
            f"policy is {str(given)[:80]!r}; this server allows {', '.join(allowed)}", param="rscovlm.policy"
        )
    return str(given)


def _flag(values: Mapping[str, Any], name: str, *, default: bool) -> bool:
    value = values.get(name)
    if value is None:
        return default
    if not isinstance(value, bool):
        raise BadRequest(f"{name} must be true or false", param=name)
    return value


def _number(own: Mapping[str, Any], name: str, most: int, least: int) -> int:
    """Return a bound, at most the server's own, which holds where none is given."""
    value = most if own.get(name) is None else own[name]
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise BadRequest(f"{name} must be a whole number from {least} up", param=f"rscovlm.{name}")
    return min(value, most)
