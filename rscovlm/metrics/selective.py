"""Selective answering: how accurate a model is if it may decline the questions it is least sure of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from rscovlm.geometry.affine import Floats
from rscovlm.metrics.texts import check_columns

COVERAGES = (0.5, 0.8, 0.9, 1.0)


def selective_risk(
    credits: Sequence[float], confidences: Sequence[float], *, coverages: Sequence[float] = COVERAGES
) -> dict[str, Any]:
    """Compute the accuracy of the surest answers, and the area under the curve of risk over coverage.

    Answers of equal confidence have no order; every figure is its mean over all their orders.

    Args:
        credits: What each answer scores, from 0 to 1.
        confidences: How sure the model is of each, on any scale.
        coverages: Shares of the answers that are kept, above 0 and at most 1.

    Returns:
        ``aurc`` (mean error of the k surest answers over all k; lower is better), ``best_aurc`` (of an order that puts every better
        answer first), ``accuracy`` (by coverage), ``items``.

    Raises:
        ValueError: If lengths differ, nothing is given, or a value is not a number or out of range.

    Source:
        El-Yaniv and Wiener 2010; Geifman et al. 2019 (AURC).

    Example:
        >>> result = selective_risk([1, 1, 0, 1], [0.9, 0.8, 0.3, 0.2])
        >>> result["accuracy"][0.5], result["accuracy"][1.0], round(result["aurc"], 4), result["best_aurc"]
        (1.0, 0.75, 0.1458, 0.0625)
    """
    check_columns({"credits": credits, "confidences": confidences})
    gains, sure = np.asarray(credits, np.float64), np.asarray(confidences, np.float64)
    if not (np.isfinite(gains).all() and np.isfinite(sure).all()):
        raise ValueError("credits or confidences hold something that is no finite number; leave such items out")
    for coverage in coverages:
        if not 0 < coverage <= 1:
            raise ValueError(f"coverages hold {coverage}; give shares above 0 and at most 1")
    curve = _kept(gains, sure)
    ranks = np.arange(1, len(curve) + 1)
    chosen = {float(share): max(1, round(share * len(curve))) for share in coverages}
    return {
        "aurc": float((1 - curve / ranks).mean()),
        "best_aurc": float((1 - _kept(gains, gains) / ranks).mean()),
        "accuracy": {share: float(curve[number - 1] / number) for share, number in chosen.items()},
        "items": len(curve),
    }


def _kept(gains: Floats, sure: Floats) -> Floats:
    """Return (n,) the credit of the k surest answers for each k, equal confidences sharing theirs."""
    _, group = np.unique(-sure, return_inverse=True)
    sizes = np.bincount(group)
    means = np.bincount(group, weights=gains) / sizes
    curve: Floats = np.cumsum(np.repeat(means, sizes))
    return curve
