"""One strip or tile of a TIFF: bytes to numbers, never more of them than the block holds."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import JpegImagePlugin, TiffImagePlugin

NONE, JPEG = 1, 7
DEFLATE = (8, 32946)
THROUGH_PILLOW = {5: "LZW", 32773: "PackBits", 34925: "LZMA", 50000: "Zstandard"}
COMPRESSIONS = (NONE, *DEFLATE, JPEG, *THROUGH_PILLOW)
JPEG_TABLES = 347


def packed(page: Any) -> bool:
    """Tell whether samples are whole numbers of 9 to 15 bits, stored without gaps (cameras and satellites have 12)."""
    plain = page.predictor == 1 and page.compression != JPEG and page.sampleformat == 1
    return bool(plain and 8 < page.bitspersample < 16)


def decode(data: bytes, page: Any, shape: tuple[int, int, int], index: int) -> NDArray[Any]:
    """Return (rows, width, samples) numbers of a block.

    Args:
        data: The block as stored.
        page: The directory (tifffile's page) it belongs to.
        shape: Rows, width and samples it must have.
        index: Its number, for messages.

    Raises:
        ValueError: It holds another number of bytes.
    """
    if page.compression == JPEG:
        return _jpeg(data, page.tags.valueof(JPEG_TABLES), shape, index)
    each = int(page.bitspersample)
    if each == 1 or packed(page):
        row = (shape[1] * shape[2] * each + 7) // 8
        stored = np.frombuffer(_inflated(data, page, shape[0], row, index), dtype=np.uint8).reshape(shape[0], row)
        ones = np.unpackbits(stored, axis=1)[:, : shape[1] * shape[2] * each]
        if each == 1:
            return ones.reshape(shape)
        places = (1 << np.arange(each)[::-1]).astype(np.uint16)
        numbers: NDArray[Any] = (ones.reshape(*shape, each) * places).sum(axis=-1, dtype=np.uint16)
        return numbers
    dtype = np.dtype(page.dtype)
    raw = _inflated(data, page, shape[0], shape[1] * shape[2] * dtype.itemsize, index)
    if page.predictor == 3:
        return _float_predictor(raw, shape, dtype)
    numbers = (
        np.frombuffer(raw, dtype=dtype.newbyteorder(page.parent.byteorder)).reshape(shape).astype(dtype, copy=False)
    )
    if page.predictor == 2:  # differences of the bits, whatever these stand for
        bits = np.dtype(f"u{dtype.itemsize}")
        return np.cumsum(numbers.view(bits), axis=1, dtype=bits).view(dtype)
    if page.predictor != 1:
        raise ValueError(f"predictor {page.predictor} is not known")
    return numbers


def _inflated(data: bytes, page: Any, rows: int, row: int, index: int) -> bytes:
    """Return the bytes of a block of so many rows of so many bytes."""
    size = rows * row
    if page.compression in THROUGH_PILLOW:
        raw = _through_pillow(data, int(page.compression), rows, row, index)
    else:
        raw = zlib.decompressobj().decompress(data, size) if page.compression in DEFLATE else data[:size]
    if len(raw) < size:
        raise ValueError(f"block {index} holds {len(raw):,} of {size:,} bytes")
    return raw


def _through_pillow(data: bytes, compression: int, rows: int, row: int, index: int) -> bytes:
    """Unpack a block as the only strip of a TIFF of plain bytes, which Pillow's libtiff knows how to read."""
    tags = [(256, row), (257, rows), (258, 8), (259, compression), (262, 1), (273, 122), (277, 1), (278, rows)]
    tags.append((279, len(data)))
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
    file = b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + bytes(4) + data
    try:
        return TiffImagePlugin.TiffImageFile(io.BytesIO(file)).tobytes()
    except (OSError, SyntaxError, ValueError) as error:
        raise ValueError(f"block {index} of {THROUGH_PILLOW[compression]} cannot be unpacked: {error}") from error


def _float_predictor(raw: bytes, shape: tuple[int, int, int], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Undo TIFF's predictor 3: bytes of equal rank lie together, most significant first, each row as differences."""
    rows, width, samples = shape
    planes = np.frombuffer(raw, dtype=np.uint8).reshape(rows, dtype.itemsize * width, samples)
    summed = np.cumsum(planes, axis=1, dtype=np.uint8).reshape(rows, dtype.itemsize, width * samples)
    ordered = np.ascontiguousarray(np.moveaxis(summed, 1, 2))
    return ordered.view(dtype.newbyteorder(">")).reshape(shape).astype(dtype)


def _jpeg(data: bytes, tables: bytes | None, shape: tuple[int, int, int], index: int) -> NDArray[Any]:
    whole = data if tables is None else tables[:-2] + data[2:]
    image = JpegImagePlugin.JpegImageFile(io.BytesIO(whole))
    rows, width, samples = shape
    if image.width != width or image.height < rows or image.mode != {1: "L", 3: "RGB"}.get(samples):
        raise ValueError(
            f"block {index} holds {image.width}x{image.height} {image.mode}, not {width}x{rows} of {samples}"
        )
    array = np.asarray(image)
    return array[:rows].reshape(shape)
