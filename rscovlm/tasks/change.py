"""Change: what differs between images of one place, in words or as polygons."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import TYPE_CHECKING, Any

import numpy as np

from rscovlm.codec.categories import referent
from rscovlm.codec.dialect import Dialect
from rscovlm.codec.point_objects import PointObject
from rscovlm.codec.set_of_points import SetOfPoints
from rscovlm.codec.wording import plainest
from rscovlm.codec.writing import Style
from rscovlm.engines.engine import Conversation, Reply, check_engine, dialect_of
from rscovlm.engines.unstated import check_stated
from rscovlm.geometry import Frame
from rscovlm.geometry.masks import Mask
from rscovlm.geometry.tiling import tiles
from rscovlm.geometry.window import Window
from rscovlm.metrics import change_ap_nc
from rscovlm.points.pairs import RasterPair, Shift
from rscovlm.points.polygons import mask_of, polygons_each
from rscovlm.processing.resolution import plan_size
from rscovlm.rasters import Raster, open_image
from rscovlm.records import Record, Rejected
from rscovlm.records.views import boxes_of
from rscovlm.tasks.areas import area_rows, ask_sets, mask_rows, merged, stated_iou, stated_objects, true_areas
from rscovlm.tasks.batches import BATCH, batched_replies
from rscovlm.tasks.boxes import frame_row
from rscovlm.tasks.caption import question as ask_caption
from rscovlm.tasks.describe import question as ask_description
from rscovlm.tasks.segment import meant, name_of, named, targets_of, write_fitted
from rscovlm.tasks.served import finish_of
from rscovlm.tasks.task import Answered, Draw, Example, Question, Row, Shown, Task, shown_names
from rscovlm.tasks.wanted import Wanted

if TYPE_CHECKING:
    from rscovlm.engines.engine import Engine

ANYTHING = "change"
"""Label of what changed where nothing is named."""


@dataclass(frozen=True)
class Changed:
    """What changed between two images.

    Attributes:
        masks: One an object, in pixels of the earlier image.
        labels: A label for each.
        frame: The earlier image's grid.
        shift: How far the later image lies from the earlier one; None where that was not looked at.
        problems: Counts by reason of what could not be read; ``not_coregistered`` where the images lie beside each other.
        texts: The answers as the model wrote them.
    """

    masks: tuple[Mask, ...]
    labels: tuple[str, ...]
    frame: Frame
    shift: Shift | None = None
    problems: dict[str, int] = field(default_factory=dict)
    texts: tuple[str, ...] = ()

    def mask(self) -> np.typing.NDArray[np.bool_]:
        """Return all that changed, (height, width)."""
        out = np.zeros((self.frame.height, self.frame.width), bool)
        for mask in self.masks:
            x1, y1, x2, y2 = mask.window
            out[y1:y2, x1:x2] |= mask.pixels
        return out

    def polygons(self, **options: Any) -> list[PointObject]:
        """Return the connected parts of all masks as polygons; options are those of `polygons_each`."""
        return [one for found in polygons_each(self.masks, self.labels, **options) for one in found.objects]


def question(
    dialect: Dialect,
    targets: Sequence[str] = (),
    *,
    style: Style | None = None,
    pick: Callable[[int], int] = plainest,
    largest: int | None = None,
) -> Question:
    """Return what is asked to outline what changed.

    Args:
        dialect: Whose words and codec.
        targets: Class names as prompts give them, or one expression; none for all that changed.
        style: Style of the answer; by default the dialect's.
        pick: Chooses one of several wordings.
        largest: Longest side of the grid that the model sees, to hold the answer to the grammar.

    >>> question(Dialect.preset("rscovlm-v1"), ["building"]).user
    'outline what changed between the images: building'
    """
    options: dict[str, Any] = {"style": style, "pick": pick, "largest": largest}
    if not targets:
        return ask_sets(dialect, "change_any", "polygon", [ANYTHING], **options)
    return ask_sets(dialect, "change", "polygon", list(targets), targets=targets, **options)


class Change(Task):
    """What changed between images."""

    name = "change"
    finds = True
    masked = True
    may = ("classes", "expressions")
    images = 2
    tiled = True
    metric = "giou"
    category = "image-to-text"

    def needs(self, record: Record) -> Iterable[tuple[bool, str]]:
        """Images of two times at least."""
        yield len(record.images) < 2, "fewer than two images"

    def example(self, record: Record, shown: Shown, draw: Draw) -> Example:
        """Ask what changed, and answer with one of the descriptions or with the outlines of what changed.

        Of one change that an expression means, the other way round at the rate `cyclic_rate`: as `describe_change` asks.
        """
        alone = record.expression.strip() and len(record.objects) == 1
        if alone and all(frame == shown.frames[0] for frame in shown.frames) and draw.chance(draw.options.cyclic_rate):
            box = boxes_of(record.objects, record.objects[0].kind, shown.frames[0])
            region = draw.dialect.codec.mention(box, shown.seen())
            asked = ask_description(draw.dialect, region, pick=draw.pick, change=True)
            return Example.of(asked, referent(record.expression), shown)
        outlined = bool(record.masks or any(item.polygons for item in record.objects))
        if record.captions and not (outlined and not draw.chance(draw.options.sentence_rate)):
            chosen = record.captions[int(draw.rng.integers(len(record.captions)))]
            return Example.of(ask_caption(draw.dialect, pick=draw.pick, change=True), chosen, shown)
        if not outlined:
            return super().example(record, shown, draw)
        targets = targets_of(record)
        objects: list[PointObject] = []
        for image in range(len(record.images)):
            part = record if not image else replace(record, masks=())
            for area in true_areas(part, shown, image=image):
                objects += area.polygons(name_of(area.label, record) or ANYTHING)
        if any(frame != shown.frames[0] for frame in shown.frames):
            raise Rejected("sizes differ", f"record {record.id!r}: its images are not on one grid")
        text = SetOfPoints(draw.dialect.codec)
        style = draw.style(text.style(None))
        names = targets or [ANYTHING]
        answer = write_fitted(text, objects, shown.seen(), names, style, draw.options.longest, record)
        asked = question(draw.dialect, targets, style=style, pick=draw.pick)
        return replace(Example.of(asked, answer, shown), areas=tuple(objects))

    def asks(self, record: Record, dialect: Dialect) -> Question:
        """Ask for a description where the record has one, else for the outlines of what changed."""
        if self.outlines(record):
            return question(dialect, targets_of(record))
        return ask_caption(dialect, change=True)

    def truth(self, record: Record, size: tuple[int, int]) -> dict[str, Any]:
        """All references; nothing where masks are compared as pixels."""
        return {} if self.outlines(record) else {"captions": list(record.captions)}

    def outlines(self, record: Record) -> bool:
        """Where no sentence tells what changed."""
        return not record.captions

    def outline(
        self, engine: Engine, asked: Iterable[tuple[Record, Sequence[Any]]], **options: Any
    ) -> Iterator[Changed]:
        """Outline what changed between the first two images of each record, which lie on each other."""
        pairs = ((first, second, *_sought(record)) for record, (first, second, *_) in asked)
        return change_many(engine, pairs, check_shift=False, **options)

    def measure(self, answered: Sequence[Answered], dialect: Dialect) -> Mapping[str, float]:
        """Measure how well the outlines of answers cover the true ones (mean IoU of samples, nothing on nothing 1), and AP_nc at
        an IoU of 0.5 of the objects.
        """
        outlined = [one for one in answered if one.areas is not None]
        if not outlined:
            return {"giou": 1.0}
        overlap = float(np.mean([stated_iou(one, dialect, "polygon") for one in outlined]))
        found, true = zip(*(stated_objects(one, dialect, "polygon") for one in outlined), strict=True)
        objects = change_ap_nc(found, true, instances="labels", iou_thresholds=(0.5,))
        return {"giou": overlap, "ap_nc50": objects["ap_nc50"]["mean"]}

    def places(self, wanted: Wanted) -> bool:
        """The answer is read from outlines."""
        return True

    def rows(self, engine: Engine, rasters: Sequence[Any], wanted: Sequence[Wanted], journal: Any = None) -> list[Row]:
        """Outline what changed between the images of each pair, which stand one after the other.

        Raises:
            ValueError: There are not two images for each question.
        """
        if len(rasters) != 2 * len(wanted):
            raise ValueError(
                f"there are {len(rasters)} images for {len(wanted)} questions; change needs two images each"
            )
        pairs = zip(rasters[0::2], rasters[1::2], wanted, strict=True)
        rows: list[Row] = []
        for options, some in groupby(pairs, key=lambda pair: _options(pair[2])):
            found = change_many(engine, ((before, after, *_meant(one)) for before, after, one in some), **options)
            rows += map(_row, found)
        return rows


TASK = Change()


def _sought(record: Record) -> tuple[Sequence[str], str | None]:
    """Return the class names, or the expression, of what is to have changed."""
    classes, expressions = named(record)
    return classes, expressions[0] if expressions else None


def change(
    engine: Engine,
    before: Any,
    after: Any,
    classes: Iterable[str] = (),
    *,
    expression: str | None = None,
    tile: int | None = None,
    overlap: int = 64,
    check_shift: bool = True,
    style: Style | None = None,
    constrained: bool = False,
    max_new_tokens: int = 2048,
) -> Changed:
    """Outline what changed between two images of one place.

    Images larger than the model sees are shown window by window, the same window of both; parts of one object in two windows are
    joined. Where the images have map coordinates and different grids, the later one is resampled to the earlier one's.

    Args:
        engine: Who answers.
        before: The earlier image, whatever ``open_image`` takes.
        after: The later one.
        classes: Class names of what to look for; none for all that changed.
        expression: What to look for, in words, instead.
        tile: Side of a window in pixels of the earlier image; by default the largest that is shown without shrinking.
        overlap: Pixels that windows share.
        check_shift: Compare the images by phase correlation and count ``not_coregistered`` where one lies beside the other.
        style: Style of the answers; by default the dialect's.
        constrained: Hold the model to the codec's grammar.
        max_new_tokens: Limit of an answer.

    Raises:
        ValueError: The images do not fit each other (see `RasterPair`) or cannot be read; classes and an expression are given.
        TypeError: ``classes`` is one string.
    """
    check_engine(engine)
    if isinstance(classes, str):
        raise TypeError(f"classes is the string {classes!r}; give a list of names")
    options: dict[str, Any] = {"tile": tile, "overlap": overlap, "check_shift": check_shift, "style": style}
    pairs = [(open_image(before), open_image(after), classes, expression)]
    (found,) = change_many(engine, pairs, constrained=constrained, max_new_tokens=max_new_tokens, **options)
    return found


def change_many(
    engine: Engine,
    pairs: Iterable[tuple[Raster, Raster, Iterable[str], str | None]],
    *,
    tile: int | None = None,
    overlap: int = 64,
    check_shift: bool = True,
    style: Style | None = None,
    constrained: bool = False,
    batch: int = BATCH,
    max_new_tokens: int = 2048,
) -> Iterator[Changed]:
    """Outline what changed in many pairs, whose windows share batches; gives what `change` gives on each alone.

    Args:
        engine: Who answers.
        pairs: Open images of two times with the class names and the expression to look for; read as they are needed.
        tile: As for `change`.
        overlap: As for `change`.
        check_shift: As for `change`.
        style: As for `change`.
        constrained: As for `change`.
        batch: Windows asked about at a time.
        max_new_tokens: Limit of an answer.

    Yields:
        What changed in each pair, in their order.

    Raises:
        ValueError: As `change`.
    """
    check_engine(engine)
    check_stated(engine, "change")
    dialect = dialect_of(engine)
    text = SetOfPoints(dialect.codec)

    def asked() -> Iterator[tuple[_Comparing, Conversation | None]]:
        for before, after, classes, expression in pairs:
            targets = shown_names(classes)
            if targets and expression:
                raise ValueError("classes and an expression are given; give one of them")
            targets = [expression.strip().removeprefix("the ").removeprefix("The ")] if expression else targets
            pair = RasterPair.of(before, after)
            compared = _Comparing(pair, targets or [ANYTHING], pair.shift() if check_shift else None)
            for window, size in _windows(pair.frame, engine, tile, overlap):
                seen = pair.frame.cropped(*window).resized(*size)
                sent = question(dialect, targets, style=style, largest=max(size) if constrained else None)
                yield replace(compared, seen=seen), sent.conversation(list(pair.windows(window, size)), seen)
            yield compared, None

    for compared, reply in batched_replies(engine, asked(), batch=batch, max_new_tokens=max_new_tokens):
        if reply is None:
            yield compared.changed()
        else:
            compared.take(text, reply)


@dataclass(frozen=True)
class _Comparing:
    """A pair and what its answers have given so far; for each window with its grid."""

    pair: RasterPair
    names: Sequence[str]
    shift: Shift | None
    seen: Frame | None = None
    found: list[tuple[str, Mask]] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    problems: Counter[str] = field(default_factory=Counter)

    def take(self, text: SetOfPoints, reply: Reply) -> None:
        """Read the reply about a window."""
        if self.seen is None:
            return
        names = self.names
        self.texts.append(reply.text)
        read = text.decode(reply.text, self.seen, form="polygon", categories=names)
        odd = ("no_label", "unknown_label") if len(names) == 1 else ()
        self.problems.update({reason: count for reason, count in read.problems.items() if reason not in odd})
        self.problems[{"length": "cut_off", "repeat": "repeat"}.get(reply.finish, "")] += reply.finish != "stop"
        for one in read.objects:
            mask = mask_of(one.to(self.pair.frame))
            self.problems["empty_mask"] += not mask.area
            if mask.area:
                self.found.append((names[0] if len(names) == 1 else one.label, mask))

    def changed(self) -> Changed:
        """Join what was found in neighbouring windows."""
        self.problems["not_coregistered"] += self.shift is not None and self.shift.noticed
        found = merged(self.found, self.pair.frame)
        counts = {reason: count for reason, count in sorted(self.problems.items()) if count}
        labels, masks = tuple(label for label, _ in found), tuple(mask for _, mask in found)
        return Changed(masks, labels, self.pair.frame, self.shift, counts, tuple(self.texts))


def _windows(frame: Frame, engine: Engine, tile: int | None, overlap: int) -> Iterator[tuple[Window, tuple[int, int]]]:
    """Yield windows of a pair and the size at which each is shown."""
    budget = engine.budget
    if tile is None and frame.width * frame.height <= budget.max_pixels:
        tile = max(frame.width, frame.height)
    side = tile or math.isqrt(budget.max_pixels)
    for window in tiles(frame.width, frame.height, side, min(overlap, side // 2)):
        part = Window(*window)
        yield part, plan_size(part.width, part.height, budget)


def _options(wanted: Wanted) -> dict[str, Any]:
    """Return the arguments of `change_many` that are wanted."""
    return {**{name: getattr(wanted, name) for name in ("style", "constrained", "tile")}, **wanted.limit}


def _meant(wanted: Wanted) -> tuple[Sequence[str], str | None]:
    classes, expressions = meant(wanted)
    return classes, expressions[0] if expressions else None


def _row(found: Changed) -> Row:
    row: Row = {"objects": area_rows(found.polygons()), "problems": found.problems}
    if found.shift is not None:
        row["shift"] = [round(found.shift.x, 2), round(found.shift.y, 2)]
    return {
        **row,
        "finish": finish_of(found.problems),
        "masks": mask_rows(found.labels, found.masks),
        "frame": frame_row(found.frame),
    }
