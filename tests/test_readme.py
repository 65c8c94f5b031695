"""What the README says works as written."""

import json
import re
from pathlib import Path

import pytest

from rscovlm.data.scenes import make_zoom_scene, write_geotiff
from rscovlm.geometry import Frame

README = Path(__file__).resolve().parents[1] / "README.md"


def test_the_python_of_the_readme_runs_as_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code = re.search(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), flags=re.DOTALL)
    assert code is not None
    scene = make_zoom_scene(3, 336)
    frame = Frame(336, 336, root_to_world=(0.5, 0.0, 600_000.0, 0.0, -0.5, 5_300_000.0), crs="EPSG:32632")
    write_geotiff(tmp_path / "scene.tif", frame, lambda x1, y1, x2, y2: scene.image.crop((x1, y1, x2, y2)))
    monkeypatch.chdir(tmp_path)
    exec(compile(code.group(1), "README.md", "exec"), {})  # noqa: S102  the README is ours
    assert capsys.readouterr().out.strip() == scene.answer
    collection = json.loads((tmp_path / "objects.geojson").read_text(encoding="utf-8"))
    assert collection["type"] == "FeatureCollection"
    for feature in collection["features"]:
        longitude, latitude = feature["geometry"]["coordinates"][0][0]
        assert 10.3 < longitude < 10.4
        assert 47.8 < latitude < 47.9


def test_the_commands_of_the_readme_are_targets() -> None:
    targets = re.findall(r"^(\w+):", README.with_name("Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE)
    for command in re.findall(r"^make (\w+)", README.read_text(encoding="utf-8"), flags=re.MULTILINE):
        assert command in targets
