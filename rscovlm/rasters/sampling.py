"""Bring a window to a size by averaging, reading the coarsest stored level that is fine enough, piece by piece.

A window is cut into pieces aligned with the file's blocks; each is averaged over whole 2^n x 2^n squares as it
arrives, so that memory depends on the size of the result and not of the file. What is left, a factor up to three, is
done by Pillow's anti-aliased resize.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from rscovlm.geometry.window import WindowLike
from rscovlm.rasters.pixels import Pixels
from rscovlm.rasters.reader import Level
from rscovlm.rasters.samples import Mosaic, Samples

PIECE = 6_000_000
"""Pixels read at a time."""

Rectangle = tuple[float, float, float, float]


def choose_level(levels: Sequence[Level], ratio: float) -> int:
    """Return the coarsest level that is not coarser than `ratio` full-resolution pixels per wanted pixel."""
    best = 0
    for k, level in enumerate(levels):
        factor = levels[0].width / level.width
        if factor <= ratio * 1.02 and level.width <= levels[best].width:  # 2 %: not worth four times the reading
            best = k
    return best


def squares(length: float, wanted: int) -> int:
    """Return the power of two to average over first, so that between 1.5 and 3 times the wanted pixels are left.

    Less would be quicker and shows the squares as a pattern; powers of two because blocks of files are.

    Example:
        >>> squares(1000, 100), squares(50, 100)
        (4, 1)
    """
    return 1 << max(0, math.floor(math.log2(max(length / wanted, 1.0) / 1.5) + 1e-9))


def read_reduced(pixels: Pixels, level: int, window: WindowLike, factors: tuple[int, int]) -> Samples:
    """Average a window of a level over squares of `factors` pixels, in one pass.

    Args:
        pixels: What to read.
        level: Which level of detail.
        window: x1, y1, x2, y2 in the level's pixels; x1 and y1 multiples of the factors.
        factors: Pixels averaged across and down; the last square of a row or column may be partly outside.
    """
    x1, y1, x2, y2 = window
    kx, ky = factors
    if (kx, ky) == (1, 1) and (x2 - x1) * (y2 - y1) <= 4 * PIECE:
        return pixels.read(level, window)
    shape = (math.ceil((y2 - y1) / ky), math.ceil((x2 - x1) / kx))
    floating = pixels.weighted or pixels.dtype != np.uint8
    whole = Mosaic(pixels.channels, shape, floating=floating, weighted=pixels.weighted)
    for piece in _pieces(pixels.reader.levels[level], window, factors):
        size = (math.ceil((piece[2] - piece[0]) / kx), math.ceil((piece[3] - piece[1]) / ky))
        if pixels.reader.blank(level, piece):
            part = pixels.blank(size).weighted()
        else:
            part = _reduced(pixels.read(level, piece).weighted(), factors)
        whole.put(part, (piece[1] - y1) // ky, (piece[0] - x1) // kx)
    return whole.samples().divided()


def resize(samples: Samples, box: Rectangle, size: tuple[int, int]) -> Samples:
    """Resize a part of samples to (width, height), anti-aliased; invalid pixels do not bleed into valid ones.

    Args:
        samples: What to resize.
        box: x1, y1, x2, y2 of the part, fractions of a pixel allowed.
        size: Width and height wanted.
    """
    samples, box = _shrunk(samples, box, size)
    height, width = samples.values.shape[1:]
    if box == (0, 0, width, height) and size == (width, height):
        return samples
    if samples.weight is None:
        return Samples(_planes(samples.values, size, Image.Resampling.BICUBIC, box))
    method = Image.Resampling.BILINEAR  # has no negative lobes, so that shares stay within 0 and 1
    weight = np.clip(_planes(samples.weight, size, method, box), 0, 1)
    valid = None if samples.valid is None else np.clip(_planes(samples.valid[None], size, method, box)[0], 0, 1)
    return Samples(_planes(samples.weighted().values, size, method, box), weight, valid).divided()


def _shrunk(samples: Samples, box: Rectangle, size: tuple[int, int]) -> tuple[Samples, Rectangle]:
    """Average over whole squares first where much is to be shrunk: the same picture, and faster."""
    x1, y1, x2, y2 = box
    kx, ky = factors = max(int((x2 - x1) / size[0] / 2), 1), max(int((y2 - y1) / size[1] / 2), 1)
    if factors == (1, 1):
        return samples, box
    left, top = math.floor(x1), math.floor(y1)
    part = np.s_[..., top : top + _up(y2 - top, ky), left : left + _up(x2 - left, kx)]
    weight, valid = samples.weight, samples.valid
    kept = Samples(
        samples.values[part], weight if weight is None else weight[part], valid if valid is None else valid[part]
    )
    shrunk = _reduced(kept.weighted(), factors).divided()
    return shrunk, ((x1 - left) / kx, (y1 - top) / ky, (x2 - left) / kx, (y2 - top) / ky)


def sample(pixels: Pixels, window: Rectangle, size: tuple[int, int]) -> Samples:
    """Return a window of the full-resolution grid at a size, from the level that suits."""
    levels = pixels.reader.levels
    ratio = min((window[2] - window[0]) / size[0], (window[3] - window[1]) / size[1])
    level = choose_level(levels, ratio)
    return _sample_level(pixels, level, window, size)


def _sample_level(pixels: Pixels, level: int, window: Rectangle, size: tuple[int, int]) -> Samples:
    grid, root = pixels.reader.levels[level], pixels.reader.levels[0]
    sx, sy = grid.width / root.width, grid.height / root.height
    x1, y1, x2, y2 = window[0] * sx, window[1] * sy, window[2] * sx, window[3] * sy
    kx, ky = squares(x2 - x1, size[0]), squares(y2 - y1, size[1])
    left, top = math.floor(x1 / kx + 1e-6) * kx, math.floor(y1 / ky + 1e-6) * ky
    # Whole squares, also where they reach over the window: only those at the image's border are partial.
    right, bottom = min(_up(x2, kx), grid.width), min(_up(y2, ky), grid.height)
    reduced = read_reduced(pixels, level, (left, top, right, bottom), (kx, ky))
    height, width = reduced.values.shape[1:]
    box = (
        max((x1 - left) / kx, 0),
        max((y1 - top) / ky, 0),
        min((x2 - left) / kx, width),
        min((y2 - top) / ky, height),
    )
    return resize(reduced, box, size)


def _pieces(level: Level, window: WindowLike, factors: tuple[int, int]) -> Iterator[WindowLike]:
    """Cut a window into pieces aligned with blocks and factors, each of about `PIECE` pixels."""
    x1, y1, x2, y2 = window
    kx, ky = factors
    down = _unit(level.block_height, ky)
    if level.block_width >= level.width or level.width * down <= PIECE:
        across = math.ceil(level.width / kx) * kx
    else:
        unit = _unit(level.block_width, kx)
        across = max(PIECE // down // unit, 1) * unit
    if down * min(across, x2 - x1) > 4 * PIECE:  # huge strips: their decoder keeps its place between reads
        down = ky
    down *= max(PIECE // (min(across, x2 - x1) * down), 1)
    for top in range(y1 // down * down, y2, down):
        for left in range(x1 // across * across, x2, across):
            yield max(left, x1), max(top, y1), min(left + across, x2), min(top + down, y2)


def _up(position: float, factor: int) -> int:
    return math.ceil(position / factor - 1e-6) * factor


def _unit(block: int, factor: int) -> int:
    return math.lcm(block, factor) if block & (block - 1) == 0 else factor * max(block // factor, 1)


def _reduced(samples: Samples, factors: tuple[int, int]) -> Samples:
    """Return means over squares, of numbers, weights and shares alike."""
    if factors == (1, 1):
        return samples
    values, weight, valid = samples.values, samples.weight, samples.valid
    return Samples(
        np.stack([_reduce(plane, factors) for plane in values]),
        None if weight is None else np.stack([_reduce(plane, factors) for plane in weight]),
        None if valid is None else _reduce(valid, factors),
    )


def _reduce(plane: NDArray[Any], factors: tuple[int, int]) -> NDArray[Any]:
    return np.asarray(Image.fromarray(np.ascontiguousarray(plane)).reduce(factors))


def _planes(planes: NDArray[Any], size: tuple[int, int], method: Image.Resampling, box: Rectangle) -> NDArray[Any]:
    return np.stack(
        [np.asarray(Image.fromarray(np.ascontiguousarray(plane)).resize(size, method, box)) for plane in planes]
    )
