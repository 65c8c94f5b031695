"""Tell what a file is from its first bytes."""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass

from rscovlm.rasters.errors import RasterError


@dataclass(frozen=True)
class ImageFormat:
    """A format of image files: how it is known, and what reads it.

    Attributes:
        name: What messages and readers call it.
        endings: Endings of names that it usually has.
        marks: How such files begin; a dot stands for any byte. None of them may begin a file of another format.
        driver: GDAL's name for it, where rasterio may read it.
        plugin: Pillow's module and class for it, where Pillow may.
        decoding: Bytes a pixel at the peak of decoding a picture whole, measured with 16 million pixels of each mode: the decoder's
            canvas, Pillow's own picture of four bytes a pixel, the converted one, and the array.
    """

    name: str
    endings: tuple[str, ...]
    marks: tuple[bytes, ...]
    driver: str | None = None
    plugin: tuple[str, str] | None = None
    decoding: int = 13

    def begins(self, head: bytes) -> bool:
        """Tell whether a file that begins so is of this format."""
        return any(re.match(mark, head, re.DOTALL) for mark in self.marks)


FORMATS = {
    one.name: one
    for one in (
        ImageFormat(
            "tiff",
            (".tif", ".tiff", ".gtiff", ".geotiff", ".gtif", ".btf", ".cog", ".ovr"),
            (rb"II[*+]\0", rb"MM\0[*+]"),
            "GTiff",
            ("TiffImagePlugin", "TiffImageFile"),
        ),
        ImageFormat("png", (".png",), (rb"\x89PNG\r\n\x1a\n",), "PNG", ("PngImagePlugin", "PngImageFile")),
        ImageFormat(
            "jpeg",
            (".jpg", ".jpeg", ".jpe", ".jfif", ".mpo"),
            (rb"\xff\xd8\xff",),
            "JPEG",
            ("JpegImagePlugin", "JpegImageFile"),
        ),
        ImageFormat(
            "jp2",
            (".jp2", ".j2k", ".jpx", ".j2c", ".jpf"),
            (rb"\0\0\0\x0cjP  \r\n\x87\n", rb"\xff\x4f\xff\x51"),
            "JP2OpenJPEG",
            ("Jpeg2KImagePlugin", "Jpeg2KImageFile"),
            decoding=20,
        ),
        ImageFormat("webp", (".webp",), (rb"RIFF....WEBP",), None, ("WebPImagePlugin", "WebPImageFile"), decoding=18),
        ImageFormat("bmp", (".bmp", ".dib"), (rb"BM",), None, ("BmpImagePlugin", "BmpImageFile")),
        ImageFormat("gif", (".gif",), (rb"GIF8[79]a",), None, ("GifImagePlugin", "GifImageFile")),
        # A text, which may begin with a declaration and comments.
        ImageFormat("vrt", (".vrt",), (rb".{0,4085}<VRTDataset",)),
    )
}
"""Formats read, by name."""

ENDINGS = {name: one.endings for name, one in FORMATS.items()}
"""Formats read, each with the endings of names it usually has."""

PICTURE_ENDINGS = tuple(end for name, ends in ENDINGS.items() if name != "vrt" for end in ends if end != ".ovr")
"""Endings of files in a folder that are pictures of their own: no overviews, nothing that names other files."""

NOT_TURNED = "its EXIF orientation is not applied: coordinates count the pixels as they are stored"


def first_of(pictures: int | str) -> str:
    """Say that a file holds several pictures."""
    return f"it holds {pictures} pictures, of which the first is read; save the others as files of their own"


def sniff(head: bytes, name: str) -> str:
    """Return the format of a file, a key of `FORMATS`.

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
    for kind, one in FORMATS.items():
        if one.begins(head):
            return kind
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
