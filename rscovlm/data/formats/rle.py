"""Masks as COCO writes them: runs of pixels down the columns, off and on in turn, as numbers or packed into a text.

A mask becomes outlines along the edges of its pixels, in continuous coordinates, so that nothing of it is lost: what an odd number of
rings encloses is the mask.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import reduce
from itertools import pairwise
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from rscovlm.records.rows import Row, as_whole
from rscovlm.records.tally import Rejected

_MOST_PIXELS = 1 << 28
_ZERO = ord("0")
Ring = tuple[float, ...]
Corner = tuple[int, int]


def decode_rle(segmentation: Mapping[str, Any]) -> NDArray[np.bool_]:
    """Give the mask of a run-length segmentation, (h, w).

    Args:
        segmentation: `size` (h, w) and `counts`, a list of run lengths or the packed text (str or bytes).

    Raises:
        ValueError: The runs cannot be read, are longer than the mask, or the mask has more than 2^28 pixels.

    >>> decode_rle({"size": [2, 3], "counts": [1, 2, 3]}).astype(int)
    array([[0, 1, 0],
           [1, 0, 0]])
    """
    runs, height, width = _runs(segmentation)
    if height * width > _MOST_PIXELS:
        raise Rejected("malformed mask", f"a mask of {width}x{height} pixels is too large to unpack")
    values = np.arange(len(runs)) % 2 == 1
    return np.repeat(values, runs).reshape(width, height).T


def encode_rle(mask: NDArray[Any], *, packed: bool = True) -> dict[str, Any]:
    """Write a mask, (h, w), as `size` and `counts`: a packed text, or the list of run lengths.

    >>> encode_rle(np.array([[0, 1, 0], [1, 0, 0]]), packed=False)
    {'size': [2, 3], 'counts': [1, 2, 3]}
    """
    flat = np.asarray(mask, bool).T.ravel()
    changes = np.flatnonzero(np.diff(np.concatenate([[False], flat]))).tolist() if flat.size else []
    runs = [end - start for start, end in pairwise([0, *changes, flat.size])]
    size = [int(side) for side in np.shape(mask)]
    return {"size": size, "counts": _packed(runs) if packed else runs}


def mask_rings(segmentation: Mapping[str, Any]) -> tuple[Ring, ...]:
    """Give the outlines of a run-length segmentation, each ring flat x1 y1 x2 y2 ...; pixels that touch at a corner only are apart.

    Outer rings come first, clockwise on screen, then holes, counter-clockwise; each begins with its topmost left corner, and they are in
    the order of these.

    Raises:
        ValueError: As in `decode_rle`.

    >>> mask_rings({"size": [2, 3], "counts": [2, 4]})
    ((1.0, 0.0, 3.0, 0.0, 3.0, 2.0, 1.0, 2.0),)
    """
    steps = _boundary(decode_rle(segmentation))
    rings: list[list[int]] = []
    while steps:
        rings += map(_corners, _followed(steps, next(iter(steps))))
    ordered = sorted(rings, key=lambda ring: (_area(ring) < 0, ring[1], ring[0]))
    return tuple(tuple(map(float, ring)) for ring in ordered)


def rings_to_coco(rings: Sequence[Ring], width: int, height: int) -> list[list[float]] | dict[str, Any]:
    """Give a COCO segmentation of outlines: polygons, which COCO adds up, or where there are holes, packed runs or pieces without holes.

    Runs are written if every corner lies on the grid of pixels, which they then say exactly.
    """
    if len(rings) < 2:
        return [list(ring) for ring in rings]
    shapes = [shapely.make_valid(shapely.Polygon(np.reshape(ring, (-1, 2)))) for ring in rings]
    shape = reduce(shapely.symmetric_difference, shapes)
    parts = [part for part in shapely.get_parts(shape) if part.geom_type == "Polygon"]
    if not any(part.interiors for part in parts):
        return [list(ring) for ring in rings]
    numbers = np.concatenate([np.asarray(ring) for ring in rings])
    if (numbers == np.round(numbers)).all() and 0 < width * height <= _MOST_PIXELS:
        return encode_rle(_on_grid(rings, width, height))
    pieces = [piece for part in parts for piece in _without_holes(part)]
    return [np.asarray(piece.exterior.coords)[:-1].ravel().tolist() for piece in pieces]


def _runs(segmentation: Mapping[str, Any]) -> tuple[NDArray[np.int64], int, int]:
    try:
        mask = Row(segmentation)
        height, width = map(as_whole, mask.list("size"))
        counts = mask["counts"]
        runs = _unpacked(counts) if isinstance(counts, (str, bytes)) else list(map(as_whole, mask.list("counts")))
    except ValueError as error:
        raise Rejected(
            "malformed mask", f"a mask needs size [h, w] and counts, runs or packed text ({error!r})"
        ) from error
    total = sum(runs)
    if min(height, width) < 1 or min(runs, default=0) < 0 or total > height * width:
        raise Rejected("malformed mask", f"runs of {total} pixels do not fit a mask of {width}x{height}")
    # Runs that end early leave the rest off: hand-made annotations do so.
    return np.asarray([*runs, *[0] * (len(runs) % 2), height * width - total], np.int64), height, width


def _unpacked(text: str | bytes) -> list[int]:
    """Read run lengths of five bits a character, lowest first, from the third on as differences to the last but one."""
    codes = text.encode("ascii") if isinstance(text, str) else text
    runs: list[int] = []
    value = shift = 0
    for code in codes:
        bits = code - _ZERO
        if not 0 <= bits < 64 or shift > 60:
            raise ValueError(f"character {chr(code)!r} is not part of a packed run")
        value |= (bits & 31) << shift
        shift += 5
        if bits & 32:
            continue
        if bits & 16:
            value -= 1 << shift
        runs.append(value + (runs[-2] if len(runs) > 2 else 0))
        value = shift = 0
    if shift:
        raise ValueError("the text ends inside a run")
    return runs


def _packed(runs: Sequence[int]) -> str:
    codes = []
    for index, run in enumerate(runs):
        value = run - (runs[index - 2] if index > 2 else 0)
        while True:
            bits, value = value & 31, value >> 5
            # The last five bits carry the sign in their highest.
            last = value == (-1 if bits & 16 else 0)
            codes.append(bits + (0 if last else 32) + _ZERO)
            if last:
                break
    return bytes(codes).decode("ascii")


def _boundary(mask: NDArray[np.bool_]) -> dict[Corner, list[Corner]]:
    """Give the steps along the edges of the pixels with the mask on the right-hand side: from a corner to one or two others."""
    padded = np.pad(mask, 1)
    across, down = padded[1:, 1:-1].astype(int) - padded[:-1, 1:-1], padded[1:-1, 1:].astype(int) - padded[1:-1, :-1]
    steps: dict[Corner, list[Corner]] = {}
    for (ys, xs), begin, end in (
        (np.nonzero(across > 0), (0, 0), (1, 0)),
        (np.nonzero(across < 0), (1, 0), (0, 0)),
        (np.nonzero(down > 0), (0, 1), (0, 0)),
        (np.nonzero(down < 0), (0, 0), (0, 1)),
    ):
        for x, y in zip(xs.tolist(), ys.tolist(), strict=True):
            steps.setdefault((x + begin[0], y + begin[1]), []).append((x + end[0], y + end[1]))
    return steps


def _followed(steps: dict[Corner, list[Corner]], start: Corner) -> Iterator[list[Corner]]:
    """Take one way round out of the steps, and give it as rings that do not touch themselves."""
    ring: list[Corner] = []
    here, way, right = start, (0, 0), start
    while True:
        # Where two pixels touch at a corner only, a turn to the right stays at the same pixel.
        ahead = steps[here]
        there = ahead.pop(ahead.index(right) if right in ahead else 0)
        if not ahead:
            del steps[here]
        turned = (there[0] - here[0], there[1] - here[1])
        if turned != way and here in ring:
            again = ring.index(here)
            yield ring[again:]
            del ring[again:]
        if turned != way:
            ring.append(here)
        here, way = there, turned
        right = (here[0] - way[1], here[1] + way[0])
        if here == start and right not in steps.get(here, ()):
            break
    yield ring


def _corners(ring: list[Corner]) -> list[int]:
    """Give a ring's corners flat, without those on a straight side, from the topmost left one on."""
    sides = zip(ring[-1:] + ring[:-1], ring, ring[1:] + ring[:1], strict=True)
    kept = [
        here
        for before, here, after in sides
        if not before[0] == here[0] == after[0] and not before[1] == here[1] == after[1]
    ]
    lowest = kept.index(min(kept, key=lambda corner: (corner[1], corner[0])))
    return [number for corner in (*kept[lowest:], *kept[:lowest]) for number in corner]


def _area(ring: Sequence[float]) -> float:
    xs, ys = ring[0::2], ring[1::2]
    return sum(xs[k - 1] * ys[k] - xs[k] * ys[k - 1] for k in range(len(xs)))


def _on_grid(rings: Sequence[Ring], width: int, height: int) -> NDArray[np.bool_]:
    """Fill rings whose corners lie on the grid: crossing an upright side changes inside and outside for all pixels right of it."""
    changes = np.zeros((height, width + 1), bool)
    rows = np.arange(height) + 0.5
    for ring in rings:
        points = np.reshape(ring, (-1, 2))
        for (x1, y1), (x2, y2) in pairwise(np.concatenate([points, points[:1]])):
            crossed = np.flatnonzero((rows > min(y1, y2)) & (rows < max(y1, y2)))
            x = x1 + (rows[crossed] - y1) * (x2 - x1) / (y2 - y1 if y2 != y1 else 1)
            np.logical_xor.at(changes, (crossed, np.clip(np.ceil(x - 0.5), 0, width).astype(int)), True)
    return np.asarray(np.logical_xor.accumulate(changes, axis=1)[:, :width])


def _without_holes(part: Any) -> list[Any]:
    """Cut a polygon through its holes until none is left."""
    if not part.interiors:
        return [part]
    left, top, right, bottom = part.bounds
    middle = part.interiors[0].centroid.x
    halves = (
        part.intersection(shapely.box(*sides)) for sides in ((left, top, middle, bottom), (middle, top, right, bottom))
    )
    pieces = [piece for half in halves for piece in shapely.get_parts(half) if piece.geom_type == "Polygon"]
    return [whole for piece in pieces for whole in _without_holes(piece)]
