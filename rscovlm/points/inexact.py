"""True masks made inexact, as a model's first answer might have them, to train it to correct them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rscovlm.geometry import Frame
from rscovlm.geometry.masks import Mask

OFF, LEFT_OUT = 0.15, 0.2
"""How far a mask is off, as a standard deviation in shares of its width and height and of its scale, and how many are left out."""


def inexact_masks(masks: Sequence[Mask], frame: Frame, rng: np.random.Generator) -> tuple[Mask, ...]:
    """Return masks on another grid, each moved and resized at random, and some left out.

    Args:
        masks: At least one pixel each.
        frame: A grid of the same root image.
        rng: Decides.

    >>> square = Mask.of(np.pad(np.ones((20, 20), bool), 20))
    >>> (moved,) = inexact_masks([square], square.frame, np.random.default_rng(1))
    >>> moved.window
    Window(x1=21, y1=22, x2=42, y2=43)
    """
    drawn = []
    for mask in masks:
        shift, scale = rng.normal(0, OFF, 2), float(np.exp(rng.normal(0, OFF)))
        if rng.random() < LEFT_OUT:
            continue
        x1, y1, x2, y2 = mask.window
        centre, size = np.array([(x1 + x2) / 2, (y1 + y2) / 2]), np.array([x2 - x1, y2 - y1])
        moved = [centre + scale * (ring - centre) + shift * size for ring in mask.rings()]
        drawn.append(Mask.filled(moved, mask.frame).to(frame))
    return tuple(mask for mask in drawn if mask.area)
