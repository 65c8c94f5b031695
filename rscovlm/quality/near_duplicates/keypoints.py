"""Landmarks of a picture: places that stand out, each with a key that neither a shift nor a turn nor a flip of the picture changes.

Two crops of one scene share the landmarks of what both show, wherever they were cut and however they were turned, as long as their
scale is the same: so tiles of one scene are found among many without comparing every picture with every other.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Grey = NDArray[np.float32]

_RADIUS = 8
_CONTRAST = 0.6
_SAMPLES = 12
_OFFSETS = np.arange(_SAMPLES) * 2 - (_SAMPLES - 1)
_MARGIN = int(_OFFSETS[-1]) + 1
_WAVES = np.cos(np.pi * np.arange(8)[:, None] * (np.arange(_SAMPLES) + 0.5) / _SAMPLES).astype(np.float32)
# The signs of these frequencies (across, down) are the key, the coarsest first. Those of (1, 0) and (0, 1) tell how the patch is turned.
_ACROSS, _DOWN = np.array([(u, total - u) for total in range(2, 7) for u in range(total + 1)]).T
# Below this share of a patch's contrast, a sign may be another in the next crop.
_UNSURE = 0.09
_WEAKEST = 2


@dataclass(frozen=True)
class Landmarks:
    """The landmarks of one picture; one that can be read in several ways has several rows.

    Attributes:
        keys: (n,) uint32: what is there.
        points: (n, 2) int16: x and y of the middle, in pixels.
        turns: (n,) uint8: what brings the patch to its standard place: 1 mirrors x, 2 mirrors y, and 4 swaps x and y after that.
    """

    keys: NDArray[np.uint32]
    points: NDArray[np.int16]
    turns: NDArray[np.uint8]


def landmarks(grey: Grey) -> Landmarks:
    """Find the landmarks of a grey picture, (h, w), about one in 16 x 16 pixels where there is something to see.

    A landmark is the strongest detail within eight pixels; its key is the signs of 25 low frequencies of the 24 x 24 pixels around it,
    after the patch was mirrored and swapped so that its two lowest are positive and the one across is the larger.
    """
    if min(grey.shape) <= 2 * _MARGIN:
        return _chosen(np.zeros((0, 8, 8), np.float32), np.zeros((0, 2), np.int16))
    strength = np.abs(blurred(grey, 1) - blurred(grey, 3))
    inner = np.zeros(grey.shape, bool)
    inner[_MARGIN:-_MARGIN, _MARGIN:-_MARGIN] = True
    ys, xs = np.nonzero((strength == _largest(strength, _RADIUS)) & (strength > _CONTRAST) & inner)
    smooth = _boxed(grey, 1)
    patches = smooth[(ys[:, None] + _OFFSETS)[:, :, None], (xs[:, None] + _OFFSETS)[:, None, :]]
    spread = patches.std(axis=(1, 2)) * _SAMPLES + np.float32(1e-6)
    spectra = np.einsum("vy,nyx,ux->nuv", _WAVES, patches, _WAVES, optimize=True) / spread[:, None, None]
    return _chosen(spectra.astype(np.float32), np.stack([xs, ys], axis=1).astype(np.int16))


def _chosen(spectra: NDArray[np.float32], points: NDArray[np.int16]) -> Landmarks:
    """Give every way in which each patch may be read: where a deciding number is close to nothing, both."""
    keys, places, turns = [], [], []
    across, down = spectra[:, 1, 0], spectra[:, 0, 1]
    for turn in range(8):
        first, second = across * (1 - 2 * (turn & 1)), down * (1 - (turn & 2))
        larger = np.abs(down) - np.abs(across) if turn & 4 else np.abs(across) - np.abs(down)
        fits = (first > -_UNSURE) & (second > -_UNSURE) & (larger > -_UNSURE)
        numbers = _turned(spectra[fits], turn)[:, _ACROSS, _DOWN]
        for key in _readings(numbers):
            keys.append(key)
            places.append(points[fits])
            turns.append(np.full(len(key), turn, np.uint8))
    return Landmarks(np.concatenate(keys), np.concatenate(places), np.concatenate(turns))


def _turned(spectra: NDArray[np.float32], turn: int) -> NDArray[np.float32]:
    """Mirror and swap patches by their frequencies: a mirrored picture has its odd ones negated."""
    signs = np.ones((8, 8), np.float32)
    signs[1::2] *= 1 - 2 * (turn & 1)
    signs[:, 1::2] *= 1 - (turn & 2)
    turned = spectra * signs
    return turned.transpose(0, 2, 1) if turn & 4 else turned


def _readings(numbers: NDArray[np.float32]) -> list[NDArray[np.uint32]]:
    """Give the keys of patches, and those with the one or two least certain signs the other way round."""
    weights = np.uint32(1) << np.arange(numbers.shape[1], dtype=np.uint32)
    key = ((numbers > 0) * weights).sum(axis=1, dtype=np.uint32)
    weakest = np.argsort(np.abs(numbers), axis=1)[:, :_WEAKEST]
    flips = weights[weakest] if len(numbers) else np.zeros((0, _WEAKEST), np.uint32)
    return [key, key ^ flips[:, 0], key ^ flips[:, 1], key ^ flips[:, 0] ^ flips[:, 1]]


def blurred(grey: Grey, radius: int) -> Grey:
    """Smooth a picture by two boxes of 2 radius + 1 pixels a side."""
    return _boxed(_boxed(grey, radius), radius)


def _boxed(grey: Grey, radius: int) -> Grey:
    width = 2 * radius + 1
    for _ in range(2):
        padded = np.pad(grey, ((radius, radius), (0, 0)), mode="edge")
        total = sum(padded[k : k + len(grey)] for k in range(width))
        grey = np.ascontiguousarray((total / np.float32(width)).T)
    return grey


def _largest(values: Grey, radius: int) -> Grey:
    """Give the largest value within `radius` pixels across and down."""
    for _ in range(2):
        found = np.pad(values, ((radius, radius), (0, 0)), constant_values=-1)
        reach, wanted = 1, 2 * radius + 1
        while reach < wanted:
            step = min(reach, wanted - reach)
            found = np.maximum(found[:-step], found[step:])
            reach += step
        values = np.ascontiguousarray(found.T)
    return values
