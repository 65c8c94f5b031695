"""Boxes inside an answer, moved from the coordinates of one image and codec to those of another; words stay words."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING

from rscovlm.codec import Codec
from rscovlm.codec.control_tokens import harmless
from rscovlm.geometry import Objects

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rscovlm.codec.decoded import Decoded
    from rscovlm.geometry import Boxes, Frame

#: Clients read and write boxes in pixels of the image they sent, whatever the model's own coordinates are.
SENT = Codec("sent")

_NUMBER = r"-?[0-9]{1,12}(?:\.[0-9]{1,12})?"
# What stands between angle brackets or fences in the dialects, and names nothing.
_TAG = re.compile(r"<[^<>\s]{1,60}>|```")
_GAP = r"[\s,;()\[\]{}]{1,16}"


def moved(text: str, codec: Codec, seen: Frame, other: Codec, frame: Frame) -> tuple[str, Objects | None]:
    """Return a text with the numbers of its boxes written anew, and the objects it names.

    Everything but the numbers stays as it stands: prose, JSON, fences, labels, order. Where a dialect writes boxes between
    tags of its own, or in an order of its own, the numbers would be read in its space: there each run of objects is
    written as the other codec writes it, and the words around them stay.

    Args:
        text: What a model, or a client, wrote.
        codec: In whose coordinates.
        seen: On which grid.
        other: The coordinates wanted.
        frame: The grid wanted, of the same image.

    Returns:
        The text, and the objects on ``frame``, cut at its border; ``None`` where there are none.

    Raises:
        ValueError: The other dialect cannot write one of the labels.

    >>> from rscovlm.geometry import Frame
    >>> whole = Frame(1000, 500)
    >>> moved("The ship at [100, 50, 200, 60] is red.", SENT, whole.resized(500, 250), SENT, whole)[0]
    'The ship at [200, 100, 400, 120] is red.'
    """
    decoded = codec.decode(text, seen)
    if not len(decoded.objects):
        return text, None
    objects = decoded.objects.to(frame)
    objects = Objects(objects.boxes.clipped(), objects.labels)
    if "plain" in other.styles:
        renumbered, count = _renumbered(text, decoded, codec, seen, other, frame)
        whole = count == len(objects) and _reads(renumbered, objects, other, frame)
        if "plain" in codec.styles or whole:
            return renumbered, objects
    return _replaced(text, decoded.spans, objects, other, frame), objects


def _renumbered(text: str, decoded: Decoded, codec: Codec, seen: Frame, other: Codec, frame: Frame) -> tuple[str, int]:
    """Return a text with other numbers where its boxes stand, and of how many boxes they were found."""
    pieces, place, count = list[str](), 0, 0
    # Boxes without labels share the stretch of text they stand in.
    for start, end in dict.fromkeys(decoded.spans):
        waiting = list(codec.decode(text[start:end], seen).objects.boxes)
        for run in _run(waiting[0].coords.shape[1]).finditer(text, start, end) if waiting else ():
            if not waiting or run.start() < place or not _is(run[0], waiting[0], codec, seen):
                continue
            numbers = iter(_numbers(waiting.pop(0), other, frame))
            pieces += [text[place : run.start()], re.sub(_NUMBER, lambda _, numbers=numbers: next(numbers), run[0])]  # type: ignore[misc]
            place, count = run.end(), count + 1
    return "".join(pieces) + text[place:], count


def _reads(text: str, objects: Objects, codec: Codec, frame: Frame) -> bool:
    """Tell whether a text means some objects to who reads it by a codec, and holds no control token."""
    read = codec.decode(text, frame, kind=objects.boxes.kind).objects.boxes.coords
    same = read.shape == objects.boxes.coords.shape and bool((abs(read - objects.boxes.coords) <= 1).all())
    return same and harmless(text) == text


def _replaced(text: str, spans: Sequence[tuple[int, int]], objects: Objects, codec: Codec, frame: Frame) -> str:
    """Return a text with its objects in the form of a codec, each run of them in a paragraph of its own."""
    parts, place, waiting = list[str](), 0, list[int]()
    for number, (start, end) in enumerate(spans):
        words = _words(text[place:start]) if start >= place else ""
        if words and waiting:
            parts.append(_written(objects[waiting], codec, frame))
            waiting = []
        parts += [words] if words else []
        waiting.append(number)
        place = max(place, end)
    parts += [_written(objects[waiting], codec, frame), _words(text[place:])]
    return "\n".join(part for part in parts if part)


def _words(text: str) -> str:
    """Return what a stretch between objects says besides tags and separators."""
    words = _TAG.sub("", text).strip(" \t\r\n[](){},;`")
    return words if any(letter.isalnum() for letter in words) and words != "json" else ""


def _written(objects: Objects, codec: Codec, frame: Frame) -> str:
    """Return objects as a codec writes them; those without a label as objects."""
    kind = objects.boxes.kind if objects.boxes.kind in codec.kinds else codec.kind
    labels = tuple(label if label and codec.labelled else "object" for label in objects.labels)
    for style in dict.fromkeys((codec.style, *codec.styles)):
        try:
            return codec.encode(Objects(objects.boxes, labels), frame, kind=kind, style=style).strip("\n")
        except ValueError as error:
            reason = error
    raise ValueError(
        f"boxes of an earlier turn cannot be written as dialect {codec.name!r} does: {reason}; leave it out"
    )


def _is(numbers: str, box: Boxes, codec: Codec, seen: Frame) -> bool:
    """Return whether some numbers mean a box."""
    read = codec.decode(",".join(re.findall(_NUMBER, numbers)) + " it\n", seen, kind=box.kind).objects.boxes
    return len(read) == 1 and bool((read.coords == box.coords).all())


def _numbers(box: Boxes, codec: Codec, frame: Frame) -> list[str]:
    line = codec.encode(Objects(box, ("it",)), frame, kind=box.kind, style="plain")
    return line.partition(" ")[0].split(",")


@lru_cache(maxsize=8)
def _run(count: int) -> re.Pattern[str]:
    """Return the pattern of so many numbers in a row, none of them part of a word."""
    return re.compile(rf"(?<![\w.-]){_NUMBER}(?:{_GAP}{_NUMBER}){{{count - 1}}}(?![\w.])")
