"""Scenes that cannot be answered from an overview: a white pad with a marking too small to read there."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from .objects import COLOURS, SceneObject, draw_object
from .scene import SceneConfig
from .shapes import SHAPES
from .textures import textures

GLYPHS = ("plus", "cross", "bars", "ring")
"""Markings that a pad may carry. All have the same amount of black, so that darkness in an overview tells nothing."""
UNIT = 336
"""Side of the scene in which the measures below are pixels; in a larger scene everything grows with it."""
PAD = 34.0
"""Half the width of the pad."""
CROP = 52.0
"""Half the width of the region that shows the pad well."""
_BLACK = (24, 24, 26)
_WHITE = (238, 238, 234)
_RADIUS = 15.0
_STROKE = 5.0
_RING = (2 * _RADIUS - _STROKE / 2) * 2 / (2 * np.pi) + _STROKE / 2


@dataclass(frozen=True)
class Pad:
    """A white square with a marking, in pixels of a square scene.

    Attributes:
        centre: (x, y) of its middle.
        glyph: The marking, one of ``GLYPHS``.
        side: Side of the scene.
    """

    centre: tuple[float, float]
    glyph: str
    side: int

    @property
    def scale(self) -> float:
        """Pixels of this scene per pixel of one of side ``UNIT``."""
        return self.side / UNIT

    @property
    def box(self) -> NDArray[np.float64]:
        """(4,) x1 y1 x2 y2 of the pad."""
        return self._around(PAD)

    @property
    def crop(self) -> NDArray[np.float64]:
        """(4,) x1 y1 x2 y2 of the region to read, clipped to the scene."""
        return np.clip(self._around(CROP), 0, self.side)

    def _around(self, half: float) -> NDArray[np.float64]:
        x, y = self.centre
        reach = half * self.scale
        return np.array([x - reach, y - reach, x + reach, y + reach])

    def draw(self, canvas: Image.Image, origin: tuple[int, int] = (0, 0)) -> None:
        """Draw pad and marking on a canvas whose first pixel is the scene's pixel ``origin``."""
        draw = ImageDraw.Draw(canvas)
        s = self.scale
        x, y = self.centre[0] - origin[0], self.centre[1] - origin[1]
        h, r, w = PAD * s, _RADIUS * s, _STROKE * s / 2
        draw.rectangle((x - h, y - h, x + h - 1, y + h - 1), fill=(70, 72, 74))
        draw.rectangle((x - h + 2 * s, y - h + 2 * s, x + h - 1 - 2 * s, y + h - 1 - 2 * s), fill=_WHITE)
        if self.glyph == "ring":
            outer, inner = _RING * s, (_RING - _STROKE) * s
            draw.ellipse((x - outer, y - outer, x + outer - 1, y + outer - 1), fill=_BLACK)
            draw.ellipse((x - inner, y - inner, x + inner - 1, y + inner - 1), fill=_WHITE)
        elif self.glyph == "cross":
            d, e = r * np.sqrt(0.5), w * np.sqrt(0.5)
            for sign in (1, -1):
                points = ((-d - e, -d + e), (-d + e, -d - e), (d + e, d - e), (d - e, d + e))
                draw.polygon([(x - 0.5 + px, y - 0.5 + sign * py) for px, py in points], fill=_BLACK)
        else:
            half = w if self.glyph == "plus" else (w - w * w / (2 * r))
            for dy in (0.0,) if self.glyph == "plus" else (-2.2 * w, 2.2 * w):
                draw.rectangle((x - r, y + dy - half, x + r - 1, y + dy + half - 1), fill=_BLACK)
            if self.glyph == "plus":
                draw.rectangle((x - w, y - r, x + w - 1, y + r - 1), fill=_BLACK)


@dataclass(frozen=True, eq=False)
class ZoomScene:
    """A scene with one marked pad.

    Attributes:
        scene_class: The land cover.
        image: RGB picture, square.
        pad: Where the pad is and what is on it.
        question: What is asked.
        answer: The marking's name.
    """

    scene_class: str
    image: Image.Image
    pad: Pad
    question: str
    answer: str


QUESTION = "What marking is on the white pad?"


def draw_pad(rng: np.random.Generator, side: int) -> Pad:
    """Choose a place and a marking for a pad in a scene of this side."""
    s = side / UNIT
    x, y = (float(np.floor(v)) for v in rng.uniform(50 * s, side - 50 * s, 2))
    return Pad((x, y), GLYPHS[int(rng.integers(len(GLYPHS)))], side)


def make_zoom_scene(
    rng: np.random.Generator | int, side: int = UNIT, config: SceneConfig | None = None, *, max_distractors: int = 2
) -> ZoomScene:
    """Make a scene whose question needs a closer look; the same seed gives the same bytes.

    Args:
        rng: A random generator, which advances, or a seed.
        side: Side of the scene in pixels; pad and objects keep their share of it.
        config: Supplies land covers, classes, colours and textures; its sizes are not used.
        max_distractors: Largest number of coloured objects beside the pad.

    Raises:
        ValueError: If the scene is smaller than 168 pixels, where the marking is lost.

    Examples:
        >>> scene = make_zoom_scene(3)
        >>> scene.answer in GLYPHS, scene.pad.box[2] - scene.pad.box[0]
        (True, np.float64(68.0))
    """
    if side < UNIT // 2:
        raise ValueError(f"a zoom scene of {side} pixels is too small to show its marking: use {UNIT // 2} or more")
    config = config or SceneConfig()
    rng = np.random.default_rng(rng)
    cover = config.covers[int(rng.integers(len(config.covers)))]
    bank = textures(cover, config.texture_seed)
    texture = bank[int(rng.integers(len(bank)))]
    n = texture.image.shape[0]
    x, y = (int(v) for v in rng.integers(0, n - side + 1 if side <= n else n, 2))
    ground = texture.crop(x, y, side, int(rng.integers(8))).image
    shift = int(np.clip(8 * rng.normal(), -20, 20))
    image = Image.fromarray(np.clip(ground.astype(np.int16) + shift, 0, 255).astype(np.uint8))
    pad = draw_pad(rng, side)
    s = pad.scale
    for _ in range(int(rng.integers(0, max_distractors + 1))):
        thing = _distractor(rng, side, config)
        reach = thing.length / 2 + (PAD * 1.42 + 6) * s
        if np.hypot(thing.centre[0] - pad.centre[0], thing.centre[1] - pad.centre[1]) >= reach:
            draw_object(image, thing, (3 * s, 3 * s))
    pad.draw(image)
    return ZoomScene(cover, image, pad, QUESTION, pad.glyph)


def _distractor(rng: np.random.Generator, side: int, config: SceneConfig) -> SceneObject:
    """A large coloured object; never white, so that the pad is the only white thing."""
    s = side / UNIT
    label = config.classes[int(rng.integers(len(config.classes)))]
    names = [c for c in config.colours if c != "white"] or ["red"]
    colour = names[int(rng.integers(len(names)))]
    variant = int(rng.integers(len(SHAPES[label])))
    shape = SHAPES[label][variant]
    length = rng.uniform(60, 110) * s
    x, y = (float(v) for v in rng.uniform(60 * s, side - 60 * s, 2))
    angle = 0.0 if shape.round else float(rng.uniform(0, 2 * np.pi))
    return SceneObject(label, colour, (x, y), length, length * shape.width, angle, variant, COLOURS[colour])
