"""Objects on the map: against rasterio's own transforms, the RFC's rules, and real labels."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import shapely

from rscovlm.exports import to_geojson
from rscovlm.geometry import Boxes, Frame, Objects
from rscovlm.rasters import open_image
from tests.evidence import crowns, evidence

UTM = Frame(400, 300, root_to_world=(0.5, 0.1, 404_000.0, 0.1, -0.5, 3_285_000.0), crs="EPSG:32617")
DEGREES = Frame(400, 300, root_to_world=(0.01, 0.0, 10.0, 0.0, -0.01, 50.0), crs="EPSG:4326")


def some(frame: Frame, count: int = 20, seed: int = 0) -> Objects:
    rng = np.random.default_rng(seed)
    boxes = np.stack(
        [
            rng.uniform(50, 350, count),
            rng.uniform(50, 250, count),
            rng.uniform(20, 40, count),
            rng.uniform(5, 20, count),
        ]
        + [rng.uniform(-90, 90, count)],
        axis=1,
    )
    return Objects(Boxes(boxes, "obb", frame), tuple(f"class {k % 3}" for k in range(count)), rng.random(count))


def test_longitude_and_latitude_are_those_of_rasterio() -> None:
    warp = pytest.importorskip("rasterio.warp")

    objects = some(UTM)
    assert UTM.root_to_world is not None
    a, b, c, d, e, f = UTM.root_to_world
    features = to_geojson(objects)["features"]
    for feature, quad in zip(features, objects.boxes.as_kind("quad").coords, strict=True):
        xs, ys = a * quad[::2] + b * quad[1::2] + c, d * quad[::2] + e * quad[1::2] + f
        longitude, latitude = warp.transform("EPSG:32617", "EPSG:4326", xs, ys)
        ring = shapely.Polygon(feature["geometry"]["coordinates"][0])
        expected = shapely.Polygon(zip(longitude, latitude, strict=True))
        assert shapely.hausdorff_distance(ring, expected) < 1e-8


def test_rings_are_closed_and_counter_clockwise_whatever_the_map() -> None:
    for e in (-0.01, 0.01):  # rows that run south, and north
        frame = Frame(400, 300, root_to_world=(0.01, 0.0, 10.0, 0.0, e, 50.0), crs="EPSG:4326")
        for feature in to_geojson(some(frame))["features"]:
            (ring,) = feature["geometry"]["coordinates"]
            assert ring[0] == ring[-1] and len(ring) == 5
            assert shapely.LinearRing(ring).is_ccw


def test_views_give_the_same_places_as_the_original() -> None:
    objects = some(DEGREES)
    there = objects.to(DEGREES.cropped(40, 30, 240, 230).resized(1000, 1000))
    for a, b in zip(to_geojson(objects)["features"], to_geojson(there)["features"], strict=True):
        assert np.allclose(a["geometry"]["coordinates"], b["geometry"]["coordinates"], atol=1e-8)
        assert np.allclose(a["properties"]["pixels"], b["properties"]["pixels"], atol=0.011)


def test_the_file_is_the_collection(tmp_path: Path) -> None:
    labels = ('a "b"', "<script>", "\x1b[2J\u2028é")
    objects = Objects(Boxes([[1, 2, 3, 4]] * 3, "hbb", DEGREES), labels)
    collection = to_geojson(objects, tmp_path / "a.geojson", properties=[{"area": k} for k in range(3)])
    written = json.loads((tmp_path / "a.geojson").read_text("utf-8"))
    assert written.pop("generator") == "urn:rscovlm:geojson"  # by which the file is known to be replaceable
    assert written == collection
    assert [feature["properties"]["label"] for feature in collection["features"]] == list(labels)
    assert [feature["properties"]["area"] for feature in collection["features"]] == [0, 1, 2]
    assert "score" not in collection["features"][0]["properties"] and set(collection) == {"type", "features"}
    assert [p.name for p in tmp_path.iterdir()] == ["a.geojson"]


def test_another_system_is_named() -> None:
    own = to_geojson(some(UTM), crs=None)
    assert own["crs"]["properties"]["name"] == "urn:ogc:def:crs:EPSG::32617"
    x, y = own["features"][0]["geometry"]["coordinates"][0][0]
    assert 404_000 < x < 404_300 and 3_284_700 < y < 3_285_100


def test_an_image_without_a_place_gives_pixels_and_says_so() -> None:
    collection = to_geojson(some(Frame(400, 300)))
    assert collection["coordinates"] == "pixels of the image, x right, y down"
    unnamed = to_geojson(some(Frame(400, 300, root_to_world=(2.0, 0, 0, 0, -2.0, 0))))
    assert "not stated" in unnamed["coordinates"]


def test_a_box_over_the_180th_meridian_is_cut_in_two() -> None:
    pytest.importorskip("rasterio")
    frame = Frame(100, 100, root_to_world=(0.1, 0.0, 175.0, 0.0, -0.1, 5.0), crs="EPSG:4326")
    wrapped = Frame(
        100, 100, root_to_world=(111_000.0 / 10, 0.0, 19_500_000.0, 0.0, -11_100.0, 500_000.0), crs="EPSG:3857"
    )
    beyond = Frame(100, 100, root_to_world=(0.1, 0.0, 535.0, 0.0, -0.1, 5.0), crs="EPSG:4326")  # one turn further
    for place in (frame, wrapped, beyond):
        objects = Objects(Boxes([[20, 20, 80, 60]], "hbb", place), ("storm",))
        geometry = to_geojson(objects)["features"][0]["geometry"]
        shape = shapely.geometry.shape(geometry)
        assert geometry["type"] == "MultiPolygon" and shape.is_valid and shapely.get_num_geometries(shape) == 2
        assert shape.bounds[0] == -180 and shape.bounds[2] == 180 and shape.area < 60
        east = Objects(Boxes([[80, 20, 90, 60]], "hbb", place), ("storm",))
        (ring,) = to_geojson(east)["features"][0]["geometry"]["coordinates"]
        assert all(-180 <= x < -170 for x, _ in ring) and shapely.is_ccw(shapely.LinearRing(ring))


def test_what_cannot_be_placed_is_an_error() -> None:
    with pytest.raises(ValueError, match="have no frame"):
        to_geojson(Objects(Boxes([[1, 2, 3, 4]], "hbb"), ("a",)))
    with pytest.raises(ValueError, match="1 objects and 2 properties"):
        to_geojson(Objects(Boxes([[1, 2, 3, 4]], "hbb", DEGREES), ("a",)), properties=[{}, {}])
    pytest.importorskip("rasterio")
    odd = Frame(400, 300, root_to_world=(1, 0, 0, 0, -1, 0), crs="EPSG:99999999")
    with pytest.raises(ValueError, match="cannot be changed"):
        to_geojson(some(odd))
    with pytest.raises(ValueError, match="cannot be changed to EPSG:x"):
        to_geojson(some(UTM), crs="EPSG:x")
    assert to_geojson(Objects.empty("hbb", UTM)) == {"type": "FeatureCollection", "features": []}


def test_boxes_on_a_picture_of_neon_lie_there_again(tmp_path: Path) -> None:
    """From pixels to longitude and latitude by our code, back to pixels by rasterio's."""
    pytest.importorskip("rasterio")
    import rasterio
    from rasterio.warp import transform

    path, truth = evidence("images/neon.tif"), crowns()
    raster = open_image(path)
    to_geojson(Objects(Boxes(truth, "hbb", raster.frame), ("tree",) * len(truth)), tmp_path / "objects.geojson")
    features = json.loads((tmp_path / "objects.geojson").read_text())["features"]
    with rasterio.open(path) as file:
        for feature, box in zip(features, truth, strict=True):
            longitude, latitude = zip(*feature["geometry"]["coordinates"][0], strict=True)
            assert all(-82.1 < value < -81.9 for value in longitude) and all(29.6 < value < 29.8 for value in latitude)
            xs, ys = transform("EPSG:4326", file.crs, longitude, latitude)
            rows, columns = rasterio.transform.rowcol(file.transform, xs, ys, op=float)
            back = [min(columns), min(rows), max(columns), max(rows)]
            assert np.abs(np.array(back) - box).max() < 0.01
    assert len(features) == len(truth) > 50


def test_a_folder_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="'.*nowhere' does not exist, so 'found.geojson' has no place"):
        to_geojson(Objects.empty("hbb", UTM), tmp_path / "nowhere" / "found.geojson")


@pytest.mark.parametrize(("x", "longitude"), [(100.0, 179.0), (250.0, -179.5), (700.0, -175.0)])
def test_a_point_beyond_180_degrees_is_written_within_them(x: float, longitude: float) -> None:
    frame = Frame(900, 400, root_to_world=(0.01, 0.0, 178.0, 0.0, -0.01, -16.0), crs="EPSG:4326")
    point = Objects(Boxes([[x, 100, x, 100]], "hbb", frame), ("buoy",))
    ring = np.array(to_geojson(point)["features"][0]["geometry"]["coordinates"][0])
    np.testing.assert_allclose(ring, np.tile([longitude, -17.0], (len(ring), 1)), atol=1e-7)
