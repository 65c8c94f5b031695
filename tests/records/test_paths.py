"""Annotation files name images: nothing they say may lead out of the data folder."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote

import pytest

from rscovlm.records.paths import check_relative, file_name, resolve

HOSTILE = [
    "",
    "/etc/passwd",
    "//host/share/a.png",
    "../a.png",
    "images/../../a.png",
    "images/..",
    "~/a.png",
    "~root/a.png",
    "file:///etc/passwd",
    "FILE:///etc/passwd",
    "http://169.254.169.254/latest",
    "s3://bucket/a.tif",
    "data:image/png;base64,AAAA",
    "C:\\a.png",
    "c:/a.png",
    "\\\\host\\share",
    "images\\..\\a.png",
    "a\x00.png",
    "a\n.png",
    "vsicurl/https/x",
    "images/vsizip/a.zip",
]


@pytest.mark.parametrize("path", HOSTILE)
def test_hostile_paths_are_refused_by_name(path: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="path "):
        check_relative(path)
    with pytest.raises(ValueError, match="path "):
        resolve(tmp_path, path)


@pytest.mark.parametrize(
    "path", ["a.png", "images/P0001 (1).tif", "a..b/c.png", "..a/b.png", "vs/i.png", "Ünïcode/図.png"]
)
def test_ordinary_names_pass_unchanged(path: str, tmp_path: Path) -> None:
    (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / path).touch()
    assert check_relative(path) == path
    assert resolve(tmp_path, path) == (tmp_path / path).resolve()


def test_links_may_not_leave_the_root_and_missing_files_say_so(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (tmp_path / "outside.png").touch()
    (root / "link.png").symlink_to(tmp_path / "outside.png")
    (root / "inside.png").touch()
    (root / "alias.png").symlink_to(root / "inside.png")
    assert resolve(root, "alias.png").name == "inside.png"
    with pytest.raises(ValueError, match="leads out"):
        resolve(root, "link.png")
    with pytest.raises(FileNotFoundError, match="absent.png"):
        resolve(root, "absent.png")


def test_names_of_files_are_the_texts_with_odd_bytes_written_out(tmp_path: Path) -> None:
    texts = [
        "P0001__512",
        "a/b",
        "a:b",
        "a%b",
        "%2E",
        ".",
        "..",
        ".hidden",
        "a\\b",
        "x\ty",
        "\ud800",
        "Ünï 図",
        "q" * 400,
        "q" * 401,
        "图" * 200,
        "图" * 201,
    ]
    names = [file_name(text) for text in texts]
    assert names[0] == "P0001__512"
    # What is written out is the percent-encoding of the bytes.
    for text, name in zip(texts[1:12], names[1:12], strict=True):
        assert unquote(name, errors="surrogatepass") == text
    assert names[10] == "%ED%A0%80"
    assert len(set(names)) == len(texts)
    for name in names:
        assert len(name.encode()) <= 255
        (tmp_path / name).touch()
    assert len(list(tmp_path.iterdir())) == len(texts)
