"""How certain an AP_nc is: boxes are matched once, and images are redrawn from the matches."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any, Literal

import numpy as np

from rscovlm.metrics.ap_nc import headlines
from rscovlm.metrics.bootstrap import check_settings, clustered, interval, redraws
from rscovlm.metrics.matched_detections import DEFAULT_THRESHOLDS, Board, DetectionProtocol, settle
from rscovlm.metrics.matching import Shape
from rscovlm.metrics.precision import Interpolation
from rscovlm.metrics.redrawn_precision import can_redraw, redrawn_headlines


def bootstrap_ap_nc(
    predictions: Sequence[Any],
    references: Sequence[Any],
    *,
    clusters: Sequence[Hashable] | None = None,
    protocol: DetectionProtocol = "dota",
    iou_thresholds: Sequence[float] = DEFAULT_THRESHOLDS,
    interpolation: Interpolation | None = None,
    overlap: Shape | None = None,
    strict: bool | None = None,
    difficult: Literal["ignore", "count"] | None = None,
    ties: Literal["random", "stable"] = "random",
    orders: int = 1,
    repeats: int = 1000,
    confidence: float = 0.95,
    seed: int = 0,
) -> dict[str, Any]:
    """Estimate the confidence interval of AP_nc by drawing images with replacement.

    Gives what `bootstrap` gives for ``lambda p, r: ap_nc(p, r, repeats=orders)[name]["mean"]`` on the same draws, but
    reads and matches the boxes once instead of once per draw. Every draw shuffles its boxes anew, so that one order
    each is enough: the interval then holds the chance of ties too, as one run of `ap_nc` with one shuffle has it.
    The order of images changes nothing; which images are drawn depends on what they hold, the order of boxes included.

    Args:
        predictions: As for `ap_nc`.
        references: As for `ap_nc`.
        clusters: One name per image, such as the scene its tile comes from; None makes every image its own cluster.
        protocol: As for `ap_nc`, and so are the settings up to `ties`.
        iou_thresholds: Increasing overlaps in (0, 1].
        interpolation: Overrides the protocol, like the next three.
        overlap: Which shapes are compared.
        strict: Whether the overlap must exceed the threshold.
        difficult: Whether difficult boxes are ignored or counted.
        ties: ``"random"`` or ``"stable"``.
        orders: Shuffles per draw (the `repeats` of `ap_nc`).
        repeats: Number of draws.
        confidence: Share of draws inside the interval.
        seed: Another seed, other draws of images; shuffles are those of `ap_nc` with seed 0.

    Returns:
        For ``ap_nc50``, ``ap_nc75``, ``ap_nc50_95`` and ``ap_nc`` as far as the thresholds give them, and for ``ap50``
        and so on where there are scores: ``value`` (on all images), ``low``, ``high`` and ``std`` (standard error).
        Also ``confidence``, ``repeats``, ``items`` and ``clusters``. Values are fractions.

    Raises:
        ValueError: As `ap_nc` and `bootstrap`.

    Example:
        >>> square = {"boxes": [[0, 0, 9, 0, 9, 9, 0, 9]], "labels": ["ship"]}
        >>> missed = {"boxes": [], "labels": []}
        >>> result = bootstrap_ap_nc([square, missed] * 50, [square] * 100, repeats=50, interpolation="area")
        >>> result["ap_nc50"]["value"], 0.3 < result["ap_nc50"]["low"] < 0.5 < result["ap_nc50"]["high"] < 0.7
        (0.5, True)
    """
    rules = settle(protocol, interpolation=interpolation, overlap=overlap, strict=strict, difficult=difficult)
    if ties not in ("random", "stable"):
        raise ValueError(f"ties is {ties!r}; use 'random' or 'stable'")
    if orders < 1:
        raise ValueError(f"orders is {orders}; give at least 1")
    check_settings(repeats, confidence)
    board = Board.of(predictions, references, rules, None, iou_thresholds)
    groups = clustered((predictions, references), clusters)
    value = headlines(board, board.run(ties, orders, 0, constant_too=False))
    if can_redraw(board, ties):
        draws = redraws(groups, repeats, seed)
        counts = np.stack([np.bincount(rows, minlength=board.images).astype(np.int16) for rows in draws])
        drawn = {name: numbers.tolist() for name, numbers in redrawn_headlines(board, counts, orders).items()}
    else:
        drawn = {name: [] for name in value}
        for rows in redraws(groups, repeats, seed):
            again = board.redrawn(rows)
            for name, number in headlines(again, again.run(ties, orders, 0, constant_too=False)).items():
                drawn[name].append(number)
    result: dict[str, Any] = {
        name: {"value": value[name], **interval(np.asarray(numbers), confidence)} for name, numbers in drawn.items()
    }
    return result | {
        "confidence": confidence,
        "repeats": repeats,
        "items": len(references),
        "clusters": len(groups),
    }
