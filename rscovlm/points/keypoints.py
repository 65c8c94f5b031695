"""Points inside and outside of a mask, as far from its edge as they can be: what a promptable segmenter is given."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from rscovlm.codec.point_objects import PointObject
from rscovlm.geometry.affine import Floats
from rscovlm.geometry.distance import distances
from rscovlm.geometry.masks import Mask
from rscovlm.geometry.window import Window

_SIDE = 96
"""Longest side on which distances are taken; a larger mask is looked at in blocks that lie inside as a whole."""

_DEEP = 0.8
"""Share of the largest distance from edges and chosen points that a drawn point has at least."""

_AROUND = 0.25
"""Share of the longer side by which the box is grown to look for points outside."""


def inside_points(mask: Mask, count: int = 2, rng: np.random.Generator | None = None) -> Floats:
    """Return points inside a mask, (n, 2) in pixels of the image, each far from the edge and from those before it.

    Args:
        mask: The object.
        count: How many; an object of fewer pixels gives one a pixel.
        rng: Draws among the places that are nearly as good as the best; None takes the best.

    Raises:
        ValueError: The mask is empty, or the count negative.

    >>> inside_points(Mask.of(np.ones((5, 9)))).tolist()
    [[2.5, 2.5], [5.5, 2.5]]
    """
    if count < 0:
        raise ValueError(f"count is {count}; give 0 or more points")
    if not mask.area:
        raise ValueError("an empty mask has no point inside; leave it out")
    return _spread(mask.pixels, min(count, mask.area), rng) + (mask.window.x1, mask.window.y1)


def outside_points(
    mask: Mask, count: int = 1, others: Sequence[Mask] = (), rng: np.random.Generator | None = None
) -> Floats:
    """Return points outside of a mask that are hard to tell from it, (n, 2): on other objects near it, else in its own box.

    Args:
        mask: The object.
        count: How many; fewer where there is no such pixel.
        others: Other objects of the image.
        rng: As for `inside_points`.

    Raises:
        ValueError: The mask is empty, or the count negative.
    """
    if count < 0:
        raise ValueError(f"count is {count}; give 0 or more points")
    if not mask.area:
        raise ValueError("an empty mask has no points around it; leave it out")
    x1, y1, x2, y2 = mask.window
    grown = max(2, math.ceil(_AROUND * max(mask.window.size)))
    window = Window(x1 - grown, y1 - grown, x2 + grown, y2 + grown).clipped(mask.frame.width, mask.frame.height)
    own = mask.part(window)
    near = np.zeros_like(own)
    for other in others:
        near |= other.part(window)
    near &= ~own
    found = _spread(near, min(count, int(near.sum())), rng)
    # In what is left of the box nothing else is known to be: the background between the object's arms.
    free = ~own & ~near
    free[: y1 - window.y1], free[y2 - window.y1 :] = False, False
    free[:, : x1 - window.x1], free[:, x2 - window.x1 :] = False, False
    more = _spread(free, min(count - len(found), int(free.sum())), rng)
    return np.concatenate([found, more]) + (window.x1, window.y1)


def prompt_of(
    mask: Mask,
    label: str = "",
    *,
    inside: int = 2,
    outside: int = 0,
    others: Sequence[Mask] = (),
    rng: np.random.Generator | None = None,
) -> PointObject:
    """Return the box of a mask with points inside it and, if asked for, points outside: what a segmenter is given.

    Two points inside and none outside are what Think2Seg-RS found to work best; points outside that a model places freely are
    known to be unstable.

    Args:
        mask: The object.
        label: Its name.
        inside: Points inside.
        outside: Points outside.
        others: Other objects of the image, on which points outside are put first.
        rng: Draws the points; None takes the best.

    Raises:
        ValueError: The mask is empty, or a count negative.
    """
    points = inside_points(mask, inside, rng)
    away = outside_points(mask, outside, others, rng) if outside and len(points) else ()
    return PointObject.prompt(label, list(mask.window), points, mask.frame, away)


def _spread(pixels: NDArray[np.bool_], count: int, rng: np.random.Generator | None) -> Floats:
    """Return the middles of pixels inside, each with the largest distance from edges and from those before it, (count, 2)."""
    if count < 1:
        return np.empty((0, 2))
    block = math.ceil(max(pixels.shape) / _SIDE)
    small = _whole_blocks(pixels, block)
    if small.sum() < count:
        block, small = 1, pixels
    away = distances(small)
    rows, columns = np.indices(small.shape)
    points = []
    for _ in range(count):
        best = float(away.max())
        good = np.flatnonzero(away >= (best if rng is None else _DEEP * best))
        y, x = divmod(int(good[0] if rng is None else rng.choice(good)), small.shape[1])
        points.append(((x + 0.5) * block, (y + 0.5) * block))
        np.minimum(away, np.hypot(rows - y, columns - x), out=away)
    return np.array(points)


def _whole_blocks(pixels: NDArray[np.bool_], block: int) -> NDArray[np.bool_]:
    """Return which blocks of so many pixels on a side lie inside as a whole."""
    if block == 1:
        return pixels
    height, width = (-(-side // block) * block for side in pixels.shape)
    filled = np.zeros((height, width), bool)
    filled[: pixels.shape[0], : pixels.shape[1]] = pixels
    return np.asarray(filled.reshape(height // block, block, width // block, block).all(axis=(1, 3)))
