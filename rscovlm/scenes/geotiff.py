"""Writing a GeoTIFF tile by tile, with overviews, in memory bounded by a few rows of tiles."""

from __future__ import annotations

import tempfile
import zlib
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import IO, Any, Literal, Self

import numpy as np
import tifffile
from PIL import Image

from rscovlm.files import mark, replacing
from rscovlm.geometry import Frame

Compression = Literal["deflate", "jpeg", "none"]
Render = Callable[[int, int, int, int], Image.Image]
TILE = 512
_SCHEMES: dict[Compression, str | None] = {"deflate": "adobe_deflate", "jpeg": "adobe_deflate", "none": None}
_JPEG = 7
_Tag = tuple[int, int, int, tuple[float, ...], bool]


def write_geotiff(
    path: str | Path,
    frame: Frame,
    render: Render,
    *,
    compression: Compression = "deflate",
    quality: int = 90,
    progress: Callable[[float], None] | None = None,
    overwrite: bool = False,
) -> Path:
    """Write an RGB picture of any size as a tiled GeoTIFF with overviews.

    Args:
        path: Where to write.
        frame: Size of the picture; its map coordinates are written where it has them, an ``"EPSG:..."`` CRS included.
        render: Gives the RGB picture of the window x1, y1, x2, y2; called once a tile, from the top left.
        compression: Of the tiles: lossless ``"deflate"``, small ``"jpeg"``, or ``"none"``.
        quality: JPEG quality.
        progress: Called with the share that is done.
        overwrite: Replace a file that this function did not write.

    Returns:
        The path.

    Raises:
        ValueError: If the compression is unknown, the map is turned, the CRS is not ``"EPSG:..."``, or another file is
            there.
    """
    tags = _geo_tags(frame)
    if compression not in _SCHEMES:
        raise ValueError(f"compression={compression!r}; choose from {', '.join(_SCHEMES)}")
    options: dict[str, Any] = {
        "dtype": "uint8",
        "tile": (TILE, TILE),
        "photometric": "ycbcr" if compression == "jpeg" else "rgb",
        "compression": _SCHEMES[compression],
        "predictor": 2 if compression == "deflate" else None,
        "metadata": None,
        "software": mark("geotiff"),
        "maxworkers": 1,
    }
    with replacing(path, "geotiff", overwrite=overwrite) as part:
        with (
            _Pyramid(frame.width, frame.height, compression, quality) as pyramid,
            tifffile.TiffWriter(part, bigtiff=frame.width * frame.height * 4 > 2**32 - 2**25) as out,
        ):
            tiles = pyramid.tiles(render, progress)
            out.write(tiles, shape=(frame.height, frame.width, 3), extratags=tags, **options)
            for level, (width, height) in enumerate(pyramid.sizes[1:], 1):
                tiles = pyramid.stored(level)
                out.write(tiles, shape=(height, width, 3), subfiletype=1, **options)
        if compression == "jpeg":
            # tifffile names JPEG tiles that are already encoded only where imagecodecs is installed
            with tifffile.TiffFile(part, mode="r+b") as written:
                for page in written.pages:
                    page.aspage().tags["Compression"].overwrite(_JPEG)
    return Path(path)


def _geo_tags(frame: Frame) -> list[_Tag]:
    """Tags that place the picture on the map (GeoTIFF 1.1: pixel scale, tie point, key directory)."""
    if frame.root_to_world is None or frame.crs is None:
        return []
    a, b, c, d, e, f = frame.root_to_world
    if b or d or a <= 0 or e >= 0:
        raise ValueError(
            f"root_to_world={frame.root_to_world}: only north-up maps (a > 0, e < 0, b = d = 0) are written"
        )
    authority, _, code = frame.crs.partition(":")
    if authority.upper() != "EPSG" or not code.isdigit():
        raise ValueError(f"crs={frame.crs!r}: give a projected CRS as 'EPSG:' and its code")
    keys = (1, 1, 0, 3, 1024, 0, 1, 1, 1025, 0, 1, 1, 3072, 0, 1, int(code))
    return [
        (33550, 12, 3, (a, -e, 0.0), True),
        (33922, 12, 6, (0.0, 0.0, 0.0, c, f, 0.0), True),
        (34735, 3, len(keys), keys, True),
    ]


class _Pyramid:
    """Encodes the tiles of a picture and, from the same rows, those of every overview, kept in temporary files."""

    def __init__(self, width: int, height: int, compression: Compression, quality: int) -> None:
        self.sizes = [(width, height)]
        while max(self.sizes[-1]) > TILE:
            self.sizes.append((-(-self.sizes[-1][0] // 2), -(-self.sizes[-1][1] // 2)))
        self._compression, self._quality = compression, quality
        self._files: list[IO[bytes]] = [tempfile.TemporaryFile() for _ in self.sizes[1:]]  # noqa: SIM115, see __exit__
        self._lengths: list[list[int]] = [[] for _ in self.sizes]
        self._waiting: list[Image.Image | None] = [None] * len(self.sizes)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for file in self._files:
            file.close()

    def tiles(self, render: Render, progress: Callable[[float], None] | None) -> Iterator[bytes]:
        """Encoded tiles of the picture itself."""
        width, height = self.sizes[0]
        for top in range(0, height, TILE):
            bottom = min(top + TILE, height)
            band = Image.new("RGB", (width, bottom - top))
            encoded = []
            for left in range(0, width, TILE):
                tile = render(left, top, min(left + TILE, width), bottom)
                band.paste(tile, (left, 0))
                encoded.append(self._encode(tile))
            # before the tiles are handed on: after the last one nobody asks for more
            self._pass_on(1, band, last=bottom == height)
            if progress:
                progress(bottom / height)
            yield from encoded

    def stored(self, level: int) -> Iterator[bytes]:
        """Encoded tiles of an overview."""
        file = self._files[level - 1]
        file.seek(0)
        for length in self._lengths[level]:
            yield file.read(length)

    def _pass_on(self, level: int, band: Image.Image, *, last: bool) -> None:
        """Take a row of tiles of the level below; two of them make one row of this level."""
        if level == len(self.sizes):
            return
        half = band.reduce(2)
        first, self._waiting[level] = self._waiting[level], None
        if first is None and not last:
            self._waiting[level] = half
            return
        if first is not None:
            both = Image.new("RGB", (half.width, first.height + half.height))
            both.paste(first, (0, 0))
            both.paste(half, (0, first.height))
            half = both
        for left in range(0, half.width, TILE):
            data = self._encode(half.crop((left, 0, min(left + TILE, half.width), half.height)))
            self._files[level - 1].write(data)
            self._lengths[level].append(len(data))
        self._pass_on(level + 1, half, last=last)

    def _encode(self, tile: Image.Image) -> bytes:
        """A tile as it stands in the file; tiles at the right and the bottom are filled up with their last pixels."""
        pixels = np.asarray(tile)
        if tile.size != (TILE, TILE):
            pixels = np.pad(pixels, ((0, TILE - tile.height), (0, TILE - tile.width), (0, 0)), mode="edge")
        if self._compression == "jpeg":
            buffer = BytesIO()
            Image.fromarray(pixels).save(buffer, "JPEG", quality=self._quality, subsampling=0)
            return buffer.getvalue()
        if self._compression == "none":
            return pixels.tobytes()
        difference = pixels.copy()
        difference[:, 1:] -= pixels[:, :-1]
        return zlib.compress(difference.tobytes(), 1)
