"""GeoTIFFs of every inner make: both readers against numpy and against each other."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from rscovlm.rasters import PixelLimits, RasterError, Stretch, open_image
from rscovlm.rasters.opening import Backend
from rscovlm.rasters.tiff import TiffReader
from rscovlm.rasters.world import to_map
from tests.evidence import evidence
from tests.rasters.files import CRS, TRANSFORM, write_tiff
from tests.rasters.test_raster import picture
from tests.shared_data import shared

TILED: dict[str, Any] = {"tiled": True, "blockxsize": 64, "blockysize": 64}
STRIPED: dict[str, Any] = {"blockysize": 7}
BACKENDS: tuple[Backend, ...] = ("rasterio", "plain")


def squares(array: NDArray[Any], factor: int) -> NDArray[Any]:
    height, width = array.shape[0] // factor, array.shape[1] // factor
    cut = array[: height * factor, : width * factor].astype(float)
    return np.asarray(cut.reshape(height, factor, width, factor, -1).mean(axis=(1, 3)))


MAKES = [
    (blocks, interleave, compress)
    for blocks in ("tiles", "strips")
    for interleave in ("pixel", "band")
    for compress in ("none", "deflate", "lzw", "packbits", "zstd", "lzma", "jpeg")
    if compress not in ("jpeg", "lzma") or (blocks, interleave) == ("tiles", "pixel")
]


@pytest.mark.parametrize(("blocks", "interleave", "compress"), MAKES)
@pytest.mark.parametrize("overviews", [(), (2, 4)], ids=["plain", "overviews"])
def test_rgb_is_read_the_same_by_both_ways(
    blocks: str, interleave: str, compress: str, overviews: tuple[int, ...], tmp_path: Path
) -> None:
    more: dict[str, Any] = {"photometric": "ycbcr", "jpeg_quality": 95} if compress == "jpeg" else {}
    layout = TILED if blocks == "tiles" else STRIPED
    array = picture(320, 256)
    path = write_tiff(
        tmp_path / "a.tif", array, overviews=overviews, compress=compress, interleave=interleave, **layout, **more
    )
    shown = []
    for backend in BACKENDS:
        raster = open_image(path, backend=backend)
        assert len(raster._reader.levels) == 1 + len(overviews)
        assert raster.frame.root_to_world == TRANSFORM and raster.frame.crs == CRS
        crop = np.asarray(raster.read((100, 30, 300, 250)).image)
        overview = np.asarray(raster.overview(size=(80, 64)).image)
        if compress != "jpeg":
            assert np.array_equal(crop, array[30:250, 100:300])
        assert np.abs(crop.astype(int) - array[30:250, 100:300]).mean() < 3
        assert np.abs(overview - squares(array, 4)).mean() < (8 if compress == "jpeg" else 2)
        shown.append((crop, overview))
    crops, overviews_shown = (shown[0][k].astype(int) - shown[1][k] for k in (0, 1))
    if compress == "jpeg":  # the libraries interpolate halved colours differently, so compare lightness
        weights = np.array([0.299, 0.587, 0.114])
        assert np.abs(crops @ weights).mean() < 0.5 and np.abs(overviews_shown @ weights).mean() < 0.5
    else:
        assert np.abs(crops).max() == 0
        assert np.abs(overviews_shown).max() == 0


NUMBERS = [
    (dtype, predictor)
    for dtype in ("uint8", "uint16", "int16", "uint32", "float32", "float64")
    for predictor in (1, 2, 3)
    if (predictor < 3 or dtype.startswith("float")) and (predictor, dtype) != (2, "float64")
]


@pytest.mark.parametrize(("dtype", "predictor"), NUMBERS)
def test_numbers_of_every_type_are_read_the_same(dtype: str, predictor: int, tmp_path: Path) -> None:
    values = (np.random.default_rng(0).random((90, 130)) * 200).astype(dtype)
    path = write_tiff(tmp_path / "a.tif", values, compress="deflate", predictor=predictor, **TILED)
    fixed = Stretch((0.0,), (200.0,))
    shown = [np.asarray(open_image(path, stretch=fixed, backend=b).overview().image) for b in BACKENDS]
    assert np.array_equal(shown[0], shown[1])
    assert np.abs(shown[0][..., 0] - values.astype(float) * 255 / 200).max() <= 0.51
    assert isinstance(open_image(path, backend="plain")._reader, TiffReader)


@pytest.mark.parametrize("backend", BACKENDS)
def test_sixteen_bits_are_stretched_by_percentiles_that_are_stated(backend: Backend, tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    values = rng.normal(3000, 500, (200, 300, 4)).clip(1, 65535).astype(np.uint16)
    values[:40] = 0  # no data
    path = write_tiff(tmp_path / "a.tif", values, nodata=0, photometric="minisblack", **TILED)
    view = open_image(path, backend=backend).overview()
    assert view.stretch is not None and view.stretch.scale == "linear"
    assert "percentiles 2-98 of an overview of 300x200 pixels" in str(view.stretch)
    for k in range(3):
        low, high = np.percentile(values[40:, :, k], (2, 98))
        assert view.stretch.low[k] == pytest.approx(low) and view.stretch.high[k] == pytest.approx(high)
    assert view.valid is not None and not view.valid[:40].any() and view.valid[40:].all()
    assert view.coverage == pytest.approx(0.8)
    assert not np.asarray(view.image)[:40].any()
    # A window is shown with the same stretch as the whole.
    window = open_image(path, backend=backend).read((50, 60, 150, 160))
    assert window.stretch == view.stretch
    assert np.array_equal(np.asarray(window.image), np.asarray(view.image)[60:160, 50:150])


def test_the_choice_of_bands_counts_from_one(tmp_path: Path) -> None:
    values = np.stack([np.full((40, 50), 10 * k, dtype=np.uint8) for k in range(1, 9)], axis=-1)
    path = write_tiff(tmp_path / "a.tif", values, photometric="minisblack")
    assert np.asarray(open_image(path, bands=(4, 3, 2)).overview().image)[0, 0].tolist() == [40, 30, 20]
    assert np.asarray(open_image(path, bands=(8,)).overview().image)[0, 0].tolist() == [80, 80, 80]
    assert open_image(path).bands == (1, 2, 3)
    for wrong in ((0, 1, 2), (9,), (1, 2), (1.5,), ()):
        with pytest.raises(RasterError, match=r"a\.tif: bands=.*one or three of its bands 1 to 8"):
            open_image(path, bands=wrong)  # type: ignore[arg-type]


def test_bands_that_say_their_colour_are_found(tmp_path: Path) -> None:
    rasterio = pytest.importorskip("rasterio")
    values = np.stack([np.full((40, 50), 10 * k, dtype=np.uint8) for k in range(1, 5)], axis=-1)
    path = write_tiff(tmp_path / "bgr.tif", values, photometric="minisblack")
    from rasterio.enums import ColorInterp

    with rasterio.open(path, "r+") as out:
        out.colorinterp = [ColorInterp.blue, ColorInterp.green, ColorInterp.red, ColorInterp.undefined]
    assert open_image(path).bands == (3, 2, 1)


@pytest.mark.parametrize("backend", BACKENDS)
def test_no_data_does_not_bleed_into_its_neighbours(backend: Backend, tmp_path: Path) -> None:
    values = np.full((64, 64), 1000.0, dtype=np.float32)
    values[:, :30] = -9999.0
    path = write_tiff(tmp_path / "a.tif", values, nodata=-9999.0, **TILED)
    view = open_image(path, stretch=Stretch((0.0,), (2000.0,)), backend=backend).overview(size=(16, 16))
    assert view.valid is not None
    assert set(np.unique(np.asarray(view.image)[view.valid])) == {128}
    assert (~view.valid[:, :7]).all() and view.valid[:, 8:].all()


@pytest.mark.parametrize("hole", [np.nan, np.inf, -np.inf])
def test_not_a_number_is_no_data(hole: float, tmp_path: Path) -> None:
    values = np.linspace(0, 1, 64 * 64, dtype=np.float32).reshape(64, 64)
    values[10:20, 10:20] = hole
    view = open_image(write_tiff(tmp_path / "a.tif", values)).overview()
    assert view.valid is not None and (~view.valid).sum() == 100
    assert view.stretch is not None and 0 <= view.stretch.low[0] < view.stretch.high[0] <= 1


def test_an_image_of_nothing_is_shown_black(tmp_path: Path) -> None:
    path = write_tiff(tmp_path / "a.tif", np.full((32, 32), np.nan, dtype=np.float32))
    view = open_image(path).overview()
    assert view.coverage == 0 and not np.asarray(view.image).any()


def test_a_mask_of_one_number_differs_from_no_data(tmp_path: Path) -> None:
    values = np.zeros((32, 32), dtype=np.uint8)
    values[:, 16:] = 1
    path = write_tiff(tmp_path / "a.tif", values, nodata=0)
    shown = np.asarray(open_image(path, stretch="percentiles").overview().image)
    assert (shown[:, :16] == 0).all() and (shown[:, 16:] == 255).all()


def test_bytes_of_no_data_look_as_they_are_stored(tmp_path: Path) -> None:
    array = picture(64, 64).copy()
    array[:, :32] = 255
    path = write_tiff(tmp_path / "a.tif", array, nodata=255)
    view = open_image(path).overview()
    assert np.array_equal(np.asarray(view.image), array)
    assert view.valid is not None and view.coverage <= 0.5


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("internal", ["mask", "alpha"])
def test_masks_and_alpha_are_honoured(internal: str, backend: Backend, tmp_path: Path) -> None:
    array = picture(128, 96)
    inside = np.zeros((96, 128), dtype=bool)
    inside[20:60, 30:100] = True
    if internal == "mask":
        path = write_tiff(tmp_path / "a.tif", array, mask=inside, photometric="rgb", compress="deflate", **TILED)
    else:
        alpha = np.where(inside, 255, 0).astype(np.uint8)
        path = write_tiff(
            tmp_path / "a.tif", np.dstack([array, alpha]), photometric="rgb", alpha="yes", compress="deflate", **TILED
        )
    view = open_image(path, backend=backend).overview()
    assert view.valid is not None and np.array_equal(view.valid, inside)
    assert np.array_equal(np.asarray(view.image)[inside], array[inside])
    assert not np.asarray(view.image)[~inside].any()


def test_a_palette_is_looked_up_before_averaging(tmp_path: Path) -> None:
    index = np.tile(np.array([[0, 2]], dtype=np.uint8), (32, 16))
    table = {0: (255, 0, 0, 255), 1: (0, 255, 0, 255), 2: (0, 0, 255, 255)}
    path = write_tiff(tmp_path / "a.tif", index, colormap=table, photometric="palette")
    for backend in BACKENDS:
        raster = open_image(path, backend=backend)
        assert np.asarray(raster.overview().image)[0, :2].tolist() == [[255, 0, 0], [0, 0, 255]]
        small = np.asarray(raster.overview(size=(8, 8)).image)
        assert np.abs(small - np.array([128, 0, 128])).max() <= 1  # not entry 1, which is green


def test_radar_is_shown_in_decibels_when_asked(tmp_path: Path) -> None:
    values = np.full((64, 64), 0.01, dtype=np.float32)
    values[:, 20:40] = 0.1
    values[:, 40:] = 1.0
    path = write_tiff(tmp_path / "sar.tif", values)
    raster = open_image(path, stretch="log", percentiles=(0, 100))
    row = np.asarray(raster.overview().image)[0, :, 0]
    assert raster.stretch is not None and raster.stretch.scale == "log"
    assert [int(v) for v in row[[5, 30, 60]]] == [0, 128, 255]


def test_complex_numbers_are_shown_by_magnitude(tmp_path: Path) -> None:
    values = (np.full((32, 32), 3 + 4j)).astype(np.complex64)
    values[:16] = 0.3 + 0.4j
    path = write_tiff(tmp_path / "slc.tif", values)
    stretch = open_image(path, percentiles=(0, 100)).stretch
    assert stretch is not None and stretch.scale == "log"
    assert stretch.low[0] == pytest.approx(0.5) and stretch.high[0] == pytest.approx(5.0)


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_few_bits_are_spread_over_the_whole_range(bits: int, tmp_path: Path) -> None:
    values = np.zeros((32, 40), dtype=np.uint8)
    values[:, 20:] = 2**bits - 1
    view = open_image(write_tiff(tmp_path / "a.tif", values, nbits=bits)).overview()
    assert sorted(np.unique(np.asarray(view.image)).tolist()) == [0, 255]
    assert bits == 1 or (view.stretch is not None and view.stretch.source == f"{bits} significant bits")


def test_cmyk_becomes_rgb(tmp_path: Path) -> None:
    ink = np.zeros((16, 16, 4), dtype=np.uint8)
    ink[..., 0] = 255  # cyan
    path = write_tiff(tmp_path / "a.tif", ink, photometric="cmyk")
    for backend in BACKENDS:
        assert np.asarray(open_image(path, backend=backend).overview().image)[3, 3].tolist() == [0, 255, 255]


def test_overviews_beside_the_file_are_used(tmp_path: Path) -> None:
    rasterio = pytest.importorskip("rasterio")
    from rasterio.enums import Resampling

    path = write_tiff(tmp_path / "a.tif", picture(256, 192), **TILED)
    with rasterio.Env(TIFF_USE_OVR="YES"), rasterio.open(path, "r+") as out:
        out.build_overviews([2, 4], Resampling.average)
    assert (tmp_path / "a.tif.ovr").is_file()
    assert [level.width for level in open_image(path)._reader.levels] == [256, 128, 64]


def test_jpeg_2000_and_cogs_are_read(tmp_path: Path) -> None:
    array = picture(512, 400)
    jp2 = write_tiff(tmp_path / "a.jp2", array, driver="JP2OpenJPEG", quality=100, reversible="yes")
    raster = open_image(jp2)
    assert raster.frame.crs == CRS
    assert np.array_equal(np.asarray(raster.read((40, 50, 140, 150)).image), array[50:150, 40:140])
    Image.fromarray(array).save(tmp_path / "c.jp2", irreversible=False)
    for backend in BACKENDS:
        assert np.array_equal(np.asarray(open_image(tmp_path / "c.jp2", backend=backend).overview().image), array)
    cog = open_image(write_tiff(tmp_path / "b.tif", array, driver="COG", blocksize=128, compress="deflate"))
    assert len(cog._reader.levels) > 1
    assert np.array_equal(np.asarray(cog.read((40, 50, 140, 150)).image), array[50:150, 40:140])


def test_control_points_give_an_affine_fit_and_say_so(tmp_path: Path) -> None:
    pytest.importorskip("rasterio")
    from rasterio.control import GroundControlPoint

    points = [GroundControlPoint(row, col, 10 + 0.2 * col, 50 - 0.1 * row) for row in (0, 90) for col in (0, 120)]
    path = write_tiff(tmp_path / "a.tif", picture(120, 90), gcps=points, crs="EPSG:4326")
    for backend in BACKENDS:
        raster = open_image(path, backend=backend)
        assert raster.frame.crs == "EPSG:4326"
        assert raster.frame.root_to_world == pytest.approx((0.2, 0, 10, 0, -0.1, 50), abs=1e-9)
        assert "affine fit to 4 ground control points" in raster.notes[0]


def test_a_world_file_beside_a_picture_is_used(tmp_path: Path) -> None:
    Image.fromarray(picture(30, 20)).save(tmp_path / "a.png")
    (tmp_path / "a.pgw").write_text("2\n0\n0\n-2\n101\n499\n")
    assert open_image(tmp_path / "a.png").frame.root_to_world == (2, 0, 100, 0, -2, 500)


def test_without_rasterio_files_open_or_say_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    array = picture(128, 96)
    path = write_tiff(tmp_path / "a.tif", array, compress="deflate", **TILED)
    jp2 = write_tiff(tmp_path / "b.jp2", array[..., 0].astype(np.uint16), driver="JP2OpenJPEG")
    for name in ("rasterio", "rasterio.crs"):
        monkeypatch.setitem(sys.modules, name, None)
    raster = open_image(path)
    assert isinstance(raster._reader, TiffReader) and raster.frame.crs == CRS and not raster.notes
    assert np.array_equal(np.asarray(raster.overview().image), array)
    assert "install rscovlm[geo]" in open_image(jp2).notes[0]
    with pytest.raises(RasterError, match="rasterio is not installed"):
        open_image(path, backend="rasterio")
    with pytest.raises(ValueError, match=r"cannot be changed to EPSG:4326 without rasterio; install rscovlm\[geo\]"):
        to_map(np.array([[1.0, 2.0]]), raster.frame)


def test_a_block_above_the_limit_is_refused(tmp_path: Path) -> None:
    path = write_tiff(tmp_path / "a.tif", picture(256, 256), **TILED)
    for backend in BACKENDS:
        with pytest.raises(
            RasterError, match=r"blocks of 64x64 pixels, 3 bands together, above.*PixelLimits\(block=12288\)"
        ):
            open_image(path, limits=PixelLimits(block=12000), backend=backend)


@pytest.mark.parametrize("backend", BACKENDS)
def test_damage_anywhere_is_an_error_of_ours_or_a_picture(backend: Backend, tmp_path: Path) -> None:
    whole = write_tiff(tmp_path / "a.tif", picture(64, 64), compress="deflate", **TILED).read_bytes()
    rng = np.random.default_rng(0)
    bad, refused = tmp_path / "bad.tif", 0
    for k in range(60):
        damaged = bytearray(whole)
        for place in rng.integers(4, 400 if k % 2 else len(whole), 3):
            damaged[place] = rng.integers(256)
        bad.write_bytes(damaged)
        try:
            open_image(bad, backend=backend, limits=PixelLimits(2**22, 2**22, 2**22, 2**22)).overview(2**16)
        except RasterError as error:
            assert "bad.tif" in str(error)
            refused += 1
    assert refused > 10


@pytest.mark.parametrize(
    "name", ["landsat.tif", "neon.tif", "RGB.byte.tif", "mosaic_cog1.tif", "rgb1.tif", "rotated.tif", "cog_gcps.tif"]
)
def test_real_files_are_read_the_same_by_both_ways(name: str) -> None:
    pytest.importorskip("rasterio")
    path = evidence(f"images/{name}") if name in ("landsat.tif", "neon.tif") else shared(f"geotiff/{name}")
    views = []
    for backend in BACKENDS:
        raster = open_image(path, backend=backend)
        window = (raster.width // 4, raster.height // 4, raster.width // 2, raster.height // 2)
        views.append((raster.read(window), raster))
    (a, first), (b, second) = views
    assert first.frame.root_to_world == pytest.approx(second.frame.root_to_world, rel=1e-9, abs=1e-9)
    assert np.array_equal(np.asarray(a.image), np.asarray(b.image))


def test_the_large_cog_is_read_in_pieces(world: Path) -> None:
    pytest.importorskip("rasterio")
    views = [open_image(world, backend=backend).overview(1008 * 1008) for backend in BACKENDS]
    assert np.array_equal(np.asarray(views[0].image), np.asarray(views[1].image))
    placed = views[0].frame.to_world()
    assert placed is not None and placed[2] == -180 and placed[5] == 90
