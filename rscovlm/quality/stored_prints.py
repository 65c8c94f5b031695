"""Fingerprints on disk: pictures that were looked at before are not read again."""

from __future__ import annotations

import base64
import json
import os
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import numpy as np
from PIL import Image

from rscovlm.quality.fingerprints import FINE, SIDE, Print, fingerprint
from rscovlm.records import ImageRef
from rscovlm.records.paths import resolve
from rscovlm.zoom.journal import Journal

LOOKS = "looks"
"""Kind of the file."""

VERSION = 1
"""Of how fingerprints are taken; a file of another one is refused."""

TOGETHER = 64
"""Fingerprints that are written at once: as many are lost when the process is killed."""


class StoredPrints:
    """A file of fingerprints, one line a picture, to which new ones are added.

    A picture is known by its path, window and bands, and its file by size and time of change; pictures inside of records
    by their bytes. Only keys and places in the file are in memory.

    Args:
        path: The file; made where absent.

    Raises:
        ValueError: It is another file, or is being written by another process.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._journal = Journal(path, {"version": VERSION}, kind=LOOKS, what="fingerprints of another version")
        self._places = {row["id"]: place for place, row in self._journal.placed()}
        self._new: list[dict[str, Any]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._flush()
        finally:
            self._journal.close()

    def of(self, image: ImageRef, root: Path, load: Callable[[], Image.Image]) -> Print:
        """Return a picture's fingerprint, taken now where it is not stored.

        Args:
            image: The picture.
            root: Folder of its path.
            load: Reads it.

        Raises:
            FileNotFoundError: Its file is missing.
            ValueError: It cannot be read.
        """
        key = _key(image, root)
        stored = self._stored(key)
        if stored is not None:
            return stored
        made = fingerprint(load())
        self._new.append({"id": key, **_row(made)})
        if len(self._new) >= TOGETHER:
            self._flush()
        return made

    def _stored(self, key: str) -> Print | None:
        if key not in self._places:
            return None
        with self._journal.path.open("rb") as file:
            file.seek(self._places[key])
            line = file.readline()
        try:
            return _print(json.loads(line))
        except (ValueError, zlib.error):  # a line that somebody changed
            return None

    def _flush(self) -> None:
        self._journal.append(self._new)
        self._new = []


def _key(image: ImageRef, root: Path) -> str:
    about: list[Any] = [image.path, image.parent, image.window, image.bands]
    if image.data is not None:
        about.append(f"{zlib.crc32(image.data)} {len(image.data)}")
    else:
        found = resolve(root, image.path or image.parent).stat()
        about += [found.st_size, found.st_mtime_ns]
    return json.dumps(about, separators=(",", ":"))


def _row(made: Print) -> dict[str, Any]:
    return {
        "digest": made.digest,
        "bits": made.bits,
        "look": _packed(made.look.astype("<f4").tobytes()),
        "fine": _packed(made.fine.tobytes()),
    }


def _print(row: Any) -> Print:
    """Read a line.

    Raises:
        ValueError: It does not hold a fingerprint.
    """
    texts = [row.get(name) for name in ("digest", "look", "fine")] if isinstance(row, dict) else [None]
    if not all(isinstance(text, str) for text in texts) or type(row.get("bits")) is not int:
        raise ValueError("it does not hold a fingerprint")
    look = np.frombuffer(_unpacked(row["look"], 4 * SIDE * SIDE), "<f4").astype(np.float32).reshape(SIDE, SIDE)
    fine = np.frombuffer(_unpacked(row["fine"], FINE * FINE), np.int8).reshape(FINE, FINE)
    return Print(row["digest"], row["bits"], look, fine)


def _packed(data: bytes) -> str:
    return base64.b64encode(zlib.compress(data, 1)).decode()


def _unpacked(text: str, size: int) -> bytes:
    """Return so many bytes, whatever a line claims.

    Raises:
        ValueError: They are not as many.
    """
    data = zlib.decompressobj().decompress(base64.b64decode(text, validate=True), size + 1)
    if len(data) != size:
        raise ValueError(f"{len(data)} bytes, not {size}")
    return data
