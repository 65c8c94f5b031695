"""Labelled boxes keep boxes, labels and scores together."""

from typing import Any

import numpy as np
import pytest

from rscovlm.geometry import Boxes, Frame, Objects

IMAGE = Frame(100, 80)
BOXES = Boxes([[0, 0, 10, 10], [20, 20, 40, 30], [50, 50, 60, 80]], "hbb", IMAGE)
FOUND = Objects(BOXES, ("plane", "ship", "plane"), np.array([0.9, 0.2, 0.5]))


def test_rows_stay_together() -> None:
    assert FOUND.scores is not None
    order = np.argsort(-FOUND.scores)
    sorted_ = FOUND[order]
    assert sorted_.labels == ("plane", "plane", "ship")
    assert sorted_.scores is not None
    assert sorted_.scores.tolist() == [0.9, 0.5, 0.2]
    assert sorted_.boxes == BOXES[order]
    planes = FOUND[[label == "plane" for label in FOUND.labels]]
    assert len(planes) == 2
    assert planes == FOUND[::2]
    assert FOUND[-1] == FOUND[2]
    assert Objects.concatenate(list(FOUND)) == FOUND
    assert len(FOUND[[]]) == 0


def test_scores_cannot_be_changed_from_outside() -> None:
    scores = np.array([0.9, 0.2, 0.5])
    found = Objects(BOXES, FOUND.labels, scores)
    scores[0] = 0.0
    assert found.scores is not None
    assert found.scores.tolist() == [0.9, 0.2, 0.5]
    with pytest.raises(ValueError, match="read-only"):
        found.scores[0] = 0.0


def test_grids_and_kinds_change_the_boxes_only() -> None:
    moved = FOUND.to(IMAGE.normalised()).as_kind("quad")
    assert moved.labels == FOUND.labels
    assert moved.boxes == BOXES.to(IMAGE.normalised()).as_kind("quad")
    np.testing.assert_array_equal(moved.scores, FOUND.scores)


def test_parts_without_objects_join_with_scored_ones() -> None:
    assert Objects.concatenate([Objects.empty("hbb", IMAGE), FOUND]) == FOUND
    plain = Objects(BOXES, FOUND.labels)
    assert Objects.concatenate([plain, Objects.empty("hbb", IMAGE)]) == plain
    with pytest.raises(ValueError, match="part 1 has no scores and others have"):
        Objects.concatenate([FOUND, plain])


def test_equality_looks_at_everything() -> None:
    assert Objects(BOXES, FOUND.labels, FOUND.scores) == FOUND
    assert Objects(BOXES, FOUND.labels) != FOUND
    assert Objects(BOXES, ("plane", "ship", "ship"), FOUND.scores) != FOUND
    assert Objects(BOXES, FOUND.labels, np.array([0.9, 0.2, 0.4])) != FOUND
    assert Objects(BOXES.to(IMAGE.normalised()), FOUND.labels, FOUND.scores) != FOUND


@pytest.mark.parametrize(
    ("labels", "scores", "message"),
    [
        (("plane",), None, "3 boxes and 1 labels"),
        ("abc", None, "labels is the string 'abc'"),
        (("plane", 3, "ship"), None, "label 1 is 3; give a string"),
        (FOUND.labels, [0.5, 0.5], r"scores have shape \(2,\) for 3 boxes"),
        (FOUND.labels, [0.5, np.nan, 0.5], "score 1 is nan"),
    ],
)
def test_what_does_not_fit_is_refused(labels: Any, scores: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Objects(BOXES, labels, scores)
