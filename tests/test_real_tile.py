"""The real tile: its crowns lie where their annotators drew them, and the guide takes it from labels to a map."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image
from typer.testing import CliRunner

from rscovlm.cli import app
from rscovlm.data.storage import read_records
from rscovlm.records.views import objects_of
from rscovlm.testing import real_tile
from rscovlm.testing.real_tile import crowns
from tests.evidence import evidence

rasterio = pytest.importorskip("rasterio", reason="rasterio (extra geo) is not installed")
PAGE = (Path(__file__).parents[1] / "docs" / "real_tile.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w*)(?: title=\"([\w.]+)\")?\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)


def run(commands: str) -> None:
    """Run a block of commands in this process."""
    for line in commands.replace("\\\n", " ").splitlines():
        words = shlex.split(line)
        if words[:3] == ["python", "-m", "rscovlm.testing.real_tile"]:
            real_tile.main(words[3:])
            continue
        assert words[0] == "rscovlm"
        done = CliRunner().invoke(app, words[1:])
        assert done.exit_code == 0, f"{line}\n{done.output}\n{done.exception!r}"


def test_the_tile_is_neons_picture_at_its_place() -> None:
    with rasterio.open(evidence("images/neon.tif")) as whole, real_tile.real_tile() as tile:
        assert tile.frame.crs == f"EPSG:{whole.crs.to_epsg()}"
        assert np.allclose(np.array(tile.frame.to_world()), np.array(whole.transform)[:6], atol=1e-6)
        given = np.moveaxis(whole.read(), 0, 2).astype(int)
        kept = np.asarray(tile.overview(400 * 400).image).astype(int)
    assert np.abs(given - kept).mean() < 6, "stored as JPEG"
    size = sum(path.stat().st_size for path in (Path(real_tile.__file__).parent / "tile").iterdir())
    assert size < 300_000


def test_the_licences_travel_with_the_tile() -> None:
    folder = Path(real_tile.__file__).parent / "tile"
    readme, licence = ((folder / name).read_text(encoding="utf-8") for name in ("README.md", "LICENSE"))
    assert "CC0 1.0" in readme and "MIT" in readme and "weecology/DeepForest" in readme
    assert "Copyright (c) 2019, Ben Weinstein" in licence and "Permission is hereby granted" in licence
    listed = (Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8")
    assert '"rscovlm/testing/tile/LICENSE"' in listed


def test_the_guide_goes_from_labels_to_a_map(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    scope: dict[str, object] = {}
    for kind, title, text in BLOCKS:
        if title:
            # So few steps that it takes seconds.
            (tmp_path / title).write_text(yaml.safe_dump(yaml.safe_load(text) | {"steps": 2}), encoding="utf-8")
        elif kind == "python":
            exec(compile(text, "real_tile.md", "exec"), scope)  # noqa: S102  the page is ours
        else:
            run(text)
    _converted(tmp_path)
    held = scope["held"]
    assert len(held.matched) + len(held.missed) == 30  # type: ignore[attr-defined]
    with Image.open(tmp_path / "crowns.png") as drawn:
        assert drawn.size == (200, 400)
    for feature in json.loads((tmp_path / "crowns.geojson").read_text(encoding="utf-8"))["features"]:
        for longitude, latitude in feature["geometry"]["coordinates"][0]:
            assert -82 < longitude < -81.9 and 29.6 < latitude < 29.8
    assert "Tree crowns" in (tmp_path / "crowns.html").read_text(encoding="utf-8")


def _converted(folder: Path) -> None:
    """Every crown of the tile is in one half, where it was but for the cut between the halves."""
    whole = crowns().boxes.coords
    for name, left, count in (("west", 0, 31), ("east", 200, 30)):
        (record,) = read_records(folder / "crowns" / f"{name}.jsonl")
        middle = whole[:, [0, 2]].mean(axis=1)
        here = whole[(middle >= left) & (middle < left + 200)] - [left, 0, left, 0]
        assert len(record.objects) == len(here) == count
        found = objects_of(record, "hbb").boxes.coords
        np.testing.assert_allclose(found, np.clip(here, 0, [200, 400] * 2), atol=1e-3)
        tiles = list(read_records(folder / "crowns" / f"{name}-tiles.jsonl"))
        assert len(tiles) > 20 and all(tile.images[0].width == 84 for tile in tiles)
        # Of every crown a tile holds enough; most are held by several.
        held = sum(len(tile.objects) for tile in tiles)
        assert held >= count
