"""Files that are placed by control points: positions of GDAL's thin plate spline, with GDAL and without."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from rscovlm.rasters import open_image
from tests.geometry.test_control_points import gdal, ground, metres
from tests.rasters.files import write_tiff
from tests.shared_data import shared

BACKENDS: list[Any] = ["rasterio", "plain"]
SHRINK = 50
"""Original pixels of the radar image in one of the file's, which keeps the file small."""


def radar(path: Path, *, east: float = 0.0) -> Path:
    """Write an image placed as Sentinel-1's are: 21 x 10 points in longitude and latitude."""
    pytest.importorskip("rasterio", reason="rasterio (extra geo) is not installed")
    from rasterio.control import GroundControlPoint

    columns, rows = np.meshgrid(np.linspace(0, 499, 21), np.linspace(0, 333, 10))
    pixels = np.stack([columns.ravel(), rows.ravel()], axis=1)
    places = ground(pixels * SHRINK) + (east, 0)
    places[:, 0] = (places[:, 0] + 180) % 360 - 180
    points = [GroundControlPoint(y, x, lon, lat, 120.0) for (x, y), (lon, lat) in zip(pixels, places, strict=True)]
    picture = np.random.default_rng(0).gamma(1, 90, (334, 500)).astype(np.uint16)
    return write_tiff(path, picture, gcps=points, crs="EPSG:4326")


def somewhere(count: int = 500) -> NDArray[np.float64]:
    return np.random.default_rng(1).uniform(0, 1, (count, 2)) * (499, 333)


@pytest.mark.parametrize("backend", BACKENDS)
def test_positions_are_interpolated_between_the_points(backend: Any, tmp_path: Path) -> None:
    rasterio = pytest.importorskip("rasterio", reason="rasterio (extra geo) is not installed")
    path = radar(tmp_path / "s1.tif")
    raster = open_image(path, backend=backend)
    wanted = somewhere()
    with rasterio.open(path) as file:
        points = file.gcps[0]
    theirs = gdal([(p.col, p.row) for p in points], [(p.x, p.y) for p in points], wanted)
    ours, right = raster.frame.places(wanted), ground(wanted * SHRINK)
    assert np.median(metres(ours, theirs)) < 12 and metres(ours, theirs).max() < 120
    assert np.median(metres(ours, right)) < 40
    assert raster.frame.crs == "EPSG:4326" and raster.frame.control is not None
    assert raster.frame.accuracy == pytest.approx(raster.frame.control.error)
    view = raster.read((100, 50, 300, 150), size=(400, 200))
    assert np.allclose(view.frame.places((wanted - (100, 50)) * 2), ours, atol=1e-9)
    (note,) = raster.notes
    assert note.startswith(
        "map coordinates are interpolated between 210 ground control points; one that is left out is"
    )
    assert "an affine fit by" in note


def test_both_ways_of_reading_place_an_image_alike(tmp_path: Path) -> None:
    frames = [open_image(radar(tmp_path / "s1.tif"), backend=backend).frame for backend in BACKENDS]
    assert np.abs(frames[0].places(somewhere()) - frames[1].places(somewhere())).max() < 1e-9


@pytest.mark.parametrize("backend", BACKENDS)
def test_points_on_both_sides_of_the_180th_meridian(backend: Any, tmp_path: Path) -> None:
    here, there = (open_image(radar(tmp_path / f"{east}.tif", east=east), backend=backend).frame for east in (0, 168))
    places = there.places(somewhere()) - (168, 0)
    assert np.abs(places - here.places(somewhere())).max() < 1e-6 and there.places(somewhere())[:, 0].max() > 180


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_real_file_with_control_points(backend: Any) -> None:
    rasterio = pytest.importorskip("rasterio", reason="rasterio (extra geo) is not installed")
    path = shared("geotiff/cog_gcps.tif")
    raster = open_image(path, backend=backend)
    with rasterio.open(path) as file:
        points = file.gcps[0]
    wanted = np.random.default_rng(1).uniform(0, 1, (500, 2)) * (raster.width, raster.height)
    theirs = gdal([(p.col, p.row) for p in points], [(p.x, p.y) for p in points], wanted)
    there = raster.frame.pixels(theirs)
    assert np.abs(there - wanted).max() < 0.01  # pixels
    affine = open_image(path, backend=backend).frame.to_world()
    assert affine is not None and raster.frame.control is not None and raster.frame.control.affine_error > 1


@pytest.mark.parametrize("backend", BACKENDS)
def test_points_that_an_affine_map_meets_give_that_and_its_accuracy(backend: Any, tmp_path: Path) -> None:
    pytest.importorskip("rasterio", reason="rasterio (extra geo) is not installed")
    from rasterio.control import GroundControlPoint

    rng = np.random.default_rng(0)
    points = [
        GroundControlPoint(row, col, 1000 + 2 * col + rng.normal(0, 0.05), 900 - 2 * row)
        for row in (0, 45, 90)
        for col in (0, 60, 120)
    ]
    path = write_tiff(tmp_path / "a.tif", np.zeros((91, 121), np.uint8), gcps=points, crs="EPSG:32633")
    frame = open_image(path, backend=backend).frame
    assert frame.control is None and frame.accuracy is not None and 0.005 < frame.accuracy < 0.05


def test_a_file_that_states_its_place_has_no_accuracy(tmp_path: Path) -> None:
    path = write_tiff(tmp_path / "a.tif", np.zeros((91, 121), np.uint8))
    assert open_image(path).frame.accuracy is None
