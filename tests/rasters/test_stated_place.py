"""The place of a file, read from a checked copy of what states it, is the one that GDAL reads from the file itself."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rscovlm.rasters import open_image
from rscovlm.rasters.crs import crs_name
from tests.rasters.files import write_tiff
from tests.rasters.references import GEOTIFF, box, gml, jp2, tiff

rasterio = pytest.importorskip("rasterio")

SYSTEMS = [
    *("EPSG:32633", "EPSG:4326", "EPSG:3857", "EPSG:2154", "EPSG:3035", "EPSG:5514", "EPSG:31467", "EPSG:2393"),
    *("EPSG:32661", "EPSG:5041", "EPSG:3006", "EPSG:27700", "EPSG:3413", "EPSG:6350", "ESRI:102003", "EPSG:26771"),
    "+proj=laea +lat_0=10 +lon_0=-20 +x_0=100 +y_0=50 +ellps=GRS80 +units=m +no_defs",
    "+proj=tmerc +lat_0=0 +lon_0=15 +k=0.9996 +x_0=500000 +y_0=0 +ellps=bessel +towgs84=570,85,462,4,1,3,2 +units=m",
    "+proj=longlat +a=3396190 +b=3376200 +no_defs",
    "+proj=omerc +lat_0=4 +lonc=102 +alpha=323 +k=0.99984 +x_0=804671 +y_0=0 +gamma=323 +ellps=evrstSS +units=m",
]
TRANSFORMS = ((2.0, 0.0, 1000.0, 0.0, -3.0, 5000.0), (2.0, 0.5, 1000.0, 0.25, -3.0, 5000.0))


def stated(path: Path) -> tuple[str | None, tuple[float, ...]]:
    """Return what GDAL reads of the file alone."""
    with warnings.catch_warnings(), rasterio.Env(GDAL_PAM_ENABLED="NO", GDAL_DISABLE_READDIR_ON_OPEN="EMPTY_DIR"):
        warnings.simplefilter("ignore")
        with rasterio.open(path) as file:
            return crs_name(file.crs), tuple(file.transform)[:6]


def same(path: Path) -> None:
    crs, transform = stated(path)
    for source in (path, path.read_bytes()):
        frame = open_image(source).frame
        assert frame.root_to_world == pytest.approx(transform, rel=1e-12)
        assert frame.crs == crs


@pytest.mark.parametrize("system", SYSTEMS)
def test_geotiffs_and_geojp2_lie_where_gdal_puts_them(system: str, tmp_path: Path) -> None:
    array = np.ones((32, 64), dtype=np.uint8)
    forms: list[dict[str, Any]] = [
        {},
        {"GEOTIFF_KEYS_FLAVOR": "ESRI_PE", "PROFILE": "GeoTIFF"},
        {"bigtiff": "YES", "endianness": "BIG"},
        {"driver": "JP2OpenJPEG", "GMLJP2": "NO"},
    ]
    for form in forms:
        for transform in TRANSFORMS:
            path = tmp_path / ("a.jp2" if "driver" in form else "a.tif")
            path.unlink(missing_ok=True)
            same(write_tiff(path, array, transform=transform, crs=system, **form))


@pytest.mark.parametrize("system", [name for name in SYSTEMS if name.startswith("EPSG")])
@pytest.mark.parametrize("form", ["GMLJP2", "GMLJP2V2_DEF"])
def test_gmljp2_lies_where_gdal_puts_it(system: str, form: str, tmp_path: Path) -> None:
    options: dict[str, Any] = {"driver": "JP2OpenJPEG", "GeoJP2": "NO", form: "YES"}
    for transform in TRANSFORMS:
        array = np.ones((32, 64), dtype=np.uint8)
        same(write_tiff(tmp_path / "a.jp2", array, transform=transform, crs=system, **options))


def test_a_pixel_may_be_a_point_and_axes_may_be_named(tmp_path: Path) -> None:
    path = write_tiff(tmp_path / "a.tif", np.ones((32, 64), dtype=np.uint8))
    with rasterio.open(path, "r+") as file:
        file.update_tags(AREA_OR_POINT="Point")
    same(path)
    for srs in ("urn:ogc:def:crs:EPSG::32633", "EPSG:32633", "http://www.opengis.net/def/crs/EPSG/0/3006", "x"):
        for names in ("", "<gml:axisName>Easting</gml:axisName><gml:axisName>Northing</gml:axisName>"):
            named = gml(srs).replace(b"<gml:origin>", names.encode() + b"<gml:origin>")
            grown = len(names)
            if grown:  # the boxes around it grow with it
                named = gml(srs, "").replace(b"<gml:origin>", names.encode() + b"<gml:origin>")
                inner = named[named.index(b"gml.root-instance") + len(b"gml.root-instance") + 8 :]
                labelled = box(b"lbl ", b"gml.root-instance") + box(b"xml ", inner)
                named = box(b"asoc", box(b"lbl ", b"gml.data") + box(b"asoc", labelled))
            (tmp_path / "a.jp2").write_bytes(jp2(named))
            same(tmp_path / "a.jp2")


def test_an_msig_box_is_a_world_file(tmp_path: Path) -> None:
    numbers = np.array([2, 0.25, 0.5, -3, 1000, 5000], dtype="<f8").tobytes()
    content = bytes.fromhex("96a9f1f1dc98402da7aed68e34451809") + b"MSIG/" + bytes(17) + numbers
    (tmp_path / "a.jp2").write_bytes(jp2(box(b"uuid", content)))
    same(tmp_path / "a.jp2")


@pytest.mark.parametrize("order", [1, -1])
def test_of_two_geotiff_boxes_that_with_a_system_counts(order: int, tmp_path: Path) -> None:
    bare = write_tiff(tmp_path / "bare.tif", np.ones((1, 1), dtype=np.uint8), transform=TRANSFORMS[0], crs=None)
    boxes = [box(b"uuid", GEOTIFF + data) for data in (bare.read_bytes(), tiff())][::order]
    (tmp_path / "a.jp2").write_bytes(jp2(*boxes))
    same(tmp_path / "a.jp2")
    assert open_image(tmp_path / "a.jp2").frame.crs == "EPSG:32633"


def test_a_citation_that_defines_a_system_is_used_where_it_names_no_file(tmp_path: Path) -> None:
    wkt = rasterio.crs.CRS.from_epsg(3035).to_wkt(version="WKT1_ESRI")
    (tmp_path / "a.tif").write_bytes(tiff(citation=f"ESRI PE String = {wkt}"))
    same(tmp_path / "a.tif")
    assert open_image(tmp_path / "a.tif").frame.crs is not None
    evil = wkt[:-1] + ',EXTENSION["PROJ4","+proj=laea +nadgrids=/a"]]'
    raster = open_image(tiff(citation=f"ESRI PE String = {evil}"))
    assert "the definition of its coordinate system names other files and is not used" in raster.notes
