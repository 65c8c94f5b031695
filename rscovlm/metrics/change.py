"""Change between two images: F1 and IoU of the pixels that changed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from rscovlm.metrics.masks import binary_pairs


def change_score(predictions: Iterable[ArrayLike], references: Iterable[ArrayLike]) -> dict[str, Any]:
    """Compute precision, recall, F1 and IoU of changed pixels over a whole data set.

    All pixels of all pairs go into one table of hits and misses, so that pairs without a change count by their false alarms alone.

    Args:
        predictions: (h, w) masks, not 0 where something changed; any iterable, read one at a time.
        references: The true masks, likewise.

    Returns:
        ``f1``, ``iou``, ``precision``, ``recall`` of the change, ``accuracy`` (share of all pixels that are right), ``kappa``; 1 for
        the first four where nothing changed and nothing was found; ``hits``, ``false_alarms``, ``missed`` (pixels); ``items``,
        ``false_alarm_items`` (pairs without a change in which one was found).

    Raises:
        ValueError: Numbers or sizes of masks differ, or there are none.

    Source:
        LEVIR-CD (Chen and Shi, Remote Sensing 12(10), 2020, section 4): precision, recall and F1 of the change class.

    Example:
        >>> result = change_score([[[1, 1, 0, 0]], [[0, 0, 0, 0]]], [[[0, 1, 1, 0]], [[0, 0, 0, 0]]])
        >>> result["f1"], round(result["iou"], 4), result["accuracy"]
        (0.5, 0.3333, 0.75)
    """
    hits = false_alarms = missed = pixels = items = alarmed = 0
    for found, true in binary_pairs(predictions, references):
        both = int(np.count_nonzero(found & true))
        hits += both
        false_alarms += int(np.count_nonzero(found)) - both
        missed += int(np.count_nonzero(true)) - both
        pixels += true.size
        items += 1
        alarmed += bool(found.any() and not true.any())
    quiet = hits + false_alarms + missed == 0
    return {
        "f1": 1.0 if quiet else 2 * hits / (2 * hits + false_alarms + missed),
        "iou": 1.0 if quiet else hits / (hits + false_alarms + missed),
        "precision": 1.0 if quiet else hits / max(hits + false_alarms, 1),
        "recall": 1.0 if quiet else hits / max(hits + missed, 1),
        "accuracy": (pixels - false_alarms - missed) / pixels if pixels else 1.0,
        "kappa": _kappa(hits, false_alarms, missed, pixels),
        "hits": hits,
        "false_alarms": false_alarms,
        "missed": missed,
        "items": items,
        "false_alarm_items": alarmed,
    }


def _kappa(hits: int, false_alarms: int, missed: int, pixels: int) -> float:
    """Return Cohen's kappa of two masks; 1 where they agree and chance alone would have them agree."""
    if not pixels:
        return 1.0
    agreed = (pixels - false_alarms - missed) / pixels
    found, true = (hits + false_alarms) / pixels, (hits + missed) / pixels
    chance = found * true + (1 - found) * (1 - true)
    return 1.0 if chance == 1 else (agreed - chance) / (1 - chance)
