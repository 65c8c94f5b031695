"""Risk and coverage beside brute force over all orders of equal confidences."""

import itertools

import numpy as np
import pytest

from rscovlm.metrics import selective_risk


def _by_hand(credits: list[float], sure: list[float]) -> tuple[float, dict[float, float]]:
    areas, halves = [], []
    for order in itertools.permutations(range(len(credits))):
        if any(sure[a] < sure[b] for a, b in itertools.pairwise(order)):
            continue
        kept = [credits[place] for place in order]
        areas.append(np.mean([1 - np.mean(kept[:k]) for k in range(1, len(kept) + 1)]))
        halves.append(np.mean(kept[: max(1, round(0.5 * len(kept)))]))
    return float(np.mean(areas)), {0.5: float(np.mean(halves)), 1.0: float(np.mean(credits))}


@pytest.mark.parametrize("seed", range(12))
def test_every_order_of_equal_confidences_counts(seed: int) -> None:
    rng = np.random.default_rng(seed)
    number = int(rng.integers(1, 7))
    credits = rng.choice([0.0, 0.5, 1.0], number).tolist()
    sure = rng.choice([0.1, 0.4, 0.8], number).tolist()
    area, accuracy = _by_hand(credits, sure)
    found = selective_risk(credits, sure, coverages=(0.5, 1.0))
    assert found["aurc"] == pytest.approx(area)
    assert found["accuracy"] == pytest.approx(accuracy)
    assert found["best_aurc"] <= found["aurc"] + 1e-12


@pytest.mark.parametrize(
    ("credits", "sure", "coverages", "words"),
    [
        ([1.0], [float("nan")], (1.0,), "finite"),
        ([1.0], [0.5, 0.6], (1.0,), "has 1"),
        ([1.0], [0.5], (0.0,), "coverages hold 0"),
        ([], [], (1.0,), "no items"),
    ],
)
def test_what_has_no_risk(credits: list[float], sure: list[float], coverages: tuple[float, ...], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        selective_risk(credits, sure, coverages=coverages)
