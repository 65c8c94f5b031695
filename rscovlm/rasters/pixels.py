"""From a file's raw bands to channels that may be averaged: grey or colour, and how much of each pixel is valid."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rscovlm.rasters.errors import RasterError
from rscovlm.rasters.reader import Reader, Window

CMYK = ("cyan", "magenta", "yellow", "black")
RGB = ("red", "green", "blue")


class Pixels:
    """The chosen bands of a reader as one or three channels.

    Palettes are looked up, CMYK is turned into RGB, complex numbers into their magnitude, before any averaging:
    the mean of two palette numbers is not a colour.

    Args:
        reader: An opened file.
        bands: One or three band numbers, counted from 1 as maps and satellites do; None chooses: red, green, blue
            where the file says which these are, else the first three bands, or the first of one or two.

    Attributes:
        channels: 1 or 3.
        dtype: uint8 where the channels can be shown as they are, else float32.
        blends: Whether validity is transparency, so that partly valid pixels are mixed with the background.
        weighted: Whether some pixels may be invalid (no-data, transparent, masked, not a number).
    """

    def __init__(self, reader: Reader, bands: Sequence[int] | None = None) -> None:
        layout = reader.layout
        self.reader = reader
        self.bands = tuple(_choose(layout.colours, bands, reader.name))
        picked = [layout.colours[band] for band in self.bands]
        self._kind = "cmyk" if tuple(picked) == CMYK else "palette" if picked == ["palette"] else "plain"
        if self._kind == "palette" and layout.palette is None:
            self._kind = "plain"
        if self._kind == "cmyk" and layout.dtype != np.uint8:
            raise RasterError(
                f"{reader.name}: CMYK of {layout.dtype} is not read; choose bands=(1,) or convert it to RGB"
            )
        self._alpha = layout.colours.index("alpha") if bands is None and "alpha" in layout.colours else None
        nodata = [layout.nodata[band] if layout.nodata else None for band in self.bands]
        self._nodata = None if self._kind == "cmyk" or any(v is None for v in nodata) else nodata
        self.channels = 3 if self._kind in ("cmyk", "palette") else len(self.bands)
        few = layout.bits is not None and layout.bits < 8  # means of 0 and 1 are no bytes
        as_bytes = self._kind == "palette" or (layout.dtype == np.uint8 and not few)
        self.dtype = np.dtype(np.uint8 if as_bytes else np.float32)
        inverted = layout.white_is_zero and self._kind == "plain" and layout.dtype.kind == "u"
        self._white = 2 ** (layout.bits or 8 * layout.dtype.itemsize) - 1 if inverted else None
        see_through = self._kind == "palette" and layout.palette is not None and (layout.palette[:, 3] < 255).any()
        self.blends = bool(self._alpha is not None or see_through)
        self.weighted = bool(self.blends or self._nodata is not None or layout.masked or layout.dtype.kind in "fc")

    @property
    def background(self) -> tuple[int, ...]:
        """What fully invalid pixels of bytes look like: the no-data value as it is stored, else black."""
        if self._nodata is None or self._kind != "plain" or self.dtype != np.uint8:
            return (0,) * self.channels
        stored = [value if value is not None and np.isfinite(value) else 0 for value in self._nodata]
        shown = stored if self._white is None else [self._white - value for value in stored]
        return tuple(int(min(max(value, 0), 255)) for value in shown)

    def read(self, level: int, window: Window) -> tuple[NDArray[Any], NDArray[np.float32] | None]:
        """Return (channels, h, w) of `dtype`, and (h, w) valid shares in 0-1 or None where all are valid."""
        wanted = self.bands if self._alpha is None else (*self.bands, self._alpha)
        raw = self.reader.read(level, window, wanted)
        mask = self.reader.mask(level, window) if self.reader.layout.masked else None
        return self._convert(raw, mask)

    def blank(self, size: tuple[int, int]) -> tuple[NDArray[Any], NDArray[np.float32] | None]:
        """Return what `read` gives for a hole in a sparse file, (width, height) pixels of it."""
        count = len(self.bands) + (self._alpha is not None)
        raw = np.zeros((count, size[1], size[0]), dtype=self.reader.layout.dtype)
        for k, value in enumerate(self._nodata or ()):
            raw[k] = value
        mask = np.zeros(raw.shape[1:], dtype=bool) if self.reader.layout.masked else None
        return self._convert(raw, mask)

    def _convert(
        self, raw: NDArray[Any], mask: NDArray[np.bool_] | None
    ) -> tuple[NDArray[Any], NDArray[np.float32] | None]:
        weight = None if mask is None or mask.all() else mask.astype(np.float32)
        if self._alpha is not None:
            alpha, raw = raw[-1], raw[:-1]
            top = (
                255
                if alpha.dtype == np.uint8
                else float(np.iinfo(alpha.dtype).max)
                if alpha.dtype.kind in "ui"
                else 1.0
            )
            if (alpha < top).any():
                weight = _both(weight, np.clip(alpha.astype(np.float32) / np.float32(top), 0, 1))
        if self._nodata is not None:
            weight = _both(weight, _unlike(raw, self._nodata))
        if raw.dtype.kind in "fc":
            finite = np.isfinite(raw).all(axis=0)
            if not finite.all():
                weight = _both(weight, finite)
                raw = np.where(finite, raw, 0)
            if raw.dtype.itemsize > (8 if raw.dtype.kind == "c" else 4):
                raw = _narrowed(raw)
        if self._kind == "palette":
            raw, weight = self._look_up(raw[0], weight)
        elif self._kind == "cmyk":
            light = 255 - raw[3].astype(np.uint16)
            raw = np.stack([((255 - ink.astype(np.uint16)) * light + 127) // 255 for ink in raw[:3]]).astype(np.uint8)
        if raw.dtype.kind == "c":
            raw = np.abs(raw)
        if self._white is not None:
            raw = self._white - raw.astype(self.dtype)
        return (raw if raw.dtype == self.dtype else raw.astype(self.dtype)), weight

    def _look_up(
        self, index: NDArray[Any], weight: NDArray[np.float32] | None
    ) -> tuple[NDArray[np.uint8], NDArray[np.float32] | None]:
        palette = self.reader.layout.palette
        if palette is None:
            raise ValueError("the file says its pixels are indices but has no palette; save it as RGB")
        table = np.zeros((max(len(palette), 256), 4), dtype=np.uint8)
        table[: len(palette)] = palette
        looked = table[np.minimum(index, len(table) - 1)]
        if (looked[..., 3] < 255).any():
            weight = _both(weight, looked[..., 3].astype(np.float32) / np.float32(255))
        return np.moveaxis(looked[..., :3], -1, 0), weight


def _narrowed(raw: NDArray[Any]) -> NDArray[Any]:
    """Return floats of 64 bits and more as those of 32, the nearest where they are beyond these (a no-data value)."""
    if raw.dtype.kind == "c":
        raw = np.abs(raw)
    most = np.finfo(np.float32).max / 2**24  # so that sums of them stay finite
    narrow: NDArray[Any] = np.clip(raw, -most, most).astype(np.float32)
    return narrow


def _choose(colours: Sequence[str], bands: Sequence[int] | None, name: str) -> list[int]:
    """Return indices from 0 of the bands to show."""
    count = len(colours)
    if bands is not None:
        chosen = [bands] if isinstance(bands, int) else list(bands)
        if len(chosen) not in (1, 3) or not all(_is_whole(band) and 1 <= band <= count for band in chosen):
            raise RasterError(f"{name}: bands={bands!r}; choose one or three of its bands 1 to {count}")
        return [int(band) - 1 for band in chosen]
    if all(ink in colours for ink in CMYK):
        return [colours.index(ink) for ink in CMYK]
    if all(colour in colours for colour in RGB):
        return [colours.index(colour) for colour in RGB]
    plain = [k for k, colour in enumerate(colours) if colour != "alpha"]
    if not plain:
        raise RasterError(f"{name}: it holds an alpha band only; choose bands=(1,) to show that")
    return plain[:3] if len(plain) >= 3 and colours[plain[0]] != "palette" else plain[:1]


def _is_whole(number: Any) -> bool:
    return isinstance(number, Real) and not isinstance(number, bool) and float(number).is_integer()


def _both(weight: NDArray[np.float32] | None, other: NDArray[Any]) -> NDArray[np.float32] | None:
    """Multiply validities; None stays None where the other is valid everywhere."""
    if other.dtype == np.bool_ and other.all():
        return weight
    share = other.astype(np.float32)
    return share if weight is None else weight * share


def _unlike(raw: NDArray[Any], nodata: Sequence[float | None]) -> NDArray[np.bool_]:
    """Return where any band differs from its no-data value (a pixel counts as empty when all its bands are)."""
    valid = np.zeros(raw.shape[1:], dtype=bool)
    for plane, value in zip(raw, nodata):
        if value is None or np.isnan(value):
            valid |= ~np.isnan(plane) if plane.dtype.kind in "fc" else True
        elif plane.dtype.kind in "ui" and not (value == int(value) and _fits(int(value), plane.dtype)):
            valid[:] = True  # a value the type cannot hold marks nothing
        else:
            valid |= plane != plane.dtype.type(value)
    return valid


def _fits(value: int, dtype: np.dtype[Any]) -> bool:
    info = np.iinfo(dtype)
    return bool(info.min <= value <= info.max)
