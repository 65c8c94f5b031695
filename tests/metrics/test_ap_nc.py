"""AP_nc held against the peers' recorded results, against a literal second telling, and against itself."""

import json
from typing import Any

import numpy as np
import pytest

from rscovlm.geometry import Boxes
from rscovlm.metrics import ap_nc
from tests.metrics.literal import class_ap
from tests.metrics.scenes import scenes, shuffled
from tests.oracles import oracle

Item = dict[str, Any]
CASES = (
    "class_absent_each_side",
    "difficult_heavy",
    "empty_gt_image",
    "perfect_ccw",
    "real_heavy",
    "recall_grid_edges",
    "trapezoids",
    "triple_dups",
)
INTERPOLATIONS: dict[str, Any] = {"voc07_11point": "11point", "area": "area"}
RUNS = ("const_stable_order", *(f"rand{number}" for number in range(10)))
ORACLES: dict[str, tuple[dict[str, Any], float]] = {
    "dota_devkit": ({"protocol": "dota"}, 1e-5),
    "mmrotate1x_rbox_diff100_exactIoU": ({"protocol": "rscovlm"}, 1e-5),
    "mmrotate1x_rbox_diff0_exactIoU": ({"protocol": "rscovlm", "difficult": "ignore"}, 1e-5),
    "mmrotate1x_qbox_diff100_exactIoU": ({"protocol": "rscovlm", "overlap": "quad"}, 1e-5),
}


def _items(data: dict[str, Any], scores: list[float] | None) -> tuple[list[Item], list[Item]]:
    found: dict[str, Item] = {name: {"boxes": [], "labels": [], "scores": []} for name in data["images"]}
    for k, row in enumerate(data["preds"]):
        item = found[row["image"]]
        item["boxes"].append(row["quad"])
        item["labels"].append(row["cls"])
        item["scores"].append(scores[k] if scores else 0.0)
    true = [
        {
            "boxes": [row["quad"] for row in data["gts"][name]],
            "labels": [row["cls"] for row in data["gts"][name]],
            "difficult": [row["difficult"] for row in data["gts"][name]],
        }
        for name in data["images"]
    ]
    return list(found.values()), true


@pytest.mark.parametrize("name", ORACLES)
@pytest.mark.parametrize("case", CASES)
def test_recorded_results_of_the_peers(case: str, name: str) -> None:
    data = json.loads(oracle(f"ap_nc/{case}.json").read_text())
    settings, tolerance = ORACLES[name]
    # A constant score in the order of the peers' file is a score that falls along the file.
    falling = (-np.arange(len(data["preds"]))).tolist()
    for recorded, interpolation in INTERPOLATIONS.items():
        for run, expected in data["expected"][name][recorded].items():
            if run not in RUNS:
                continue
            scores = data["scores"].get(run, falling) if name == "dota_devkit" else data["scores"].get(run)
            found, true = _items(data, scores)
            result = ap_nc(found, true, classes=data["classes"], ties="stable", interpolation=interpolation, **settings)
            for threshold, value in expected["mAP"].items():
                assert result["ap_thresholds"][threshold]["mean"] == pytest.approx(value, abs=tolerance), threshold
            for threshold, table in expected["per_class"].items():
                for label, value in table.items():
                    mine = result["per_class"][label]["ap_thresholds"][threshold]["mean"]
                    assert value is None or mine == pytest.approx(value, abs=tolerance), (threshold, label)
    found, true = _items(data, None)
    result = ap_nc(found, true, classes=data["classes"], **settings)
    recorded = data["expected"][name]
    for threshold, value in recorded["mF1_one_to_one_mean_over_classes_with_gt"].items():
        assert result["thresholds"][threshold]["mf1"] == pytest.approx(value, abs=1e-5)
    for threshold, table in recorded["counts"].items():
        percent = round(100 * float(threshold))
        for label, counts in table.items():
            row = result["per_class"][label]
            assert (row["true"], row["found"]) == (counts["npos"], counts["ndet"])
            if isinstance(counts.get("tp"), int) and isinstance(counts.get("fp"), int):
                assert (row[f"right{percent}"], row[f"wrong{percent}"]) == (counts["tp"], counts["fp"])


@pytest.mark.parametrize("strict", [True, False])
@pytest.mark.parametrize("difficult", ["ignore", "count"])
def test_a_literal_second_telling(strict: bool, difficult: Any) -> None:
    found, true = scenes(6, seed=5, boxes=12, span=200, doubles=0.4)
    for interpolation in INTERPOLATIONS.values():
        result = ap_nc(
            found,
            true,
            strict=strict,
            difficult=difficult,
            ties="stable",
            interpolation=interpolation,
            iou_thresholds=(0.3, 0.5, 0.75, 0.9),
        )
        for label, row in result["per_class"].items():
            for threshold in (0.3, 0.5, 0.75, 0.9):
                value, right, wrong = class_ap(
                    found,
                    true,
                    label,
                    threshold,
                    strict=strict,
                    ignore_difficult=difficult == "ignore",
                    area=interpolation == "area",
                )
                assert row["ap_thresholds"][f"{threshold:.2f}"]["mean"] == pytest.approx(value, abs=1e-12)
                if threshold in (0.5, 0.75):
                    assert row[f"right{round(100 * threshold)}"] == right
                    assert row[f"wrong{round(100 * threshold)}"] == wrong


@pytest.mark.parametrize("protocol", ["dota", "rscovlm"])
def test_no_order_of_images_or_rows_changes_a_result(protocol: Any) -> None:
    found, true = scenes(20, seed=1, boxes=20, doubles=0.3)
    found += [{key: value.copy() for key, value in found[0].items()} for _ in range(2)]  # images alike
    true += [{key: value.copy() for key, value in true[0].items()} for _ in range(2)]
    first = ap_nc(found, true, protocol=protocol)
    for seed in range(3):
        again = ap_nc(*shuffled(found, true, seed), protocol=protocol)
        assert _without_constant(again) == _without_constant(first)


def test_what_no_draw_touches_does_not_depend_on_other_classes() -> None:
    found, true = scenes(5, seed=2)
    alone = [[_only(item, "class-1") for item in side] for side in (found, true)]
    every, one = ap_nc(found, true), ap_nc(alone[0], alone[1])
    for key in ("true", "found", "right50", "f150", "constant_score"):
        assert every["per_class"]["class-1"][key] == one["per_class"]["class-1"][key]


def test_random_mean_is_the_expectation_over_orders() -> None:
    quad = np.asarray([[0, 0, 10, 0, 10, 10, 0, 10]])
    # One right box and one wrong one: precision at full recall is 1 or 1/2, each with chance 1/2.
    found = [{"boxes": np.concatenate([quad, quad + 50]), "labels": ["a", "a"]}]
    result = ap_nc(found, [{"boxes": quad, "labels": ["a"]}], repeats=4000)
    assert result["ap_nc50"]["mean"] == pytest.approx(0.75, abs=0.02)
    assert (result["ap_nc50"]["min"], result["ap_nc50"]["max"]) == (0.5, 1.0)
    assert result["ap_nc50"]["std"] == pytest.approx(0.25, abs=0.01)
    assert result["constant_score"]["ap_nc50"] == 1.0


def test_scores_leave_ap_nc_alone() -> None:
    found, true = scenes(5, seed=3)
    bare = [{key: item[key] for key in ("boxes", "labels")} for item in found]
    with_scores, without = ap_nc(found, true), ap_nc(bare, true)
    assert with_scores["ap_nc50"] == without["ap_nc50"]
    assert "ap50" in with_scores and "ap50" not in without


def test_boxes_of_every_kind_are_taken() -> None:
    found, true = scenes(3, seed=4)
    boxed = [{**item, "boxes": Boxes(item["boxes"], "quad")} for item in found]
    assert ap_nc(boxed, true)["ap_nc50"]["mean"] == pytest.approx(ap_nc(found, true)["ap_nc50"]["mean"], abs=0.05)
    flat = [{**item, "boxes": Boxes(item["boxes"], "quad").as_kind("hbb")} for item in found]
    horizontal = ap_nc(flat, true, overlap="horizontal", ties="stable")
    assert horizontal["ap_nc"] == ap_nc(found, true, overlap="horizontal", ties="stable")["ap_nc"]


def test_shapes_that_are_no_plain_quadrilateral_are_counted() -> None:
    square = [0, 0, 20, 0, 20, 20, 0, 20]
    bow_tie = [40, 0, 60, 20, 60, 0, 40, 20]
    dart = [80, 0, 100, 10, 80, 20, 85, 10]
    point = [5, 5, 5, 5, 5, 5, 5, 5]
    quads = [square, bow_tie, dart, point]
    item = {"boxes": quads, "labels": ["ship"] * 4}
    protocols: list[Any] = ["dota", "rscovlm"]
    for protocol in protocols:
        result = ap_nc([item], [item], protocol=protocol, ties="stable")
        assert result["degenerate"]["predictions"] == {"zero_area": 1, "self_crossing": 1, "not_convex": 1}
        assert result["thresholds"]["0.95"]["right"] == 3
        assert np.isfinite(result["ap_nc"]["mean"])


def test_nothing_true_and_nothing_found() -> None:
    empty: Item = {"boxes": [], "labels": []}
    square: Item = {"boxes": [[0, 0, 1, 0, 1, 1, 0, 1]], "labels": ["a"]}
    for found, true in ((empty, square), (square, empty), (empty, empty)):
        result = ap_nc([found], [true])
        assert result["ap_nc50"] == {"mean": 0.0, "std": 0.0, "min": 0.0, "max": 0.0}
        assert result["counts"]["classes_in_mean"] == len(true["labels"])
        # Zeros that are no result are called so.
        assert ("note" in result) == (not true["labels"])
    assert "none was found, which is right" in ap_nc([empty], [empty])["note"]
    assert "false alarm" in ap_nc([square], [empty])["note"]


def _without_constant(result: Item) -> Item:
    rows = {name: {k: v for k, v in row.items() if k != "constant_score"} for name, row in result["per_class"].items()}
    return {key: value for key, value in result.items() if key != "constant_score"} | {"per_class": rows}


def _only(item: Item, label: str) -> Item:
    keep = [k for k, name in enumerate(item["labels"]) if name == label]
    return {key: [value[k] for k in keep] for key, value in item.items()}


@pytest.mark.parametrize(
    ("found", "true", "settings", "message"),
    [
        ([], [], {}, "no images"),
        ([{"boxes": [], "labels": []}], [], {}, "1 items and references 0"),
        (
            [{"boxes": [[0] * 4], "labels": ["a"]}],
            [{"boxes": [], "labels": []}],
            {},
            r"predictions\[0\].*shape \(1, 4\)",
        ),
        ([{"boxes": [[0] * 8], "labels": []}], [{"boxes": [], "labels": []}], {}, r"predictions\[0\] has 1 boxes"),
        (
            [{"boxes": [], "labels": []}],
            [{"boxes": [[float("nan")] * 8], "labels": ["a"]}],
            {},
            r"references\[0\].*finite",
        ),
        (
            [{"boxes": [[float("inf")] * 8], "labels": ["a"]}],
            [{"boxes": [], "labels": []}],
            {},
            r"predictions\[0\].*finite",
        ),
        (
            [{"boxes": [[0] * 8], "labels": ["b"]}],
            [{"boxes": [], "labels": []}],
            {"classes": ["a"]},
            r"predictions\[0\].*'b'",
        ),
        (
            [{"boxes": [], "labels": []}],
            [{"boxes": [[0] * 8], "labels": ["b"]}],
            {"classes": ["a"]},
            r"references\[0\].*'b'",
        ),
        ([{"boxes": [[0] * 8], "labels": [3]}], [{"boxes": [], "labels": []}], {}, r"predictions\[0\].*int"),
        ([{"boxes": []}], [{"boxes": [], "labels": []}], {}, r"predictions\[0\] has no 'labels'"),
        (["ship"], [{"boxes": [], "labels": []}], {}, r"predictions\[0\] is a str"),
        ([{"boxes": "x", "labels": []}], [{"boxes": [], "labels": []}], {}, r"predictions\[0\]"),
        (
            [{"boxes": [[0] * 8], "labels": ["a"], "scores": [float("nan")]}],
            [{"boxes": [], "labels": []}],
            {},
            r"predictions\[0\]\['scores'\]",
        ),
        (
            [{"boxes": [], "labels": []}],
            [{"boxes": [[0] * 8], "labels": ["a"], "difficult": [0, 1]}],
            {},
            r"references\[0\]\['difficult'\]",
        ),
        ([{"boxes": [], "labels": []}], [{"boxes": [], "labels": []}], {"ties": "best"}, "ties is 'best'"),
        ([{"boxes": [], "labels": []}], [{"boxes": [], "labels": []}], {"repeats": 0}, "repeats is 0"),
        ([{"boxes": [], "labels": []}], [{"boxes": [], "labels": []}], {"protocol": "coco"}, "protocol is 'coco'"),
        ([{"boxes": [], "labels": []}], [{"boxes": [], "labels": []}], {"iou_thresholds": (0.7, 0.5)}, "increasing"),
        ([{"boxes": [], "labels": []}], [{"boxes": [], "labels": []}], {"classes": "ship"}, "classes is 'ship'"),
    ],
)
def test_bad_input_names_the_item(found: Any, true: Any, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ap_nc(found, true, **settings)


def test_scores_in_some_items_alone_are_refused() -> None:
    box = {"boxes": [[0, 0, 1, 0, 1, 1, 0, 1]], "labels": ["a"]}
    with pytest.raises(ValueError, match=r"predictions\[1\] has no 'scores'"):
        ap_nc([{**box, "scores": [1.0]}, box], [box, box])
    empty: Item = {"boxes": [], "labels": []}
    assert "ap50" in ap_nc([{**box, "scores": [1.0]}, empty], [box, box])


def test_settings_are_written_into_the_result_and_override_the_protocol() -> None:
    found, true = scenes(2, seed=6)
    settings = ap_nc(found, true, protocol="rscovlm", strict=True, interpolation="area")["settings"]
    assert settings["protocol"] == "rscovlm"
    assert (settings["overlap"], settings["strict"], settings["interpolation"]) == ("rectangle", True, "area")
    assert settings["difficult"] == "count"


def test_a_box_far_away_costs_no_precision() -> None:
    found, true = scenes(3, seed=7, boxes=15)
    small = [{**item, "boxes": item["boxes"] * 1e-4} for item in found]
    tiny = [{**item, "boxes": item["boxes"] * 1e-4} for item in true]
    for item in small:
        item["boxes"] = np.concatenate([item["boxes"], [[0, 0, 1e15, 0, 1e15, 1e15, 0, 1e15]]])
        item["labels"] = [*item["labels"], "class-0"]
        item["scores"] = [*item["scores"], 0.0]
    plain, with_monster = ap_nc(found, true), ap_nc(small, tiny)
    assert with_monster["thresholds"]["0.50"]["right"] == plain["thresholds"]["0.50"]["right"]


def test_a_hundred_and_one_points_by_hand() -> None:
    quad = np.asarray([[0, 0, 10, 0, 10, 10, 0, 10]])
    true = [{"boxes": np.concatenate([quad, quad + 20, quad + 40, quad + 60]), "labels": ["a"] * 4}]
    found = [{"boxes": np.concatenate([quad, quad + 200, quad + 20]), "labels": ["a"] * 3}]
    # Precision 1 up to recall 1/4 (26 points), 2/3 up to 1/2 (25 points), 0 beyond.
    result = ap_nc(found, true, ties="stable", interpolation="101point")
    assert result["ap_nc50"]["mean"] == pytest.approx((26 + 25 * 2 / 3) / 101)


def test_boxes_beyond_all_true_boxes_meet_no_other_image() -> None:
    square = np.asarray([[0.0, 0, 10, 0, 10, 10, 0, 10]])
    beyond = square + np.tile([5000.0, 0], 4)
    found = [{"boxes": np.concatenate([square, beyond, -beyond]), "labels": ["a"] * 3} for _ in range(5)]
    true = [{"boxes": square, "labels": ["a"]} for _ in range(5)]
    row = ap_nc(found, true)["thresholds"]["0.50"]
    assert (row["right"], row["wrong"]) == (5, 10)


def test_matching_agrees_with_all_pairs() -> None:
    found, true = scenes(4, seed=8, boxes=40, span=250, doubles=0.3)
    rng = np.random.default_rng(8)
    for item in found:  # some boxes far outside, some huge
        n = len(item["boxes"])
        item["boxes"] = item["boxes"] + np.where(rng.random(n) < 0.1, rng.choice([-9e3, 9e3], n), 0.0)[:, None]
        huge = rng.random(n) < 0.05
        item["boxes"][huge] = [-1e4, -1e4, 1e4, -1e4, 1e4, 1e4, -1e4, 1e4]
    result = ap_nc(found, true, ties="stable", iou_thresholds=(0.5,))
    for label, row in result["per_class"].items():
        value, right, wrong = class_ap(found, true, label, 0.5)
        assert (row["right50"], row["wrong50"]) == (right, wrong)
        assert row["ap50"]["mean"] == pytest.approx(value, abs=1e-12)
