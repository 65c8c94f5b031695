"""Reading what models write when they do not write what they should."""

from __future__ import annotations

import time

import pytest

from rscovlm.codec import Codec
from rscovlm.codec.problems import DROPPED, KEPT
from rscovlm.geometry import Frame

GRID = Frame(504, 504)
CODEC = Codec.preset("rscovlm-v1")
BOX = [1.0, 2.0, 30.0, 40.0]
QUAD = [1.0, 2.0, 3.0, 4.0, 2.0, 9.0, 1.0, 8.0]

REPAIRED = [
    '{"bbox_2d": [1, 2 30, 40], "label": "plane"}',
    '{"bbox_2d": (1, 2, 30, 40), "label": "plane"}',
    "{'bbox_2d': [1, 2, 30, 40], 'label': 'plane'}",
    '{"bbox_2d": [1, 2, 30, 40,], "label": "plane",}',
    '{"bbox_2d": [1,, 2, 30, 40], "label": "plane"}',
    '{"bbox_2d": [1, 2, 30, 40] "label": "plane"}',
    '{"bbox_2d": [1, 2, 30, 40]; "label": "plane"}',
    '{"bbox_2d": [1, 2, 30, 40], "label" "plane"}',
    '{"bbox_2d": [1, 2, 30, 40], "label": "plane}',
    '{"bbox_2d": [1, 2, 30, 40], "label": plane}',
    '{"bbox_2d": [1, 2, 30, 40, "label": "plane"}',
    '{"bbox_2d": 1, 2, 30, 40], "label": "plane"}',
    '{"bbox_2d": 1, 2, 30, 40, "label": "plane"}',
    '{"bbox_2d": ]1, 2, 30, 40[, "label": "plane"}',
    '}"bbox_2d": [1, 2, 30, 40], "label": "plane"{,',
    '{"bbox_2d": {1, 2, 30, 40}, "label": "plane"}',
    '{"bbox_2d": [1, 2, 30, 40}, "label": "plane"}',
    '{"bbox_2d": [1, 2, 30, 40]], "label": "plane"}',
    '{"bbox_2d": [[1, 2, 30, 40], "label": "plane"}',
    '{"bbox_2d": [(1, 2), (30, 40)], "label": "plane"}',
    '{"bbox_2d": "1,2,30,40", "label": "plane"}',
    '{"label": "plane, "bbox_2d": [1, 2, 30, 40]}',
    '{"bbox_2d": [1, 2, 30, 40], "label": "plane"',
    '{"bbox_2d": [1, 2, 30, 40], "label": "plane"]',
    '("bbox_2d": (1, 2, 30, 40), "label": "plane")',
    '["bbox_2d": [1, 2, 30, 40], "label": "plane"]',
    '"bbox_2d": [1, 2, 30, 40], "label": "plane"',
    "{bbox_2d: [1, 2, 30, 40], label: plane}",
    '{"color": [255, 0, 0, 9], "bbox_2d": (1, 2, 30, 40), "label": "plane"}',
    '{"bbox_2d": (1, 2, 30, 40), "label": "plane", "score": 0.93}',
    "1, 2, 30, 40 plane",
    "1,2,30 40 plane",
    "1 2 30 40 plane",
    "[1,2,30,40] plane",
    "(1, 2, 30, 40): plane",
    "- 1,2,30,40 plane",
    "3. 1,2,30,40 plane",
    "1，2，30，40 plane",
]

WHOLE = [
    '{"bbox_2d": [1, 2, 30, 40], "label": "plane"}',
    '{"label": "plane", "bbox_2d": [1.0, 2.0, 3e1, 40]}',
    '{\n  "bbox_2d": [\n    1,\n    2,\n    30,\n    40\n  ],\n  "label": "plane"\n}',
    '{"bbox_2d": [[1, 2], [30, 40]], "label": "plane"}',
    '{"bbox_2d": [1, 2, 30, 40], "label": "plane", "score": 0.93, "color": [255, 0, 0, 9]}',
    '{"objects": [{"bbox_2d": [1, 2, 30, 40], "label": "plane"}]}',
    'The 5" gun, it\'s "here": {"bbox_2d": [1, 2, 30, 40], "label": "plane"} and that\'s all.',
    "Sure!\n```json\n[{\"bbox_2d\": [1, 2, 30, 40], \"label\": \"plane\"}]\n```",
    "There are two things to say.\n1,2,30,40 plane\nThat is it.",
    "```\n1,2,30,40 plane\n```",
    "1,2,30,40 plane\r\n",
    "1,2,30,40 plane```",
    "[\n1,2,30,40 plane\n]",
]  # fmt: skip

COUNTED = [
    ("coordinate_count", '{"bbox_2d": [1, 2, 30], "label": "plane"}'),
    ("coordinate_count", '{"bbox_2d": (1, 2, 30, 4, 5, 6), "label": "plane"}'),
    ("coordinate_count", "1,2,3,4,5,6 plane"),
    ("coordinate_count", "1,2,3 plane\n"),
    ("not_finite", '{"bbox_2d": [1, 2, 30, NaN], "label": "plane"}'),
    ("not_finite", '{"bbox_2d": [1, 2, 30, 1e999], "label": "plane"}'),
    ("not_finite", '{"bbox_2d": [1, 2, 30, null], "label": "plane"}'),
    ("not_finite", '{"bbox_2d": [1, 2, 30, 1.2.3], "label": "plane"}'),
    ("not_finite", '{"bbox_2d": [1, 2, 30, true], "label": "plane"}'),
    ("not_finite", "NaN,2,3,4 plane"),
    ("not_finite", "1,2,3,1e999 plane"),
    ("not_finite", f"1,2,3,{'9' * 5000} plane"),
    ("not_finite", '{"bbox_2d": ["1_0", 2, 30, 40], "label": "plane"}'),
    ("non_ascii_digits", '{"bbox_2d": [１, 2, 30, 40], "label": "plane"}'),
    ("non_ascii_digits", "١,2,30,40 plane"),
    ("non_ascii_digits", "1,2,３0,40 plane"),
    ("negative_size", "9,9,-3,4,5 plane"),
    ("no_box", '{"label": "plane"}'),
    ("no_box", '{"bbox_2d": [], "label": "plane"}'),
    ("truncated", '{"bbox_2d": [1, 2, 30, 40], "label": "pla'),
    ("truncated", '{"bbox_2d": [1, 2, 30, 40], "la'),
    ("truncated", '{"bbox_2d": [1, 2, 30, 4'),
    ("truncated", '{"bbox_2d": (1, 2, 30, 4'),
    ("truncated", "1,2,30,4"),
    ("truncated", "1,2,"),
    ("truncated", "1"),
    ("nothing_readable", ""),
    ("nothing_readable", "I cannot see anything."),
    ("nothing_readable", "12 planes (of 3 kinds)"),
]


@pytest.mark.parametrize("text", REPAIRED)
def test_broken_syntax_is_repaired_and_counted(text: str) -> None:
    decoded = CODEC.decode(text, GRID)
    assert decoded.objects.boxes.coords.tolist() == [BOX]
    assert decoded.objects.labels == ("plane",)
    assert decoded.problems == {"repaired": 1} and decoded.dropped == 0


@pytest.mark.parametrize("text", WHOLE)
def test_whole_objects_are_found_in_any_surroundings(text: str) -> None:
    decoded = CODEC.decode(text, GRID)
    assert decoded.objects.boxes.coords.tolist() == [BOX] and decoded.objects.labels == ("plane",)
    assert decoded.problems == {} and not decoded.none


@pytest.mark.parametrize(("reason", "text"), COUNTED)
def test_what_cannot_be_read_is_counted_by_reason(reason: str, text: str) -> None:
    decoded = CODEC.decode(text, GRID)
    assert len(decoded.objects) == 0 and decoded.problems == {reason: 1} and decoded.dropped == 1 and not decoded.none
    beside = CODEC.decode("5,6,7,8 ship\n" + text, GRID)
    assert beside.objects.labels == ("ship",)
    assert beside.problems == ({} if reason == "nothing_readable" else {reason: 1})


@pytest.mark.parametrize(
    ("text", "problems"),
    [
        ('{"bbox_2d": [9, 9, 9, 9], "bbox_2d": [1, 2, 30, 40], "label": "plane"}', {"doubled_key": 1}),
        ('{"bbox_2d": [1, 2, 30, 40], "label": "ship", "label": "plane"}', {"doubled_key": 1}),
        ('{"bbox_2d": (1, 2, 30, 40), "label": "label": "plane"}', {"doubled_key": 1, "repaired": 1}),
        ('{"bbox_2d": (1, 2, 30, 40), "label": "ship", "label": "plane"}', {"doubled_key": 1, "repaired": 1}),
        ('{"bbox_2d": (9, 9, 9, 9), "bbox_2d": [1, 2, 30, 40], "label": "plane"}', {"doubled_key": 1, "repaired": 1}),
        ("30,40,1,2 plane", {"inverted": 1}),
    ],
)
def test_what_was_mended_is_counted(text: str, problems: dict[str, int]) -> None:
    decoded = CODEC.decode(text, GRID)
    assert decoded.objects.boxes.coords.tolist() == [BOX] and decoded.objects.labels == ("plane",)
    assert decoded.problems == problems


def test_coordinates_outside_the_grid_are_kept_and_counted() -> None:
    decoded = CODEC.decode("-5,2,600,40 plane\n1,2,3,4 ship", GRID)
    assert decoded.objects.boxes.coords.tolist() == [[-5, 2, 600, 40], [1, 2, 3, 4]]
    assert decoded.problems == {"outside": 1}
    assert Codec.preset("qwen3-vl").decode("1,2,1001,40 plane", GRID).problems == {"outside": 1}


def test_boxes_without_labels_are_kept_and_counted() -> None:
    for text in ("The hangar is at [1, 2, 30, 40].", '{"bbox_2d": [1, 2, 30, 40]}', "(1,2),(30,40)", "1,2,30,40\n"):
        decoded = CODEC.decode(text, GRID, categories=["plane"])
        assert decoded.objects.boxes.coords.tolist() == [BOX] and decoded.objects.labels == ("",)
        assert decoded.problems.pop("no_label") == 1
        assert decoded.problems in ({}, {"repaired": 1})


@pytest.mark.parametrize(
    "text",
    [
        '{"bbox_2d": [1, 2, 3, 4], "label": "a"}{"bbox_2d": [5, 6, 7, 8], "label": "b"}',
        '{"bbox_2d": [1, 2, 3, 4], "label": "a", {"bbox_2d": [5, 6, 7, 8], "label": "b"}',
        '{"bbox_2d": [1, 2, 3, 4], "label": "a", "bbox_2d": [5, 6, 7, 8], "label": "b"}',
        '{"bbox_2d": (1, 2, 3, 4), "label": "a", "bbox_2d": [5, 6, 7, 8], "label": "b"}',
        '{"label": "a", "bbox_2d": (1, 2, 3, 4), "label": "b", "bbox_2d": [5, 6, 7, 8]}',
        '{"bbox_2d": [1, 2, 3, 4], "label": "a}, {"bbox_2d": [5, 6, 7, 8], "label": "b"}',
        "1,2,3,4 a; 5,6,7,8 b",
        "1,2,3,4 a5,6,7,8 b",
        "[1,2,3,4] a, [5,6,7,8] b",
        '1,2,3,4 a {"bbox_2d": [5, 6, 7, 8], "label": "b"}',
        '{"bbox_2d": [1, 2, 3, 4], "label": "a"}\n5,6,7,8 b',
        "label:\n1,2,3,4 a\n{\n5,6,7,8 b",
    ],
)
def test_objects_without_anything_between_them_are_told_apart(text: str) -> None:
    decoded = CODEC.decode(text, GRID)
    assert decoded.objects.labels == ("a", "b")
    assert decoded.objects.boxes.coords.tolist() == [[1, 2, 3, 4], [5, 6, 7, 8]]


@pytest.mark.parametrize("text", ["1,2,3,4 2,9,1,8 plane", "1,2,3,4,2 9,1,8 plane", "1,2,3,4,2,9,1 8 plane"])
def test_a_comma_missing_from_a_quadrilateral_makes_no_other_box(text: str) -> None:
    decoded = CODEC.decode(text, GRID)
    assert decoded.objects.boxes.coords.tolist() == [QUAD] and decoded.objects.labels == ("plane",)
    assert decoded.problems == {"repaired": 1}


def test_several_boxes_may_share_a_label() -> None:
    for opened, closed in ("[]", "()"):
        text = f'{{"bbox_2d": [{opened}1, 2, 3, 4{closed}, {opened}5, 6, 7, 8{closed}], "label": "ship"}}'
        assert CODEC.decode(text, GRID).objects.labels == ("ship", "ship")


def test_words_in_a_label_that_look_like_objects_stay_words() -> None:
    for label in ('a {"bbox_2d": [5, 6, 7, 8], "label": "x"}', "[5, 6, 7, 8]", "5,6,7,8 x", "There are none."):
        escaped = label.replace('"', '\\"')
        decoded = CODEC.decode(f'{{"bbox_2d": [1, 2, 3, 4], "label": "{escaped}"}}', GRID)
        assert decoded.objects.labels == (label,) and not decoded.problems and not decoded.none


def test_half_a_character_is_replaced() -> None:
    decoded = CODEC.decode('{"bbox_2d": [1, 2, 3, 4], "label": "\\ud83d ship"}', GRID)
    assert decoded.objects.labels == ("\ufffd ship",)


def test_every_reason_is_documented_and_reached() -> None:
    reached = {reason for reason, _ in COUNTED}
    assert reached == set(DROPPED) and not set(DROPPED) & set(KEPT)


@pytest.mark.parametrize(
    "unit",
    ['{"bbox_2d": [1, 2, 3, 4], "label": "plane"},\n\t', "1,2,3,4 plane\n", "1,2,3,4 ", "1,", '"', '\\"', "{", "{ ", "[", "[1,2,3,4",
     '{"bbox_2d": [1, 2, 3, 4], "label": "', '"label": "x "k": ', '"label":', '{":":', '{"a":"{","a":"', "(1,2),", '"a" ', "1\n\n\n",
     "'a':", "[\n1\n", "there is ", "ab, c. ", '{"bbox_2d": [1, 2, 3, 4], "bbox_2d": ', "1,2,3,4 {'", "{\"a\":\"\\"],
)  # fmt: skip
def test_time_grows_with_length_and_not_faster(unit: str) -> None:
    def seconds(length: int) -> float:
        text = (unit * (length // len(unit) + 1))[:length]
        times = []
        for _ in range(2):
            start = time.process_time()
            CODEC.decode(text, GRID)
            times.append(time.process_time() - start)
        return min(times)

    # Four times the text takes four times as long; a quadratic reader would take sixteen. A busy machine gets three goes.
    assert any(seconds(80_000) < 9 * seconds(20_000) + 0.01 for _ in range(3))


def test_a_million_characters_and_a_hundred_thousand_objects_are_read() -> None:
    lines = CODEC.decode("1,2,3,4,2,9,1,8 plane\n" * 100_000, GRID)
    assert len(lines.objects) == 100_000 and not lines.problems
    objects = CODEC.decode('{"bbox_2d": [1, 2, 3, 4], "label": "x"},\n\t' * 100_000, GRID)
    assert len(objects.objects) == 100_000 and not objects.problems
    assert CODEC.decode("x" * 1_000_000, GRID).problems == {"nothing_readable": 1}
