"""What a key or a tag states is honoured, what nothing states is counted, and what is no box is none."""

from __future__ import annotations

import pytest

from rscovlm.codec import Codec
from rscovlm.geometry import Frame

GRID = Frame(1000, 1000)
CODEC = Codec.preset("qwen3-vl")
BOX = [287.0, 97.0, 333.0, 148.0]

STATED = [
    '{"bbox_xywh": [287, 97, 46, 51], "label": "ship"}',
    '{"bbox_cxcywh": [310, 122.5, 46, 51], "label": "ship"}',
    '{"ymin_xmin_ymax_xmax": [97, 287, 148, 333], "label": "ship"}',
    '{"box_yxyx": [97, 287, 148, 333], "label": "ship"}',
    '{"bbox_xyxy": [287, 97, 333, 148], "label": "ship"}',
    '{"x1": 287, "y1": 97, "x2": 333, "y2": 148, "label": "ship"}',
    '{"label": "ship", "x0": 287, "y0": 97, "x1": 333, "y1": 148}',
    '{"x_min": 287, "y_min": 97, "x_max": 333, "y_max": 148, "label": "ship"}',
    '{"yMin": 97, "xMin": 287, "yMax": 148, "xMax": 333, "class": "ship"}',
    '{"left": 287, "top": 97, "right": 333, "bottom": 148, "label": "ship"}',
    '{"left": 287, "top": 97, "width": 46, "height": 51, "label": "ship"}',
    '{"cx": 310, "cy": 122.5, "w": 46, "h": 51, "label": "ship"}',
    '[{"label": "ship", "bbox": {"x_min": 287, "y_min": 97, "x_max": 333, "y_max": 148}}]',
    '{"bbox": {"x1": 287, "y1": 97, "x2": 333, "y2": 148}, "label": "ship"}',
    '{"bbox_2d": [287, 97, 333, 148], "label": "ship", "near": [1, 2, 3, 4], "history": [[5, 6, 7, 8]]}',
]


@pytest.mark.parametrize("text", STATED)
def test_what_a_key_states_is_honoured(text: str) -> None:
    decoded = CODEC.decode(text, GRID)
    assert decoded.objects.boxes.coords.tolist() == [BOX] and decoded.objects.labels == ("ship",)
    assert decoded.problems == {}


def test_broken_json_states_it_too() -> None:
    text = "{'x1': 287, 'y1': 97, 'x2': 333, 'y2': 148, 'label': 'ship'}"
    decoded = CODEC.decode(f"{text}, {text}", GRID)
    assert decoded.objects.boxes.coords.tolist() == [BOX, BOX] and decoded.problems == {"repaired": 2}


NAMED = '"x1": {}, "y1": {}, "x2": {}, "y2": {}'


@pytest.mark.parametrize("first", [NAMED.format(287, 97, 333, 148), "bbox_2d: [287, 97, 333, 148]"])
@pytest.mark.parametrize("second", [NAMED.format(9, 8, 70, 60), "bbox_2d: [9, 8, 70, 60]"])
def test_objects_without_braces_end_where_the_next_begins(first: str, second: str) -> None:
    text = f"Seen: {first}, label: ship, {second}, label: plane"
    decoded = CODEC.decode(text, GRID)
    assert decoded.objects.boxes.coords.tolist() == [BOX, [9, 8, 70, 60]] and decoded.objects.labels == (
        "ship",
        "plane",
    )
    assert [text[start:end] for start, end in decoded.spans] == [f"{first}, label: ship", f"{second}, label: plane"]
    assert decoded.problems == {"repaired": 2}


@pytest.mark.parametrize(
    "text",
    [
        '{"near": [1, 2, 3, 4], "label": "ship"}',
        "{'near': [1, 2, 3, 4], 'label': 'ship'}",
        '{"history": [2019, 2020, 2021, 2022], "label": "ship"}',
        "{'history': [[2019, 1, 2, 3], [4, 5, 6, 7]], 'label': 'ship'}",
        '{"direction": [1, 2, 3, 4], "label": "ship"}',
        '{"scores": [0.1, 0.2, 0.3, 0.4], "label": "ship"}',
    ],
)
def test_a_list_under_another_key_is_no_box(text: str) -> None:
    decoded = CODEC.decode(text, GRID)
    assert len(decoded.objects) == 0 and decoded.problems == {"no_box": 1}


@pytest.mark.parametrize(
    ("text", "problems"),
    [
        ('{"bbox_2d": [92, 0, 96, 0], "label": "x"}', {"degenerate": 1}),
        ("92,5,92,9 x\n", {"degenerate": 1}),
        ("50,50,0,0,10 x\n", {"degenerate": 1}),
        ("1,1,9,9,5,5,3,3 x\n", {"degenerate": 1}),
        ('{"bbox": [287, 97, 333, 148], "label": "x"}', {"layout_guessed": 1}),
        ('{"x": 287, "y": 97, "width": 46, "height": 51, "label": "x"}', {"layout_guessed": 1}),
        ("[0.1, 0.2, 0.3, 0.4] x", {"repaired": 1, "space_suspect": 1}),
        ('{"x_min": 0.1, "y_min": 0.2, "x_max": 0.3, "y_max": 0.4, "label": "x"}', {"space_suspect": 1}),
    ],
)
def test_what_is_odd_is_counted(text: str, problems: dict[str, int]) -> None:
    decoded = CODEC.decode(text, GRID)
    assert len(decoded.objects) == 1 and decoded.problems == problems


def test_shares_of_a_dialect_in_shares_are_not_suspicious_and_pixels_are() -> None:
    assert Codec.preset("vhm").decode("[0.1, 0.2, 0.3, 0.4]", GRID).problems == {}
    assert Codec.preset("vhm").decode("[100, 200, 300, 400]", GRID).problems == {"outside": 1, "space_suspect": 1}


def test_five_numbers_are_what_the_dialect_says() -> None:
    text = "[[20, 40, 60, 60, 0]]"
    corners = Codec.preset("earthdial").decode(text, GRID, kind="hbb")
    assert corners.objects.boxes.coords.tolist() == [[200, 400, 600, 600]] and "layout_guessed" not in corners.problems
    centre = Codec("centres", space="0-100", kind="obb").decode(text, GRID, kind="hbb")
    assert centre.objects.boxes.coords.tolist() == [[-100, 100, 500, 700]] and "layout_guessed" not in centre.problems
    assert Codec.preset("internvl").decode(text, GRID).problems["layout_guessed"] == 1


@pytest.mark.parametrize(
    ("text", "labels"),
    [
        ("[[10, 20, 30, 40]][[50, 60, 70, 80]]", ("", "")),
        ("[[10, 20, 30, 40]] ship [[50, 60, 70, 80]] ship", ("ship", "ship")),
        ("[[10, 20, 30, 40]], [[50, 60, 70, 80]]", ("", "")),
        ("(10, 20, 30, 40)](50, 60, 70, 80)", ("", "")),
    ],
)
def test_labels_are_never_brackets(text: str, labels: tuple[str, ...]) -> None:
    decoded = CODEC.decode(text, GRID, categories=["ship"])
    assert decoded.objects.labels == labels and "unknown_label" not in decoded.problems
    cut = CODEC.decode("[[10, 20, 30, 40]][[50, 60,", GRID)
    assert cut.objects.labels == ("",) and cut.problems == {"no_label": 1, "truncated": 1}


def test_thoughts_are_no_answer() -> None:
    text = "<think>at [1, 2, 3, 4] or [5, 6, 7, 8]</think><answer>[287, 97, 333, 148]</answer>"
    assert CODEC.decode(text, GRID).objects.boxes.coords.tolist() == [BOX]
    assert len(CODEC.decode("<think>at [1, 2, 3, 4]", GRID).objects) == 1


@pytest.mark.parametrize(
    ("written", "category"),
    [
        ("storage tank", "storagetank"),
        ("storagetank", "storage-tank"),
        ("StorageTank", "storage-tank"),
        ("Storage_Tank", "storage tank"),
        ("small vehicle", "small-vehicle"),
        ("Passenger Ship", "PassengerShip"),
    ],
)
def test_joined_and_parted_names_meet(written: str, category: str) -> None:
    decoded = CODEC.decode(f"1,2,30,40 {written}\n", GRID, categories=[category, "ship"])
    assert decoded.objects.labels == (category,) and not decoded.problems
    text = CODEC.encode(decoded.objects, GRID, kind="hbb", style="plain", categories=[written, "ship"])
    assert text == f"1,2,30,40 {category}\n"


def test_names_that_only_hold_each_other_do_not() -> None:
    for written in ("starship", "ships", "shipyard"):
        decoded = CODEC.decode(f"1,2,30,40 {written}\n", GRID, categories=["ship"])
        assert decoded.objects.labels == (written,) and decoded.problems == {"unknown_label": 1}


@pytest.mark.parametrize("reverse", [False, True])
def test_the_first_known_name_of_a_label_counts_whatever_the_order(reverse: bool) -> None:
    """An object may have a name and a class; which is its label must not change between versions."""
    known = ["label", "category", "class", "name", "object"]
    for place in range(len(known)):
        keys = known[place:][::-1] if reverse else known[place:]
        named = ", ".join(f'"{key}": "the {key}"' for key in keys)
        decoded = CODEC.decode(f'{{"bbox_2d": [287, 97, 333, 148], {named}}}', GRID)
        assert decoded.objects.labels == (f"the {known[place]}",)
