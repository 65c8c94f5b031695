"""The server of tools, as a second process that the SDK's own client talks to, with the embedded model."""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import rscovlm
from rscovlm.experiments.embedded import STAGES, scene_config
from rscovlm.geometry import Frame
from rscovlm.scenes import make_scene, make_zoom_scene, write_geotiff
from rscovlm.scenes.scene import Scene
from rscovlm.scenes.zoom import ZoomScene

pytest.importorskip("mcp", reason="mcp is not installed")
SCENE: Scene = make_scene(3, replace(scene_config(STAGES[-1], 777), min_objects=3, max_objects=3))
ZOOMED: ZoomScene = make_zoom_scene(1, 777)
CLASSES = sorted({one.label for one in SCENE.objects})
WORLD = Frame(84, 84, root_to_world=(0.5, 0, 500_000, 0, -0.5, 5_400_000), crs="EPSG:32633")


def _call(name: str, /, **arguments: Any) -> tuple[str, dict[str, Any]]:
    return name, arguments


CALLS = {
    "list": _call("list_images"),
    "open": _call("open_image", path="scene.tif"),
    "detect": _call("detect", path="scene.tif", classes=CLASSES),
    "ground": _call("ground", path="scene.tif", expressions=[f"the {CLASSES[0]}"]),
    "ask": _call("ask", path="below/pad.png", question=ZOOMED.question),
    "segment": _call("segment", path="scene.tif", classes=CLASSES),
    "outside": _call("open_image", path="../secret.png"),
    "linked": _call("open_image", path="link.png"),
    "absolute": _call("open_image", path="/etc/hostname"),
    "virtual": _call("open_image", path="mosaic.vrt"),
    "text": _call("open_image", path="notes.txt"),
    "absent": _call("detect", path="none.png", classes=["ship"]),
    "nothing": _call("detect", path="scene.tif", classes=[]),
    "wrong": _call("detect", path="scene.tif"),
    "foreign": _call("export_geojson", results=["r1"], name="theirs.geojson"),
    "climbing": _call("export_geojson", results=["r1"], name="../x.geojson"),
    "unknown": _call("export_geojson", results=["r99"], name="x.geojson"),
    "export": _call("export_geojson", results=["r1", "r2"], name="found.geojson"),
}
REFUSED = {
    "segment": "no segmenter is loaded; use detect or ground for boxes, or restart the server with --segmenter",
    "outside": "climbs out of its root",
    "linked": "leads out of",
    "absolute": "is absolute",
    "virtual": "allow_vrt",
    "text": "notes.txt",
    "absent": "no file 'none.png'",
    "nothing": "0 names were given",
    "wrong": "classes",
    "foreign": "was not written by rscovlm",
    "climbing": "give a plain name",
    "unknown": "the results kept are: r1, r2",
}
"""What the words of a refusal say; no call of these ends the server."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("agent")
    root, out = folder / "root", folder / "out"
    (root / "below").mkdir(parents=True)
    out.mkdir()
    write_geotiff(root / "scene.tif", WORLD, lambda *window: SCENE.image.crop(window))
    ZOOMED.image.save(root / "below/pad.png")
    SCENE.image.save(folder / "secret.png")
    (root / "link.png").symlink_to(folder / "secret.png")
    (root / "mosaic.vrt").write_text('<VRTDataset rasterXSize="1" rasterYSize="1"></VRTDataset>')
    (root / "notes.txt").write_text("not an image")
    (out / "theirs.geojson").write_text("{}")
    return folder


@pytest.fixture(scope="module")
def said(folder: Path) -> dict[str, Any]:
    """Every call's result, asked one after another of one server process, and the tools that it lists."""
    from mcp import Client, StdioServerParameters

    code = "from rscovlm.cli import app; app()"
    options = ["mcp", "--root", str(folder / "root"), "--out", str(folder / "out")]
    path = os.pathsep.join([str(Path(rscovlm.__file__).parents[1]), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = {"PYTHONPATH": path, "OMP_NUM_THREADS": "1", "RSCOVLM_CACHE": ""}
    process = StdioServerParameters(command=sys.executable, args=["-c", code, *options], env=environment)

    async def talk() -> dict[str, Any]:
        async with Client(process, read_timeout_seconds=240) as client:
            found: dict[str, Any] = {"tools": await client.list_tools()}
            for name, (tool, arguments) in CALLS.items():
                found[name] = await client.call_tool(tool, arguments)
            return found

    return asyncio.run(talk())


def _values(said: dict[str, Any], name: str) -> dict[str, Any]:
    result = said[name]
    assert not result.is_error, result.content
    # What clients without structured results read says the same.
    assert json.loads(result.content[0].text) == result.structured_content
    return dict(result.structured_content)


def test_every_tool_is_listed_with_its_arguments(said: dict[str, Any]) -> None:
    tools = {one.name: one for one in said["tools"].tools}
    assert sorted(tools) == sorted({tool for tool, _ in CALLS.values()})
    for one in tools.values():
        assert one.description and one.input_schema["type"] == "object"
    assert tools["detect"].input_schema["required"] == ["path", "classes"]


def test_an_image_is_described(said: dict[str, Any]) -> None:
    assert _values(said, "list") == {"images": ["link.png", "scene.tif", "below/pad.png"]}
    about = _values(said, "open")
    assert (about["width"], about["height"], about["crs"], about["bands"]) == (84, 84, "EPSG:32633", [1, 2, 3])
    assert about["ground_sample_distance"] == pytest.approx(0.5, rel=1e-3)
    longitudes, latitudes = zip(*about["outline_longitude_latitude"], strict=True)
    assert (min(longitudes), max(latitudes)) == pytest.approx((15.0, 48.7533), abs=1e-3)  # zone 33's central meridian


def test_an_agent_gets_what_the_library_gives(said: dict[str, Any], folder: Path) -> None:
    engine = rscovlm.engines.Transformers(*rscovlm.load("embedded"))
    here = rscovlm.detect(engine, folder / "root/scene.tif", CLASSES)
    there = _values(said, "detect")
    assert len(here) and there["counts"] == dict(here.counts())
    assert [one["box"] for one in there["objects"]] == [
        [round(float(value), 2) for value in box] for box in here.objects.boxes.coords
    ]
    (pointed,) = rscovlm.ground(engine, folder / "root/scene.tif", [f"the {CLASSES[0]}"])
    assert len(_values(said, "ground")["objects"]) == len(pointed.objects)
    asked = _values(said, "ask")
    (answered,) = rscovlm.answer(engine, folder / "root/below/pad.png", [ZOOMED.question], max_steps=4)
    assert (asked["answer"], asked["windows"]) == (answered.answer, [list(one) for one in answered.windows])
    assert asked["answer"] == ZOOMED.answer and asked["windows"]


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused_says_why_and_leaks_no_path(said: dict[str, Any], folder: Path, name: str) -> None:
    result = said[name]
    assert result.is_error and REFUSED[name] in result.content[0].text
    assert f"{folder / 'root'}{os.sep}" not in result.content[0].text


def test_results_are_written_in_map_coordinates(said: dict[str, Any], folder: Path) -> None:
    written = _values(said, "export")
    collection = json.loads((folder / "out/found.geojson").read_text(encoding="utf-8"))
    count = sum(len(_values(said, name)["objects"]) for name in ("detect", "ground"))
    assert written["objects"] == len(collection["features"]) == count
    east, north = zip(*_values(said, "open")["outline_longitude_latitude"], strict=True)
    for feature in collection["features"]:
        for x, y in feature["geometry"]["coordinates"][0]:
            assert min(east) - 1e-7 <= x <= max(east) + 1e-7 and min(north) - 1e-7 <= y <= max(north) + 1e-7
    assert (folder / "out/theirs.geojson").read_text() == "{}"
    assert sorted(one.name for one in (folder / "out").iterdir()) == ["found.geojson", "theirs.geojson"]


def test_the_program_of_the_page_runs(folder: Path, tmp_path: Path) -> None:
    program = tmp_path / "bin" / "rscovlm"
    program.parent.mkdir()
    (tmp_path / "images").symlink_to(folder / "root/below")
    page = Path(rscovlm.__file__).parents[1] / "docs/agents.md"
    (code,) = re.findall(r"^```python\n(.*?)^```", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    # The SDK hands a server few variables of ours, so the program itself says where the package lies.
    lines = [f"#!{sys.executable}", "import sys", f"sys.path.insert(0, {str(page.parents[1])!r})"]
    program.write_text("\n".join([*lines, "from rscovlm.cli import app", "app()", ""]), encoding="utf-8")
    program.chmod(0o755)
    path = f"{program.parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "PYTHONPATH": str(page.parents[1])}
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert re.fullmatch(r"\{.*\}\n", done.stdout), done.stdout
