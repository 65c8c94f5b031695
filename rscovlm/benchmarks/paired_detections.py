"""Whether two detectors differ on the same images: boxes are matched once, and images are redrawn or swapped."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from rscovlm.benchmarks.detection_scores import NAMES, DetectionScorer
from rscovlm.metrics.ap_nc import headlines
from rscovlm.metrics.bootstrap import check_settings, interval
from rscovlm.metrics.matched_detections import DEFAULT_THRESHOLDS, Board, settle


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
    found = [one.found[place[item]] for one, place in zip((first, second), places, strict=True) for item in common]
    true = [first.true[places[0][item]] for item in common] * 2
    if not any(side["labels"] for side in true):
        raise ValueError("no true box is known, so the runs cannot be compared; choose a split with labels")
    board, n = Board.of(found, true, settle(protocol), None, DEFAULT_THRESHOLDS), len(common)
    rng, mine = np.random.default_rng(seed), np.arange(n)
    whole = _difference(board, mine, mine + n)
    drawn, swapped = [], []
    for _ in range(repeats):
        rows = rng.integers(n, size=n)
        drawn.append(_difference(board, rows, rows + n))
        flip = np.where(rng.random(n) < 0.5, n, 0)
        swapped.append(_difference(board, mine + flip, mine + n - flip))
    result: dict[str, dict[str, float]] = {}
    for key, name in NAMES.items():
        extreme = sum(abs(one[key]) >= abs(whole[key]) - 1e-12 for one in swapped)
        ends = interval(np.array([one[key] for one in drawn]), 0.95)
        result[name] = {"difference": whole[key], "p_value": (1 + extreme) / (1 + repeats), **ends, "items": n}
    return result


def _difference(board: Board, first: NDArray[Any], second: NDArray[Any]) -> dict[str, float]:
    one, two = (
        headlines(part, part.run("random", 1, 0, constant_too=False)) for part in map(board.redrawn, (first, second))
    )
    return {key: one[key] - two[key] for key in NAMES}
