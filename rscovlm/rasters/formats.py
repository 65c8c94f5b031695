"""Tell what a file is from its first bytes."""

from __future__ import annotations

import struct

from rscovlm.rasters.errors import RasterError

ENDINGS = {
    "tiff": (".tif", ".tiff", ".gtiff", ".geotiff", ".gtif", ".btf", ".cog", ".ovr"),
    "png": (".png",),
    "jpeg": (".jpg", ".jpeg", ".jpe", ".jfif", ".mpo"),
    "jp2": (".jp2", ".j2k", ".jpx", ".j2c", ".jpf"),
    "webp": (".webp",),
    "bmp": (".bmp", ".dib"),
    "gif": (".gif",),
    "vrt": (".vrt",),
}
"""Formats read, each with the endings of names it usually has."""

MARKS = (
    (b"II*\0", "tiff"),
    (b"MM\0*", "tiff"),
    (b"II+\0", "tiff"),
    (b"MM\0+", "tiff"),
    (b"\x89PNG\r\n\x1a\n", "png"),
    (b"\xff\xd8\xff", "jpeg"),
    (b"\0\0\0\x0cjP  \r\n\x87\n", "jp2"),
    (b"\xff\x4f\xff\x51", "jp2"),
    (b"BM", "bmp"),
    (b"GIF87a", "gif"),
    (b"GIF89a", "gif"),
)


NOT_TURNED = "its EXIF orientation is not applied: coordinates count the pixels as they are stored"


def first_of(pictures: int | str) -> str:
    """Say that a file holds several pictures."""
    return f"it holds {pictures} pictures, of which the first is read; save the others as files of their own"


def sniff(head: bytes, name: str) -> str:
    """Return the format of a file, a key of `ENDINGS`.

    Args:
        head: Its first bytes, a few hundred at least.
        name: What messages call it.

    Raises:
        RasterError: It is empty or nothing we read.

    Example:
        >>> sniff(b"II*" + bytes(9), "scene.tif")
        'tiff'
    """
    if not head:
        raise RasterError(f"{name} is empty (0 bytes); copy or download it again")
    for mark, kind in MARKS:
        if head.startswith(mark):
            return kind
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "webp"
    if b"<VRTDataset" in head[:4096]:
        return "vrt"
    raise RasterError(
        f"{name} is not an image of a kind that is read ({', '.join(ENDINGS)}): it begins with {head[:12]!r}; "
        "convert it to one of these"
    )


def png_header(head: bytes, name: str) -> tuple[int, int, int, int]:
    """Return width, height, bits a channel and colour type of a PNG from its first 33 bytes.

    Raises:
        RasterError: The header is cut short or not one.
    """
    if len(head) < 33 or head[12:16] != b"IHDR":
        raise RasterError(f"{name}: its PNG header is damaged or cut short; copy or download it again")
    width, height, depth, colour = struct.unpack(">IIBB", head[16:26])
    return width, height, depth, colour


def jp2_header(head: bytes) -> tuple[int, int, bool]:
    """Return bands, bits of the first, and whether one is said to be opacity, of a JPEG 2000 file.

    Args:
        head: Its first bytes, some thousands; 0 bands where they hold no size marker.
    """
    start = head.find(b"\xff\x4f\xff\x51")
    if start < 0 or len(head) < start + 43:
        return 0, 0, False
    bands, bits = struct.unpack(">HB", head[start + 40 : start + 43])
    told = head.find(b"cdef", 0, start)
    count = int.from_bytes(head[told + 4 : told + 6], "big") if told >= 0 else 0
    kinds = [head[told + 8 + 6 * k : told + 10 + 6 * k] for k in range(min(count, bands))]
    return bands, (bits & 127) + 1, any(kind in (b"\0\1", b"\0\2") for kind in kinds)
