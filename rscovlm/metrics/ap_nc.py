"""AP_nc: average precision of detections that carry no confidence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, Literal

import numpy as np

from rscovlm.geometry.affine import Floats
from rscovlm.metrics.detections import Ints
from rscovlm.metrics.matched_detections import DEFAULT_THRESHOLDS, Board, DetectionProtocol, PrecisionTables, settle
from rscovlm.metrics.matching import Shape, odd_shapes
from rscovlm.metrics.precision import Interpolation

Stats = dict[str, float]


def ap_nc(
    predictions: Sequence[Any],
    references: Sequence[Any],
    *,
    protocol: DetectionProtocol = "dota",
    classes: Sequence[str] | None = None,
    iou_thresholds: Sequence[float] = DEFAULT_THRESHOLDS,
    interpolation: Interpolation | None = None,
    overlap: Shape | None = None,
    strict: bool | None = None,
    difficult: Literal["ignore", "count"] | None = None,
    ties: Literal["random", "stable"] = "random",
    repeats: int = 10,
    seed: int = 0,
) -> dict[str, Any]:
    """Compute the average precision of boxes without confidence, AP_nc, and with real scores standard AP beside it.

    Average precision wants the boxes in an order, and text has none to offer. With ``ties="random"`` all boxes of a
    class are shuffled `repeats` times and the mean over the shuffles is the value; a box's draw depends on its content,
    so no order of images or boxes changes a result. With ``ties="stable"`` the order is the one given: images as they
    come, boxes as they come, which is what the peers' programs do with constant scores.

    Each found box points at the true box of its class and image that it overlaps most, difficult ones included; it is
    right if that overlap passes the threshold and no earlier box took the same true box. There is no second choice.

    Shapes that are no plain quadrilateral never raise: without area they overlap nothing; crossing themselves or not
    convex they stand for the region they cover (or, under rectangles, for the rectangle around it). The result counts
    them.

    Args:
        predictions: One item per image: ``{"boxes": (n, 8) pixels, "labels": n names}``, with ``"scores"`` in all items
            or in none; `Boxes` of any kind and `Objects` are taken too.
        references: One item per image, the same, with ``"difficult": n flags`` where there are any.
        protocol: ``"dota"``: quadrilaterals, IoU > t, difficult ignored, 11 points (DOTA's development kit).
            ``"rscovlm"``: rectangles of smallest area, IoU >= t, difficult counted, 11 points (the paper's code on
            train and val). What it sets can be overridden below.
        classes: Class names; None takes all that occur. Means run over classes with a true box that counts.
        iou_thresholds: Increasing overlaps in (0, 1].
        interpolation: ``"11point"``, ``"area"`` or ``"101point"``.
        overlap: ``"quad"``, ``"rectangle"`` or ``"horizontal"``.
        strict: Whether the overlap must exceed the threshold. Overlaps are rounded to 10 decimals first.
        difficult: ``"ignore"`` or ``"count"``.
        ties: ``"random"`` or ``"stable"``.
        repeats: Number of shuffles.
        seed: Another seed, other shuffles.

    Returns:
        Plain numbers, lists and dictionaries. ``ap_nc50``, ``ap_nc75`` (where among the thresholds) and ``ap_nc``, the
        mean over thresholds (also as ``ap_nc50_95`` for the default ones), each with ``mean``, ``std`` (of the
        population), ``min`` and ``max`` over the shuffles; ``ap50`` and so on for real scores; ``constant_score``,
        the same values for the order given (alone to depend on it); ``mf1``, ``precision``, ``recall`` (means over
        classes, one-to-one, at the first threshold); ``thresholds``, ``per_class``, ``counts``, ``degenerate`` and
        ``settings``. Values are fractions. Without any true box that counts there is nothing to average: they are 0, and
        ``note`` says so, and whether finding nothing was right.

    Raises:
        ValueError: If inputs or settings are malformed; the message names the item.

    Source:
        RSCoVLM section III-D (AP_nc); CAPTAIN-WHU/DOTA_devkit ``dota_evaluation_task1.py``; mmrotate 1.x
        ``DOTAMetric``.

    Example:
        >>> square = [[0, 0, 10, 0, 10, 10, 0, 10]]
        >>> result = ap_nc([{"boxes": square, "labels": ["ship"]}], [{"boxes": square, "labels": ["ship"]}])
        >>> result["ap_nc50"]["mean"], result["ap_nc50_95"]["mean"]
        (1.0, 1.0)
    """
    rules = settle(protocol, interpolation=interpolation, overlap=overlap, strict=strict, difficult=difficult)
    if ties not in ("random", "stable"):
        raise ValueError(f"ties is {ties!r}; use 'random' or 'stable'")
    if repeats < 1:
        raise ValueError(f"repeats is {repeats}; give at least 1")
    board = Board.of(predictions, references, rules, classes, iou_thresholds)
    result = summarise(board, board.run(ties, repeats, seed))
    result["settings"] = {
        "protocol": protocol,
        **asdict(rules),
        "iou_thresholds": list(board.thresholds),
        "classes": list(board.classes),
        "ties": ties,
        "repeats": repeats if ties == "random" else 1,
        "seed": seed,
    }
    return result


def headlines(board: Board, run: PrecisionTables) -> dict[str, float]:
    """Return the means over orders alone: ``ap_nc50`` and so on, and with real scores ``ap50`` and so on."""
    counted = board.positives > 0
    tables = [("ap_nc", run.nc)] if run.real is None else [("ap_nc", run.nc), ("ap", run.real)]
    return {
        name: entry["mean"]
        for prefix, values in tables
        for name, entry in _headline(values[counted], board.thresholds, prefix).items()
        if not name.endswith("thresholds")
    }


def summarise(board: Board, run: PrecisionTables) -> dict[str, Any]:
    """Turn average precisions into the result's tables."""
    counted = board.positives > 0
    result: dict[str, Any] = {}
    result |= _headline(run.nc[counted], board.thresholds, "ap_nc")
    if run.real is not None:
        result |= _headline(run.real[counted], board.thresholds, "ap")
    constant = _headline(run.constant[counted], board.thresholds, "ap_nc")
    result["constant_score"] = {
        name: {t: value["mean"] for t, value in entry.items()} if name.endswith("thresholds") else entry["mean"]
        for name, entry in constant.items()
    }
    right, wrong = _decisions(board)
    scores = _rates(right, wrong, board.positives)
    means = {
        name: values[counted].mean(axis=0) if counted.any() else values[:0].sum(axis=0)
        for name, values in scores.items()
    }
    result |= {
        "mf1": float(means["f1"][0]),
        "precision": float(means["precision"][0]),
        "recall": float(means["recall"][0]),
    }
    result["thresholds"] = {
        _name(t): {
            "mf1": float(means["f1"][k]),
            "precision": float(means["precision"][k]),
            "recall": float(means["recall"][k]),
            "right": int(right[:, k].sum()),
            "wrong": int(wrong[:, k].sum()),
        }
        for k, t in enumerate(board.thresholds)
    }
    result["per_class"] = {
        name: _class_row(board, run, c, right[c], wrong[c], {n: v[c] for n, v in scores.items()})
        for c, name in enumerate(board.classes)
    }
    result["counts"] = {
        "images": board.images,
        "found": len(board.found),
        "true": len(board.true),
        "difficult": int(board.true.flags.sum()),
        "classes_in_mean": int(counted.sum()),
    }
    if not counted.any():
        result["note"] = _NOTHING_FOUND if not len(board.found) else _NOTHING_TRUE
    result["degenerate"] = {
        "predictions": odd_shapes(board.found.quads),
        "references": odd_shapes(board.true.quads),
        "policy": _POLICY[board.rules.overlap],
    }
    return result


_NOTHING_TRUE = "no true box counts, so there is no average precision; the zeros are no result, and every box found is a false alarm"
_NOTHING_FOUND = (
    "no true box counts and none was found, which is right; there is no average precision, and the zeros are no result"
)

_POLICY = {
    "quad": "zero area: overlaps nothing; self-crossing or not convex: stands for the region it covers",
    "rectangle": "every quadrilateral stands for the rectangle of smallest area around it; zero area: overlaps nothing",
    "horizontal": "every quadrilateral stands for the horizontal box around it; zero area: overlaps nothing",
}


def _name(threshold: float) -> str:
    """0.5 -> "0.50", 0.525 -> "0.525"."""
    return f"{threshold:.2f}" if round(threshold, 2) == threshold else repr(threshold)


def _stats(values: Floats) -> Stats:
    return {
        "mean": float(values.mean()),
        "std": float(values.std()),
        "min": float(values.min()),
        "max": float(values.max()),
    }


def _headline(values: Floats, thresholds: tuple[float, ...], name: str) -> dict[str, Any]:
    """Return the means over the leading axis of (classes, thresholds, repeats), as named statistics."""
    mean = values.mean(axis=0) if len(values) else np.zeros(values.shape[1:])
    result: dict[str, Any] = {
        f"{name}{round(100 * t)}": _stats(mean[thresholds.index(t)]) for t in (0.5, 0.75) if t in thresholds
    }
    if thresholds == DEFAULT_THRESHOLDS:
        result[f"{name}50_95"] = _stats(mean.mean(axis=0))
    result[name] = _stats(mean.mean(axis=0))
    result[f"{name}_thresholds"] = {_name(t): _stats(mean[k]) for k, t in enumerate(thresholds)}
    return result


def _decisions(board: Board) -> tuple[Ints, Ints]:
    """Return (classes, thresholds) numbers of right and wrong boxes."""
    n = len(board.thresholds)
    right, wrong = np.zeros((len(board.classes), n), np.int64), np.zeros((len(board.classes), n), np.int64)
    found = np.bincount(board.found.label, minlength=len(board.classes))
    wrong += found[:, None]
    for c, rows, positives in board.parts():
        outcomes = board.outcomes(rows, board.fair, positives)
        right[c] = outcomes.right(n)
        wrong[c] = outcomes.counted(n) - right[c]
    return right, wrong


def _rates(right: Ints, wrong: Ints, positives: Ints) -> dict[str, Floats]:
    """Return one-to-one precision, recall and F1, (classes, thresholds); 0 where nothing was found or is true."""
    found = right + wrong
    return {
        "precision": right / np.maximum(found, 1),
        "recall": right / np.maximum(positives, 1)[:, None],
        "f1": 2 * right / np.maximum(found + positives[:, None], 1),
    }


def _class_row(
    board: Board, run: PrecisionTables, c: int, right: Ints, wrong: Ints, rates: dict[str, Floats]
) -> dict[str, Any]:
    row: dict[str, Any] = _headline(run.nc[c : c + 1], board.thresholds, "ap_nc")
    if run.real is not None:
        row |= _headline(run.real[c : c + 1], board.thresholds, "ap")
    row["constant_score"] = {_name(t): float(run.constant[c, k, 0]) for k, t in enumerate(board.thresholds)}
    row |= {
        "true": int(board.positives[c]),
        "difficult": int((board.true.flags & (board.true.label == c)).sum()),
        "found": int((board.found.label == c).sum()),
        "in_mean": bool(board.positives[c]),
    }
    for k, t in enumerate(board.thresholds):
        if t in (0.5, 0.75):
            percent = round(100 * t)
            row |= {f"right{percent}": int(right[k]), f"wrong{percent}": int(wrong[k])}
            row |= {f"{name}{percent}": float(values[k]) for name, values in rates.items()}
    return row
