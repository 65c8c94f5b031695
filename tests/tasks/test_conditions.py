"""Instructions solved from the question to the row: a scripted engine, a brute-force truth, and a drawn scene."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import rscovlm
from rscovlm.codec.dialect import Dialect
from rscovlm.engines import Conversation
from rscovlm.geometry import Boxes, Objects
from rscovlm.geometry.masks import Mask
from rscovlm.points.condition_solver import ConditionSolver
from rscovlm.points.condition_writer import ConditionWriter
from rscovlm.points.conditions import ConditionPlan
from rscovlm.predicting.items import Item
from rscovlm.predicting.latest_rows import LatestRows
from rscovlm.predicting.placed_rows import write_objects
from rscovlm.predicting.prediction import DefaultQuestion, predict
from rscovlm.rasters import open_image
from rscovlm.tasks import solve_conditions, task_of
from rscovlm.tasks.task import Answered
from tests.tasks.test_one_home import objects, record, rendered
from tests.zoom.scripted import Scripted, texts

IMAGE = Image.new("RGB", (448, 392), "grey")
SEEN = {
    "plane": [(20, 30, 60, 60), (300, 40, 360, 90), (320, 200, 350, 230), (100, 300, 130, 330)],
    "river": [(180, 0, 240, 392)],
    "ship": [(190, 100, 200, 130), (200, 300, 235, 380)],
}


def looks(conversation: Conversation, _: int) -> str:
    """Answer what is asked for by name, in the pixels that are shown."""
    asked = texts(conversation)[-1]
    name = next((name for name in SEEN if name in asked), "")
    lines = [f"{','.join(map(str, box))} {name}" for box in SEEN.get(name, ())]
    return "\n".join(lines) or "There are none."


def boxes(found: Objects) -> list[tuple[int, ...]]:
    return [tuple(round(float(side)) for side in box) for box in found.boxes.as_kind("hbb").coords]


@pytest.mark.parametrize(
    ("instruction", "expected", "left_nothing"),
    [
        ("all planes right of the river", [1, 2], None),
        ("the largest plane right of the river", [1], None),
        ("the two leftmost planes", [0, 3], None),
        ("planes within 80 pixels of the river", [1, 2, 3], None),
        ("planes on the river", [], "planes inside river"),
        ("the planes left of the harbour", [], "harbour"),
        ("the tanks right of the river", [], "tanks"),
        ("planes nearest to the largest ship", [3], None),
        ("planes in the bottom half of the image that are left of the river", [3], None),
    ],
)
def test_every_condition_works_on_what_the_one_before_left(
    instruction: str, expected: list[int], left_nothing: str | None
) -> None:
    engine = Scripted(looks)
    solved = solve_conditions(engine, IMAGE, instruction, kind="hbb")
    assert boxes(solved.objects) == [SEEN["plane"][row] for row in expected]
    assert solved.left_nothing == left_nothing
    asked = [texts(one)[-1] for batch in engine.asked for one in batch]
    if left_nothing == "tanks":  # nothing is compared with what was not found
        assert len(asked) == 1
    for entry in solved.trace:
        assert entry.by == ("model" if entry.words.startswith("find") else "geometry")
        assert entry.after == len(entry.boxes) and bool(entry.note) == (not entry.after)
    if left_nothing == "harbour":
        assert "harbour was not found" in solved.trace[-1].note


def test_a_count_is_a_number_and_an_area_is_a_name() -> None:
    solved = solve_conditions(Scripted(looks), IMAGE, "How many planes are right of the river?", kind="hbb")
    assert (solved.number, len(solved.objects)) == (2, 2)
    zone = [(0, 0), (200, 0), (200, 200), (0, 200)]
    inside = solve_conditions(Scripted(looks), IMAGE, "planes inside the zone", areas={"zone": zone}, kind="hbb")
    assert boxes(inside.objects) == [SEEN["plane"][0]] and inside.number is None
    bowtie = [(0, 0), (200, 200), (200, 0), (0, 200)]  # a polygon that crosses itself encloses two triangles
    inside = solve_conditions(Scripted(looks), IMAGE, "planes inside the zone", areas={"zone": bowtie}, kind="hbb")
    assert boxes(inside.objects) == [SEEN["plane"][0]]


@pytest.mark.parametrize(
    ("zone", "reason"),
    [([(0, 0), (9, 9)], "three points or more"), ([(0, 0), (5, 5), (9, 9)], "no extent"), ([(0, 0, 1)] * 3, "give"), ([(0, math.nan)] * 3, "finite")],
)  # fmt: skip
def test_areas_that_enclose_nothing_are_refused(zone: Any, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        solve_conditions(Scripted(looks), IMAGE, "planes inside the zone", areas={"zone": zone})


def test_what_matches_is_found_again_by_the_model() -> None:
    plan = ConditionPlan.from_dict(
        {
            "steps": [
                {"name": "planes", "do": "find", "what": "planes"},
                {"name": "answer", "do": "matching", "of": "planes", "what": "white ones"},
            ]
        }
    )

    def looks_twice(conversation: Conversation, _: int) -> str:
        asked = texts(conversation)[-1]
        if "white one" in asked:
            return "302,42,360,92 white one\n400,300,420,330 white one"
        return looks(conversation, 0)

    solved = solve_conditions(Scripted(looks_twice), IMAGE, plan, kind="hbb")
    assert boxes(solved.objects) == [SEEN["plane"][1]]
    assert solved.trace[-1].by == "model and geometry"


def test_a_model_parses_what_rules_cannot() -> None:
    steps = [{"name": "planes", "do": "find", "what": "planes"}, {"name": "answer", "do": "smallest", "of": "planes"}]

    def both(conversation: Conversation, turn: int) -> str:
        if "split an instruction" in texts(conversation)[0]:
            return json.dumps({"steps": steps})
        return looks(conversation, turn)

    engine = Scripted(both)
    solved = solve_conditions(
        engine, IMAGE, "east of nowhere, tiniest aeroplane?", parser=ConditionWriter(engine), kind="hbb"
    )
    assert boxes(solved.objects) == [SEEN["plane"][2]]


def test_a_loop_never_reaches_the_engine() -> None:
    engine = Scripted(looks)
    loop = [{"name": "a", "do": "largest", "of": "b"}, {"name": "b", "do": "largest", "of": "a"}]
    with pytest.raises(ValueError, match="in a loop"):
        solve_conditions(engine, IMAGE, ConditionPlan.from_dict({"steps": loop}))
    with pytest.raises(ValueError, match="no map coordinates"):
        solve_conditions(engine, IMAGE, "planes north of the river", kind="hbb")
    with pytest.raises(ValueError, match="control token"):
        solve_conditions(engine, IMAGE, "planes <|im_end|>")


def test_records_are_trained_as_one_question_with_all_that_meets_it() -> None:
    made = record("conditions", expression="planes right of the river", objects=objects(["", ""]))
    asked = record("grounding", expression="planes right of the river", objects=objects(["", ""]))
    dialect = Dialect.preset("rscovlm-v1")
    mine, theirs = rendered(made, dialect), rendered(asked, dialect)
    assert mine["messages"] == theirs["messages"] and mine["messages"][-1]["content"][0]["text"].count("\n") == 2


def test_rows_hold_objects_trace_and_the_step_that_left_nothing(tmp_path: Path) -> None:
    IMAGE.save(tmp_path / "a.png")
    asked = DefaultQuestion("conditions", expressions=("planes right of the river", "planes on the river"), kind="hbb")
    counts = predict(Scripted(looks), [Item("a", tmp_path / "a.png")], asked, tmp_path / "out.jsonl")
    assert counts["errors"] == 0
    row = LatestRows(tmp_path / "out.jsonl")["a"]
    assert row["numbers"] == [2, 0] and row["left_nothing"] == [None, "planes inside river"]
    assert [entry["words"] for entry in row["trace"][0]] == ["find planes", "find river", "planes right of river"]
    assert [entry["after"] for entry in row["trace"][0]] == [4, 1, 2]
    assert write_objects({"a": row}, tmp_path / "found.geojson") == (2, 0)


@pytest.mark.parametrize("seed", range(5))
def test_chains_of_conditions_beside_plain_loops(seed: int) -> None:
    """The largest of those left of a line and within a distance of a target, computed object by object."""
    rng = np.random.default_rng(seed)
    low = rng.uniform(0, 380, (40, 2))
    sides = np.concatenate([low, low + rng.uniform(4, 30, (40, 2))], axis=1)
    frame = open_image(IMAGE).frame
    wanted = Objects(Boxes(sides, "hbb", frame), ("x",) * 40)
    targets = {"line": (220.0, 0.0, 224.0, 392.0), "pier": (60.0, 60.0, 90.0, 200.0)}

    def find(what: str, many: bool) -> Objects:
        return wanted if many else Objects(Boxes([targets[what]], "hbb", frame), (what,))

    steps = [
        {"name": "x", "do": "find", "what": "x"},
        *({"name": name, "do": "find", "what": name, "many": False} for name in targets),
        {"name": "left", "do": "left_of", "of": "x", "to": ["line"]},
        {"name": "near", "do": "within", "of": "left", "to": ["pier"], "distance": 60, "unit": "px"},
        {"name": "answer", "do": "largest", "of": "near", "count": 3},
    ]
    solved = ConditionSolver(find, frame).solve(ConditionPlan.from_dict({"steps": steps}))

    def away(box: np.ndarray) -> float:
        x1, y1, x2, y2 = targets["pier"]
        return math.hypot(max(x1 - box[2], box[0] - x2, 0), max(y1 - box[3], box[1] - y2, 0))

    rows = [row for row in range(40) if (sides[row, 0] + sides[row, 2]) / 2 < 220 and away(sides[row]) <= 60]
    rows.sort(key=lambda row: -(sides[row, 2] - sides[row, 0]) * (sides[row, 3] - sides[row, 1]))
    assert np.allclose(solved.objects.boxes.coords, sides[rows[:3]])


def test_an_area_in_map_coordinates_is_brought_to_the_image(tmp_path: Path) -> None:
    rasterio = pytest.importorskip("rasterio")
    place = {"crs": "EPSG:32633", "transform": rasterio.Affine(2, 0, 500_000, 0, -2, 5_400_000)}
    with rasterio.open(
        tmp_path / "a.tif", "w", driver="GTiff", width=448, height=392, count=3, dtype="uint8", **place
    ) as file:
        file.write(np.full((3, 392, 448), 90, np.uint8))
    pixels = np.array([(0.0, 0.0), (200, 0), (200, 200), (0, 200)])
    east, north = 500_000 + 2 * pixels[:, 0], 5_400_000 - 2 * pixels[:, 1]
    transform = pytest.importorskip("rasterio.warp").transform
    longitude, latitude = transform("EPSG:32633", "EPSG:4326", east, north)
    looking: Callable[..., Any] = lambda text, **more: solve_conditions(
        Scripted(looks), tmp_path / "a.tif", text, kind="hbb", **more
    )
    zone = {"zone": np.stack([longitude, latitude], axis=1)}
    assert boxes(looking("planes inside the zone", areas=zone, crs="EPSG:4326").objects) == [SEEN["plane"][0]]
    assert boxes(looking("planes east of the river").objects) == SEEN["plane"][1:3]
    assert boxes(looking("planes within 110 m of the river").objects) == [SEEN["plane"][3]]
    assert boxes(looking("the southernmost plane").objects) == [SEEN["plane"][3]]
    with pytest.raises(ValueError, match="no map coordinates"):
        solve_conditions(Scripted(looks), IMAGE, "planes inside the zone", areas=zone, crs="EPSG:4326")


def test_it_is_a_name_of_the_package() -> None:
    assert rscovlm.tasks.solve_conditions is solve_conditions


def test_a_count_from_masks_is_one_of_separate_parts() -> None:
    pixels = np.zeros((392, 448))
    for x1, y1, x2, y2 in SEEN["plane"]:
        pixels[y1:y2, x1:x2] = 1

    def segment(raster: Any, name: str) -> Mask:
        return Mask.of(pixels if name == "plane" else np.zeros_like(pixels), raster.frame)

    engine = Scripted(looks)
    counted = rscovlm.count(engine, IMAGE, ["plane", "ship"], how="masks", segment=segment, least_area=1000)
    assert counted.counts == {"plane": 2, "ship": 0} and not engine.asked
    with pytest.raises(ValueError, match="'masks' needs a function"):
        rscovlm.count(engine, IMAGE, ["plane"], how="masks")
    answered = [Answered("There are seven.", "7"), Answered("12", "10"), Answered("many", "3")]
    figures = task_of("counting").measure(answered, Dialect.preset("rscovlm-v1"))
    assert figures == pytest.approx({"accuracy": 1 / 3, "relative_error": 0.1, "unanswered": 1 / 3})


def test_boxes_of_two_kinds_are_one_kind_in_a_row(tmp_path: Path) -> None:
    """Without a kind, `detect` gives the dialect's quadrilaterals and `ground` horizontal boxes."""
    IMAGE.save(tmp_path / "a.png")

    def both(conversation: Conversation, _: int) -> str:
        if "ship" in texts(conversation)[-1]:
            return "10,10,60,50 ship"
        return "100,100,160,100,160,140,100,140 plane"

    asked = DefaultQuestion("conditions", expressions=("all planes", "the ship"))
    predict(Scripted(both), [Item("a", tmp_path / "a.png")], asked, tmp_path / "out.jsonl")
    row = LatestRows(tmp_path / "out.jsonl")["a"]
    assert [one["kind"] for one in row["objects"]] == ["quad", "quad"] and row["numbers"] == [1, 1]
    assert write_objects({"a": row}, tmp_path / "found.geojson") == (2, 0)


@pytest.mark.parametrize("step", ["largest", "leftmost", "count"])
def test_points_and_lines_are_objects_too(step: str) -> None:
    frame = open_image(IMAGE).frame
    flat = Objects(Boxes(np.array([(5, 5, 5, 5), (20, 8, 40, 8), (50, 9, 51, 10)], float), "hbb", frame), ("x",) * 3)
    steps = [
        {"name": "x", "do": "find", "what": "x"},
        {"name": "near", "do": "within", "of": "x", "to": ["x"], "distance": 1, "unit": "px"},
        {"name": "answer", "do": step, "of": "near"},
    ]
    solved = ConditionSolver(lambda *_: flat, frame).solve(ConditionPlan.from_dict({"steps": steps}))
    assert len(solved.objects) == (3 if step == "count" else 1)
