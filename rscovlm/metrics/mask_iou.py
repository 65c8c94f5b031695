"""Overlap of masks, image by image and over all: gIoU, cIoU (oIoU), mIoU and precision at a threshold."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from rscovlm.metrics.masks import binary_pairs

THRESHOLDS = (0.5, 0.6, 0.7, 0.8, 0.9)


def mask_iou(
    predictions: Iterable[ArrayLike],
    references: Iterable[ArrayLike],
    *,
    thresholds: Sequence[float] = THRESHOLDS,
) -> dict[str, Any]:
    """Compute the overlap of one mask an item, as referring segmentation is measured.

    Papers use one name for two figures, so both stand here under names of their own.

    Args:
        predictions: (h, w) masks, not 0 inside; any iterable, read one at a time.
        references: The true masks, likewise.
        thresholds: Overlaps at which precision is given.

    Returns:
        ``giou`` (mean IoU of items, 1 where both masks are empty: LISA, EarthReason), ``ciou`` (all intersections over all unions,
        also called oIoU), ``miou`` (mean IoU of items of which one mask at least is not empty: RMSIN); ``precision`` (threshold ->
        share of items with IoU > it: SegEarth-R1) and ``precision_at_least`` (IoU >= it: RMSIN), items with two empty masks counting
        as IoU 1; ``items``, ``both_empty``, ``iou`` (per item). ``ciou`` and ``miou`` are 1 where every mask is empty.

    Raises:
        ValueError: Numbers or sizes of masks differ, or there are none.

    Source:
        gIoU and cIoU: LISA (https://arxiv.org/abs/2308.00692), section 3. mIoU, oIoU and P@X: RMSIN
        (https://arxiv.org/abs/2312.12470), section 4.

    Example:
        >>> result = mask_iou([[[1, 1, 0, 0]], [[0, 0, 0, 0]]], [[[0, 1, 0, 0]], [[0, 0, 0, 0]]])
        >>> result["giou"], result["ciou"], result["miou"], result["precision"][0.5], result["precision_at_least"][0.5]
        (0.75, 0.5, 0.5, 0.5, 1.0)
    """
    shared, whole = [], []
    for found, true in binary_pairs(predictions, references):
        shared.append(int(np.count_nonzero(found & true)))
        whole.append(int(np.count_nonzero(found | true)))
    both, either = np.array(shared), np.array(whole)
    empty = either == 0
    iou = np.where(empty, 1.0, both / np.maximum(either, 1))
    some = np.sort(iou[~empty])  # a sum that does not depend on the order of items
    return {
        "giou": float(np.sort(iou).mean()),
        "ciou": float(both.sum() / either.sum()) if either.any() else 1.0,
        "miou": float(some.mean()) if len(some) else 1.0,
        "precision": {float(at): float((iou > at).mean()) for at in thresholds},
        "precision_at_least": {float(at): float((iou >= at).mean()) for at in thresholds},
        "items": len(iou),
        "both_empty": int(empty.sum()),
        "iou": iou.tolist(),
    }
