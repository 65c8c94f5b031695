"""Files of every format that is opened, with references to other files planted where GDAL and PROJ look for them."""

from __future__ import annotations

import functools
import io
import struct
import tempfile
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape, quoteattr

import numpy as np
import tifffile
from PIL import Image

from tests.rasters.files import write_tiff

SIDE = 320
GREY = 60
GEOTIFF = bytes.fromhex("b14bf8bd083d4b43a5ae8cd7d5a6ce03")
XMP = bytes.fromhex("be7acfcb97a942e89c71999491e3afac")


def pixels() -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Return (SIDE, SIDE, 3) bytes, none of which is a canary's."""
    return np.full((SIDE, SIDE, 3), GREY, dtype=np.uint8)


def metadata(items: Iterable[tuple[str, str, str]], *, entities: bool = False) -> str:
    """Return GDAL_METADATA of (domain, name, value)."""
    written = "".join(
        f"<Item name={quoteattr(name)} domain={quoteattr(domain)}>"
        + ("".join(f"&#{ord(letter)};" for letter in value) if entities else escape(value))
        + "</Item>"
        for domain, name, value in items
    )
    return f"<GDALMetadata>{written}</GDALMetadata>"


def multi_domain(items: Iterable[tuple[str, str, str]]) -> str:
    """Return GDALMultiDomainMetadata of (domain, name, value)."""
    written = "".join(
        f"<Metadata domain={quoteattr(domain)}><MDI key={quoteattr(name)}>{escape(value)}</MDI></Metadata>"
        for domain, name, value in items
    )
    return f"<GDALMultiDomainMetadata>{written}</GDALMultiDomainMetadata>"


def tiff(gdal: str | None = None, citation: str | None = None, *, key: int = 3073, big: bool = False) -> bytes:
    """Return a tiled GeoTIFF with GDAL's metadata and a citation under one of the keys that hold text."""
    tags: list[tuple[int, str, int, Any, bool]] = [
        (33550, "d", 3, (1.0, 1.0, 0.0), True),
        (33922, "d", 6, (0.0, 0.0, 0.0, 500_000.0, 5_000_000.0, 0.0), True),
    ]
    keys = [1024, 0, 1, 1, 1025, 0, 1, 1]
    if citation is None:
        keys += [3072, 0, 1, 32633]
    else:
        text = citation.encode("ascii", "replace") + b"|"
        model = [1026, 34737, len(text), 0] if key == 1026 else []
        later = [key, 34737, len(text), 0] if key != 1026 else []
        keys = [1024, 0, 1, 1 if key != 2049 else 2, 1025, 0, 1, 1, *model]
        keys += [2048, 0, 1, 32767, *later, 2054, 0, 1, 9102] if key == 2049 else [3072, 0, 1, 32767, *later]
        tags.append((34737, "s", 0, text, True))
    tags.append((34735, "H", 4 + len(keys), (1, 1, 0, len(keys) // 4, *keys), True))
    if gdal is not None:
        tags.append((42112, "s", 0, gdal.encode(), True))
    out = io.BytesIO()
    tifffile.imwrite(
        out, pixels(), tile=(64, 64), photometric="rgb", metadata=None, software=False, bigtiff=big, extratags=tags
    )
    return out.getvalue()


def box(kind: bytes, content: bytes) -> bytes:
    """Return a box of JPEG 2000."""
    return struct.pack(">I4s", 8 + len(content), kind) + content


def gml(srs: str, more: str = "") -> bytes:
    """Return the association box of GMLJP2 whose grid is in a system, with more in its root instance."""
    name = quoteattr(srs)
    text = (
        '<gml:FeatureCollection xmlns:gml="http://www.opengis.net/gml"><gml:boundedBy><gml:Envelope '
        f'srsName={name}/></gml:boundedBy>{more}<gml:RectifiedGrid srsName={name} dimension="2"><gml:origin>'
        f"<gml:Point srsName={name}><gml:pos>500000 5000000</gml:pos></gml:Point></gml:origin>"
        f"<gml:offsetVector srsName={name}>1 0</gml:offsetVector><gml:offsetVector srsName={name}>0 -1"
        "</gml:offsetVector></gml:RectifiedGrid></gml:FeatureCollection>"
    ).encode()
    inner = box(b"lbl ", b"gml.root-instance") + box(b"xml ", text)
    return box(b"asoc", box(b"lbl ", b"gml.data") + box(b"asoc", inner))


@functools.cache
def _plain_jp2() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "plain.jp2"
        write_tiff(path, pixels(), driver="JP2OpenJPEG", transform=None, crs=None, GMLJP2="NO", GeoJP2="NO")
        return path.read_bytes()


def jp2(*boxes: bytes) -> bytes:
    """Return a JPEG 2000 file with boxes before its codestream."""
    data = _plain_jp2()
    start = data.index(b"jp2c") - 4
    return data[:start] + b"".join(boxes) + data[start:]


def png(*texts: tuple[str, str]) -> bytes:
    """Return a PNG of 16 bits, which GDAL reads, with texts in it."""
    rows = b"".join(b"\0" + struct.pack(">H", GREY << 8) * 3 * SIDE for _ in range(SIDE))

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    chunks = [chunk(b"tEXt", f"{key}\0{value}".encode("latin-1", "replace")) for key, value in texts]
    chunks += [chunk(b"iTXt", key.encode() + b"\0\0\0\0\0" + value.encode()) for key, value in texts]
    head = struct.pack(">IIBBBBB", SIDE, SIDE, 16, 2, 0, 0, 0)
    body = (chunk(b"IHDR", head), *chunks, chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(body)


def picture(kind: str, text: str) -> bytes:
    """Return a JPEG, WebP or BMP with a text in every field that it has."""
    image = Image.fromarray(pixels())
    exif = image.getexif()
    exif[270], exif[305] = text, text
    packet = f"<x:xmpmeta xmlns:x='adobe:ns:meta/'>{escape(text)}</x:xmpmeta>".encode()
    out = io.BytesIO()
    more: dict[str, Any] = {} if kind == "BMP" else {"exif": exif, "xmp": packet}
    if kind == "JPEG":
        more["comment"] = text.encode()
    image.save(out, kind, **more)
    return out.getvalue()


def aux_xml(target: str, srs: str) -> str:
    """Return an .aux.xml file that names another file wherever one may stand."""
    return (
        f"<PAMDataset><SRS>{escape(srs)}</SRS><GeoTransform>1,2,0,3,0,-2</GeoTransform>"
        f'<Metadata domain="OVERVIEWS"><MDI key="OVERVIEW_FILE">{escape(target)}</MDI></Metadata>'
        f'<Metadata domain="GEOLOCATION"><MDI key="X_DATASET">{escape(target)}</MDI></Metadata>'
        f'<PAMRasterBand band="1"><NoDataValue>7</NoDataValue></PAMRasterBand></PAMDataset>'
    )
