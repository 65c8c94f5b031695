"""Files that tests open, written on the spot."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

TRANSFORM = (0.5, 0.0, 400_000.0, 0.0, -0.5, 5_000_000.0)
CRS = "EPSG:32633"


def write_tiff(
    path: Path,
    array: NDArray[Any],
    *,
    overviews: tuple[int, ...] = (),
    transform: tuple[float, ...] | None = TRANSFORM,
    crs: str | None = CRS,
    mask: NDArray[np.bool_] | None = None,
    colormap: Mapping[int, tuple[int, ...]] | None = None,
    gcps: list[Any] | None = None,
    driver: str = "GTiff",
    **options: Any,
) -> Path:
    """Write (h, w) or (h, w, bands) with rasterio and average overviews; skips the test where that is absent."""
    rasterio = pytest.importorskip("rasterio", reason="rasterio (extra geo) is not installed")
    from rasterio.enums import Resampling

    planes = array[None] if array.ndim == 2 else np.moveaxis(array, -1, 0)
    place: dict[str, Any] = {"crs": crs}
    if transform is not None:
        place["transform"] = rasterio.Affine(*transform)
    if gcps is not None:
        place = {"gcps": gcps, "crs": crs}
    with warnings.catch_warnings(), rasterio.Env(GDAL_TIFF_INTERNAL_MASK="YES"):
        warnings.simplefilter("ignore")
        with rasterio.open(
            path,
            "w",
            driver=driver,
            width=planes.shape[2],
            height=planes.shape[1],
            count=len(planes),
            dtype=planes.dtype,
            **place,
            **options,
        ) as out:
            out.write(planes)
            if mask is not None:
                out.write_mask(mask)
            if colormap is not None:
                out.write_colormap(1, colormap)
        if overviews:
            with rasterio.open(path, "r+") as out:
                out.build_overviews(overviews, Resampling.average)
    return path
