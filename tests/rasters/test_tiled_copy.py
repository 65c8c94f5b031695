"""A tiled copy of a PNG or JPEG gives the same pixels as the file, without decoding it again."""

import json
import logging
import os
import pickle
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from rscovlm.files import mark
from rscovlm.rasters import PixelLimits, RasterError, open_image, opening, tiled_copy, user_cache
from rscovlm.rasters.tiled_copy import TILED, TiledCopy
from tests.rasters.test_raster import picture

LIMITS = PixelLimits(small=100_000)
WINDOWS = [(0, 0, 64, 64), (700, 500, 900, 600), (250, 250, 263, 519), (0, 599, 900, 600), (100, 100, 800, 590)]


def _scene(height: int = 600, width: int = 900) -> Any:
    noise = np.random.default_rng(0).integers(0, 40, (height, width, 3))
    return np.clip(np.tile(picture(150, 150), (4, 6, 1))[:height, :width].astype(int) + noise, 0, 255).astype(np.uint8)


def _png(mode: str, **options: Any) -> Callable[[Path], Path]:
    def save(folder: Path) -> Path:
        image = Image.fromarray(_scene())
        if mode == "RGBA":
            image.putalpha(Image.fromarray(_scene()[..., 1]))
        elif mode == "I;16":
            image = Image.fromarray((_scene()[..., 0].astype(np.uint16) * 251) + 3)
        else:
            image = image.convert(mode)
        image.save(path := folder / "scene.png", **options)
        return path

    return save


def _jpeg(mode: str, **options: Any) -> Callable[[Path], Path]:
    def save(folder: Path) -> Path:
        if "orientation" in options:
            exif = Image.Exif()
            exif[274] = options.pop("orientation")
            options["exif"] = exif
        Image.fromarray(_scene()).convert(mode).save(path := folder / "scene.jpg", quality=90, **options)
        return path

    return save


FILES = {
    "png": _png("RGB"),
    "png alpha": _png("RGBA"),
    "png palette": _png("P"),
    "png palette, one clear": _png("P", transparency=3),
    "png grey": _png("L"),
    "png 16 bits": _png("I;16"),
    "png 1 bit": _png("1"),
    "jpeg": _jpeg("RGB"),
    "jpeg grey": _jpeg("L"),
    "jpeg cmyk": _jpeg("CMYK"),
    "jpeg turned": _jpeg("RGB", orientation=6),
    "jpeg progressive": _jpeg("RGB", progressive=True),
}


@pytest.fixture(autouse=True)
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's folder of this test."""
    monkeypatch.setenv("RSCOVLM_CACHE", str(tmp_path / "kept"))
    return tmp_path / "kept"


def _shown(raster: Any, window: Any = None, **how: Any) -> Any:
    view = raster.overview(**how) if window is None else raster.read(window, **how)
    return np.asarray(view.image), view.valid


def _same(one: Any, other: Any) -> bool:
    """Tell whether two rasters show the same, in crops of every scale and as a whole."""
    assert (one.width, one.height, one.bands, one.stretch) == (other.width, other.height, other.bands, other.stretch)
    width, height = one.width, one.height
    windows = [(a * width // 900, b * height // 600, c * width // 900, d * height // 600) for a, b, c, d in WINDOWS]
    looks = [(window, how) for window in (*windows, None) for how in ({}, {"max_pixels": 9_000}, {"max_pixels": 500})]
    pairs = [(_shown(one, window, **how), _shown(other, window, **how)) for window, how in looks]
    return all(np.array_equal(a[0], b[0]) and np.array_equal(a[1], b[1]) for a, b in pairs)


def _undecodable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a file be decoded no more: only its copy may be read."""

    def tiles(self: TiledCopy, _: int) -> Any:
        raise AssertionError(f"{self.name} is decoded")

    monkeypatch.setattr(TiledCopy, "_tiles", tiles)


@pytest.mark.parametrize("backend", ["auto", "plain"])
@pytest.mark.parametrize("name", FILES)
def test_views_are_those_of_the_file(
    name: str, backend: Any, tmp_path: Path, kept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = FILES[name](tmp_path)
    with open_image(path, limits=LIMITS, backend=backend, cache=False) as plain:
        with open_image(path, limits=LIMITS, backend=backend, tiled=True) as first:
            assert not kept.exists() or not list(kept.iterdir()), "nothing is decoded until a view is asked for"
            assert _same(first, plain)
            assert any(f"tiled copy kept in {kept}" in note for note in first.notes)
        (copy,) = kept.glob("*.tiles.tif")
        assert mark(TILED).encode() in copy.read_bytes()[:4096]
        _undecodable(monkeypatch)
        with open_image(path, limits=LIMITS, backend=backend, tiled=True) as again:
            assert _same(again, plain)
    assert not list(kept.glob("*.part"))


def test_bands_and_opacity_are_chosen_when_it_is_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = FILES["png alpha"](tmp_path)
    open_image(path, limits=LIMITS, tiled=True).read(WINDOWS[0])
    _undecodable(monkeypatch)
    for how in ({"bands": [4, 2, 1]}, {"opaque": True}, {"nodata": 40.0}, {"bands": [2], "stretch": "percentiles"}):
        assert _same(open_image(path, limits=LIMITS, tiled=True, **how), open_image(path, limits=LIMITS, **how))


def test_its_blocks_are_no_larger_than_its_levels(tmp_path: Path) -> None:
    Image.fromarray(_scene(200, 900)).save(tmp_path / "a.jpg")
    levels = open_image(tmp_path / "a.jpg", limits=LIMITS, tiled=True)._reader.levels
    found = [(level.width, level.height, level.block_width, level.block_height) for level in levels]
    assert found[0] == (900, 200, 256, 200) and (225, 50, 225, 50) in found


def test_a_mask_and_a_world_file_beside_it_count(tmp_path: Path) -> None:
    path = FILES["jpeg"](tmp_path)
    (tmp_path / "scene.jgw").write_text("0.5\n0\n0\n-0.5\n400000\n5000000\n")
    valid = np.zeros((600, 900), np.uint8)
    valid[100:500, 50:700] = 255
    Image.fromarray(valid).save(tmp_path / "scene.jpg.msk", "TIFF")
    tiled = open_image(path, limits=LIMITS, tiled=True, side_files=True)
    plain = open_image(path, limits=LIMITS, side_files=True)
    assert tiled.frame == plain.frame and tiled.frame.root_to_world is not None
    assert _same(tiled, plain)
    assert tiled.overview(500).coverage < 1


def test_a_changed_file_is_copied_anew(tmp_path: Path, kept: Path) -> None:
    path = FILES["png"](tmp_path)
    open_image(path, limits=LIMITS, tiled=True).read(WINDOWS[0])
    Image.fromarray(_scene()[::-1]).save(path)
    assert _same(open_image(path, limits=LIMITS, tiled=True), open_image(path, limits=LIMITS))
    assert len(list(kept.glob("*.tiles.tif"))) == 1


@pytest.mark.parametrize("damage", ["cut", "empty", "key", "noise", "smaller"])
def test_a_damaged_copy_is_written_anew(damage: str, tmp_path: Path, kept: Path) -> None:
    path = FILES["jpeg"](tmp_path)
    open_image(path, limits=LIMITS, tiled=True).read(WINDOWS[0])
    (copy,) = kept.glob("*.tiles.tif")
    data = copy.read_bytes()
    if damage == "smaller":
        import tifffile

        with tifffile.TiffFile(copy) as tiff:
            about = tiff.pages.first.description
        tifffile.imwrite(
            copy, np.zeros((5, 5, 3), np.uint8), description=about, metadata=None, photometric="minisblack"
        )
    else:
        texts = {
            "cut": data[:200] + mark(TILED).encode(),
            "empty": b"",
            "key": data.replace(b'"ends": "', b'"ENDS": "', 1),
            "noise": mark(TILED).encode() + bytes(5000),
        }
        copy.write_bytes(texts[damage])
    assert _same(open_image(path, limits=LIMITS, tiled=True), open_image(path, limits=LIMITS))


def test_another_file_of_its_name_stays(tmp_path: Path, kept: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = FILES["png"](tmp_path)
    open_image(path, limits=LIMITS, tiled=True).read(WINDOWS[0])
    (copy,) = kept.glob("*.tiles.tif")
    copy.write_bytes(b"mine")
    assert _same(open_image(path, limits=LIMITS, tiled=True), open_image(path, limits=LIMITS))
    assert copy.read_bytes() == b"mine"
    assert "no tiled copy of" in caplog.text and "was not written by rscovlm" in caplog.text


def test_a_full_disk_costs_time_alone(
    tmp_path: Path, kept: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    path = FILES["png"](tmp_path)

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(TiledCopy, "_write", full)
    assert _same(open_image(path, limits=LIMITS, tiled=True), open_image(path, limits=LIMITS))
    assert "No space left" in caplog.text and not list(kept.iterdir())


def test_a_file_that_ends_early_is_refused_and_leaves_no_copy(tmp_path: Path, kept: Path) -> None:
    path = FILES["png"](tmp_path)
    path.write_bytes(path.read_bytes()[:-200_000])
    with pytest.raises(RasterError, match="scene.png"):
        open_image(path, limits=LIMITS, tiled=True).read(WINDOWS[3])
    assert not list(kept.iterdir())


def test_copies_are_kept_within_a_bound(tmp_path: Path, kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = FILES["png"](tmp_path)
    open_image(path, limits=LIMITS, tiled=True).read(WINDOWS[0])
    (first,) = kept.glob("*.tiles.tif")
    monkeypatch.setattr(tiled_copy, "BOUND", int(2.5 * first.stat().st_size))
    made = [first]
    for number in range(3):
        other = tmp_path / f"other{number}.png"
        other.write_bytes(path.read_bytes())
        os.utime(made[-1], ns=(number, number))
        open_image(other, limits=LIMITS, tiled=True).read(WINDOWS[0])
        made += [file for file in kept.glob("*.tiles.tif") if file not in made]
    assert sorted(kept.glob("*.tiles.tif")) == sorted(made[-2:])


def test_it_may_be_beside_the_file_or_in_a_folder(tmp_path: Path, kept: Path) -> None:
    path = FILES["png"](tmp_path)
    for cache, folder in (("beside", tmp_path), (tmp_path / "mine", tmp_path / "mine")):
        open_image(path, limits=LIMITS, tiled=True, cache=cache).read(WINDOWS[0])
        assert len(list(folder.glob("scene.*.tiles.tif"))) == 1
    assert not kept.exists()
    with pytest.raises(ValueError, match="cache=False keeps none; leave one of them out"):
        open_image(path, tiled=True, cache=False)


def test_without_a_folder_to_trust_it_is_read_as_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    path = FILES["png"](tmp_path)
    (tmp_path / "open").mkdir(mode=0o777)
    (tmp_path / "open").chmod(0o777)
    monkeypatch.setenv(user_cache.VARIABLE, str(tmp_path / "open"))
    with caplog.at_level(logging.WARNING):
        assert _same(open_image(path, limits=LIMITS, tiled=True), open_image(path, limits=LIMITS, cache=False))
    assert "other users may write to it" in caplog.text and not list((tmp_path / "open").iterdir())


def test_other_files_are_read_as_they_are(tmp_path: Path, kept: Path) -> None:
    from tests.rasters.files import write_tiff

    tiff = write_tiff(tmp_path / "scene.tif", _scene())
    for source in (tiff, Image.fromarray(_scene()), _scene()):
        open_image(source, limits=LIMITS, tiled=True).read(WINDOWS[0])
    assert not kept.exists()


def test_a_note_says_when_it_would_pay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = FILES["jpeg"](tmp_path)
    assert not any("tiled=True" in note for note in open_image(path).notes)
    monkeypatch.setattr(opening, "LARGE", 500_000)
    assert any("tiled=True (--tiled)" in note for note in open_image(path).notes)
    assert not any("tiled=True" in note for note in open_image(path, tiled=True).notes)


def test_it_is_opened_again_where_it_is_unpickled(tmp_path: Path, kept: Path) -> None:
    raster = open_image(FILES["png"](tmp_path), limits=LIMITS, tiled=True)
    again = pickle.loads(pickle.dumps(raster))
    assert _same(again, raster) and len(list(kept.glob("*.tiles.tif"))) == 1


def test_memory_is_that_of_a_strip(tmp_path: Path, kept: Path) -> None:
    pytest.importorskip("rasterio")
    path = tmp_path / "large.png"
    Image.new("RGB", (9_000, 12_000), (40, 80, 120)).save(path, compress_level=1)
    script = (
        "import json, resource, sys\nfrom rscovlm.rasters import open_image\n"
        "open_image(sys.argv[2]).read((0, 0, 64, 64))\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "image = open_image(sys.argv[1], tiled=True).read((8000, 11000, 8064, 11064))\n"
        "print(json.dumps([(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024]))"
    )
    small = FILES["png"](tmp_path)
    done = subprocess.run(
        [sys.executable, "-c", script, str(path), str(small)], capture_output=True, text=True, check=True
    )
    # The pixels are 309 MB; a strip of 256 rows has 7.
    assert json.loads(done.stdout)[0] < 150
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss > 0
