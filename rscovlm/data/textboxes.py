"""Boxes written inside sentences: find them, tell what their numbers mean, and put `<box:i>` in their place.

Known writings (any space between numbers): `{<25><30><40><50>}` and `{<25><30><40><50>|<15>}` of GeoChat and VRSBench, where the last
number is an angle in degrees about the centre of the upright box; `[25, 30, 40, 50]` of TEOChat; `(25,30),(40,50)`, also within
`<box>` tags. Four numbers are a horizontal box, five an oriented one, eight a quadrilateral. Scale 1, 100 or 1000 means shares of the
image's sides in that unit; scale 0 means pixels.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from rscovlm.geometry.kinds import Kind
from rscovlm.records.record import BOX_MARK, Annotation
from rscovlm.records.tally import Rejected

Scale = Literal[0, 1, 100, 1000]

_NUMBER = r"-?\d+(?:\.\d+)?"
_BRACES = rf"\{{\s*(?:<\s*{_NUMBER}\s*>\s*){{4,8}}(?:\|\s*<\s*{_NUMBER}\s*>\s*)?\}}"
_SQUARE = rf"\[\s*{_NUMBER}(?:\s*,\s*{_NUMBER}){{3,7}}\s*\]"
_POINT = rf"\(\s*{_NUMBER}\s*,\s*{_NUMBER}\s*\)"
_POINTS = rf"(?:<box>\s*)?{_POINT}(?:\s*,?\s*{_POINT}){{1,3}}(?:\s*</box>)?"
_BOX = re.compile(rf"{_BRACES}|{_SQUARE}|{_POINTS}")
_FOUND_NUMBER = re.compile(_NUMBER)
_KINDS: dict[int, Kind] = {4: "hbb", 5: "obb", 8: "quad"}


@dataclass(frozen=True, slots=True)
class TextBox:
    """One box as a text writes it: where it stands, its numbers in the text's own unit, and the kind they make."""

    start: int
    end: int
    numbers: tuple[float, ...]
    kind: Kind
    corners_and_angle: bool = False


def find_boxes(text: str) -> list[TextBox]:
    """Find the boxes in a text, in order.

    >>> [box.numbers for box in find_boxes("The ship {<25><30><40><50>|<15>} beside [1, 2, 3, 4]")]
    [(25.0, 30.0, 40.0, 50.0, 15.0), (1.0, 2.0, 3.0, 4.0)]
    """
    found = []
    for match in _BOX.finditer(text):
        numbers = tuple(map(float, _FOUND_NUMBER.findall(match.group())))
        if len(numbers) in _KINDS:
            found.append(TextBox(match.start(), match.end(), numbers, _KINDS[len(numbers)], "|" in match.group()))
    return found


def to_annotation(box: TextBox, scale: Scale, width: int, height: int, *, label: str = "") -> Annotation:
    """Give the box in pixels of an image of `width` x `height`.

    Raises:
        ValueError: The numbers are shares, but the image's size is not known.
    """
    if scale and not (width and height):
        raise Rejected("image size unknown", f"box {box.numbers} is in shares of an image whose size is unknown")
    sx, sy = (width / scale, height / scale) if scale else (1.0, 1.0)
    values = box.numbers
    if box.kind != "obb":
        pixels = tuple(value * (sy if i % 2 else sx) for i, value in enumerate(values))
    else:
        x, y, w, h, angle = values
        if box.corners_and_angle:
            x, y, w, h = (x + w) / 2, (y + h) / 2, w - x, h - y
        pixels = (x * sx, y * sy, w * sx, h * sy, angle)
    return Annotation(pixels, label, box.kind)


def lift(text: str, objects: list[Annotation], scale: Scale, width: int, height: int) -> str:
    """Replace every box in `text` by `<box:i>`; append what it says, in pixels, to `objects`.

    A box that `objects` already holds is not appended again. A label is taken from a `<p>name</p>` right before the box, or before the
    boxes it follows with `<delim>` or a comma between. Numbers far outside the scale are no box and stay.

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
        if scale and not _within(box, scale):
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
    return _DELIMITER.sub(", ", _PHRASE.sub("", "".join([*parts, text[last:]])))


def _within(box: TextBox, scale: Scale) -> bool:
    """Tell shares from other lists of numbers, such as years: a tenth beyond the image is the most that annotations reach."""
    values = box.numbers[:4] if box.kind == "obb" else box.numbers
    return -0.1 * scale <= min(values) and max(values) <= 1.1 * scale


_NAMED_BEFORE = re.compile(r"<p>([^<]*)</p>\s*$")
_PHRASE = re.compile(r"</?p>")
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
    """

    scale: Scale
    certain: bool
    inside: float


def recognise(boxes: Iterable[tuple[TextBox, int, int]]) -> Guess:
    """Tell from many boxes, each with its image's width and height (0 if unknown), which scale they were written in.

    One box is rarely enough: `[10, 20, 60, 80]` could be pixels, per cent or per mille. Over a set, the largest numbers give it away:
    shares come close to their unit and never pass it, whatever the images' sizes; pixels follow the sizes.

    Raises:
        ValueError: There is no box to judge by.
    """
    given = list(boxes)
    rows = [(*_extent(box), width, height) for box, width, height in given]
    middles = [(*_middle(box), width, height) for box, width, height in given]
    if not rows:
        raise ValueError("no boxes to recognise a scale from; say which scale the text uses")
    tolerance = 1.005
    largest = max(max(x, y) for x, y, _, _ in rows)
    sized = [row for row in rows if row[2] and row[3]]
    inside = sum(x <= w * tolerance and y <= h * tolerance for x, y, w, h in sized) / len(sized) if sized else 0.0
    small_images = bool(sized) and max(max(w, h) for _, _, w, h in sized) <= 128
    scales: tuple[Scale, ...] = (1, 100, 1000)
    unit = next((scale for scale in scales if largest <= scale * tolerance), None)
    if unit == 1:
        return Guess(1, certain=True, inside=1.0)
    if unit is None:
        return Guess(0, certain=inside > 0.99, inside=inside)
    if unit == 100 and not small_images:
        return Guess(100, certain=len(rows) >= 20 and largest > 80, inside=1.0)
    # An object cut by a tile's border reaches beyond it; its middle does not.
    beyond = [1 for x, y, w, h in middles if w and h and (x > w * tolerance or y > h * tolerance)]
    if beyond and len(beyond) > 0.01 * len(sized):
        return Guess(unit, certain=True, inside=1.0)
    if unit == 1000 and sized and min(max(w, h) for _, _, w, h in sized) > 1100:
        return Guess(1000, certain=len(rows) >= 20 and largest > 800, inside=1.0)
    return Guess(0, certain=len(sized) >= 20 and inside > 0.99, inside=inside)


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
        half = (abs(values[2] * math.cos(angle)) / 2, abs(values[3] * math.sin(angle)) / 2)
        return values[0] + half[0], values[1] + half[1]
    values = values[:4] if box.kind == "obb" else values
    return max(values[0::2]), max(values[1::2])
