"""Recorded results of peers and real pictures: those that may travel lie here (README.md), the others beside the checkout.

What lies beside the checkout is of others' licences. A test that needs it is skipped on other machines, in one line of the summary.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

HERE = Path(__file__).resolve().parent
OUTSIDE = HERE.parents[2] / "shared"


def evidence(path: str, *, outside: str = "") -> Path:
    """Find a file of evidence, such as ``"grounding/plain_200.json"`` or ``"images/neon.tif"``.

    Args:
        path: Below this folder.
        outside: Folder below the one beside the checkout where it may lie otherwise; without it it has to be here.
    """
    found = HERE / path
    if outside and not found.exists():
        found = OUTSIDE / outside / path
        if not found.exists():
            pytest.skip("evidence of others' licences lies outside the repository (tests/evidence/README.md)")
    return found


def crowns() -> NDArray[np.float64]:
    """Make boxes (n, 4) of the size of tree crowns on ``images/neon.tif``, no two of one size."""
    rng = np.random.default_rng(29)
    size = rng.uniform(14, 60, (61, 2)).round(1)
    corner = rng.uniform(0, 400 - size).round(1)
    return np.concatenate([corner, corner + size], axis=1)


def write_photograph(path: Path) -> Path:
    """Write a JPEG of 4592 x 3072 with forms of every size, as a drone's camera makes them."""
    rng = np.random.default_rng(7)
    whole = np.zeros((3072, 4592, 3), np.float32)
    for scale, weight in ((8, 60), (64, 50), (512, 20)):
        small = rng.uniform(-1, 1, (3072 * scale // 3072 + 2, 4592 * scale // 3072 + 2, 3)).astype(np.float32)
        layer = Image.fromarray(((small + 1) * 127.5).astype(np.uint8)).resize((4592, 3072), Image.Resampling.BICUBIC)
        whole += weight * (np.asarray(layer, np.float32) / 127.5 - 1)
    Image.fromarray(np.clip(whole + 128, 0, 255).astype(np.uint8)).save(path, quality=90)
    return path


def write_world(path: Path) -> Path:
    """Write land (1) and sea (0) of a made-up world, 36,000 x 18,000 in degrees, tiled, with overviews; it needs rasterio."""
    rasterio = pytest.importorskip("rasterio", reason="rasterio (extra geo) is not installed")
    from rasterio.enums import Resampling
    from rasterio.transform import from_origin

    layout = {"driver": "GTiff", "dtype": "uint8", "count": 1, "width": 36_000, "height": 18_000, "crs": "EPSG:4326"}
    tiled = {"tiled": True, "blockxsize": 512, "blockysize": 512, "compress": "deflate", "SPARSE_OK": True}
    rows, columns = np.mgrid[0:2048, 0:4096]
    coast = 700 + 150 * np.sin(np.arctan2(rows - 1024, columns - 2048) * 7)
    island = (np.hypot(rows - 1024, (columns - 2048) / 2) < coast).astype(np.uint8)
    with rasterio.open(path, "w", **layout, **tiled, transform=from_origin(-180, 90, 0.01, 0.01)) as file:
        for left, top in ((16_452, 4_164), (8_192, 9_216), (2_048, 512)):
            file.write(island, 1, window=rasterio.windows.Window(left, top, 4096, 2048))
        file.build_overviews([2, 4, 8, 16, 32, 64], Resampling.nearest)
    return path
