"""Laying one grey picture on another: how much both show, and how alike it is."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from PIL import Image

from rscovlm.quality.near_duplicates.keypoints import Grey, blurred

# Less than 96 pixels of the original: kerbs and furrows alone look alike.
_LEAST_SIDE = 24
_NEAR = 4
_LEAST_CONTRAST = 0.4
_HOPEFUL = 0.45
_EVEN = 6
_FAINT = 0.3
_GRAIN = 2
_DETAIL = 0.75
# Energy of details that JPEG alone makes on plain ground.
_PLAIN = 0.03


@dataclass(frozen=True)
class Laid:
    """The part that two pictures both show.

    Attributes:
        share: Part of the smaller picture, from 0 to 1.
        likeness: Correlation of the details there.
        one: Details there of the one picture.
        other: Details there of the other.
        scale: Pixels of the second that a pixel of the first is long.
    """

    share: float
    likeness: float
    one: Grey
    other: Grey
    scale: float = 1.0


def best_laid(first: Grey, second: Grey, scale: float, shift: tuple[float, float]) -> Laid | None:
    """Lay the one picture on the other about where it should lie, and give the place where the details correlate most.

    Args:
        first: (h, w).
        second: (h, w).
        scale: Pixels of the second that a pixel of the first is long; the finer picture is shrunk to the coarser.
        shift: Where the first picture's corner lies in the second, in its pixels.

    Returns:
        The best place, or None where too little is shown by both.
    """
    best: Laid | None = None
    # A scale read off a few landmarks is off by a per cent or two, the more so the fewer they are.
    for change in (1.0,) if scale == 1 else (1.0, 0.985, 1.015, 0.97, 1.03):
        if change != 1 and (best is None or best.likeness < _HOPEFUL):
            break
        # The middle of what both show stays where it is.
        sides = zip(shift, first.shape[::-1], second.shape[::-1], strict=True)
        moved = (at + (1 - change) * ((max(0, at) + min(other, at + scale * one)) / 2 - at) for at, one, other in sides)
        found = _nearby(first, second, scale * change, *moved)
        if found is not None and (best is None or found.likeness > best.likeness):
            best = replace(found, scale=scale * change)
    return best


def _nearby(first: Grey, second: Grey, scale: float, x: float, y: float) -> Laid | None:
    if scale < 1:
        first = resized(first, scale)
    elif scale > 1:
        second = resized(second, 1 / scale)
        x, y = x / scale, y / scale
    first, second = _details(first), _details(second)
    best: Laid | None = None
    reach = range(-1, 2) if scale == 1 else range(-2, 3)
    for dx, dy in ((dx, dy) for dx in reach for dy in reach):
        found = _overlay(first, second, round(x) + dx, round(y) + dy)
        if found is not None and (best is None or found.likeness > best.likeness):
            best = found
    return best


def resized(grey: Grey, factor: float) -> Grey:
    """Resize a picture by any factor."""
    size = [max(1, round(side * factor)) for side in grey.shape[::-1]]
    return np.asarray(Image.fromarray(grey).resize((size[0], size[1]), Image.Resampling.HAMMING))


def shrunken(grey: Grey, factor: int) -> Grey:
    """Shrink a picture by a whole number, by the mean."""
    height, width = (side // factor * factor for side in grey.shape)
    cut = grey[:height, :width].reshape(height // factor, factor, width // factor, factor)
    return np.asarray(cut.mean(axis=(1, 3)), np.float32)


def turned(grey: Grey, turn: int) -> Grey:
    """Mirror x (1), then y (2), then swap them (4)."""
    grey = grey[:, ::-1] if turn & 1 else grey
    grey = grey[::-1] if turn & 2 else grey
    return grey.T if turn & 4 else grey


def evenly(laid: Laid) -> float:
    """Correlate the details with every place weighing alike: one bright tank in a field and in another is not the same ground."""
    one, other = (details / np.sqrt(blurred(details**2, _EVEN) + _FAINT) for details in (laid.one, laid.other))
    return _correlation(one, other)


def grain(picture: Grey) -> Grey:
    """Give the finest details of a picture, every place weighing alike: near 1 in size where there is detail, near 0 on plain ground."""
    fine = picture - blurred(picture, 1)
    return np.asarray(fine / np.sqrt(blurred(fine**2, _GRAIN) + _PLAIN), np.float32)


def agreeing(one: Grey, other: Grey) -> float:
    """Give the share of two pictures' places whose finest details agree: shapes on plain ground agree at their edges alone.

    Args:
        one: (h, w), what `grain` gave.
        other: (h, w).
    """
    return float((one * other).mean())


def covered(laid: Laid) -> float:
    """Give the share of places with a detail in both pictures."""
    return float(((np.abs(laid.one) > _DETAIL) & (np.abs(laid.other) > _DETAIL)).mean())


def repeats(one: Grey, other: Grey) -> float:
    """Give how like itself a picture's details are elsewhere in it, the more repetitive of two: furrows of any two fields are alike."""
    found = 0.0
    for details in (one, other):
        spectrum = np.abs(np.fft.rfft2(details - details.mean())) ** 2
        alike = np.fft.irfft2(spectrum, details.shape)
        alike /= alike[0, 0]
        near = np.ix_(*(np.minimum(np.arange(side), side - np.arange(side)) <= _NEAR for side in details.shape))
        alike[near] = 0
        found = max(found, float(alike.max()))
    return found


def _overlay(first: Grey, second: Grey, x: int, y: int) -> Laid | None:
    """Put the details of the one at (x, y) of the other's."""
    left, top = max(0, x), max(0, y)
    right, bottom = min(second.shape[1], x + first.shape[1]), min(second.shape[0], y + first.shape[0])
    if min(right - left, bottom - top) < _LEAST_SIDE:
        return None
    one, other = first[top - y : bottom - y, left - x : right - x], second[top:bottom, left:right]
    if min(one.std(), other.std()) < _LEAST_CONTRAST:
        return None
    share = (right - left) * (bottom - top) / min(first.size, second.size)
    return Laid(share, _correlation(one, other), one, other)


def _correlation(one: Grey, other: Grey) -> float:
    one, other = one - one.mean(), other - other.mean()
    return float((one * other).sum() / np.sqrt((one**2).sum() * (other**2).sum()))


def _details(grey: Grey) -> Grey:
    """Take away noise and slow change, so that neither light nor padding makes two pictures alike."""
    return np.asarray(blurred(grey, 1) - blurred(grey, 6), np.float32)
