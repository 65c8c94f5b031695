"""Boxes, labels and zoom steps on pictures, with Pillow alone."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike
from PIL import Image, ImageColor, ImageDraw, ImageFont

from rscovlm.geometry import Boxes, Objects
from rscovlm.rasters.view import View

COLOURS = ("#ffb000", "#00c2ff", "#ff4fa3", "#b6ff3c", "#b18cff", "#ff7a2f", "#3ce0c0", "#ffe94a")
"""Told apart on land and on water, and by readers who do not tell red from green."""

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont

LONGEST = 40
"""Letters of a label that are drawn."""


def colours_of(labels: Iterable[str]) -> dict[str, str]:
    """Return a colour for each label: its own, or where another label of the picture has that, the next one free.

    Example:
        >>> colours_of(["ship", "ship"]) == colours_of(["ship"])
        True
    """
    chosen: dict[str, str] = {}
    for label in sorted(set(labels)):
        first = hashlib.sha256(label.encode(errors="replace")).digest()[0]
        turns = [COLOURS[(first + turn) % len(COLOURS)] for turn in range(len(COLOURS))]
        chosen[label] = next((colour for colour in turns if colour not in chosen.values()), turns[0])
    return chosen


def draw_objects(
    picture: View | Image.Image,
    objects: Objects,
    *,
    labels: bool = True,
    colours: Mapping[str, str] | None = None,
    width: int | None = None,
) -> Image.Image:
    """Return a copy of a picture with objects drawn on it.

    Args:
        picture: A view of the image the objects lie on, or a plain picture in whose pixels they are.
        objects: Labelled boxes; on a view in any frame of the same image.
        labels: Whether to write label and score beside each box.
        colours: Label -> colour, any that Pillow knows; others keep their own.
        width: Pixels of a line; by default a 400th of the longer side.

    Raises:
        ValueError: On a view, the objects have no frame; or a colour is not known.
    """
    canvas, pen, line = _canvas(picture, width)
    if isinstance(picture, View):
        objects = objects.to(picture.frame)
    font = ImageFont.load_default(max(9.0, max(canvas.size) / 75))
    quads = objects.boxes.as_kind("quad").coords.tolist()
    chosen = {**colours_of(objects.labels), **(colours or {})}
    for quad, label in zip(quads, objects.labels, strict=True):
        _outline(pen, quad, chosen[label], line)
    if labels:  # after all boxes, so that no line runs through a word
        for row, (quad, label) in enumerate(zip(quads, objects.labels, strict=True)):
            score = "" if objects.scores is None else f" {objects.scores[row]:.2f}"
            _tag(pen, canvas.size, quad, _printable(label) + score, chosen[label], font, line)
    return canvas


def draw_rings(
    picture: View | Image.Image, rings: Sequence[ArrayLike], colour: str, *, width: int | None = None
) -> Image.Image:
    """Return a copy of a picture with closed outlines drawn on it.

    Args:
        picture: A view or a plain picture.
        rings: (k, 2) corners each, in the picture's pixels.
        colour: Any that Pillow knows.
        width: Pixels of a line; by default a 400th of the longer side.
    """
    canvas, pen, line = _canvas(picture, width)
    for ring in rings:
        _outline(pen, np.asarray(ring, np.float64).ravel().tolist(), colour, line)
    return canvas


def draw_steps(overview: View, steps: Sequence[View], *, width: int | None = None) -> Image.Image:
    """Return the overview with the window of each step drawn on it, numbered from 1, and the steps' pictures beside it.

    Args:
        overview: The whole image.
        steps: Views of windows of the same image, in the order they were looked at.
        width: Pixels of a line.

    Raises:
        ValueError: A step is not a view of the same image.
    """
    canvas, pen, line = _canvas(overview, width)
    font = ImageFont.load_default(max(11.0, max(canvas.size) / 45))
    for number, step in enumerate(steps, start=1):
        frame = step.frame
        window = Boxes([[0.0, 0.0, float(frame.width), float(frame.height)]], "hbb", frame).to(overview.frame)
        quad = window.as_kind("quad").coords[0].tolist()
        colour = COLOURS[(number - 1) % len(COLOURS)]
        _outline(pen, quad, colour, line)
        _tag(pen, canvas.size, quad, str(number), colour, font, line)
    return _beside(canvas, [step.image for step in steps], font, line) if steps else canvas


def _canvas(picture: View | Image.Image, width: int | None) -> tuple[Image.Image, ImageDraw.ImageDraw, int]:
    image = picture.image if isinstance(picture, View) else picture
    canvas = image.convert("RGB") if image.mode != "RGB" else image.copy()
    return canvas, ImageDraw.Draw(canvas), width or max(1, round(max(canvas.size) / 400))


def _outline(pen: ImageDraw.ImageDraw, quad: Sequence[float], colour: str, line: int) -> None:
    """Draw a closed ring with a dark rim, so that it shows on bright ground too."""
    corners = [(quad[k], quad[k + 1]) for k in range(0, len(quad), 2)]
    ring = [*corners, *corners[:2]]
    pen.line(ring, fill="#000000", width=line + 2, joint="curve")
    pen.line(ring, fill=colour, width=line, joint="curve")


def _tag(
    pen: ImageDraw.ImageDraw,
    size: tuple[int, int],
    quad: Sequence[float],
    words: str,
    colour: str,
    font: Font,
    line: int,
) -> None:
    """Write words in a filled box above the ring's highest corner, moved where needed to stay on the picture."""
    pad = max(2, line)
    wide, high = _extent(pen, words, font, pad)
    x = min(max(min(quad[::2]), 0), max(size[0] - wide, 0))
    above = min(quad[1::2]) - high - line
    y = above if above >= 0 else max(quad[1::2]) + line
    _plate(pen, (x, min(max(y, 0), max(size[1] - high, 0))), words, colour, font, pad)


def _extent(pen: ImageDraw.ImageDraw, words: str, font: Font, pad: int) -> tuple[float, float]:
    left, top, right, bottom = pen.textbbox((0, 0), words, font=font)
    return right - left + 2 * pad, bottom - top + 2 * pad


def _plate(
    pen: ImageDraw.ImageDraw, corner: tuple[float, float], words: str, colour: str, font: Font, pad: int
) -> None:
    """Write words on a filled rectangle with its upper left corner at a place."""
    left, top, _, _ = pen.textbbox((0, 0), words, font=font)
    wide, high = _extent(pen, words, font, pad)
    x, y = corner
    pen.rectangle((x, y, x + wide, y + high), fill=colour)
    pen.text((x + pad - left, y + pad - top), words, fill=ink_on(colour), font=font)


def ink_on(colour: str) -> str:
    """Return black or white, whichever contrasts more with a colour (WCAG's relative luminance).

    Example:
        >>> ink_on("#ffff00"), ink_on("#202080")
        ('#000000', '#ffffff')
    """
    parts = [value / 255 for value in ImageColor.getrgb(colour)[:3]]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    return "#000000" if (luminance + 0.05) ** 2 > 1.05 * 0.05 else "#ffffff"


def _printable(label: str) -> str:
    """Return a label without control characters, which fonts show as boxes, cut to `LONGEST`."""
    kept = "".join(letter if letter.isprintable() else " " for letter in label).strip()
    return kept if len(kept) <= LONGEST else kept[: LONGEST - 3] + "..."


def _beside(canvas: Image.Image, pictures: Sequence[Image.Image], font: Font, line: int) -> Image.Image:
    """Return the canvas with numbered pictures in columns to its right, all as large as fits."""
    columns = math.ceil(len(pictures) / 4)
    rows = math.ceil(len(pictures) / columns)
    gap = max(4, 2 * line)
    cell = (canvas.height - (rows - 1) * gap) // rows
    out = Image.new("RGB", (canvas.width + columns * (cell + gap), canvas.height), "#ffffff")
    out.paste(canvas, (0, 0))
    pen = ImageDraw.Draw(out)
    for number, picture in enumerate(pictures):
        scale = min(cell / picture.width, cell / picture.height)
        size = (max(1, int(picture.width * scale)), max(1, int(picture.height * scale)))
        x = canvas.width + gap + number // rows * (cell + gap)
        y = number % rows * (cell + gap)
        method = Image.Resampling.LANCZOS if scale < 1 else Image.Resampling.NEAREST
        out.paste(picture.convert("RGB").resize(size, method), (x, y))
        colour = COLOURS[number % len(COLOURS)]
        pen.rectangle((x, y, x + size[0] - 1, y + size[1] - 1), outline=colour, width=line + 1)
        _plate(pen, (x, y), str(number + 1), colour, font, max(2, line))
    return out
