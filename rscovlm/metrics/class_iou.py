"""Overlap of classes over a data set, as semantic segmentation is measured."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from rscovlm.metrics.masks import mask_pairs


def class_iou(
    predictions: Iterable[ArrayLike], references: Iterable[ArrayLike], classes: int, *, ignore: int | None = None
) -> dict[str, Any]:
    """Compute the IoU and F1 of every class over all pixels of a data set, and their means.

    Args:
        predictions: (h, w) class numbers from 0; any iterable, read one at a time.
        references: The true classes, likewise.
        classes: How many classes there are.
        ignore: Class number of true pixels that do not count.

    Returns:
        ``miou`` and ``mean_f1`` (means over the classes that occur), ``accuracy`` (share of pixels that are right), ``iou`` and ``f1``
        (per class, None where neither side has it), ``confusion`` (rows true, columns found), ``pixels``. Predictions that are no
        class count as wrong, in ``unknown``.

    Raises:
        ValueError: Numbers or sizes of masks differ, there are none, or a true class is out of range.

    Source:
        The mean IoU of Pascal VOC and of LoveDA (https://arxiv.org/abs/2110.08733), which leaves out pixels without data.

    Example:
        >>> result = class_iou([[[0, 1, 1]]], [[[0, 0, 1]]], 2)
        >>> result["miou"], result["iou"]
        (0.5, [0.5, 0.5])
    """
    if classes < 1:
        raise ValueError(f"classes is {classes}; give the number of classes")
    table = np.zeros((classes, classes + 1), np.int64)  # the last column holds what is no class
    for number, (found, true) in enumerate(mask_pairs(predictions, references)):
        counted = np.ones(true.shape, bool) if ignore is None else true != ignore
        said, right = found[counted].astype(np.int64), true[counted].astype(np.int64)
        if right.size and (right.min() < 0 or right.max() >= classes):
            raise ValueError(
                f"reference {number} has class {int(right.max() if right.max() >= classes else right.min())}; "
                f"give 0 to {classes - 1}, and name what does not count as ignore"
            )
        said = np.where((said >= 0) & (said < classes), said, classes)
        table += np.bincount(right * (classes + 1) + said, minlength=table.size).reshape(table.shape)
    confusion, unknown = table[:, :classes], int(table[:, classes].sum())
    hits = np.diag(confusion)
    true_pixels, found_pixels = table.sum(axis=1), confusion.sum(axis=0)
    union = true_pixels + found_pixels - hits
    there = union > 0
    iou, f1 = hits / np.maximum(union, 1), 2 * hits / np.maximum(true_pixels + found_pixels, 1)
    pixels = int(table.sum())
    return {
        "miou": float(iou[there].mean()) if there.any() else 0.0,
        "mean_f1": float(f1[there].mean()) if there.any() else 0.0,
        "accuracy": float(hits.sum() / pixels) if pixels else 0.0,
        "iou": [float(one) if seen else None for one, seen in zip(iou, there, strict=True)],
        "f1": [float(one) if seen else None for one, seen in zip(f1, there, strict=True)],
        "confusion": confusion.tolist(),
        "pixels": pixels,
        "unknown": unknown,
    }
