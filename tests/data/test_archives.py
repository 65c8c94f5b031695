"""Archives: ordinary ones unpack whole, hostile ones are refused before anything is written."""

from __future__ import annotations

import io
import tarfile
import zipfile
from pathlib import Path

import pytest

from rscovlm.data.archives import unpack

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
