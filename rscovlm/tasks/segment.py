"""Segmentation: the masks of what class names or an expression mean, as boxes with keypoints or as polygons."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import TYPE_CHECKING, Any

import numpy as np

from rscovlm.codec.categories import referent, spoken
from rscovlm.codec.dialect import Dialect
from rscovlm.codec.point_objects import PointObject, SetForm
from rscovlm.codec.set_fitting import fitted
from rscovlm.codec.set_of_points import SetOfPoints
from rscovlm.codec.wording import plainest
from rscovlm.codec.writing import Style
from rscovlm.engines.engine import Conversation, Reply, check_engine, dialect_of
from rscovlm.engines.unstated import check_stated
from rscovlm.geometry import Frame
from rscovlm.geometry.tiling import tiles
from rscovlm.geometry.window import Window
from rscovlm.points.inexact import inexact_masks
from rscovlm.points.keypoints import prompt_of
from rscovlm.points.segmenter import FilledShapes, Segmenter
from rscovlm.points.tiled import segment as draw_masks
from rscovlm.rasters import Raster, open_image
from rscovlm.records import Record, Rejected
from rscovlm.tasks.areas import area_rows, ask_sets, mask_rows, merged, read_sets, stated_iou, true_areas
from rscovlm.tasks.batches import BATCH, batched_replies
from rscovlm.tasks.boxes import frame_row
from rscovlm.tasks.segment_again import segment_again
from rscovlm.tasks.segment_boxes import segment_boxes
from rscovlm.tasks.segmented import Segmented
from rscovlm.tasks.served import finish_of
from rscovlm.tasks.table import task_named
from rscovlm.tasks.task import Answered, Draw, Example, Question, Row, Shown, Task, shown_names
from rscovlm.tasks.wanted import Wanted, fields_of
from rscovlm.tasks.words import overview
from rscovlm.zoom.windows import show

if TYPE_CHECKING:
    from rscovlm.engines.engine import Engine


def question(
    dialect: Dialect,
    targets: Sequence[str],
    *,
    form: SetForm = "prompt",
    style: Style | None = None,
    pick: Callable[[int], int] = plainest,
    largest: int | None = None,
    inside: int = 8,
    outside: int = 4,
    again: bool = False,
) -> Question:
    """Return what is asked to segment what some names mean.

    Args:
        dialect: Whose words and codec.
        targets: Class names as prompts give them, or one expression.
        form: ``"prompt"`` for boxes with keypoints, ``"polygon"`` for outlines.
        style: Style of the answer; by default the dialect's.
        pick: Chooses one of several wordings.
        largest: Longest side of the grid that the model sees, to hold the answer to the grammar.
        inside: Points inside at most, in the grammar.
        outside: Points outside at most, in the grammar.
        again: The masks so far are tinted on the image, and are to be corrected by boxes with points.

    >>> question(Dialect.preset("rscovlm-v1"), ["plane", "ship"]).user
    'segment the plane, ship'
    """
    task = "segment_outline" if form == "polygon" else "segment_again" if again else "segment"
    options: dict[str, Any] = {"style": style, "pick": pick, "largest": largest, "inside": inside, "outside": outside}
    return ask_sets(dialect, task, form, list(targets), targets=targets, **options)


class Segment(Task):
    """Masks of objects."""

    name = "segment"
    finds = True
    in_boxes = True
    may = ("classes", "expressions")
    masked = True
    metric = "giou"
    category = "image-segmentation"

    def needs(self, record: Record) -> Iterable[tuple[bool, str]]:
        """What is meant, and its outline."""
        yield not (record.expression or record.categories), "no expression"
        yield not (record.objects or record.masks), "no mask"

    def example(self, record: Record, shown: Shown, draw: Draw) -> Example:
        """Ask for the names or the expression, and answer with boxes and points drawn from the true masks, or with outlines.

        Of one object that an expression means, the other way round at the rate `cyclic_rate`: as `describe`.
        """
        options = draw.options
        if record.expression.strip() and len(record.objects) == 1 and draw.chance(options.cyclic_rate):
            return task_named("describe").one_way(record, shown, draw)
        form: SetForm = "polygon" if draw.chance(options.outline_rate) else "prompt"
        again = form == "prompt" and draw.chance(options.refine_rate)
        targets = targets_of(record)
        areas = true_areas(record, shown)
        if not areas and any(not item.polygons for item in record.objects):
            raise Rejected("no outline", f"record {record.id!r}: its objects have boxes, but no polygons or masks")
        objects: list[PointObject] = []
        for number, area in enumerate(areas):
            label = name_of(area.label, record)
            if form == "polygon":
                objects += area.polygons(label)
                continue
            others = [other.mask for other in areas[:number] + areas[number + 1 :]] if options.negatives else ()
            counts: dict[str, Any] = {"inside": options.points, "outside": options.negatives}
            objects.append(prompt_of(area.mask, label, others=others, rng=draw.rng, **counts))
        text, style = SetOfPoints(draw.dialect.codec), draw.style(SetOfPoints(draw.dialect.codec).style(None))
        answer = write_fitted(text, objects, shown.seen(), targets, style, options.longest, record)
        if again:
            tinted = inexact_masks([area.mask for area in areas], shown.seen(), draw.rng)
            shown = replace(shown, pictures=(replace(shown.pictures[0], masks=tinted), *shown.pictures[1:]))
        asked = question(draw.dialect, targets, form=form, style=style, pick=draw.pick, again=again)
        return replace(Example.of(asked, answer, shown), areas=tuple(objects))

    def measure(self, answered: Sequence[Answered], dialect: Dialect) -> Mapping[str, float]:
        """Measure how well the boxes or outlines of answers cover the true ones: mean IoU of samples, nothing on nothing 1."""
        rows = [stated_iou(one, dialect, one.areas[0].form if one.areas else "polygon") for one in answered]
        return {"giou": float(np.mean(rows)) if rows else 1.0}

    def asks(self, record: Record, dialect: Dialect) -> Question:
        """Ask for the names or the expression, to be answered with boxes and points."""
        return question(dialect, targets_of(record))

    def truth(self, record: Record, size: tuple[int, int]) -> dict[str, Any]:
        """Nothing in a row: masks are compared as pixels."""
        return {}

    def outlines(self, record: Record) -> bool:
        """Always."""
        return True

    def outline(
        self, engine: Engine, asked: Iterable[tuple[Record, Sequence[Raster]]], **options: Any
    ) -> Iterator[Segmented]:
        """Segment what each record means on its first image."""
        images = ((rasters[0], *named(record)) for record, rasters in asked)
        return segment_many(engine, images, **options)

    def places(self, wanted: Wanted) -> bool:
        """The answer is read from outlines."""
        return True

    def rows(
        self, engine: Engine, rasters: Sequence[Raster], wanted: Sequence[Wanted], journal: Any = None
    ) -> list[Row]:
        """Segment the images, those that want the same way in common batches; polygons of the masks stand in the row."""
        rows: list[Row] = []
        pairs = zip(rasters, wanted, strict=True)
        for (form, refine, options), some in groupby(
            pairs, key=lambda pair: (pair[1].form, pair[1].refine, _options(pair[1]))
        ):
            asked = [(raster, *meant(one)) for raster, one in some]
            if form == "box":
                rows += map(_row, _by_boxes(engine, asked, {**options, "refine": refine}))
                continue
            found = segment_many(engine, asked, form=form or "prompt", **options)
            again = {name: value for name, value in options.items() if name != "tile"}
            for (raster, *_), one in zip(asked, found, strict=True):
                rows.append(_row(segment_again(engine, raster, one, rounds=refine, **again) if refine else one))
        return rows


TASK = Segment()


def targets_of(record: Record) -> list[str]:
    """Return what a record asks for: its expression, or the names it looked for and has, as prompts give them."""
    if record.expression:
        return [referent(record.expression)]
    return shown_names({*record.categories, *(item.label for item in record.objects)})


def meant(wanted: Wanted) -> tuple[Sequence[str], Sequence[str]]:
    """Return the class names and the expressions that are asked for.

    A server fills both from the same words: several between commas are class names, and others are an expression.

    >>> meant(Wanted(classes=("ship", "plane"), expressions=("ship, plane",)))
    (('ship', 'plane'), ())
    >>> meant(Wanted(classes=("the large ship",), expressions=("the large ship",)))
    ((), ('the large ship',))
    """
    classes, expressions = wanted.classes or (), wanted.expressions or ()
    if classes and len(expressions) == 1 and fields_of(expressions[0], ["classes"])["classes"] == tuple(classes):
        return (classes, ()) if len(classes) > 1 else ((), expressions)
    return classes, expressions


def named(record: Record) -> tuple[Sequence[str], Sequence[str]]:
    """Return the class names and the expressions that a record asks for."""
    targets = targets_of(record)
    return ((), targets) if record.expression else (targets, ())


def name_of(label: str, record: Record) -> str:
    """Return the label of an object as answers write it."""
    return referent(record.expression) if record.expression else spoken(label)


def write_fitted(
    text: SetOfPoints,
    objects: Sequence[PointObject],
    seen: Frame,
    targets: Sequence[str],
    style: Style,
    longest: int,
    record: Record,
) -> str:
    """Return an answer whose polygons are simplified to a length.

    Raises:
        Rejected: It cannot be so short, or an object has a name that was not asked for.
    """
    try:
        return fitted(text, objects, seen, longest=longest, style=style, categories=targets).text
    except ValueError as error:
        reason = "answer too long" if "does not fit" in str(error) else "no text form"
        raise Rejected(reason, f"record {record.id!r}: {error}") from error


def segment(
    engine: Engine,
    image: Any,
    classes: Iterable[str] = (),
    *,
    expressions: Iterable[str] = (),
    segmenter: Segmenter | None = None,
    form: SetForm = "prompt",
    tile: int | None = None,
    overlap: int = 128,
    style: Style | None = None,
    constrained: bool = False,
    max_new_tokens: int = 2048,
) -> Segmented:
    """Find what class names and expressions mean and return its masks in original pixels.

    The model gives boxes with points, or polygons; a segmenter draws masks of them from the original pixels.

    Args:
        engine: Who answers.
        image: Whatever ``open_image`` takes.
        classes: Class names, asked for in one question.
        expressions: Referring expressions, each asked by itself.
        segmenter: Who draws masks; by default boxes and polygons are filled.
        form: What the model is asked for: ``"prompt"`` (a box and keypoints) or ``"polygon"``.
        tile: Side in original pixels of windows that are asked about, several at a time; by default the image as a whole.
        overlap: Pixels that windows share; parts of one object in both are joined.
        style: Style of the answers; by default the dialect's.
        constrained: Hold the model to the codec's grammar.
        max_new_tokens: Limit of an answer.

    Raises:
        ValueError: Nothing is asked for, the image cannot be read, or the segmenter gives something else than masks.
        TypeError: One string instead of a list.
    """
    check_engine(engine)
    for given in (classes, expressions):
        if isinstance(given, str):
            raise TypeError(f"{given!r} is one string; give a list of names")
    options: dict[str, Any] = {"form": form, "tile": tile, "overlap": overlap, "style": style}
    images = [(open_image(image), classes, expressions)]
    (found,) = segment_many(
        engine, images, segmenter=segmenter, constrained=constrained, max_new_tokens=max_new_tokens, **options
    )
    return found


def segment_many(
    engine: Engine,
    images: Iterable[tuple[Raster, Iterable[str], Iterable[str]]],
    *,
    segmenter: Segmenter | None = None,
    form: SetForm = "prompt",
    tile: int | None = None,
    overlap: int = 128,
    style: Style | None = None,
    constrained: bool = False,
    batch: int = BATCH,
    max_new_tokens: int = 2048,
) -> Iterator[Segmented]:
    """Segment many images, whose questions share batches; gives what `segment` gives on each alone.

    Args:
        engine: Who answers.
        images: Open images with the class names and the expressions asked for; read as they are needed.
        segmenter: As for `segment`.
        form: As for `segment`.
        tile: As for `segment`.
        overlap: As for `segment`.
        style: As for `segment`.
        constrained: As for `segment`.
        batch: Questions asked at a time.
        max_new_tokens: Limit of an answer.

    Yields:
        The masks of each image, in their order.

    Raises:
        ValueError: As `segment`.
    """
    check_engine(engine)
    check_stated(engine, "segment")
    dialect = dialect_of(engine)
    text = SetOfPoints(dialect.codec)

    def asked() -> Iterator[tuple[_Segmenting, Conversation | None]]:
        for raster, classes, expressions in images:
            wanted = [names for names in (shown_names(classes), *([referent(one)] for one in expressions)) if names]
            if not wanted:
                raise ValueError("there is nothing to segment; give classes or expressions")
            image = _Segmenting(raster)
            for view in _views(engine, raster, tile, overlap):
                largest = max(view.frame.width, view.frame.height) if constrained else None
                for targets in wanted:
                    sent = question(dialect, targets, form=form, style=style, largest=largest)
                    yield replace(image, seen=view.frame, targets=targets), sent.conversation([view.image], view.frame)
            yield image, None

    for image, reply in batched_replies(engine, asked(), batch=batch, max_new_tokens=max_new_tokens):
        if reply is None:
            yield image.masks(segmenter or FilledShapes(), join=tile is not None)
        else:
            image.take(text, reply, form)


@dataclass(frozen=True)
class _Segmenting:
    """An image and what its answers have given so far; for each question with what it was about."""

    raster: Raster
    seen: Frame | None = None
    targets: Sequence[str] = ()
    prompts: list[PointObject] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    problems: Counter[str] = field(default_factory=Counter)

    def take(self, text: SetOfPoints, reply: Reply, form: SetForm) -> None:
        """Read the reply to a question."""
        if self.seen is not None:
            found = read_sets(text, reply, self.seen, form, self.targets, self.problems)
            self.prompts.extend(one.to(self.raster.frame) for one in found)
            self.texts.append(reply.text)

    def masks(self, segmenter: Segmenter, *, join: bool) -> Segmented:
        """Draw the masks of all that was found."""
        drawn = draw_masks(segmenter, self.raster, self.prompts)
        self.problems["empty_mask"] += sum(not mask.area for mask in drawn)
        pairs = [(one.label, mask) for one, mask in zip(self.prompts, drawn, strict=True) if mask.area]
        pairs = merged(pairs, self.raster.frame) if join else pairs
        return Segmented.of(pairs, self.prompts, self.raster.frame, self.problems, self.texts)


def _views(engine: Engine, raster: Raster, tile: int | None, overlap: int) -> Iterator[Any]:
    if tile is None or max(raster.width, raster.height) <= tile:
        yield overview(raster, engine)
        return
    for window in tiles(raster.width, raster.height, tile, min(overlap, tile // 2)):
        view = show(raster, Window(*window), 0, engine.budget, 2**62)
        if view is not None:
            yield view


def _by_boxes(
    engine: Engine, images: Iterable[tuple[Raster, Sequence[str], Sequence[str]]], options: Mapping[str, Any]
) -> Iterator[Segmented]:
    for raster, classes, expressions in images:
        yield segment_boxes(engine, raster, classes, expressions=expressions, **options)


def _options(wanted: Wanted) -> dict[str, Any]:
    """Return the arguments of `segment_many` that are wanted."""
    same = ("style", "constrained", "segmenter", "tile")
    return {**{name: getattr(wanted, name) for name in same}, **wanted.limit}


def _row(found: Segmented) -> Row:
    # Half an answer is in the model's own coordinates, so nothing is better.
    row: Row = {"objects": area_rows(found.polygons()), "problems": found.problems}
    row |= {"finish": finish_of(found.problems), "masks": mask_rows(found.labels, found.masks)}
    return {**row, "frame": frame_row(found.frame)}
