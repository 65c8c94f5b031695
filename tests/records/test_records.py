"""A record is the same after any trip through rows and lines, and refuses what it could not mean."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings

from rscovlm.records.columns import features
from rscovlm.records.record import Annotation, ImageRef, Record, Turn, is_degenerate
from rscovlm.tasks.table import problems as problems_of
from tests.data.sources.layouts import POISON, poisoned
from tests.records.strategies import records as any_record

IMAGE = ImageRef("a.png", width=10, height=8)
BASE = Record("1", "mine", "train", "vqa", (IMAGE,), question="How many?", answer="2")


@settings(max_examples=60)
@given(any_record())
def test_rows_and_lines_come_back_identical(record: Record) -> None:
    assert Record.from_dict(record.to_dict()) == record
    assert Record.from_json(record.to_json()) == record
    assert "\n" not in record.to_json()


@settings(max_examples=20)
@given(any_record())
def test_rows_fit_the_declared_features(record: Record) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    pytest.importorskip("datasets")
    declared = features()
    table = pyarrow.Table.from_pylist([record.to_dict()], schema=declared.arrow_schema)
    assert set(declared) == set(record.to_dict())
    assert [Record.from_dict(row) for row in table.to_pylist()] == [record]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"task": "dance"}, "task 'dance' is unknown"),
        ({"objects": (Annotation((0, 0, 1, 1), kind="hbb", image=1),)}, "on image 1"),
        ({"turns": (Turn("user", "what is <box:0>?"),)}, "<box:0>"),
        ({"regions": ((0.0, 0.0, float("nan"), 1.0),)}, "region"),
    ],
)
def test_records_that_mean_nothing_are_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(BASE, **change)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (((1, 2, 3), "", "hbb"), "4 numbers"),
        (((1, 2, 3, 4), "", "box"), "kind 'box'"),
        (((1, 2, 3, float("inf")), "", "hbb"), "not finite"),
        (((-1e400, 1e400, 3, 3), "", "hbb"), "not finite"),
    ],
)
def test_boxes_that_are_none_are_refused(values: tuple[Any, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Annotation(*values)


@pytest.mark.parametrize(
    "values",
    [{}, {"path": "/a.png"}, {"path": "a.png", "parent": "../b.tif"}, {"path": "a", "width": -1}, {"parent": "b.tif"}],
)
def test_images_without_pixels_or_with_unsafe_names_are_refused(values: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"image|path"):
        ImageRef(**values)


@pytest.mark.parametrize(
    "change",
    [
        {"imgae": []},
        {"id": 7},
        {"question": None},
        {"choices": [1]},
        {"images": [{"path": "a.png"}]},
        {"objects": [{"box": "abcd", "kind": "hbb"}]},
        {"objects": 3},
        {"images": [{"image": {"path": "a"}, "width": float("inf"), "height": 1}]},
        {"images": [{"image": {"path": "a"}, "width": 1, "height": 1, "window": [1, 2, 3]}]},
    ],
)
def test_malformed_rows_are_value_errors(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        Record.from_dict(BASE.to_dict() | change)


@pytest.mark.parametrize("line", ["", "[]", "{", "null", '{"id": "1"}', json.dumps(BASE.to_dict())[:-3]])
def test_malformed_lines_are_value_errors(line: str) -> None:
    with pytest.raises(ValueError):
        Record.from_json(line)


@pytest.mark.parametrize(
    ("record", "problems"),
    [
        (BASE, []),
        (replace(BASE, question=" "), ["answer without a question"]),
        (replace(BASE, answer=""), ["empty answer"]),
        (replace(BASE, task="detection", categories=("ship",)), []),
        (replace(BASE, task="detection"), ["no categories"]),
        (replace(BASE, task="zoom"), ["no region"]),
        (replace(BASE, task="grounding"), ["no expression", "no object"]),
        (replace(BASE, task="conversation", turns=(Turn("assistant", "Two."),)), ["answer without a question"]),
        (replace(BASE, task="conversation", turns=(Turn("user", "?"), Turn("assistant", " "))), ["empty answer"]),
        (replace(BASE, task="change"), ["fewer than two images"]),
        (replace(BASE, answer="Two.<|im_end|>"), ["special token in the text"]),
        (replace(BASE, categories=("a", "<|image_pad|>")), ["special token in the text"]),
        (replace(BASE, answer="a < b | c > d"), []),
    ],
)
def test_what_a_task_lacks_is_named(record: Record, problems: list[str]) -> None:
    assert problems_of(record) == problems


def test_every_field_can_hold_anything() -> None:
    picture = {"image": {"path": "a.png", "bytes": "AAAA"}, "width": 8, "height": 8, "time": "2020", "parent": "b.png"}
    full = {
        "id": "1",
        "source": "mine",
        "split": "train",
        "task": "detection",
        "images": [picture | {"window": [0, 0, 8, 8], "bands": [1, 2, 3]}],
        "masks": [picture],
        "classes": ["a"],
        "captions": ["a"],
        "choices": ["a"],
        "categories": ["a"],
        "question": "?",
        "answer": "a",
        "expression": "a",
        "turns": [{"role": "user", "text": "<box:0>"}],
        "objects": [{"box": [1, 1, 5, 5], "label": "a", "kind": "hbb", "image": 0, "polygons": [[1, 1, 5, 1, 5, 5]]}],
        "regions": [[1, 1, 5, 5]],
        "extra": [{"key": "a", "value": "b"}],
    }
    assert Record.from_json(json.dumps(full)).objects
    for spoilt in (*poisoned(full), *POISON):
        try:
            record = Record.from_json(json.dumps(spoilt))
        except ValueError:
            continue
        problems_of(record)
        assert Record.from_json(record.to_json()) == record


@pytest.mark.parametrize(
    ("box", "kind", "flat"),
    [
        ((3, 4, 9, 4), "hbb", True),
        ((3, 4, 3, 9), "hbb", True),
        ((3, 4, 9, 4.5), "hbb", False),
        ((3, 4, 5, 0, 30), "obb", True),
        ((3, 4, 0, 5, 30), "obb", True),
        ((3, 4, 5, 0.25, 30), "obb", False),
        ((100, 40, 109, 40, 118, 40, 127, 40), "quad", True),
        ((100, 40, 103, 46, 106, 52, 109, 58), "quad", True),
        ((100, 40, 103, 46, 106, 52, 100, 40.01), "quad", False),
        ((100, 40, 109, 40, 109, 46, 100, 46), "quad", False),
    ],
)
def test_a_box_without_area_is_degenerate(box: tuple[float, ...], kind: Any, flat: bool) -> None:
    assert is_degenerate(Annotation(box, kind=kind)) is flat
