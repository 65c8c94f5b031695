"""Turning what is known of an image into a conversation that a model is trained on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rscovlm.codec import Codec
from rscovlm.codec.prompts import detection_prompt, grounding_prompt
from rscovlm.geometry import Boxes, Frame, Objects
from rscovlm.geometry.kinds import Kind
from rscovlm.zoom.layouts import Layout, answer_turn, zoom_conversation

Sample = dict[str, Any]


@dataclass(frozen=True)
class Turn:
    """One question and its answer.

    Attributes:
        question: What the user asks.
        answer: What the model should say.
        task: Name of the task, for losses and counts by task.
        system: System text the question relies on; None relies on none.
    """

    question: str
    answer: str
    task: str
    system: str | None = None


def detection_turn(
    objects: Objects, classes: Sequence[str], frame: Frame, codec: Codec, *, kind: Kind = "quad"
) -> Turn:
    """Ask for every object of some classes, in plain lines.

    Args:
        objects: All objects of the image; those of other classes are left out of the answer.
        classes: Classes to ask for; an image with none of them is answered with the codec's "none".
        frame: Pixel grid the model sees.
        codec: Writes the boxes.
        kind: Box kind of the answer.
    """
    system, question = detection_prompt(classes, kind)
    wanted = [place for place, label in enumerate(objects.labels) if label in set(classes)]
    answer = codec.encode(objects[wanted], frame, kind=kind, style="plain", categories=sorted(classes))
    return Turn(question, answer, f"detection_{kind}", system)


def grounding_turn(expression: str, box: Boxes, frame: Frame, codec: Codec, *, kind: Kind = "hbb") -> Turn:
    """Ask for the one object that an expression describes, in a plain line.

    Args:
        expression: Names the object and no other of the image.
        box: The object's box, one row.
        frame: Pixel grid the model sees.
        codec: Writes the box.
        kind: Box kind of the answer.
    """
    system, question = grounding_prompt(expression, kind)
    answer = codec.encode(Objects(box, (expression,)), frame, kind=kind, style="plain")
    return Turn(question, answer, f"grounding_{kind}", system)


def render_turns(image: Any, turns: Sequence[Turn]) -> Sample:
    """Put the turns about one image into one conversation.

    Args:
        image: What the processor takes.
        turns: At least one; those that rely on a system text must rely on the same.

    Returns:
        A sample: ``messages``, ``images``, ``tools`` (None), ``task`` (the tasks, joined by ``+``).

    Raises:
        ValueError: No turn, or turns that rely on different system texts.
    """
    if not turns:
        raise ValueError("a conversation needs at least one turn; this image has no question")
    systems = sorted({turn.system for turn in turns if turn.system is not None})
    if len(systems) > 1:
        raise ValueError(f"turns of one conversation rely on {len(systems)} system texts; split them: {systems}")
    messages: list[dict[str, Any]] = [{"role": "system", "content": text} for text in systems]
    for place, turn in enumerate(turns):
        blocks: list[dict[str, Any]] = [{"type": "image"}] if place == 0 else []
        messages.append({"role": "user", "content": [*blocks, {"type": "text", "text": turn.question}]})
        messages.append(answer_turn(turn.answer))
    tasks = "+".join(turn.task for turn in turns)
    return {"messages": messages, "images": [image], "tools": None, "task": tasks}


def render_zoom(
    overview: Any, crop: Any, region: Boxes, question: str, answer: str, frame: Frame, codec: Codec, layout: Layout
) -> Sample:
    """Render a zoom conversation: overview and question, the call, the crop, the answer (paper, equation 5).

    Args:
        overview: The image as it is first shown.
        crop: The region read from the original's pixels.
        region: One box, in any frame of the same image.
        question: What is asked.
        answer: What the crop answers.
        frame: Pixel grid of the overview as the model sees it.
        codec: Writes the region.
        layout: ``"reference"`` or ``"native"``.
    """
    messages, tools = zoom_conversation(None, question, codec.encode_box(region, frame), None, answer, layout)
    return {"messages": messages, "images": [overview, crop], "tools": tools, "task": "zoom"}
