"""Errors of counts."""

import json
import random
from typing import Any

import numpy as np
import pytest

from rscovlm.metrics import count_error
from rscovlm.metrics.texts import number_in
from tests.oracles import oracle


def test_recorded_vhm_errors() -> None:
    data = json.loads(oracle("vqa/rsvqa_vhm_312.json").read_text())
    rows = [row for row in data["rows"] if row["image_path"].startswith("counting")]
    result = count_error([row["output"] for row in rows], [row["ground_truth"] for row in rows])
    assert result["mae"] == pytest.approx(data["expected"]["counting_mae"], abs=1e-12)
    assert result["mape"] == pytest.approx(data["expected"]["counting_mape"], abs=1e-12)


def test_errors_by_hand_in_any_order() -> None:
    rng = random.Random(0)
    pairs = [(rng.randrange(20), rng.randrange(20)) for _ in range(100)]
    difference = np.asarray([a - b for a, b in pairs])
    true = np.asarray([b for _, b in pairs])
    rng.shuffle(pairs)
    result = count_error([f"There are {a}." for a, _ in pairs], [b for _, b in pairs])
    assert result["mae"] == pytest.approx(np.abs(difference).mean())
    assert result["rmse"] == pytest.approx(np.sqrt((difference**2).mean()))
    assert result["bias"] == pytest.approx(difference.mean())
    assert result["mape"] == pytest.approx((np.abs(difference)[true > 0] / true[true > 0]).mean())
    assert result["zero_references"] == (true == 0).sum()


def test_no_number_is_counted_apart() -> None:
    result = count_error(["many", "", float("nan"), 3], [3, 3, 3, 3])
    assert (result["mae"], result["exact"], result["unanswered"]) == (0.0, 0.25, 3)
    assert result["error"] == [None, None, None, 0.0]


@pytest.mark.parametrize(
    ("predictions", "references", "message"),
    [([1], [], "1"), ([], [], "no items"), ([1, 2], [1, "a lot"], r"references\[1\]")],
)
def test_bad_input_is_named(predictions: Any, references: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        count_error(predictions, references)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("two ships and three planes", 2),
        ("one hundred and five", 105),
        ("three million two hundred thousand and six", 3_200_006),
        ("thousands of cars, some twelve of them red", 12),
        ("12 of twenty", 12),
        ("twenty of 12", 20),
        ("-3", -3),
    ],
)
def test_the_first_number_counts(text: str, number: float | None) -> None:
    assert number_in(text) == number
