"""The chain and the detector on large files and on a real one."""

import json
import random
import resource
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rscovlm.engines import Conversation
from rscovlm.geometry import Boxes, Frame
from rscovlm.tasks import detect
from rscovlm.zoom import ZoomChain
from tests.evidence import crowns, evidence
from tests.zoom.scripted import Scripted, call


def test_a_photograph_is_seen_whole_then_in_full_detail(photograph: Path) -> None:
    path = photograph
    engine = Scripted([call(400, 300, 600, 500), call(100, 100, 500, 400), "a marina"])
    result = ZoomChain(engine, max_visual_tokens=6000).ask(path, "What is it?")
    with Image.open(path) as picture:
        for view in result.crops:
            shown = np.asarray(picture.crop(view.window), dtype=float)
            if view.image.size == (shown.shape[1], shown.shape[0]):
                assert np.abs(np.asarray(view.image, dtype=float) - shown).mean() < 1
    assert result.answer == "a marina" and len(result.crops) == 2
    assert result.crops[1].image.size == tuple(np.subtract(result.windows[1][2:], result.windows[1][:2]))
    assert result.draw().size == result.views[0].image.size


def test_a_map_of_the_world_is_zoomed_to_single_pixels(world: Path) -> None:
    rasterio = pytest.importorskip("rasterio")
    path = world
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    engine = Scripted([call(700, 150, 740, 190), call(300, 300, 600, 560), call(90, 90, 300, 280), "an island"])
    result = ZoomChain(engine).ask(str(path), "What is there?")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 256 * 1024
    assert len(result.crops) == 3 and result.visual_tokens <= 3000
    x1, y1, x2, y2 = result.windows[-1]
    with rasterio.open(path) as file:
        land = file.read(1, window=((y1, y2), (x1, x2)))
    assert np.array_equal(np.asarray(result.crops[-1].image)[..., 0], land)
    assert 0 < land.mean() < 1
    placed = result.crops[-1].frame.to_world()
    assert placed is not None
    assert placed[2] == pytest.approx(-180 + x1 / 100) and placed[5] == pytest.approx(90 - y1 / 100)


def test_detections_lie_on_a_georeferenced_tile(tmp_path: Path) -> None:
    rasterio = pytest.importorskip("rasterio")
    path = evidence("images/neon.tif")
    truth = crowns()

    def script(conversation: Conversation, turn: int) -> str:
        seen = engine.budget
        frame = Frame(400, 400)
        assert conversation.images()[0].size == (400, 400) and seen.max_pixels > 400 * 400
        grid = frame.resized(392, 392)
        coords = Boxes(truth, "hbb", frame).to(grid).as_kind("quad").coords.round().astype(int)
        return "".join(",".join(map(str, row)) + " tree\n" for row in coords.tolist())

    engine = Scripted(script)
    found = detect(engine, path, ["tree"])
    target = tmp_path / "trees.geojson"
    found.to_geojson(target, crs=None)
    written = json.loads(target.read_text())
    with rasterio.open(path) as file:
        bounds, to_world, crs = file.bounds, file.transform, file.crs
    assert written["crs"]["properties"]["name"].endswith(str(crs.to_epsg()))
    rings = np.array([feature["geometry"]["coordinates"][0] for feature in written["features"]])
    assert len(rings) == len(truth)
    inside = (rings[..., 0] >= bounds.left - 0.1) & (rings[..., 0] <= bounds.right + 0.1)
    assert inside.all() and ((rings[..., 1] >= bounds.bottom - 0.1) & (rings[..., 1] <= bounds.top + 0.1)).all()
    left, top = to_world.c + to_world.a * truth[:, 0], to_world.f + to_world.e * truth[:, 1]
    assert np.abs(rings[..., 0].min(axis=1) - left).max() < 0.2 and np.abs(rings[..., 1].max(axis=1) - top).max() < 0.2


def test_two_hundred_hostile_calls_on_a_large_file(photograph: Path) -> None:
    path = photograph
    rng = random.Random(8)
    odd = ["NaN", "Infinity", "-1e308", "1e308", "null", '"7"', "[1]", "-5", "0", "3", "1007", "٣"] + ["9" * 400]
    odd += ["40", "300.5", "500", "720"] * 30
    batch = []
    for _ in range(200):
        numbers = ", ".join(rng.choice(odd) for _ in range(rng.choice([3, 4, 4, 4, 4, 5])))
        text = f'<tool_call>\n{{"name": "image_zoom_in", "arguments": {{"bbox": [{numbers}]}}}}\n</tool_call>'
        batch.append(rng.choice([text, text * 2, f"```\n{text}\n```", text[: rng.randrange(len(text))], text[11:-12]]))

    def script(conversation: Conversation, turn: int) -> str:
        number = int(str(conversation.messages[-1]["content"][-1]["text"]).split("\n")[0]) if not turn else -1
        return batch[number] if number >= 0 else "answer"

    results = ZoomChain(Scripted(script), in_flight=32).ask_many([(str(path), f"{n}\n") for n in range(200)])
    for result in results:
        step = result.steps[0]
        assert result.stopped in ("answer", "no_progress") and result.visual_tokens <= 3000
        assert (step.view is not None) + (step.refusal is not None) + (len(result.steps) == 1) == 1
        assert len(result.crops) == (step.view is not None)
        if step.refusal is not None:
            assert result.problems[step.refusal] == 1
        for x1, y1, x2, y2 in result.windows:
            assert 0 <= x1 < x2 <= 4592 and 0 <= y1 < y2 <= 3072 and (x2 - x1) * (y2 - y1) < 0.95 * 4592 * 3072
    assert sum(bool(result.crops) for result in results) > 5
