"""The pictures of a request: data URIs, opened within limits; nothing is fetched."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator, Sequence
from typing import Any

from rscovlm.rasters import PixelLimits, Raster, open_image
from rscovlm.serving.refusals import BadRequest, RequestLimits

_DATA = re.compile(r"data:(?:image/[\w.+-]{1,64}|application/octet-stream);base64,", re.IGNORECASE | re.ASCII)
# Whatever a header claims is read, to say how much it is.
_ANY = PixelLimits(in_memory=2**62, sequential=2**62, streamed=2**62)
# Above, a PNG or JPEG is read in pieces, and a JPEG at the size that is needed, rather than decoded whole and kept.
_SMALL = 2**22


def open_pictures(urls: Sequence[Any], limits: RequestLimits) -> Iterator[Raster]:
    """Yield the images, of which all together may not have more pixels than allowed."""
    left = limits.pixels
    for url in urls:
        raster = _image(url, max(0, left))
        left -= raster.width * raster.height
        yield raster


def _image(url: Any, pixels: int) -> Raster:
    start = _DATA.match(url[:128]) if isinstance(url, str) else None
    if start is None:
        raise BadRequest("an image must be a data URI (data:image/png;base64,...); addresses are not fetched")
    try:
        data = base64.b64decode(url[start.end() :], validate=True)
    except (binascii.Error, ValueError) as error:
        raise BadRequest("an image's data URI is not base64") from error
    if b"<VRTDataset" in data[:4096]:
        raise BadRequest("an image is a GDAL virtual file, which names other files; send its pixels as a GeoTIFF")
    with _open(data, _ANY) as claimed:
        width, height = claimed.width, claimed.height
    if width * height > pixels:
        raise BadRequest(f"an image has {width}x{height} pixels; {pixels} are allowed in all of a request", 413)
    most = min(pixels, PixelLimits().in_memory)
    return _open(data, PixelLimits(in_memory=most, sequential=pixels, streamed=pixels, small=min(_SMALL, most)))


def _open(data: bytes, limits: PixelLimits) -> Raster:
    try:
        return open_image(data, limits=limits)
    except ValueError as error:
        raise BadRequest(f"an image cannot be read: {error}") from error
