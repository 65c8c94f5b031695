"""Plans solved step by step: each on the result of the one before, with a trace of what every step kept."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import shapely
from numpy.typing import ArrayLike

from rscovlm.geometry import Frame, Objects
from rscovlm.geometry.similarity import iou
from rscovlm.points.condition_geometry import ConditionJudge, Shapes, shapes_of
from rscovlm.points.conditions import ConditionPlan, SubInstruction

Find = Callable[[str, bool], Objects]
"""Returns what some words mean: several objects of a class, or the one of an expression."""

SAME = 0.5
"""IoU from which an object that was found again is the same one."""


@dataclass(frozen=True)
class TraceEntry:
    """What one step did.

    Attributes:
        name: The step's name.
        words: The step in words.
        by: Who decided: the model, geometry, or both (found again by the model, compared by geometry).
        before: Objects that it chose from; 0 for a step that looked for some.
        after: Objects that it kept or found.
        boxes: Boxes of these, in original pixels.
        note: Why nothing is left, where nothing is.
    """

    name: str
    words: str
    by: Literal["model", "geometry", "model and geometry"]
    before: int
    after: int
    boxes: tuple[tuple[float, ...], ...] = ()
    note: str = ""

    def to_row(self) -> dict[str, Any]:
        """Return the entry as plain JSON values."""
        row = {name: getattr(self, name) for name in ("name", "words", "by", "before", "after", "note")}
        return row | {"boxes": [[round(value, 2) for value in box] for box in self.boxes]}


@dataclass(frozen=True)
class SolvedConditions:
    """The answer to an instruction with conditions.

    Attributes:
        objects: What meets all conditions.
        number: How many there are, where the plan counts.
        trace: What each step did, in the order it was solved.
        left_nothing: Name of the step after which nothing was left; None where something is.
        plan: What was solved.
        problems: Counts of what could not be read, by reason.
    """

    objects: Objects
    number: int | None
    trace: tuple[TraceEntry, ...]
    left_nothing: str | None
    plan: ConditionPlan
    problems: dict[str, int] = field(default_factory=dict)


class ConditionSolver:
    """Solves plans about one image.

    Args:
        find: Looks for things in the image.
        frame: The image's own grid.
        areas: Outlines by name, (k, 2) pixels of the image each.

    Raises:
        ValueError: An area has fewer than three points or no extent.
    """

    def __init__(self, find: Find, frame: Frame, *, areas: Mapping[str, ArrayLike] | None = None) -> None:
        self.find, self.frame, self.judge = find, frame, ConditionJudge(frame)
        self.areas = {name: _area(name, ring) for name, ring in (areas or {}).items()}
        self._found: dict[tuple[str, bool], Objects] = {}

    def solve(self, plan: ConditionPlan) -> SolvedConditions:
        """Solve a plan; nothing more is looked for once nothing is left.

        Raises:
            ValueError: A step needs map coordinates that the image does not have, or an area that is not given.
        """
        steps = {step.name: step for step in plan.steps}
        absent = [name for name in plan.given if name not in self.areas]
        if absent:
            raise ValueError(f"the areas {', '.join(map(repr, absent))} are not given; give their outlines")
        trace: list[TraceEntry] = []
        objects = self._solved(plan.answer, steps, trace)
        empty = next((entry.name for entry in trace if not entry.after), None) if not len(objects) else None
        number = len(objects) if plan.answer.do == "count" else None
        return SolvedConditions(objects, number, tuple(trace), empty, plan)

    def _solved(self, step: SubInstruction, steps: Mapping[str, SubInstruction], trace: list[TraceEntry]) -> Objects:
        if step.do == "find":
            objects = self._looked(step.what, many=step.many)
            trace.append(_entry(step, "model", 0, objects, "" if len(objects) else "nothing of the kind was found"))
            return objects
        candidates = self._solved(steps[step.of], steps, trace)
        if not len(candidates):
            return candidates
        if step.do == "matching":
            kept = self._matching(step, candidates)
            trace.append(_entry(step, "model and geometry", len(candidates), kept, "" if len(kept) else "none matches"))
            return kept
        others = [self._compared(name, steps, trace) for name in step.to]
        lost = [name for name, other in zip(step.to, others, strict=True) if not len(other)]
        rows = self.judge.kept(step, shapes_of(candidates), others)
        kept = candidates[np.array(rows, dtype=np.intp)]
        note = f"nothing to compare with: {', '.join(lost)} was not found" if lost else ""
        note = note or ("" if len(kept) else "no object meets the condition")
        trace.append(_entry(step, "geometry", len(candidates), kept, note))
        return kept

    def _compared(self, name: str, steps: Mapping[str, SubInstruction], trace: list[TraceEntry]) -> Shapes:
        if name in self.areas:
            return self.areas[name]
        return shapes_of(self._solved(steps[name], steps, trace))

    def _looked(self, what: str, *, many: bool) -> Objects:
        if (what, many) not in self._found:
            self._found[what, many] = self.find(what, many)
        return self._found[what, many]

    def _matching(self, step: SubInstruction, candidates: Objects) -> Objects:
        found = self._looked(step.what, many=True)
        if not len(found):
            return candidates[np.array([], dtype=np.intp)]
        overlaps = iou(candidates.boxes.as_kind("quad"), found.boxes.as_kind("quad"))
        return candidates[np.flatnonzero(overlaps.max(axis=1) >= SAME)]


def _entry(step: SubInstruction, by: Any, before: int, objects: Objects, note: str) -> TraceEntry:
    boxes = tuple(tuple(float(value) for value in box) for box in objects.boxes.coords)
    return TraceEntry(step.name, step.words(), by, before, len(objects), boxes, note)


def _area(name: str, ring: ArrayLike) -> Shapes:
    points = np.asarray(ring, dtype=np.float64)
    if points.ndim != 2 or points.shape[1:] != (2,) or len(points) < 3 or not np.isfinite(points).all():
        raise ValueError(
            f"the area {name!r} has the shape {points.shape}; give (k, 2) finite pixels, three points or more"
        )
    shape = shapely.make_valid(shapely.Polygon(points))
    if shape.area <= 0:
        raise ValueError(f"the area {name!r} has no extent; give a polygon that encloses something")
    shapes = np.empty(1, dtype=object)
    shapes[0] = shape
    return shapes
