"""Which objects were found, missed and made up, on a picture: in colours and line styles that every reader can tell apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw

from rscovlm.geometry import Objects
from rscovlm.metrics.picture import match_boxes
from rscovlm.rasters.view import View

MATCH_COLOURS = {"matched": "#56b4e9", "missed": "#f0e442", "false": "#d55e00"}
"""Sky blue, yellow and vermilion of Okabe and Ito's palette (2008), told apart by readers who do not tell red from green."""

Ring = list[tuple[float, float]]


@dataclass(frozen=True)
class MatchedObjects:
    """Found objects held against the true ones.

    Attributes:
        found: The found objects.
        true: The true objects, on the same frame.
        matched: Pairs of rows, found and true.
        missed: Rows of true objects that nothing found covers.
        false: Rows of found objects that cover no true one, or one that was taken already.
        ignored: Rows of found objects on a true one that does not count.
    """

    found: Objects
    true: Objects
    matched: tuple[tuple[int, int], ...]
    missed: tuple[int, ...]
    false: tuple[int, ...]
    ignored: tuple[int, ...] = ()

    @property
    def precision(self) -> float | None:
        """Share of the found objects that are right; None where nothing was found."""
        found = len(self.matched) + len(self.false)
        return len(self.matched) / found if found else None

    @property
    def recall(self) -> float | None:
        """Share of the true objects that were found; None where there are none."""
        true = len(self.matched) + len(self.missed)
        return len(self.matched) / true if true else None


def match_objects(
    found: Objects, true: Objects, *, iou: float = 0.5, difficult: Sequence[bool] | None = None
) -> MatchedObjects:
    """Hold found objects against true ones of the same class.

    Args:
        found: Labelled boxes.
        true: Labelled boxes; where both have frames, of one image.
        iou: Least overlap of a match; the boxes' quadrilaterals are compared.
        difficult: (n,) which true objects do not count, such as those that the border cuts.

    Raises:
        ValueError: The frames belong to different images, or the numbers differ.

    >>> from rscovlm.geometry import Boxes
    >>> ships = Objects(Boxes([[0, 0, 9, 9], [20, 0, 29, 9]], "hbb"), ("ship", "ship"))
    >>> held = match_objects(ships[[0]], ships)
    >>> held.precision, held.recall
    (1.0, 0.5)
    """
    if found.boxes.frame is not None and true.boxes.frame is not None:
        found = found.to(true.boxes.frame)
    prediction = {"boxes": found.boxes.as_kind("quad").coords.tolist(), "labels": list(found.labels)}
    reference = {"boxes": true.boxes.as_kind("quad").coords.tolist(), "labels": list(true.labels)}
    if difficult is not None:
        reference["difficult"] = [bool(value) for value in difficult]
    rows = match_boxes(prediction, reference, iou=iou, strict=False)
    return MatchedObjects(
        found, true, tuple(rows["matched"]), tuple(rows["missed"]), tuple(rows["false"]), tuple(rows["ignored"])
    )


def draw_matches(picture: View | Image.Image, matches: MatchedObjects, *, width: int | None = None) -> Image.Image:
    """Return a copy of a picture with matched (solid), missed (dashed) and false (crossed) objects in `MATCH_COLOURS`.

    Args:
        picture: A view of the image the objects lie on, or a plain picture in whose pixels they are.
        matches: From `match_objects`.
        width: Pixels of a line; by default a 300th of the longer side, at least 2.

    Raises:
        ValueError: On a view, the objects have no frame.
    """
    image = picture.image if isinstance(picture, View) else picture
    canvas = image.convert("RGB") if image.mode != "RGB" else image.copy()
    pen = ImageDraw.Draw(canvas)
    line = width or max(2, round(max(canvas.size) / 300))

    def rings(objects: Objects, rows: Sequence[int]) -> list[Ring]:
        placed = objects.to(picture.frame) if isinstance(picture, View) else objects
        quads = placed.boxes.as_kind("quad").coords
        return [[(float(x), float(y)) for x, y in quads[row].reshape(4, 2)] for row in rows]

    for ring in rings(matches.true, matches.missed):
        for start, end in _dashes(ring, 4 * line):
            _stroke(pen, [start, end], MATCH_COLOURS["missed"], line)
    for ring in rings(matches.found, matches.false):
        for path in ([*ring, *ring[:2]], [ring[0], ring[2]], [ring[1], ring[3]]):
            _stroke(pen, path, MATCH_COLOURS["false"], line)
    for ring in rings(matches.found, [row for row, _ in matches.matched]):
        _stroke(pen, [*ring, *ring[:2]], MATCH_COLOURS["matched"], line)
    return canvas


def _stroke(pen: ImageDraw.ImageDraw, path: Ring, colour: str, line: int) -> None:
    """Draw a path with a dark rim, so that it shows on bright ground too."""
    pen.line(path, fill="#000000", width=line + 2, joint="curve")
    pen.line(path, fill=colour, width=line, joint="curve")


def _dashes(ring: Ring, length: float) -> list[tuple[tuple[float, float], tuple[float, float]]]:
    """Return every other piece of a ring's sides."""
    pieces = []
    for (x1, y1), (x2, y2) in zip(ring, [*ring[1:], ring[0]], strict=True):
        count = max(1, round(((x2 - x1) ** 2 + (y2 - y1) ** 2) ** 0.5 / length)) * 2 - 1
        for number in range(0, count, 2):
            low, high = number / count, (number + 1) / count
            pieces.append(
                ((x1 + (x2 - x1) * low, y1 + (y2 - y1) * low), (x1 + (x2 - x1) * high, y1 + (y2 - y1) * high))
            )
    return pieces
