"""Boxes written inside sentences: find them, tell what their numbers mean, and put `<box:i>` in their place.

The writings are those that `rscovlm.codec.mentions` knows: `{<25><30><40><50>}` and `{<25><30><40><50>|<15>}` of GeoChat and VRSBench,
where the last number is an angle in degrees about the centre of the upright box, `[25, 30, 40, 50]` of TEOChat, `(25,30),(40,50)`, and
boxes between the tags of a shipped dialect. Four numbers are a horizontal box, five an oriented one, eight a quadrilateral. Scale 1,
100 or 1000 means shares of the image's sides in that unit; scale 0 means pixels. Braces and most tags state their scale.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from rscovlm.codec.layouts import KIND_OF
from rscovlm.codec.mentions import can_be, mentions
from rscovlm.codec.set_spaces import space_of_set
from rscovlm.codec.spaces import SPACES, SpaceName
from rscovlm.geometry.kinds import Kind
from rscovlm.records.record import BOX_MARK, Annotation
from rscovlm.records.tally import Rejected

Scale = Literal[0, 1, 100, 1000]
_SPACES: dict[SpaceName, Scale] = {"pixels": 0, "0-1": 1, "0-100": 100, "0-1000": 1000}


@dataclass(frozen=True, slots=True)
class TextBox:
    """One box as a text writes it.

    Attributes:
        start: Where it begins.
        end: Where it ends.
        numbers: Its numbers in the text's own unit.
        kind: The kind they make.
        corners_and_angle: Five numbers are the corners of the upright box and an angle, not centre and size.
        stated: How much the image's sides count, where the writing states it; None where a set of boxes has to tell.
    """

    start: int
    end: int
    numbers: tuple[float, ...]
    kind: Kind
    corners_and_angle: bool = False
    stated: float | None = None


def find_boxes(text: str) -> list[TextBox]:
    """Find the boxes in a text, in order.

    >>> [box.numbers for box in find_boxes("The ship {<25><30><40><50>|<15>} beside [1, 2, 3, 4]")]
    [(25.0, 30.0, 40.0, 50.0, 15.0), (1.0, 2.0, 3.0, 4.0)]
    """
    found = []
    for one in mentions(text):
        numbers, stated = one.numbers, None
        if one.space is not None:
            unit = SPACES[one.space]
            stated = None if unit.units is None else float(unit.units)
            if unit.bins:
                numbers = tuple(number + 0.5 for number in numbers)
        found.append(TextBox(one.start, one.end, numbers, KIND_OF[one.form], one.form == "corners", stated))
    return found


def to_annotation(box: TextBox, scale: Scale, width: int, height: int, *, label: str = "") -> Annotation:
    """Give the box in pixels of an image of `width` x `height`; a scale that the writing states goes before the one given.

    Raises:
        ValueError: The numbers are shares, but the image's size is not known.
    """
    unit = scale if box.stated is None else box.stated
    if unit and not (width and height):
        raise Rejected("image size unknown", f"box {box.numbers} is in shares of an image whose size is unknown")
    sx, sy = (width / unit, height / unit) if unit else (1.0, 1.0)
    values = box.numbers
    if box.kind != "obb":
        pixels = tuple(value * (sy if i % 2 else sx) for i, value in enumerate(values))
    else:
        x, y, w, h, angle = values
        if box.corners_and_angle:
            x, y, w, h = (x + w) / 2, (y + h) / 2, w - x, h - y
        pixels = (x * sx, y * sy, w * sx, h * sy, angle)
    return Annotation(pixels, label, box.kind)


def lift(
    text: str,
    objects: list[Annotation],
    scale: Scale,
    width: int,
    height: int,
    *,
    corners: bool | None = False,
) -> str:
    """Replace every box in `text` by `<box:i>`; append what it says, in pixels, to `objects`.

    A box that `objects` already holds is not appended again. A label is taken from a `<p>name</p>` right before the box, or before the
    boxes it follows with `<delim>` or a comma between. Numbers far outside the scale are no box and stay, as typing errors do.

    Args:
        text: A sentence.
        objects: Boxes so far; grows.
        scale: What numbers in brackets mean.
        width: Width of the image.
        height: Height of the image.
        corners: Whether five numbers in brackets are corners and an angle; None where it is not known, and they stay text.

    Raises:
        Rejected: The text holds a mark already, or the image's size is needed and unknown.

    >>> objects = []
    >>> lift("Yes, <p>a ship</p> {<25><30><40><50>}.", objects, 100, 200, 100)
    'Yes, a ship <box:0>.'
    >>> objects[0].box, objects[0].label
    ((50.0, 30.0, 80.0, 50.0), 'a ship')
    """
    if BOX_MARK.search(text):
        raise Rejected("box mark in text", f"text already contains a <box:i> mark: {text[:80]!r}")
    parts, last, name = [], 0, ""
    for box in find_boxes(text):
        if box.kind == "obb" and box.stated is None:
            if corners is None:
                continue
            box = replace(box, corners_and_angle=corners)
        if (scale or box.stated is not None) and not _within(box, scale):
            continue
        before = text[last : box.start]
        label = _NAMED_BEFORE.search(before)
        if label or not _BETWEEN.fullmatch(before):
            name = label.group(1).strip() if label else ""
        item = to_annotation(box, scale, width, height, label=name)
        if item not in objects:
            objects.append(item)
        parts += [before, f"<box:{objects.index(item)}>"]
        last = box.end
    told = _WRAPPED.sub(r"\1", "".join([*parts, text[last:]]))
    return _DELIMITER.sub(", ", _PHRASE.sub("", _CLOSED.sub(" ", told)))


def _within(box: TextBox, scale: Scale) -> bool:
    """Tell boxes from other lists of numbers, such as years, and from typing errors.

    Where nothing but the numbers says that they are a box, a tenth beyond the image is the most that annotations reach. Braces and tags
    say it themselves; of an object that the image cuts they may reach as far beyond as the image is large.
    """
    if box.stated is None:
        values = box.numbers[:4] if box.kind == "obb" else box.numbers
        return -0.1 * scale <= min(values) and max(values) <= 1.1 * scale
    return is_box(box)


def is_box(box: TextBox) -> bool:
    """Tell whether a box whose writing states its scale has a size and touches its image, which no typing error need do."""
    return can_be(box.numbers, "corners" if box.corners_and_angle else box.kind, box.stated or 1.0)


_NAMED_BEFORE = re.compile(r"(?:<p>|<ref>|<\|ref\|>|<\|object_ref_start\|>)([^<]*)<[^<>]*>\s*(?:<[^<>]*>[\s\[]*)?$")
# What stands around marks where the tags of a dialect hold a list of boxes, as InternVL writes it.
_WRAPPED = re.compile(
    r"(?:<box>|<quad>|<\|det\|>|<\|box_start\|>)[\s\[]*(<box:\d+>(?:[,\s]*<box:\d+>)*)[\s\]]*(?:</box>|</quad>|<\|/det\|>|<\|box_end\|>)"
)
_CLOSED = re.compile(r"(?:</(?:p|ref)>|<\|/ref\|>|<\|object_ref_end\|>)(?=<box:\d)")
_PHRASE = re.compile(r"</?(?:p|ref)>|<\|/?ref\|>|<\|object_ref_(?:start|end)\|>")
# GeoChat writes several boxes of one phrase with <delim> between them.
_DELIMITER = re.compile(r"\s*<delim>\s*")
_BETWEEN = re.compile(r"\s*(?:<delim>|,|and)\s*")


@dataclass(frozen=True, slots=True)
class Guess:
    """What the numbers of a whole set of boxes mean.

    Attributes:
        scale: 0 for pixels, or the unit of the image's side.
        certain: No other scale explains the set as well.
        inside: Share of boxes that lie inside their image under this scale.
        corners: Five numbers are corners and an angle (True) or centre and size (False); None where there are none, or both
            explain the set.
    """

    scale: Scale
    certain: bool
    inside: float
    corners: bool | None = None


def recognise(boxes: Iterable[tuple[TextBox, int, int]]) -> Guess:
    """Tell from many boxes, each with its image's width and height (0 if unknown), which scale they were written in.

    One box is never enough: `[10, 20, 60, 80]` could be pixels, per cent or per mille. Over a set, the largest numbers give it away:
    shares come close to their unit and never pass it, whatever the images' sizes; pixels follow the sizes.

    Raises:
        ValueError: There is no box to judge by.
    """
    given = list(boxes)
    if not given:
        raise ValueError("no boxes to recognise a scale from; say which scale the text uses")
    stated = {box.stated for box, _, _ in given}
    corners = _five_are_corners([box for box, _, _ in given])
    if len(stated) == 1 and (unit := stated.pop()) in (1, 100, 1000):
        scale: Scale = 1 if unit == 1 else 100 if unit == 100 else 1000
        return Guess(scale, certain=True, inside=_inside(given, scale), corners=corners)
    free = [row for row in given if row[0].stated is None]
    told = _scale(free or given)
    return replace(told, corners=corners)


def _scale(given: list[tuple[TextBox, int, int]]) -> Guess:
    """Tell the scale of boxes whose writing states none."""
    sized = [(box, width, height) for box, width, height in given if width and height]
    extents = np.array([_extent(box) for box, _, _ in sized or given])
    middles = np.array([_middle(box) for box, _, _ in sized or given])
    if sized:
        sizes = np.array([(width, height) for _, width, height in sized], dtype=np.float64)
        told = space_of_set(extents, sizes, ["0-1", "0-100", "0-1000", "pixels"], middles=middles)
    else:
        told = space_of_set(extents, np.ones_like(extents), ["0-1", "0-100", "0-1000"])
    if told.space is not None:
        scale = _SPACES[told.space]
        return Guess(scale, certain=len(given) >= _LEAST, inside=_inside(given, scale))
    likely = next((unit for unit in (1, 100, 1000) if extents.max() <= unit * 1.005), 0)
    fits = sized and _inside(given, 0) > 0.99 and likely == 1000
    scale = 0 if fits or not likely else 1 if likely == 1 else 100 if likely == 100 else 1000
    return Guess(scale, certain=False, inside=_inside(given, scale))


_LEAST = 20
"""Fewer boxes make no scale certain."""


def _inside(given: list[tuple[TextBox, int, int]], scale: Scale) -> float:
    """Return the share of boxes inside their image, of those whose image's size is known where that is needed."""
    hits = []
    for box, width, height in given:
        side_x, side_y = (scale, scale) if scale else (width, height)
        if side_x and side_y:
            x, y = _extent(box)
            hits.append(x <= side_x * 1.005 and y <= side_y * 1.005)
    return sum(hits) / len(hits) if hits else 0.0


def _five_are_corners(boxes: list[TextBox]) -> bool | None:
    """Tell whether five numbers are corners and an angle, from all that have five and do not state it."""
    free = [box.numbers for box in boxes if box.kind == "obb" and box.stated is None]
    if len(free) < _LEAST:
        return None
    ordered = sum(numbers[2] >= numbers[0] and numbers[3] >= numbers[1] for numbers in free)
    # Sizes are smaller than places about as often as not; corners are never out of order.
    return True if ordered == len(free) else False if ordered < 0.9 * len(free) else None


def _middle(box: TextBox) -> tuple[float, float]:
    values = box.numbers
    if box.kind == "obb" and not box.corners_and_angle:
        return values[0], values[1]
    values = values[:4] if box.kind == "obb" else values
    xs, ys = values[0::2], values[1::2]
    return (min(xs) + max(xs)) / 2, (min(ys) + max(ys)) / 2


def _extent(box: TextBox) -> tuple[float, float]:
    values = box.numbers
    if box.kind == "obb" and not box.corners_and_angle:
        angle = math.radians(values[4])
        across, along = abs(math.cos(angle)), abs(math.sin(angle))
        w, h = abs(values[2]), abs(values[3])
        return values[0] + (w * across + h * along) / 2, values[1] + (w * along + h * across) / 2
    values = values[:4] if box.kind == "obb" else values
    return max(values[0::2]), max(values[1::2])
