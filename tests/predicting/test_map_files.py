"""GeoPackage and GeoParquet of many rows hold what their GeoJSON holds; places changed together are those changed one by one."""

import json
import sqlite3
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely

from rscovlm.exports import to_geojson
from rscovlm.geometry import Boxes, Frame, Objects
from rscovlm.predicting.latest_rows import PREDICTIONS, LatestRows
from rscovlm.predicting.placed_rows import write_objects
from rscovlm.tasks.boxes import frame_row, object_rows
from rscovlm.zoom.journal import Journal
from tests.metrics.scenes import rectangles

pytest.importorskip("rasterio")
parquet = pytest.importorskip("pyarrow.parquet")

SYSTEMS = ["EPSG:32633", "EPSG:32610", "EPSG:4326", "EPSG:3857", "EPSG:25832", "EPSG:26917", "EPSG:23033", "EPSG:3035"]
CENTRES = {"EPSG:4326": (10.0, 50.0), "EPSG:3035": (4_321_000.0, 3_210_000.0), "EPSG:3857": (20_037_000.0, 5e6)}


def _objects(number: int) -> Objects:
    rng = np.random.default_rng(number)
    crs = SYSTEMS[number % len(SYSTEMS)]
    x, y = CENTRES.get(crs, (500_000.0, 5_000_000.0))
    # Every seventh image is so coarse that edges bend on the map.
    step = (1e-5 if crs == "EPSG:4326" else 0.5) * (2_000 if number % 7 == 0 else 1)
    frame = Frame(1000, 1000, root_to_world=(step, 0.0, x, 0.0, -step, y), crs=crs)
    count = int(rng.integers(0, 9))
    quads = rectangles(rng.uniform(0, 900, (count, 2)), rng.uniform(5, 300, (count, 2)), rng.uniform(-1.5, 1.5, count))
    boxes = Boxes(quads.round(2), "quad", frame)
    scores = rng.random(count).round(3) if number % 3 else None
    return Objects(boxes, tuple(rng.choice(["ship", "plané", "\ud800"], count).tolist()), scores)


def _row(objects: Objects) -> dict[str, Any]:
    assert objects.boxes.frame is not None
    return {"objects": object_rows(objects), "frame": frame_row(objects.boxes.frame)}


@pytest.fixture
def rows(tmp_path: Path) -> LatestRows:
    """Rows of many images in eight systems, two of them without a place, and older rows of the same images."""
    with Journal(tmp_path / "rows.jsonl", {}, kind=PREDICTIONS) as journal:
        journal.append({"id": str(number), **_row(_objects(number + 1))} for number in range(0, 60, 7))
        journal.append({"id": str(number), **_row(_objects(number))} for number in range(150))
        journal.append([{"id": "words", "answer": "yes"}, {"id": "broken", "error": "no image"}])
        journal.append([{"id": "nowhere", "objects": [], "frame": frame_row(Frame(5, 5))}])
        beyond = Frame(9, 9, root_to_world=(1.0, 0.0, 5e5, 0.0, -1.0, 4e6), crs="EPSG:4326")
        journal.append([{"id": "metres", **_row(Objects(Boxes([[1, 1, 3, 3]], "hbb", beyond), ("a",)))}])
    order = [*map(str, range(150)), "words", "broken", "nowhere", "metres"]
    return LatestRows(tmp_path / "rows.jsonl", only=order)


def test_rows_placed_together_lie_where_each_lies_by_itself(rows: LatestRows, tmp_path: Path) -> None:
    assert write_objects(rows, tmp_path / "o.geojson")[1] == 2
    found = json.loads((tmp_path / "o.geojson").read_text())["features"]
    alone = [feature for number in range(150) for feature in to_geojson(_objects(number))["features"]]
    assert len(found) == len(alone) > 400
    assert max(len(feature["geometry"]["coordinates"][0]) for feature in found) > 5  # bent edges are among them
    for ours, theirs in zip(found, alone, strict=True):
        assert ours["geometry"]["type"] == theirs["geometry"]["type"]
        first, second = (shapely.geometry.shape(one["geometry"]) for one in (ours, theirs))
        assert first.equals_exact(second, 2e-9)
        assert ours["properties"]["pixels"] == pytest.approx(theirs["properties"]["pixels"], abs=0.02)
        assert ours["properties"].get("score") == theirs["properties"].get("score")


def test_all_three_kinds_hold_the_same_objects(rows: LatestRows, tmp_path: Path) -> None:
    counts = {kind: write_objects(rows, tmp_path / kind, kind) for kind in ("geojson", "geopackage", "geoparquet")}
    assert len(set(counts.values())) == 1
    features = json.loads((tmp_path / "geojson").read_text())["features"]
    table = parquet.read_table(tmp_path / "geoparquet")
    with sqlite3.connect(tmp_path / "geopackage") as package:
        layer = package.execute("SELECT geom, label, score, image, cut FROM objects ORDER BY fid").fetchall()
        bounds = package.execute("SELECT min_x, min_y, max_x, max_y FROM gpkg_contents").fetchone()
    about = json.loads(table.schema.metadata[b"geo"])["columns"]["geometry"]
    shapes = shapely.from_wkb(table["geometry"].to_pylist())
    assert about["bbox"] == pytest.approx(shapely.total_bounds(shapes).tolist()) == list(bounds)
    columns = list(zip(*(table[name].to_pylist() for name in ("label", "score", "image", "cut")), strict=True))
    assert columns == [entry[1:] for entry in layer] and len(columns) == len(features)
    for feature, shape, (blob, *_), (label, score, image, _) in zip(features, shapes, layer, columns, strict=True):
        said = feature["properties"]
        text = said["label"].encode(errors="backslashreplace").decode()
        assert (text, said.get("score"), said["image"]) == (label, score, image)
        polygon = shapely.from_wkb(blob[40:])
        assert polygon.equals(shape) and shape.exterior.is_ccw
        x1, x2, y1, y2 = struct.unpack("<4d", blob[8:40])
        assert polygon.bounds == (x1, y1, x2, y2)
        if feature["geometry"]["type"] == "Polygon" and len(feature["geometry"]["coordinates"]) == 1:
            turned = shapely.transform(shape, lambda points: points - (360 * (points[:, 0].min() > 180), 0))
            assert shapely.geometry.shape(feature["geometry"]).equals_exact(turned, 2e-9) or shape.bounds[2] > 180


def test_files_of_a_map_need_a_place(tmp_path: Path) -> None:
    row = {"objects": [{"box": [1, 1, 3, 3], "kind": "hbb", "label": "a"}], "frame": frame_row(Frame(5, 5))}
    for kind in ("geopackage", "geoparquet"):
        with pytest.raises(ValueError, match=r"no image can be placed .*a\.png.*--geojson"):
            write_objects({"a.png": row}, tmp_path / "o", kind)
    assert not list(tmp_path.iterdir())


def test_rows_are_read_when_they_are_asked_for(rows: LatestRows, tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    lines = [json.loads(line) for line in path.read_bytes().splitlines()[1:]]
    expected = {row["id"]: row for row in lines}
    assert dict(rows) == expected and len(rows) == 154
    some = LatestRows(path, only=["words", "3"])
    assert list(some) == ["words", "3"] and some["3"] == expected["3"]
    with pytest.raises(ValueError, match="no row of 'absent'"):
        LatestRows(path, only=["absent"])
    path.write_bytes(path.read_bytes().replace(b'"id":"3"', b'"id":"8"'))
    with pytest.raises(ValueError, match="was changed"):
        some["3"]
