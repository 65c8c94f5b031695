"""What reading an image is said to hold is recorded: servers admit requests by it. `test_memory` measures that it is enough."""

from __future__ import annotations

import io
import os
from typing import Any

import numpy as np
import pytest
from PIL import Image

from rscovlm.rasters import open_image
from rscovlm.rasters.memory import reading_bytes
from tests.rasters.files import write_tiff

LEAST = 2**23
W, H = 3000, 2000
SIZE, VIEW = W * H, 250_000
PIECE = 9 * VIEW
"""A view is made of pieces of nine times its pixels where these are more than one and a half of the usual ones."""


def stored(kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    mode = options.pop("mode", "RGB")
    Image.new(mode, (W, H)).save(file, kind, **options)
    return file.getvalue()


def bytes_of(source: Any, view: int = VIEW) -> int:
    with open_image(source) as raster:
        return reading_bytes(raster._reader, raster._pixels, source, view)


def shown(each: int, *, floating: int = 0) -> int:
    """What a view takes besides decoding, of a picture with so many bytes a pixel."""
    from rscovlm.rasters.cache import KEPT
    from rscovlm.rasters.sampling import PIECE as usual

    piece = min(SIZE, max(3 * usual // 2, PIECE))
    return LEAST + piece * (3 * each // 2 + floating) + min(KEPT, SIZE * each) + 16 * VIEW


@pytest.mark.parametrize(
    ("kind", "options", "a_pixel", "each", "floating"),
    [
        ("bmp", {}, 13, 3, 0),
        ("webp", {}, 18, 3, 0),
        ("gif", {"mode": "L"}, 13, 3, 0),
        ("bmp", {"mode": "L"}, 13, 1, 0),
    ],
)
def test_a_picture_that_is_decoded_whole_takes_so_many_bytes_a_pixel(
    kind: str, options: dict[str, Any], a_pixel: int, each: int, floating: int
) -> None:
    found = bytes_of(stored(kind, **options))
    assert found == SIZE * max(a_pixel, 3 * each) + shown(each, floating=floating)


def test_a_picture_in_memory_needs_no_decoding_and_numbers_that_may_be_missing_become_floats() -> None:
    plain = np.zeros((H, W, 3), np.uint8)
    assert bytes_of(plain) == shown(3)
    # Three channels and their weight, in floats and what they are added up in: six bytes each for every number.
    assert bytes_of(plain.astype(np.uint16)) == shown(6, floating=24)


def test_blocks_of_a_tiff_are_decoded_together_on_every_core(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    from rscovlm.rasters.tiff import MOST_CORES

    path = tmp_path / "a.tif"
    write_tiff(path, np.zeros((H, W, 3), np.uint8), tiled=True, blockxsize=256, blockysize=512)
    found = []
    for cores in (1, 3, 10_000):
        monkeypatch.setattr(os, "cpu_count", lambda cores=cores: cores)
        found.append(bytes_of(str(path)))
    block = 256 * 512 * 3
    assert [one - shown(3) for one in found] == [(2 + cores) * block for cores in (1, 3, MOST_CORES)]


def test_a_progressive_jpeg_and_an_interlaced_png_are_held_whole() -> None:
    """Two bytes for each coefficient of each band; all bytes of a picture that comes in passes."""
    jpegs = [bytes_of(stored("jpeg", progressive=progressive)) for progressive in (True, False)]
    assert jpegs[0] - jpegs[1] == SIZE * 2 * 3
    plain = stored("png")
    # Pillow writes no passes; the flag in the header is what the estimate goes by.
    passes = bytearray(plain)
    passes[28] = 1
    with open_image(plain) as raster:
        told = [reading_bytes(raster._reader, raster._pixels, bytes(data), VIEW) for data in (passes, plain)]
    assert told[0] - told[1] in (0, SIZE * 3)  # 0 where Pillow decodes it whole anyway
    assert told[1] >= shown(3)


def test_a_larger_view_takes_more_and_never_more_than_the_picture() -> None:
    source = stored("bmp")
    views = [bytes_of(source, view) for view in (1, 10**4, 10**6, SIZE, 10 * SIZE)]
    assert views == sorted(views) and views[-1] == views[-2] and views[0] < views[2] < views[3]
    assert views[2] - views[1] >= 16 * (10**6 - 10**4)
