"""Reading windows through Pillow, which decodes a picture whole: small files, and anything without rasterio."""

from __future__ import annotations

import importlib
import io
import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from rscovlm.geometry.window import WindowLike
from rscovlm.rasters.arrays import COLOURS
from rscovlm.rasters.errors import RasterError
from rscovlm.rasters.formats import FORMATS, NOT_TURNED, first_of, jp2_header
from rscovlm.rasters.georeference import world_file
from rscovlm.rasters.limits import PixelLimits
from rscovlm.rasters.quiet import unwarned
from rscovlm.rasters.reader import BandLayout, Level, Place

ORIENTATION = 274
"""EXIF tag: how a camera was held."""

HEAD = 65536
"""Bytes at the beginning of a JPEG 2000 file that are searched for its header."""

PLAIN = {"L": 1, "LA": 2, "RGB": 3, "RGBA": 4}
NUMBERS = {
    "I;16": np.uint16,
    "I;16B": np.uint16,
    "I;16L": np.uint16,
    "I;16N": np.uint16,
    "I": np.int32,
    "F": np.float32,
}


class PillowReader:
    """A picture that Pillow decodes when it is first read, and keeps.

    Palettes and colour keys become RGB (with alpha where they have transparency), CMYK, YCbCr and Lab become RGB,
    one-bit pictures 0 and 255. A JPEG also has levels of 1/2, 1/4 and 1/8, which are decoded directly and cheaply.

    Args:
        source: A PIL image, or the path or bytes of a file.
        kind: Format found in the first bytes; ``"image"`` for a PIL image.
        name: What messages call it.
        limits: Sizes to refuse.
        place: Where it lies, where its caller knows.
        nodata: The number that means nothing was measured, where its caller knows.
        opaque: Its caller knows that it has no transparency, whatever Pillow takes a band for.
        refused: Why a better way of reading it was not taken, for messages.
        notes: What its caller knows that a reader of the result should.
    """

    front_to_back = True

    def __init__(
        self,
        source: Image.Image | Path | bytes,
        kind: str,
        *,
        name: str,
        limits: PixelLimits,
        place: Place | None = None,
        nodata: float | None = None,
        opaque: bool = False,
        refused: str = "",
        notes: tuple[str, ...] = (),
    ) -> None:
        self.name = name
        self._refused = refused
        self._source, self._kind, self._limits = source, kind, limits
        self._decoded: dict[int, NDArray[Any]] = {}
        image = self._open()
        width, height = image.size
        self.orientation = _orientation(image)
        if kind == "tiff" and self.orientation > 4:  # Pillow turns these itself when it decodes them
            width, height = height, width
        if not width or not height:
            raise RasterError(f"{name}: has {width}x{height} pixels; nothing can be shown of it")
        bound = limits.sequential if kind == "jpeg" else limits.in_memory
        if width * height > bound and not isinstance(source, Image.Image):
            raise RasterError(_too_large(name, width, height, bound, "sequential" if kind == "jpeg" else "in_memory"))
        bands, bits, alpha = jp2_header(self._head()) if kind == "jp2" else (0, 8, False)
        self._mode = _target_mode(image)
        if opaque or (bands and not alpha):
            self._mode = {"RGBA": "RGB", "LA": "L"}.get(self._mode, self._mode)
        colours = ("gray",) if self._mode in NUMBERS else COLOURS[PLAIN[self._mode]]
        dtype = np.dtype(NUMBERS.get(self._mode, np.uint8))
        self.layout = BandLayout(
            colours=colours,
            dtype=dtype,
            nodata=(nodata,) * len(colours),
            alpha_top=None if kind == "tiff" else 255,  # other formats define what is opaque
            expanded=image.mode in ("P", "PA"),
        )
        self.place = place or Place()
        if self.place.to_world is None and isinstance(source, Path):
            self.place = Place(world_file(source), self.place.crs)
        self.notes: tuple[str, ...] = (
            *notes,
            *self.place.notes,
            *_notes(image, kind),
            *_jp2_notes(bands, bits, self._mode),
        )
        if kind == "tiff":
            self.orientation = 1
        self.levels: Sequence[Level] = tuple(_levels(width, height, kind, limits))
        if not isinstance(source, Image.Image):
            image.close()

    def read(self, level: int, window: WindowLike, bands: Sequence[int]) -> NDArray[Any]:
        """Return (len(bands), h, w) numbers of a window; the first read of a level decodes it whole."""
        x1, y1, x2, y2 = window
        part = self._level(level)[y1:y2, x1:x2]
        return np.stack([part[..., band] for band in bands])

    def mask(self, level: int, window: WindowLike) -> NDArray[np.bool_] | None:
        """Return None: transparency is a band here."""
        return None

    def blank(self, level: int, window: WindowLike) -> bool:
        """Return False: a picture has no holes."""
        return False

    def close(self) -> None:
        """Let go of what was decoded."""
        self._decoded.clear()

    def _level(self, level: int) -> NDArray[Any]:
        if level not in self._decoded:
            grid = self.levels[level]
            if grid.width * grid.height > self._limits.in_memory and not isinstance(self._source, Image.Image):
                raise RasterError(_too_large(self.name, grid.width, grid.height, self._limits.in_memory, "in_memory"))
            image = self._open()
            if level:
                image.draft(None, (grid.width, grid.height))
            try:
                image.load()
            except (OSError, SyntaxError, ValueError, EOFError, IndexError) as error:
                # What Pillow's decoders raise on bytes of strangers.
                raise RasterError(f"{self.name}: cannot be decoded ({error}); {self._advice()}") from error
            if image.size != (grid.width, grid.height):
                image = image.resize((grid.width, grid.height), Image.Resampling.BOX)
            if image.mode != self._mode:
                image = image.convert(self._mode)
            array = np.asarray(image)
            self._decoded[level] = array[..., None] if array.ndim == 2 else array
        return self._decoded[level]

    def _head(self) -> bytes:
        if isinstance(self._source, bytes):
            return self._source[:HEAD]
        if isinstance(self._source, Path):
            with self._source.open("rb") as handle:
                return handle.read(HEAD)
        return b""

    def _open(self) -> Image.Image:
        if isinstance(self._source, Image.Image):
            return self._source
        handle: Any = io.BytesIO(self._source) if isinstance(self._source, bytes) else self._source.open("rb")
        try:
            with unwarned():  # what Pillow warns of becomes an error at decoding where it matters
                return _plugin(self._kind)(handle)
        except (UnidentifiedImageError, OSError, SyntaxError, ValueError, EOFError, IndexError, KeyError) as error:
            # What Pillow's plug-ins raise on bytes of strangers.
            handle.close()
            raise RasterError(
                f"{self.name}: cannot be read as {self._kind.upper()} ({error}); {self._advice()}"
            ) from error

    def _advice(self) -> str:
        if self._refused:
            return f"it holds {self._refused}: install rscovlm[geo] to read it"
        return "is it whole?" if self._kind != "jp2" else "is it whole? If so, install rscovlm[geo] to read it"


def _plugin(kind: str) -> Callable[[Any], Image.Image]:
    """Return Pillow's own class for a format: opened so, sizes are checked against our limits alone."""
    plugin = FORMATS[kind].plugin
    if plugin is None:
        raise RasterError(f"Pillow does not read {kind.upper()}; install rscovlm[geo] for rasterio")
    module, name = plugin
    opened: Callable[[Any], Image.Image] = getattr(importlib.import_module(f"PIL.{module}"), name)
    return opened


def _target_mode(image: Image.Image) -> str:
    """Return the mode a picture is brought to."""
    mode = image.mode
    if mode in NUMBERS:
        return mode
    if "transparency" in image.info or mode in ("PA", "La", "RGBa"):
        return "LA" if mode in ("1", "L", "La") else "RGBA"
    return mode if mode in PLAIN else "L" if mode == "1" else "RGB"


def _levels(width: int, height: int, kind: str, limits: PixelLimits) -> list[Level]:
    factors = (1, 2, 4, 8) if kind == "jpeg" and width * height > limits.small else (1,)
    sizes = [(math.ceil(width / factor), math.ceil(height / factor)) for factor in factors]
    return [Level(w, h, w, h) for w, h in sizes]


def _orientation(image: Image.Image) -> int:
    """Return how the camera was held, by EXIF's numbers; 1 is upright."""
    if "exif" not in image.info and image.format != "TIFF":  # asked without, a PNG decodes itself
        return 1
    return int(image.getexif().get(ORIENTATION, 1))


def _notes(image: Image.Image, kind: str) -> tuple[str, ...]:
    notes = []
    if kind != "tiff" and _orientation(image) != 1:
        notes.append(NOT_TURNED)
    if kind == "gif" and image.is_animated:  # type: ignore[attr-defined]  # counting them reads all of the file
        notes.append(first_of("several"))
    if kind in ("png", "webp") and int(getattr(image, "n_frames", 1)) > 1:
        notes.append(first_of(int(image.n_frames)))  # type: ignore[attr-defined]
    tiles = getattr(image, "tile", None)
    if kind == "png" and tiles and ";16" in str(tiles[0][3]) and image.mode not in NUMBERS:
        notes.append("16 bits a channel are read as their upper 8; install rscovlm[geo] to choose a stretch")
    if kind == "tiff":
        notes.append("read by Pillow: decoded whole, its overviews not used; install rscovlm[geo] to read it in pieces")
    if kind == "jp2":
        notes.append("read by Pillow: decoded whole, without map coordinates; install rscovlm[geo] for both")
    return tuple(notes)


def _jp2_notes(bands: int, bits: int, mode: str) -> Iterator[str]:
    """Say what becomes of the numbers of a JPEG 2000 file."""
    if bands == 4 and mode == "RGB":
        yield "its fourth band is not read; install rscovlm[geo] to choose bands"
    if bits > 8 and mode not in NUMBERS:
        yield f"{bits} bits a channel are read as their upper 8 of 16; install rscovlm[geo] to choose a stretch"
    elif 8 < bits < 16:
        yield f"its {bits} bits are read spread over 16"


def _too_large(name: str, width: int, height: int, bound: int, limit: str) -> str:
    return (
        f"{name}: claims {width}x{height} pixels, above the limit of {bound:,} for a picture that must be decoded "
        f"whole; install rscovlm[geo] to read it in pieces, or, if you trust it, set limits=PixelLimits({limit}="
        f"{width * height})"
    )
