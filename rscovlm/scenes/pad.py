"""A white pad with a marking: what a model must zoom in to read."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

GLYPHS = ("plus", "cross", "bars", "ring")
"""Markings that a pad may carry. All have the same amount of black, so that darkness in an overview tells nothing."""
UNIT = 336
"""Side of the scene in which the measures below are pixels; in a larger scene everything grows with it."""
PAD = 34.0
"""Half the width of the pad."""
MARKING = 30.0
"""Width of the marking."""
CROP = 52.0
"""Half the width of the region that shows a marking of that width well; it grows and shrinks with the marking."""
_BLACK = (24, 24, 26)
_WHITE = (238, 238, 234)
STAIN = 6.0
"""Width of a stain on a worn pad."""
_RADIUS = MARKING / 2
_STROKE = MARKING / 6
_RING = (2 * _RADIUS - _STROKE / 2) * 2 / (2 * np.pi) + _STROKE / 2


QUESTION = "What marking is on the white pad?"
"""What is asked about a pad."""


@dataclass(frozen=True)
class Pad:
    """A white square with a marking, in pixels of its scene.

    Attributes:
        centre: (x, y) of its middle.
        glyph: The marking, one of ``GLYPHS``.
        width: Width of the scene.
        height: Height of the scene.
        marking: Width of the marking in a scene whose shorter side is ``UNIT``. At 30 a sharp eye can read it in an
            84-pixel overview, where it is 7.5 pixels wide.
        worn: Standard deviation of the stains on the pad in grey levels; 0 is a clean pad. Stains are about as wide as a
            marking of 5, so that one is lost among them in an overview and plain in a crop.
        stains: Seed of the stains.
    """

    centre: tuple[float, float]
    glyph: str
    width: int
    height: int
    marking: float = MARKING
    worn: float = 0.0
    stains: int = 0

    @property
    def scale(self) -> float:
        """Pixels of this scene per pixel of one whose shorter side is ``UNIT``."""
        return min(self.width, self.height) / UNIT

    @property
    def box(self) -> NDArray[np.float64]:
        """(4,) x1 y1 x2 y2 of the pad."""
        return self._around(PAD)

    @property
    def crop(self) -> NDArray[np.float64]:
        """(4,) x1 y1 x2 y2 of the region to read, clipped to the scene."""
        return self.around(1.0)

    def around(self, context: float) -> NDArray[np.float64]:
        """(4,) x1 y1 x2 y2 of a region ``context`` times as wide as `crop`, clipped to the scene."""
        half = context * CROP * self.marking / MARKING
        return np.clip(self._around(half), 0, [self.width, self.height] * 2)

    def scaled(self, step: int) -> Pad:
        """The pad in a picture with one pixel for ``step`` of the scene."""
        x, y = self.centre
        return replace(self, centre=(x / step, y / step), width=self.width // step, height=self.height // step)

    def _around(self, half: float) -> NDArray[np.float64]:
        x, y = self.centre
        reach = half * self.scale
        return np.array([x - reach, y - reach, x + reach, y + reach])

    def draw(self, canvas: Image.Image, origin: tuple[int, int] = (0, 0)) -> None:
        """Draw pad and marking on a canvas whose first pixel is the scene's pixel ``origin``."""
        draw = ImageDraw.Draw(canvas)
        s = self.scale
        m = s * self.marking / MARKING
        (x, y), r, w = self.centre, _RADIUS * m, _STROKE * m / 2

        def box(left: float, top: float, right: float, bottom: float) -> tuple[int, int, int, int]:
            """Whole pixels of the canvas for edges given from the pad's middle (Pillow includes the last pixel)."""
            x1, y1 = math.floor(x + left + 0.5) - origin[0], math.floor(y + top + 0.5) - origin[1]
            x2, y2 = math.floor(x + right + 0.5) - origin[0] - 1, math.floor(y + bottom + 0.5) - origin[1] - 1
            return x1, y1, max(x1, x2), max(y1, y2)

        rim = PAD * s - 2 * s
        draw.rectangle(box(-PAD * s, -PAD * s, PAD * s, PAD * s), fill=(70, 72, 74))
        draw.rectangle(box(-rim, -rim, rim, rim), fill=_WHITE)
        if self.glyph == "ring":
            outer, inner = _RING * m, (_RING - _STROKE) * m
            draw.ellipse(box(-outer, -outer, outer, outer), fill=_BLACK)
            draw.ellipse(box(-inner, -inner, inner, inner), fill=_WHITE)
        elif self.glyph == "cross":
            d, e = r * math.sqrt(0.5), w * math.sqrt(0.5)
            for sign in (1, -1):
                points = ((-d - e, -d + e), (-d + e, -d - e), (d + e, d - e), (d - e, d + e))
                draw.polygon([box(px, sign * py, px, sign * py)[:2] for px, py in points], fill=_BLACK)
        else:
            half = w if self.glyph == "plus" else (w - w * w / (2 * r))
            for dy in (0.0,) if self.glyph == "plus" else (-2.2 * w, 2.2 * w):
                draw.rectangle(box(-r, dy - half, r, dy + half), fill=_BLACK)
            if self.glyph == "plus":
                draw.rectangle(box(-w, -r, w, r), fill=_BLACK)
        if self.worn:
            self._wear(canvas, origin)

    def _wear(self, canvas: Image.Image, origin: tuple[int, int]) -> None:
        """Lighten and darken the part of the pad that lies on a canvas, the same way whatever the canvas shows."""
        s = self.scale
        half = (PAD - 2) * s
        left, top = (max(0, math.floor(c - half + 0.5) - o) for c, o in zip(self.centre, origin, strict=True))
        right, bottom = (
            min(side, math.floor(c + half + 0.5) - o)
            for c, o, side in zip(self.centre, origin, canvas.size, strict=True)
        )
        if left >= right or top >= bottom:
            return
        cells = math.ceil(2 * PAD / STAIN) + 2
        levels = np.random.default_rng(self.stains).normal(0, self.worn, (cells, cells))
        (rows, down), (columns, across) = (
            _between((np.arange(low, high) + 0.5 + o - c) / (STAIN * s) + cells / 2)
            for low, high, o, c in (
                (top, bottom, origin[1], self.centre[1]),
                (left, right, origin[0], self.centre[0]),
            )
        )
        upper, lower = levels[rows], levels[rows + 1]
        lines = upper + (lower - upper) * down[:, None]
        shade = lines[:, columns] + (lines[:, columns + 1] - lines[:, columns]) * across
        part = np.asarray(canvas.crop((left, top, right, bottom))).astype(np.float64) + shade[..., None]
        canvas.paste(Image.fromarray(np.clip(part, 0, 255).astype(np.uint8)), (left, top))


def _between(places: NDArray[Any]) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Return the grid line before each place, and how far it has gone to the next, eased at both."""
    before = np.floor(places).astype(np.intp)
    share = places - before
    return before, share * share * (3 - 2 * share)


def place_pad(rng: np.random.Generator, width: int, height: int, marking: float = MARKING, worn: float = 0.0) -> Pad:
    """Choose a place and a marking for a pad in a scene of this size.

    Raises:
        ValueError: If the marking is narrower than 9 pixels of the scene, which is unreadable in the crop too, or wider than
            48 in a scene of 336 pixels, where it leaves the pad; or ``worn`` is not 0 to 60.
    """
    s = min(width, height) / UNIT
    least = 9 / max(1.0, s)
    if not least <= marking <= 48:
        raise ValueError(f"marking={marking}; give a width of {least:.3g} to 48 in a scene of {UNIT} pixels")
    if not 0 <= worn <= 60:
        raise ValueError(f"worn={worn}; give 0 to 60 grey levels")
    x, y = (float(np.floor(rng.uniform(50 * s, side - 50 * s))) for side in (width, height))
    glyph = GLYPHS[int(rng.integers(len(GLYPHS)))]
    # Drawn only where it is used, so that scenes of clean pads stay what they were.
    stains = int(rng.integers(2**31)) if worn else 0
    return Pad((x, y), glyph, width, height, marking, worn, stains)
