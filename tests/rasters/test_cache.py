"""Files without overviews: read once, kept in memory, stored when asked, and never trusted when stale."""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from rscovlm.rasters import PixelLimits, RasterError, cache, open_image, sampling, tiff, tiff_blocks
from rscovlm.rasters.opening import Backend
from rscovlm.rasters.raster import Raster
from tests.rasters.files import write_tiff
from tests.rasters.test_raster import picture

SIZE = (250, 200)
WHOLE = 1000 * 800
BACKENDS: tuple[Backend, ...] = ("rasterio", "plain")
LIMITS = PixelLimits(small=100_000)


@pytest.fixture(autouse=True)
def little(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the sizes that matter for ten gigapixels matter for one megapixel."""
    monkeypatch.setattr(sampling, "PIECE", 100_000)
    monkeypatch.setattr(cache, "KEPT", 700_000)


@pytest.fixture
def large(tmp_path: Path) -> Path:
    """A file without overviews."""
    array = np.tile(picture(200, 200), (4, 5, 1))
    return write_tiff(tmp_path / "scene.tif", array, tiled=True, blockxsize=128, blockysize=128)


def reads(raster: Raster, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Count the pixels a raster asks its file for."""
    counted: list[int] = []
    original = raster._reader.read

    def read(level: int, window: tuple[int, int, int, int], bands: list[int]) -> object:
        counted.append((window[2] - window[0]) * (window[3] - window[1]))
        return original(level, window, bands)

    monkeypatch.setattr(raster._reader, "read", read)
    return counted


def test_a_file_without_overviews_is_read_once(large: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    raster = open_image(large, limits=LIMITS)
    counted = reads(raster, monkeypatch)
    first = raster.overview(size=SIZE)
    assert sum(counted) == WHOLE and max(counted) <= sampling.PIECE
    raster.overview(size=(300, 240))
    raster.read((0, 0, 800, 600), max_pixels=30_000)
    assert sum(counted) == WHOLE
    tile = np.asarray(first.image).astype(int)
    assert np.abs(tile[3:47, 3:47] - tile[53:97, 153:197]).mean() < 4  # the picture repeats
    exact = Image.fromarray(picture(200, 200)).resize((50, 50), Image.Resampling.BICUBIC)
    assert np.abs(tile[3:47, 3:47] - np.asarray(exact)[3:47, 3:47]).mean() < 3


@pytest.mark.parametrize("beside", [True, False])
def test_the_overview_is_stored_where_asked(
    large: Path, beside: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    where = "beside" if beside else tmp_path / "cache"
    shown = np.asarray(open_image(large, limits=LIMITS, cache=where).overview(size=SIZE).image)
    stored = list((large.parent if beside else tmp_path / "cache").glob("*.npz"))
    assert len(stored) == 1 and stored[0].name.startswith("scene.")
    again = open_image(large, limits=LIMITS, cache=where)
    counted = reads(again, monkeypatch)
    assert np.array_equal(np.asarray(again.overview(size=SIZE).image), shown)
    assert not counted
    # Another choice of bands has a copy of its own.
    grey = np.asarray(open_image(large, limits=LIMITS, cache=where, bands=(2,)).overview(size=SIZE).image)
    assert np.abs(grey[..., 0].astype(int) - shown[..., 1]).max() <= 4
    for file in (large.parent if beside else tmp_path / "cache").glob("*.npz"):
        file.unlink()


def test_a_stale_or_damaged_copy_is_not_used(large: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    where = tmp_path / "cache"
    open_image(large, limits=LIMITS, cache=where).overview(size=SIZE)
    (stored,) = where.glob("*.npz")
    os.utime(large, ns=(1, 1))
    counted = reads(raster := open_image(large, limits=LIMITS, cache=where), monkeypatch)
    raster.overview(size=SIZE)
    assert sum(counted) == WHOLE
    for damaged in (b"", b"PK\x03\x04 not a zip", stored.read_bytes()[: stored.stat().st_size // 2]):
        stored.write_bytes(damaged)
        counted = reads(raster := open_image(large, limits=LIMITS, cache=where), monkeypatch)
        raster.overview(size=SIZE)
        assert sum(counted) == WHOLE


def test_a_pass_above_the_limit_is_refused(large: Path) -> None:
    with pytest.raises(RasterError, match=r"800,000 pixels would have to be decoded.*gdaladdo"):
        open_image(large, limits=PixelLimits(small=10**5, streamed=10**5)).overview(size=SIZE)


@pytest.mark.parametrize("backend", ["rasterio", "plain"])
def test_a_sparse_file_of_ten_gigapixels_works(backend: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rasterio = pytest.importorskip("rasterio")
    monkeypatch.setattr(sampling, "PIECE", 6_000_000)
    monkeypatch.setattr(cache, "KEPT", 2**20)
    warnings.simplefilter("ignore", rasterio.errors.NotGeoreferencedWarning)
    path = tmp_path / "sparse.tif"
    options = {
        "tiled": True,
        "blockxsize": 512,
        "blockysize": 512,
        "sparse_ok": True,
        "bigtiff": "yes",
        "compress": "deflate",
    }
    with rasterio.open(
        path, "w", driver="GTiff", width=100_000, height=100_000, count=3, dtype="uint8", **options
    ) as out:
        out.write(np.full((3, 4096, 4096), 200, np.uint8), window=rasterio.windows.Window(51200, 20480, 4096, 4096))
    raster = open_image(path, backend=backend)  # type: ignore[arg-type]
    view = raster.overview(500 * 500)
    shown = np.asarray(view.image)[..., 0]
    assert view.image.size == (500, 500)
    assert shown[110, 265] == 200 and (shown > 0).sum() < 30 * 30 and shown.sum() > 15 * 15 * 200
    assert np.asarray(raster.read((51100, 20400, 51300, 20600)).image)[..., 0].sum() == 100 * 120 * 200


def test_a_long_line_of_pixels_keeps_its_ends(tmp_path: Path) -> None:
    line = np.arange(30_000, dtype=np.uint16)[None, :].repeat(2, axis=0)
    view = open_image(write_tiff(tmp_path / "a.tif", line), stretch="percentiles", percentiles=(0, 100)).overview(1000)
    shown = np.asarray(view.image)[..., 0].astype(int)
    assert view.image.size[0] * view.image.size[1] <= 1000
    assert shown[0, 0] <= 2 and shown[0, -1] >= 253 and (np.diff(shown[0]) >= 0).all()


def test_one_strip_for_a_whole_image_is_decoded_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    array = picture(1000, 800)
    path = write_tiff(tmp_path / "strip.tif", array, compress="deflate", blockysize=800)
    monkeypatch.setattr(tiff, "LARGE_BLOCK", 10_000)
    decoded: list[int] = []

    def counting(data: bytes, page: Any, shape: tuple[int, int, int], index: int) -> Any:
        decoded.append(index)
        return tiff_blocks.decode(data, page, shape, index)

    monkeypatch.setattr(tiff, "decode", counting)
    shown = [open_image(path, backend=backend).overview(size=SIZE) for backend in BACKENDS]
    assert np.array_equal(np.asarray(shown[0].image), np.asarray(shown[1].image))
    assert decoded == [0]
