"""Choosing a score threshold."""

import ast
import json
from typing import Any

import numpy as np
import pytest

from rscovlm.metrics import ap_nc, calibrate_threshold
from tests.metrics.scenes import Item, scenes, shuffled


def _detector(seed: int) -> tuple[list[Item], list[Item]]:
    """Scenes whose right boxes score above 0.4 and whose wrong ones, many, below 0.6."""
    found, true = scenes(12, seed=seed, boxes=15)
    rng = np.random.default_rng(seed)
    for item, truth in zip(found, true, strict=True):
        n = len(item["labels"])
        near = np.asarray([np.abs(truth["boxes"] - box).mean(axis=1).min(initial=1e9) < 8 for box in item["boxes"]])
        item["scores"] = np.where(near, rng.uniform(0.4, 1.0, n), rng.uniform(0.0, 0.6, n))
    return found, true


def test_every_point_of_the_curve_is_ap_nc_of_what_is_kept() -> None:
    found, true = _detector(0)
    result = calibrate_threshold(found, true, score_thresholds=(0.0, 0.3, 0.7), ties="stable")
    for entry in result["curve"]:
        kept = []
        for item in found:
            keep = item["scores"] > entry["threshold"]
            kept.append({"boxes": item["boxes"][keep], "labels": list(np.asarray(item["labels"])[keep])})
        kept = [{**item, "labels": [str(label) for label in item["labels"]]} for item in kept]
        assert entry["mean"] == pytest.approx(ap_nc(kept, true, ties="stable")["ap_nc50"]["mean"], abs=1e-12)
        assert entry["kept"] == sum(len(item["labels"]) for item in kept)


def test_the_best_is_chosen_and_applied_to_the_other_split() -> None:
    found, true = _detector(1)
    other = _detector(2)
    result = calibrate_threshold(found, true, apply_to=other)
    assert [entry["threshold"] for entry in result["curve"]] == [round(0.05 * k, 2) for k in range(20)]
    assert result["best"]["mean"] == max(entry["mean"] for entry in result["curve"])
    assert 0.2 <= result["threshold"] <= 0.6
    assert result["applied"]["ap_nc50"]["mean"] > ap_nc(*other)["ap_nc50"]["mean"]


def test_order_changes_nothing() -> None:
    found, true = _detector(3)
    assert calibrate_threshold(found, true) == calibrate_threshold(*shuffled(found, true, 0))


def test_every_value_that_the_error_names_can_be_chosen() -> None:
    found, true = _detector(4)
    with pytest.raises(ValueError, match="use one of") as refused:
        calibrate_threshold(found, true, value="mf1")
    named = ast.literal_eval(str(refused.value).rpartition("use one of ")[2])
    assert "ap_nc50" in named
    for value in named:
        chosen = calibrate_threshold(found, true, value=value, score_thresholds=(0.3, 0.5))
        assert chosen["value"] == value
        assert 0 <= chosen["best"]["mean"] <= 1


def test_the_result_can_be_written_as_json() -> None:
    result = calibrate_threshold(*_detector(4), score_thresholds=(0.3, 0.5))
    assert json.loads(json.dumps(result)) == result


@pytest.mark.parametrize(
    ("change", "message"),
    [({"value": "mf1"}, "value is 'mf1'"), ({"score_thresholds": ()}, "empty"), ({"overlap": "mask"}, "overlap")],
)
def test_bad_settings_are_named(change: dict[str, Any], message: str) -> None:
    found, true = _detector(4)
    with pytest.raises(ValueError, match=message):
        calibrate_threshold(found, true, **change)


def test_scores_are_needed() -> None:
    found, true = scenes(2, seed=0)
    bare = [{"boxes": item["boxes"], "labels": item["labels"]} for item in found]
    with pytest.raises(ValueError, match="no 'scores'"):
        calibrate_threshold(bare, true)
    with pytest.raises(ValueError, match=r"apply_to\[0\]\[0\] has no 'scores'"):
        calibrate_threshold(found, true, apply_to=(bare, true))
