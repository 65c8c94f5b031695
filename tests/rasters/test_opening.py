"""Files of every kind that is read, and files that must be refused."""

from __future__ import annotations

import io
import struct
import time
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from rscovlm.rasters import MissingRasterError, PixelLimits, RasterError, open_image
from rscovlm.rasters.opening import Backend
from tests.rasters.test_raster import picture


def claiming(width: int, height: int) -> bytes:
    """A PNG of less than a kilobyte whose header claims any size."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(600))) + chunk(b"IEND", b"")
    )


def test_a_file_its_bytes_and_the_picture_itself_give_the_same_view(tmp_path: Path) -> None:
    array = picture(200, 120)
    path = tmp_path / "scene.png"
    Image.fromarray(array).save(path)
    for source in (path, str(path), path.read_bytes(), Image.open(path), Image.fromarray(array), array):
        view = open_image(source).read((20, 10, 180, 110))
        assert np.array_equal(np.asarray(view.image), array[10:110, 20:180])


def test_nothing_is_decoded_at_opening(tmp_path: Path) -> None:
    path = tmp_path / "cut.jpg"
    Image.fromarray(picture(400, 300)).save(path, quality=90)
    path.write_bytes(path.read_bytes()[:2000])
    raster = open_image(path)  # the header is whole
    assert (raster.width, raster.height) == (400, 300)
    with pytest.raises(RasterError, match=r"cut\.jpg.*is it whole"):
        raster.overview()


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA", "LA", "CMYK", "YCbCr", "I;16"])
def test_every_mode_becomes_rgb(mode: str, tmp_path: Path) -> None:
    original = Image.fromarray(picture(64, 48))
    image = (
        Image.fromarray(np.asarray(original.convert("L")).astype(np.uint16) * 200)
        if mode == "I;16"
        else original.convert(mode)
    )
    view = open_image(image).overview()
    assert view.image.mode == "RGB" and view.image.size == (64, 48)
    if mode == "I;16":
        assert view.stretch is not None and "percentiles 2-98" in view.stretch.source
    else:
        assert np.array_equal(np.asarray(view.image), np.asarray(image.convert("RGB")))


def test_a_missing_file_is_both_kinds_of_error(tmp_path: Path) -> None:
    with pytest.raises(MissingRasterError, match=r"absent\.tif does not exist"):
        open_image(tmp_path / "absent.tif")
    with pytest.raises(FileNotFoundError):
        open_image(tmp_path / "absent.tif")


@pytest.mark.parametrize("ending", ["tif", "png", "jpg", "jp2"])
def test_empty_text_and_folder_are_named(ending: str, tmp_path: Path) -> None:
    path = tmp_path / f"bad.{ending}"
    path.write_bytes(b"")
    with pytest.raises(RasterError, match=rf"bad\.{ending} is empty"):
        open_image(path)
    path.write_text("these are words and not an image")
    with pytest.raises(RasterError, match=rf"bad\.{ending} is not an image.*these are w"):
        open_image(path)
    with pytest.raises(RasterError, match="is a folder"):
        open_image(tmp_path)


def test_a_wrong_name_is_read_by_content_and_noted(tmp_path: Path) -> None:
    array = picture(60, 40)
    path = tmp_path / "scene.tif"
    Image.fromarray(array).save(path, format="PNG")
    raster = open_image(path)
    assert np.array_equal(np.asarray(raster.overview().image), array)
    assert raster.notes == ("its name ends in '.tif' and it holds PNG: read as that",)


@pytest.mark.parametrize("backend", ["auto", "plain"])
def test_a_small_png_that_claims_a_huge_picture_is_refused_before_decoding(backend: str, tmp_path: Path) -> None:
    path = tmp_path / "bomb.png"
    path.write_bytes(claiming(60_000, 60_000))
    assert path.stat().st_size < 1024
    begin = time.perf_counter()
    for source in (path, path.read_bytes()):
        with pytest.raises(
            RasterError, match=r"60000x60000 pixels, above the limit .*limits=PixelLimits\((sequential|in_memory)="
        ):
            open_image(source, backend=backend)  # type: ignore[arg-type]
    assert time.perf_counter() - begin < 2


def test_limits_are_checked_against_the_view_as_well() -> None:
    with pytest.raises(RasterError, match=r"view of 64x48 .*give max_pixels"):
        open_image(picture(64, 48), limits=PixelLimits(in_memory=1000)).read((0, 0, 64, 48))
    with pytest.raises(ValueError, match="positive number"):
        PixelLimits(block=0)


@pytest.mark.parametrize(
    "source",
    [
        "https://example.org/a.tif",
        "/vsicurl/http://127.0.0.1/a.tif",
        "/vsizip/a.zip/a.tif",
        "file:///etc/passwd",
        "s3://bucket/a.tif",
        "GTIFF_DIR:1:a.tif",
        "data:image/png;base64,AAAA",
        "a\0b.png",
        "",
    ],
)
def test_what_is_not_a_local_path_is_refused(source: str) -> None:
    with pytest.raises(RasterError, match="not a local file|not a file name"):
        open_image(source)


@pytest.mark.parametrize("source", [None, 7, ["a.png"], {"path": "a.png"}])
def test_what_is_not_an_image_is_refused(source: object) -> None:
    with pytest.raises(RasterError, match="cannot be opened"):
        open_image(source)  # type: ignore[arg-type]


@pytest.mark.parametrize("shape", [(3,), (0, 5, 3), (2, 3, 4, 5), (3, 100, 200)])
def test_arrays_that_are_no_images_are_named(shape: tuple[int, ...]) -> None:
    with pytest.raises(RasterError, match="array of shape"):
        open_image(np.zeros(shape, dtype=np.uint8))


def test_every_cut_of_a_file_is_an_error_or_the_picture(tmp_path: Path) -> None:
    """A file cut anywhere never gives a picture that differs from the whole one."""
    array = picture(96, 80)
    for ending, options in {"png": {}, "jpg": {"quality": 90}, "tif": {"compression": "tiff_adobe_deflate"}}.items():
        memory = io.BytesIO()
        kind = {"jpg": "JPEG", "png": "PNG", "tif": "TIFF"}[ending]
        Image.fromarray(array).save(memory, format=kind, **options)  # type: ignore[arg-type]
        whole = np.asarray(open_image(memory.getvalue()).overview().image)
        refused = 0
        for end in range(0, len(memory.getvalue()), max(len(memory.getvalue()) // 40, 1)):
            try:
                shown = np.asarray(open_image(memory.getvalue()[:end]).overview().image)
            except RasterError as error:
                assert str(error).startswith("bytes")
                refused += 1
            else:
                assert np.array_equal(shown, whole)
        assert refused >= 30


def test_tiles_of_a_large_png_decode_it_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("rasterio")
    array = picture(700, 600)
    path = tmp_path / "a.png"
    Image.fromarray(array).save(path)
    raster = open_image(path, limits=PixelLimits(small=1), backend="rasterio")
    rows: list[tuple[int, int]] = []
    original = raster._reader._file.read  # type: ignore[attr-defined]

    class Counting:
        """The opened file, noting which rows are read."""

        def __getattr__(self, name: str) -> object:
            return getattr(raster._reader._file, name)  # type: ignore[attr-defined]

        def read(self, bands: list[int], window: tuple[tuple[int, int], tuple[int, int]]) -> object:
            rows.append(window[0])
            return original(bands, window=window)

    monkeypatch.setattr(raster._reader, "_opened", [Counting()])
    for y in range(0, 500, 100):
        for x in range(0, 600, 100):
            tile = np.asarray(raster.read((x, y, x + 128, y + 128)).image)
            assert np.array_equal(tile, array[y : y + 128, x : x + 128])
    assert rows == [(0, 128), (128, 228), (228, 328), (328, 428), (428, 528)]
    assert np.array_equal(np.asarray(raster.read((5, 5, 50, 50)).image), array[5:50, 5:50])  # and back to the top


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.webp", "a.tif"])
def test_a_file_is_opened_as_viewers_show_it(tmp_path: Path, name: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[274] = orientation
    Image.fromarray(picture(64, 48)).save(tmp_path / name, exif=exif)
    with Image.open(tmp_path / name) as opened:
        shown = np.asarray(ImageOps.exif_transpose(opened).convert("RGB"))
    backends: tuple[Backend, ...] = ("auto", "plain")
    for backend in backends:
        raster = open_image(tmp_path / name, backend=backend)
        assert (raster.width, raster.height) == (shown.shape[1], shown.shape[0])
        assert np.array_equal(np.asarray(raster.read((0, 0, raster.width, raster.height)).image), shown)
        assert np.array_equal(np.asarray(raster.read((7, 5, 30, 21)).image), shown[5:21, 7:30])
        assert not any("EXIF" in note for note in raster.notes)
    stored = open_image(tmp_path / name, orientation="stored")
    assert (stored.width, stored.height) == (64, 48)
    if orientation != 1:
        assert any("EXIF orientation is not applied" in note for note in stored.notes)


def test_pixels_in_memory_and_files_on_a_map_are_not_turned(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[274] = 6
    Image.fromarray(picture(64, 48)).save(tmp_path / "a.jpg", exif=exif)
    assert open_image(Image.open(tmp_path / "a.jpg")).width == 64
    (tmp_path / "a.jgw").write_text("1\n0\n0\n-1\n500\n900\n", encoding="utf-8")
    placed = open_image(tmp_path / "a.jpg")
    assert placed.width == 64
    assert any("EXIF orientation is not applied" in note for note in placed.notes)
    with pytest.raises(ValueError, match="orientation='turned' is not known; use 'shown' or 'stored'"):
        open_image(tmp_path / "a.jpg", orientation="turned")  # type: ignore[arg-type]


def test_a_cmyk_jpeg_is_read_as_pillow_shows_it(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    Image.fromarray(picture(64, 48)).convert("CMYK").save(path, quality=95)
    assert np.array_equal(np.asarray(open_image(path).overview().image), np.asarray(Image.open(path).convert("RGB")))


def test_sixteen_bits_of_colour_need_rasterio_or_are_cut_and_noted(tmp_path: Path) -> None:
    rasterio = pytest.importorskip("rasterio")
    warnings.simplefilter("ignore", rasterio.errors.NotGeoreferencedWarning)
    values = np.arange(64 * 48 * 3, dtype=np.uint16).reshape(48, 64, 3) * 7
    path = tmp_path / "a.png"
    with rasterio.MemoryFile() as memory:
        with memory.open(driver="PNG", width=64, height=48, count=3, dtype="uint16") as out:
            out.write(np.moveaxis(values, -1, 0))
        path.write_bytes(memory.read())
    view = open_image(path).overview()
    assert view.stretch is not None and len(view.stretch.low) == 3
    plain = open_image(path, backend="plain")
    assert np.array_equal(np.asarray(plain.overview().image), values >> 8)
    assert "upper 8" in plain.notes[0]


@pytest.mark.parametrize("ending", ["jpg", "png"])
@pytest.mark.parametrize("backend", ["auto", "plain"])
def test_large_pictures_are_read_in_pieces(ending: str, backend: Backend, tmp_path: Path) -> None:
    array = picture(800, 640)
    path = tmp_path / f"a.{ending}"
    Image.fromarray(array).save(path, quality=95)
    raster = open_image(path, backend=backend, limits=PixelLimits(small=10_000))
    exact = np.asarray(Image.fromarray(array).resize((90, 72), Image.Resampling.BICUBIC)).astype(int)
    shown = np.asarray(raster.overview(size=(90, 72)).image).astype(int)
    assert np.abs(shown - exact).mean() < (6 if ending == "jpg" else 2)
    crop = np.asarray(raster.read((210, 170, 410, 270)).image).astype(int)
    assert np.abs(crop - array[170:270, 210:410]).mean() < (4 if ending == "jpg" else 1e-9)


@pytest.mark.parametrize("backend", ["rasterio", "plain"])
def test_a_jpeg_cut_short_is_refused_and_a_sloppy_one_is_read(backend: Backend, tmp_path: Path) -> None:
    if backend == "rasterio":
        pytest.importorskip("rasterio")
    path = tmp_path / "a.jpg"
    Image.fromarray(picture(640, 480)).save(path, quality=90)
    whole = path.read_bytes()
    shown = np.asarray(open_image(path, backend=backend).overview().image)
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(RasterError, match=r"a\.jpg.*is it whole"):
        open_image(path, backend=backend).overview()
    path.write_bytes(
        whole[:-2] + b"\x00\x11\x22" + whole[-2:] + bytes(100)
    )  # as cameras write: bytes before and after the end
    assert np.array_equal(np.asarray(open_image(path, backend=backend).overview().image), shown)


def test_a_photograph_of_a_drone(photograph: Path) -> None:
    raster = open_image(photograph)
    view = raster.overview(1008 * 1008)
    assert (raster.width, raster.height) == (4592, 3072)
    oracle = Image.open(photograph).resize(view.image.size, Image.Resampling.BICUBIC)
    difference = np.abs(np.asarray(view.image, dtype=float) - np.asarray(oracle, dtype=float))
    assert difference.mean() < 2.5


def test_a_refused_file_is_not_also_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "cut.tif"
    Image.fromarray(picture(64, 48)).save(path, compression="tiff_adobe_deflate")
    path.write_bytes(path.read_bytes()[:200])
    for backend in ("auto", "plain"):
        with pytest.raises(RasterError):
            open_image(path, backend=backend).overview()
    assert not caplog.records
