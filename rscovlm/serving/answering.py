"""From a request to its answer: the prompt of its task, the chain, and boxes in the pixels of the image that was sent."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from rscovlm.codec import Codec
from rscovlm.engines.engine import Conversation, replies
from rscovlm.geometry import Objects
from rscovlm.geometry.tiling import count_tiles
from rscovlm.rasters import Raster
from rscovlm.serving.metering import Metered
from rscovlm.serving.refusals import BadRequest, RequestLimits
from rscovlm.serving.requests import Request
from rscovlm.serving.rewrite_boxes import SENT, moved
from rscovlm.serving.turns import ClientTurn
from rscovlm.tasks.boxes import object_rows
from rscovlm.tasks.words import overview
from rscovlm.zoom import ZoomChain, ZoomView
from rscovlm.zoom.layouts import system_part
from rscovlm.zoom.policies import POLICIES
from rscovlm.zoom.policies.inquiry import answer_calls

if TYPE_CHECKING:
    from rscovlm.engines import Engine
    from rscovlm.geometry import Frame
    from rscovlm.zoom import Layout, Step, ZoomResult
    from rscovlm.zoom.search import Search

Progress = Callable[[Mapping[str, Any]], None]
"""Told what was done after each reply of the model; what it raises ends the request."""


@dataclass(frozen=True)
class Answer:
    """What goes back to the client.

    Attributes:
        text: The content of the assistant's turn.
        finish: ``"stop"`` or ``"length"``.
        tokens: Generated tokens, of all replies that the answer took.
        prompt_tokens: Tokens that the model read for them.
        visual_tokens: Visual tokens shown by the zoom chain.
        zooms: Windows looked into.
        extra: What else is known, for the field ``rscovlm``.
    """

    text: str
    finish: str = "stop"
    tokens: int = 0
    prompt_tokens: int = 0
    visual_tokens: int = 0
    zooms: int = 0
    extra: Mapping[str, Any] = field(default_factory=dict)


def reply_to(
    request: Request,
    engine: Engine,
    limits: RequestLimits,
    layout: Layout,
    progress: Progress = lambda _: None,
    **drawing: Any,
) -> Answer:
    """Answer a request; ``segmenter`` and ``form`` say how areas are answered and drawn.

    A task other than asking has a prompt of its own: it looks at the image sent last and takes its words from the last
    turn; earlier turns and system turns change nothing in it.

    An answer that was cut ends with ``"length"`` and never says that there is nothing.

    Raises:
        BadRequest: The request asks for more than a limit allows.
        ValueError: An image cannot be read.
    """
    metered = Metered(engine, request.max_tokens, limits.tokens)
    if request.raw:
        answer = _raw(request, metered, limits)
    elif request.asked.converses:
        answer = _asked(request, metered, limits, layout, progress)
    else:
        answer = _done(request, metered, limits, progress, drawing)
    answer = _stopped(answer, request.stop)
    return replace(answer, tokens=metered.completion_tokens, prompt_tokens=metered.prompt_tokens)


def _stopped(answer: Answer, stops: Sequence[str]) -> Answer:
    """End an answer before the first of some texts."""
    places = [place for stop in stops if (place := answer.text.find(stop)) >= 0]
    return replace(answer, text=answer.text[: min(places)], finish="stop") if places else answer


def _done(
    request: Request, engine: Engine, limits: RequestLimits, progress: Progress, drawing: Mapping[str, Any]
) -> Answer:
    """Answer through the task that was asked for."""
    rasters = request.pictures
    # Boxes of segmentation are looked for as detection does.
    if request.asked.tiled or (request.asked.masked and drawing.get("form") == "box"):
        for raster in rasters:
            check_tiles(raster, engine, limits)
    wanted = request.wanted(
        # The style is that of the answer to the client; a model that does not know it is asked in its own.
        style=request.style if request.style in engine.codec.styles else None,
        zoom=request.zoom,
        max_new_tokens=limits.tokens,
        progress=lambda done, total: progress({"tiles": [done, total]}),
        **drawing,
    )
    served = request.asked.serve(engine, rasters, wanted)
    text, extra = served.text, dict(served.extra)
    if served.objects is not None:
        extra["objects"] = object_rows(served.objects)
        if len(served.objects) or served.none:
            text = _written(served.objects, rasters[-1].frame, request)
    return Answer(text, "length" if served.cut else "stop", extra=extra)


def check_tiles(raster: Raster, engine: Engine, limits: RequestLimits) -> None:
    """Refuse an image of which a detection would ask about too many tiles.

    Raises:
        BadRequest: There would be more than the limit.
    """
    side = int(engine.budget.max_pixels**0.5)
    tiles = count_tiles(raster.width, raster.height, side, side // 5)
    if tiles > limits.tiles:
        raise BadRequest(
            f"the image of {raster.width}x{raster.height} pixels needs {tiles} tiles; {limits.tiles} are allowed (--max-tiles), "
            "so send a part of it, or run rscovlm predict, which takes any size",
            413,
        )


def _raw(request: Request, engine: Engine, limits: RequestLimits) -> Answer:
    """Hand a conversation to the model as it is, for clients that know its dialect and show it windows themselves."""
    views = [overview(raster, engine) for raster in request.images]
    messages = _shown(request.turns, views, lambda turn, _: turn.text)
    (reply,) = replies(engine, [Conversation(messages, list(request.tools) or None)], max_new_tokens=limits.tokens)
    return Answer(reply.text, _finish(reply.finish), visual_tokens=sum(view.tokens for view in views))


def _asked(request: Request, engine: Engine, limits: RequestLimits, layout: Layout, progress: Progress) -> Answer:
    chain = ZoomChain(
        engine,
        max_steps=request.max_steps,
        max_visual_tokens=request.max_visual_tokens,
        max_new_tokens=limits.tokens,
        layout=layout,
        policy=request.policy,
    )
    rasters = request.images
    overviews = chain.overviews(rasters)
    if not request.text:
        return _continued(request, engine, limits, overviews)
    before = _before(request.turns[:-1], overviews, rasters, engine.codec)
    if request.searches:
        search = chain.search(
            rasters,
            overviews,
            request.text,
            before=before,
            system=request.system,
            max_calls=request.max_search_calls,
            max_visual_tokens=request.max_search_tokens,
        )
        result = _searched(search, engine, progress)
        answer = _in_sent_pixels(result, engine.codec, rasters, request)
        return replace(answer, extra={**answer.extra, **_weighed(result)})
    zoom = request.zoom and request.policy != "none"
    episode = chain.go_on(rasters, overviews, request.text, zoom=zoom, before=before, system=request.system)
    while not episode.done:
        (reply,) = replies(engine, [episode.pending], max_new_tokens=limits.tokens)
        progress(_about(episode.receive(reply), episode.views))
    answer = _in_sent_pixels(episode.result(), engine.codec, rasters, request)
    return replace(answer, extra=_unsearched(request, answer.extra))


def _searched(search: Search, engine: Engine, progress: Progress) -> ZoomResult:
    """Run a policy to its answer; between its rounds the client may leave, or its time may end."""
    calls = tokens = 0
    while not search.done:
        asked = search.calls
        search.receive(answer_calls(engine, asked))
        calls, tokens = calls + len(asked), tokens + sum(call.visual_tokens for call in asked)
        progress({"search": {"calls": calls, "visual_tokens": tokens}})
    return search.result()


def _weighed(result: ZoomResult) -> dict[str, Any]:
    """Return what a policy weighed and decided."""
    looks = [{"image": one.source, "window": list(one.window), "score": round(one.score, 4)} for one in result.looks]
    about = {"policy": result.policy, "confidence": result.confidence, "calls": result.calls, "looks": looks}
    return about | ({"declined": result.declined} if result.declined else {})


def _unsearched(request: Request, extra: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is known of an answer; where a request names a policy, that none looked: no image, or nothing asked in words."""
    if request.policy not in POLICIES:
        return dict(extra)
    return {**extra, "policy": "none", "problems": {**extra.get("problems", {}), "nothing_to_search": 1}}


def _continued(request: Request, engine: Engine, limits: RequestLimits, overviews: Sequence[ZoomView]) -> Answer:
    """Answer a conversation that asks nothing in words: an image alone, instructions alone, or what a tool said."""
    rasters = request.images
    turns = [*system_part(request.system), *_before(request.turns, overviews, rasters, engine.codec)]
    (reply,) = replies(engine, [Conversation(turns)], max_new_tokens=limits.tokens)
    text, extra = reply.text, dict[str, Any]()
    if overviews:
        text, extra = _moved(text, overviews[-1], engine.codec, rasters, request)
    visual = sum(view.tokens for view in overviews)
    return Answer(text, _finish(reply.finish), visual_tokens=visual, extra=_unsearched(request, extra))


def _before(
    turns: Sequence[ClientTurn], overviews: Sequence[ZoomView], rasters: Sequence[Raster], codec: Codec
) -> list[dict[str, Any]]:
    """Return earlier turns as the model would have seen and said them.

    What the assistant said came from here with boxes in pixels of the image sent last before; they go back to where the
    model has its own.
    """

    def text_of(turn: ClientTurn, shown: int) -> str:
        if turn.role != "assistant" or not shown:
            return turn.text
        return moved(turn.text, SENT, rasters[shown - 1].frame, codec, overviews[shown - 1].frame)[0]

    return _shown(turns, overviews, text_of)


def _shown(
    turns: Sequence[ClientTurn], overviews: Sequence[ZoomView], text_of: Callable[[ClientTurn, int], str]
) -> list[dict[str, Any]]:
    """Return turns as messages of the chat template.

    Args:
        turns: The turns.
        overviews: What is shown of their images, in order.
        text_of: Returns the text of a turn, by the number of images shown until then.
    """
    messages, shown = [], 0
    for turn in turns:
        views = overviews[shown : shown + len(turn.images)]
        shown += len(views)
        text = text_of(turn, shown)
        blocks: list[dict[str, Any]] = [{"type": "image", "image": view.image} for view in views]
        words = [{"type": "text", "text": text}] if text or not (blocks or turn.calls) else []
        message: dict[str, Any] = {"role": turn.role, "content": [*blocks, *words]}
        if turn.calls:
            calls = ({"name": name, "arguments": arguments} for name, arguments in turn.calls)
            message["tool_calls"] = [{"type": "function", "function": call} for call in calls]
        messages.append(message)
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
    """Return an answer with its boxes in pixels of the image they are meant on, where that is known."""
    windows = [{"image": view.source, "window": list(view.window)} for view in result.crops]
    extra: dict[str, Any] = {"windows": windows, "stopped": result.stopped, "problems": dict(result.problems)}
    text = result.answer
    if result.seen is not None:
        text, found = _moved(text, result.seen, codec, rasters, request)
        extra |= found
    return Answer(
        text,
        _finish(result.finish),
        visual_tokens=result.visual_tokens,
        zooms=len(windows),
        extra=extra,
    )


def _moved(
    text: str, seen: ZoomView, codec: Codec, rasters: Sequence[Raster], request: Request
) -> tuple[str, dict[str, Any]]:
    """Return words with their boxes in pixels of the image sent, and the objects they name."""
    root = rasters[seen.source].frame
    text, objects = moved(text, codec, seen.frame, SENT, root)
    if objects is None:
        return text, {}
    if request.style is not None:
        text = _written(objects, root, request)
    return text, {"objects": object_rows(objects), "image": seen.source}


def _written(objects: Objects, frame: Frame, request: Request) -> str:
    try:
        return SENT.encode(objects, frame, kind=objects.boxes.kind, style=request.style or "plain")
    except ValueError:  # a label that no plain line can hold
        return SENT.encode(objects[[bool(label) for label in objects.labels]], frame, style="json")


def _finish(finish: str) -> str:
    """Return how an answer ended: by itself, or cut, at the limit or by the guard against endless repetition."""
    return "length" if finish in ("length", "repeat") else "stop"
