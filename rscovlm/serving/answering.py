"""From a request to its answer: the prompt of its task, the chain, and boxes in the pixels of the image that was sent."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from rscovlm.codec import Codec
from rscovlm.engines.engine import replies
from rscovlm.geometry import Objects
from rscovlm.rasters import Raster
from rscovlm.serving.moving import SENT, moved
from rscovlm.serving.prediction import object_rows
from rscovlm.serving.refusals import BadRequest, RequestLimits
from rscovlm.serving.requests import Request
from rscovlm.serving.turns import Turn
from rscovlm.zoom import ZoomChain, ZoomView, caption, classify, detect, ground
from rscovlm.zoom.tiling import count_tiles

if TYPE_CHECKING:
    from rscovlm.engines import Engine
    from rscovlm.geometry import Frame
    from rscovlm.zoom import Layout, Step, ZoomResult

Progress = Callable[[Mapping[str, Any]], None]
"""Told what was done after each reply of the model; what it raises ends the request."""


@dataclass(frozen=True)
class Answer:
    """What goes back to the client.

    Attributes:
        text: The content of the assistant's turn.
        finish: ``"stop"`` or ``"length"``.
        tokens: Generated tokens.
        visual_tokens: Visual tokens shown, where known.
        zooms: Windows looked into.
        extra: What else is known, for the field ``rscovlm``.
    """

    text: str
    finish: str = "stop"
    tokens: int = 0
    visual_tokens: int = 0
    zooms: int = 0
    extra: Mapping[str, Any] = field(default_factory=dict)


def reply_to(
    request: Request, engine: Engine, limits: RequestLimits, layout: Layout, progress: Progress = lambda _: None
) -> Answer:
    """Answer a request.

    A task other than asking has a prompt of its own: it looks at the image sent last and takes its words from the last
    turn; earlier turns and system turns change nothing in it.

    Raises:
        BadRequest: The request asks for more than a limit allows.
        ValueError: An image cannot be read.
    """
    if request.task == "ask":
        return _asked(request, engine, layout, progress)
    raster = request.images[-1]
    if request.task == "detect":
        return _detected(request, engine, raster, limits, progress)
    if request.task == "ground":
        found = ground(
            engine,
            raster,
            [request.text],
            kind=request.kind or "hbb",
            style=request.style or "plain",
            constrained=request.constrained,
            max_new_tokens=request.max_tokens,
        )[0]
        return _boxed(request, found.objects, raster.frame, {"problems": found.problems})
    if request.task == "classify":
        (said_class,) = classify(
            engine,
            [raster],
            request.classes or None,
            constrained=request.constrained and bool(request.classes),
            max_new_tokens=request.max_tokens,
        )
        extra = {"label": said_class.label} if request.classes else {}
        return Answer(said_class.label or said_class.text, _finish(said_class.finish), said_class.tokens, extra=extra)
    (described,) = caption(engine, [raster], max_new_tokens=request.max_tokens)
    return Answer(described.text, _finish(described.finish), described.tokens)


def _asked(request: Request, engine: Engine, layout: Layout, progress: Progress) -> Answer:
    chain = ZoomChain(
        engine,
        max_steps=request.max_steps,
        max_visual_tokens=request.max_visual_tokens,
        max_new_tokens=request.max_tokens,
        layout=layout,
    )
    rasters = request.images
    overviews = chain.overviews(rasters)
    before = _before(request.turns[:-1], overviews, rasters, engine.codec)
    episode = chain.go_on(rasters, overviews, request.text, zoom=request.zoom, before=before, system=request.system)
    while not episode.done:
        (reply,) = replies(engine, [episode.pending], max_new_tokens=request.max_tokens)
        progress(_about(episode.receive(reply), episode.views))
    return _in_sent_pixels(episode.result(), engine.codec, rasters, request)


def _before(
    turns: Sequence[Turn], overviews: Sequence[ZoomView], rasters: Sequence[Raster], codec: Codec
) -> list[dict[str, Any]]:
    """Return earlier turns as the model would have seen and said them.

    What the assistant said came from here with boxes in pixels of the image sent last before; they go back to where the
    model has its own.
    """
    messages, shown = [], 0
    for turn in turns:
        views = overviews[shown : shown + len(turn.images)]
        shown += len(views)
        text = turn.text
        if turn.role == "assistant" and shown:
            last = overviews[shown - 1]
            text, _ = moved(text, SENT, rasters[shown - 1].frame, codec, last.frame)
        blocks: list[dict[str, Any]] = [{"type": "image", "image": view.image} for view in views]
        messages.append({"role": turn.role, "content": [*blocks, {"type": "text", "text": text}]})
    return messages


def _about(step: Step, views: Sequence[ZoomView]) -> dict[str, Any]:
    """Return what a client may know of a step while it waits."""
    about: dict[str, Any] = {"tokens": step.tokens}
    if step.view is not None:
        view = views[step.view]
        about |= {"image": view.source, "window": list(view.window)}
    elif step.refusal is not None:
        about["refused"] = step.refusal
    return {"step": about}


def _in_sent_pixels(result: ZoomResult, codec: Codec, rasters: Sequence[Raster], request: Request) -> Answer:
    """Return an answer with its boxes in pixels of the image that the model looked at last."""
    windows = [{"image": view.source, "window": list(view.window)} for view in result.crops]
    extra: dict[str, Any] = {"windows": windows, "stopped": result.stopped, "problems": dict(result.problems)}
    text = result.answer
    if result.views:
        last = result.views[-1]
        root = rasters[last.source].frame
        text, objects = moved(text, codec, last.frame, SENT, root)
        if objects is not None:
            extra |= {"objects": object_rows(objects), "image": last.source}
            if request.style is not None:
                text = _written(objects, root, request)
    finish = "length" if result.stopped == "length" else "stop"
    return Answer(text, finish, result.tokens, result.visual_tokens, len(windows), extra)


def _detected(request: Request, engine: Engine, raster: Raster, limits: RequestLimits, progress: Progress) -> Answer:
    side = int(engine.budget.max_pixels**0.5)
    tiles = count_tiles(raster.width, raster.height, side, side // 5)
    if tiles > limits.tiles:
        raise BadRequest(
            f"the image of {raster.width}x{raster.height} pixels needs {tiles} tiles; {limits.tiles} are allowed", 413
        )
    found = detect(
        engine,
        raster,
        request.classes,
        kind=request.kind or "quad",
        style=request.style or "plain",
        constrained=request.constrained,
        max_new_tokens=request.max_tokens,
        progress=lambda done, total: progress({"tiles": [done, total]}),
    )
    extra = {"problems": dict(found.problems), "tiles": len(found.tiles)}
    answer = _boxed(request, found.objects, raster.frame, extra)
    return Answer(answer.text, answer.finish, found.tokens, extra=answer.extra)


def _boxed(request: Request, objects: Objects, frame: Frame, extra: Mapping[str, Any]) -> Answer:
    return Answer(_written(objects, frame, request), extra={**extra, "objects": object_rows(objects)})


def _written(objects: Objects, frame: Frame, request: Request) -> str:
    try:
        return SENT.encode(objects, frame, kind=objects.boxes.kind, style=request.style or "plain")
    except ValueError:  # a label that no plain line can hold
        return SENT.encode(objects[[bool(label) for label in objects.labels]], frame, style="json")


def _finish(finish: str) -> str:
    return "length" if finish == "length" else "stop"
