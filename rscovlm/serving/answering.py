"""From a request to its answer: the prompt of its task, the chain, and boxes in the pixels of the image that was sent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from rscovlm.codec import Codec
from rscovlm.geometry import Objects
from rscovlm.rasters import Raster
from rscovlm.serving.prediction import object_rows
from rscovlm.serving.requests import BadRequest, Request, RequestLimits, conversation
from rscovlm.zoom import ZoomChain, caption, classify, detect, ground
from rscovlm.zoom.tiling import count_tiles

if TYPE_CHECKING:
    from rscovlm.engines import Engine
    from rscovlm.geometry import Frame
    from rscovlm.zoom import Layout

#: Boxes leave the server in pixels of the image that was sent, whatever the model's own coordinates are.
SENT = Codec("sent")


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


def reply_to(request: Request, engine: Engine, limits: RequestLimits, layout: Layout) -> Answer:
    """Answer a request.

    Raises:
        BadRequest: The request lacks what its task needs, or asks for more than a limit allows.
        ValueError: An image cannot be read.
    """
    if request.earlier:
        (said,) = engine.generate([conversation(request, engine.budget)], max_new_tokens=request.max_tokens)
        return Answer(said.text, "length" if said.finish == "length" else "stop", said.tokens)
    if request.task == "ask":
        return _asked(request, engine, layout)
    raster = request.images[0]
    if request.task == "detect":
        return _detected(request, engine, raster, limits)
    if request.task == "ground":
        if not request.text:
            raise BadRequest("task 'ground' needs the expression as the user's text")
        found = ground(
            engine,
            raster,
            [request.text],
            kind=request.kind or "hbb",
            style=request.style,
            max_new_tokens=request.max_tokens,
        )[0]
        return _boxed(request, found.objects, raster.frame, {"problems": found.problems})
    if request.task == "classify":
        (said_class,) = classify(engine, [raster], request.classes or None, max_new_tokens=request.max_tokens)
        extra = {"label": said_class.label} if request.classes else {}
        return Answer(said_class.label or said_class.text, said_class.finish, said_class.tokens, extra=extra)
    (described,) = caption(engine, [raster], max_new_tokens=request.max_tokens)
    return Answer(described.text, "length" if described.finish == "length" else "stop", described.tokens)


def _asked(request: Request, engine: Engine, layout: Layout) -> Answer:
    if not request.text:
        raise BadRequest("the user turn has no text; ask something")
    chain = ZoomChain(
        engine,
        max_steps=request.max_steps,
        max_visual_tokens=request.max_visual_tokens,
        max_new_tokens=request.max_tokens,
        layout=layout,
    )
    result = chain.ask(list(request.images), request.text, zoom=request.zoom)
    windows = [{"image": view.source, "window": list(view.window)} for view in result.crops]
    extra: dict[str, Any] = {"windows": windows, "stopped": result.stopped, "problems": dict(result.problems)}
    last = result.views[-1]
    root = request.images[last.source].frame
    text, objects = _in_sent_pixels(result.answer, engine.codec, last.frame, root, request)
    if objects is not None:
        extra["objects"] = object_rows(objects)
    finish = "length" if result.stopped == "length" else "stop"
    return Answer(text, finish, result.tokens, result.visual_tokens, len(windows), extra)


def _in_sent_pixels(text: str, codec: Codec, seen: Frame, root: Frame, request: Request) -> tuple[str, Objects | None]:
    """Return an answer with its boxes in pixels of the image that was sent, and those boxes; words stay words."""
    decoded = codec.decode(text, seen)
    if not len(decoded.objects):
        return text, None
    objects = decoded.objects.to(root)
    objects = Objects(objects.boxes.clipped(), objects.labels)
    boxed = sum(end - start for start, end in decoded.spans)
    if boxed < 0.6 * len(text.strip()):
        return text, objects
    return _written(objects, root, request), objects


def _detected(request: Request, engine: Engine, raster: Raster, limits: RequestLimits) -> Answer:
    if not request.classes:
        raise BadRequest("task 'detect' needs class names, as rscovlm.classes or as the user's text, with commas")
    side = int(engine.budget.max_pixels**0.5)
    tiles = count_tiles(raster.width, raster.height, side, side // 5)
    if tiles > limits.tiles:
        raise BadRequest(
            f"the image of {raster.width}x{raster.height} pixels needs {tiles} tiles; {limits.tiles} are allowed", 413
        )
    kind = request.kind or "quad"
    found = detect(engine, raster, request.classes, kind=kind, style=request.style, max_new_tokens=request.max_tokens)
    extra = {"problems": dict(found.problems), "tiles": len(found.tiles)}
    answer = _boxed(request, found.objects, raster.frame, extra)
    return Answer(answer.text, answer.finish, found.tokens, extra=answer.extra)


def _boxed(request: Request, objects: Objects, frame: Frame, extra: Mapping[str, Any]) -> Answer:
    return Answer(_written(objects, frame, request), extra={**extra, "objects": object_rows(objects)})


def _written(objects: Objects, frame: Frame, request: Request) -> str:
    try:
        return SENT.encode(objects, frame, kind=objects.boxes.kind, style=request.style)
    except ValueError:  # a label that no plain line can hold
        return SENT.encode(objects[[bool(label) for label in objects.labels]], frame, style="json")
