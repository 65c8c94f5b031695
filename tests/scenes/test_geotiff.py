"""Tiled GeoTIFF written in one pass: pixels, overviews and map coordinates as another reader sees them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from rscovlm.geometry import Frame
from rscovlm.scenes.geotiff import Compression, write_geotiff

WIDTH, HEIGHT = 1801, 1307
FRAME = Frame(WIDTH, HEIGHT, root_to_world=(0.5, 0.0, 400_000.0, 0.0, -0.5, 5_200_000.0), crs="EPSG:32632")


@pytest.fixture(scope="module")
def picture() -> Image.Image:
    small = np.random.default_rng(0).integers(0, 256, (41, 57, 3)).astype(np.uint8)
    return Image.fromarray(small).resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC)


def written(path: Path, picture: Image.Image, compression: Compression) -> Path:
    return write_geotiff(path, FRAME, lambda *box: picture.crop(box), compression=compression)


@pytest.mark.parametrize("compression", ["deflate", "none"])
def test_pixels_and_overviews_are_exact(tmp_path: Path, picture: Image.Image, compression: Compression) -> None:
    path = written(tmp_path / "a.tif", picture, compression)
    with tifffile.TiffFile(path) as file:
        expected = picture
        for page in file.pages:
            np.testing.assert_array_equal(page.asarray(), np.asarray(expected))
            expected = expected.reduce(2)
        assert [p.asarray().shape[:2] for p in file.pages] == [(1307, 1801), (654, 901), (327, 451)]
        assert all(p.aspage().tile == (512, 512) for p in file.pages)


@pytest.mark.parametrize("compression", ["deflate", "jpeg", "none"])
def test_gdal_reads_place_windows_and_overviews(tmp_path: Path, picture: Image.Image, compression: Compression) -> None:
    rasterio = pytest.importorskip("rasterio", reason="needs the 'geo' extra")
    with rasterio.open(written(tmp_path / "a.tif", picture, compression)) as file:
        assert file.crs.to_epsg() == 32632
        assert file.transform[:6] == (0.5, 0.0, 400_000.0, 0.0, -0.5, 5_200_000.0)
        assert file.overviews(1) == [2, 4]
        window = file.read(window=((600, 1300), (900, 1801))).transpose(1, 2, 0).astype(int)
        small = file.read(out_shape=(3, 327, 451)).transpose(1, 2, 0).astype(int)
    loss = 3 if compression == "jpeg" else 0
    assert np.abs(window - np.asarray(picture)[600:1300, 900:]).mean() <= loss
    assert np.abs(small - np.asarray(picture.reduce(4))).mean() <= loss + 1


def test_memory_does_not_grow_with_the_height(tmp_path: Path) -> None:
    program = """
import resource, sys
from PIL import Image
from rscovlm.scenes.geotiff import write_geotiff
from rscovlm.geometry import Frame
for height in (2048, 8192):
    draw = lambda x1, y1, x2, y2: Image.new("RGB", (x2 - x1, y2 - y1))
    write_geotiff(sys.argv[1], Frame(2048, height), draw, compression="none")
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""
    command = [sys.executable, "-c", program, str(tmp_path / "a.tif")]
    low, tall = (float(v) for v in subprocess.run(command, check=True, capture_output=True, text=True).stdout.split())
    assert (tmp_path / "a.tif").stat().st_size > 2048 * 8192 * 3 * 1.3
    assert tall - low < 10  # MB; the picture itself has 38 MB more


def test_progress_reaches_the_end(tmp_path: Path, picture: Image.Image) -> None:
    seen: list[float] = []
    write_geotiff(tmp_path / "a.tif", FRAME, lambda *box: picture.crop(box), progress=seen.append)
    assert seen == sorted(seen)
    assert seen[-1] == 1


def test_without_map_coordinates(tmp_path: Path, picture: Image.Image) -> None:
    path = write_geotiff(tmp_path / "a.tif", Frame(WIDTH, HEIGHT), lambda *box: picture.crop(box))
    with tifffile.TiffFile(path) as file:
        assert not file.is_geotiff


@pytest.mark.parametrize(
    ("frame", "compression", "words"),
    [
        (FRAME, "zip", "zip"),
        (Frame(600, 600, root_to_world=(1.0, 0.1, 0.0, 0.0, -1.0, 0.0), crs="EPSG:32632"), "none", "north-up"),
        (Frame(600, 600, root_to_world=(1.0, 0.0, 0.0, 0.0, -1.0, 0.0), crs="somewhere"), "none", "somewhere"),
    ],
)
def test_what_cannot_be_written_is_an_error(tmp_path: Path, frame: Frame, compression: Compression, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        write_geotiff(tmp_path / "a.tif", frame, lambda *box: Image.new("RGB", (9, 9)), compression=compression)
    assert not list(tmp_path.iterdir())
