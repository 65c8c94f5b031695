"""Boxes that are wide, lie over the 180th meridian or round a pole: valid by RFC 7946, and where rasterio says they are."""

from __future__ import annotations

import itertools
import json
import sqlite3
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely
from numpy.typing import NDArray

from rscovlm.exports import to_geojson, to_geopackage, to_geoparquet
from rscovlm.exports.outlines import outlines
from rscovlm.geometry import Boxes, Frame, Objects
from tests.geometry.test_control_points import points_of

warp = pytest.importorskip("rasterio.warp", reason="rasterio (extra geo) is not installed")

SIDE = 400
PLACES: dict[str, tuple[tuple[float, ...], str]] = {
    "UTM 60S over Fiji": ((10, 0, 818_237.5, 0, -10, 8_117_998), "EPSG:32760"),
    "UTM 33N": ((10, 0, 500_000, 0, -10, 6_000_000), "EPSG:32633"),
    "degrees, 178 to 182": ((0.01, 0, 178, 0, -0.01, -16), "EPSG:4326"),
    "degrees, 0 to 360": ((0.9, 0, 0, 0, -0.4, 80), "EPSG:4326"),
    "degrees, 200 to 240": ((0.1, 0, 200, 0, -0.1, 20), "EPSG:4326"),
    "degrees of NAD 83, 170 to 210": ((0.1, 0, 170, 0, -0.1, 70), "EPSG:4269"),
    "Mercator of the Pacific": ((1000, 0, 3_300_000, 0, -1000, -2_000_000), "EPSG:3832"),
    "Mercator of the world": ((100_000, 0, -2e7, 0, -75_000, 1.5e7), "EPSG:3857"),
    "Europe, equal area": ((9000, 0, 2_600_000, 0, -9000, 5_400_000), "EPSG:3035"),
    "North pole": ((5000, 0, -1e6, 0, -5000, 1e6), "EPSG:3413"),
    "North pole, off its middle": ((5000, 0, -3e5, 0, -5000, 1.7e6), "EPSG:3413"),
    "North pole, turned": ((3000, 2000, -1e6, 2000, -3000, 1e5), "EPSG:3413"),
    "beside the north pole": ((1000, 0, 2e5, 0, -1000, 2e5), "EPSG:3413"),
    "South pole": ((5000, 0, -1e6, 0, -5000, 1e6), "EPSG:3031"),
    "South pole, rows to the north": ((5000, 0, -1e6, 0, 5000, -1e6), "EPSG:3031"),
    "half the world round the north pole": ((40_000, 0, -8e6, 0, -40_000, 8e6), "EPSG:6931"),
}
ROUND = {name for name in PLACES if "pole" in name and "beside" not in name}


def frame_of(name: str) -> Frame:
    transform, crs = PLACES[name]
    return Frame(SIDE, SIDE, root_to_world=transform, crs=crs)  # type: ignore[arg-type]


def box_of(name: str, box: tuple[float, float, float, float] = (20, 30, 390, 380)) -> Objects:
    return Objects(Boxes([list(box)], "hbb", frame_of(name)), ("storm",))


def shape_of(objects: Objects) -> Any:
    """Return the polygon of one object, having checked that RFC 7946 allows it."""
    geometry = to_geojson(objects)["features"][0]["geometry"]
    shape = shapely.geometry.shape(json.loads(json.dumps(geometry)))
    assert shape.is_valid and not shape.is_empty
    west, south, east, north = shape.bounds
    assert -180 <= west < east <= 180 and -90 <= south < north <= 90
    for part in shapely.get_parts(shape):
        assert shapely.is_ccw(part.exterior)
    return shape


def area(points: NDArray[np.float64], source: str, target: str) -> float:
    xs, ys = warp.transform(source, target, points[:, 0].tolist(), points[:, 1].tolist())
    return abs(shapely.Polygon(zip(xs, ys, strict=True)).area)


def true_ring(name: str, box: tuple[float, float, float, float]) -> NDArray[np.float64]:
    """Return 4,000 points along a box in the image's own system."""
    x1, y1, x2, y2 = box
    corners = np.array([[x1, y1], [x2, y1], [x2, y2], [x1, y2], [x1, y1]], dtype=np.float64)
    share = np.linspace(0, 1, 1000, endpoint=False)[:, None]
    along = np.concatenate([start + (end - start) * share for start, end in itertools.pairwise(corners)])
    return frame_of(name).places(along)


@pytest.mark.parametrize("name", PLACES)
def test_the_area_is_right(name: str) -> None:
    box = (20.0, 30.0, 390.0, 380.0)
    shape = shape_of(box_of(name, box))
    # Equal-area systems: of the half of the world that a polar box lies in, of the whole world for others.
    equal = "EPSG:6931" if "north pole" in name.lower() else "EPSG:6932" if "South pole" in name else "EPSG:6933"
    right = area(true_ring(name, box), PLACES[name][1], equal)
    if name == "degrees, 0 to 360":  # the ring runs back over itself when longitudes are taken within 180 degrees
        right = area(true_ring(name, box) - (180, 0), "EPSG:4326", equal)
    found = 0.0
    for part in shapely.get_parts(shape):
        ring = np.array(shapely.segmentize(part, 0.25).exterior.coords)
        inward = np.where(np.abs(ring[:, 0]) == 180, np.sign(ring[:, 0]) * (180 - 1e-9), ring[:, 0])
        found += area(np.stack([inward, ring[:, 1]], axis=1), "EPSG:4326", equal)
    if name in ("Mercator of the Pacific", "degrees, 178 to 182") or "Fiji" in name or "NAD" in name:
        right = area(wrapped(true_ring(name, box), PLACES[name][1]), "EPSG:4326", equal)
    assert found == pytest.approx(right, rel=2e-3)


def wrapped(points: NDArray[np.float64], crs: str) -> NDArray[np.float64]:
    """Return points in longitude and latitude, a half turn further on, where nothing is cut."""
    xs, ys = warp.transform(crs, "EPSG:4326", points[:, 0].tolist(), points[:, 1].tolist())
    return np.stack([(np.array(xs) % 360) - 180, np.array(ys)], axis=1)


@pytest.mark.parametrize("name", PLACES)
def test_bounds_are_those_of_rasterio(name: str) -> None:
    frame = frame_of(name)
    ring = true_ring(name, (0, 0, SIDE, SIDE))
    assert frame.crs is not None
    west, south, east, north = warp.transform_bounds(
        frame.crs, "EPSG:4326", *ring.min(axis=0), *ring.max(axis=0), densify_pts=201
    )
    if name in ("North pole, turned", "degrees, 0 to 360"):  # rasterio's bounds are those of the box around it
        return
    shape = shape_of(box_of(name, (0, 0, SIDE, SIDE)))
    found = shape.bounds
    if name.startswith("degrees, 200"):
        west, east = west - 360, east - 360
    step = 0.6 * max(shape.bounds[3] - shape.bounds[1], 1e-3) / SIDE  # half a pixel and the like
    if name in ROUND:
        assert found[0] == -180 and found[2] == 180 and abs(found[3] if north > 89 else found[1]) == 90
        assert (found[1] if north > 89 else found[3]) == pytest.approx(south if north > 89 else north, abs=step)
    elif east < west or east > 180:  # over the 180th meridian
        parts = [part.bounds for part in shapely.get_parts(shape)]
        assert min(part[0] for part in parts if part[0] > 0) == pytest.approx(west, abs=step)
        assert max(part[2] for part in parts if part[2] < 0) == pytest.approx((east + 180) % 360 - 180, abs=step)
        assert found[1::2] == pytest.approx((south, north), abs=step)
    else:
        assert found == pytest.approx((west, south, east, north), abs=step)


@pytest.mark.parametrize("name", sorted(ROUND))
def test_the_pole_is_inside(name: str) -> None:
    shape = shape_of(box_of(name))
    near, far = (-89.99, 89.99) if "South" in name else (89.99, -89.99)
    for longitude in (-179.5, -90, 0, 33, 179.5):
        assert shape.contains(shapely.Point(longitude, near)) and not shape.contains(shapely.Point(longitude, far))
    beside = shape_of(box_of("beside the north pole"))
    assert not beside.contains(shapely.Point(0, 89.99)) and beside.area < 400


@pytest.mark.parametrize("name", PLACES)
def test_points_inside_are_inside(name: str) -> None:
    """What lies in the box lies in the polygon, what lies outside does not: by rasterio's own transform."""
    frame, box = frame_of(name), (60.0, 80.0, 330.0, 300.0)
    shape = shape_of(box_of(name, box))
    pixels = np.random.default_rng(0).uniform(0, SIDE, (400, 2))
    clear = np.abs(pixels[:, :, None] - np.array([[60, 330], [80, 300]])[None]).min(axis=(1, 2)) > 2
    inside = np.all((pixels > (60, 80)) & (pixels < (330, 300)), axis=1)
    ground = frame.places(pixels)
    xs, ys = warp.transform(frame.crs, "EPSG:4326", ground[:, 0].tolist(), ground[:, 1].tolist())
    longitudes = (np.array(xs) + 180) % 360 - 180
    found = np.asarray(shapely.contains_xy(shape, longitudes, np.array(ys)))
    assert np.array_equal(np.asarray(found)[clear], np.asarray(inside)[clear]) and 20 < inside.sum() < 380


def test_small_boxes_keep_their_four_corners() -> None:
    for name in PLACES:
        (ring,) = outlines(
            np.array([[[10.0, 10.0], [20.0, 10.0], [20.0, 20.0], [10.0, 20.0]]]), frame_of(name), "EPSG:4326"
        )
        assert len(ring) == 4, name


def test_edges_follow_what_the_image_shows_within_half_a_pixel() -> None:
    name, box = "Europe, equal area", (5.0, 5.0, 395.0, 395.0)
    shape = shape_of(box_of(name, box))
    assert 20 < len(shape.exterior.coords) < 4 * 64
    there = np.array(shapely.segmentize(shape, 0.05).exterior.coords)
    xs, ys = warp.transform("EPSG:4326", PLACES[name][1], there[:, 0].tolist(), there[:, 1].tolist())
    back = frame_of(name).pixels(np.stack([xs, ys], axis=1))
    off = shapely.distance(shapely.box(*box).exterior, shapely.points(back))
    assert off.max() < 0.5
    other = to_geojson(box_of(name, box), crs="EPSG:3857")["features"][0]["geometry"]["coordinates"][0]
    assert len(other) > 20


@pytest.mark.parametrize("side", [0, 1])
def test_one_straight_edge_does_not_hide_that_the_others_bend(side: int) -> None:
    # One upright edge is the central meridian of zone 33; the others bend in its projection.
    left = 15.0 - 4.0 * side
    frame = Frame(SIDE, SIDE, root_to_world=(0.01, 0.0, left, 0.0, -0.01, 60.0), crs="EPSG:4326")
    box = np.array([[[0.0, 0.0], [SIDE, 0.0], [SIDE, SIDE], [0.0, SIDE]]])
    (ring,) = outlines(box, frame, "EPSG:32633")
    dense = shapely.segmentize(shapely.box(0, 0, SIDE, SIDE), 1.0).exterior.coords
    places = frame.places(np.array(dense))
    xs, ys = warp.transform("EPSG:4326", "EPSG:32633", places[:, 0].tolist(), places[:, 1].tolist())
    off = shapely.distance(shapely.LinearRing(ring), shapely.points(xs, ys))
    assert off.max() < 0.5 * 557  # half a pixel, which is 557 m wide and 1,114 m high there
    assert shapely.distance(shapely.LinearRing(ring[:: len(ring) // 4][:4]), shapely.points(xs, ys)).max() > 557


def test_tables_hold_the_same_rings_beyond_180_degrees(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    for name in ("UTM 60S over Fiji", "North pole", "degrees, 0 to 360"):
        objects = box_of(name)
        table = parquet.read_table(to_geoparquet(objects, tmp_path / "a.parquet"))
        package = to_geopackage(objects, tmp_path / "a.gpkg", crs="EPSG:4326")
        with sqlite3.connect(package) as connection:
            ((blob,),) = connection.execute("SELECT geom FROM objects").fetchall()
        for polygon in (shapely.from_wkb(table["geometry"][0].as_py()), shapely.from_wkb(blob[40:])):
            assert polygon.is_valid and shapely.is_ccw(polygon.exterior)
            assert polygon.area == pytest.approx(shape_of(objects).area, rel=1e-6)
        assert table.column_names == ["geometry", "label", "score"]


def test_the_accuracy_of_a_fit_is_in_every_row(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    from tests.geometry.test_control_points import HEIGHT, WIDTH, grid, ground, metres

    points = points_of(grid())
    frame = Frame(WIDTH, HEIGHT, control=points, crs="EPSG:4326", accuracy=points.error)
    objects = Objects(Boxes([[900.0, 800.0, 960.0, 850.0], [90.0, 80.0, 190.0, 180.0]], "hbb", frame), ("ship", "ship"))
    features = to_geojson(objects)["features"]
    told = float(f"{points.error:.3g}")
    assert [feature["properties"]["accuracy_pixels"] for feature in features] == [told, told]
    for feature, quad in zip(features, objects.boxes.as_kind("quad").coords.reshape(-1, 4, 2), strict=True):
        assert (
            metres(np.array(feature["geometry"]["coordinates"][0][:4])[[0, 3, 2, 1]], points.to_world(quad)).max() < 0.1
        )
        assert metres(points.to_world(quad), ground(quad)).max() < 100
    table = parquet.read_table(to_geoparquet(objects, tmp_path / "a.parquet"))
    assert table["accuracy_pixels"].to_pylist() == [told, told]
    with sqlite3.connect(to_geopackage(objects, tmp_path / "a.gpkg")) as connection:
        assert connection.execute("SELECT accuracy_pixels FROM objects").fetchall() == [(told,), (told,)]
