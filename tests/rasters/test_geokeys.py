"""Where a GeoTIFF says that it lies, read from its tags without GDAL, beside what GDAL reads from the same tags."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rscovlm.rasters import open_image

rasterio = pytest.importorskip("rasterio")
tifffile = pytest.importorskip("tifffile")

SCALE, TIEPOINTS, MATRIX, DIRECTORY = 33550, 33922, 34264, 34735
TIE = (7.0, 3.0, 0.0, 500_100.0, 4_000_200.0, 0.0)
"""Column, row and their place, neither of them the corner."""
ROTATED = (0.25, 0.1, 0, 500_000, 0.3, -0.6, 0, 4_000_000, 0, 0, 0, 0, 0, 0, 0, 1)


def _written(path: Path, doubles: dict[int, tuple[float, ...]], kind: int, code: int = 32633) -> Path:
    model, key = (1, 3072) if code > 5000 else (2, 2048)
    keys = [1, 1, 0, 3, 1024, 0, 1, model, 1025, 0, 1, kind, key, 0, 1, code]
    tags: list[Any] = [(tag, "d", len(values), values, True) for tag, values in doubles.items()]
    tags.append((DIRECTORY, "H", len(keys), keys, True))
    tifffile.imwrite(path, np.zeros((20, 30), np.uint8), extratags=tags, photometric="minisblack", metadata=None)
    return path


@pytest.mark.parametrize("code", [32633, 4326])
@pytest.mark.parametrize("kind", [1, 2], ids=["area", "point"])
@pytest.mark.parametrize(
    "doubles",
    [
        {SCALE: (0.5, 0.25, 0.0), TIEPOINTS: TIE},
        {MATRIX: ROTATED},
        {SCALE: (0.5, 0.25, 0.0), TIEPOINTS: TIE, MATRIX: ROTATED},
    ],
    ids=["scale", "matrix", "both"],
)
def test_a_place_is_the_one_that_gdal_reads(tmp_path: Path, doubles: Any, kind: int, code: int) -> None:
    if code == 4326:
        doubles = {
            tag: tuple(value / 1e5 if value > 1e4 else value for value in values) for tag, values in doubles.items()
        }
    path = _written(tmp_path / "a.tif", doubles, kind, code)
    with rasterio.open(path) as file:
        wanted, crs = tuple(file.transform)[:6], file.crs.to_epsg()
    for backend in ("plain", "rasterio"):
        frame = open_image(path, backend=backend).frame
        assert frame.root_to_world == pytest.approx(wanted, rel=1e-12, abs=1e-9), backend
        assert frame.crs == ("EPSG:4326" if code == 4326 else f"EPSG:{crs}")


@pytest.mark.parametrize(
    "doubles",
    [
        {SCALE: (0.0, 0.25, 0.0), TIEPOINTS: TIE},
        {SCALE: (0.5, 0.0, 0.0), TIEPOINTS: TIE},
        {SCALE: (0.5, 0.25, 0.0), TIEPOINTS: TIE[:5]},
        {SCALE: (0.5, 0.25, 0.0)},
        {TIEPOINTS: TIE},
        {MATRIX: (0.0,) * 16},
        {SCALE: (float("nan"), 0.25, 0.0), TIEPOINTS: TIE},
        {},
    ],
)
def test_what_says_no_place_leaves_the_picture_off_the_map(tmp_path: Path, doubles: Any) -> None:
    raster = open_image(_written(tmp_path / "a.tif", doubles, 1), backend="plain")
    assert raster.frame.root_to_world is None and (raster.width, raster.height) == (30, 20)


def test_a_system_without_a_code_is_said_to_have_none(tmp_path: Path) -> None:
    """32767 stands for a system that the other keys describe; one less is an ordinary code."""
    doubles = {SCALE: (0.5, 0.25, 0.0), TIEPOINTS: TIE}
    raster = open_image(_written(tmp_path / "a.tif", doubles, 1, 32767), backend="plain")
    assert raster.frame.crs is None and raster.frame.root_to_world is not None
    assert any("without an EPSG code" in note for note in raster.notes)
    other = open_image(_written(tmp_path / "b.tif", doubles, 1, 32766), backend="plain")
    assert other.frame.crs == "EPSG:32766" and not any("EPSG code" in note for note in other.notes)
