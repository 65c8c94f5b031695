"""Limits of the tools, on an engine that answers what the test wants."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from rscovlm.agents.image_tools import KEPT, SHOWN, ImageTools
from rscovlm.agents.workspace import Workspace
from rscovlm.points.segmenter import FilledShapes
from rscovlm.serving.refusals import RequestLimits
from tests.zoom.scripted import Scripted


def _tools(root: Path, answer: str = "10,20,30,60 ship\n", pixels: int = 2**28, **limits: Any) -> ImageTools:
    files = Workspace(root, root, pixels=pixels)
    return ImageTools(Scripted(lambda *_: answer), files, limits=RequestLimits(**limits), segmenter=FilledShapes())


@pytest.fixture
def root(tmp_path: Path) -> Path:
    Image.new("RGB", (504, 448), "grey").save(tmp_path / "a.png")
    Image.new("RGB", (2100, 2100), "grey").save(tmp_path / "large.png")
    return tmp_path


@pytest.mark.parametrize(
    ("limits", "path", "words"),
    [
        ({"tiles": 3}, "large.png", "9 tiles; 3 are allowed"),
        ({"memory": 2**20}, "a.png", "MiB of memory"),
        ({"text": 2}, "a.png", "2 are allowed"),
        ({"pixels": 2**20}, "large.png", "--max-pixels"),
    ],
)
def test_a_call_above_a_limit_is_refused_before_anything_is_asked(
    root: Path, limits: dict[str, Any], path: str, words: str
) -> None:
    tools = _tools(root, **limits)
    with pytest.raises(ValueError, match=words):
        tools.detect(path, ["a ship with a long name"])
    assert tools._engine.batches == 0


def test_a_call_ends_when_its_time_is_over(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = iter(range(0, 10_000, 7))
    monkeypatch.setattr("rscovlm.agents.deadline.time.monotonic", lambda: next(now))
    tools = _tools(root, seconds=5)
    with pytest.raises(ValueError, match="took longer than 5 seconds"):
        tools.ask("a.png", "Is there a ship?")
    assert tools._engine.batches == 0


def test_many_objects_are_counted_whole_and_listed_in_part(root: Path) -> None:
    lines = "".join(
        f"{10 * (n % 40)},{10 * (n // 40)},{10 * (n % 40) + 9},{10 * (n // 40) + 9} ship\n" for n in range(200)
    )
    found = _tools(root, lines).detect("a.png", ["ship"])
    assert (found["counts"], len(found["objects"]), found["not_listed"]) == ({"ship": 200}, SHOWN, 200 - SHOWN)


def test_old_results_are_forgotten_and_newer_ones_exported(root: Path) -> None:
    tools = _tools(root)
    names = [tools.ground("a.png", ["ship"])["result"] for _ in range(KEPT + 1)]
    with pytest.raises(ValueError, match="r2, r3"):
        tools.export_geojson(names[:1], "a.geojson")
    assert tools.export_geojson(names[1:], "a.geojson")["objects"] == KEPT


def test_outlines_are_given_and_exported_where_a_segmenter_is(root: Path) -> None:
    tools = _tools(root, "(10,20)(30,60)(15,30)(20,40) ship\n")
    found = tools.segment("a.png", ["ship"])
    assert "masks" not in found and found["result"] == "r1"
    assert tools.export_geojson(["r1"], "a.geojson")["objects"] == len(found["objects"])


def test_boxes_in_words_are_in_pixels_of_the_image(root: Path) -> None:
    said = _tools(root, "The ship at [100, 100, 200, 200] is red.").ask("large.png", "Where?")
    numbers = [int(number) for number in said["answer"].split("[")[1].split("]")[0].split(",")]
    # The model sees 35 x 35 tokens of 28 pixels.
    assert numbers == pytest.approx([100 * 2100 / 980] * 2 + [200 * 2100 / 980] * 2, abs=1)
    assert said["objects"][0]["box"] == pytest.approx(numbers, abs=1)


def test_nothing_is_written_without_a_folder(root: Path) -> None:
    tools = ImageTools(Scripted(["x"]), Workspace(root, pixels=2**28))
    with pytest.raises(ValueError, match="restart the server with --out"):
        tools.export_geojson(["r1"], "a.geojson")
    with pytest.raises(ValueError, match="no folder"):
        Workspace(root / "a.png", pixels=1)
