"""Masks on pictures: what a person or a model is shown of a segmentation."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from rscovlm.geometry import Frame, PointSets
from rscovlm.geometry.masks import Mask

TINT = (255, 0, 255)
"""Magenta, which is rare in pictures from above."""


def tint_masks(
    picture: Image.Image, masks: Sequence[Mask], frame: Frame | None = None, *, strength: float = 0.45
) -> Image.Image:
    """Return a copy of a picture whose masked pixels are tinted and outlined.

    Args:
        picture: The image, or a part or another size of it.
        masks: In pixels of the image.
        frame: The picture's grid on the image; None where it is the image itself.
        strength: Share of the tint inside; the outline is the tint alone.

    Raises:
        ValueError: The strength is not between 0 and 1.

    >>> square = Mask.of(np.pad(np.ones((4, 4), bool), 2))
    >>> tinted = tint_masks(Image.new("RGB", (8, 8)), [square])
    >>> tinted.getpixel((0, 0)), tinted.getpixel((2, 2))
    ((0, 0, 0), (255, 0, 255))
    """
    if not 0 <= strength <= 1:
        raise ValueError(f"strength is {strength}; give a share from 0 to 1")
    pixels = np.array(picture.convert("RGB"), np.float32)
    for mask in masks:
        drawn = mask.full() if frame is None else _seen(mask, frame)
        edge = drawn & ~_shrunk(drawn)
        pixels[drawn] += strength * (np.array(TINT, np.float32) - pixels[drawn])
        pixels[edge] = TINT
    return Image.fromarray(np.round(pixels).astype(np.uint8))


def _seen(mask: Mask, frame: Frame) -> NDArray[np.bool_]:
    """Return a mask on the grid of a view."""
    rings = mask.rings()
    if not rings:
        return np.zeros((frame.height, frame.width), bool)
    return Mask.filled(PointSets(rings, mask.frame).to(frame).points, Frame(frame.width, frame.height)).full()


def _shrunk(drawn: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the pixels whose four neighbours are inside too."""
    padded = np.pad(drawn, 1)
    inside: NDArray[np.bool_] = padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    return inside
