"""Masks as COCO writes them: runs of pixels down the columns, off and on in turn, as numbers or packed into a text.

A mask becomes outlines along the edges of its pixels, in continuous coordinates, so that nothing of it is lost: what an odd number of
rings encloses is the mask.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import reduce
from itertools import pairwise
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from rscovlm.geometry.filling import fill
from rscovlm.geometry.runs import pack, unpack
from rscovlm.geometry.shapes import signed_area
from rscovlm.geometry.tracing import trace
from rscovlm.records.rows import Row, as_whole
from rscovlm.records.tally import Rejected

_MOST_PIXELS = 1 << 28
Ring = tuple[float, ...]


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
    values = np.arange(len(runs)) % 2 == 1
    return np.repeat(values, runs).reshape(width, height).T


def encode_rle(mask: NDArray[Any], *, packed: bool = True) -> dict[str, Any]:
    """Write a mask, (h, w), as `size` and `counts`: a packed text, or the list of run lengths.

    >>> encode_rle(np.array([[0, 1, 0], [1, 0, 0]]), packed=False)
    {'size': [2, 3], 'counts': [1, 2, 3]}
    """
    flat = np.asarray(mask, bool).T.ravel()
    changes = np.flatnonzero(np.diff(flat, prepend=False)).tolist() if flat.size else []
    runs = [end - start for start, end in pairwise([0, *changes, flat.size])]
    size = [int(side) for side in np.shape(mask)]
    return {"size": size, "counts": pack(runs) if packed else runs}


def mask_rings(segmentation: Mapping[str, Any]) -> tuple[Ring, ...]:
    """Give the outlines of a run-length segmentation, each ring flat x1 y1 x2 y2 ...; pixels that touch at a corner only are apart.

    Outer rings come first, clockwise on screen, then holes, counter-clockwise; each begins with its topmost left corner, and they are in
    the order of these.

    Raises:
        ValueError: As in `decode_rle`.

    >>> mask_rings({"size": [2, 3], "counts": [2, 4]})
    ((1.0, 0.0, 3.0, 0.0, 3.0, 2.0, 1.0, 2.0),)
    """
    rings = sorted(
        trace(decode_rle(segmentation)).each(), key=lambda ring: (signed_area(ring) < 0, ring[0, 1], ring[0, 0])
    )
    return tuple(tuple(ring.ravel().tolist()) for ring in rings)


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
        return encode_rle(fill([np.reshape(ring, (-1, 2)) for ring in rings], (0, 0, width, height)))
    pieces = [piece for part in parts for piece in _without_holes(part)]
    return [np.asarray(piece.exterior.coords)[:-1].ravel().tolist() for piece in pieces]


def _runs(segmentation: Mapping[str, Any]) -> tuple[NDArray[np.int64], int, int]:
    try:
        mask = Row(segmentation)
        height, width = map(as_whole, mask.list("size"))
        counts = mask["counts"]
        runs = unpack(counts) if isinstance(counts, (str, bytes)) else list(map(as_whole, mask.list("counts")))
    except ValueError as error:
        raise Rejected(
            "malformed mask", f"a mask needs size [h, w] and counts, runs or packed text ({error!r})"
        ) from error
    total = sum(runs)
    if min(height, width) < 1 or min(runs, default=0) < 0 or total > height * width:
        raise Rejected("malformed mask", f"runs of {total} pixels do not fit a mask of {width}x{height}")
    if height * width > _MOST_PIXELS:
        raise Rejected("malformed mask", f"a mask of {width}x{height} pixels is too large to unpack")
    # Runs that end early leave the rest off: hand-made annotations do so.
    return np.asarray([*runs, *[0] * (len(runs) % 2), height * width - total], np.int64), height, width


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
