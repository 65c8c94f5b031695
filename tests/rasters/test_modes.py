"""However a picture is stored, it is shown the same with GDAL and without."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from rscovlm.rasters import PixelLimits, open_image
from tests.rasters.test_raster import picture

COLOUR = Image.fromarray(picture(64, 48))
GREY = COLOUR.convert("L")


def _with_alpha() -> Image.Image:
    image = COLOUR.copy()
    image.putalpha(Image.fromarray(picture(64, 48, seed=1)[..., 0]))
    return image


FILES: dict[str, tuple[Image.Image, dict[str, Any]]] = {
    "cmyk.jpg": (COLOUR.convert("CMYK"), {"quality": 95}),
    "grey.jpg": (GREY, {"quality": 95}),
    "palette.png": (COLOUR.quantize(16), {}),
    "two-bits.png": (COLOUR.quantize(4), {"bits": 2}),
    "transparent-entry.png": (COLOUR.quantize(16), {"transparency": 3}),
    "grey-alpha.png": (_with_alpha().convert("LA"), {}),
    "alpha.png": (_with_alpha(), {}),
    "bits.png": (COLOUR.convert("1"), {}),
    "sixteen.png": (Image.fromarray(np.asarray(GREY).astype(np.uint16) * 200), {}),
    "cmyk.tif": (COLOUR.convert("CMYK"), {}),
    "palette.tif": (COLOUR.quantize(16), {}),
    "bits.tif": (COLOUR.convert("1"), {}),
    "fax.tif": (COLOUR.convert("1"), {"compression": "group4"}),
    "grey-alpha.tif": (_with_alpha().convert("LA"), {}),
    "alpha.tif": (_with_alpha(), {"compression": "tiff_lzw"}),
    "float.tif": (COLOUR.convert("F"), {}),
    "integer.tif": (COLOUR.convert("I"), {}),
    "colour.jp2": (COLOUR, {}),
    "alpha.jp2": (_with_alpha(), {}),
    "grey.jp2": (GREY, {}),
}


@pytest.mark.parametrize("name", FILES)
def test_both_ways_show_the_same(name: str, tmp_path: Path) -> None:
    pytest.importorskip("rasterio", reason="rasterio (extra geo) is not installed")
    image, options = FILES[name]
    image.save(tmp_path / name, **options)
    one, two = (
        open_image(tmp_path / name, backend=backend, limits=PixelLimits(small=1)).overview()
        for backend in ("rasterio", "plain")
    )
    rounding = int(name == "palette.tif")  # older GDALs bring 16 bits of a palette to 8 in another way
    assert np.abs(np.asarray(one.image).astype(int) - np.asarray(two.image)).max() <= rounding
    assert one.coverage == two.coverage
    if image.mode not in ("F", "I", "I;16"):
        shown = (
            image.convert("RGBA") if "A" in image.getbands() or options.get("transparency") else image.convert("RGB")
        )
        black = Image.new("RGBA", image.size, "#000000")
        expected = Image.alpha_composite(black, shown.convert("RGBA")).convert("RGB")
        if "transparency" not in options and not name.endswith("jpg"):
            assert np.abs(np.asarray(one.image).astype(int) - np.asarray(expected)).max() <= 1
