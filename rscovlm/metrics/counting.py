"""Counting: how far written numbers are from the true ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from rscovlm.metrics.texts import check_columns, number_in


def count_error(predictions: Sequence[str | float], references: Sequence[str | float]) -> dict[str, Any]:
    """Compute the errors of counts, and of other numbers, such as sizes in metres.

    Args:
        predictions: One answer per item, a number or a text that names one in figures or words; the first counts.
        references: The true numbers, likewise.

    Returns:
        ``mae`` (mean absolute error), ``rmse``, ``mape`` (mean error relative to the true number, over items where
        that is not 0), ``bias`` (mean of found minus true), all over the items answered; ``exact`` (share of all items
        whose number is right), ``items``, ``unanswered`` (items whose answer names no number), ``zero_references``
        (items left out of ``mape``), ``error`` (per item, None where unanswered). Without an answer the errors are 0.

    Raises:
        ValueError: If lengths differ, nothing is given, or a true number cannot be read.

    Source:
        VHM's counting bench reports ``mae`` and ``mape``; it stops at an answer without a number.

    Example:
        >>> result = count_error(["There are seven", "12 ships", "many"], [7, 10, 4])
        >>> result["mae"], result["unanswered"]
        (1.0, 1)
    """
    check_columns({"predictions": predictions, "references": references})
    true = []
    for k, entry in enumerate(references):
        value = _number(entry)
        if value is None:
            raise ValueError(f"references[{k}] is {entry!r}, which names no finite number")
        true.append(value)
    found = [_number(entry) for entry in predictions]
    errors = [None if mine is None else mine - theirs for mine, theirs in zip(found, true, strict=True)]
    answered = np.sort(np.asarray([error for error in errors if error is not None], dtype=np.float64))
    relative = np.sort(
        np.asarray(
            [abs(error / value) for error, value in zip(errors, true, strict=True) if error is not None and value]
        )
    )
    return {
        "mae": _mean(np.sort(np.abs(answered))),
        "rmse": _mean(np.sort(answered**2)) ** 0.5,
        "mape": _mean(relative),
        "bias": _mean(answered),
        "exact": sum(error == 0 for error in errors) / len(errors),
        "items": len(errors),
        "unanswered": sum(error is None for error in errors),
        "zero_references": sum(value == 0 for value in true),
        "error": errors,
    }


def _number(entry: str | float) -> float | None:
    value = number_in(entry) if isinstance(entry, str) else float(entry)
    return value if value is not None and np.isfinite(value) else None


def _mean(values: np.typing.NDArray[np.float64]) -> float:
    return float(values.mean()) if len(values) else 0.0
