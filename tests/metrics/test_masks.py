"""Metrics of masks against formulas written out pixel by pixel, and pycocotools and scikit-learn where they are installed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rscovlm.geometry.distance import distances
from rscovlm.metrics import boundary_f1, change_score, class_iou, mask_iou

SEEDS = st.integers(0, 2**32 - 1)


def _masks(seed: int, count: int = 5) -> tuple[list[Any], list[Any]]:
    rng = np.random.default_rng(seed)
    pairs = []
    for _ in range(count):
        shape = rng.integers(1, 12, 2)
        true = rng.random(shape) < rng.choice([0, 0.3, 0.7])
        flipped = true ^ (rng.random(shape) < rng.choice([0, 0.1, 0.5]))
        pairs.append((flipped & (rng.random() < 0.9), true))
    return [one for one, _ in pairs], [two for _, two in pairs]


@settings(max_examples=60, deadline=None)
@given(SEEDS)
def test_overlaps_counted_pixel_by_pixel(seed: int) -> None:
    found, true = _masks(seed)
    shared, whole = [], []
    for mine, theirs in zip(found, true, strict=True):
        both = either = 0
        for y, x in np.ndindex(*mine.shape):
            both += bool(mine[y, x] and theirs[y, x])
            either += bool(mine[y, x] or theirs[y, x])
        shared.append(both)
        whole.append(either)
    ious = [a / b if b else 1.0 for a, b in zip(shared, whole, strict=True)]
    some = [a / b for a, b in zip(shared, whole, strict=True) if b]
    result = mask_iou(found, true)
    assert result["iou"] == pytest.approx(ious)
    assert result["giou"] == pytest.approx(sum(ious) / 5)
    assert result["ciou"] == pytest.approx(sum(shared) / sum(whole) if sum(whole) else 1)
    assert result["miou"] == pytest.approx(sum(some) / len(some) if some else 1)
    assert result["precision"][0.5] == sum(iou > 0.5 for iou in ious) / 5
    assert result["precision_at_least"][0.5] == sum(iou >= 0.5 for iou in ious) / 5
    order = np.random.default_rng(seed).permutation(5)
    again = mask_iou((found[k] for k in order), (true[k] for k in order))
    assert {name: again[name] for name in ("giou", "ciou", "miou")} == {
        name: result[name] for name in ("giou", "ciou", "miou")
    }


def test_overlaps_of_pycocotools() -> None:
    mask = pytest.importorskip("pycocotools.mask", reason="pycocotools is not installed")
    found, true = _masks(3, 20)
    theirs = []
    for mine, other in zip(found, true, strict=True):
        runs = [mask.encode(np.asfortranarray(one.astype("uint8"))) for one in (mine, other)]
        theirs.append(float(mask.iou([runs[0]], [runs[1]], [0])[0, 0]) if mine.any() or other.any() else 1.0)
    assert mask_iou(found, true)["iou"] == pytest.approx(theirs)


@settings(max_examples=60, deadline=None)
@given(SEEDS)
def test_classes_counted_pixel_by_pixel(seed: int) -> None:
    rng = np.random.default_rng(seed)
    true = [rng.integers(0, 4, (5, 6)) for _ in range(3)]
    found = [np.where(rng.random((5, 6)) < 0.6, one, rng.integers(0, 6, (5, 6))) for one in true]
    result = class_iou(found, true, 4, ignore=2)
    pairs = [
        (int(f), int(t))
        for a, b in zip(found, true, strict=True)
        for f, t in zip(a.ravel(), b.ravel(), strict=True)
        if t != 2
    ]
    expected = []
    for number in range(4):
        both = sum(f == t == number for f, t in pairs)
        either = sum(number in (f, t) for f, t in pairs)
        expected.append(both / either if either else None)
    assert result["iou"] == [pytest.approx(one) if one is not None else None for one in expected]
    assert result["miou"] == pytest.approx(np.mean([one for one in expected if one is not None]))
    assert result["accuracy"] == pytest.approx(sum(f == t for f, t in pairs) / len(pairs))
    assert result["unknown"] == sum(f > 3 for f, _ in pairs)


@settings(max_examples=60, deadline=None)
@given(SEEDS)
def test_change_counted_pixel_by_pixel(seed: int) -> None:
    found, true = _masks(seed)
    pairs = [
        (bool(f), bool(t)) for a, b in zip(found, true, strict=True) for f, t in zip(a.ravel(), b.ravel(), strict=True)
    ]
    hits, alarms, missed = (pairs.count(kind) for kind in ((True, True), (True, False), (False, True)))
    result = change_score(found, true)
    if hits:
        precision, recall = hits / (hits + alarms), hits / (hits + missed)
        assert result["f1"] == pytest.approx(2 * precision * recall / (precision + recall))
        assert result["iou"] == pytest.approx(hits / (hits + alarms + missed))
    assert result["accuracy"] == pytest.approx(sum(f == t for f, t in pairs) / len(pairs))
    table = np.array([[hits, missed], [alarms, len(pairs) - hits - alarms - missed]]) / len(pairs)
    expected = (table.sum(0) * table.sum(1)).sum()
    assert result["kappa"] == pytest.approx((np.trace(table) - expected) / (1 - expected) if expected < 1 else 1)
    assert result["false_alarm_items"] == sum(a.any() and not b.any() for a, b in zip(found, true, strict=True))


@settings(max_examples=60, deadline=None)
@given(SEEDS, st.sampled_from([0, 1, 1.5, 3]))
def test_boundaries_compared_pixel_by_pixel(seed: int, tolerance: float) -> None:
    found, true = _masks(seed, 3)
    expected = []
    for mine, theirs in zip(found, true, strict=True):
        edges = [_edge(mine), _edge(theirs)]
        if not edges[0] or not edges[1]:
            expected.append(float(not edges[0] and not edges[1]))
            continue
        shares = [
            np.mean([any((y - v) ** 2 + (x - u) ** 2 <= tolerance**2 for v, u in other) for y, x in one])
            for one, other in (edges, edges[::-1])
        ]
        expected.append(float(2 * shares[0] * shares[1] / sum(shares)) if sum(shares) else 0.0)
    assert boundary_f1(found, true, tolerance=tolerance)["per_item"] == pytest.approx(expected)


def _edge(mask: Any) -> list[tuple[int, int]]:
    height, width = mask.shape
    return [
        (y, x)
        for y, x in np.argwhere(mask).tolist()
        if any(
            not (0 <= y + dy < height and 0 <= x + dx < width and mask[y + dy, x + dx])
            for dy, dx in ((0, 1), (1, 0), (0, -1), (-1, 0))
        )
    ]


@settings(max_examples=80, deadline=None)
@given(SEEDS, st.booleans())
def test_distances_are_the_least_of_all(seed: int, edge: bool) -> None:
    rng = np.random.default_rng(seed)
    mask = rng.random(rng.integers(1, 14, 2)) < rng.choice([0.5, 0.9, 1.0])
    outside = np.argwhere(~np.pad(mask, 1, constant_values=not edge)) - 1
    found = distances(mask, edge=edge)
    for y, x in np.ndindex(*mask.shape):
        if mask[y, x]:
            least = min((float(np.hypot(y - v, x - u)) for v, u in outside), default=np.inf)
            assert found[y, x] == pytest.approx(least)
        else:
            assert found[y, x] == 0


def test_nothing_found_where_nothing_is_counts_as_right() -> None:
    nothing = [np.zeros((3, 3))]
    assert (
        mask_iou(nothing, nothing)["giou"]
        == change_score(nothing, nothing)["f1"]
        == boundary_f1(nothing, nothing)["f1"]
        == 1
    )
    assert change_score(nothing, nothing)["kappa"] == change_score([np.ones((2, 3))], [np.ones((2, 3))])["kappa"] == 1
    something = [np.eye(3)]
    assert (
        mask_iou(something, nothing)["giou"]
        == change_score(something, nothing)["f1"]
        == boundary_f1(something, nothing)["f1"]
        == 0
    )


@pytest.mark.parametrize("metric", [mask_iou, change_score, boundary_f1, lambda a, b: class_iou(a, b, 2)])
@pytest.mark.parametrize(
    ("found", "true", "message"),
    [
        ([], [], "no masks"),
        ([[[1]]], [], "only 0 references"),
        ([[[1, 0]]], [[[1]]], "shapes"),
        ([[1]], [[1]], "shapes"),
    ],
)
def test_bad_pairs_are_named(metric: Any, found: Any, true: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        metric(found, true)


def test_a_true_class_out_of_range_is_named() -> None:
    with pytest.raises(ValueError, match="class 255"):
        class_iou([[[0]]], [[[255]]], 2)


def test_classes_that_do_not_occur_count_in_no_mean() -> None:
    # Of four classes the third is nowhere; the fourth is found alone.
    found, true = [[0, 0, 1, 1, 1, 3]], [[0, 1, 1, 1, 1, 1]]
    result = class_iou([found], [true], 4)
    assert result["iou"] == [1 / 2, 3 / 5, None, 0.0]
    assert result["f1"] == [2 / 3, 6 / 8, None, 0.0]
    assert result["miou"] == pytest.approx((1 / 2 + 3 / 5 + 0) / 3)
    assert result["mean_f1"] == pytest.approx((2 / 3 + 6 / 8 + 0) / 3)
    assert (result["accuracy"], result["pixels"], result["unknown"]) == (pytest.approx(4 / 6), 6, 0)
    assert result["confusion"] == [[1, 0, 0, 0], [1, 3, 0, 1], [0, 0, 0, 0], [0, 0, 0, 0]]
