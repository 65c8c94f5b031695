"""Boxes in sentences: every writing is found, and a set of them gives away its scale."""

from __future__ import annotations

import numpy as np
import pytest

from rscovlm.data.textboxes import TextBox, find_boxes, lift, recognise, to_annotation
from rscovlm.records.record import Annotation


@pytest.mark.parametrize(
    ("text", "kind", "numbers"),
    [
        ("at {<25><30><40><50>}.", "hbb", (25, 30, 40, 50)),
        ("at {<25> <30> <40> <50> | <-15>}", "obb", (25, 30, 40, 50, -15)),
        ("{<1><2><3><4><5><6><7><8>}", "quad", (1, 2, 3, 4, 5, 6, 7, 8)),
        ("[25, 30,40 ,50]", "hbb", (25, 30, 40, 50)),
        ("[0.25, 0.3, 0.4, 0.5, 90]", "obb", (0.25, 0.3, 0.4, 0.5, 90)),
        ("<box>(25,30),(40,50)</box>", "hbb", (25, 30, 40, 50)),
        ("(1,2) (3,4) (5,6) (7,8)", "quad", (1, 2, 3, 4, 5, 6, 7, 8)),
    ],
)
def test_every_writing_is_found_whole(text: str, kind: str, numbers: tuple[float, ...]) -> None:
    (box,) = find_boxes(text)
    assert (box.kind, box.numbers) == (kind, numbers)
    rest = text[: box.start] + text[box.end :]
    assert not any(character.isdigit() for character in rest)


@pytest.mark.parametrize(
    "text", ["[1, 2, 3]", "[1,2,3,4,5,6]", "between 10 and 20", "(1, 2)", "array[3]", "{<1><2>}", ""]
)
def test_what_is_no_box_is_left_alone(text: str) -> None:
    assert find_boxes(text) == []
    objects: list[Annotation] = []
    assert lift(text, objects, 100, 10, 10) == text
    assert objects == []


def test_an_angle_turns_the_upright_box_about_its_centre() -> None:
    (box,) = find_boxes("{<20><40><60><60>|<30>}")
    assert to_annotation(box, 100, 500, 500).box == (200, 250, 200, 100, 30)
    (box,) = find_boxes("{<20><40><60><60>|<0>}")
    from rscovlm.geometry import Boxes

    upright = Boxes([to_annotation(box, 100, 200, 100).box], "obb").as_kind("hbb")
    assert upright.coords[0].tolist() == pytest.approx([40, 40, 120, 60])


def test_repeated_boxes_are_one_object_and_marks_are_not_forged() -> None:
    objects: list[Annotation] = []
    assert lift("[1,2,3,4] and [5,6,7,8] and [1, 2, 3, 4]", objects, 0, 0, 0) == "<box:0> and <box:1> and <box:0>"
    assert len(objects) == 2
    with pytest.raises(ValueError, match="already contains"):
        lift("see <box:3>", objects, 0, 0, 0)
    with pytest.raises(ValueError, match="size is unknown"):
        lift("[1,2,3,4]", objects, 100, 0, 0)


def test_several_boxes_of_one_phrase_share_its_name() -> None:
    objects: list[Annotation] = []
    text = "<p>2 cars</p> {<40><80><55><95>|<45>}<delim>{<10><20><30><40>|<0>} and <p>a ship</p> {<1><2><3><4>|<0>}, then {<5><6><7><8>|<0>}"
    assert lift(text, objects, 100, 100, 100) == "2 cars <box:0>, <box:1> and a ship <box:2>, then <box:3>"
    assert [item.label for item in objects] == ["2 cars", "2 cars", "a ship", ""]


def test_lists_of_other_numbers_stay() -> None:
    objects: list[Annotation] = []
    text = "From [2015, 2016, 2017, 2018] at [-2, 0, 50, 104]"
    assert lift(text, objects, 100, 100, 100) == "From [2015, 2016, 2017, 2018] at <box:0>"
    assert objects[0].box == (-2, 0, 50, 104)


@pytest.mark.parametrize(
    ("numbers", "lifted"),
    [
        ((-10, 5, 20, 30), True),
        ((-11, 5, 20, 30), False),
        ((5, -10, 20, 30), True),
        ((5, -11, 20, 30), False),
        ((5, 6, 110, 30), True),
        ((5, 6, 111, 30), False),
        ((5, 6, 20, 110), True),
        ((5, 6, 20, 111), False),
    ],
)
def test_bare_numbers_are_a_box_up_to_a_tenth_beyond_the_image(numbers: tuple[int, ...], lifted: bool) -> None:
    objects: list[Annotation] = []
    text = f"at {list(numbers)}"
    assert lift(text, objects, 100, 100, 100) == ("at <box:0>" if lifted else text)
    assert [item.box for item in objects] == ([numbers] if lifted else [])


@pytest.mark.parametrize("scale", [0, 1, 100, 1000])
@pytest.mark.parametrize("seed", range(5))
def test_scales_are_recognised_from_a_set(scale: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows = []
    for _ in range(200):
        width, height = (int(side) for side in rng.integers(400, 3000, 2))
        x, y = np.sort(rng.random((2, 2)), axis=1)
        corners = np.stack([x, y], 1).reshape(-1)[[0, 1, 2, 3]]
        values = corners * (scale or 1) if scale else corners * [width, height, width, height]
        numbers = [round(float(value), 3) if scale == 1 else round(float(value)) for value in values]
        rows.append((find_boxes(str(numbers))[0], width, height))
    guess = recognise(rows)
    assert (guess.scale, guess.certain) == (scale, True)


def _random_box(rng: np.random.Generator, kind: str) -> list[float]:
    """Draw a box as shares of the sides: the numbers that a writing of this kind has, an angle in degrees last."""
    x, y = np.sort(rng.random((2, 2)), axis=1).tolist()
    if kind == "hbb":
        return [x[0], y[0], x[1], y[1]]
    if kind == "corners":
        return [x[0], y[0], x[1], y[1], float(rng.integers(-90, 90))]
    if kind == "quad":
        return [x[0], y[0], x[1], y[0], x[1], y[1], x[0], y[1]]
    return [(x[0] + x[1]) / 2, (y[0] + y[1]) / 2, x[1] - x[0], y[1] - y[0], 0.0]


@pytest.mark.parametrize("sized", [True, False])
@pytest.mark.parametrize("scale", [0, 1, 100, 1000])
@pytest.mark.parametrize("kind", ["hbb", "quad", "corners", "obb"])
def test_every_kind_of_box_on_wide_and_high_images_gives_its_scale_away(kind: str, scale: int, sized: bool) -> None:
    """A box is as large as its furthest corner; without images' sizes, pixels are what fits no scale."""
    rng = np.random.default_rng(scale + len(kind))
    rows = []
    for number in range(120):
        width, height = (2000, 300) if number % 2 else (250, 1700)
        sides = [scale or width, scale or height]
        shares = _random_box(rng, kind)
        angle = shares[4:] if len(shares) == 5 else []
        values = [share * sides[i % 2] for i, share in enumerate(shares[: len(shares) - len(angle)])] + angle
        box = TextBox(0, 0, tuple(values), "obb" if angle else "hbb" if kind == "hbb" else "quad", kind == "corners")
        rows.append((box, width, height) if sized else (box, 0, 0))
    guess = recognise(rows)
    assert guess.scale == scale
    assert guess.certain is (sized or scale != 0)
    assert guess.inside == (1.0 if sized or scale else 0.0)


def test_the_corner_of_a_turned_box_says_how_far_it_reaches() -> None:
    """Turned by a right angle, a box is as wide as it was high."""
    upright, turned = (
        [(TextBox(0, 0, (990.0, 500.0, 400.0, 10.0, angle), "obb"), 1000, 1000)] * 30 for angle in (90.0, 0.0)
    )
    assert (recognise(upright).inside, recognise(turned).inside) == (1.0, 0.0)
    lying, standing = (
        [(TextBox(0, 0, (500.0, 990.0, 10.0, 400.0, angle), "obb"), 1000, 1000)] * 30 for angle in (90.0, 0.0)
    )
    assert (recognise(lying).inside, recognise(standing).inside) == (1.0, 0.0)


@pytest.mark.parametrize(
    ("text", "size", "scale", "inside"),
    [
        ("[0.1, 0.2, 0.3, 1.0]", (800, 600), 1, 1.0),
        ("[10, 20, 60, 80]", (800, 600), 100, 1.0),
        ("[100, 200, 760, 590]", (800, 600), 0, 1.0),  # inside the image: pixels
        ("[100, 200, 760, 900]", (800, 600), 1000, 1.0),  # below the image: per mille
        ("[100, 200, 990, 590]", (800, 600), 1000, 1.0),
        ("[900, 900, 1990, 2000]", (800, 600), 0, 0.0),
        ("[0.1, 0.2, 0.3, 0.4]", (0, 0), 1, 1.0),
        ("[10, 20, 60, 80]", (0, 0), 100, 1.0),
        ("[100, 200, 760, 900]", (0, 0), 1000, 1.0),
        ("[900, 900, 1990, 2000]", (0, 0), 0, 0.0),
    ],
)
def test_one_box_has_a_likely_scale(text: str, size: tuple[int, int], scale: int, inside: float) -> None:
    (box,) = find_boxes(text)
    guess = recognise([(box, *size)])
    assert (guess.scale, guess.certain, guess.inside) == (scale, False, inside)


def test_a_share_of_the_boxes_is_inside() -> None:
    """Boxes on images of unknown size are not counted where their size would tell."""
    near, far = (TextBox(0, 0, (0.0, 0.0, side, 1.0), "hbb") for side in (100.0, 1900.0))
    rows = [(near, 800, 600)] * 3 + [(far, 800, 600)] + [(far, 0, 0)] * 5
    assert recognise(rows).inside == 0.75


def test_five_numbers_of_unknown_meaning_stay_text_and_the_boxes_after_them_do_not() -> None:
    objects: list[Annotation] = []
    text = "at [10, 20, 30, 40, 50] and [1, 2, 3, 4] and {<10><20><30><40>|<50>}"
    assert lift(text, objects, 100, 100, 100, corners=None) == "at [10, 20, 30, 40, 50] and <box:0> and <box:1>"
    assert [item.kind for item in objects] == ["hbb", "obb"]
    for corners, box in ((True, (20, 30, 20, 20, 50)), (False, (10, 20, 30, 40, 50))):
        found: list[Annotation] = []
        lift("at [10, 20, 30, 40, 50]", found, 100, 100, 100, corners=corners)
        assert [item.box for item in found] == [box]


@pytest.mark.parametrize(("numbers", "lifted"), [((50, 50, 20, 10, 170), True), ((111, 50, 20, 10, 30), False)])
def test_an_angle_is_no_coordinate(numbers: tuple[int, ...], lifted: bool) -> None:
    """Of five numbers the last may be larger than the image."""
    assert bool(lift(f"{list(numbers)}", [], 100, 100, 100).startswith("<box:")) is lifted


@pytest.mark.parametrize(("ordered", "corners"), [(60, True), (59, None), (54, None), (53, False)])
def test_a_tenth_of_disorder_tells_centres_from_corners(ordered: int, corners: bool | None) -> None:
    """Corners are never out of order; a few that are make nothing certain."""
    right, wrong = (TextBox(0, 0, (10.0, 20.0, *rest, 5.0), "obb") for rest in ((15.0, 25.0), (5.0, 25.0)))
    rows = [(box, 100, 100) for box in [right] * ordered + [wrong] * (60 - ordered)]
    assert recognise(rows).corners is corners
    assert recognise([(right, 100, 100)] * 20).corners is True
    assert recognise([(right, 100, 100)] * 19).corners is None


def test_a_few_boxes_are_not_enough_to_be_certain() -> None:
    (box,) = find_boxes("[10, 20, 60, 80]")
    assert not recognise([(box, 800, 800)]).certain
    with pytest.raises(ValueError, match="no boxes"):
        recognise([])


@pytest.mark.parametrize("side", [512, 800, 1024])
def test_objects_cut_by_the_border_of_a_tile_stay_pixels(side: int) -> None:
    rng = np.random.default_rng(side)
    boxes = []
    for _ in range(400):
        middle, size = rng.uniform(0, side, 2), rng.uniform(20, 250, 2)
        low, high = middle - size / 2, middle + size / 2
        inside = np.minimum(high, side) - np.maximum(low, 0)
        if inside.prod() >= 0.7 * size.prod():  # what tiling keeps
            boxes.append((TextBox(0, 0, (*low.tolist(), *high.tolist()), "hbb"), side, side))
    assert any(max(box.numbers) > side for box, _, _ in boxes)
    assert recognise(boxes).scale == 0


def test_one_row_makes_nothing_certain() -> None:
    for text in ("[10, 20, 60, 80]", "[0.1, 0.2, 0.3, 0.4]", "[100, 200, 1060, 1080]", "[900, 900, 1990, 2000]"):
        (box,) = find_boxes(text)
        assert not recognise([(box, 800, 800)]).certain, text


def test_what_the_writing_states_needs_no_guess() -> None:
    boxes = find_boxes("{<90><11><112><26>} and <rbox>(31,12,4,5,30)</rbox>")
    assert [box.stated for box in boxes] == [100, 100]
    assert recognise([(boxes[0], 512, 512)]).scale == 100
    objects: list[Annotation] = []
    # The scale given is that of brackets; braces say their own.
    assert lift("{<25><30><40><50>} [250, 300, 400, 500]", objects, 1000, 200, 100) == "<box:0> <box:0>"
    assert objects[0].box == (50, 30, 80, 50)


def test_an_object_that_the_image_cuts_is_a_box_and_a_typing_error_is_none() -> None:
    objects: list[Annotation] = []
    assert lift("{<90><11><154><26>}", objects, 100, 512, 512) == "<box:0>" and objects[0].box[2] == 154 * 5.12
    wrong = "{<76><982><82><99>|<28>}"
    assert lift(wrong, objects, 100, 600, 400) == wrong and len(objects) == 1


@pytest.mark.parametrize(("corners", "expected"), [(True, True), (False, False)])
def test_five_numbers_are_told_from_the_whole_set(corners: bool, expected: bool) -> None:
    rng = np.random.default_rng(3)
    rows = []
    for _ in range(60):
        x, y = rng.integers(0, 80, 2)
        w, h = rng.integers(2, 20, 2)
        numbers = [x, y, x + w, y + h, 30] if corners else [x, y, w, h, 30]
        rows.append((find_boxes(str([int(number) for number in numbers]))[0], 500, 500))
    assert recognise(rows).corners is expected
    assert recognise(rows[:3]).corners is None


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("<|ref|>ship<|/ref|><|det|>[[287, 97, 333, 148]]<|/det|>.", (287, 97, 333, 148)),
        ("<|box_start|>(287,97),(333,148)<|box_end|>", (287, 97, 333, 148)),
        ("<loc0097><loc0287><loc0148><loc0333> ship", (287.5, 97.5, 333.5, 148.5)),
        ("<rbox>(31,12,4,5,30)</rbox>", (31, 12, 4, 5, 30)),
    ],
)
def test_tags_of_dialects_are_boxes_in_sentences(text: str, numbers: tuple[float, ...]) -> None:
    (box,) = find_boxes(f"I see {text} there")
    assert box.numbers == numbers and box.stated is not None


@pytest.mark.parametrize(
    ("text", "told", "count"),
    [
        ("<ref>the ship</ref><box>[[287, 97, 333, 148]]</box>", "the ship <box:0>", 1),
        ("<ref>the ship</ref><box>[[1, 2, 30, 40], [5, 6, 70, 80]]</box>.", "the ship <box:0>, <box:1>.", 2),
        ("<ref>the ship</ref><box>(287,97),(333,148)</box>", "the ship <box:0>", 1),
        ("<ref>the ship</ref><quad>(1,2),(9,2),(9,8),(1,8)</quad>", "the ship <box:0>", 1),
        (
            "<|object_ref_start|>the ship<|object_ref_end|><|box_start|>(287,97),(333,148)<|box_end|>",
            "the ship <box:0>",
            1,
        ),
        ("<|ref|>the ship<|/ref|><|det|>[[287, 97, 333, 148]]<|/det|>", "the ship <box:0>", 1),
        ("<p>the ship</p>{<10><20><30><40>}", "the ship <box:0>", 1),
    ],
)
def test_tags_around_boxes_go_and_give_the_label(text: str, told: str, count: int) -> None:
    objects: list[Annotation] = []
    assert lift(text, objects, 0, 1000, 1000) == told
    assert [item.label for item in objects] == ["the ship"] * count
