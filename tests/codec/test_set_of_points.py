"""Sets of points: round trips in every space, damaged answers, grammars read by other programs, polygons that must fit."""

from __future__ import annotations

import json
import random
import re
from typing import Any

import jsonschema
import numpy as np
import pytest
import shapely
from hypothesis import example, given, settings
from hypothesis import strategies as st

from rscovlm.codec import Codec
from rscovlm.codec.point_objects import PointObject, SetForm
from rscovlm.codec.problems import DROPPED, KEPT, SETS_DROPPED, SETS_KEPT
from rscovlm.codec.set_fitting import fitted
from rscovlm.codec.set_of_points import SetOfPoints
from rscovlm.codec.spaces import pixels_per_unit
from rscovlm.codec.writing import STYLES
from rscovlm.geometry import Frame
from tests.codec.test_exported_grammars import ebnf_reader

CODECS = [
    *(Codec.preset(name) for name in ("rscovlm-v1", "qwen3-vl", "paligemma", "gemini", "internvl")),
    Codec("percent", space="0-100", decimals=2),
    Codec("share", space="0-1", decimals=3),
    Codec("bins", space="1000 bins"),
    Codec("across", space="0-999", order="yx"),
]
FORMS: tuple[SetForm, ...] = ("corners", "prompt", "polygon")
LABELS = ["ship", "storage-tank", 'A/C "old" (2)', "桥 \\ x", "the field, ploughed", "it's [here]"]
GRID = Frame(504, 420)
PIXELS = SetOfPoints(Codec.preset("rscovlm-v1"))
SEEDS = st.integers(0, 2**32 - 1)
SIGNS = [*"[](){},:;\"'\n 1290.-e\\xnN١", "label", '"polygon": ', '"label": "', "(1,2)", "),(", "[(", ")]"]
REASONS = {*DROPPED, *KEPT, *SETS_DROPPED, *SETS_KEPT}


def _star(rng: np.random.Generator, frame: Frame) -> Any:
    """A polygon that does not cross itself, at times with a hole or a second part."""
    size = np.array([frame.width, frame.height])
    middle, corners = rng.uniform(0.2, 0.8, 2) * size, int(rng.integers(3, 12))
    angles = np.sort(rng.uniform(0, 2 * np.pi, corners))
    reach = rng.uniform(0.05, 0.18, corners)[:, None] * size
    ring = middle + reach * np.column_stack([np.cos(angles), np.sin(angles)])
    shape = shapely.make_valid(shapely.Polygon(ring))
    if rng.random() < 0.3:
        shape = shapely.difference(shape, shapely.Point(middle).buffer(0.02 * size.min(), quad_segs=2))
    parts = [part for part in shapely.get_parts(shape) if part.geom_type == "Polygon" and part.area > 1]
    return shapely.MultiPolygon(parts) if parts else shapely.box(10, 10, 30, 30)


def _object(rng: np.random.Generator, form: SetForm, frame: Frame) -> PointObject:
    size, label = np.array([frame.width, frame.height]), str(rng.choice(LABELS))
    if form == "polygon":
        return PointObject.area(label, _star(rng, frame), frame)
    low = rng.uniform(0, 0.7, 2) * size
    high = low + rng.uniform(0.1, 0.3, 2) * size
    if form == "prompt":
        points = rng.uniform(low, high, (int(rng.integers(0, 4)), 2))
        outside = rng.uniform(0, 1, (2, 2)) * size if len(points) and rng.random() < 0.5 else ()
        return PointObject.prompt(label, [*low.tolist(), *high.tolist()], points, frame, outside)
    return PointObject.corners(label, [low, (high[0], low[1]), high, (low[0], high[1])], frame)


@settings(max_examples=250, deadline=None)
@given(SEEDS, st.sampled_from(CODECS), st.sampled_from(FORMS), st.sampled_from(STYLES))
@example(15037130, Codec.preset("rscovlm-v1"), "polygon", "plain")
@example(230, Codec.preset("rscovlm-v1"), "polygon", "plain")
@example(251, Codec.preset("rscovlm-v1"), "polygon", "plain")
@example(49743, Codec.preset("rscovlm-v1"), "polygon", "plain")
def test_round_trip_within_half_a_unit(seed: int, codec: Codec, form: SetForm, style: Any) -> None:
    rng = np.random.default_rng(seed)
    frame = Frame(int(rng.integers(60, 900)), int(rng.integers(60, 900)))
    given_objects = [_object(rng, form, frame) for _ in range(int(rng.integers(1, 5)))]
    text = SetOfPoints(codec)
    answer = text.encode(given_objects, frame, style=style)
    read = text.decode(answer, frame, form=form)
    assert not set(read.problems) - {"self_crossing", "degenerate"}, (answer, read.problems)
    assert sorted(one.label for one in read.objects) == sorted(one.label for one in given_objects)
    # Half of a written step, on each axis.
    half = pixels_per_unit(codec.space, "point", frame) / 2 / 10**codec.decimals + 1e-9
    left = list(read.objects)
    for one in given_objects:
        near = min(left, key=lambda other: _apart(one, other, half) if other.label == one.label else np.inf)
        assert _apart(one, near, half) <= 1 or _covers(one, near, half), (answer, one)
        left.remove(near)
    # Writing what was read gives the same text: there is one way to write an object.
    if "self_crossing" not in read.problems:
        assert text.encode(read.objects, frame, style=style) == answer


def _covers(one: PointObject, read: PointObject, half: Any) -> bool:
    """Whether two areas differ within half a step of the first one's outline only.

    Rounding may let an outline touch itself or its hole; the repaired outline then has no points where the area is nil.
    """
    if one.form != "polygon":
        return False
    shapes = []
    for each in (one, read):
        area: Any = shapely.Polygon()
        for ring in each.sets.points:
            area = area.symmetric_difference(shapely.make_valid(shapely.Polygon(ring / half)))
        shapes.append(area)
    near = shapely.buffer(shapely.boundary(shapes[0]), 1.01 * 2**0.5, quad_segs=16)
    return bool(shapes[0].symmetric_difference(shapes[1]).difference(near).area < 1e-6)


def _apart(one: PointObject, other: PointObject, half: Any) -> float:
    """How far points lie from their counterparts, in half steps; of outlines, the points of each from the other's line."""
    if one.form != "polygon":
        pairs = list(zip(one.sets.points, other.sets.points, strict=False))
        if len(one.sets) != len(other.sets) or any(len(a) != len(b) for a, b in pairs):
            return np.inf
        if one.form == "corners":
            ways = [
                np.roll(order, by, axis=0)
                for order in (one.sets.points[0], one.sets.points[0][::-1])
                for by in range(4)
            ]
            return min(float((np.abs(way - other.sets.points[0]) / half).max()) for way in ways)
        return max(float((np.abs(a - b) / half).max()) for a, b in pairs)
    scaled = [[points / half for points in each.sets.points] for each in (one, other)]
    lines = [shapely.MultiLineString([np.concatenate([ring, ring[:1]]) for ring in rings]) for rings in scaled]
    points = [shapely.points(np.concatenate(rings)) for rings in scaled]
    # A point may be off by half a step on both axes.
    there, back = shapely.distance(lines[0], points[1]).max(), shapely.distance(lines[1], points[0]).max()
    return float(max(there, back)) / 2**0.5


@settings(max_examples=120, deadline=None)
@given(SEEDS, st.sampled_from(CODECS), st.sampled_from(FORMS), st.sampled_from(STYLES))
def test_the_grammar_accepts_what_is_written_and_nothing_broken(
    seed: int, codec: Codec, form: SetForm, style: Any
) -> None:
    rng = np.random.default_rng(seed)
    labels = ["ship", "storage tank"]
    objects = [_object(rng, form, GRID) for _ in range(int(rng.integers(0, 4)))]
    objects = [PointObject(str(rng.choice(labels)), one.form, one.sets) for one in objects]
    text = SetOfPoints(codec)
    grammar = text.grammar(form=form, style=style, categories=labels, largest=504, inside=3, outside=2)
    answer = fitted(text, objects, GRID, style=style).text
    assert re.fullmatch(grammar.pattern, answer), answer
    cut = answer[: int(rng.integers(0, len(answer)))]
    whole = style == "plain" and cut.endswith("\n") and bool(objects)
    assert bool(re.fullmatch(grammar.pattern, cut)) == whole
    if style == "json" and objects:
        listed = json.loads(answer.removeprefix("```json\n").removesuffix("\n```"))
        if codec.order == "xy":
            jsonschema.validate(listed, grammar.json_schema())
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate([{**listed[0], "more": 1}], grammar.json_schema())


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("style", STYLES)
def test_llguidance_reads_the_grammar(form: SetForm, style: Any) -> None:
    reads = ebnf_reader(PIXELS.grammar(form=form, style=style, categories=["ship"], largest=504).ebnf())
    rng = np.random.default_rng(5)
    for _ in range(5):
        one = _object(rng, form, GRID)
        one = PointObject(
            "ship",
            form,
            one.sets[:2] if form == "prompt" and len(one.sets) > 1 and len(one.sets.points[1]) < 3 else one.sets[:1],
        )
        answer = fitted(PIXELS, [one], GRID, style=style).text
        assert reads(answer)
        assert not reads(answer[:-2])
    assert reads("There are none.")


ODD: list[tuple[str, dict[str, int], list[tuple[str, str]]]] = [
    ("Sure: [(1,2),(30,4),(5,60)] field", {"open_polygon": 1}, [("polygon", "field")]),
    ("field: [(1,2),(30,4),(5,60),(1,2)]", {"repaired": 1}, [("polygon", "field")]),
    (
        "[(1,2),(30,4),(5,60),(1,2) plane\n[(1,2),(3,4)] ship",
        {"repaired": 1},
        [("polygon", "plane"), ("prompt", "ship")],
    ),
    (
        "[(1,2),(30,4),(5,60),(1,2)\n[(1,2),(3,4)] ship",
        {"no_label": 1, "repaired": 1},
        [("polygon", ""), ("prompt", "ship")],
    ),
    ("[[1,2],[30,4],[5,60],[1,2]] x", {}, [("polygon", "x")]),
    ("(1,2),(30,4),(5,60),(1,2) x", {}, [("polygon", "x")]),
    ("[1,2,30,4,5,60,1,2] x", {}, [("polygon", "x")]),
    ("[(1,2),(NaN,4),(5,9)] x", {"not_finite": 1}, []),
    ("[(1,2),(1e999,4),(5,9)] x", {"not_finite": 1}, []),
    ("[(1,2),(1२,4),(5,9)] x", {"non_ascii_digits": 1}, []),
    ("[(1,2,3)] x", {"coordinate_count": 1}, []),
    ("[(1,2),(3,4),(1,2)] x", {"too_few_points": 1}, []),
    ("[(0,0),(9,9),(9,0),(0,9),(0,0)] x", {"self_crossing": 1}, [("polygon", "x")]),
    ("[(0,0),(9,9),(3,3),(0,0)] x", {"degenerate": 1}, [("polygon", "x")]),
    ("[(9,9),(30,30),(50,50),(70,70)] x", {"degenerate": 1}, [("corners", "x")]),
    ('{"bbox_2d": [[1,2,30,40],[5,6,7,8]], "points": [[[5,6]],[[7,8]]], "label": "x"}', {}, [("prompt", "x")]),
    ("[(9,9),(9,30)],[(9,12)] x", {"degenerate": 1}, [("prompt", "x")]),
    ("[(9,9),(2,3)],[(4,4)] x", {"inverted": 1}, [("prompt", "x")]),
    ("[(9,9),(2000,30)],[(4,4)] x", {"outside": 1}, [("prompt", "x")]),
    ("[(0.1,0.2),(0.4,0.5)] x", {"space_suspect": 1}, [("prompt", "x")]),
    ('{"polygon": [[1,2],[30,4],[5,60],[1,2]], "label": "x"}', {}, [("polygon", "x")]),
    ('{"segmentation": [[1,2,30,4,5,60,1,2]], "label": "x"}', {}, [("polygon", "x")]),
    ('{"bbox_2d": [1,2,30,40], "point_2d": [5, 6], "label": "x"}', {}, [("prompt", "x")]),
    ("{'label': 'x', 'polygon': [[1,2],[30,4],[5,60],[1,2]]", {"repaired": 1}, [("polygon", "x")]),
    ('{"label": "x", "points": [[1, 2]]}', {"no_box": 1}, []),
    ('{"polygon": [[1,2],[3,4],[5,9]], "lab', {"truncated": 1}, []),
    ("[(1,2),(3,4),(5", {"truncated": 1}, []),
    ("<think>[(1,2),(3,4)] y</think>[(1,2),(3,4)] x", {}, [("prompt", "x")]),
    # What other keys say is no object, whatever it looks like.
    (
        '{"note": "} {\\"polygon\\": [[7,7]]", "polygon": [[1,2],[30,4],[5,60],[1,2]], "label": "x", "why": "{"}',
        {},
        [("polygon", "x")],
    ),
    ("There are none.", {}, []),
    ("A quiet harbour (with a pier).", {"nothing_readable": 1}, []),
    ("", {"nothing_readable": 1}, []),
]


@pytest.mark.parametrize(("text", "problems", "objects"), ODD)
def test_odd_answers(text: str, problems: dict[str, int], objects: list[tuple[str, str]]) -> None:
    read = PIXELS.decode(text, GRID)
    assert read.problems == problems
    assert [(one.form, one.label) for one in read.objects] == objects
    assert read.none == (text == "There are none.")


@pytest.mark.parametrize("key", ["label", "名称", "étiquette", "class-name", "what it is", "v1.name"])
@pytest.mark.parametrize("form", FORMS)
def test_a_label_may_stand_under_any_key(key: str, form: SetForm) -> None:
    text = SetOfPoints(Codec("named", label_key=key))
    given_objects = [_object(np.random.default_rng(seed), form, GRID) for seed in range(5)]
    answer = text.encode(given_objects, GRID, style="json")
    read = text.decode(answer, GRID, form=form)
    assert not read.problems
    assert sorted(one.label for one in read.objects) == sorted(one.label for one in given_objects)
    labels = [one.label for one in given_objects]
    grammar = text.grammar(form=form, style="json", categories=labels, largest=504, inside=3, outside=2)
    assert re.fullmatch(grammar.pattern, answer)


@pytest.mark.parametrize(
    ("text", "suspect"),
    [
        ("[(0.1,0.2),(0.9,1.0)] x", False),
        ("[(0,0),(1,2)] x", False),
        ("[(0.1,0.2),(30,0.6)] x", True),
        ("[(0.1,0.2),(0.4,2.1)] x", True),
        ("[(12,20),(30,44)] x", True),
    ],
)
def test_shares_beyond_two_are_suspected_to_be_something_else(text: str, suspect: bool) -> None:
    read = SetOfPoints(Codec("share", space="0-1", decimals=3)).decode(text, GRID)
    assert bool(read.problems.get("space_suspect")) == suspect


@settings(max_examples=400, deadline=None)
@given(SEEDS)
@example(70500)
def test_damage_costs_no_object_it_does_not_touch(seed: int) -> None:
    chance = random.Random(seed)
    rng = np.random.default_rng(seed)
    style = chance.choice(STYLES)
    objects = [_object(rng, chance.choice(FORMS), GRID) for _ in range(chance.randrange(1, 6))]
    lines = [PIXELS.encode([one], GRID, style=style) for one in objects]
    lines = [line.removeprefix("```json\n[\n\t").removesuffix("\n]\n```").removesuffix("\n") for line in lines]
    whole = "\n".join(lines) + "\n"
    place = chance.randrange(len(whole))
    until = place + chance.choice([0, 1, 5])
    changed = whole[:place] + "".join(chance.choices("\"'[](),:\\ 1x１\t", k=chance.randrange(0, 4))) + whole[until:]
    read = PIXELS.decode(changed, GRID)
    assert set(read.problems) <= REASONS
    texts = [PIXELS.encode([one], GRID, style="json") for one in read.objects if one.label]
    start = 0
    for line in lines:
        if start + len(line) + 1 <= place:
            # As it is read alone: a hole that touches its border after rounding is written again with a corner there.
            (alone,) = PIXELS.decode(line, GRID).objects
            assert PIXELS.encode([alone], GRID, style="json") in texts, (changed, line, read)
        start += len(line) + 1


@settings(max_examples=400, deadline=None)
@given(st.lists(st.sampled_from(SIGNS), max_size=60).map("".join))
def test_noise_raises_nothing_and_is_never_silent(text: str) -> None:
    for form in (None, *FORMS):
        read = PIXELS.decode(text, GRID, form=form, categories=["x", "plane"], cutoff=0.6)
        assert set(read.problems) <= REASONS
        assert all(count > 0 for count in read.problems.values())
        assert read.none or read.problems or read.objects
        assert all(form in (None, one.form) for one in read.objects)
        assert len(read.spans) == len(read.objects)


def test_long_answers_take_linear_time() -> None:
    import time

    hostile = ["[(1,2),", "[ [ ", '{"polygon": [', "[(1,2),(3,4)] x\n", "(1,", '{"label": "', "[" + " " * 50]
    for piece in hostile:
        times = []
        for size in (20_000, 80_000):
            text = piece * (size // len(piece))
            start = time.perf_counter()
            PIXELS.decode(text, GRID)
            times.append(time.perf_counter() - start)
        assert times[1] < 12 * times[0] + 0.5, (piece, times)


def test_a_polygon_that_crosses_itself_too_often_is_counted() -> None:
    points = np.random.default_rng(0).integers(0, 400, (3000, 2)).tolist()
    text = "[" + ",".join(f"({x},{y})" for x, y in [*points, points[0]]) + "] x\n[(1,2),(3,4)] y\n"
    read = PIXELS.decode(text, GRID)
    assert read.problems == {"too_complex": 1}
    assert [one.label for one in read.objects] == ["y"]


@settings(max_examples=60, deadline=None)
@given(SEEDS, st.integers(140, 700), st.sampled_from(STYLES))
def test_polygons_are_simplified_to_fit_and_the_cost_is_measured(seed: int, longest: int, style: Any) -> None:
    rng = np.random.default_rng(seed)
    blob = shapely.union_all([shapely.Point(*rng.uniform(150, 300, 2)).buffer(rng.uniform(20, 60)) for _ in range(5)])
    one = PointObject.area("lake", blob, GRID)
    found = fitted(PIXELS, [one], GRID, longest=longest, style=style)
    assert len(found.text) <= longest
    read = PIXELS.decode(found.text, GRID).objects
    mask = _pixels(read[0].shape), _pixels(blob)
    assert found.iou[0] == pytest.approx((mask[0] & mask[1]).sum() / (mask[0] | mask[1]).sum(), abs=0.01)
    longer = fitted(PIXELS, [one], GRID, longest=2 * longest, style=style)
    assert longer.tolerance <= found.tolerance
    free = fitted(PIXELS, [one], GRID, style=style)
    assert max(len(ring) for ring in PIXELS.decode(free.text, GRID).objects[0].sets.points) <= PIXELS.most_points


def _pixels(shape: Any) -> Any:
    ys, xs = np.mgrid[: GRID.height, : GRID.width]
    return shapely.contains_xy(shape, xs + 0.5, ys + 0.5)


def test_what_cannot_fit_is_refused() -> None:
    one = PointObject.polygon("lake", [[(0, 0), (9, 0), (9, 9)]], GRID)
    with pytest.raises(ValueError, match="does not fit into 5"):
        fitted(PIXELS, [one], GRID, longest=5)


@pytest.mark.parametrize("label", ["", "a\nb", " a", "x [(1,2),(3,4)]", "\ud800", ": a", ","])
def test_labels_that_could_not_be_read_back_are_refused(label: str) -> None:
    with pytest.raises(ValueError, match="label"):
        PIXELS.encode([PointObject.polygon(label, [[(0, 0), (9, 0), (9, 9)]], GRID)], GRID, style="plain")


@pytest.mark.parametrize(
    ("form", "sets"),
    [("corners", [[(0, 0)] * 3]), ("prompt", [[(0, 0)]]), ("polygon", [[(0, 0)] * 2]), ("polygon", []), ("ring", [])],
)
def test_sets_of_another_form_are_refused(form: Any, sets: Any) -> None:
    from rscovlm.geometry import PointSets

    with pytest.raises(ValueError, match="form|sets"):
        PointObject("x", form, PointSets(sets, GRID))


def test_other_forms_are_converted_and_counted() -> None:
    read = PIXELS.decode("[(10,10),(30,40)],[(20,20)] a\n[(0,0),(9,0),(9,9),(0,0)] b", GRID, form="polygon")
    assert read.problems == {"converted": 1}
    assert [one.shape.area for one in read.objects] == [600, 40.5]
    boxes = PIXELS.decode("[(0,0),(9,0),(9,9),(0,0)] b", GRID, form="prompt").objects
    assert boxes[0].box.coords.tolist() == [[0, 0, 9, 9]]
    turned = PIXELS.decode("[(10,0),(20,10),(10,20),(0,10),(10,0)] b", GRID, form="corners").objects
    assert turned[0].shape.area == pytest.approx(200)


def test_objects_are_written_by_class_then_from_top_to_bottom_then_from_left_to_right() -> None:
    """Corners that differ in x and y, so that neither axis stands for the other; a polygon counts by its uppermost point."""
    corners = [(300, 40), (20, 200), (20, 90), (200, 90), (5, 300)]
    boxes = [PointObject.prompt("ship", [x, y, x + 31, y + 17], (), GRID) for x, y in corners]
    kite = PointObject.polygon("ship", [np.array([(60, 80), (90, 50), (120, 80), (90, 110.0)])], GRID)
    plane = PointObject.prompt("plane", [400, 400, 431, 410], (), GRID)
    text = PIXELS.encode([*boxes, kite, plane], GRID)
    read = PIXELS.decode(text, GRID).objects
    low = [
        tuple(np.concatenate(one.sets.points[:1] if one.form == "prompt" else one.sets.points).min(0)) for one in read
    ]
    assert [one.label for one in read] == ["plane", *["ship"] * 6]
    assert low == [(400, 400), (300, 40), (60, 50), (20, 90), (200, 90), (20, 200), (5, 300)], text


@pytest.mark.parametrize("name", ["polygon", "polygons", "segmentation", "contour", "contours", "polygon_2d"])
def test_every_known_name_of_a_ring_is_read(name: str) -> None:
    read = PIXELS.decode(f'[{{"{name}": [[1,2],[30,4],[5,60],[1,2]], "label": "x"}}]', GRID)
    assert [(one.form, one.label) for one in read.objects] == [("polygon", "x")] and not read.problems


@pytest.mark.parametrize("box", ["bbox_2d", "bbox", "box"])
@pytest.mark.parametrize(
    "points",
    ["points", "points_2d", "point_2d", "point", "keypoints", "positive_points", "points_outside", "negative_points"],
)
def test_every_known_name_of_a_box_and_of_points_is_read(box: str, points: str) -> None:
    text = f'{{"{box}": [10, 20, 90, 60], "points": [[30, 40]], "{points}": [[44, 33]], "label": "x"}}'
    (one,) = PIXELS.decode(text, GRID).objects
    outside = points in ("negative_points", "points_outside")
    assert one.form == "prompt" and one.box.coords.tolist() == [[10, 20, 90, 60]]
    assert (44, 33) in {tuple(point) for point in np.asarray(one.sets.points[2 if outside else 1]).tolist()}


@pytest.mark.parametrize("key", ["points", "negative_points"])
def test_a_schema_takes_no_empty_list_of_points(key: str) -> None:
    schema = PIXELS.grammar(form="prompt", style="json", categories=["ship"], largest=504, outside=2).json_schema()
    one = {"bbox_2d": [1, 2, 30, 40], "points": [[5, 6]], "negative_points": [[9, 9], [8, 8]], "label": "ship"}
    jsonschema.validate([one], schema)
    for wrong in ([], [[1, 2]] * 3):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate([one | {key: wrong}], schema)
