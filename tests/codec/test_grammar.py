"""The recorded grammars, letter by letter."""

from __future__ import annotations

import pytest

from rscovlm.codec import Codec
from rscovlm.geometry import Boxes, Frame, Objects
from rscovlm.geometry.kinds import Kind

GRID = Frame(504, 504)
REFERENCE = Codec.preset("rscovlm-v1")


def objects(rows: list[list[float]], labels: list[str], kind: Kind = "quad", frame: Frame = GRID) -> Objects:
    return Objects(Boxes(rows, kind, frame), tuple(labels))


SCENE = objects(
    [[210, 300, 250, 300, 250, 340, 210, 340], [140, 20, 133, 61, 91, 52, 98, 12], [300, 5, 310, 5, 310, 9, 300, 9]],
    ["plane", "large vehicle", "plane"],
)


def test_plain_quads_are_ordered_by_category_then_y_then_x() -> None:
    assert REFERENCE.encode(SCENE, GRID) == (
        "98,12,140,20,133,61,91,52 large vehicle\n300,5,310,5,310,9,300,9 plane\n210,300,250,300,250,340,210,340 plane\n"
    )


def test_json_quads_are_fenced_and_indented_by_a_tab() -> None:
    assert REFERENCE.encode(SCENE[:2], GRID, style="json") == (
        '```json\n[\n\t{"quadrant bbox": [98, 12, 140, 20, 133, 61, 91, 52], "label": "large vehicle"},\n'
        '\t{"quadrant bbox": [210, 300, 250, 300, 250, 340, 210, 340], "label": "plane"}\n]\n```'
    )


def test_horizontal_and_oriented_boxes_have_their_own_keys() -> None:
    hangar = objects([[120, 44, 310, 205]], ["the red-roofed hangar"], "hbb")
    assert REFERENCE.encode(hangar, GRID, kind="hbb") == "120,44,310,205 the red-roofed hangar\n"
    assert REFERENCE.encode(hangar, GRID, kind="hbb", style="json") == (
        '```json\n[\n\t{"bbox_2d": [120, 44, 310, 205], "label": "the red-roofed hangar"}\n]\n```'
    )
    ship = objects([[100.4, 50, 80, 20, -30.4]], ["ship"], "obb")
    assert REFERENCE.encode(ship, GRID, kind="obb") == "100,50,80,20,-30 ship\n"
    assert REFERENCE.encode(ship, GRID, kind="obb", style="json") == (
        '```json\n[\n\t{"oriented bbox": [100, 50, 80, 20, -30], "label": "ship"}\n]\n```'
    )


@pytest.mark.parametrize("style", ["plain", "json"])
@pytest.mark.parametrize("kind", ["hbb", "obb", "quad"])
def test_nothing_is_there_are_none(kind: Kind, style: str) -> None:
    empty = Objects.empty("quad", GRID)
    assert REFERENCE.encode(empty, GRID, kind=kind, style=style) == "There are none."  # type: ignore[arg-type]


@pytest.mark.parametrize("text", ["There are none.", "There is none.", " there are none\n", "```json\n[]\n```", "[]"])
def test_every_form_of_none_is_read(text: str) -> None:
    decoded = REFERENCE.decode(text, GRID)
    assert decoded.none and not decoded.problems and len(decoded.objects) == 0


def test_qwen_presets_write_fenced_json_in_their_own_space() -> None:
    box = objects([[56, 112, 252, 504]], ["house"], "hbb", Frame(504, 1008))
    absolute = Codec.preset("qwen2.5-vl").encode(box, Frame(504, 1008))
    assert absolute == '```json\n[\n\t{"bbox_2d": [56, 112, 252, 504], "label": "house"}\n]\n```'
    relative = Codec.preset("qwen3-vl").encode(box, Frame(504, 1008))
    assert relative == '```json\n[\n\t{"bbox_2d": [111, 111, 500, 500], "label": "house"}\n]\n```'


def test_both_polygon_orders_and_any_first_corner_are_read() -> None:
    truth = [98.0, 12.0, 140.0, 20.0, 133.0, 61.0, 91.0, 52.0]
    corners = list(zip(truth[0::2], truth[1::2], strict=True))
    for turned in (corners, corners[::-1]):
        for first in range(4):
            numbers = [int(n) for corner in turned[first:] + turned[:first] for n in corner]
            decoded = REFERENCE.decode(",".join(map(str, numbers)) + " ship\n", GRID)
            assert decoded.objects.boxes.coords.tolist() == [truth] and not decoded.problems
