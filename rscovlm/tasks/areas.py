"""Areas of records and answers: true masks read, asked for, measured and written as rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from rscovlm.codec.categories import spoken
from rscovlm.codec.dialect import Dialect
from rscovlm.codec.point_objects import PointObject, SetForm
from rscovlm.codec.set_of_points import SetOfPoints
from rscovlm.codec.wording import plainest
from rscovlm.codec.writing import Style
from rscovlm.engines.engine import Reply
from rscovlm.geometry import Frame
from rscovlm.geometry.affine import Floats
from rscovlm.geometry.masks import Mask, label_image
from rscovlm.geometry.shapes import rings_of, shape_iou, shape_of
from rscovlm.points.polygons import LEAST_AREA, mask_of, polygons_of
from rscovlm.records import Annotation, Record, Rejected
from rscovlm.records.mask_values import read_mask_values, select_levels
from rscovlm.records.record import ImageRef
from rscovlm.records.views import open_ref
from rscovlm.tasks.task import Answered, Question, Row, Shown


def ask_sets(
    dialect: Dialect,
    task: str,
    form: SetForm,
    labels: Sequence[str] | None,
    *,
    style: Style | None = None,
    pick: Callable[[int], int] = plainest,
    largest: int | None = None,
    inside: int = 8,
    outside: int = 4,
    **places: str | Sequence[str],
) -> Question:
    """Return what is asked for a task that is answered with sets of points.

    Args:
        dialect: Whose words and codec.
        task: The place in the dialect's wording.
        form: What the objects of the answer are.
        labels: Labels that the answer may have; None for any.
        style: Its style; by default the dialect's.
        pick: Chooses one of several wordings.
        largest: Longest side of the grid that the model sees, to hold the answer to the grammar; None for any answer.
        inside: Keypoints in a box at most, in the grammar.
        outside: Points outside of an object at most.
        places: What the places of the wording are filled with.
    """
    text = SetOfPoints(dialect.codec)
    lines = text.style(style)
    values: dict[str, Any] = dict(places)
    asked = dialect.ask(task, style=lines, pick=pick, **values)
    if largest is None:
        return Question(asked.system, asked.user, gsd=asked.gsd)
    limits = {"largest": largest, "inside": inside, "outside": outside}
    return Question(
        asked.system, asked.user, text.grammar(form=form, style=lines, categories=labels, **limits), asked.gsd
    )


def read_sets(
    text: SetOfPoints, reply: Reply, frame: Frame, form: SetForm, targets: Sequence[str], problems: Counter[str]
) -> Sequence[PointObject]:
    """Return the objects of an answer; those of an expression are what was asked for, whatever they are called."""
    read = text.decode(reply.text, frame, form=form, categories=targets)
    counted = dict(read.problems)
    if len(targets) == 1:
        counted = {reason: count for reason, count in counted.items() if reason not in ("no_label", "unknown_label")}
    problems.update(counted)
    ended = {"length": "cut_off", "repeat": "repeat"}.get(reply.finish)
    problems[ended or ""] += ended is not None
    only = targets[0] if len(targets) == 1 else None
    return [replace(one, label=only) if only else one for one in read.objects]


@dataclass(frozen=True)
class TrueArea:
    """An object of a record.

    Attributes:
        label: Its name as the record has it.
        mask: Its pixels.
        outline: Its rings as the record states them, (k, 2) each; None where a label image marks it.
    """

    label: str
    mask: Mask
    outline: tuple[Floats, ...] | None = None

    def polygons(self, label: str) -> list[PointObject]:
        """Return the object as one polygon with all its parts: as it is stated, or as its pixels have it."""
        if self.outline is not None:
            shape = shape_of(self.outline)
            return [] if shape.is_empty else [PointObject.area(label, shape, self.mask.frame)]
        rings = [ring for one in polygons_of(self.mask).objects for ring in one.sets.points]
        return [PointObject.polygon(label, rings, self.mask.frame)] if rings else []


def true_areas(record: Record, shown: Shown, *, image: int = 0) -> list[TrueArea]:
    """Return the labelled masks of a record on one of its images: of its polygons, and the parts of its label images.

    Each connected part of a label image is an object, but for an expression, which means what is marked as a whole. Parts of
    fewer than four pixels are noise of drawing and belong to no object, unless nothing else is marked.

    Raises:
        Rejected: A mask is not on the image's grid or says of several classes not which is which.
    """
    frame = shown.frames[image]
    found = []
    for item in record.objects:
        if item.image == image and item.polygons:
            rings = tuple(np.reshape(ring, (-1, 2)).astype(np.float64) for ring in item.polygons)
            found.append(TrueArea(_label(item, record), Mask.filled(rings, frame), rings))
    for reference in record.masks:
        found += [TrueArea(label, mask) for label, mask in _marked(record, reference, shown, frame)]
    return [one for one in found if one.mask.area]


def stated_iou(one: Answered, dialect: Dialect, form: SetForm) -> float:
    """Return the IoU of all that an answer states with all that is true, by class; the mean over the classes there are.

    Raises:
        ValueError: The sample has no true areas.
    """
    if one.areas is None or one.seen is None:
        raise ValueError("an answer with areas has no true ones; measure it as words")
    read = SetOfPoints(dialect.codec).decode(one.reply, one.seen, form=form).objects
    true = [each.to(one.seen) for each in one.areas]
    labels = {spoken(each.label) for each in (*read, *true)}
    overlaps = [shape_iou(_union(read, label), _union(true, label)) for label in sorted(labels)]
    return float(np.mean(overlaps)) if overlaps else 1.0


def stated_objects(one: Answered, dialect: Dialect, form: SetForm) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Return the objects that an answer states and those that are true, each as an image of their numbers from 1.

    Raises:
        ValueError: The sample has no true areas.
    """
    if one.areas is None or one.seen is None:
        raise ValueError("an answer with areas has no true ones; measure it as words")
    frame = one.seen
    read = SetOfPoints(dialect.codec).decode(one.reply, frame, form=form).objects
    true = [each.to(frame) for each in one.areas]
    return label_image([mask_of(each) for each in read], frame), label_image([mask_of(each) for each in true], frame)


def area_rows(objects: Sequence[PointObject]) -> list[Row]:
    """Return areas as plain JSON values: ``label``, ``box`` and ``rings``, of which an odd number encloses the object."""
    rows = []
    for one in objects:
        rings = [np.round(ring, 2).ravel().tolist() for ring in rings_of(one.shape)]
        rows.append({"label": one.label, "kind": "hbb", "box": one.box.coords[0].round(2).tolist(), "rings": rings})
    return rows


def mask_rows(labels: Sequence[str], masks: Sequence[Mask]) -> list[Row]:
    """Return masks as plain JSON values: ``label``, and ``size`` and ``counts`` as COCO packs them."""
    return [{"label": label, **mask.rle()} for label, mask in zip(labels, masks, strict=True)]


def areas_of(row: Row, frame: Frame) -> list[PointObject]:
    """Return the areas that `area_rows` wrote."""
    listed = [(one["label"], [np.reshape(ring, (-1, 2)) for ring in one["rings"]]) for one in row["objects"]]
    return [PointObject.polygon(label, rings, frame) for label, rings in listed if rings]


def merged(objects: Iterable[tuple[str, Mask]], frame: Frame) -> list[tuple[str, Mask]]:
    """Return labelled masks with those of one label that share pixels joined: parts of one object in windows that overlap."""
    from rscovlm.points.tiled import joined

    given = list(objects)
    groups = list(range(len(given)))

    def root(number: int) -> int:
        while groups[number] != number:
            number = groups[number]
        return number

    boxes = np.array([shapely.box(*mask.window) for _, mask in given])
    pairs = shapely.STRtree(boxes).query(boxes, predicate="intersects").T.tolist() if len(boxes) else []
    for one, two in pairs:
        if one < two and given[one][0] == given[two][0] and root(one) != root(two):
            around = given[two][1].window
            if (given[one][1].part(around) & given[two][1].pixels).any():
                groups[root(two)] = root(one)
    members: dict[int, list[Mask]] = {}
    for number, (_, mask) in enumerate(given):
        members.setdefault(root(number), []).append(mask)
    return [(given[number][0], joined(masks, frame)) for number, masks in sorted(members.items())]


def _marked(record: Record, reference: ImageRef, shown: Shown, frame: Frame) -> list[tuple[str, Mask]]:
    levels = _levels(reference, shown)
    if levels.shape != (frame.height, frame.width):
        height, width = levels.shape
        raise Rejected(
            "sizes differ",
            f"record {record.id!r}: the mask has {width}x{height} pixels and the image {frame.width}x{frame.height}",
        )
    found = []
    try:
        values = read_mask_values(record.extra, () if record.expression else record.categories)
    except ValueError as error:
        raise Rejected("malformed mask", f"record {record.id!r}: {error}") from error
    for name, ranges in values.items():
        mask = Mask.of(select_levels(levels, ranges), frame)
        if record.expression:
            found.append((record.expression, mask))
            continue
        parts = sorted(shapely.get_parts(mask.shape()), key=lambda part: -part.area)
        kept = [part for number, part in enumerate(parts) if part.area >= LEAST_AREA or not number]
        found += [(name, Mask.filled(rings_of(part), frame)) for part in kept if not part.is_empty]
    return found


def _levels(reference: ImageRef, shown: Shown) -> NDArray[np.uint8]:
    """Return the grey levels of a label image as they are stored, (h, w)."""
    picture = shown.pictures[0]
    try:
        with open_ref(reference, picture.root, picture.orientation) as raster:
            return np.asarray(raster.read((0, 0, raster.width, raster.height)).image)[..., 0]
    except FileNotFoundError:
        raise Rejected("mask missing", f"no file {reference.path!r} below the data folder") from None


def _label(item: Annotation, record: Record) -> str:
    return record.expression or item.label or (record.categories[0] if len(record.categories) == 1 else "")


def _union(objects: Iterable[PointObject], label: str) -> Any:
    return shapely.union_all([one.shape for one in objects if spoken(one.label) == label])
