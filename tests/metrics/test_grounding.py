"""Grounding accuracy held against the reference system's recorded decisions and against itself."""

import json
from typing import Any

import numpy as np
import pytest
import shapely

from rscovlm.geometry import Boxes
from rscovlm.metrics import grounding_accuracy, rescaled, rscovlm_answer
from tests.oracles import oracle


@pytest.mark.parametrize("case", ["plain_200", "json_edges"])
def test_decisions_of_the_reference_system(case: str) -> None:
    data = json.loads(oracle(f"grounding/{case}.json").read_text())
    boxes = []
    for row, item in zip(data["rows"], data["expected"]["items"], strict=True):
        box = rscovlm_answer(row["output"], data["prompt_type"])
        assert (box or [0, 0, 0, 0]) == item["parsed"]
        sizes = [(row[f"{name}_width"], row[f"{name}_height"]) for name in ("resized", "original")]
        boxes.append(rescaled(box, sizes[0], sizes[1]))
    result = grounding_accuracy(boxes, [row["bbox"] for row in data["rows"]], protocol="rscovlm")
    expected = [item["iou"] for item in data["expected"]["items"]]
    np.testing.assert_allclose(result["iou"], expected, atol=1e-7)
    correct = [item["correct"] for item in data["expected"]["items"]]
    assert [int(value > 0.5) for value in result["iou"]] == correct
    assert result["acc50"] == pytest.approx(np.mean(correct))


def test_one_pixel_rule_is_the_named_variant_alone() -> None:
    thin, same = [0, 0, 100, 1], [0, 0, 100, 1]
    assert grounding_accuracy([thin], [same])["acc50"] == 1.0
    assert grounding_accuracy([thin], [same], protocol="rscovlm")["acc50"] == 0.0
    wide = [0, 0, 100, 1.001]
    assert grounding_accuracy([wide], [wide], protocol="rscovlm")["acc50"] == 1.0


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize(("shared", "iou"), [(0.5, 0.0), (1.0, 0.0), (1.25, 1.25 * 40 / (2 * 60 * 40 - 1.25 * 40))])
def test_the_one_pixel_rule_looks_at_what_two_boxes_share(axis: int, shared: float, iou: float) -> None:
    # Boxes of 60 by 40 far from the origin, moved apart until so many pixels are shared along one axis.
    one = np.array([300.0, 500, 360, 540])
    if axis:
        one = one[[1, 0, 3, 2]]
    other = one.copy()
    other[[axis, axis + 2]] += 60 - shared
    for pair in ([one], [other]), ([other], [one]):
        assert grounding_accuracy(*pair, protocol="rscovlm")["iou"] == [pytest.approx(iou, abs=1e-9)]
        plain = shared * 40 / (2 * 60 * 40 - shared * 40)
        assert grounding_accuracy(*pair)["iou"] == [pytest.approx(plain, abs=1e-9)]


@pytest.mark.parametrize(("more", "right"), [(3e-10, 1.0), (3e-11, 0.0), (-3e-11, 0.0)])
def test_an_overlap_exceeds_the_threshold_from_its_tenth_decimal(more: float, right: float) -> None:
    # Noise of rounding beyond it decides nothing, whoever computes the overlap.
    result = grounding_accuracy([[20, 30, 30, 35 + 10 * more]], [[20, 30, 30, 40]])
    assert result["acc50"] == right
    assert grounding_accuracy([[20, 30, 30, 35 + 10 * more]], [[20, 30, 30, 40]], strict=False)["acc50"] == 1


def test_strict_and_non_strict_differ_at_the_threshold_alone() -> None:
    pair: dict[str, Any] = {"predictions": [[0, 0, 10, 10]], "references": [[0, 0, 10, 5]]}
    assert grounding_accuracy(**pair, strict=True)["acc50"] == 0.0
    assert grounding_accuracy(**pair, strict=False)["acc50"] == 1.0
    several = grounding_accuracy(**pair, thresholds=(0.4, 0.5, 0.7), strict=False)
    assert several["acc"] == {"0.40": 1.0, "0.50": 1.0, "0.70": 0.0}


def test_kinds_agree_on_the_same_boxes() -> None:
    rng = np.random.default_rng(0)
    low = rng.integers(0, 50, (200, 2))
    a = np.concatenate([low, low + rng.integers(1, 30, (200, 2))], axis=1).astype(np.float64)
    b = a + rng.integers(-3, 4, a.shape)
    b[:, 2:] = np.maximum(b[:, 2:], b[:, :2] + 1)
    true = Boxes(b, "hbb")
    plain = grounding_accuracy(Boxes(a, "hbb"), true)["iou"]
    for mine in ("hbb", "obb", "quad"):
        for theirs in ("hbb", "obb", "quad"):
            kinds = grounding_accuracy(Boxes(a, "hbb").as_kind(mine), true.as_kind(theirs))["iou"]
            np.testing.assert_allclose(kinds, plain, atol=1e-9)


def test_turned_boxes_are_compared_as_they_are_or_by_the_upright_boxes_around_them() -> None:
    rng = np.random.default_rng(4)
    columns = [rng.uniform(40, 90, (60, 2)), rng.uniform([30, 8], [60, 16], (60, 2)), rng.uniform(20, 70, 60)]
    true = Boxes(np.column_stack(columns), "obb")
    found = Boxes(true.coords + rng.normal(0, [3, 3, 4, 1, 5], (60, 5)), "obb")
    around = [Boxes(one.as_kind("quad").coords, "quad").as_kind("hbb") for one in (found, true)]
    upright = grounding_accuracy(*around)["iou"]
    a, b = (np.asarray(shapely.polygons(one.as_kind("quad").coords.reshape(-1, 4, 2))) for one in (found, true))
    turned = np.asarray(shapely.area(shapely.intersection(a, b)) / shapely.area(shapely.union(a, b)))
    assert np.abs(np.array(upright) - turned).max() > 0.1
    for kind in ("obb", "quad"):
        pair = found.as_kind(kind), true.as_kind(kind)
        np.testing.assert_allclose(grounding_accuracy(*pair)["iou"], turned, atol=1e-9)
        np.testing.assert_allclose(grounding_accuracy(*pair, overlap="horizontal")["iou"], upright, atol=1e-9)
        by_paper = grounding_accuracy(*pair, protocol="rscovlm")
        np.testing.assert_allclose(by_paper["iou"], upright, atol=1e-9)
        assert by_paper["settings"]["overlap"] == "horizontal"


def test_no_answer_is_wrong_and_counted_apart() -> None:
    result = grounding_accuracy([None, [0, 0, 4, 4]], [[0, 0, 4, 4], [0, 0, 4, 4]])
    assert (result["acc50"], result["mean_iou"], result["mean_iou_answered"], result["unanswered"]) == (0.5, 0.5, 1, 1)


def test_order_of_items_changes_nothing() -> None:
    rng = np.random.default_rng(1)
    a, b = rng.uniform(0, 50, (50, 8)), rng.uniform(0, 50, (50, 8))
    turn = rng.permutation(50)
    one, two = grounding_accuracy(list(a), list(b)), grounding_accuracy(list(a[turn]), list(b[turn]))
    assert one["acc"] == two["acc"]
    assert one["mean_iou"] == pytest.approx(two["mean_iou"], abs=1e-12)


@pytest.mark.parametrize(
    ("predictions", "references", "message"),
    [
        ([[0, 0, 1, 1]], [], "1 items and references 0"),
        ([], [], "no items"),
        ([[0, 0, 1]], [[0, 0, 1, 1]], r"predictions\[0\]"),
        ([[0, 0, 1, float("nan")]], [[0, 0, 1, 1]], r"predictions\[0\].*finite"),
        (["here"], [[0, 0, 1, 1]], r"predictions\[0\]"),
        ([[0, 0, 1, 1]], [None], r"references\[0\]"),
    ],
)
def test_bad_input_names_the_item(predictions: list[Any], references: list[Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        grounding_accuracy(predictions, references)


@pytest.mark.parametrize("box", [[], [1], [0, 0, 9], [0, 0, 9, 9, 9, 9], [0] * 9, [[0, 0], [9, 9]], 7])
def test_a_box_of_another_number_of_numbers_is_refused(box: Any) -> None:
    for pair in ([[0, 0, 9, 9], box], [box, [0, 0, 9, 9]]):
        with pytest.raises(ValueError, match=r"(predictions|references)\[0\] is .*; give 4, 5 or 8 numbers, or None"):
            grounding_accuracy([pair[0]], [pair[1]])


def test_corners_in_the_wrong_order_overlap_nothing() -> None:
    assert grounding_accuracy([[10, 10, 0, 0]], [[0, 0, 10, 10]])["mean_iou"] == 0.0


@pytest.mark.parametrize("setting", [{"protocol": "geoground"}, {"overlap": "obb"}])
def test_a_protocol_or_overlap_that_there_is_not_is_refused(setting: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="use 'plain' or 'rscovlm', and 'given' or 'horizontal'"):
        grounding_accuracy([[0, 0, 9, 9]], [[0, 0, 9, 9]], **setting)


@pytest.mark.parametrize("thresholds", [(), (0.0,), (0.5, 1.01), (-0.1,)])
def test_thresholds_lie_above_0_and_up_to_1(thresholds: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match=r"give numbers in \(0, 1\]"):
        grounding_accuracy([[0, 0, 9, 9]], [[0, 0, 9, 9]], thresholds=thresholds)
    assert grounding_accuracy([[0, 0, 9, 9]], [[0, 0, 9, 9]], thresholds=(1.0,), strict=False)["acc100"] == 1.0
