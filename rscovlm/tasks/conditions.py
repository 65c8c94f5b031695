"""Conditions: what an instruction with several conditions asks for, solved one condition after another."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from rscovlm.codec.categories import singular
from rscovlm.codec.control_tokens import check_words
from rscovlm.codec.dialect import Dialect
from rscovlm.engines.engine import check_engine
from rscovlm.geometry import Objects
from rscovlm.geometry.kinds import Kind
from rscovlm.points.condition_rules import parse_by_rules
from rscovlm.points.condition_solver import ConditionSolver, Find, SolvedConditions
from rscovlm.points.condition_writer import ConditionWriter
from rscovlm.points.conditions import ConditionPlan
from rscovlm.rasters import Raster, open_image
from rscovlm.rasters.world import transformed
from rscovlm.records import Record
from rscovlm.tasks.boxes import frame_row, object_rows
from rscovlm.tasks.detect import detect
from rscovlm.tasks.ground import TASK as GROUND
from rscovlm.tasks.ground import ground
from rscovlm.tasks.task import Answered, Draw, Example, Question, Row, Shown, Task
from rscovlm.tasks.wanted import Wanted

if TYPE_CHECKING:
    from rscovlm.engines.engine import Engine

Parser = Callable[..., ConditionPlan]
"""Takes an instruction, and the names of areas as the keyword `areas`, and returns a plan."""


class Conditions(Task):
    """What an instruction with several conditions asks for."""

    name = "conditions"
    finds = True
    wants = ("expressions",)
    tiled = True
    metric = GROUND.metric

    def needs(self, record: Record) -> Iterable[tuple[bool, str]]:
        """An instruction, and the objects that meet it."""
        yield not record.expression.strip(), "no instruction"
        yield not record.objects, "no object"

    def example(self, record: Record, shown: Shown, draw: Draw) -> Example:
        """Ask for the whole instruction at once, as `ground` does, and answer with all objects that meet it."""
        return GROUND.example(record, shown, draw)

    def asks(self, record: Record, dialect: Dialect) -> Question:
        """Ask for the whole instruction at once, as it is trained."""
        return GROUND.asks(record, dialect)

    def places(self, wanted: Wanted) -> bool:
        """The answer is read from boxes."""
        return True

    def measure(self, answered: Sequence[Answered], dialect: Dialect) -> Mapping[str, float]:
        """Measure as grounding."""
        return GROUND.measure(answered, dialect)

    def rows(
        self, engine: Engine, rasters: Sequence[Raster], wanted: Sequence[Wanted], journal: Any = None
    ) -> list[Row]:
        """Solve the instructions of each image one after another."""
        writer = ConditionWriter(engine)
        found = []
        for raster, one in zip(rasters, wanted, strict=True):
            options: dict[str, Any] = {
                "kind": one.kind,
                "tile": one.tile,
                "overlap": one.overlap,
                "constrained": one.constrained,
                **one.limit,
            }
            solved = [
                solve_conditions(engine, raster, text, parser=rules_or(writer), **options)
                for text in one.expressions or ()
            ]
            found.append(_row(solved, raster))
        return found


TASK = Conditions()


def solve_conditions(
    engine: Engine,
    image: Any,
    instruction: str | ConditionPlan,
    *,
    parser: Parser | None = None,
    areas: Mapping[str, ArrayLike] | None = None,
    crs: str | None = None,
    find: Find | None = None,
    kind: Kind | None = None,
    tile: int | None = None,
    overlap: float | None = None,
    constrained: bool = False,
    max_new_tokens: int | None = None,
) -> SolvedConditions:
    """Find what meets all conditions of an instruction.

    Args:
        engine: Who looks for things.
        image: Whatever ``open_image`` takes.
        instruction: Such as ``"the largest ship within 200 m of the pier"``, or a plan.
        parser: Makes a plan of it; by default rules. `ConditionWriter` asks a model.
        areas: Outlines by name that conditions may use, (k, 2) each: ``{"zone": ring}`` for "inside the zone".
        crs: Coordinate system of the areas; None for pixels of the image.
        find: Looks for things instead of the engine's `detect` and `ground`.
        kind: Box kind to ask for; by default the dialect's.
        tile: Side of detection tiles.
        overlap: What these share, as for `detect`.
        constrained: Hold answers to their grammar.
        max_new_tokens: Limit of an answer; by default those of `detect` and `ground`.

    Raises:
        ValueError: The instruction cannot be parsed or solved: a loop, an unknown name, metres or compass directions on an
            image without map coordinates; the message says which.
    """
    check_engine(engine)
    names = tuple(areas or ())
    if isinstance(instruction, ConditionPlan):
        plan = instruction
    else:
        check_words(instruction, "the instruction")
        plan = (parser or parse_by_rules)(instruction, areas=names)
    raster = open_image(image)
    problems: Counter[str] = Counter()
    options: dict[str, Any] = {"kind": kind, "constrained": constrained}
    if max_new_tokens is not None:
        options["max_new_tokens"] = max_new_tokens
    looks = find or _finder(engine, raster, problems, {**options, "tile": tile, "overlap": overlap}, options)
    rings = {name: _pixels(raster, ring, crs) for name, ring in (areas or {}).items()}
    solved = ConditionSolver(looks, raster.frame, areas=rings).solve(plan)
    return replace(solved, problems=dict(problems))


def rules_or(writer: ConditionWriter) -> Parser:
    """Return a parser that asks a model only for what rules cannot parse."""

    def parse(instruction: str, *, areas: Sequence[str] = ()) -> ConditionPlan:
        try:
            return parse_by_rules(instruction, areas=tuple(areas))
        except ValueError:
            return writer(instruction, areas=areas)

    return parse


def _finder(
    engine: Engine, raster: Raster, problems: Counter[str], many_options: dict[str, Any], one_options: dict[str, Any]
) -> Find:
    """Return what asks the engine: `detect` for several objects of a class, `ground` for the one of an expression."""

    def find(what: str, many: bool) -> Objects:
        if many:
            detections = detect(engine, raster, [singular(what)], **many_options)
            problems.update(detections.problems)
            return detections.objects
        (found,) = ground(engine, raster, [what], **one_options)
        problems.update(found.problems)
        return found.objects

    return find


def _pixels(raster: Raster, ring: ArrayLike, crs: str | None) -> ArrayLike:
    if crs is None:
        return ring
    frame = raster.frame
    if frame.to_world() is None or frame.crs is None:
        raise ValueError(f"the areas are in {crs} and {raster.path} has no map coordinates; give areas in its pixels")
    places = np.asarray(ring, dtype=np.float64)
    return frame.pixels(places if crs == frame.crs else transformed(places, crs, frame.crs))


def _row(solved: Sequence[SolvedConditions], raster: Raster) -> Row:
    problems = dict(sum((Counter(one.problems) for one in solved), Counter()))
    # What was detected and what was pointed at may be of two kinds; a row has one.
    kinds = {one.objects.boxes.kind for one in solved}
    same = [one.objects if len(kinds) == 1 else one.objects.as_kind("quad") for one in solved]
    objects = [object_rows(one) for one in same]
    row: Row = {"objects": [entry for one in objects for entry in one]}
    row |= {"numbers": [len(one.objects) for one in solved], "left_nothing": [one.left_nothing for one in solved]}
    row |= {"trace": [[entry.to_row() for entry in one.trace] for one in solved]}
    row |= {"notes": [list(one.plan.notes) for one in solved], "problems": problems}
    return row | {"frame": frame_row(raster.frame)}
