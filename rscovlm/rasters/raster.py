"""An image of any size, of which overviews and windows are read."""

from __future__ import annotations

import math
import operator
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from numbers import Real
from typing import Any, Literal, Self, get_args

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from rscovlm.geometry import Frame
from rscovlm.geometry.window import Window, WindowLike
from rscovlm.rasters import sampling
from rscovlm.rasters.cache import Base, Cache
from rscovlm.rasters.digests import digest_of
from rscovlm.rasters.errors import RasterError
from rscovlm.rasters.limits import PixelLimits
from rscovlm.rasters.pixels import Pixels
from rscovlm.rasters.reader import Reader
from rscovlm.rasters.samples import Samples
from rscovlm.rasters.stretch import DECIBELS, Stretch, check_percentiles, from_samples
from rscovlm.rasters.view import View

DEFAULT_PIXELS = 1008 * 1008
STATISTICS = 2**18
"""Pixels of the overview that percentiles are taken from."""

KEPT = 4 * DEFAULT_PIXELS
"""Largest overview that is kept: every question about an image begins with the same one."""

EMPTY = 0.01
"""Share of valid pixels below which a warning is due."""

StretchName = Literal["auto", "none", "percentiles", "log"]
STRETCHES: tuple[StretchName, ...] = get_args(StretchName)
StretchChoice = StretchName | Stretch


class Raster:
    """An opened image; nothing is decoded before `overview` or `read`. Made by `open_image`.

    Safe to use from several threads (reads are serialised); a `with` block closes it.

    Attributes:
        width: Columns of the original image.
        height: Rows of the original image.
        frame: Its pixel grid with map coordinates, the root of every view's frame.
        path: Path of the file, or a word for what is not a file.
        bands: Bands shown, counted from 1.
    """

    def __init__(
        self,
        reader: Reader,
        *,
        path: str,
        bands: Sequence[int] | None = None,
        stretch: StretchChoice = "auto",
        percentiles: tuple[float, float] = (2.0, 98.0),
        limits: PixelLimits | None = None,
        cache: Cache | None = None,
        notes: tuple[str, ...] = (),
    ) -> None:
        if not isinstance(stretch, Stretch) and stretch not in STRETCHES:
            raise ValueError(f"stretch={stretch!r} is not known; use 'auto', 'none', 'percentiles', 'log' or a Stretch")
        check_percentiles(percentiles)
        root = reader.levels[0]
        self.width, self.height, self.path = root.width, root.height, path
        place = reader.place
        self.frame = Frame(
            root.width,
            root.height,
            root_to_world=place.to_world,
            crs=place.crs,
            control=place.control,
            accuracy=place.accuracy,
        )
        self._notes = (*notes, *reader.notes)
        self._empty: str | None = None
        self._reader, self._pixels = reader, Pixels(reader, bands)
        self.bands = tuple(band + 1 for band in self._pixels.bands)
        self._limits, self._cache = limits or PixelLimits(), cache
        self._wanted, self._percentiles = stretch, percentiles
        self._stretch: Stretch | None = stretch if isinstance(stretch, Stretch) else None
        self._settled = isinstance(stretch, Stretch)
        self._base: Base | None = None
        self._shown: View | None = None
        self._closed = False
        self._lock = threading.RLock()
        self._again: tuple[Callable[..., Raster], tuple[Any, dict[str, Any]]] | None = None

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader of the result should know: conversions, things not supported, warnings.

        What only the pixels tell (almost none are valid, an alpha band that looks like a picture) is added when the
        first view of the whole image is read.
        """
        stretch = self._stretch
        decibels = stretch is not None and self._wanted == "log" and stretch.scale != "log"
        found = (self._empty, f'stretch="log": {DECIBELS}' if decibels else None)
        return (*self._notes, *self._pixels.notes, *(note for note in found if note is not None))

    def overview(self, max_pixels: int = DEFAULT_PIXELS, *, size: tuple[int, int] | None = None) -> View:
        """Return the whole image in at most `max_pixels` pixels, of its own aspect ratio.

        A large file without overviews is read once, block by block; the result is kept (and stored, when
        `open_image` was given a cache).

        Args:
            max_pixels: Largest number of pixels of the result; a smaller image is given as it is.
            size: Exact width and height instead, such as a model's planned size.

        Raises:
            RasterError: The file is damaged, or above a limit.
        """
        return self.read((0, 0, self.width, self.height), max_pixels, size=size)

    def read(self, window: WindowLike, max_pixels: int | None = None, *, size: tuple[int, int] | None = None) -> View:
        """Return a window of the original image.

        Args:
            window: x1, y1, x2, y2 in original pixels, integers, x2 and y2 exclusive, inside the image.
            max_pixels: Largest number of pixels of the result; None reads every pixel of the window.
            size: Exact width and height instead; the only way to get more pixels than the window has.

        Raises:
            RasterError: The window is empty, inverted or outside the image; the file is damaged; or a limit is met.
        """
        x1, y1, x2, y2 = self._checked(window)
        wanted = planned(x2 - x1, y2 - y1, max_pixels) if size is None else _checked_size(size)
        if wanted[0] * wanted[1] > self._limits.in_memory:
            raise RasterError(
                f"{self.path}: a view of {wanted[0]}x{wanted[1]} pixels is above the limit of "
                f"{self._limits.in_memory:,}; give max_pixels, or set limits=PixelLimits(in_memory=...)"
            )
        whole = (x1, y1, x2, y2) == (0, 0, self.width, self.height)
        with self._lock:
            if self._closed:
                raise RasterError(f"{self.path}: was closed; open it again to read it")
            if whole and self._shown is not None and self._shown.image.size == wanted:
                return replace(self._shown, image=self._shown.image.copy())
            stretch = self.stretch
            samples = self._sample((x1, y1, x2, y2), wanted)
            image, valid = self._render(samples, stretch)
            view = View(image, self.frame.cropped(x1, y1, x2, y2).resized(*wanted), stretch, valid)
            if whole:
                self._empty = _nearly_empty(view, self._pixels)
            if whole and wanted[0] * wanted[1] <= KEPT:
                self._shown = replace(view, image=image.copy())
        return view

    def memory(self, max_pixels: int = DEFAULT_PIXELS) -> int:
        """Return how many bytes reading views of up to so many pixels may hold at a time, as its header tells.

        Nothing is decoded to find out. It is an upper estimate, for callers that share memory between images.
        """
        from rscovlm.rasters.memory import reading_bytes

        return reading_bytes(self._reader, self._pixels, self._again[1][0] if self._again else None, max_pixels)

    def digest(self) -> str:
        """Return 64 hexadecimal digits that differ where the image does.

        All of it is read: of a file every byte, and those of the files beside it, about a second a gigabyte.

        Raises:
            TypeError: This raster was not made by `open_image`.
            OSError: The file cannot be read.
        """
        if self._again is None:
            raise TypeError(
                f"{self.path}: this raster was not made by open_image, so what it is read from is not known"
            )
        return digest_of(self._again[1][0])

    @property
    def stretch(self) -> Stretch | None:
        """How stored numbers become 0-255, found from an overview when first asked; None: shown as they are."""
        with self._lock:
            if not self._settled:
                self._stretch = self._find_stretch()
                self._settled = True
            return self._stretch

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._reader.close()
            self._base = self._shown = None
            self._closed = True

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle how the image was opened; it is opened again where it is unpickled."""
        if self._again is None:
            raise TypeError(f"{self.path}: this raster was not made by open_image, so it cannot be opened again")
        return self._again

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        crs = (self.frame.crs or "")[:24] or None
        return f"Raster({self.path!r}, {self.width}x{self.height}, bands={self.bands}, crs={crs})"

    def _checked(self, window: Sequence[Any]) -> WindowLike:
        try:
            x1, y1, x2, y2 = (_integer(value) for value in window)
        except (TypeError, ValueError):
            # What is no number, or not four of them.
            raise RasterError(f"{self.path}: window {window!r}; give four whole numbers x1, y1, x2, y2") from None
        if x2 <= x1 or y2 <= y1:
            raise RasterError(
                f"{self.path}: window {(x1, y1, x2, y2)} is empty or inverted; x1 must be below x2 and y1 below y2"
            )
        inside = (max(x1, 0), max(y1, 0), min(x2, self.width), min(y2, self.height))
        if inside != (x1, y1, x2, y2):
            empty = inside[2] <= inside[0] or inside[3] <= inside[1]
            advice = "choose one inside" if empty else f"its part inside is {inside}"
            raise RasterError(
                f"{self.path}: window {(x1, y1, x2, y2)} is not inside the image of {self.width}x{self.height} "
                f"pixels; {advice}"
            )
        return inside

    def _sample(self, window: WindowLike, size: tuple[int, int]) -> Samples:
        part = Window(*window)
        ratio = min(part.width / size[0], part.height / size[1])
        level = sampling.choose_level(self._reader.levels, ratio)
        grid = self._reader.levels[level]
        scale = self.width / grid.width
        work = part.area / scale**2
        whole = window == (0, 0, self.width, self.height)
        if self._base is None and self._cache is not None:
            self._base = self._cache.load(self._pixels)
        if (
            self._base is None
            and whole
            and max(work, self.width * self.height * self._reader.front_to_back) > self._limits.small
        ):
            self._base = self._make_base(level)
        if self._base is not None and self._base.factor <= ratio and self._base.factor > scale * 1.02:
            return self._base.sample(window, size)
        self._budget(work)
        return sampling.sample(self._pixels, window, size)

    def _make_base(self, level: int) -> Base:
        """Read a whole level once, reduced to what may be kept in memory."""
        grid = self._reader.levels[level]
        self._budget(grid.width * grid.height)
        base = Base.make(self._pixels, level)
        if self._cache is not None:
            told = self._cache.save(base, self._pixels)
            self._notes = self._notes if told is None else (*self._notes, told)
        return base

    def _budget(self, work: float) -> None:
        if work > self._limits.streamed:
            raise RasterError(
                f"{self.path}: {work:,.0f} pixels would have to be decoded, above the limit of "
                f"{self._limits.streamed:,}; add overviews to the file (gdaladdo), or set limits=PixelLimits(streamed=...)"
            )

    def _find_stretch(self) -> Stretch | None:
        layout = self._reader.layout
        if self._wanted == "none" or (self._wanted == "auto" and self._pixels.dtype == np.uint8):
            return None
        if self._wanted == "auto" and layout.bits is not None and layout.bits < 8:
            top = float(2**layout.bits - 1)
            return Stretch((0.0,), (top,), source=f"{layout.bits} significant bits")
        size = planned(self.width, self.height, STATISTICS)
        samples = self._sample((0, 0, self.width, self.height), size)
        log = self._wanted == "log" or (self._wanted == "auto" and layout.dtype.kind == "c")
        first, last = self._percentiles
        source = f"percentiles {first:g}-{last:g} of an overview of {size[0]}x{size[1]} pixels"
        return from_samples(
            samples,
            percentiles=self._percentiles,
            scale="log" if log else "linear",
            source=source,
        )

    def _render(self, samples: Samples, stretch: Stretch | None) -> tuple[Image.Image, NDArray[np.bool_] | None]:
        values, coverage = samples.values, samples.coverage
        if stretch is not None:
            shown = stretch.apply(values)
        elif values.dtype == np.uint8:
            shown = values
        else:
            shown = np.clip(values + np.float32(0.5), 0, 255).astype(np.uint8)
        if coverage is not None:
            background = self._pixels.background if stretch is None else (0,) * len(shown)
            shown = shown.copy() if shown is values else shown
            for channel, (plane, value) in enumerate(zip(shown, background)):
                weight = samples.weight_of(channel)
                if weight is None:
                    continue
                if self._pixels.blends:
                    plane[...] = plane * weight + value * (1 - weight) + np.float32(0.5)
                plane[weight <= 0] = value
        valid = None if coverage is None else coverage > 0.5
        planes = [Image.fromarray(np.ascontiguousarray(plane)) for plane in shown]
        return Image.merge("RGB", planes * (3 // len(planes))), valid


def _nearly_empty(view: View, pixels: Pixels) -> str | None:
    """Warn of a picture of which almost nothing is valid."""
    if view.coverage >= EMPTY:
        return None
    return (
        f"only {100 * view.coverage:.2g} % of its pixels are valid, by its {pixels.validity}: the picture is almost all "
        "black; if that is wrong, open it with opaque=True, or give its no-data value as nodata=..."
    )


def planned(width: int, height: int, max_pixels: int | None) -> tuple[int, int]:
    """Return the largest size of the same shape with at most `max_pixels` pixels; never a larger one.

    Raises:
        ValueError: `max_pixels` is not a positive whole number.

    Example:
        >>> planned(4000, 2000, 1_000_000)
        (1414, 707)
    """
    if max_pixels is None:
        return width, height
    if isinstance(max_pixels, bool) or not isinstance(max_pixels, Real) or not 1 <= max_pixels == max_pixels // 1:
        raise ValueError(f"max_pixels={max_pixels!r} must be a positive whole number")
    if width * height <= max_pixels:
        return width, height
    scale = math.sqrt(max_pixels / (width * height))
    across, down = int(width * scale), int(height * scale)
    if across < 1 or down < 1:  # a line of pixels
        return (1, min(height, int(max_pixels))) if across < 1 else (min(width, int(max_pixels)), 1)
    return across, down


def _integer(value: Any) -> int:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return operator.index(value)


def _checked_size(size: Sequence[Any]) -> tuple[int, int]:
    try:
        width, height = (_integer(value) for value in size)
    except (TypeError, ValueError):
        # What is no number, or not two of them.
        raise ValueError(f"size={size!r}; give a width and a height in whole pixels") from None
    if width < 1 or height < 1:
        raise ValueError(f"size={size!r}; give a width and a height of at least one pixel")
    return width, height
