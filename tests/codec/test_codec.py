"""Codec settings, categories and the zoom tool's box."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from rscovlm.codec import Codec
from rscovlm.geometry import Boxes, Frame, Objects

GRID = Frame(504, 252)
CODEC = Codec.preset("rscovlm-v1")


@pytest.mark.parametrize("name", ["rscovlm-v1", "qwen2.5-vl", "qwen3-vl"])
def test_settings_survive_json(name: str) -> None:
    codec = Codec.preset(name)
    assert codec.name == name
    assert Codec.from_dict(json.loads(json.dumps(codec.to_dict()))) == codec
    other = replace(codec, name="mine", space="0-1", decimals=4, quad_key="corners", none="Nothing.")
    assert Codec.from_dict(json.loads(json.dumps(other.to_dict()))) == other


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"name": "x", "space": "0-10"}, "space is '0-10'"),
        ({"name": "x", "space": "0-1"}, "needs decimals"),
        ({"name": "x", "decimals": 1.5}, "decimals is 1.5"),
        ({"name": "x", "kind": "mask"}, "kind is 'mask'"),
        ({"name": "x", "style": "xml"}, "style is 'xml'"),
        ({"name": "x", "label_key": ""}, "label_key is ''"),
        ({"name": "x", "spcae": "pixels"}, r"unknown \['spcae'\]"),
        ({"space": "pixels"}, "no 'name'"),
    ],
)
def test_wrong_settings_are_named(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Codec.from_dict(settings)


def test_an_unknown_preset_lists_the_known_ones() -> None:
    with pytest.raises(ValueError, match="'rscovlm-v1', 'qwen2.5-vl', 'qwen3-vl'"):
        Codec.preset("qwen4")


def test_keys_and_the_none_answer_are_the_codecs_own() -> None:
    codec = replace(CODEC, quad_key="corners", label_key="what", none="Nothing.")
    ship = Objects(Boxes([[1, 2, 9, 2, 9, 8, 1, 8]], "quad", GRID), ("ship",))
    text = codec.encode(ship, GRID, style="json")
    assert text == '```json\n[\n\t{"corners": [1, 2, 9, 2, 9, 8, 1, 8], "what": "ship"}\n]\n```'
    assert codec.decode(text, GRID).objects == ship
    assert codec.encode(ship[:0], GRID) == "Nothing."
    assert codec.decode("nothing", GRID).none


def test_a_label_outside_the_categories_cannot_be_written() -> None:
    ship = Objects(Boxes([[1, 2, 9, 8]], "hbb", GRID), ("ship",))
    with pytest.raises(ValueError, match="label 0 is 'ship'"):
        CODEC.encode(ship, GRID, categories=["plane"])


def test_boxes_without_a_frame_cannot_be_written() -> None:
    with pytest.raises(ValueError, match="no frame"):
        CODEC.encode(Objects(Boxes([[1, 2, 9, 8]], "hbb"), ("ship",)), GRID)


def test_unknown_labels_are_kept_and_counted_unless_a_cutoff_matches_them() -> None:
    text = "1,2,3,4 small vehicle\n1,2,3,4 LARGE-Vehicle\n1,2,3,4 small vehicl\n1,2,3,4 zebra\n"
    names = ["small-vehicle", "large-vehicle", "plane"]
    strict = CODEC.decode(text, GRID, categories=names)
    assert strict.objects.labels == ("small-vehicle", "large-vehicle", "small vehicl", "zebra")
    assert strict.problems == {"unknown_label": 2} and strict.dropped == 0
    near = CODEC.decode(text, GRID, categories=names, cutoff=0.8)
    assert near.objects.labels == ("small-vehicle", "large-vehicle", "small-vehicle", "zebra")
    assert near.problems == {"matched_label": 1, "unknown_label": 1}
    assert CODEC.decode(text, GRID).objects.labels == ("small vehicle", "LARGE-Vehicle", "small vehicl", "zebra")


@pytest.mark.parametrize("cutoff", [0.0, -1.0, 1.5, math.nan])
def test_a_cutoff_is_a_similarity(cutoff: float) -> None:
    with pytest.raises(ValueError, match="cutoff is"):
        CODEC.decode("", GRID, categories=["plane"], cutoff=cutoff)
    with pytest.raises(ValueError, match="without categories"):
        CODEC.decode("", GRID, cutoff=0.8)


def test_kinds_follow_the_first_object_or_the_one_asked_for() -> None:
    text = "10,20,30,60 a\n20,40,40,20,90 b\n10,20,30,20,30,60,10,60 c\n"
    first = CODEC.decode(text, GRID)
    assert first.objects.boxes.kind == "hbb" and first.problems == {"converted": 2}
    np.testing.assert_allclose(first.objects.boxes.coords, [[10, 20, 30, 60]] * 3)
    asked = CODEC.decode(text, GRID, kind="quad")
    assert asked.objects.boxes.kind == "quad" and asked.problems == {"converted": 2}
    np.testing.assert_allclose(asked.objects.boxes.coords, [[10, 20, 30, 20, 30, 60, 10, 60]] * 3)
    assert CODEC.decode("None", GRID, kind="obb").objects.boxes.kind == "obb"


def test_spans_say_where_each_object_stands() -> None:
    text = 'Look: {"bbox_2d": [1, 2, 3, 4], "label": "a"}\n5,6,7,8 b\n(5, 6, 7, 8)'
    decoded = CODEC.decode(text, GRID)
    assert [text[a:b] for a, b in decoded.spans] == [
        '{"bbox_2d": [1, 2, 3, 4], "label": "a"}',
        "5,6,7,8 b",
        "(5, 6, 7, 8)",
    ]


@pytest.mark.parametrize(
    ("name", "numbers"),
    [("rscovlm-v1", [100, 50, 301, 252]), ("qwen2.5-vl", [100, 50, 301, 252]), ("qwen3-vl", [198, 200, 597, 1000])],
)
def test_the_tools_box_is_whole_numbers_on_the_grid(name: str, numbers: list[int]) -> None:
    codec, original = Codec.preset(name), Frame(5040, 2520)
    seen = original.resized(504, 252)
    region = Boxes([[1000, 504, 3010, 2530]], "hbb", original)
    assert codec.encode_box(region, seen) == numbers
    back = codec.decode_box(numbers, seen)
    assert back.kind == "hbb" and back.frame == seen
    half = np.array([0.504, 0.252] * 2) / 2 + 1e-9 if name == "qwen3-vl" else 0.5
    assert (np.abs(back.coords - np.clip(region.to(seen).coords, 0, [504, 252] * 2)) <= half).all()
    with pytest.raises(ValueError, match="there are 2 boxes"):
        codec.encode_box(Boxes([[0, 0, 1, 1]] * 2, "hbb", seen), seen)


def test_an_oriented_region_is_asked_for_by_the_box_around_it() -> None:
    region = Boxes([[100, 100, 40, 20, 90]], "obb", GRID)
    assert CODEC.encode_box(region, GRID) == [90, 80, 110, 120]


def test_a_codec_with_decimals_has_no_tool_box() -> None:
    with pytest.raises(ValueError, match="whole numbers"):
        Codec("x", space="0-1", decimals=3).encode_box(Boxes([[0, 0, 1, 1]], "hbb", GRID), GRID)


@pytest.mark.parametrize(
    "values",
    [[], [1, 2, 3], [1, 2, 3, 4, 5], "1234", None, [1, 2, 3, "4"], [1, 2, 3, math.nan], [1, 2, 3, math.inf], [1, 2, 3, 10**400],
     [1, 2, 3, True], [3, 2, 1, 4], [1, 4, 3, 2], [[1, 2], [3, 4], 5, 6]],
)  # fmt: skip
def test_a_tools_box_that_is_none_is_an_error(values: Any) -> None:
    with pytest.raises(ValueError, match=r"bbox|row 0"):
        CODEC.decode_box(values, GRID)


def test_text_must_be_text() -> None:
    with pytest.raises(ValueError, match="text is NoneType"):
        CODEC.decode(None, GRID)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="kind is 'mask'"):
        CODEC.decode("", GRID, kind="mask")  # type: ignore[arg-type]


def test_categories_given_as_one_string_are_refused() -> None:
    codec, grid = Codec.preset("rscovlm-v1"), Frame(504, 504)
    plane = Objects(Boxes([[1, 2, 3, 4]], "hbb", grid), ("plane",))
    with pytest.raises(ValueError, match="categories is the string 'plane'; give a list"):
        codec.encode(plane, grid, categories="plane")
    with pytest.raises(ValueError, match="categories is the string 'plane'; give a list"):
        codec.decode("1,2,3,4 plane\n", grid, categories="plane")


def test_a_frame_that_is_none_is_named() -> None:
    ship = Boxes([[1, 2, 9, 8]], "hbb", GRID)
    size: Any = (504, 504)
    calls: list[Callable[[], object]] = [
        lambda: CODEC.encode(Objects(ship, ("ship",)), size),
        lambda: CODEC.encode(Objects.empty("hbb", GRID), size),
        lambda: CODEC.decode("1,2,9,8 ship", size),
        lambda: CODEC.encode_box(ship, size),
        lambda: CODEC.decode_box([1, 2, 9, 8], size),
    ]
    for asked in calls:
        with pytest.raises(ValueError, match=r"frame is \(504, 504\); give a Frame"):
            asked()
