"""Choosing the confidence above which a conventional detector's boxes are kept, so that AP_nc compares it fairly."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from rscovlm.metrics.ap_nc import ap_nc, summarise
from rscovlm.metrics.detections import Bools, above
from rscovlm.metrics.matched_detections import DEFAULT_THRESHOLDS, Board, DetectionProtocol, settle

SWEEP = tuple(round(0.05 * k, 2) for k in range(20))


def calibrate_threshold(
    predictions: Sequence[Any],
    references: Sequence[Any],
    *,
    apply_to: tuple[Sequence[Any], Sequence[Any]] | None = None,
    score_thresholds: Sequence[float] = SWEEP,
    value: str = "ap_nc50",
    protocol: DetectionProtocol = "dota",
    classes: Sequence[str] | None = None,
    iou_thresholds: Sequence[float] = DEFAULT_THRESHOLDS,
    ties: Literal["random", "stable"] = "random",
    repeats: int = 10,
    seed: int = 0,
    **overrides: Any,
) -> dict[str, Any]:
    """Sweep the score threshold on one split, take the best AP_nc, and apply it to another split.

    A detector that scores its boxes emits thousands of weak ones; without scores they drown the good ones. The fair
    comparison keeps boxes whose score exceeds a threshold, the one that is best on a split the test does not use.

    Args:
        predictions: As for `ap_nc`, with ``"scores"``: the split to choose on.
        references: The truth of that split.
        apply_to: Predictions (with scores) and references of the split to report.
        score_thresholds: Thresholds to try; a box is kept if its score is greater.
        value: What to maximise: ``"ap_nc50"``, ``"ap_nc75"``, ``"ap_nc50_95"`` or ``"ap_nc"``. Of equals the lowest
            threshold wins.
        protocol: As for `ap_nc`.
        classes: As for `ap_nc`.
        iou_thresholds: As for `ap_nc`.
        ties: As for `ap_nc`.
        repeats: As for `ap_nc`.
        seed: As for `ap_nc`.
        overrides: `interpolation`, `overlap`, `strict` and `difficult`, as for `ap_nc`.

    Returns:
        ``threshold`` (the best), ``best`` (its value: mean, std, min, max over the shuffles), ``curve`` (one entry per
        threshold: ``threshold``, ``kept`` boxes, ``mean``, ``std``, ``min``, ``max``), ``applied`` (the full result of
        `ap_nc` on the other split at that threshold, or None), ``value``.

    Raises:
        ValueError: As `ap_nc`, or if predictions carry no scores or `value` is not among the results.

    Source:
        RSCoVLM section III-D and figure 5; mllm-mmrotate ``map_nc_robustness_cal.py`` (0.00 to 0.95 by 0.05).
    """
    settings: dict[str, Any] = {"classes": classes, "iou_thresholds": iou_thresholds}
    board = Board.of(predictions, references, settle(protocol, **overrides), **settings)
    scores = board.found.scores
    if scores is None:
        raise ValueError("predictions have no 'scores'; a threshold needs them, give them in every item")
    if not len(score_thresholds):
        raise ValueError("score_thresholds is empty; give at least one")
    curve: list[dict[str, Any]] = []
    for threshold in score_thresholds:
        keep = scores > threshold
        curve.append(
            {"threshold": float(threshold), "kept": int(keep.sum()), **_value(board, keep, value, ties, repeats, seed)}
        )
    best = max(curve, key=lambda entry: (entry["mean"], -entry["threshold"]))
    applied = None
    if apply_to is not None:
        kept = [above(item, best["threshold"], f"apply_to[0][{k}]") for k, item in enumerate(apply_to[0])]
        applied = ap_nc(
            kept, apply_to[1], protocol=protocol, ties=ties, repeats=repeats, seed=seed, **settings, **overrides
        )
    return {
        "threshold": best["threshold"],
        "best": {name: best[name] for name in ("mean", "std", "min", "max")},
        "curve": curve,
        "applied": applied,
        "value": value,
    }


def _value(board: Board, keep: Bools, value: str, ties: str, repeats: int, seed: int) -> dict[str, float]:
    result = summarise(board, board.run(ties, repeats, seed, keep))
    if not value.startswith("ap_nc") or "mean" not in result.get(value, ()):
        names = [name for name in result if name.startswith("ap_nc") and "mean" in result[name]]
        raise ValueError(f"value is {value!r}; use one of {names}")
    entry: dict[str, float] = result[value]
    return entry
