"""Archives: ordinary ones unpack whole, hostile ones are refused before anything is written."""

from __future__ import annotations

import io
import lzma
import os
import shutil
import struct
import tarfile
import time
import tracemalloc
import unicodedata
import zipfile
from pathlib import Path

import pytest

from rscovlm.data.archives import unpack, unpack_all

FILES = {"images/a.png": b"a" * 3000, "images/deep/b.png": b"b", "labels.json": b"{}"}


def _zip(path: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as pack:
        for name, data in files.items():
            pack.writestr(name, data)
    return path


def _tar(path: Path, files: dict[str, bytes], *extra: tarfile.TarInfo, mode: str = "w:gz") -> Path:
    with tarfile.open(path, mode) as tape:  # type: ignore[call-overload]
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tape.addfile(info, io.BytesIO(data))
        for info in extra:
            tape.addfile(info)
    return path


@pytest.mark.parametrize("kind", ["zip", "w:", "w:gz", "w:xz"])
def test_ordinary_archives_unpack(tmp_path: Path, kind: str) -> None:
    archive = _zip(tmp_path / "a.zip", FILES) if kind == "zip" else _tar(tmp_path / "a.tar", FILES, mode=kind)
    assert unpack(archive, tmp_path / "out") == list(FILES)
    assert {name: (tmp_path / "out" / name).read_bytes() for name in FILES} == FILES
    with pytest.raises(FileExistsError, match="already in"):
        unpack(archive, tmp_path / "out")


@pytest.mark.parametrize("kind", ["zip", "w:gz"])
def test_folders_that_an_archive_does_not_list_are_made(tmp_path: Path, kind: str) -> None:
    files = {"one/two/three/d.bin": b"d" * 9, "one/e.bin": b"e"}
    archive = _zip(tmp_path / "a.zip", files) if kind == "zip" else _tar(tmp_path / "a.tar", files)
    assert unpack(archive, tmp_path / "not" / "there" / "yet") == list(files)
    assert (tmp_path / "not/there/yet/one/two/three/d.bin").read_bytes() == b"d" * 9


@pytest.mark.parametrize(
    "name",
    ["../evil", "/etc/evil", "a/../../evil", "C:\\evil", "a\\..\\..\\evil", "file://evil", "vsizip/evil", "~/evil"],
)
@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_names_that_leave_the_folder_are_refused(tmp_path: Path, name: str, kind: str) -> None:
    files = {"good.png": b"x", name: b"evil"}
    archive = _zip(tmp_path / "a.zip", files) if kind == "zip" else _tar(tmp_path / "a.tar.gz", files)
    with pytest.raises(ValueError, match="member"):
        unpack(archive, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert not list(tmp_path.rglob("*evil*"))


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE])
def test_links_and_devices_are_refused(tmp_path: Path, kind: bytes) -> None:
    info = tarfile.TarInfo("link")
    info.type, info.linkname = kind, "../../etc/passwd"
    archive = _tar(tmp_path / "a.tar.gz", {"good.png": b"x"}, info)
    with pytest.raises(ValueError, match="'link' is"):
        unpack(archive, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_links_in_zip_files_are_refused(tmp_path: Path) -> None:
    info = zipfile.ZipInfo("link")
    info.external_attr = 0o120777 << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as pack:
        pack.writestr(info, "/etc/passwd")
    with pytest.raises(ValueError, match="a link"):
        unpack(tmp_path / "a.zip", tmp_path / "out")


def test_a_link_already_in_the_folder_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "out" / "images").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ValueError, match="through a link"):
        unpack(_zip(tmp_path / "a.zip", FILES), tmp_path / "out")
    assert not list((tmp_path / "elsewhere").iterdir())


def test_bombs_and_repeats_are_refused(tmp_path: Path) -> None:
    bomb = _zip(tmp_path / "bomb.zip", {"zeros.png": bytes(64 << 20)})
    assert bomb.stat().st_size < 100_000
    with pytest.raises(ValueError, match="unpacks to 67108864 bytes"):
        unpack(bomb, tmp_path / "out")
    with pytest.raises(ValueError, match="3 members, more than 2"):
        unpack(_zip(tmp_path / "a.zip", FILES), tmp_path / "out", max_members=2)
    with zipfile.ZipFile(tmp_path / "twice.zip", "w") as pack:
        pack.writestr("a.png", "1")
        with pytest.warns(UserWarning, match="Duplicate"):
            pack.writestr("a.png", "2")
    with pytest.raises(ValueError, match="comes twice"):
        unpack(tmp_path / "twice.zip", tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("data", [b"", b"no archive", b"PK\x03\x04broken", b"\x1f\x8b\x08broken"])
def test_what_is_no_archive_says_so(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "a.tar.gz").write_bytes(data)
    with pytest.raises(ValueError, match=r"a\.tar\.gz is not an archive"):
        unpack(tmp_path / "a.tar.gz", tmp_path / "out")
    with pytest.raises(FileNotFoundError):
        unpack(tmp_path / "absent.zip", tmp_path / "out")


def _left(root: Path) -> list[str]:
    """List what is below a folder, archives aside."""
    return sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.suffix not in (".zip", ".gz"))


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["a", "a/b"], "lies in 'a', which is a file"),
        (["a/b", "a"], "is a file and, of 'a/b', a folder"),
        (["x/a.txt", "x/./a.txt"], "comes twice"),
        (["x/a.txt", "x//a.txt"], "comes twice"),
        (["x/a.txt", "./x/a.txt"], "comes twice"),
        (["Images/A.png", "images/a.PNG"], "the same file as 'Images/A.png'"),
        (["stra\u00dfe", "STRASSE"], "the same file"),
        ([unicodedata.normalize(form, "caf\u00e9.png") for form in ("NFC", "NFD")], "the same file"),
        (["A/b", "a"], "a folder"),
        (["."], "empty"),
        (["n" * 300], "longer than 255 bytes"),
        (["\u00e9" * 130], "longer than 255 bytes"),
        (["/".join(["d"] * 3000)], "path longer"),
    ],
)
@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_names_that_cannot_all_be_files_are_refused(tmp_path: Path, names: list[str], message: str, kind: str) -> None:
    if kind == "zip":
        with zipfile.ZipFile(tmp_path / "a.zip", "w") as pack:
            for name in ["good.png", *names]:
                pack.writestr(name, b"x")
    else:
        infos = [tarfile.TarInfo(name) for name in names]
        _tar(tmp_path / "a.tar.gz", {"good.png": b"x"}, *infos)
    (archive,) = tmp_path.iterdir()
    with pytest.raises(ValueError, match=message):
        unpack(archive, tmp_path / "out")
    assert _left(tmp_path) == []


def _patched(path: Path, marks: dict[bytes, int], values: bytes) -> Path:
    """Write bytes into the last header of each kind, at an offset from its mark."""
    data = bytearray(path.read_bytes())
    for mark, offset in marks.items():
        at = data.rfind(mark) + offset
        data[at : at + len(values)] = values
    path.write_bytes(data)
    return path


def _damaged(tmp_path: Path, fault: str) -> Path:
    path = _zip(tmp_path / "a.zip", {"good.png": b"x", "bad.png": os.urandom(5000)})
    if fault == "password":
        return _patched(path, {b"PK\x01\x02": 8, b"PK\x03\x04": 6}, b"\x01")
    if fault == "strong encryption":
        return _patched(path, {b"PK\x01\x02": 8, b"PK\x03\x04": 6}, b"\x40")
    if fault == "method":
        return _patched(path, {b"PK\x01\x02": 10, b"PK\x03\x04": 8}, b"\x63")
    if fault == "pixels":
        return _patched(path, {b"PK\x03\x04": 2000}, b"\x00\x01\x02\x03")
    if fault == "other name within":
        return _patched(path, {b"PK\x03\x04": 30}, b"X")
    if fault == "smaller than it says":
        return _patched(path, {b"PK\x01\x02": 24}, struct.pack("<I", 6000))
    if fault == "larger than it says":
        return _patched(path, {b"PK\x01\x02": 24}, struct.pack("<I", 10))
    assert fault == "cut short"
    path.unlink()
    cut = _tar(tmp_path / "a.tar", {"good.png": b"x", "bad.png": os.urandom(5000)}, mode="w:")
    cut.write_bytes(cut.read_bytes()[:3000])
    return cut.rename(tmp_path / "a.tar.gz")


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("password", "'bad.png' is encrypted"),
        ("strong encryption", "'bad.png' is encrypted"),
        ("method", "'bad.png' is packed by method 99"),
        ("pixels", "not an archive that can be read"),
        ("other name within", "not an archive that can be read"),
        ("smaller than it says", "shorter than the 6000 bytes"),
        ("larger than it says", "not an archive that can be read"),
        ("cut short", "not an archive that can be read"),
    ],
)
@pytest.mark.parametrize("there", [False, True])
def test_damage_leaves_nothing_behind(tmp_path: Path, fault: str, message: str, there: bool) -> None:
    archive = _damaged(tmp_path, fault)
    if there:
        (tmp_path / "out").mkdir()
        (tmp_path / "out" / "mine.txt").write_text("mine")
    before = _left(tmp_path)
    with pytest.raises(ValueError, match=message):
        unpack(archive, tmp_path / "out")
    assert _left(tmp_path) == before


def test_several_archives_are_unpacked_together_or_not_at_all(tmp_path: Path) -> None:
    first = _zip(tmp_path / "first.zip", {"a/one.png": b"1"})
    second = _tar(tmp_path / "second.tar.gz", {"a/two.png": b"2"})
    again = _zip(tmp_path / "again.zip", {"A/ONE.png": b"3"})
    evil = _zip(tmp_path / "evil.zip", {"../evil": b"4"})
    for last in (again, evil, _damaged(tmp_path, "pixels")):
        with pytest.raises(ValueError, match=last.name):
            unpack_all([first, second, last], tmp_path / "out")
        assert _left(tmp_path) == []
    assert unpack_all([first, second], tmp_path / "out") == [["a/one.png"], ["a/two.png"]]
    assert _left(tmp_path) == ["out", "out/a", "out/a/one.png", "out/a/two.png"]


def test_a_full_disk_or_a_file_in_the_way_leaves_nothing_behind(tmp_path: Path) -> None:
    archive = _zip(tmp_path / "a.zip", FILES)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "images").write_text("a file")
    with pytest.raises(ValueError, match="needs the folder"):
        unpack(archive, tmp_path / "out")
    assert _left(tmp_path) == ["out", "out/images"]
    with pytest.raises(ValueError, match="are free"):
        size = shutil.disk_usage(tmp_path).free + (1 << 30)
        unpack(_huge(tmp_path / "huge.tar", size), tmp_path / "new", max_bytes=1 << 60)
    assert not (tmp_path / "new").exists()


def test_what_went_meanwhile_does_not_hide_why_nothing_was_unpacked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = _zip(tmp_path / "a.zip", {"a.png": b"a", "b.png": b"b"})
    rename = os.rename

    def full(source: Path, target: Path) -> None:
        if Path(target).name == "b.png":
            (Path(target).parent / "a.png").unlink()
            raise OSError("the disk is full")
        rename(source, target)

    monkeypatch.setattr(os, "rename", full)
    with pytest.raises(OSError, match="the disk is full"):
        unpack(archive, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def _huge(path: Path, size: int) -> Path:
    """Write a tar that claims a member of this size, sparse on the disk."""
    info = tarfile.TarInfo("huge.png")
    info.size = size // 512 * 512
    with path.open("wb") as file:
        file.write(info.tobuf())
        file.truncate(512 + size + 2048)
    return path


@pytest.mark.parametrize("header", [False, True])
def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path: Path, header: bool) -> None:
    info = tarfile.TarInfo("././@PaxHeader" if header else "zeros.png")
    info.size, info.type = 200_000_000, tarfile.XHDTYPE if header else tarfile.REGTYPE
    with lzma.open(tmp_path / "a.tar.xz", "wb", preset=0) as file:
        file.write(info.tobuf())
        for _ in range(200):
            file.write(bytes(1_000_000))
        file.write(bytes(2048))
    tracemalloc.start()
    begun = time.process_time()
    with pytest.raises(ValueError, match="200000(000|512) bytes"):
        unpack(tmp_path / "a.tar.xz", tmp_path / "out")
    spent, (_, peak) = time.process_time() - begun, tracemalloc.get_traced_memory()
    tracemalloc.stop()
    # Unpacking all of it takes 0.5 s and more.
    assert spent < 0.2 and peak < 20_000_000
    assert not (tmp_path / "out").exists()


def test_a_tar_that_ends_with_a_zip_is_a_tar(tmp_path: Path) -> None:
    inner = _zip(tmp_path / "inner.zip", {"b.png": b"b"}).read_bytes()
    archive = _tar(tmp_path / "a.tar", {"a.png": b"a", "inner.zip": inner}, mode="w:")
    assert unpack(archive, tmp_path / "out") == ["a.png", "inner.zip"]
