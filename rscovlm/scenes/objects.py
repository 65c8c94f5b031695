"""Objects of a generated scene: where they are and how they are drawn."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from rscovlm.geometry import Boxes, Frame, Objects
from rscovlm.scenes.shapes import GIANTS, SHAPES, Shape, Tone

CLASSES = tuple(SHAPES)
"""Classes of object."""
COLOURS: dict[str, tuple[int, int, int]] = {
    "white": (240, 240, 236),
    "red": (214, 42, 38),
    "yellow": (245, 214, 40),
    "blue": (36, 82, 222),
}
"""Colours of object, with the middle of each one's range."""
FINE = 4
"""Objects are drawn this many times as fine as the picture, then averaged."""

_SHADOW = (6, 10, 16, 132)


@dataclass(frozen=True, eq=False)
class SceneObject:
    """One object, in pixels of its scene (x right, y down, (0, 0) the outer corner of the first pixel).

    Attributes:
        label: Class, one of ``CLASSES``.
        colour: Name of the colour, one of ``COLOURS``.
        centre: (x, y) of the middle of the quad.
        length: Length of the quad in pixels, along the heading.
        width: Width of the quad in pixels.
        angle: Heading in radians, from x towards y.
        variant: Which of the class's shapes it has.
        tint: The colour it is drawn in.
    """

    label: str
    colour: str
    centre: tuple[float, float]
    length: float
    width: float
    angle: float
    variant: int
    tint: tuple[int, int, int]

    @property
    def shape(self) -> Shape:
        """The outline and details it is drawn from."""
        return (SHAPES if self.label in SHAPES else GIANTS)[self.label][self.variant]

    @property
    def polygon(self) -> NDArray[np.float64]:
        """(k, 2) outline of the object itself, without its shadow."""
        return self.place(self.shape.outline)

    @property
    def quad(self) -> NDArray[np.float64]:
        """(4, 2) oriented box, clockwise on screen, first the corner with the smallest (y, x)."""
        corners = self.place(np.array([[-1.0, -1.0], [1.0, -1.0], [1.0, 1.0], [-1.0, 1.0]]))
        first = min(range(4), key=lambda k: (corners[k, 1], corners[k, 0]))
        return np.roll(corners, -first, axis=0)

    @property
    def hbb(self) -> NDArray[np.float64]:
        """(4,) x1 y1 x2 y2 around the object's polygon (closer than the box around its quad)."""
        polygon = self.polygon
        return np.concatenate([polygon.min(axis=0), polygon.max(axis=0)])

    def place(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Map points from the unit square of the shape to pixels of the scene."""
        cos, sin = math.cos(self.angle), math.sin(self.angle)
        half, side = self.length / 2, self.width / 2
        matrix = np.array([[half * cos, half * sin], [-side * sin, side * cos]])
        out: NDArray[np.float64] = points @ matrix + np.array(self.centre)
        return out

    def moved(self, dx: float, dy: float) -> SceneObject:
        """The same object elsewhere."""
        return replace(self, centre=(self.centre[0] + dx, self.centre[1] + dy))

    def scaled(self, factor: float) -> SceneObject:
        """The same object in a picture of another resolution."""
        x, y = self.centre
        return replace(self, centre=(x * factor, y * factor), length=self.length * factor, width=self.width * factor)

    def mask(self, width: int, height: int) -> NDArray[np.bool_]:
        """(height, width) True where at least half of a pixel belongs to the object, without its shadow."""
        fine = Image.new("L", (width * FINE, height * FINE))
        ImageDraw.Draw(fine).polygon(_flat(self.polygon * FINE), fill=255)
        return np.asarray(fine.reduce(FINE)) >= 128


def draw_object(
    canvas: Image.Image, thing: SceneObject, sun: tuple[float, float], origin: tuple[int, int] = (0, 0)
) -> None:
    """Draw an object and its shadow.

    Args:
        canvas: RGB picture, changed in place.
        thing: The object, in pixels of the scene.
        sun: (dx, dy) by which shadows are displaced, in pixels.
        origin: Pixel of the scene at the canvas's first pixel; a window of a large scene gets the pixels that
            the whole would have had.
    """
    polygon = thing.polygon
    dx, dy = (0.0, 0.0) if thing.shape.flat else sun
    low, high = polygon.min(axis=0), polygon.max(axis=0)
    x1, y1 = math.floor(low[0] + min(dx, 0.0)) - 1, math.floor(low[1] + min(dy, 0.0)) - 1
    x2, y2 = math.ceil(high[0] + max(dx, 0.0)) + 1, math.ceil(high[1] + max(dy, 0.0)) + 1
    if x2 <= origin[0] or y2 <= origin[1] or x1 >= origin[0] + canvas.width or y1 >= origin[1] + canvas.height:
        return
    fine = FINE if max(x2 - x1, y2 - y1) <= 512 else 1
    sprite = Image.new("RGBA", ((x2 - x1) * fine, (y2 - y1) * fine))
    draw = ImageDraw.Draw(sprite)
    corner = np.array([x1, y1])
    if not thing.shape.flat:
        draw.polygon(_flat((polygon + [dx, dy] - corner) * fine), fill=_SHADOW)
    draw.polygon(_flat((polygon - corner) * fine), fill=(*thing.tint, 255))
    for tone, points in thing.shape.details:
        draw.polygon(_flat((thing.place(points) - corner) * fine), fill=(*_tone(thing, tone), 255))
    if fine > 1:
        sprite = sprite.reduce(fine)
    canvas.paste(sprite, (x1 - origin[0], y1 - origin[1]), sprite)


def _flat(points: NDArray[np.float64]) -> list[float]:
    """Pixels that hold the corners; Pillow would cut off decimals towards 0, which depends on the window."""
    flat: list[float] = np.floor(points).ravel().tolist()
    return flat


def _tone(thing: SceneObject, tone: Tone) -> tuple[int, int, int]:
    red, green, blue = thing.tint
    if tone == "dark":
        return int(red * 0.74), int(green * 0.74), int(blue * 0.74)
    if tone == "light":
        return red + (255 - red) // 4, green + (255 - green) // 4, blue + (255 - blue) // 4
    if tone == "line":
        return (84, 88, 92) if thing.colour == "white" else (238, 238, 234)
    return 40, 50, 62


def as_objects(objects: Sequence[SceneObject], frame: Frame) -> Objects:
    """Return generated objects as labelled quads on a frame."""
    if not objects:
        return Objects(Boxes.empty("quad", frame), ())
    return Objects(Boxes(np.stack([o.quad.ravel() for o in objects]), "quad", frame), tuple(o.label for o in objects))


def touching(a: SceneObject, b: SceneObject, gap: float) -> bool:
    """True if the quads of two objects come nearer than ``gap`` pixels along every separating direction."""
    dx, dy = b.centre[0] - a.centre[0], b.centre[1] - a.centre[1]
    reach = math.hypot(a.length, a.width) / 2 + math.hypot(b.length, b.width) / 2 + gap
    if dx * dx + dy * dy >= reach * reach:
        return False
    for angle in (a.angle, a.angle + math.pi / 2, b.angle, b.angle + math.pi / 2):
        apart = abs(dx * math.cos(angle) + dy * math.sin(angle))
        if apart >= _half(a, angle) + _half(b, angle) + gap:
            return False
    return True


def _half(thing: SceneObject, angle: float) -> float:
    """Half the extent of a quad along a direction."""
    turn = angle - thing.angle
    return (abs(math.cos(turn)) * thing.length + abs(math.sin(turn)) * thing.width) / 2
