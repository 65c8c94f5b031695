"""Areas on the map and masks in files, read back by other programs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely
from PIL import Image

from rscovlm.codec.point_objects import PointObject
from rscovlm.exports.areas import areas_geojson, coco_annotation, write_label_tiff
from rscovlm.exports.mask_files import ImageMasks, write_mask_tiffs
from rscovlm.geometry import Frame
from rscovlm.geometry.masks import Mask
from rscovlm.geometry.window import Window

UTM = Frame(400, 300, root_to_world=(0.5, 0, 500_000, 0, -0.5, 5_000_000), crs="EPSG:32633")
RINGS = [[(10, 10), (90, 10), (90, 70), (10, 70)], [(30, 30), (60, 30), (60, 50), (30, 50)]]


def test_images_whose_files_would_have_one_name_keep_their_masks(tmp_path: Path) -> None:
    frame = Frame(6, 4)
    pixels = [np.zeros((4, 6), bool) for _ in range(2)]
    pixels[0][1, 2] = pixels[1][3, 5] = True
    images = [
        ImageMasks(name, name, frame, ["a"], [Mask.of(one, frame)])
        for name, one in zip(("x.png", "x.png.tif"), pixels, strict=True)
    ]
    assert write_mask_tiffs(tmp_path / "masks", images) == 2
    listed = json.loads((tmp_path / "masks/labels.json").read_text(encoding="utf-8"))["files"]
    found = {about["image"]: np.asarray(Image.open(tmp_path / "masks" / name)) > 0 for name, about in listed.items()}
    assert all((found[name] == one).all() for name, one in zip(("x.png", "x.png.tif"), pixels, strict=True))


def test_places_are_those_of_rasterio(tmp_path: Path) -> None:
    from rasterio.warp import transform

    field = PointObject.polygon("field", RINGS, UTM)
    path = tmp_path / "a.geojson"
    written = areas_geojson([field], path, properties=[{"score": 0.5}])
    read = json.loads(path.read_text(encoding="utf-8"))
    assert read["features"] == json.loads(json.dumps(written["features"]))
    assert read["features"][0]["properties"] == {"label": "field", "score": 0.5}
    geometry: Any = shapely.geometry.shape(read["features"][0]["geometry"])
    assert len(geometry.interiors) == 1
    assert geometry.exterior.is_ccw and not geometry.interiors[0].is_ccw
    xs, ys = zip(*[(500_000 + 0.5 * x, 5_000_000 - 0.5 * y) for x, y in RINGS[0]], strict=True)
    lon, lat = transform("EPSG:32633", "EPSG:4326", xs, ys)
    corners = shapely.MultiPoint(list(zip(lon, lat, strict=True)))
    assert shapely.hausdorff_distance(geometry.exterior.minimum_rotated_rectangle, corners) < 2e-4
    assert max(shapely.distance(shapely.get_parts(corners), geometry.exterior)) < 1e-8


def test_systems_are_named_and_pixels_said() -> None:
    field = PointObject.polygon("field", RINGS, UTM)
    own = areas_geojson([field], crs=None)
    assert own["crs"]["properties"]["name"] == "urn:ogc:def:crs:EPSG::32633"
    area = shapely.geometry.shape(own["features"][0]["geometry"]).area
    assert area == pytest.approx((80 * 60 - 30 * 20) * 0.25)
    plain = areas_geojson([PointObject.polygon("x", RINGS[:1], Frame(100, 100).cropped(20, 20, 80, 80))])
    assert "pixels" in plain["coordinates"]
    assert shapely.geometry.shape(plain["features"][0]["geometry"]).bounds == (30, 30, 110, 90)
    assert areas_geojson([])["features"] == []


def test_areas_over_the_180th_meridian_are_cut() -> None:
    frame = Frame(100, 100, root_to_world=(0.1, 0, 175, 0, -0.1, 5), crs="EPSG:4326")
    field = PointObject.polygon("sea", RINGS, frame)
    (feature,) = areas_geojson([field])["features"]
    geometry = shapely.geometry.shape(feature["geometry"])
    assert geometry.is_valid
    assert geometry.geom_type == "MultiPolygon"
    assert geometry.bounds[0] == -180 and geometry.bounds[2] == 180
    assert geometry.area == pytest.approx(field.shape.area * 0.01)


def test_a_label_image_is_read_by_rasterio(tmp_path: Path) -> None:
    import rasterio

    masks = [Mask(np.ones((50, 300), bool), Window(20, 230, 320, 280), UTM), Mask.of(np.zeros((300, 400)), UTM)]
    masks.append(Mask(np.eye(30, dtype=bool), Window(0, 0, 30, 30), UTM))
    path = write_label_tiff(tmp_path / "a.tif", masks, UTM)
    with rasterio.open(path) as opened:
        labels = opened.read(1)
        assert opened.crs.to_epsg() == 32633
        assert opened.transform[:6] == UTM.root_to_world
        assert opened.block_shapes == [(256, 256)]
    assert np.array_equal(labels, np.where(masks[2].full(), 3, masks[0].full()))
    write_label_tiff(path, masks[:1], UTM)  # ours is replaced
    other = tmp_path / "b.tif"
    other.write_bytes(b"mine")
    with pytest.raises(ValueError, match="not written by rscovlm"):
        write_label_tiff(other, masks, UTM)
    with pytest.raises(ValueError, match="mask 0 is one of"):
        write_label_tiff(tmp_path / "c.tif", masks, Frame(5, 5))


@pytest.mark.parametrize(
    ("crs", "world"), [("EPSG:4326", (0.1, 0.02, 10.0, 0.03, -0.1, 50.0)), ("EPSG:3857", (2.0, 0, 0.0, 0, -2.0, 9.0))]
)
def test_turned_and_geographic_images_keep_their_place(tmp_path: Path, crs: str, world: Any) -> None:
    import rasterio

    frame = Frame(40, 30, root_to_world=world, crs=crs)
    path = write_label_tiff(tmp_path / "a.tif", [Mask.of(np.ones((30, 40)), frame)], frame)
    with rasterio.open(path) as opened:
        assert opened.crs.to_string() == crs
        assert opened.transform[:6] == pytest.approx(world)


def test_annotations_are_read_by_pycocotools() -> None:
    mask = pytest.importorskip("pycocotools.mask", reason="pycocotools is not installed")
    pixels = np.random.default_rng(0).random((40, 30)) < 0.4
    found = coco_annotation(Mask.of(pixels), image=1, category=2, number=3, score=0.25)
    assert np.array_equal(mask.decode(found["segmentation"]), pixels)
    assert mask.area(found["segmentation"]) == found["area"]
    assert mask.toBbox(found["segmentation"]).tolist() == found["bbox"]
    assert found["score"] == 0.25


def test_objects_without_one_grid_are_refused() -> None:
    one, two = (PointObject.polygon("x", RINGS, frame) for frame in (UTM, Frame(100, 100)))
    with pytest.raises(ValueError, match="2 grids"):
        areas_geojson([one, two])
    with pytest.raises(ValueError, match="1 objects and 2 properties"):
        areas_geojson([one], properties=[{}, {}])
