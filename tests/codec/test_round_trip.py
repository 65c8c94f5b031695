"""Writing and reading back, for every space, kind and style."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from rscovlm.codec import Codec
from rscovlm.codec.spaces import SpaceName
from rscovlm.codec.writing import Style
from rscovlm.geometry import Boxes, Frame, Objects
from rscovlm.geometry.kinds import Kind

SPACES: list[tuple[SpaceName, int, int | None]] = [
    ("pixels", 0, None),
    ("pixels", 2, None),
    ("0-1000", 0, 1000),
    ("0-100", 0, 100),
    ("0-100", 1, 100),
    ("0-1", 2, 1),
    ("0-1", 4, 1),
]
KINDS: list[Kind] = ["hbb", "obb", "quad"]
STYLES: list[Style] = ["plain", "json"]

sides = st.integers(28, 4000)
parts = st.floats(0, 1, allow_subnormal=False)
labels = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30)
sayable = st.from_regex(r"\A[A-Za-z0-9'\"(][-A-Za-z0-9 ,.'\"():/]{0,20}[A-Za-z0-9'\")]\Z")


def codec_of(space: SpaceName, decimals: int) -> Codec:
    return Codec("test", space=space, decimals=decimals)


@st.composite
def boxes_inside(draw: st.DrawFn, kind: Kind, frame: Frame) -> Boxes:
    """Boxes whose corners lie inside the frame."""
    rows: list[list[float]] = []
    for _ in range(draw(st.integers(1, 6))):
        if kind == "obb":
            reach = draw(parts) * min(frame.width, frame.height) / 2
            cx, cy = (reach + draw(parts) * (side - 2 * reach) for side in (frame.width, frame.height))
            slant = draw(parts) * np.pi / 2
            rows.append([cx, cy, 2 * reach * np.cos(slant), 2 * reach * np.sin(slant), draw(st.floats(-200, 200))])
        else:
            corners = [draw(parts) * side for side in (frame.width, frame.height) * (2 if kind == "hbb" else 4)]
            if kind == "hbb":
                corners = [*np.minimum(corners[:2], corners[2:]), *np.maximum(corners[:2], corners[2:])]
            rows.append(corners)
    return Boxes(rows, kind, frame)


def moved(
    before: NDArray[np.float64], after: NDArray[np.float64], kind: Kind, half: NDArray[np.float64]
) -> NDArray[np.float64]:
    """How far each number moved; of quadrilaterals, for the match of corners that is best counted in half steps."""
    if kind == "obb":
        change = np.abs(before - after)
        change[4] = min(change[4], 180 - change[4])
        return change
    if kind == "hbb":
        return np.abs(before - after)
    corners = after.reshape(4, 2)
    ways = [np.roll(order, shift, axis=0) for order in (corners, corners[::-1]) for shift in range(4)]
    return min((np.abs(before.reshape(4, 2) - way).ravel() for way in ways), key=lambda far: np.max(far / half))


def test_corners_are_matched_by_the_steps_of_their_axes() -> None:
    codec, frame = codec_of("0-100", 0), Frame(2801, 28)
    flat = Boxes([[0, 0, 2472.7578125, 14, 0, 28, 2450.875, 0]], "quad", frame)
    back = codec.decode(codec.encode(Objects(flat, ("a",)), frame, kind="quad"), frame).objects.boxes
    half = np.array([14.005, 0.14] * 4)
    assert (moved(flat.coords[0], back.coords[0], "quad", half) <= half * (1 + 1e-9)).all()


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("space", "decimals", "scale"), SPACES)
@settings(max_examples=10)
@given(data=st.data(), width=sides, height=sides)
def test_no_coordinate_moves_more_than_half_a_step(
    space: SpaceName,
    decimals: int,
    scale: int | None,
    kind: Kind,
    style: Style,
    data: st.DataObject,
    width: int,
    height: int,
) -> None:
    frame = Frame(width, height)
    boxes = data.draw(boxes_inside(kind, frame))
    names = tuple(f"object {row}" for row in range(len(boxes)))
    codec = codec_of(space, decimals)

    text = codec.encode(Objects(boxes, names), frame, kind=kind, style=style)
    decoded = codec.decode(text, frame)

    # Rounding may leave an object without a width, which is written as it is and said when it is read. A box of fractions
    # within the first unit looks like shares of 1, where the grid is larger: each of these is counted, and no other.
    assert set(decoded.problems) <= {"degenerate", "space_suspect"}
    assert decoded.problems.get("space_suspect", 0) == _like_shares(decoded.objects.boxes, frame, scale)
    assert decoded.objects.boxes.kind == kind
    assert decoded.objects.boxes.frame == frame
    assert codec.decode(text, frame, kind=kind, categories=names).objects == decoded.objects
    x, y = (1.0, 1.0) if scale is None else (width / scale, height / scale)
    step = np.array([x, y, max(x, y), max(x, y)] if kind == "obb" else [x, y] * (2 if kind == "hbb" else 4))
    half = step / 2 / 10**decimals
    half = np.append(half, 0.5) if kind == "obb" else half
    back = dict(zip(decoded.objects.labels, decoded.objects.boxes.coords, strict=True))
    for name, before in zip(names, boxes.coords, strict=True):
        assert (moved(before, back[name], kind, half) <= half * (1 + 1e-9) + 1e-9 * max(width, height)).all()
    assert codec.encode(decoded.objects, frame, kind=kind, style=style) == text


@settings(max_examples=150)
@given(label=labels | sayable, kind=st.sampled_from(KINDS))
def test_a_json_label_comes_back_whatever_it_holds(label: str, kind: Kind) -> None:
    box = Boxes([[1, 2, 30, 40]], "hbb", Frame(64, 64))
    codec = Codec.preset("rscovlm-v1")
    decoded = codec.decode(codec.encode(Objects(box, (label,)), Frame(64, 64), kind=kind, style="json"), Frame(64, 64))
    assert decoded.objects.labels == (label,) and not decoded.problems


@settings(max_examples=150)
@given(first=labels | sayable, second=sayable, kind=st.sampled_from(KINDS))
def test_a_plain_label_comes_back_or_is_refused(first: str, second: str, kind: Kind) -> None:
    grid = Frame(64, 64)
    codec = Codec.preset("rscovlm-v1")
    objects = Objects(Boxes([[1, 2, 30, 40], [5, 6, 7, 18]], "hbb", grid), (first, second))
    try:
        text = codec.encode(objects, grid, kind=kind, style="plain")
    except ValueError as error:
        assert "label" in str(error)
        assume(False)
    decoded = codec.decode(text, grid)
    assert sorted(decoded.objects.labels) == sorted((first, second)) and not decoded.problems


@pytest.mark.parametrize(
    "label",
    [
        "the red-roofed hangar",
        "plane, large",
        "20,000 litre tank",
        "5 storey house",
        'it\'s "here"',
        "a {b} [c]",
        "飞机",
        "]",
        ", x",
    ],
)
@pytest.mark.parametrize("kind", KINDS)
def test_ordinary_labels_are_never_refused(kind: Kind, label: str) -> None:
    grid = Frame(64, 64)
    codec = Codec.preset("rscovlm-v1")
    text = codec.encode(Objects(Boxes([[1, 2, 30, 40]], "hbb", grid), (label,)), grid, kind=kind)
    assert codec.decode(text, grid).objects.labels == (label,)


@pytest.mark.parametrize(
    "label",
    ["", " x", "x ", "a\nb", "a\r\nb", "a\u2028b", "plane 1,2,3,4 ship", "x ```", '{"a', "\ud83d", "[1, 2, 3, 4]"],
)
def test_labels_that_a_line_cannot_hold_are_refused_by_name(label: str) -> None:
    grid = Frame(64, 64)
    with pytest.raises(ValueError, match="label 0 is "):
        Codec.preset("rscovlm-v1").encode(Objects(Boxes([[1, 2, 30, 40]], "hbb", grid), (label,)), grid)


@settings(max_examples=50)
@given(data=st.data(), kind=st.sampled_from(KINDS), style=st.sampled_from(STYLES))
def test_any_order_of_objects_gives_the_same_text(data: st.DataObject, kind: Kind, style: Style) -> None:
    frame = Frame(120, 90)
    boxes = data.draw(boxes_inside("quad", frame))
    # Few labels and a coarse grid, so that ties happen.
    names = tuple(data.draw(st.sampled_from(["small-vehicle", "Small vehicle", "plane"])) for _ in range(len(boxes)))
    objects = Objects(boxes, names)
    codec = Codec("coarse", space="0-1", decimals=1)
    order = data.draw(st.permutations(range(len(boxes))))
    assert codec.encode(objects[order], frame, kind=kind, style=style) == codec.encode(
        objects, frame, kind=kind, style=style
    )


def test_objects_follow_category_then_y_then_x_of_the_horizontal_box() -> None:
    grid = Frame(100, 100)
    rows = [[50, 10, 60, 20], [5, 10, 9, 20], [70, 3, 80, 9], [1, 40, 5, 50]]
    names = ("small-vehicle", "small-vehicle", "small-vehicle", "Plane")
    expected = "1,40,5,50 Plane\n70,3,80,9 small-vehicle\n5,10,9,20 small-vehicle\n50,10,60,20 small-vehicle\n"
    for order in permutations(range(4)):
        objects = Objects(Boxes([rows[row] for row in order], "hbb", grid), tuple(names[row] for row in order))
        text = Codec.preset("rscovlm-v1").encode(
            objects, grid, kind="hbb", categories=["small vehicle", "plane", "ship"]
        )
        assert text == expected


@pytest.mark.parametrize("name", ["rscovlm-v1", "qwen2.5-vl", "qwen3-vl"])
@pytest.mark.parametrize("kind", KINDS)
def test_boxes_may_lie_on_any_frame_of_the_same_image(name: str, kind: Kind) -> None:
    original = Frame(4000, 3000)
    window = original.cropped(400, 600, 1400, 1600).resized(504, 504)
    seen = Boxes([[100, 120, 200, 240, 180, 260, 80, 140]], "quad", window)
    codec = Codec.preset(name)
    assert codec.encode(Objects(seen.to(original), ("ship",)), window, kind=kind) == codec.encode(
        Objects(seen, ("ship",)), window, kind=kind
    )


def test_coordinates_are_rounded_to_nearest_and_clipped() -> None:
    grid = Frame(100, 50)
    box = Objects(Boxes([[-7, 3.6, 120, 49.4]], "hbb", grid), ("x",))
    assert Codec.preset("rscovlm-v1").encode(box, grid, kind="hbb") == "0,4,100,49 x\n"
    oriented = Objects(Boxes([[110, -3, 30, 10, 89.7]], "obb", grid), ("x",))
    assert Codec.preset("rscovlm-v1").encode(oriented, grid, kind="obb") == "100,0,30,10,-90 x\n"
    unit = replace(Codec.preset("qwen3-vl"), space="0-1", decimals=3)
    assert unit.encode(box, grid, kind="hbb", style="plain") == "0.000,0.072,1.000,0.988 x\n"


@pytest.mark.parametrize(("kind", "label"), [("hbb", "5,6,7,8 plane"), ("obb", "6,7,8 plane")])
def test_a_label_that_would_make_the_box_a_quadrilateral_is_refused(kind: Kind, label: str) -> None:
    grid = Frame(64, 64)
    ship = Objects(Boxes([[1, 2, 30, 40]], "hbb", grid), (label,))
    with pytest.raises(ValueError, match=r"label 0 is .* style='json'"):
        Codec.preset("rscovlm-v1").encode(ship, grid, kind=kind)
    assert Codec.preset("rscovlm-v1").decode(
        Codec.preset("rscovlm-v1").encode(ship, grid, kind=kind, style="json"), grid
    ).objects.labels == (label,)


def _like_shares(boxes: Boxes, frame: Frame, scale: float | None) -> int:
    """Count the boxes whose written places lie within [0, 1] and are not whole; none where that is the whole space."""
    if scale == 1:
        return 0
    unit = np.array([1.0, 1.0]) if scale is None else np.array([frame.width, frame.height]) / scale
    count = 0
    for row in boxes.coords:
        places = (row[:2] if boxes.kind == "obb" else row).reshape(-1, 2) / unit
        inside = bool(((places > -1e-9) & (places < 1 + 1e-9)).all())
        count += inside and bool((abs(places - np.rint(places)) > 1e-6).any())
    return count
