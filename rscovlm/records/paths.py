"""Paths written in annotation files: data, never trusted."""

from __future__ import annotations

import re
from hashlib import sha256
from pathlib import Path

from rscovlm.records.tally import Rejected

# A scheme (`file://`, `s3://`, `data:`), a drive letter (`C:`), or one of GDAL's virtual file systems (`/vsizip/`, `/vsicurl/`).
_SCHEME = re.compile(r"^[A-Za-z][A-Za-z0-9+.\-]*:")
_VIRTUAL = re.compile(r"(^|[/\\])vsi[a-z0-9]+([_/\\]|$)", re.IGNORECASE)
_LONGEST = 200  # bytes: file systems take 255 with the ending
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def check_relative(path: str) -> str:
    r"""Return `path` unchanged if it names a file below some root, without touching the disk.

    Raises:
        ValueError: `path` is empty or absolute, climbs with `..`, has a URL scheme or drive letter, a backslash, a control character, or
            names a GDAL virtual file system.

    >>> check_relative("images/P0001.png")
    'images/P0001.png'
    >>> check_relative("../secret.png")
    Traceback (most recent call last):
    ...
    rscovlm.records.tally.Rejected: path '../secret.png' climbs out of its root with '..'; write paths relative to the data folder
    """
    reason = _reason(path)
    if reason:
        raise Rejected("unsafe path", f"path {path!r} {reason}; write paths relative to the data folder")
    return path


def file_name(text: str) -> str:
    """Give a text, such as a record's id, as the name of one file on any system; two texts never share one.

    Characters that cannot stand in a name are written as `%` and their bytes; a name that would be too long ends in a digest.

    >>> file_name("P0001__512__0___0"), file_name("../a:b")
    ('P0001__512__0___0', '%2E.%2Fa%3Ab')
    """
    name = "".join(
        sign if sign.isprintable() and sign not in '/\\:*?"<>|%' else "".join(map("%{:02X}".format, _bytes(sign)))
        for sign in text
    )
    name = f"%2E{name[1:]}" if name.startswith(".") else name
    if len(_bytes(name)) > _LONGEST:
        name = f"{_bytes(name)[:_LONGEST].decode(errors='ignore')}%~{sha256(_bytes(text)).hexdigest()[:20]}"
    return name


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def below(folder: str, path: str) -> str:
    """Give the place of `path`, as an annotation writes it, below a folder; checked before it is joined, which would hide a slash in front.

    Raises:
        ValueError: `path` is unsafe; see `check_relative`.

    >>> below("images", "a.png"), below("", "a.png")
    ('images/a.png', 'a.png')
    """
    name = check_relative(path)
    return f"{folder}/{name}" if folder not in ("", ".") else name


def _reason(path: object) -> str:
    if not isinstance(path, str):
        return "is no text"
    if not path:
        return "is empty"
    if _CONTROL.search(path):
        return "has a control character"
    if "\\" in path:
        return "has a backslash"
    if path.startswith(("/", "~")):
        return "is absolute"
    if _SCHEME.match(path):
        return "has a URL scheme or a drive letter"
    if ".." in path.split("/"):
        return "climbs out of its root with '..'"
    if _VIRTUAL.search(path):
        return "names a GDAL virtual file system"
    return ""


def within(root: str | Path, path: str) -> Path:
    """Join `path`, as a file of others writes it, to `root`; the file need not be there.

    Raises:
        ValueError: `path` is not a plain relative path (see `check_relative`), or a symbolic link in it leads out of `root`.
    """
    base, place = Path(root).resolve(), Path(root) / check_relative(path)
    if not place.resolve().is_relative_to(base):
        raise Rejected(
            "unsafe path",
            f"path {path!r} leads out of {str(root)!r} through a link; copy the file into the data folder",
        )
    return place


def resolve(root: str | Path, path: str) -> Path:
    """Find the file `path` under `root`, following no link that leaves `root`.

    Raises:
        ValueError: `path` is not a plain relative path (see `check_relative`), or a symbolic link in it leads out of `root`.
        FileNotFoundError: there is no such file.
    """
    found = within(root, path).resolve()
    if not found.is_file():
        raise FileNotFoundError(
            f"no file {path!r} under {str(root)!r}; check the data folder and the path in the annotation"
        )
    return found
