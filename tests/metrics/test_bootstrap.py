"""Confidence intervals and paired tests held against what is known in closed form."""

import random
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from rscovlm.metrics import ap_nc, bootstrap, bootstrap_ap_nc, paired_test
from tests.metrics.scenes import scenes, shuffled


def share(hits: Sequence[float]) -> float:
    return sum(hits) / len(hits)


def test_standard_error_of_a_share() -> None:
    hits = [1.0] * 60 + [0.0] * 140
    result = bootstrap(share, hits, repeats=2000)
    assert result["value"] == pytest.approx(0.3)
    assert result["std"] == pytest.approx(np.sqrt(0.3 * 0.7 / 200), rel=0.1)
    assert result["low"] < 0.3 < result["high"]


def test_questions_about_one_image_count_once() -> None:
    # Twenty images of ten questions, all right or all wrong: as uncertain as twenty items.
    hits = [float(image < 6) for image in range(20) for _ in range(10)]
    images = [f"image-{image}" for image in range(20) for _ in range(10)]
    clustered = bootstrap(share, hits, clusters=images, repeats=2000)
    assert clustered["clusters"] == 20
    assert clustered["std"] == pytest.approx(np.sqrt(0.3 * 0.7 / 20), rel=0.1)
    assert clustered["std"] > 2 * bootstrap(share, hits)["std"]


def test_order_of_items_changes_nothing() -> None:
    rng = random.Random(0)
    rows = [(rng.random(), rng.random(), f"image-{rng.randrange(9)}") for _ in range(60)]
    turned = rng.sample(rows, len(rows))
    for clustered in (False, True):
        results = []
        for table in (rows, turned):
            a, b, names = ([row[k] for row in table] for k in range(3))
            clusters = names if clustered else None
            results.append(
                (
                    bootstrap(share, a, clusters=clusters, repeats=50),
                    paired_test(share, a, b, clusters=clusters, repeats=50),
                )
            )
        for first, again in zip(*results, strict=True):
            assert first == pytest.approx(again, abs=1e-12)


def test_a_detection_metric_can_be_redrawn() -> None:
    found, true = scenes(8, seed=0, boxes=6)

    def value(p: Any, r: Any) -> float:
        return float(ap_nc(p, r, ties="stable")["ap_nc50"]["mean"])

    result = bootstrap(value, found, true, repeats=20)
    assert result["value"] == value(found, true)
    assert result["low"] < result["high"]
    again = bootstrap(lambda p, r: ap_nc(p, r, repeats=2)["ap_nc50"]["mean"], *shuffled(found, true, 0), repeats=3)
    assert again["clusters"] == 8


@pytest.mark.parametrize("ties", ["random", "stable"])
@pytest.mark.parametrize("protocol", ["dota", "rscovlm"])
@pytest.mark.parametrize("scored", [True, False])
def test_matching_once_gives_what_matching_every_draw_gives(protocol: Any, ties: Any, scored: bool) -> None:
    found, true = scenes(7, seed=3, boxes=9, doubles=0.5)
    found, true = [*found, found[0], {"boxes": [], "labels": []}], [*true, true[0], true[1]]  # twins, and nothing found
    if not scored:
        found = [{"boxes": item["boxes"], "labels": item["labels"]} for item in found]
    scenes_of = ["a", "a", "b", "c", "c", "c", "d", "e", "e"]
    fast = bootstrap_ap_nc(found, true, clusters=scenes_of, protocol=protocol, ties=ties, orders=2, repeats=12, seed=4)
    names = [f"{kind}{at}" for kind in ("ap_nc", "ap")[: 1 + scored] for at in ("50", "75", "50_95")]
    for name in names[:: 2 if scored else 1]:

        def value(p: Any, r: Any, name: str = name) -> float:
            return float(ap_nc(p, r, protocol=protocol, ties=ties, repeats=2)[name]["mean"])

        slow = bootstrap(value, found, true, clusters=scenes_of, repeats=12, seed=4)
        assert fast[name] == pytest.approx({key: slow[key] for key in fast[name]}, abs=1e-12)
        assert {"value", "low", "high", "std"} <= set(fast[name])
        assert fast[name]["std"] > 0
    assert (fast["items"], fast["clusters"]) == (slow["items"], slow["clusters"]) == (9, 5)
    turned = bootstrap_ap_nc(found[::-1], true[::-1], protocol=protocol, repeats=5)["ap_nc50"]
    assert turned == pytest.approx(bootstrap_ap_nc(found, true, protocol=protocol, repeats=5)["ap_nc50"], abs=1e-12)


@pytest.mark.parametrize(
    ("settings", "message"),
    [({"orders": 0}, "orders is 0"), ({"repeats": 1}, "repeats is 1"), ({"ties": "luck"}, "ties is 'luck'")],
)
def test_bad_settings_of_a_redrawn_detection_metric_are_named(settings: dict[str, Any], message: str) -> None:
    found, true = scenes(2, seed=0, boxes=3)
    with pytest.raises(ValueError, match=message):
        bootstrap_ap_nc(found, true, **settings)


def test_chance_alone_gives_even_p_values() -> None:
    rng = np.random.default_rng(0)
    values = []
    for seed in range(60):
        a, b = rng.random(40) < 0.5, rng.random(40) < 0.5
        values.append(paired_test(share, a.tolist(), b.tolist(), repeats=60, seed=seed)["p_value"])
    assert np.mean(np.asarray(values) < 0.1) < 0.25
    assert np.mean(np.asarray(values) > 0.5) > 0.3


def test_a_real_difference_is_found_and_the_same_model_is_not() -> None:
    rng = np.random.default_rng(1)
    better, worse = (rng.random(300) < 0.8).tolist(), (rng.random(300) < 0.6).tolist()
    result = paired_test(share, better, worse, repeats=300)
    assert result["p_value"] < 0.01
    assert 0 < result["low"] < result["difference"] < result["high"]
    same = paired_test(share, better, better, repeats=50)
    assert (same["difference"], same["p_value"]) == (0.0, 1.0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"columns": ([], [])}, "no items"),
        ({"columns": ([1], [1, 2])}, r"\[1, 2\] entries"),
        ({"columns": ([1],), "clusters": ["a", "b"]}, r"\[1, 2\] entries"),
        ({"columns": ([1],), "repeats": 1}, "repeats is 1"),
        ({"columns": ([1],), "confidence": 1.0}, "confidence 1.0"),
    ],
)
def test_bad_input_is_named(arguments: dict[str, Any], message: str) -> None:
    columns = arguments.pop("columns")
    with pytest.raises(ValueError, match=message):
        bootstrap(lambda *_: 0.0, *columns, **arguments)
