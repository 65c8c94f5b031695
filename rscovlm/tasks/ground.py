"""Grounding: where the one object that an expression describes is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from rscovlm.codec.categories import referent
from rscovlm.codec.control_tokens import check_names
from rscovlm.codec.dialect import Dialect
from rscovlm.codec.writing import Style
from rscovlm.engines.engine import Reply, check_engine, dialect_of, replies
from rscovlm.engines.unstated import check_stated
from rscovlm.geometry import Boxes, Objects
from rscovlm.geometry.kinds import Kind
from rscovlm.rasters import Raster, open_image
from rscovlm.records import Record
from rscovlm.records.views import boxes_of
from rscovlm.tasks.boxes import ask_boxes, found_and_true, frame_row, object_rows
from rscovlm.tasks.served import Served, was_cut
from rscovlm.tasks.table import task_named
from rscovlm.tasks.task import Answered, Draw, Example, Question, Row, Shown, Task
from rscovlm.tasks.wanted import Wanted
from rscovlm.tasks.words import overview
from rscovlm.zoom.windows import ZoomView

if TYPE_CHECKING:
    from rscovlm.engines.engine import Engine


@dataclass(frozen=True)
class Grounded:
    """Where a referring expression points.

    Attributes:
        expression: What was asked for.
        objects: What the model pointed at, in pixels of the original image; the label is the expression.
        text: The answer as the model wrote it.
        none: The model says that there is nothing of the kind.
        problems: Counts by reason of what could not be read; ``cut_off`` when the answer met the token limit,
            ``repeat`` when the repeat guard ended it.
    """

    expression: str
    objects: Objects
    text: str
    none: bool
    problems: dict[str, int] = field(default_factory=dict)

    @property
    def box(self) -> Boxes | None:
        """The first box, which is the answer to an expression that means one object; ``None`` if there is none."""
        return self.objects.boxes[:1] if len(self.objects) else None


def question(
    dialect: Dialect,
    expression: str,
    **options: Any,
) -> Question:
    """Return what is asked to find the one object that an expression describes.

    Args:
        dialect: Whose words and codec.
        expression: The referring expression; its article is left out.
        options: ``kind``, ``style``, ``pick`` and ``largest`` of `ask_boxes`.

    Raises:
        ValueError: The expression is empty, or the dialect has no words for such a kind or style.

    >>> question(Dialect.preset("rscovlm-v1"), "the red-roofed hangar").user
    'find the red-roofed hangar'
    """
    what = referent(expression)
    return ask_boxes(dialect, "ground", [what], expression=what, **options)


class Ground(Task):
    """The one object that an expression describes."""

    name = "ground"
    finds = True
    wants = ("expressions",)
    metric = "acc50"
    boxed = True
    reverse = "region_caption"
    category = "object-detection"

    def needs(self, record: Record) -> Iterable[tuple[bool, str]]:
        """An expression, and where it points."""
        yield not record.expression.strip(), "no expression"
        yield not record.objects, "no object"

    def example(self, record: Record, shown: Shown, draw: Draw) -> Example:
        """Ask for the expression and answer with its boxes; at the rate `cyclic_rate` the other way round, as `describe`."""
        turned = len(record.objects) == 1 and draw.chance(draw.options.cyclic_rate)
        return (task_named("describe") if turned else self).one_way(record, shown, draw)

    def one_way(self, record: Record, shown: Shown, draw: Draw) -> Example:
        """Ask for the expression and answer with its boxes."""
        kind, style = draw.form(self.name)
        what = referent(record.expression)
        truth = Objects(boxes_of(record.objects, kind, shown.frames[0]), (what,) * len(record.objects))
        answer = draw.dialect.codec.encode(truth, shown.seen(), kind=kind, style=style)
        asked = question(draw.dialect, record.expression, kind=kind, style=style, pick=draw.pick)
        return Example.of(asked, answer, shown, truth)

    def asks(self, record: Record, dialect: Dialect) -> Question:
        """Ask for the expression."""
        return question(dialect, record.expression)

    def asks_in(self, record: Record, dialect: Dialect, kind: Kind | None) -> Question:
        """Ask for a box of a kind."""
        return question(dialect, record.expression, kind=kind)

    def truth(self, record: Record, size: tuple[int, int]) -> dict[str, Any]:
        """The first box, which the expression means."""
        return {"box": list(record.objects[0].box), "kind": record.objects[0].kind}

    def measure(self, answered: Sequence[Answered], dialect: Dialect) -> Mapping[str, float]:
        """Measure how many first boxes overlap the true one by more than half."""
        from rscovlm.metrics import grounding_accuracy

        pairs = [found_and_true(one, dialect) for one in answered if one.truth is not None]
        found = [list(said.boxes.coords[0]) if len(said) else None for said, _ in pairs]
        result = grounding_accuracy(found, [list(true.boxes.coords[0]) for _, true in pairs])
        return {"acc50": float(result["acc50"])}

    def places(self, wanted: Wanted) -> bool:
        """The answer is read from boxes."""
        return True

    def serve(self, engine: Engine, rasters: Sequence[Raster], wanted: Wanted) -> Served:
        """Answer with the boxes of the first expression, or in the model's words where there are none."""
        (found,) = _pointed(engine, rasters[0], wanted)
        cut = was_cut(found.problems)
        # Half a box is in the model's own coordinates, so nothing is better.
        text = "" if cut else found.text
        return Served(text, cut, found.objects, found.none, {"problems": found.problems})

    def rows(
        self, engine: Engine, rasters: Sequence[Raster], wanted: Sequence[Wanted], journal: Any = None
    ) -> list[Row]:
        """Ask for all expressions of an image as one batch."""
        return [self._row(engine, raster, one) for raster, one in zip(rasters, wanted, strict=True)]

    def _row(self, engine: Engine, raster: Raster, wanted: Wanted) -> Row:
        answers = _pointed(engine, raster, wanted)
        objects = Objects.concatenate([one.objects for one in answers])
        none = [one.expression for one in answers if not len(one.objects)]
        problems = dict(sum((Counter(one.problems) for one in answers), Counter()))
        about = {"not_found": none, "problems": problems}
        return {"objects": object_rows(objects), **about, "frame": frame_row(raster.frame)}


TASK = Ground()


def _pointed(engine: Engine, raster: Raster, wanted: Wanted) -> list[Grounded]:
    options: dict[str, Any] = {
        "kind": wanted.kind,
        "style": wanted.style,
        "constrained": wanted.constrained,
        **wanted.limit,
    }
    return ground(engine, raster, wanted.expressions or (), **options)


def ground(
    engine: Engine,
    image: Any,
    expressions: Iterable[str],
    *,
    kind: Kind | None = None,
    style: Style | None = None,
    constrained: bool = False,
    max_new_tokens: int = 256,
) -> list[Grounded]:
    """Point at what each expression describes, all expressions as one batch.

    Args:
        engine: Who answers.
        image: Whatever ``open_image`` takes; a large one is shown as the budget allows.
        expressions: Referring expressions such as ``"the red-roofed hangar"``.
        kind: Box kind to ask for; by default the dialect's.
        style: Style of the answer; by default the dialect's.
        constrained: Hold the model to the codec's grammar, so that every answer can be read.
        max_new_tokens: Limit of an answer.

    Returns:
        One :class:`Grounded` an expression, boxes in original pixels on the image's frame (with map coordinates where
        the file has them).

    Raises:
        ValueError: An expression is empty, or the image cannot be read.
        TypeError: One string instead of a list.
    """
    if isinstance(expressions, str):
        raise TypeError(f"expressions is the string {expressions!r}; give a list of expressions")
    wanted = check_names(expressions, "expression")
    check_engine(engine)
    check_stated(engine, "ground")
    dialect = dialect_of(engine)
    kind, style = dialect.form("ground", kind, style)
    for expression in wanted:  # what is wrong with a question is said before the image is read
        question(dialect, expression, kind=kind, style=style)
    raster = open_image(image)
    view = overview(raster, engine)
    largest = max(view.frame.width, view.frame.height) if constrained else None
    asked = [question(dialect, expression, kind=kind, style=style, largest=largest) for expression in wanted]
    answers = replies(
        engine, [one.conversation([view.image], view.frame) for one in asked], max_new_tokens=max_new_tokens
    )
    return [
        _grounded(engine, expression, reply, raster, view, kind)
        for expression, reply in zip(wanted, answers, strict=True)
    ]


def _grounded(engine: Engine, expression: str, reply: Reply, raster: Raster, view: ZoomView, kind: Kind) -> Grounded:
    decoded = engine.codec.decode(reply.text, view.frame, kind=kind)
    found = Objects(decoded.objects.boxes.to(raster.frame).clipped(), (expression,) * len(decoded.objects))
    solid = found.boxes.area() > 0
    # A box without an area is dropped here: it counts once, as ``no_area``.
    problems = {reason: count for reason, count in decoded.problems.items() if reason != "degenerate"}
    ended = {"length": "cut_off", "repeat": "repeat"}.get(reply.finish, "")
    for reason, number in (("no_area", int((~solid).sum())), (ended, int(bool(ended)))):
        if number:
            problems[reason] = number
    return Grounded(expression, found[solid], reply.text, decoded.none, problems)
