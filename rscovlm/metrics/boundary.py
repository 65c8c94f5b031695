"""How well outlines agree: F1 of the pixels along them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rscovlm.geometry.distance import distances
from rscovlm.metrics.masks import binary_pairs


def boundary_f1(
    predictions: Iterable[ArrayLike],
    references: Iterable[ArrayLike],
    *,
    tolerance: float | None = None,
    share: float = 0.0075,
) -> dict[str, Any]:
    """Compute the F1 of boundaries: how many boundary pixels have one of the other mask within a tolerance.

    A boundary pixel is inside the mask and has a neighbour to the left, right, above or below that is not, or none at the
    image's edge.

    Args:
        predictions: (h, w) masks, not 0 inside; any iterable, read one at a time.
        references: The true masks, likewise.
        tolerance: Largest distance from centre to centre, in pixels; by default a share of the image's diagonal, rounded up.
        share: That share.

    Returns:
        ``f1``, ``precision`` and ``recall`` (means over items; where both masks are empty all are 1, where one is, all are 0),
        ``items``, ``both_empty`` and ``per_item`` (F1 of each).

    Raises:
        ValueError: Numbers or sizes of masks differ, there are none, or the tolerance is negative.

    Source:
        Csurka et al., BMVC 2013 (tolerance of 0.75 % of the diagonal), with exact distances, as in DAVIS 2016.

    Example:
        >>> result = boundary_f1([np.eye(4)], [np.roll(np.eye(4), 1, axis=1)], tolerance=1)
        >>> result["precision"], result["recall"]  # one pixel was rolled to the other side
        (1.0, 0.75)
    """
    if (tolerance is not None and tolerance < 0) or share < 0:
        raise ValueError(f"tolerance is {tolerance} and share {share}; give 0 or more")
    rows = []
    empty = 0
    for found, true in binary_pairs(predictions, references):
        within = float(np.ceil(share * np.hypot(*true.shape))) if tolerance is None else tolerance
        mine, theirs = _boundary(found), _boundary(true)
        if not mine.any() or not theirs.any():
            alike = float(not mine.any() and not theirs.any())
            empty += int(alike)
            rows.append((alike, alike, alike))
            continue
        precision, recall = _near(mine, theirs, within), _near(theirs, mine, within)
        rows.append((precision, recall, 2 * precision * recall / (precision + recall) if precision + recall else 0.0))
    table = np.array(rows)
    means = np.sort(table, axis=0).mean(axis=0)
    return {
        "f1": float(means[2]),
        "precision": float(means[0]),
        "recall": float(means[1]),
        "items": len(rows),
        "both_empty": empty,
        "per_item": table[:, 2].tolist(),
    }


def _boundary(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    around = np.pad(mask, 1)
    inner = around[:-2, 1:-1] & around[2:, 1:-1] & around[1:-1, :-2] & around[1:-1, 2:]
    return np.asarray(mask & ~inner)


def _near(boundary: NDArray[np.bool_], other: NDArray[np.bool_], within: float) -> float:
    """Return the share of a boundary's pixels that lie near another boundary."""
    away = distances(~other, most=within, edge=False)
    return float((away[boundary] <= within).mean())
