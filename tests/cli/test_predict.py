"""What the command line says reaches the images, the model and the tiles."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from rscovlm.cli import app

rasterio = pytest.importorskip("rasterio")


def _run(*words: object) -> Result:
    return CliRunner().invoke(app, ["predict", *map(str, words)])


@pytest.fixture
def scene(tmp_path: Path) -> Path:
    """Four bands of 16 bits, of which 3, 2 and 1 are a picture, placed but without a coordinate system."""
    path = tmp_path / "in" / "scene.tif"
    path.parent.mkdir()
    data = np.random.default_rng(0).integers(1, 3000, (4, 120, 160)).astype("uint16")
    options = {"driver": "GTiff", "width": 160, "height": 120, "count": 4, "dtype": "uint16"}
    transform = rasterio.transform.from_origin(500000, 4000000, 10, 10)
    with rasterio.open(path, "w", transform=transform, **options) as file:
        file.write(data)
    return path


@pytest.mark.parametrize("option", ["--kind", "--mode", "--policy", "--stretch", "--dtype", "--task", "--shard"])
def test_a_choice_that_does_not_exist_is_refused_before_anything_is_asked(
    scene: Path, tmp_path: Path, option: str
) -> None:
    out = tmp_path / "rows.jsonl"
    task = [] if option == "--task" else ["--task", "detect"]
    done = _run(scene.parent, *task, "--classes", "ship", "--out", out, option, "foo")
    assert done.exit_code == 2 and "foo" in done.output and "Traceback" not in done.output, done.output
    assert not out.exists()


def test_options_of_opening_budget_and_model_arrive(scene: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    opening = ["--bands", "3,2,1", "--stretch", "percentiles", "--nodata", 7, "--crs", "EPSG:32633"]
    opening += ["--side-files", "--opaque"]
    model = ["--max-pixels", 112 * 112, "--mode", "max", "--dtype", "float32", "--device", "cpu"]
    done = _run(scene.parent, "--task", "caption", "--out", out, *opening, *model)
    assert done.exit_code == 0, done.output
    header, row = map(json.loads, out.read_text().splitlines())
    said = header["settings"]
    assert said["opening"] == {"bands": [3, 2, 1], "stretch": "percentiles", "nodata": 7.0, "crs": "EPSG:32633"} | {
        "side_files": True,
        "opaque": True,
    }
    assert said["budget"]["max_pixels"] == 112 * 112 and said["budget"]["mode"] == "max"
    assert said["dtype"] == "torch.float32" and "sha256:" in said["checkpoint"]
    assert "caption" in row
    other = _run(scene.parent, "--task", "caption", "--out", out, *opening, *model[:-4], "--dtype", "bfloat16")
    assert other.exit_code == 2 and "(dtype)" in other.output


def test_tiled_copies_are_kept_and_change_no_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RSCOVLM_CACHE", str(tmp_path / "kept"))
    (tmp_path / "in").mkdir()
    noise = np.random.default_rng(0).integers(0, 255, (300, 400, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "in" / "a.png")
    rows = []
    for name, options in (("plain", []), ("tiled", ["--tiled"])):
        done = _run(tmp_path / "in", "--task", "caption", "--out", tmp_path / name, *options)
        assert done.exit_code == 0, done.output
        rows.append((tmp_path / name).read_text())
    assert rows[0] == rows[1]
    assert len(list((tmp_path / "kept").glob("a.*.tiles.tif"))) == 1


def test_detection_takes_tiles_overlap_mode_and_system(scene: Path, tmp_path: Path) -> None:
    geojson = tmp_path / "found.geojson"
    shared = ["--task", "detect", "--classes", "plane", "--constrained", "--geojson", geojson]
    tiles = ["--tile", 80, "--overlap", 0.25, "--mode", "max"]
    found = {}
    for name, crs in (("placed", ["--crs", "EPSG:32633"]), ("unknown", [])):
        done = _run(scene.parent, "--out", tmp_path / name, *shared, *tiles, *crs)
        assert done.exit_code == 0, done.output
        header, row = map(json.loads, (tmp_path / name).read_text().splitlines())
        assert (header["settings"]["overlap"], header["settings"]["mode"]) == (0.25, "max")
        assert row["tiles"] == 6  # 60 pixels apart: three across, two down
        found[name] = json.loads(geojson.read_text())
    assert "coordinates" not in found["placed"] and "pixels" in found["unknown"]["coordinates"]


def test_a_virtual_file_is_opened_where_the_command_says_so(scene: Path, tmp_path: Path) -> None:
    vrt = scene.with_suffix(".vrt")
    vrt.write_text(
        '<VRTDataset rasterXSize="160" rasterYSize="120"><VRTRasterBand dataType="UInt16" band="1"><SimpleSource>'
        '<SourceFilename relativeToVRT="1">scene.tif</SourceFilename><SourceBand>1</SourceBand></SimpleSource>'
        "</VRTRasterBand></VRTDataset>"
    )
    without = _run(vrt, "--task", "caption", "--out", tmp_path / "a.jsonl")
    assert without.exit_code == 1 and "error" in json.loads((tmp_path / "a.jsonl").read_text().splitlines()[1])
    assert _run(vrt, "--vrt", "--task", "caption", "--out", tmp_path / "b.jsonl").exit_code == 0


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["--mode", "dance"], "mode is 'dance'"),
        (["--dtype", "int3"], "dtype is 'int3'"),
        (["--device", "abacus"], "device is 'abacus'"),
        (["--bands", "red"], "--bands is 'red'"),
        (["--server", "http://127.0.0.1:1/v1", "--model", "m", "--revision", "x"], "--revision"),
        (["--max-pixels", "5"], "at least 784"),
        (["--task", "detect", "--classes", "a", "--tile", "50", "--overlap", "50"], "overlap"),
    ],
)
def test_mistakes_are_named(words: list[str], named: str, scene: Path, tmp_path: Path) -> None:
    task = [] if "--task" in words else ["--task", "caption"]
    done = _run(scene, "--out", tmp_path / "out.jsonl", *task, *words)
    assert done.exit_code == 2 and named in done.output, done.output
    assert not (tmp_path / "out.jsonl").exists()
