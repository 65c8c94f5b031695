"""Boxes inside an answer, moved from the coordinates of one image and codec to those of another; words stay words."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING

from rscovlm.codec import Codec
from rscovlm.geometry import Objects

if TYPE_CHECKING:
    from rscovlm.geometry import Boxes, Frame

#: Clients read and write boxes in pixels of the image they sent, whatever the model's own coordinates are.
SENT = Codec("sent")

_NUMBER = r"-?[0-9]{1,12}(?:\.[0-9]{1,12})?"
_GAP = r"[\s,;()\[\]{}]{1,16}"


def moved(text: str, codec: Codec, seen: Frame, other: Codec, frame: Frame) -> tuple[str, Objects | None]:
    """Return a text with the numbers of its boxes written anew, and the objects it names.

    Everything but the numbers stays as it stands: prose, JSON, fences, labels, order.

    Args:
        text: What a model, or a client, wrote.
        codec: In whose coordinates.
        seen: On which grid.
        other: The coordinates wanted.
        frame: The grid wanted, of the same image.

    Returns:
        The text, and the objects on ``frame``, cut at its border; ``None`` where there are none.

    >>> from rscovlm.geometry import Frame
    >>> whole = Frame(1000, 500)
    >>> moved("The ship at [100, 50, 200, 60] is red.", SENT, whole.resized(500, 250), SENT, whole)[0]
    'The ship at [200, 100, 400, 120] is red.'
    """
    decoded = codec.decode(text, seen)
    if not len(decoded.objects):
        return text, None
    pieces, place = [], 0
    # Boxes without labels share the stretch of text they stand in.
    for start, end in dict.fromkeys(decoded.spans):
        waiting = list(codec.decode(text[start:end], seen).objects.boxes)
        for run in _run(waiting[0].coords.shape[1]).finditer(text, start, end) if waiting else ():
            if not waiting or run.start() < place or not _is(run[0], waiting[0], codec, seen):
                continue
            numbers = iter(_numbers(waiting.pop(0), other, frame))
            pieces += [text[place : run.start()], re.sub(_NUMBER, lambda _, numbers=numbers: next(numbers), run[0])]  # type: ignore[misc]
            place = run.end()
    objects = decoded.objects.to(frame)
    return "".join(pieces) + text[place:], Objects(objects.boxes.clipped(), objects.labels)


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
