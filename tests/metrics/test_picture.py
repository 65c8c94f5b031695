"""Matched, missed and false boxes, and their picture."""

from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from rscovlm.metrics import ap_nc, match_boxes, matches_svg
from rscovlm.metrics.pages import read_list
from tests.metrics.scenes import scenes


def test_rows_agree_with_the_counts_of_ap_nc() -> None:
    found, true = scenes(4, seed=0, boxes=20, doubles=0.4)
    protocols: list[Any] = ["dota", "rscovlm"]
    for protocol in protocols:
        for mine, theirs in zip(found, true, strict=True):
            rows = match_boxes(mine, theirs, protocol=protocol)
            table = ap_nc([mine], [theirs], protocol=protocol)["thresholds"]["0.50"]
            assert len(rows["matched"]) == table["right"]
            assert len(rows["false"]) == table["wrong"]
            assert sum(len(rows[name]) for name in ("matched", "false", "ignored")) == len(mine["labels"])
            counting = len(theirs["labels"]) - (int(theirs["difficult"].sum()) if protocol == "dota" else 0)
            assert len(rows["matched"]) + len(rows["missed"]) == counting


def test_the_picture_shows_every_box_and_no_markup_of_a_label() -> None:
    square = [0, 0, 9, 0, 9, 9, 0, 9]
    far = [50, 50, 59, 50, 59, 59, 50, 59]
    picture = matches_svg({"boxes": [square, far], "labels": ["<b>&", "x"]}, {"boxes": [square], "labels": ["<b>&"]})
    root = ElementTree.fromstring(picture)
    shapes = [shape.attrib["class"] for shape in root.iter("{http://www.w3.org/2000/svg}polygon")]
    assert sorted(shapes) == ["false", "matched"]
    assert root.attrib["aria-label"] == "1 matched, 0 missed, 1 false"
    assert "<b>" not in picture


def test_a_box_on_a_difficult_truth_is_drawn_as_ignored_with_its_own_class() -> None:
    square, far = [0, 0, 9, 0, 9, 9, 0, 9], [50, 50, 59, 50, 59, 59, 50, 59]
    mine: Any = {"boxes": [far, square], "labels": ["ship", "plane"]}
    true: Any = {"boxes": [square, far], "labels": ["plane", "ship"], "difficult": [True, False]}
    picture = matches_svg(mine, true, protocol="dota")
    shapes = [
        (shape.attrib["class"], "".join(shape.itertext()))
        for shape in ElementTree.fromstring(picture).iter("{http://www.w3.org/2000/svg}polygon")
    ]
    assert [(kind, "plane" in text, "ship" in text) for kind, text in shapes] == [
        ("ignored", True, False),
        ("matched", False, True),
    ]


def test_nothing_to_draw() -> None:
    empty: Any = {"boxes": [], "labels": []}
    root = ElementTree.fromstring(matches_svg(empty, empty))
    assert root.attrib["aria-label"] == "0 matched, 0 missed, 0 false"
    assert not list(root.iter("{http://www.w3.org/2000/svg}polygon"))


def test_lists_are_read_from_text_or_file(tmp_path: Path) -> None:
    file = tmp_path / "items.json"
    file.write_text("[3]")
    assert read_list("[1]", None, "x") == [1]
    assert read_list("[1]", str(file), "x") == [3]
    file.write_bytes(b'["Gr\xf6n"]')  # no UTF-8: a name that cannot be read costs no figure
    assert read_list("", str(file), "x") == ["Gr\ufffdn"]
    for text, message in (("{", "no JSON"), ("{}", "x is a dict"), ("[" * 100_000, "no JSON")):
        with pytest.raises(ValueError, match=message):
            read_list(text, None, "x")
