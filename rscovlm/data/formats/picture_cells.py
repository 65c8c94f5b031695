"""One picture as a cell of a row holds it: a path, an address inside the file, bytes, an `Image` of `datasets`, a Pillow image."""

from __future__ import annotations

import base64
import binascii
import io
import os
import re
from collections.abc import Mapping
from typing import Any

from PIL import Image

from rscovlm.records.record import ImageRef
from rscovlm.records.rows import Row, as_text, as_whole
from rscovlm.records.tally import Rejected

_DATA = re.compile(r"data:image/[\w.+-]+;base64,")
_PLACES = ("image", "image_url", "url", "path", "base64")


def picture_cell(cell: Any) -> ImageRef:
    """Refer to the picture of a cell or of a content block.

    Raises:
        ValueError: It holds none, or names one by an address of the network.

    >>> picture_cell({"bytes": None, "path": "a.png"}).path, picture_cell("file://a.png").path
    ('a.png', 'a.png')
    """
    if isinstance(cell, str):
        return _named(cell)
    if isinstance(cell, os.PathLike):
        return ImageRef(os.fspath(cell))
    if isinstance(cell, (bytes, bytearray, memoryview)):
        return ImageRef(data=bytes(cell))
    if isinstance(cell, Image.Image):
        return _encoded(cell)
    if not isinstance(cell, Mapping):
        raise Rejected(
            "unsupported image",
            f"an image is a {type(cell).__name__}; a path, bytes, their dict or a Pillow image is read",
        )
    row = Row(cell)
    size = {side: as_whole(row.get(side) or 0, repr(side)) for side in ("width", "height")}
    data = row.get("bytes")
    if isinstance(data, str):
        ref = ImageRef(data=_decoded(data))
    elif isinstance(data, bytes):
        ref = ImageRef(data=data)
    else:
        place = next((key for key in _PLACES if row.get(key) is not None), None)
        if place is None:
            raise Rejected("missing image", f"an image cell has only {', '.join(map(repr, row)) or 'nothing'}")
        ref = ImageRef(data=_decoded(row.text(place))) if place == "base64" else picture_cell(row[place])
    return ImageRef(ref.path, ref.data, size["width"] or ref.width, size["height"] or ref.height)


def _named(text: str) -> ImageRef:
    inline = _DATA.match(text)
    if inline:
        return ImageRef(data=_decoded(text[inline.end() :]))
    if text.startswith(("http://", "https://")):
        raise Rejected(
            "image on the network",
            f"image {text[:80]!r} has the scheme of the network; download it and write its path relative to the data folder",
        )
    return ImageRef(as_text(text, "an image").removeprefix("file://"))


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise Rejected("missing image", f"an image is not base64 ({error}): {text[:40]!r}") from error


def _encoded(image: Image.Image) -> ImageRef:
    """Keep a decoded picture as PNG, which loses nothing."""
    file = io.BytesIO()
    known = image.mode in ("1", "L", "LA", "P", "RGB", "RGBA", "I;16", "I")
    (image if known else image.convert("RGB")).save(file, "PNG")
    return ImageRef(data=file.getvalue(), width=image.width, height=image.height)
