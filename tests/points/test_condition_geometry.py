"""Conditions beside brute force: sampled points and plain loops in pixels, PROJ's own coordinates and geodesics on a map."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import shapely

from rscovlm.geometry import Boxes, Frame, Objects
from rscovlm.metrics.places import great_circle
from rscovlm.points.condition_geometry import ConditionJudge, shapes_of
from rscovlm.points.conditions import SubInstruction

FRAME = Frame(400, 300)
UTM = Frame(400, 300, root_to_world=(2.0, 0.0, 500_000.0, 0.0, -2.0, 5_400_000.0), crs="EPSG:32633")
TURNED = Frame(400, 300, root_to_world=(0.0, 2.0, 500_000.0, 2.0, 0.0, 5_400_000.0), crs="EPSG:32633")
"""Rows run east and columns north: up in the picture is west."""


def things(count: int, seed: int, frame: Frame = FRAME) -> Objects:
    rng = np.random.default_rng(seed)
    rows = np.stack(
        [
            rng.uniform(20, 380, count),
            rng.uniform(20, 280, count),
            rng.uniform(4, 40, count),
            rng.uniform(2, 30, count),
            rng.uniform(-90, 90, count),
        ],
        axis=1,
    )
    rows[:, 2:4] = -np.sort(-rows[:, 2:4], axis=1)
    return Objects(Boxes(rows, "obb", frame), ("x",) * count)


def kept(step: SubInstruction, subject: Objects, *others: Objects, frame: Frame = FRAME) -> list[int]:
    return ConditionJudge(frame).kept(step, shapes_of(subject), [shapes_of(other) for other in others])


def step(do: str, **more: object) -> SubInstruction:
    to = ("t",) if do not in ("largest", "smallest", "count", "part") and not do.endswith("most") else ()
    return SubInstruction("s", do, of="a", **{"to": to, **more})  # type: ignore[arg-type]  # fields of a table


def outline(objects: Objects, row: int) -> np.ndarray:
    """Return 400 points along the edge of a box."""
    corners = objects.boxes.as_kind("quad").coords[row].reshape(4, 2)
    share = np.linspace(0, 1, 101)[:, None]
    return np.concatenate([corners[k] * (1 - share) + corners[(k + 1) % 4] * share for k in range(4)])


def gap(one: np.ndarray, two: np.ndarray) -> float:
    return float(np.sqrt(((one[:, None] - two[None]) ** 2).sum(axis=2)).min())


@pytest.mark.parametrize("seed", range(6))
def test_distances_in_pixels(seed: int) -> None:
    subject, others = things(12, seed), things(3, seed + 100)
    away = [min(gap(outline(subject, row), outline(others, k)) for k in range(3)) for row in range(12)]
    polygons = shapes_of(subject)
    # Boxes that overlap are no distance apart; sampled edges see that only where they meet.
    overlap = [any(polygons[row].intersects(other) for other in shapes_of(others)) for row in range(12)]
    away = [0.0 if meets else value for meets, value in zip(overlap, away, strict=True)]
    for limit in (10.0, 40.0, 90.0):
        clear = [row for row in range(12) if abs(away[row] - limit) > 0.5]
        near = kept(step("within", distance=limit, unit="px"), subject, others)
        far = kept(step("beyond", distance=limit, unit="px"), subject, others)
        assert [row for row in clear if away[row] <= limit] == [row for row in near if row in clear]
        assert sorted(near + far) == list(range(12))
    closest = kept(step("nearest"), subject, others)
    assert away[closest[0]] <= min(away) + 0.5
    farthest = kept(step("farthest", count=3), subject, others)
    assert [round(away[row], 0) for row in farthest] == pytest.approx(sorted(away)[::-1][:3], abs=1.0)


@pytest.mark.parametrize(("do", "value"), [
    ("leftmost", lambda x, y, a: x), ("rightmost", lambda x, y, a: -x), ("topmost", lambda x, y, a: y),
    ("bottommost", lambda x, y, a: -y), ("largest", lambda x, y, a: -a), ("smallest", lambda x, y, a: a),
])  # fmt: skip
def test_superlatives_in_pixels(do: str, value: Callable[..., float]) -> None:
    subject = things(20, 5)
    x, y, width, height, _ = subject.boxes.coords.T
    order = sorted(range(20), key=lambda row: value(x[row], y[row], width[row] * height[row]))
    assert kept(step(do, count=4), subject) == order[:4]
    assert kept(step(do, count=99), subject) == order


def test_equal_objects_stay_in_their_order() -> None:
    same = Objects(Boxes([[10, 10, 20, 20]] * 3, "hbb", FRAME), ("a", "b", "c"))
    assert kept(step("largest", count=2), same) == [0, 1]
    assert kept(step("nearest", count=2), same, same) == [0, 1]


@pytest.mark.parametrize("seed", range(4))
def test_inside_outside_and_parts(seed: int) -> None:
    subject, zones = things(25, seed), things(2, seed + 50)
    zones = Objects(Boxes(zones.boxes.coords * (1, 1, 5, 5, 1), "obb", FRAME), zones.labels)

    def holds(row: int) -> bool:
        """Tell by cross products whether a middle lies left of all edges, or right of all."""
        for corners in zones.boxes.as_kind("quad").coords.reshape(-1, 4, 2):
            ahead = np.roll(corners, -1, axis=0) - corners
            there = subject.boxes.coords[row, :2] - corners
            cross = ahead[:, 0] * there[:, 1] - ahead[:, 1] * there[:, 0]
            if (cross >= 0).all() or (cross <= 0).all():
                return True
        return False

    inside = [row for row in range(25) if holds(row)]
    assert kept(step("inside"), subject, zones) == inside
    assert kept(step("outside"), subject, zones) == [row for row in range(25) if row not in inside]
    x, y = subject.boxes.coords[:, :2].T
    assert kept(step("part", what="left"), subject) == np.flatnonzero(x < 200).tolist()
    assert kept(step("part", what="bottom"), subject) == np.flatnonzero(y > 150).tolist()
    centre = np.flatnonzero((abs(x - 200) <= 400 / 6) & (abs(y - 150) <= 50)).tolist()
    assert kept(step("part", what="centre"), subject) == centre


def test_sides_follow_the_bends_of_a_river() -> None:
    """A river runs as a sine from top to bottom: the bank of a point follows from its own row."""

    def bend(y: float) -> float:
        return 200 + 60 * math.sin(y / 40)

    rows = np.arange(0.0, 300.0, 2.0)
    river = shapely.LineString([(bend(y), y) for y in rows]).buffer(6)
    rng = np.random.default_rng(1)
    centres = rng.uniform((20, 20), (380, 280), (150, 2))
    centres = centres[[abs(x - bend(y)) > 20 for x, y in centres]]
    subject = Objects(Boxes(np.concatenate([centres - 2, centres + 2], axis=1), "hbb", FRAME), ("x",) * len(centres))
    whole = np.empty(1, dtype=object)
    whole[0] = river
    right = ConditionJudge(FRAME).kept(step("right_of"), shapes_of(subject), [whole])
    expected = [row for row, (x, y) in enumerate(centres) if x > bend(y)]
    assert right == expected
    left = ConditionJudge(FRAME).kept(step("left_of"), shapes_of(subject), [whole])
    assert sorted(left + right) == list(range(len(centres)))


def test_what_lies_within_is_on_no_side() -> None:
    inner = Objects(Boxes([[90, 90, 110, 110], [200, 90, 220, 110]], "hbb", FRAME), ("a", "b"))
    outer = Objects(Boxes([[50, 50, 150, 150]], "hbb", FRAME), ("c",))
    sides = {do: kept(step(do), inner, outer) for do in ("left_of", "right_of", "above", "below")}
    assert sides == {"left_of": [], "right_of": [1], "above": [], "below": []}


@pytest.mark.parametrize("seed", range(4))
def test_between_two_things(seed: int) -> None:
    subject = things(40, seed)
    one = Objects(Boxes([[40, 40, 60, 60]], "hbb", FRAME), ("a",))
    two = Objects(Boxes([[300, 200, 340, 220]], "hbb", FRAME), ("b",))
    points = np.concatenate([outline(one, 0), outline(two, 0)])

    def between(row: int) -> bool:
        """Tell whether a middle lies on a line from some edge point of one to some edge point of the other."""
        centre = subject.boxes.coords[row, :2]
        if any(
            (centre >= box[:2]).all() and (centre <= box[2:]).all()
            for box in (one.boxes.coords[0], two.boxes.coords[0])
        ):
            return False
        angles = np.sort(np.degrees(np.arctan2(*(points - centre).T[::-1])) % 360)
        gaps = np.diff(np.append(angles, angles[0] + 360))
        return bool(gaps.max() <= 180)

    expected = [row for row in range(40) if between(row)]
    assert kept(SubInstruction("s", "between", of="a", to=("t", "u")), subject, one, two) == expected
    both = Objects.concatenate([one, two])
    assert kept(step("between"), subject, both) == expected
    assert expected


def test_along_a_line_is_as_near_as_the_object_is_long() -> None:
    road = Objects(Boxes([[0, 100, 400, 110]], "hbb", FRAME), ("road",))
    cars = Objects(Boxes([[50, 115, 62, 121], [100, 123, 112, 129], [200, 60, 290, 80]], "hbb", FRAME), ("a", "b", "c"))
    assert kept(step("along"), cars, road) == [0, 2]
    assert kept(step("along", distance=15.0, unit="px"), cars, road) == [0, 1]


@pytest.mark.parametrize("frame", [UTM, TURNED])
def test_metres_and_compass_directions_on_a_map(frame: Frame) -> None:
    transform = pytest.importorskip("rasterio.warp").transform
    subject = things(30, 7, frame)
    target = Objects(Boxes([[190, 140, 210, 160]], "hbb", frame), ("t",))
    centres = subject.boxes.coords[:, :2]
    longitude, latitude = transform(frame.crs, "EPSG:4326", *frame.places(centres).T.tolist())
    assert (
        kept(step("northernmost", count=30), subject, frame=frame)[:5] == np.argsort(-np.array(latitude))[:5].tolist()
    )
    assert kept(step("westernmost", count=3), subject, frame=frame) == np.argsort(longitude)[:3].tolist()
    # Distances to the outline beside geodesics to points along it.
    edge = frame.places(outline(target, 0))
    edge_degrees = np.stack(transform(frame.crs, "EPSG:4326", *edge.T.tolist())[::-1], axis=1)
    for row in range(30):
        own = np.stack(transform(frame.crs, "EPSG:4326", *frame.places(outline(subject, row)).T.tolist())[::-1], axis=1)
        metres = float(great_circle(own[:, None], edge_degrees[None]).min()) * 1000
        for limit in (100.0, 200.0):
            if metres > 3 and abs(metres - limit) > 3:
                near = kept(step("within", distance=limit), subject, target, frame=frame)
                assert (row in near) == (metres < limit)
    east = kept(step("east_of"), subject, target, frame=frame)
    ground = frame.places(centres)
    for row in range(30):
        way = (ground[row] - edge)[np.argmin(((ground[row] - edge) ** 2).sum(axis=1))]
        share = way[0] / np.hypot(*way)
        if abs(share - 0.1) > 0.03:
            assert (row in east) == (share > 0.1)
    middle = frame.places(np.array([[200.0, 150.0]]))[0]
    clear = [row for row in range(30) if abs(ground[row, 1] - middle[1]) > 3]
    north = kept(step("part", what="north"), subject, frame=frame)
    assert [row for row in north if row in clear] == [row for row in clear if ground[row, 1] > middle[1]]
    assert east and north


def test_a_map_is_needed_for_metres_and_compass_directions() -> None:
    subject, target = things(3, 1), things(1, 2)
    for one in (step("within", distance=5.0), step("north_of"), step("easternmost"), step("part", what="north")):
        with pytest.raises(ValueError, match="no map coordinates"):
            kept(one, subject, *([target] if one.to else []))
    assert kept(step("along"), subject, target) is not None


def test_nothing_to_compare_with_keeps_nothing() -> None:
    none = Objects.empty("obb", FRAME)
    assert kept(step("outside"), things(3, 1), none) == []
    assert kept(step("nearest"), none, things(3, 1)) == []
    with pytest.raises(ValueError, match="asked of a model"):
        kept(SubInstruction("s", "matching", "red", of="a"), things(3, 1))
    many = Objects(Boxes(np.tile([[1.0, 1, 2, 2]], (200, 1)), "hbb", FRAME), ("x",) * 200)
    with pytest.raises(ValueError, match="19900 pairs"):
        kept(step("between"), things(3, 1), many)
