"""The picture that the Space of LRS-VQA draws of its items."""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree

import pytest

from rscovlm.metrics.spaces.lrs_vqa_aa import _boxes_svg

NEAR, FAR = [10, 20, 40, 30], [100, 60, 190, 90]


def _drawn(predictions: list[Any], references: list[dict[str, Any]], correct: list[int]) -> dict[str, int]:
    text = _boxes_svg(predictions, references, correct)
    kinds = [one.attrib["class"] for one in ElementTree.fromstring(text).iter("{http://www.w3.org/2000/svg}polygon")]
    return {kind: kinds.count(kind) for kind in sorted(set(kinds))}


def test_a_right_answer_stands_for_its_box_where_no_model_gave_one() -> None:
    asked: list[dict[str, Any]] = [{"answer": "2", "hbox": NEAR}, {"answer": "red", "hbox": FAR}, {"answer": "no"}]
    assert _drawn(["2", "blue", "no"], asked, [1, 0, 1]) == {"matched": 1, "missed": 1}
    assert _boxes_svg(["no"], asked[2:], [1]) == ""


def test_boxes_of_the_model_count_where_any_item_has_one() -> None:
    asked: list[dict[str, Any]] = [{"answer": "2", "hbox": NEAR}, {"answer": "red", "hbox": FAR}]
    mine: list[Any] = [{"answer": "2", "hbox": NEAR}, "red"]
    assert _drawn(mine, asked, [1, 1]) == {"matched": 1, "missed": 1}
    assert _drawn([{"answer": "2", "hbox": FAR}, "red"], asked, [1, 1]) == {"false": 1, "missed": 2}


@pytest.mark.parametrize(
    "box", [[1, 2, 3], [1, 2, 3, "4"], ["1", 2, 3, 4], [1, 2, 3, 4, 5], "1,2,3,4", [None, 1, 2, 3]]
)
def test_what_is_no_box_is_refused(box: Any) -> None:
    with pytest.raises(ValueError, match=r"references\[1\] has hbox .*give x1, y1, x2, y2"):
        _boxes_svg(["a", "b"], [{"answer": "a", "hbox": NEAR}, {"answer": "b", "hbox": box}], [1, 1])
