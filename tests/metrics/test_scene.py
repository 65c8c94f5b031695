"""Scene classification and multi-label scenes."""

import random
from typing import Any

import pytest

from rscovlm.metrics import multi_label_f1, scene_accuracy
from rscovlm.metrics.scene import OTHER

CLASSES = ["residential", "dense residential", "park", "parking", "port", "airport"]


@pytest.mark.parametrize(
    ("answer", "name"),
    [
        ("Park.", "park"),
        ("It is a parking lot", "parking"),
        ("dense residential", "dense residential"),
        ("This is a dense-residential area.", "dense residential"),
        ("residential", "residential"),
        ("Airport.", "airport"),
        ("a park and a port", OTHER),
        ("", OTHER),
        ("desert", OTHER),
    ],
)
def test_answers_are_read_as_classes(answer: str, name: str) -> None:
    table = scene_accuracy([answer], ["park"], classes=CLASSES)["confusion"]
    assert table == {"park": {name: 1}}


def test_tables_add_up() -> None:
    rng = random.Random(0)
    references = [rng.choice(CLASSES) for _ in range(300)]
    predictions = [name if rng.random() < 0.7 else rng.choice([*CLASSES, "", "desert"]) for name in references]
    result = scene_accuracy(predictions, references, classes=CLASSES)
    by_hand = sum(a == b for a, b in zip(predictions, references, strict=True)) / 300
    assert result["accuracy"] == pytest.approx(by_hand, abs=1e-12)
    for name, row in result["per_class"].items():
        counts = result["confusion"][name]
        assert row["items"] == sum(counts.values()) == references.count(name)
        assert row["accuracy"] == pytest.approx(counts[name] / row["items"])
    assert result["unread"] == sum(text in ("", "desert") for text in predictions)
    order = rng.sample(range(300), 300)
    again = scene_accuracy([predictions[k] for k in order], [references[k] for k in order], classes=CLASSES)
    assert {**again, "correct": None} == {**result, "correct": None}


def test_peers_rules_overrate() -> None:
    predictions, references = ["", "airport", "parking"], ["port", "port", "park"]
    assert scene_accuracy(predictions, references, classes=CLASSES)["accuracy"] == 0.0
    assert scene_accuracy(predictions, references, classes=CLASSES, match="rscovlm_vhm")["accuracy"] == 1.0
    assert scene_accuracy(predictions, references, classes=CLASSES, match="geochat")["accuracy"] == pytest.approx(2 / 3)


def test_bad_scenes_are_named() -> None:
    with pytest.raises(ValueError, match=r"references\[0\] is 'lake'"):
        scene_accuracy(["lake"], ["lake"], classes=CLASSES)
    with pytest.raises(ValueError, match="match is 'best'"):
        scene_accuracy(["lake"], ["lake"], match="best")


def test_several_labels() -> None:
    result = multi_label_f1(["road, tree and car", ["road"], ""], [["road", "tree"], ["road"], ["tree"]])
    assert result["f1_samples"] == pytest.approx((0.8 + 1.0 + 0.0) / 3)
    assert result["per_class"]["road"] == {"f1": 1.0, "precision": 1.0, "recall": 1.0, "true": 2, "predicted": 2}
    assert result["per_class"]["tree"]["f1"] == pytest.approx(2 / 3)
    assert result["mean_f1"] == pytest.approx((1 + 2 / 3) / 2)
    assert result["f1_micro"] == pytest.approx(6 / 8)
    assert result["unknown"] == 1


@pytest.mark.parametrize(
    ("predictions", "references", "message"),
    [(["a"], [], "1"), (["a"], [["b"]], r"references\[0\] holds \['b'\]"), ([[3]], [["a"]], r"predictions\[0\]")],
)
def test_bad_labels_are_named(predictions: Any, references: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        multi_label_f1(predictions, references, classes=["a"])


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("Medium Residential", "MediumResidential"),
        ("parking lot", "parkinglot"),
        ("It is a parkinglot.", "Parking-Lot"),
        ("railway station", "RailwayStation"),
        ("baseballdiamond", "baseball_diamond"),
        ("<think>a port?</think>mobile home park", "mobilehomepark"),
    ],
)
def test_joined_and_parted_class_names_meet(written: str, name: str) -> None:
    result = scene_accuracy([written], [name], classes=[name, "other"])
    assert (result["accuracy"], result["unread"]) == (1.0, 0)
    assert multi_label_f1([written], [[name]])["mean_f1"] == (0.0 if "It is" in written or "<" in written else 1.0)


def test_names_within_words_are_other_names() -> None:
    result = scene_accuracy(["starship", "carport"], ["ship", "port"], classes=["ship", "port"])
    assert (result["accuracy"], result["unread"]) == (0.0, 2)
