"""Overviews of large files are kept in the user's own folder, and nowhere that somebody else may write."""

import json
import logging
import os
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from rscovlm.rasters import PixelLimits, cache, open_image, opening, sampling, user_cache
from tests.rasters.files import write_tiff
from tests.rasters.test_cache import SIZE, reads
from tests.rasters.test_raster import picture

LIMITS = PixelLimits(small=100_000)


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for copies, and sizes at which a megapixel is large."""
    monkeypatch.setattr(sampling, "PIECE", 100_000)
    monkeypatch.setattr(cache, "KEPT", 700_000)
    monkeypatch.setattr(opening, "LARGE", 500_000)
    monkeypatch.setenv("RSCOVLM_CACHE", str(tmp_path / "kept"))
    return tmp_path / "kept"


def _scene(path: Path, seed: int = 0) -> Path:
    array = np.roll(np.tile(picture(200, 200), (4, 5, 1)), 7 * seed, axis=0)
    return write_tiff(path, array, tiled=True, blockxsize=128, blockysize=128)


def test_a_large_file_is_read_once_whoever_opens_it(
    kept: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene = _scene(tmp_path / "scene.tif")
    first = open_image(scene, limits=LIMITS)
    shown = np.asarray(first.overview(size=SIZE).image)
    (stored,) = kept.iterdir()
    assert kept.stat().st_mode & 0o777 == 0o700
    assert any(str(kept) in note for note in first.notes)
    counted = reads(again := open_image(scene, limits=LIMITS), monkeypatch)
    assert np.array_equal(np.asarray(again.overview(size=SIZE).image), shown) and not counted
    stored.unlink()
    off = open_image(scene, limits=LIMITS, cache=False)
    assert np.array_equal(np.asarray(off.overview(size=SIZE).image), shown)
    monkeypatch.setenv("RSCOVLM_CACHE", "")
    open_image(scene, limits=LIMITS).overview(size=SIZE)
    assert not list(kept.iterdir())


def test_small_files_and_those_with_overviews_leave_nothing(kept: Path, tmp_path: Path) -> None:
    small = write_tiff(tmp_path / "small.tif", picture(300, 200))
    open_image(small, limits=LIMITS).overview(size=SIZE)
    rasterio = pytest.importorskip("rasterio")
    scene = _scene(tmp_path / "scene.tif")
    with rasterio.open(scene, "r+") as file:
        file.build_overviews([2, 4])
    open_image(scene, limits=LIMITS).overview(size=SIZE)
    assert not kept.exists() or not list(kept.iterdir())


def test_another_file_of_the_same_size_and_time_has_a_copy_of_its_own(kept: Path, tmp_path: Path) -> None:
    scene = _scene(tmp_path / "scene.tif")
    open_image(scene, limits=LIMITS).overview(size=SIZE)
    before = scene.stat()
    data = bytearray(scene.read_bytes())
    data[2000:6000] = bytes(4000)
    scene.write_bytes(data)
    os.utime(scene, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert scene.stat().st_size == before.st_size and scene.stat().st_mtime_ns == before.st_mtime_ns
    fresh = np.asarray(open_image(scene, limits=LIMITS, cache=False).overview(size=SIZE).image)
    assert np.array_equal(np.asarray(open_image(scene, limits=LIMITS).overview(size=SIZE).image), fresh)


def test_how_a_file_is_opened_chooses_the_copy(kept: Path, tmp_path: Path) -> None:
    scene = _scene(tmp_path / "scene.tif")
    for options in (
        {},
        {"nodata": 0},
        {"opaque": True},
        {"bands": (2,)},
        {"backend": "plain"},
        {"orientation": "stored"},
    ):
        shown = np.asarray(open_image(scene, limits=LIMITS, **options).overview(size=SIZE).image)
        fresh = open_image(scene, limits=LIMITS, cache=False, **options)
        assert np.array_equal(shown, np.asarray(fresh.overview(size=SIZE).image))


@pytest.mark.skipif(sys.platform == "win32", reason="folders have no such modes on Windows")
def test_a_folder_of_others_is_not_used(
    kept: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    scene = _scene(tmp_path / "scene.tif")
    kept.mkdir(mode=0o777)
    kept.chmod(0o777)
    with caplog.at_level(logging.WARNING):
        open_image(scene, limits=LIMITS).overview(size=SIZE)
    assert "other users may write to it" in caplog.text and not list(kept.iterdir())
    kept.chmod(0o700)
    monkeypatch.setattr(os, "getuid", lambda: kept.stat().st_uid + 1)
    assert user_cache.user_folder() is None
    monkeypatch.undo()
    (tmp_path / "link").symlink_to(kept)
    for place in (tmp_path / "link", scene):
        monkeypatch.setenv("RSCOVLM_CACHE", str(place))
        assert user_cache.user_folder() is None


def test_the_copies_stay_within_their_bound(kept: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scenes = [_scene(tmp_path / f"{number}.tif", number) for number in range(4)]
    open_image(scenes[0], limits=LIMITS).overview(size=SIZE)
    (first,) = kept.iterdir()
    monkeypatch.setattr(user_cache, "BOUND", int(3.5 * first.stat().st_size))
    (kept / "notes.txt").write_text("mine")
    for number, scene in enumerate(scenes[1:3], 1):
        open_image(scene, limits=LIMITS).overview(size=SIZE)
        os.utime(next(kept.glob(f"{number}.*")), (number, number))
    os.utime(first, (0, 0))
    open_image(scenes[0], limits=LIMITS).overview(size=SIZE)  # used last now
    open_image(scenes[3], limits=LIMITS).overview(size=SIZE)
    assert sorted(path.name.split(".")[0] for path in kept.iterdir()) == ["0", "2", "3", "notes"]


def test_a_copy_that_is_none_of_this_image_is_made_anew(
    kept: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene = _scene(tmp_path / "scene.tif")
    shown = np.asarray(open_image(scene, limits=LIMITS).overview(size=SIZE).image)
    (stored,) = kept.iterdir()
    with np.load(stored) as found:
        parts = dict(found)
    wrong: list[dict[str, object]] = [
        {"values": parts["values"][:, :3]},
        {"values": parts["values"][:1]},
        {"values": parts["values"].astype(np.complex64)},
        {"values": np.array([{"a": 1}], dtype=object)},
        {"factor": np.nan},
        {"factor": np.array([1.0, 2.0])},
        {"valid": np.ones((2, 2), np.float32)},
        {"key": json.dumps([1])},
    ]
    for change in wrong:
        np.savez(stored, **{**parts, **change})
        counted = reads(raster := open_image(scene, limits=LIMITS), monkeypatch)
        assert np.array_equal(np.asarray(raster.overview(size=SIZE).image), shown) and counted
    bomb = np.zeros((3, 8000, 4000), np.float32)
    with zipfile.ZipFile(stored, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("values.npy", bomb.tobytes())
    counted = reads(raster := open_image(scene, limits=LIMITS), monkeypatch)
    assert np.array_equal(np.asarray(raster.overview(size=SIZE).image), shown) and counted


def test_a_full_disk_costs_the_copy_alone(kept: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", full)
    scene = _scene(tmp_path / "scene.tif")
    assert open_image(scene, limits=LIMITS).overview(size=SIZE).image.size == SIZE
    assert not list(kept.iterdir())


@pytest.mark.parametrize("planar", ["contig", "separate"])
def test_blocks_decoded_together_are_those_decoded_one_by_one(
    planar: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tifffile = pytest.importorskip("tifffile")
    array = np.random.default_rng(0).integers(0, 255, (700, 900, 3), dtype=np.uint8)
    data = array if planar == "contig" else np.moveaxis(array, 2, 0)
    tifffile.imwrite(
        tmp_path / "a.tif", data, tile=(64, 64), compression="zlib", planarconfig=planar, photometric="rgb"
    )
    for cores in (1, 2, 7):
        monkeypatch.setattr(os, "sched_getaffinity", lambda _, cores=cores: set(range(cores)), raising=False)
        found = open_image(tmp_path / "a.tif", backend="plain").read((33, 65, 801, 699))
        assert np.array_equal(np.asarray(found.image), array[65:699, 33:801])
