"""Which bands are shown, and what is said of the choice."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rscovlm.rasters import open_image
from tests.rasters.files import write_tiff

BACKENDS: list[Any] = ["rasterio", "plain"]

DESCRIBED = [
    (("Blue", "Green", "Red", "NIR"), (3, 2, 1)),
    (("coastal_blue", "blue", "green_i", "green", "yellow", "red", "rededge", "nir"), (6, 4, 2)),
    (("B2 - Blue (492 nm)", "B3 - Green (560 nm)", "B4 - Red (665 nm)", "B5 - Red Edge 1", "B8 - NIR"), (3, 2, 1)),
    (("NearInfraRed", "RedEdge", "Red", "Green", "Blue"), (3, 4, 5)),
]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(("names", "found"), DESCRIBED)
def test_bands_are_found_by_their_descriptions(
    names: tuple[str, ...], found: tuple[int, ...], backend: Any, tmp_path: Path
) -> None:
    rasterio = pytest.importorskip("rasterio")
    numbers = np.random.default_rng(0).integers(0, 5000, (40, 50, len(names))).astype(np.uint16)
    path = write_tiff(tmp_path / "a.tif", numbers, photometric="minisblack")
    with rasterio.open(path, "r+") as out:
        out.descriptions = names
    with rasterio.open(path) as file:
        assert file.descriptions == names
    raster = open_image(path, backend=backend)
    assert raster.bands == found and raster.notes == ()


@pytest.mark.parametrize("backend", BACKENDS)
def test_descriptions_are_believed_more_than_colours_that_are_set_by_default(backend: Any, tmp_path: Path) -> None:
    rasterio = pytest.importorskip("rasterio")
    path = write_tiff(tmp_path / "a.tif", np.zeros((40, 50, 3), dtype=np.uint8))  # marked red, green, blue by GDAL
    with rasterio.open(path, "r+") as out:
        out.descriptions = ("blue", "green", "red")
    with rasterio.open(path) as file:
        assert [colour.name for colour in file.colorinterp] == ["red", "green", "blue"]
    raster = open_image(path, backend=backend)
    assert raster.bands == (3, 2, 1)
    assert raster.notes == (
        "bands 3, 2, 1 are shown, which it describes as red, green and blue, though it marks others as these",
    )


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("names", [None, ("nir", "red", "green", "swir"), ("red", "red", "green", "blue")])
def test_the_first_three_are_shown_for_want_of_better_and_that_is_said(
    names: Any, backend: Any, tmp_path: Path
) -> None:
    rasterio = pytest.importorskip("rasterio")
    path = write_tiff(tmp_path / "a.tif", np.zeros((40, 50, 4), dtype=np.uint16), photometric="minisblack")
    if names:
        with rasterio.open(path, "r+") as out:
            out.descriptions = names
    raster = open_image(path, backend=backend)
    assert raster.bands == (1, 2, 3)
    (note,) = raster.notes
    assert note.startswith("bands 1, 2, 3 of 4 are shown: the file does not say which are red, green and blue")
    assert open_image(path, backend=backend, bands=[1, 2, 3]).notes == ()


@pytest.mark.parametrize("backend", BACKENDS)
def test_of_two_bands_the_first_is_shown_and_that_is_said(backend: Any, tmp_path: Path) -> None:
    path = write_tiff(tmp_path / "a.tif", np.ones((40, 50, 2), dtype=np.float32))
    (note,) = open_image(path, backend=backend).notes
    assert note.startswith("band 1 of 2 is shown")


def test_grey_and_colour_need_no_word(tmp_path: Path) -> None:
    for count in (1, 3):
        path = write_tiff(tmp_path / "a.tif", np.zeros((40, 50, count), dtype=np.uint8))
        for backend in BACKENDS:
            assert open_image(path, backend=backend).notes == ()
    assert open_image(np.zeros((40, 50, 3), np.uint16)).notes == ()


def test_bytes_of_four_bands_are_colour_and_alpha_unless_bands_are_chosen() -> None:
    array = np.full((40, 50, 4), 100, dtype=np.uint8)
    array[:10, :, 3] = 0
    assert open_image(array).overview().coverage == 0.75
    assert open_image(array, bands=[3, 2, 1]).overview().coverage == 1


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_system_can_be_given_for_a_file_that_does_not_say(backend: Any, tmp_path: Path) -> None:
    pytest.importorskip("rasterio")
    path = write_tiff(tmp_path / "a.tif", np.zeros((40, 50), dtype=np.uint8), crs=None)
    assert open_image(path, backend=backend).frame.crs is None
    raster = open_image(path, backend=backend, crs="epsg:32633")
    assert raster.frame.crs == "EPSG:32633" and raster.notes == ()
    assert raster.overview().frame.crs == "EPSG:32633"
    stated = write_tiff(tmp_path / "b.tif", np.zeros((40, 50), dtype=np.uint8), crs="EPSG:32632")
    other = open_image(stated, backend=backend, crs="EPSG:32633")
    assert other.frame.crs == "EPSG:32633" and "EPSG:32632, is taken for EPSG:32633" in other.notes[0]
    nowhere = open_image(np.zeros((40, 50), dtype=np.uint8), crs="EPSG:32633")
    assert nowhere.notes == ("crs=EPSG:32633 is of no use: it has no map coordinates",)
    for wrong in ("EPSG:99999999", "here", "", 4326):
        with pytest.raises(ValueError, match=r"crs=.*give an EPSG code such as 'EPSG:32633', or WKT"):
            open_image(path, backend=backend, crs=wrong)  # type: ignore[arg-type]
