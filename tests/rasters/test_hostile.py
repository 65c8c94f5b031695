"""Files made to exhaust a reader are refused from what they claim, at once."""

from __future__ import annotations

import io
import struct
import time
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from rscovlm.rasters import RasterError, open_image
from rscovlm.rasters.opening import Backend

Tag = tuple[int, int, int, int]
BACKENDS: tuple[Backend, ...] = ("rasterio", "plain")


def tiff(*more: Tag, width: int = 512, height: int = 512, samples: int = 1) -> bytes:
    """A TIFF of nothing but tags: (tag, type, count, value)."""
    common: list[Tag] = [(256, 4, 1, width), (257, 4, 1, height), (258, 3, 1, 8), (262, 3, 1, 1), (277, 3, 1, samples)]
    if 259 not in {tag for tag, *_ in more}:
        common.append((259, 3, 1, 1))
    tags = sorted([*common, *more])
    entries = b"".join(struct.pack("<HHII", *tag) for tag in tags)
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + bytes(4)


def tiled(side: int, count: int = 1, offset: int = 8, length: int = 8) -> list[Tag]:
    return [(322, 4, 1, side), (323, 4, 1, side), (324, 4, count, offset), (325, 4, count, length)]


CASES = {
    "two thousand million tags": b"II+\0" + struct.pack("<HHQQ", 8, 0, 16, 2**31) + bytes(500),
    "one tile of a million million pixels": tiff(*tiled(10**6 // 16 * 16), width=10**6, height=10**6),
    "a million million pixels in one small tile": tiff(*tiled(512), width=10**6, height=10**6),
    "more pixels than numbers have": tiff(*tiled(16), width=2**32 - 1, height=2**32 - 1),
    "a table of tiles beyond the file": tiff(*tiled(512, count=2**31)),
    "sixty-five thousand bands in a tile": tiff(*tiled(512), samples=65535),
}


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("case", CASES)
def test_claims_are_checked_before_work(case: str, backend: Backend, tmp_path: Path) -> None:
    if backend == "rasterio":
        pytest.importorskip("rasterio")
    path = tmp_path / "bomb.tif"
    path.write_bytes(CASES[case])
    assert path.stat().st_size < 1024
    begin = time.process_time()
    with pytest.raises(RasterError, match=r"bomb\.tif"):
        open_image(path, backend=backend).overview(250_000)
    assert time.process_time() - begin < 3


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_tile_never_inflates_beyond_its_pixels(backend: Backend, tmp_path: Path) -> None:
    if backend == "rasterio":
        pytest.importorskip("rasterio")
    packed = zlib.compress(bytes(64 * 2**20), 9)
    head = tiff((259, 3, 1, 8), *tiled(512, offset=1000, length=len(packed))).ljust(1000, b"\0")
    if backend == "rasterio":  # GDAL would leave the end of the tile as it found it in memory
        with pytest.raises(RasterError, match=r"block 0 holds more than its 262,144 bytes"):
            open_image(head + packed, backend=backend).overview()
        return
    view = open_image(head + packed, backend=backend).overview()
    assert view.image.size == (512, 512)
    assert not view.image.getbbox()


@pytest.mark.parametrize(
    ("size", "mode", "fits"),
    [((512, 512), "L", True), ((512, 520), "L", True), ((64, 512), "L", False), ((512, 64), "L", False)]
    + [((1024, 512), "L", False), ((512, 512), "RGB", False), ((512, 512), "CMYK", False)],
)
def test_a_jpeg_of_another_size_than_its_tile_is_refused(size: tuple[int, int], mode: str, fits: bool) -> None:
    packed = io.BytesIO()
    Image.new(mode, size, 77 if mode == "L" else None).save(packed, "JPEG")
    data = packed.getvalue()
    source = tiff((259, 3, 1, 7), *tiled(512, offset=1000, length=len(data))).ljust(1000, b"\0") + data
    raster = open_image(source, backend="plain")
    if fits:  # rows below the tile are left out
        assert np.asarray(raster.overview().image).reshape(-1, 3).mean(axis=0) == pytest.approx([77] * 3, abs=1)
        return
    with pytest.raises(RasterError, match=rf"block 0 holds {size[0]}x{size[1]} {mode}, not 512x512 of 1"):
        raster.overview()


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("kind", ["tiles", "strips", "bits", "planes"])
def test_deflate_blocks_of_the_right_size_are_read_from_bytes(kind: str, masked: bool, tmp_path: Path) -> None:
    rasterio = pytest.importorskip("rasterio")
    numbers = np.random.default_rng(1).integers(0, 2 if kind == "bits" else 255, (3, 300, 200), dtype=np.uint8)
    forms: dict[str, dict[str, Any]] = {
        "tiles": {"tiled": True, "blockxsize": 64, "blockysize": 64, "interleave": "pixel"},
        "strips": {"blockysize": 70, "interleave": "pixel"},
        "bits": {"nbits": 1, "blockysize": 70},
        "planes": {"tiled": True, "blockxsize": 64, "blockysize": 64, "interleave": "band"},
    }
    path = tmp_path / "plain.tif"
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True):
        profile: dict[str, Any] = {
            "driver": "GTiff",
            "width": 200,
            "height": 300,
            "count": 3,
            "dtype": "uint8",
            "compress": "deflate",
        }
        profile["transform"] = rasterio.Affine(0.5, 0, 10, 0, -0.5, 20)
        with rasterio.open(path, "w", **profile, **forms[kind]) as file:
            file.write(numbers)
            if masked:
                file.write_mask(np.full((300, 200), 255, dtype=np.uint8))
        with rasterio.open(path, "r+") as file:
            file.build_overviews([2])
    from_bytes = open_image(path.read_bytes(), backend="rasterio")
    from_path = open_image(path, backend="rasterio")
    for pixels in (60_000, 15_000):
        assert from_bytes.overview(pixels).image.tobytes() == from_path.overview(pixels).image.tobytes()


def test_a_chain_of_directories_that_bites_its_tail_ends(tmp_path: Path) -> None:
    data = bytearray(tiff(*tiled(64), width=64, height=64))
    (count,) = struct.unpack("<H", data[8:10])
    data[10 + 12 * count : 14 + 12 * count] = struct.pack("<I", 8)
    for backend in BACKENDS:
        begin = time.process_time()
        try:
            open_image(bytes(data), backend=backend).overview()
        except RasterError:
            pass  # its one tile is eight bytes long
        assert time.process_time() - begin < 3


def _many_directories(count: int, *, order: str, big: bool) -> bytes:
    """A TIFF of so many pictures of one pixel, all of the same byte."""
    tag = struct.Struct(order + ("HHQQ" if big else "HHLL"))
    tags = [(256, 1), (257, 1), (258, 8), (259, 1), (262, 1), (273, 8), (277, 1), (278, 1), (279, 1)]
    # Numbers of the size of a place (LONG8 or LONG) stand alike in both orders.
    written = b"".join(tag.pack(number, 16 if big else 4, 1, value) for number, value in tags)
    length, place = struct.Struct(order + ("Q" if big else "H")), struct.Struct(order + ("Q" if big else "L"))
    mark = (b"II" if order == "<" else b"MM") + struct.pack(order + "H", 43 if big else 42)
    data = bytearray(mark + (struct.pack(order + "HH", 8, 0) if big else b"") + place.pack(16 if big else 8))
    for number in range(count):
        ends = len(data) + length.size + len(written) + place.size
        data += length.pack(len(tags)) + written + place.pack(ends if number < count - 1 else 0)
    return bytes(data)


@pytest.mark.parametrize("backend", ["auto", "plain"])
@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize("order", ["<", ">"])
def test_directories_are_counted_before_they_are_followed(
    order: str, big: bool, backend: Backend, tmp_path: Path
) -> None:
    few, many = (_many_directories(count, order=order, big=big) for count in (70, 100_000))
    assert open_image(few, backend=backend).width == 1
    path = tmp_path / "many.tif"
    path.write_bytes(many)
    for source in (many, path):
        start = time.monotonic()
        with pytest.raises(RasterError, match="more than 4096 pictures"):
            open_image(source, backend=backend)
        assert time.monotonic() - start < 2


def test_frames_of_a_gif_are_not_counted() -> None:
    memory = io.BytesIO()
    Image.new("P", (1, 1)).save(memory, "GIF")
    data = memory.getvalue()
    start = data.index(b",")
    frames = data[:start] + data[start:-1] * 400_000 + b";"
    began = time.monotonic()
    assert "several pictures" in " ".join(open_image(frames).notes)
    assert time.monotonic() - began < 2
