"""Objects as files of other programs, read back with other code."""

from __future__ import annotations

import json
import sqlite3
import struct
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
import shapely

from rscovlm.exports import to_coco, to_dota, to_geojson, to_geopackage, to_geoparquet, to_supervision, to_yolo_obb
from rscovlm.exports.geopackage import write_geopackage
from rscovlm.exports.polygons import columns_of, polygons_of
from rscovlm.geometry import Boxes, Frame, Objects
from rscovlm.metrics.task1 import read_task1
from tests.exports.test_geojson import DEGREES, UTM, some

PLAIN = Frame(400, 300)


def test_a_geopackage_opens_as_its_standard_says(tmp_path: Path) -> None:
    objects = some(UTM)
    path = to_geopackage(objects, tmp_path / "a.gpkg")
    head = path.read_bytes()[:100]
    assert head[:15] == b"SQLite format 3" and head[68:72] == b"GPKG" and struct.unpack(">I", head[60:64])[0] == 10300
    with sqlite3.connect(path) as package:
        (kind, number) = package.execute("SELECT geometry_type_name, srs_id FROM gpkg_geometry_columns").fetchone()
        assert (kind, number) == ("POLYGON", 32617)
        systems = {row[0] for row in package.execute("SELECT srs_id FROM gpkg_spatial_ref_sys")}
        assert systems == {-1, 0, 4326, 32617}
        rows = package.execute("SELECT fid, geom, label, score FROM objects ORDER BY fid").fetchall()
        bounds = package.execute("SELECT min_x, min_y, max_x, max_y FROM gpkg_contents").fetchone()
        assert not package.execute("PRAGMA foreign_key_check").fetchall()
    expected = [shapely.geometry.shape(f["geometry"]) for f in to_geojson(objects, crs=None)["features"]]
    for (fid, blob, label, score), shape, k in zip(rows, expected, range(len(objects)), strict=True):
        magic, version, flags, srs, x1, x2, y1, y2 = struct.unpack("<2sBBi4d", blob[:40])
        assert (fid, magic, version, flags, srs) == (k + 1, b"GP", 0, 3, 32617)
        polygon = shapely.from_wkb(blob[40:])
        assert polygon.bounds == pytest.approx((x1, y1, x2, y2))
        assert shapely.hausdorff_distance(polygon, shape) < 1e-6 and polygon.exterior.is_ccw
        assert label == objects.labels[k] and objects.scores is not None and score == objects.scores[k]
    assert bounds == pytest.approx(shapely.total_bounds(expected).tolist())


def test_geoparquet_holds_its_metadata(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    pytest.importorskip("rasterio")
    objects = some(UTM)
    for crs in ("EPSG:4326", None):
        table = parquet.read_table(to_geoparquet(objects, tmp_path / "a.parquet", crs=crs))
        about = json.loads(table.schema.metadata[b"geo"])
        column = about["columns"]["geometry"]
        assert about["version"] == "1.1.0" and about["primary_column"] == "geometry" and column["encoding"] == "WKB"
        assert ("crs" in column) == (crs is None)
        if crs is None:
            assert column["crs"]["id"] == {"authority": "EPSG", "code": 32617}
        shapes = shapely.from_wkb(table["geometry"].to_pylist())
        expected = [shapely.geometry.shape(f["geometry"]) for f in to_geojson(objects, crs=crs)["features"]]
        assert max(shapely.hausdorff_distance(a, b) for a, b in zip(shapes, expected, strict=True)) < 1e-6
        assert column["bbox"] == pytest.approx(shapely.total_bounds(shapes).tolist())
        assert table["label"].to_pylist() == list(objects.labels)


def test_an_object_over_the_180th_meridian_does_not_go_around_the_world(tmp_path: Path) -> None:
    pytest.importorskip("rasterio", reason="rasterio (extra geo) is not installed")
    parquet = pytest.importorskip("pyarrow.parquet", reason="pyarrow (extra geo) is not installed")
    frame = Frame(100, 100, root_to_world=(11_100.0, 0.0, 19_500_000.0, 0.0, -11_100.0, 500_000.0), crs="EPSG:3857")
    objects = Objects(Boxes([[20, 20, 80, 60], [1, 1, 5, 5]], "hbb", frame), ("storm", "storm"))
    path = to_geoparquet(objects, tmp_path / "a.parquet")
    shapes = [shapely.from_wkb(value.as_py()) for value in parquet.read_table(path)["geometry"]]
    assert [round(shape.bounds[2] - shape.bounds[0], 1) for shape in shapes] == [6.0, 0.4]


def test_empty_results_are_files_too(tmp_path: Path) -> None:
    empty = Objects.empty("quad", UTM)
    with sqlite3.connect(to_geopackage(empty, tmp_path / "a.gpkg")) as package:
        assert package.execute("SELECT COUNT(*) FROM objects").fetchone() == (0,)
    assert to_geoparquet(empty, tmp_path / "a.parquet").is_file()
    assert to_coco({"a.png": Objects.empty("hbb", PLAIN)})["annotations"] == []
    assert to_yolo_obb(Objects.empty("hbb", PLAIN), []) == ""


def test_pixels_are_no_map(tmp_path: Path) -> None:
    for write in (to_geopackage, to_geoparquet):
        with pytest.raises(ValueError, match="use to_geojson or to_coco"):
            write(some(PLAIN), tmp_path / "a")
    assert not list(tmp_path.iterdir())


def test_coco_holds_boxes_corners_and_areas(tmp_path: Path) -> None:
    first, second = some(PLAIN, 5), some(Frame(400, 300), 7, seed=1)
    dataset = to_coco(
        {"a.tif": first, "b.tif": second}, tmp_path / "a.json", categories=["class 2", "class 1", "class 0"]
    )
    written = json.loads((tmp_path / "a.json").read_text())
    assert written.pop("info") == {"contributor": "urn:rscovlm:coco"}
    assert written == dataset
    assert [image["file_name"] for image in dataset["images"]] == ["a.tif", "b.tif"]
    assert [a["id"] for a in dataset["annotations"]] == list(range(1, 13))
    for annotation, quad in zip(dataset["annotations"], first.boxes.as_kind("quad").coords, strict=False):
        polygon = shapely.Polygon(np.reshape(annotation["segmentation"], (4, 2)))
        assert polygon.equals_exact(shapely.Polygon(quad.reshape(4, 2)), 1e-9)
        assert annotation["area"] == pytest.approx(polygon.area)
        x, y, w, h = annotation["bbox"]
        assert (x, y, x + w, y + h) == pytest.approx(polygon.bounds)
    assert dataset["annotations"][0]["category_id"] == 3


def test_dota_files_have_a_line_an_object(tmp_path: Path) -> None:
    objects = some(PLAIN, 6)
    plain = Objects(objects.boxes, tuple(label.replace(" ", "-") for label in objects.labels), objects.scores)
    to_dota({"P0001": plain}, tmp_path / "out", categories=["class-0", "class-1", "class-2", "none"])
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == [
        f"Task1_{c}.txt" for c in ("class-0", "class-1", "class-2")
    ]
    lines = (tmp_path / "out" / "Task1_class-0.txt").read_text().splitlines()
    name, score, *corners = lines[0].split()
    assert name == "P0001" and objects.scores is not None and float(score) == pytest.approx(objects.scores[0], abs=1e-6)
    assert np.array(corners, dtype=float) == pytest.approx(objects.boxes.as_kind("quad").coords[0], abs=0.006)
    with pytest.raises(ValueError, match="blank|slash"):
        to_dota({"P0001": Objects(Boxes([[1, 2, 3, 4]], "hbb", PLAIN), ("../../x",))}, tmp_path / "out")


def test_yolo_lines_are_shares_of_the_sides(tmp_path: Path) -> None:
    objects = some(PLAIN, 4)
    text = to_yolo_obb(objects, ["class 0", "class 1", "class 2"], tmp_path / "a.txt")
    assert (tmp_path / "a.txt").read_text() == text
    for line, quad, label in zip(text.splitlines(), objects.boxes.as_kind("quad").coords, objects.labels, strict=True):
        number, *shares = line.split()
        assert f"class {number}" == label
        assert np.array(shares, dtype=float) * ([400, 300] * 4) == pytest.approx(quad, abs=1e-3)


def test_labels_and_frames_that_do_not_fit_are_named() -> None:
    with pytest.raises(ValueError, match="label 'class 0' is not among the categories"):
        to_yolo_obb(some(PLAIN), ["ship"])
    with pytest.raises(ValueError, match="name a class twice"):
        to_yolo_obb(some(PLAIN), ["class 0", "class 0"])
    with pytest.raises(ValueError, match=r"a\.tif: these objects are in pixels of a view"):
        to_coco({"a.tif": some(DEGREES.cropped(5, 5, 300, 300))})
    with pytest.raises(ValueError, match="have no frame"):
        to_coco({"a.tif": Objects(Boxes([[1, 2, 3, 4]], "hbb"), ("a",))})


def test_supervision_gets_the_same_boxes() -> None:
    pytest.importorskip("supervision", reason="supervision is not installed")
    objects = some(PLAIN)
    detections = to_supervision(objects)
    assert np.allclose(detections.xyxy, objects.boxes.as_kind("hbb").coords)
    assert np.allclose(detections.data["xyxyxyxy"].reshape(-1, 8), objects.boxes.as_kind("quad").coords)
    assert [sorted(set(objects.labels))[k] for k in detections.class_id] == list(objects.labels)


def test_without_supervision_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "supervision", None)
    with pytest.raises(ValueError, match="pip install supervision"):
        to_supervision(some(PLAIN))


HOSTILE = [
    "a\ud800b",
    "a\x1b[2Jb",
    "a\x00b",
    "a\nb",
    "../../x",
    "..",
    "C:\\x",
    "a:b",
    "a\u202eb",
    "n" * 300,
    "a b",
    "caf\u00e9/\u0301",
    "%2F",
]


def _below(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


@pytest.mark.parametrize("text", HOSTILE, ids=ascii)
@pytest.mark.parametrize("where", ["label", "image"])
@pytest.mark.parametrize("ending", ["", ".zip"])
def test_dota_files_take_names_that_are_names_or_nothing(tmp_path: Path, text: str, where: str, ending: str) -> None:
    objects = Objects(Boxes([[1, 2, 3, 4]], "hbb", PLAIN), (text if where == "label" else "ship",))
    target = tmp_path / f"out{ending}"
    try:
        to_dota({text if where == "image" else "P0001": objects}, target)
    except ValueError as error:
        assert not isinstance(error, UnicodeError) and ascii(text)[1:9] in ascii(str(error)).replace("\\\\", "\\")
        assert _below(tmp_path) == []
    else:
        assert text in {"..", "%2F"}
        assert [entry["labels"] for entry in read_task1(target).values()] == [list(objects.labels)]
        assert all(path.split("/")[0] == target.name for path in _below(tmp_path))


@pytest.mark.parametrize("text", HOSTILE, ids=ascii)
def test_vectors_and_coco_keep_any_label(tmp_path: Path, text: str) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    objects = Objects(Boxes([[1, 2, 3, 4]], "hbb", UTM), (text,))
    written = text.encode("utf-8", "backslashreplace").decode()
    to_coco({"a.tif": objects}, tmp_path / "a.json")
    assert json.loads((tmp_path / "a.json").read_text())["categories"][0]["name"] == text
    to_geojson(objects, tmp_path / "a.geojson")
    to_geopackage(objects, tmp_path / "a.gpkg")
    with closing(sqlite3.connect(tmp_path / "a.gpkg")) as package:
        assert package.execute("SELECT label FROM objects").fetchall() == [(written,)]
    to_geoparquet(objects, tmp_path / "a.parquet")
    assert parquet.read_table(tmp_path / "a.parquet")["label"].to_pylist() == [written]
    assert _below(tmp_path) == ["a.geojson", "a.gpkg", "a.json", "a.parquet"]


def test_a_geopackage_written_in_parts_counts_its_polygons(tmp_path: Path) -> None:
    frame = Frame(100, 80, root_to_world=(2.0, 0.0, 500_000.0, 0.0, -2.0, 6_000_000.0), crs="EPSG:32633")
    parts = [
        Objects(Boxes([[x, 10, x + 5, 20] for x in range(first, last)], "hbb", frame), ("ship",) * (last - first))
        for first, last in ((0, 3), (3, 3), (3, 7))
    ]
    chunks = [polygons_of(part, None)[0] for part in parts]
    columns = columns_of(parts[0])
    assert write_geopackage(tmp_path / "a.gpkg", iter(chunks), "EPSG:32633", columns) == 7
    with sqlite3.connect(tmp_path / "a.gpkg") as package:
        (sides,) = package.execute("SELECT min_x, min_y, max_x, max_y FROM gpkg_contents").fetchall()
    assert sides == (500_000.0, 5_999_960.0, 500_022.0, 5_999_980.0)
    assert write_geopackage(tmp_path / "b.gpkg", [], "EPSG:32633", columns) == 0
