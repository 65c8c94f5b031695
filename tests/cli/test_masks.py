"""``predict --task segment|change|locate`` from the command line against a server of ours, to every file that it writes."""

import json
import sqlite3
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely
from numpy.typing import NDArray
from typer.testing import CliRunner

from rscovlm.cli import app
from rscovlm.geometry import Frame
from rscovlm.geometry.masks import Mask
from rscovlm.predicting.latest_rows import LatestRows
from tests.points.test_segmenting import buildings
from tests.serving.loopback import served
from tests.tasks.test_segment_change import Outlining
from tests.zoom.scripted import Scripted

rasterio = pytest.importorskip("rasterio")
parquet = pytest.importorskip("pyarrow.parquet")

SIDE = 252  # whole visual tokens: the model sees the pixels of the file
PLACE = (0.5, 0.0, 500_000.0, 0.0, -0.5, 5_000_000.0)


def scene(seed: int) -> NDArray[np.bool_]:
    """Buildings, one of them round a court."""
    pixels = buildings(seed, SIDE)
    pixels[150:250, 10:120] = False
    pixels[160:240, 20:110] = True
    pixels[180:220, 45:90] = False
    return pixels


def tiff(path: Path, pixels: NDArray[np.bool_], place: tuple[float, ...] | None = PLACE) -> Path:
    grey = np.where(pixels, 210, 60).astype(np.uint8)
    about: dict[str, Any] = {} if place is None else {"crs": "EPSG:32632", "transform": rasterio.Affine(*place)}
    with rasterio.open(path, "w", driver="GTiff", width=SIDE, height=SIDE, count=3, dtype="uint8", **about) as out:
        out.write(np.stack([grey] * 3))
    return path


def run(server: Any, *words: str) -> Any:
    where = ["--server", f"http://127.0.0.1:{server.port}/v1", "--model", "rscovlm"]
    return CliRunner().invoke(app, ["predict", *words, *where])


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "scenes").mkdir()
    yield tmp_path


OUTPUTS = (
    *("--out", "rows.jsonl", "--geojson", "a.geojson", "--geopackage", "a.gpkg", "--geoparquet", "a.parquet"),
    *("--masks", "masks", "--coco-masks", "coco.json"),
)


def decoded(size: list[int], counts: str) -> NDArray[np.bool_]:
    """COCO's run lengths by the letter of its format: five bits a character, differences to the last but one."""
    runs: list[int] = []
    value = shift = 0
    for sign in counts:
        bits = ord(sign) - 48
        value |= (bits & 31) << shift
        shift += 5
        if not bits & 32:
            value -= (1 << shift) if bits & 16 else 0
            runs.append(value + (runs[-2] if len(runs) > 2 else 0))
            value = shift = 0
    flat = np.repeat(np.arange(len(runs)) % 2 == 1, runs)
    return flat.reshape(size[1], size[0]).T


def layers() -> tuple[list[Any], list[Any], list[Any]]:
    """Label and shape of each object in the three map files."""
    features = json.loads(Path("a.geojson").read_text())["features"]
    geojson = [(one["properties"]["label"], shapely.geometry.shape(one["geometry"])) for one in features]
    with sqlite3.connect("a.gpkg") as package:
        ((kind,),) = package.execute("SELECT geometry_type_name FROM gpkg_geometry_columns")
        ((declared,),) = package.execute("SELECT type FROM pragma_table_info('objects') WHERE name = 'geom'")
        rows = list(package.execute("SELECT label, geom, image FROM objects ORDER BY fid"))
    assert kind == declared == "MULTIPOLYGON"
    geopackage = []
    for label, blob, image in rows:
        assert blob[:2] == b"GP" and blob[3] == 3 and image is not None
        sides = struct.unpack("<4d", blob[8:40])
        shape = shapely.from_wkb(blob[40:])
        assert shape.geom_type == "MultiPolygon"
        assert np.array(shape.bounds)[[0, 2, 1, 3]].tolist() == pytest.approx(sides)
        geopackage.append((label, shape))
    table = parquet.read_table("a.parquet")
    about = json.loads(table.schema.metadata[b"geo"])["columns"]["geometry"]
    assert about["geometry_types"] == ["MultiPolygon"]
    geoparquet = list(zip(table["label"].to_pylist(), shapely.from_wkb(table["geometry"].to_pylist()), strict=True))
    return geojson, geopackage, geoparquet


def back_in_pixels(shape: Any) -> Any:
    """A shape in longitude and latitude on the pixels of the image."""
    from rasterio.warp import transform

    def moved(points: NDArray[np.float64]) -> NDArray[np.float64]:
        x, y = transform("EPSG:4326", "EPSG:32632", points[:, 0], points[:, 1])
        return np.column_stack([(np.array(x) - PLACE[2]) / PLACE[0], (np.array(y) - PLACE[5]) / PLACE[4]])

    return shapely.transform(shape, moved)


def check_outputs(name: str, wanted: NDArray[np.bool_], least: float) -> None:
    """Rows, GeoTIFF, COCO and three map files hold the same objects, which cover what is wanted."""
    row = LatestRows(Path("rows.jsonl"))[name]
    masks = [decoded(one["size"], one["counts"]) for one in row["masks"]]
    assert all(np.array_equal(Mask.from_rle(one).full(), mask) for one, mask in zip(row["masks"], masks, strict=True))
    file = name if name.endswith(".tif") else f"{name}.tif"
    with rasterio.open(Path("masks") / file) as labels:
        numbers = labels.read(1)
        assert (labels.crs.to_epsg(), tuple(labels.transform)[:6]) == (32632, PLACE)
    assert np.array_equal(numbers > 0, np.any(masks, axis=0))
    assert json.loads((Path("masks") / "labels.json").read_text())["files"][file]["labels"] == [
        one["label"] for one in row["masks"]
    ]
    whole = np.any(masks, axis=0)
    assert (whole & wanted).sum() / (whole | wanted).sum() >= least
    coco = json.loads(Path("coco.json").read_text())
    (picture,) = [one for one in coco["images"] if one["file_name"] == name]
    listed = [one for one in coco["annotations"] if one["image_id"] == picture["id"]]
    assert [one["segmentation"]["counts"] for one in listed] == [one["counts"] for one in row["masks"]]
    assert [one["area"] for one in listed] == [int(mask.sum()) for mask in masks]
    for one, mask in zip(listed, masks, strict=True):
        x, y, w, h = one["bbox"]
        assert mask[y : y + h, x : x + w].sum() == mask.sum() and mask[y].any() and mask[:, x + w - 1].any()


def test_segment_writes_masks_of_a_segmenter_to_every_file(folder: Path) -> None:
    """A tiny SAM 2 with random weights, loaded from its folder as any checkpoint is."""
    from tests.points.tiny_sam2 import tiny_sam2

    tiny_sam2().save_pretrained(folder / "sam")
    tiff(Path("scenes/a.tif"), scene(1))
    with served(Outlining("roof", "prompt")) as server:
        done = run(server, "scenes", "--task", "segment", "--classes", "roof", "--segmenter", "sam", *OUTPUTS)
        assert done.exit_code == 0, done.output
        again = run(server, "scenes", "--task", "segment", "--classes", "roof", "--segmenter", "sam", *OUTPUTS)
        assert again.exit_code == 0 and "0 done, 1 before" in again.output, again.output
    row = LatestRows(Path("rows.jsonl"))["a.tif"]
    assert row["masks"] and {one["label"] for one in row["masks"]} == {"roof"}
    check_outputs("a.tif", np.any([decoded(one["size"], one["counts"]) for one in row["masks"]], axis=0), 1.0)
    geojson, geopackage, geoparquet = layers()
    assert len(geojson) == len(geopackage) == len(geoparquet) == len(row["objects"]) > 0


def test_change_of_pairs_is_outlined_with_its_courts(folder: Path) -> None:
    before, after = np.zeros((SIDE, SIDE), bool), scene(3)
    tiff(Path("scenes/old.tif"), before)
    tiff(Path("scenes/new.tif"), after)
    pairs = Path("scenes/pairs.jsonl")
    pairs.write_text(json.dumps({"id": "north/1", "images": ["old.tif", "new.tif"]}) + "\n")
    with served(Outlining("building")) as server:
        done = run(server, str(pairs), "--task", "change", "--classes", "building", *OUTPUTS)
    assert done.exit_code == 0, done.output
    Path("masks/north%2F1.tif").rename("masks/north.tif")  # an id is one file's name
    Path("masks/labels.json").write_text(Path("masks/labels.json").read_text().replace("north%2F1.tif", "north.tif"))
    rows = Path("rows.jsonl")
    rows.write_text(rows.read_text().replace("north/1", "north"))
    Path("coco.json").write_text(Path("coco.json").read_text().replace("north/1", "north"))
    check_outputs("north", after, 0.98)
    geojson, geopackage, geoparquet = layers()
    assert len(geojson) == len(geopackage) == len(geoparquet) > 1
    assert any(len(one.interiors) for _, shape in geojson for one in shapely.get_parts(shape))
    for (label, first), *others in zip(geojson, geopackage, geoparquet, strict=True):
        for name, shape in others:
            assert name == label == "building"
            assert shapely.hausdorff_distance(shapely.normalize(first), shapely.normalize(shape)) < 2e-9
    for layer in (geojson, geopackage, geoparquet):
        drawn = rasterio.features.rasterize([back_in_pixels(shape) for _, shape in layer], out_shape=(SIDE, SIDE)) > 0
        assert (drawn & after).sum() / (drawn | after).sum() >= 0.98


def test_nothing_found_is_an_empty_file_and_a_broken_image_an_error(folder: Path) -> None:
    tiff(Path("scenes/a.tif"), np.zeros((SIDE, SIDE), bool))
    Path("scenes/b.tif").write_bytes(b"no picture")
    with served(Outlining("roof", "prompt")) as server:
        done = run(server, "scenes", "--task", "segment", "--classes", "roof", *OUTPUTS)
    assert done.exit_code == 1 and "1 errors" in done.output, done.output
    with rasterio.open("masks/a.tif") as labels:
        assert not labels.read(1).any()
    assert not Path("masks/b.tif").exists()
    coco = json.loads(Path("coco.json").read_text())
    assert (len(coco["images"]), coco["annotations"], coco["categories"]) == (1, [], [])
    assert json.loads(Path("a.geojson").read_text())["features"] == []


@pytest.mark.parametrize("task", ["detect", "ask", "locate"])
@pytest.mark.parametrize("option", ["--masks", "--coco-masks"])
def test_tasks_without_masks_refuse_their_files(folder: Path, task: str, option: str) -> None:
    tiff(Path("scenes/a.tif"), scene(1))
    words = ["--classes", "roof"] if task == "detect" else ["--question", "what?"] if task == "ask" else []
    done = CliRunner().invoke(app, ["predict", "scenes", "--task", task, *words, option, "out"])
    assert done.exit_code == 2 and f"leave out {option}" in done.output.replace("\n", " "), done.output
    assert not Path("out").exists() and not Path("predictions.jsonl").exists()


def test_places_become_points(folder: Path) -> None:
    tiff(Path("scenes/a.tif"), scene(1))
    with served(Scripted(lambda *_: "[Innsbruck, (47.27, 11.39)]")) as server:
        done = run(server, "scenes", "--task", "locate", "--out", "rows.jsonl", "--geojson", "a.geojson")
    assert done.exit_code == 0, done.output
    (feature,) = json.loads(Path("a.geojson").read_text())["features"]
    assert feature["geometry"] == {"type": "Point", "coordinates": [11.39, 47.27]}
    row = LatestRows(Path("rows.jsonl"))["a.tif"]
    assert row["city"] == feature["properties"]["city"] == "Innsbruck"
    assert row["error_km"] == feature["properties"]["error_km"] > 0


def test_run_lengths_read_back_are_the_masks(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for width, height in ((1, 1), (1, 9), (9, 1), (7, 5), (64, 33)):
        for share in (0.0, 0.1, 0.5, 1.0):
            pixels = rng.random((height, width)) < share
            rle = Mask.of(pixels).rle()
            assert np.array_equal(Mask.from_rle(rle).full(), pixels)
            assert np.array_equal(decoded(rle["size"], rle["counts"]), pixels)
    for wrong in ({"size": [2, 3], "counts": "12"}, {"size": [2, 3], "counts": ""}, {"size": [3, 3], "counts": "123"}):
        with pytest.raises(ValueError, match="give the grid that they were made on"):
            Mask.from_rle(wrong)
    with pytest.raises(ValueError, match="the grid has 4x2"):
        Mask.from_rle({"size": [2, 3], "counts": "123"}, Frame(4, 2))
