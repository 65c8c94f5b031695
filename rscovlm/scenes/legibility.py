"""Whether a marking can be read in a small picture at all: the best of four templates, by one who knows where to look."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from rscovlm.scenes.pad import GLYPHS, UNIT, Pad

_FINE = 8
"""Pixels in which a template is drawn for each pixel of the picture."""
_SHIFTS = 4
"""Places of a template within a pixel, along each side."""


def read_marking(picture: Image.Image, pad: Pad) -> str:
    """Name the marking on a pad by correlation with clean ones, as well as a picture of few pixels allows.

    The reader knows the four markings, their size and, within a pixel, where the pad is; it has seen no stain. Where it
    does no better than guessing, the picture does not show the marking to a human or a model either.

    Args:
        picture: The whole scene, at any size.
        pad: The pad in pixels of the scene; its ``glyph`` is not looked at.

    Returns:
        One of `GLYPHS`.

    Raises:
        ValueError: If the pad is too near the picture's border to be compared.

    >>> from rscovlm.scenes import make_zoom_scene
    >>> scene = make_zoom_scene(3)
    >>> read_marking(scene.image.reduce(4), scene.pad) == scene.answer
    True
    """
    shrink = picture.width / pad.width
    unit = min(pad.width, pad.height) * shrink / UNIT
    reach = max(1, math.ceil(0.9 * pad.marking * unit))
    side = 2 * reach + 1
    column, row = (int(value * shrink) for value in pad.centre)
    grey = np.asarray(picture.convert("L"), dtype=np.float64)
    patches = [
        grey[y : y + side, x : x + side]
        for y in range(row - reach - 1, row - reach + 2)
        for x in range(column - reach - 1, column - reach + 2)
        if x >= 0 and y >= 0
    ]
    if len(patches) < 9 or any(patch.shape != (side, side) for patch in patches):
        raise ValueError(f"the pad at {pad.centre} is at the border of the picture of {picture.size}; read a wider one")
    seen = _unit(np.stack([patch.ravel() for patch in patches]))
    best = (_templates(round(pad.marking * unit, 3), side) @ seen.T).max(axis=1)
    return GLYPHS[int(best.argmax()) // (_SHIFTS * _SHIFTS)]


@lru_cache(maxsize=16)
def _templates(width: float, side: int) -> NDArray[np.float64]:
    """Markings of a width in pixels on white, at each place within a pixel: (4 x places, side x side), of length 1."""
    drawn = []
    size = side * _FINE
    for glyph in GLYPHS:
        for place in range(_SHIFTS * _SHIFTS):
            down, across = (_FINE * (step / _SHIFTS - 0.5) for step in divmod(place, _SHIFTS))
            canvas = Image.new("RGB", (size, size), (238, 238, 234))
            # Of a size that gives the marking this width.
            whole = UNIT * _FINE
            Pad((size / 2 + across, size / 2 + down), glyph, whole, whole, width).draw(canvas)
            drawn.append(np.asarray(canvas.convert("L").reduce(_FINE), dtype=np.float64).ravel())
    return _unit(np.stack(drawn))


def _unit(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rows without their means, of length 1."""
    centred = rows - rows.mean(axis=1, keepdims=True)
    lengths = np.linalg.norm(centred, axis=1, keepdims=True)
    scaled: NDArray[np.float64] = centred / np.maximum(lengths, 1e-9)
    return scaled
