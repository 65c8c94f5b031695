"""Telling images apart without reading all of them."""

from __future__ import annotations

import hashlib
import io
import os
from typing import Any, BinaryIO

from PIL import Image

PIECE = 65536
"""Bytes read at the beginning, middle and end of a file."""


def fingerprint(source: Any) -> str | None:
    """Return 16 hexadecimal digits of a file's size and three of its pieces; ``None`` for what is no file.

    Args:
        source: A path, or the bytes of a file.

    Example:
        >>> fingerprint(b"a picture") == fingerprint(b"a picture") != fingerprint(b"a pictures")
        True
    """
    if isinstance(source, (bytes, bytearray, memoryview)):
        return _of(io.BytesIO(source))
    if not isinstance(source, (str, os.PathLike)):
        return None
    with open(source, "rb") as file:
        return _of(file)


def print_of(picture: Image.Image) -> str:
    """Return 16 hexadecimal digits of a picture's pixels."""
    return hashlib.sha256(repr(picture.size).encode() + picture.tobytes()).hexdigest()[:16]


def _of(file: BinaryIO) -> str:
    size = file.seek(0, os.SEEK_END)
    found = hashlib.sha256(str(size).encode())
    for place in (0, size // 2, max(0, size - PIECE)):
        file.seek(place)
        found.update(file.read(PIECE))
    return found.hexdigest()[:16]
