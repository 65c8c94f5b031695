"""Boxes of tasks that are answered with some: asked for, read from answers, written as rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rscovlm.codec.dialect import Dialect
from rscovlm.codec.wording import plainest
from rscovlm.codec.writing import Style
from rscovlm.geometry import Frame, Objects
from rscovlm.geometry.control_points import ControlPoints
from rscovlm.geometry.kinds import Kind
from rscovlm.tasks.task import Answered, Question, Row


def ask_boxes(
    dialect: Dialect,
    task: str,
    categories: Sequence[str],
    *,
    kind: Kind | None = None,
    style: Style | None = None,
    pick: Callable[[int], int] = plainest,
    largest: int | None = None,
    **places: str | Sequence[str],
) -> Question:
    """Return what is asked for a task that is answered with boxes.

    Args:
        dialect: Whose words and codec.
        task: The place in the dialect's wording.
        categories: Labels that the answer may have.
        kind: Box kind of the answer; by default the dialect's.
        style: Its style; by default the dialect's.
        pick: Chooses one of several wordings.
        largest: Longest side of the grid that the model sees, to hold the answer to the grammar; None for any answer.
        places: What the places of the wording are filled with.

    Raises:
        ValueError: The dialect has no words for such a kind or style, or it names no class in its answers and there are
            several.

    >>> ask_boxes(Dialect.preset("rscovlm-v1"), "ground", ["ship"], expression="ship").user
    'find the ship'
    """
    kind, style = dialect.form(task, kind, style)
    if len(categories) > 1 and not dialect.codec.labelled:
        raise ValueError(
            f"dialect {dialect.name!r} names no class in its answers; ask for one class, not {list(categories)}"
        )
    asked = dialect.ask(task, kind=kind, style=style, pick=pick, **places)
    if largest is None:
        return Question(asked.system, asked.user, gsd=asked.gsd)
    grammar = dialect.codec.grammar(kind=kind, style=style, categories=categories, largest=largest)
    return Question(asked.system, asked.user, grammar, asked.gsd)


def found_and_true(one: Answered, dialect: Dialect) -> tuple[Objects, Objects]:
    """Return what an answer says and what is true, in pixels of the original image.

    Raises:
        ValueError: There are no true boxes with a frame.
    """
    if one.truth is None or one.truth.boxes.frame is None or one.seen is None:
        raise ValueError("an answer with boxes has no true ones with a frame; measure it as words")
    # Answers that name no class are about the one that was asked for.
    asked = None if dialect.codec.labelled else sorted(set(one.truth.labels)) or None
    said = dialect.codec.decode(one.reply, one.seen, kind=one.truth.boxes.kind, categories=asked).objects
    return said.to(one.truth.boxes.frame), one.truth


def object_rows(objects: Objects) -> list[Row]:
    """Return objects as plain JSON values: ``label``, ``box``, ``kind`` and, where there is one, ``score``."""
    kind = objects.boxes.kind
    rows: list[Row] = [
        {"label": label, "kind": kind, "box": [round(float(value), 2) for value in box]}
        for label, box in zip(objects.labels, objects.boxes.coords, strict=True)
    ]
    if objects.scores is not None:
        for row, score in zip(rows, objects.scores, strict=True):
            row["score"] = float(score)
    return rows


def frame_row(frame: Frame) -> dict[str, Any]:
    """Return a grid and its place on the ground as plain JSON values, control points and accuracy where there are some."""
    row: dict[str, Any] = {
        "width": frame.width,
        "height": frame.height,
        "to_world": frame.root_to_world,
        "crs": frame.crs,
    }
    if frame.control is not None:
        row["control"] = {"pixels": frame.control.pixels, "world": frame.control.world}
    if frame.accuracy is not None:
        row["accuracy"] = frame.accuracy
    return row


def frame_of(row: Mapping[str, Any]) -> Frame:
    """Return the grid that `frame_row` wrote.

    >>> frame_of(frame_row(Frame(4, 3, crs="EPSG:4326"))) == Frame(4, 3, crs="EPSG:4326")
    True
    """
    world, control = row["to_world"], row.get("control")
    return Frame(
        row["width"],
        row["height"],
        root_to_world=None if world is None else tuple(world),
        crs=row["crs"],
        control=None if control is None else ControlPoints(control["pixels"], control["world"]),
        accuracy=row.get("accuracy"),
    )
