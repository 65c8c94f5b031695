"""Whether two detectors differ on the same images: boxes are matched once, and images are redrawn or swapped."""

from __future__ import annotations

import numpy as np

from rscovlm.benchmarks.detection_scores import NAMES, DetectionScorer, Side
from rscovlm.geometry.affine import Floats
from rscovlm.metrics.bootstrap import check_settings, interval
from rscovlm.metrics.matched_detections import DEFAULT_THRESHOLDS, Board, settle
from rscovlm.metrics.redrawn_precision import Counts, redrawn_headlines


def compare_detections(
    first: DetectionScorer, second: DetectionScorer, protocol: str, *, repeats: int = 1000, seed: int = 0
) -> dict[str, dict[str, float]]:
    """Test whether two detectors differ on the images that both answer; see `rscovlm.metrics.paired_test`.

    Args:
        first: What one found.
        second: What the other found.
        protocol: Protocol of `ap_nc`.
        repeats: Number of swaps, and of redraws.
        seed: Another seed, other draws.

    Returns:
        By figure ``difference`` (first minus second), ``p_value``, ``low``, ``high`` and ``items``.

    Raises:
        ValueError: They answer no image in common, or no true box is known.
    """
    check_settings(repeats, 0.95)
    places = [{item: place for place, item in enumerate(one.items)} for one in (first, second)]
    common = sorted(places[0].keys() & places[1].keys())
    if not common:
        raise ValueError("the two runs answer no image in common; compare runs of one benchmark")
    found = [
        _unscored(one.found[place[item]]) for one, place in zip((first, second), places, strict=True) for item in common
    ]
    true = [first.true[places[0][item]] for item in common] * 2
    if not any(side["labels"] for side in true):
        raise ValueError("no true box is known, so the runs cannot be compared; choose a split with labels")
    board, n = Board.of(found, true, settle(protocol), None, DEFAULT_THRESHOLDS), len(common)
    rng = np.random.default_rng(seed)
    rows = np.stack([np.bincount(rng.integers(n, size=n), minlength=n) for _ in range(repeats)]).astype(np.int16)
    flip = rng.random((repeats, n)) < 0.5
    zero, one = np.zeros_like(rows), np.ones((1, n), np.int16)
    whole = _difference(board, np.hstack([one, 0 * one]), np.hstack([0 * one, one]))
    drawn = _difference(board, np.hstack([rows, zero]), np.hstack([zero, rows]))
    kept, moved = (~flip).astype(np.int16), flip.astype(np.int16)
    swapped = _difference(board, np.hstack([kept, moved]), np.hstack([moved, kept]))
    result: dict[str, dict[str, float]] = {}
    for key, name in NAMES.items():
        found_here = float(whole[key][0])
        extreme = int((np.abs(swapped[key]) >= abs(found_here) - 1e-12).sum())
        ends = interval(drawn[key], 0.95)
        result[name] = {"difference": found_here, "p_value": (1 + extreme) / (1 + repeats), **ends, "items": n}
    return result


def _difference(board: Board, first: Counts, second: Counts) -> dict[str, Floats]:
    one, two = redrawn_headlines(board, first), redrawn_headlines(board, second)
    return {key: one[key] - two[key] for key in NAMES}


def _unscored(side: Side) -> Side:
    return {key: side[key] for key in ("boxes", "labels")}
