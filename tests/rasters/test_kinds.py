"""Kinds of files and arrays that are rarer, and what is said of what they hold beside the picture shown."""

from __future__ import annotations

import io
import warnings
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from rscovlm.rasters import RasterError, open_image
from tests.rasters.files import CRS, write_tiff

BACKENDS: list[Any] = ["auto", "plain"]
WHOLE = (0, 0, 80, 60)


def ramp(low: float, high: float, height: int = 60, width: int = 80) -> NDArray[np.float64]:
    """Return numbers that rise to the right and downwards."""
    y, x = np.mgrid[:height, :width]
    grown: NDArray[np.float64] = low + (high - low) * (x + y) / (width + height - 2)
    return grown


def shown(source: Any, size: tuple[int, int] | None = None, **options: Any) -> NDArray[np.uint8]:
    raster = open_image(source, **options)
    return np.asarray(raster.overview(size=size or (raster.width, raster.height)).image)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("value", [-1.7976931348623157e308, float("nan"), -9999.0])
def test_no_data_of_doubles_leaves_the_pixels_beside_it_alone(value: float, backend: Any, tmp_path: Path) -> None:
    numbers = ramp(1000, 1500)
    whole = shown(numbers, (16, 12), percentiles=(0, 100))
    numbers[21:38, 31:52] = value  # borders inside of the averaged squares
    path = write_tiff(tmp_path / "a.tif", numbers, nodata=value)
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        raster = open_image(path, backend=backend, percentiles=(0, 100))
        view = raster.overview(size=(16, 12))
    assert view.valid is not None and 0.7 < view.coverage < 1
    difference = np.abs(np.asarray(view.image)[..., 0].astype(int) - whole[..., 0])
    assert difference[view.valid].max() < 12


def test_a_number_beyond_floats_of_32_bits_spoils_no_other_pixel() -> None:
    numbers = ramp(1000, 1500)
    numbers[20:40, 30:50] = 1e300
    picture = shown(numbers, (16, 12), percentiles=(0, 80))[..., 0]
    assert picture[0, 0] < 30 and (picture[5:7, 7:9] == 255).all() and picture[0].std() > 10


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_white_may_be_zero(dtype: str, tmp_path: Path) -> None:
    numbers = ramp(0, np.iinfo(dtype).max).astype(dtype)
    path = write_tiff(tmp_path / "scan.tif", numbers, photometric="MINISWHITE")
    right = shown(np.iinfo(dtype).max - numbers)
    assert right[0, 0, 0] == 255
    for backend in BACKENDS:
        assert np.abs(shown(path, backend=backend).astype(int) - right).max() <= 1


def test_means_of_few_bits_are_no_steps(tmp_path: Path) -> None:
    numbers = (np.mgrid[:60, :80][1] % 4 == 0).astype(np.uint8) * 3  # a quarter of the pixels is white
    path = write_tiff(tmp_path / "a.tif", numbers, NBITS=2)
    for backend in BACKENDS:
        assert np.abs(shown(path, (20, 15), backend=backend).astype(int) - 64).max() < 12


def test_a_palette_of_16_bits_shows_its_own_colours(tmp_path: Path) -> None:
    numbers = (np.mgrid[:60, :80][1] // 20 + 300).astype(np.uint16)
    table = {300: (10, 20, 30, 255), 301: (90, 80, 70, 255), 302: (200, 0, 0, 255), 303: (1, 2, 3, 255)}
    path = write_tiff(tmp_path / "a.tif", numbers, colormap=table, photometric="palette")
    for backend in BACKENDS:
        picture = shown(path, backend=backend)
        assert [picture[0, 20 * k].tolist() for k in range(4)] == [list(table[300 + k][:3]) for k in range(4)]


@pytest.mark.filterwarnings("ignore:Dataset has no geotransform")
def test_complex_whole_numbers_are_shown_by_magnitude(tmp_path: Path) -> None:
    rasterio = pytest.importorskip("rasterio", reason="rasterio (extra geo) is not installed")
    numbers = (ramp(3, 3000) * np.exp(0.7j)).astype(np.complex64)
    path = tmp_path / "radar.tif"
    with rasterio.open(path, "w", width=80, height=60, count=1, dtype="complex_int16", crs=CRS) as out:
        out.write(numbers, 1)
    stored = np.round(numbers.real) + 1j * np.round(numbers.imag)
    assert np.abs(shown(path).astype(int) - shown(stored.astype(np.complex64))).max() <= 4
    with pytest.raises(RasterError, match=r"COMPLEXINT: install rscovlm\[geo\]"):
        open_image(path, backend="plain")


def test_colours_that_gdal_names_are_found_without_it(tmp_path: Path) -> None:
    rasterio = pytest.importorskip("rasterio", reason="rasterio (extra geo) is not installed")
    from rasterio.enums import ColorInterp

    numbers = np.stack([ramp(0, 60000), ramp(60000, 0), ramp(0, 30000), ramp(0, 65535)], -1).astype(np.uint16)
    for name, colours in (
        ("infrared", (ColorInterp.blue, ColorInterp.green, ColorInterp.red, ColorInterp.undefined)),
        ("alpha", (ColorInterp.red, ColorInterp.green, ColorInterp.blue, ColorInterp.alpha)),
    ):
        path = write_tiff(tmp_path / f"{name}.tif", numbers)
        with rasterio.open(path, "r+") as file:
            file.colorinterp = colours
        both = [open_image(path, backend=backend) for backend in BACKENDS]
        assert both[0].bands == both[1].bands == ((3, 2, 1) if name == "infrared" else (1, 2, 3))
        views = [raster.read(WHOLE) for raster in both]
        assert np.array_equal(np.asarray(views[0].image), np.asarray(views[1].image))
        assert views[0].coverage == views[1].coverage and (views[0].coverage < 1) == (name == "alpha")


def test_what_only_rasterio_reads_is_said_so(tmp_path: Path) -> None:
    array = np.dstack([ramp(0, 255)] * 3).astype(np.uint8)
    lerc = write_tiff(tmp_path / "lerc.tif", array, compress="lerc")
    odd = write_tiff(tmp_path / "odd.tif", (array * 4.0).astype(np.uint32), NBITS=20)
    assert np.array_equal(shown(lerc), array)
    for path, why in ((lerc, "compression LERC"), (odd, "20 bits a sample")):
        with pytest.raises(RasterError, match=rf"{why}: install rscovlm\[geo\]"):
            open_image(path, backend="plain")
    whole = write_tiff(tmp_path / "zstd.tif", array, compress="zstd").read_bytes()
    with pytest.raises(RasterError, match="cannot be read as TIFF"):
        shown(whole[: len(whole) // 2], backend="plain")


def test_sparse_blocks_are_no_data_whatever_the_number(tmp_path: Path) -> None:
    for number, value in enumerate((float("nan"), -3.4028234663852886e38, -9999.0)):
        numbers = np.full((512, 512), value, dtype=np.float32)
        numbers[:256, :256] = ramp(1, 9, 256, 256)
        options: dict[str, Any] = {"tiled": True, "blockxsize": 256, "blockysize": 256, "SPARSE_OK": "TRUE"}
        path = write_tiff(tmp_path / f"{number}.tif", numbers, nodata=value, **options)
        for backend in BACKENDS:
            assert open_image(path, backend=backend).read((0, 0, 512, 512)).coverage == 0.25, value


def test_windows_over_holes_alone_are_known_by_both_ways(tmp_path: Path) -> None:
    numbers = np.full((200, 304), -9999.0, dtype=np.float32)
    numbers[:64, 64:128] = numbers[128:192, :64] = numbers[192:, 256:] = 7.0
    options: dict[str, Any] = {"tiled": True, "blockxsize": 64, "blockysize": 64, "SPARSE_OK": "TRUE"}
    path = write_tiff(tmp_path / "a.tif", numbers, nodata=-9999.0, **options)
    stored = np.zeros((256, 320), dtype=bool)
    stored[:64, 64:128] = stored[128:192, :64] = stored[192:, 256:] = True
    corners, sides = product((0, 1, 63, 64, 200, 256), (0, 63, 64, 130)), [(1, 1), (2, 64), (64, 2), (65, 3), (3, 65)]
    windows = [(x, y, x + wide, y + high) for (x, y), (wide, high) in product(corners, sides)]
    inside = [(x, y, right, below) for x, y, right, below in windows if right <= 304 and below <= 200]
    for backend in BACKENDS:
        reader = open_image(path, backend=backend)._reader
        found = [reader.blank(0, window) for window in inside]
        assert found == [not stored[y:below, x:right].any() for x, y, right, below in inside], backend
        assert 0 < sum(found) < len(found)


def test_no_data_can_be_given_for_a_file_that_does_not_say(tmp_path: Path) -> None:
    numbers = ramp(5, 250).astype(np.uint8)
    numbers[:30, :40] = 0
    path = write_tiff(tmp_path / "a.tif", numbers)
    for backend in BACKENDS:
        assert open_image(path, backend=backend).overview().coverage == 1
        assert open_image(path, backend=backend, nodata=0).overview().coverage == 0.75
    with pytest.raises(ValueError, match="nodata='0' is no number"):
        open_image(path, nodata="0")  # type: ignore[arg-type]


def test_a_masked_array_hides_what_its_mask_says() -> None:
    numbers = np.dstack([ramp(0, 255)] * 3).astype(np.uint8)
    hidden = np.zeros(numbers.shape, dtype=bool)
    hidden[:30, :40, 1] = True
    view = open_image(np.ma.masked_array(numbers, hidden)).overview()
    assert view.coverage == 0.75 and (np.asarray(view.image)[:30, :40] == 0).all()
    assert np.array_equal(np.asarray(view.image)[30:], numbers[30:])


def test_bands_first_are_told_from_many_bands() -> None:
    cube = np.random.default_rng(0).integers(0, 999, (50, 50, 200))
    assert open_image(cube).width == 50
    flat = np.zeros((50, 60, 200))
    with pytest.raises(RasterError, match="seems to have its bands first"):
        open_image(flat)
    assert open_image(flat, bands=[120, 60, 30]).width == 60


def test_more_pictures_in_a_file_are_mentioned() -> None:
    pictures = [Image.new("RGB", (30, 20), (shade, 0, 0)) for shade in (10, 20, 30)]
    for format in ("PNG", "WEBP", "TIFF"):
        buffer = io.BytesIO()
        pictures[0].save(buffer, format, save_all=True, append_images=pictures[1:])
        for backend in BACKENDS:
            raster = open_image(buffer.getvalue(), backend=backend)
            assert "it holds 3 pictures, of which the first is read" in " ".join(raster.notes), format
    buffer = io.BytesIO()
    pictures[0].save(buffer, "PNG")
    assert open_image(buffer.getvalue()).notes == ()


def test_a_place_in_a_side_file_is_mentioned(tmp_path: Path) -> None:
    path = write_tiff(tmp_path / "a.png", ramp(0, 255).astype(np.uint8), driver="PNG")
    (note,) = open_image(path).notes
    assert note.startswith("a.png.aux.xml beside it is not read")


def test_jpeg_2000_without_rasterio_says_what_it_leaves_out() -> None:
    buffer = io.BytesIO()
    colours = np.dstack([ramp(0, 255)] * 4).astype(np.uint8)
    Image.fromarray(colours).save(buffer, "JPEG2000")
    stated = open_image(buffer.getvalue(), backend="plain")
    assert stated.overview().coverage < 1  # the file says that its fourth band is opacity
    silent = open_image(buffer.getvalue().replace(b"cdef", b"free", 1), backend="plain")
    assert silent.overview().coverage == 1 and "its fourth band is not read" in " ".join(silent.notes)
    assert np.abs(np.asarray(silent.overview().image).astype(int) - colours[..., :3]).max() < 8


def test_numbers_that_are_none_are_named() -> None:
    array = np.zeros((20, 30, 3))
    with pytest.raises(RasterError, match="choose one or three of its bands"):
        open_image(array, bands=[None, 1, 2])  # type: ignore[list-item]
    for percentiles in ((1, 2, 3), "ab"):
        with pytest.raises(ValueError, match="give two numbers such as"):
            open_image(array, percentiles=percentiles)  # type: ignore[arg-type]
    for pixels in (float("nan"), float("inf"), "9", 0, 1.5, True):
        with pytest.raises(ValueError, match="must be a positive whole number"):
            open_image(array).overview(pixels)  # type: ignore[arg-type]


def test_a_directory_with_too_few_blocks_is_an_error_of_ours(tmp_path: Path) -> None:
    data = write_tiff(tmp_path / "a.tif", ramp(0, 255).astype(np.uint8), compress="lzw", blockysize=8).read_bytes()
    for tag in (b"\x11\x01", b"\x17\x01"):  # where blocks begin, and how long they are: 8 of each
        place = (
            data.index(tag + b"\x04\0\x08\0\0\0") if tag + b"\x04\0\x08\0\0\0" in data else data.index(tag + b"\x03\0")
        )
        fewer = data[: place + 4] + b"\x03" + data[place + 5 :]
        with pytest.raises(RasterError):
            open_image(fewer, backend="plain").read(WHOLE)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("length", range(2, 12))
def test_a_header_cut_anywhere_is_an_error_of_ours(length: int, backend: Any) -> None:
    for mark in (b"II*\0", b"MM\0*", b"II+\0\x08\0\0\0", b"MM\0+\0\x08\0\0"):
        with pytest.raises(RasterError):
            open_image((mark + bytes(3) + b"\x10" + bytes(8))[:length], backend=backend)


def test_a_broken_upload_is_not_called_by_a_name_inside_gdal() -> None:
    pytest.importorskip("rasterio", reason="rasterio (extra geo) is not installed")
    with pytest.raises(RasterError) as refused:
        open_image(b"II*\0\x08\0\0\0" + bytes(20))
    assert "vsimem" not in str(refused.value)


def test_world_files_of_any_case_are_used_and_broken_ones_mentioned(tmp_path: Path) -> None:
    picture = Image.new("RGB", (30, 20))
    picture.save(tmp_path / "AERIAL.JPG", "JPEG")
    (tmp_path / "AERIAL.JGW").write_text("2\r\n0\r\n0\r\n-2\r\n100\r\n200\r\n")
    (tmp_path / "AERIAL.prj").write_text("PROJCS[...]")
    raster = open_image(tmp_path / "AERIAL.JPG")
    assert raster.frame.root_to_world == (2, 0, 99, 0, -2, 201)
    assert raster.notes == ("AERIAL.prj beside it is not read, so its coordinate system is not known",)
    for text in ("2,0\n0\n0\n-2\n100\n200", "2\n0\n", "nan\n0\n0\n-2\n1\n1", "0\n0\n0\n0\n1\n1", ""):
        picture.save(tmp_path / "broken.png")
        (tmp_path / "broken.pgw").write_text(text)
        raster = open_image(tmp_path / "broken.png")
        assert raster.frame.root_to_world is None
        assert raster.notes == ("broken.pgw beside it does not hold the six numbers of a world file and is not used",)


@pytest.mark.parametrize("backend", BACKENDS)
def test_an_image_that_was_closed_says_so(backend: Any, tmp_path: Path) -> None:
    path = write_tiff(tmp_path / "a.tif", ramp(0, 255).astype(np.uint8))
    with open_image(path, backend=backend) as raster:
        raster.overview(100)
    with pytest.raises(RasterError, match="was closed; open it again"):
        raster.overview(100)


def test_a_vrt_does_not_tell_how_another_file_begins(tmp_path: Path) -> None:
    pytest.importorskip("rasterio", reason="rasterio (extra geo) is not installed")
    (tmp_path / "secret").write_text("root:x:0:0")
    source = "<SimpleSource><SourceFilename relativeToVRT='1'>secret</SourceFilename></SimpleSource>"
    band = f"<VRTRasterBand dataType='Byte' band='1'>{source}</VRTRasterBand>"
    (tmp_path / "a.vrt").write_text(f"<VRTDataset rasterXSize='9' rasterYSize='9'>{band}</VRTDataset>")
    with pytest.raises(RasterError, match="'secret' is not an image") as refused:
        open_image(tmp_path / "a.vrt", allow_vrt=True)
    assert "root:x" not in str(refused.value)


@pytest.mark.filterwarnings("ignore:Dataset has no geotransform")
def test_rational_polynomials_are_mentioned_by_both_ways(tmp_path: Path) -> None:
    rasterio = pytest.importorskip("rasterio", reason="rasterio (extra geo) is not installed")
    from rasterio.rpc import RPC

    path = tmp_path / "raw.tif"
    numbers = dict.fromkeys(("height_off", "height_scale", "lat_off", "lat_scale", "line_off", "line_scale"), 1.0)
    numbers |= dict.fromkeys(("long_off", "long_scale", "samp_off", "samp_scale"), 1.0)
    powers = [1.0] + [0.0] * 19
    rational = RPC(
        line_num_coeff=powers, line_den_coeff=powers, samp_num_coeff=powers, samp_den_coeff=powers, **numbers
    )
    with rasterio.open(path, "w", width=80, height=60, count=1, dtype="uint8", rpcs=rational) as out:
        out.write(ramp(0, 255).astype(np.uint8), 1)
    for backend in BACKENDS:
        raster = open_image(path, backend=backend)
        assert raster.frame.to_world() is None
        (note,) = raster.notes
        assert note.startswith("it has rational polynomial coefficients, which are not used: no map coordinates")
        assert "gdalwarp -rpc" in note
