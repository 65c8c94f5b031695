"""Files beside an image are named where they would change something, and read where that is asked for."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from rscovlm.rasters import open_image
from rscovlm.rasters.opening import Backend
from tests.rasters.files import write_tiff
from tests.rasters.test_raster import picture

rasterio = pytest.importorskip("rasterio")


def same(valid: NDArray[np.bool_] | None, expected: NDArray[np.bool_]) -> bool:
    """Tell whether a view marks as valid what is expected."""
    return valid is not None and np.array_equal(valid, expected)


BACKENDS: tuple[Backend, ...] = ("rasterio", "plain")
UTM = rasterio.crs.CRS.from_epsg(32633)


def masked(folder: Path) -> tuple[Path, Any]:
    """Write an image with its mask beside it, as GDAL does; return its path and the mask."""
    mask = np.zeros((70, 90), dtype=bool)
    mask[20:50, 30:80] = True
    with warnings.catch_warnings(), rasterio.Env(GDAL_TIFF_INTERNAL_MASK=False):
        warnings.simplefilter("ignore")
        path = folder / "a.tif"
        with rasterio.open(path, "w", driver="GTiff", width=90, height=70, count=3, dtype="uint8") as out:
            out.write(np.moveaxis(picture(90, 70), -1, 0))
            out.write_mask(mask)
    assert (folder / "a.tif.msk").is_file()
    return path, mask


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_mask_beside_it(backend: Backend, tmp_path: Path) -> None:
    path, mask = masked(tmp_path)
    plain = open_image(path, backend=backend)
    assert plain.notes == ("a.tif.msk beside it is a mask and is not read; side_files=True uses it",)
    assert plain.overview().valid is None
    asked = open_image(path, backend=backend, side_files=True)
    assert asked.notes == ()
    with rasterio.open(path) as file:
        assert np.array_equal(file.read_masks(1) > 0, mask)
    assert same(asked.overview().valid, mask)
    assert same(asked.read((25, 15, 60, 40)).valid, mask[15:40, 25:60])


def test_a_mask_of_another_size_is_not_used_and_named(tmp_path: Path) -> None:
    path = write_tiff(tmp_path / "a.tif", picture(90, 70))
    write_tiff(tmp_path / "a.tif.msk", picture(30, 20)[..., 0])
    raster = open_image(path, side_files=True)
    assert raster.notes == ("a.tif.msk beside it is not used: it has 30x20 pixels, the image 90x70",)
    (tmp_path / "a.tif.msk").write_bytes(b"nothing")
    assert open_image(path, side_files=True).notes[0].startswith("a.tif.msk beside it is not used: a.tif.msk is not")


@pytest.mark.parametrize("dialect", ["WKT1_ESRI", "WKT1_GDAL", "WKT2_2019"])
def test_a_projection_beside_it(dialect: str, tmp_path: Path) -> None:
    Image.fromarray(picture(90, 70)).save(tmp_path / "a.png")
    (tmp_path / "a.pgw").write_text("2\n0\n0\n-2\n500001\n4999999\n")
    (tmp_path / "a.prj").write_text(UTM.to_wkt(version=dialect))
    plain = open_image(tmp_path / "a.png")
    assert plain.frame.crs is None
    assert plain.notes == ("a.prj beside it is not read, so its coordinate system is not known",)
    asked = open_image(tmp_path / "a.png", side_files=True)
    assert (asked.frame.crs, asked.notes) == ("EPSG:32633", ())
    (tmp_path / "a.prj").write_text("PROJCS[...]")
    (note,) = open_image(tmp_path / "a.png", side_files=True).notes
    assert note.startswith("a.prj beside it: the coordinate system 'PROJCS[...]' is not")


@pytest.mark.parametrize("backend", BACKENDS)
def test_what_an_aux_xml_states(backend: Backend, tmp_path: Path) -> None:
    path = write_tiff(tmp_path / "a.tif", picture(90, 70), transform=None, crs=None)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with rasterio.open(tmp_path / "b.png", "w", driver="PNG", width=90, height=70, count=3, dtype="uint8") as out:
            out.write(np.moveaxis(picture(90, 70), -1, 0))
            out.crs, out.transform, out.nodata = UTM, rasterio.Affine(2, 0, 500000, 0, -2, 5000000), 7
    beside = tmp_path / "b.png.aux.xml"
    (tmp_path / "a.tif.aux.xml").write_text(beside.read_text())
    plain = open_image(path, backend=backend)
    assert plain.frame.crs is None and plain.frame.to_world() is None
    assert any(
        note.startswith("a.tif.aux.xml beside it is not read: it states map coordinates and a coordinate system")
        and note.endswith("of its own; side_files=True uses it")
        for note in plain.notes
    )
    asked = open_image(path, backend=backend, side_files=True)
    with rasterio.open(path) as file:  # GDAL reads it
        assert asked.frame.crs == f"EPSG:{file.crs.to_epsg()}"
        assert asked.frame.root_to_world == tuple(file.transform)[:6]
        assert asked._reader.layout.nodata == file.nodatavals
    again = write_tiff(tmp_path / "c.tif", picture(90, 70), transform=(2, 0, 500000, 0, -2, 5000000), nodata=7)
    (tmp_path / "c.tif.aux.xml").write_text(beside.read_text())
    assert open_image(again, backend=backend).notes == ()  # it says what the file says


def test_statistics_alone_are_no_reason_for_a_note(tmp_path: Path) -> None:
    path = write_tiff(tmp_path / "a.tif", picture(90, 70))
    (tmp_path / "a.tif.aux.xml").write_text(
        '<PAMDataset><PAMRasterBand band="1"><Metadata><MDI key="STATISTICS_MEAN">5</MDI></Metadata></PAMRasterBand>'
        "</PAMDataset>"
    )
    assert open_image(path).notes == ()


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
@pytest.mark.parametrize("text", ["", "<", '<!DOCTYPE a [<!ENTITY b "c">]><PAMDataset>&b;</PAMDataset>', "<a/>"])
def test_an_aux_xml_that_is_none_is_named(text: str, encoding: str, tmp_path: Path) -> None:
    path = write_tiff(tmp_path / "a.tif", picture(90, 70))
    (tmp_path / "a.tif.aux.xml").write_bytes(text.encode(encoding))
    for asked in (False, True):
        assert open_image(path, side_files=asked).notes == (
            "a.tif.aux.xml beside it is not read: it is no XML of GDAL's",
        )


def test_overviews_beside_it_are_named_where_they_are_not_used(tmp_path: Path) -> None:
    path = write_tiff(tmp_path / "a.tif", picture(90, 70), tiled=True, blockxsize=32, blockysize=32)
    write_tiff(tmp_path / "a.tif.ovr", picture(45, 35))
    assert open_image(path).notes == ()
    note = "a.tif.ovr beside it is not read; install rscovlm[geo] to use its overviews"
    assert open_image(path, backend="plain").notes == (note,)


def test_files_of_the_hubs_cache_are_beside_each_other(tmp_path: Path) -> None:
    """There every name is a link into a folder of files named by what they hold."""
    path, mask = masked(tmp_path)
    (tmp_path / "blobs").mkdir()
    (tmp_path / "snapshots").mkdir()
    for name in ("a.tif", "a.tif.msk"):
        (tmp_path / name).rename(tmp_path / "blobs" / f"0{name.replace('.', '')}")
        (tmp_path / "snapshots" / name).symlink_to(tmp_path / "blobs" / f"0{name.replace('.', '')}")
    raster = open_image(tmp_path / "snapshots" / path.name, side_files=True)
    assert same(raster.overview().valid, mask)


def test_a_link_to_another_folder_is_named(tmp_path: Path) -> None:
    path = write_tiff(tmp_path / "a.tif", picture(90, 70))
    (tmp_path / "other").mkdir()
    write_tiff(tmp_path / "other" / "m.tif", picture(90, 70)[..., 0])
    (tmp_path / "a.tif.msk").symlink_to(tmp_path / "other" / "m.tif")
    for asked in (False, True):
        assert open_image(path, side_files=asked).notes == (
            "a.tif.msk beside it is a link to another folder and is not read",
        )
