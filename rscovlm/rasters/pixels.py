"""From a file's raw bands to channels that may be averaged: grey or colour, and how much of each pixel is valid."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rscovlm.geometry.window import WindowLike
from rscovlm.rasters.bands import CMYK, choose
from rscovlm.rasters.errors import RasterError
from rscovlm.rasters.opacity import Opacity
from rscovlm.rasters.reader import Reader
from rscovlm.rasters.samples import Samples, Shares


class Pixels:
    """The chosen bands of a reader as one or three channels.

    Palettes are looked up, CMYK is turned into RGB, complex numbers into their magnitude, before any averaging:
    the mean of two palette numbers is not a colour.

    A pixel is valid where the file's mask is set, its alpha is above 0, and any of the bands shown has a number that is
    finite and not its no-data value, which is what GDAL's dataset mask says. Of a pixel that lacks some bands only, the
    others are shown.

    Args:
        reader: An opened file.
        bands: One or three band numbers, counted from 1 as maps and satellites do; None chooses as `bands.choose`.

    Attributes:
        channels: 1 or 3.
        dtype: uint8 where the channels can be shown as they are, else float32.
        blends: Whether validity is transparency, so that partly valid pixels are mixed with the background.
        weighted: Whether some pixels may be invalid (no-data, transparent, masked, not a number).
    """

    def __init__(self, reader: Reader, bands: Sequence[int] | None = None) -> None:
        layout = reader.layout
        self.reader = reader
        chosen, self._note = choose(layout, bands, reader.name)
        self.bands = tuple(chosen)
        picked = [layout.colours[band] for band in self.bands]
        self._kind = "cmyk" if tuple(picked) == CMYK else "palette" if picked == ["palette"] else "plain"
        if self._kind == "palette" and layout.palette is None:
            self._kind = "plain"
        if self._kind == "cmyk" and layout.dtype != np.uint8:
            raise RasterError(
                f"{reader.name}: CMYK of {layout.dtype} is not read; choose bands=(1,) or convert it to RGB"
            )
        alpha = layout.colours.index("alpha") if "alpha" in layout.colours else None
        self._alpha = alpha if alpha not in self.bands else None
        self._opacity = None if self._alpha is None else Opacity(reader, self._alpha)
        nodata = [layout.nodata[band] if layout.nodata else None for band in self.bands]
        self._nodata = None if self._kind == "cmyk" or all(v is None for v in nodata) else nodata
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
    def notes(self) -> tuple[str, ...]:
        """What a reader of the result should know; what the pixels themselves tell is added when some are read."""
        found = None if self._opacity is None else self._opacity.note
        return tuple(note for note in (self._note, found) if note is not None)

    @property
    def validity(self) -> str:
        """What decides which pixels are valid, in words; it differs where reading the same bands gives other shares."""
        parts = ["mask"] if self.reader.layout.masked else []
        parts += [f"alpha band {self._alpha + 1}"] if self._alpha is not None else []
        if self._nodata is not None:
            parts.append("no-data value " + ", ".join(f"{v:g}" for v in dict.fromkeys(self._nodata) if v is not None))
        return " and ".join(parts) or "finite numbers"

    @property
    def background(self) -> tuple[int, ...]:
        """What fully invalid pixels of bytes look like: the no-data value as it is stored, else black."""
        if self._nodata is None or self._kind != "plain" or self.dtype != np.uint8:
            return (0,) * self.channels
        stored = [value if value is not None and np.isfinite(value) else 0 for value in self._nodata]
        shown = stored if self._white is None else [self._white - value for value in stored]
        return tuple(int(min(max(value, 0), 255)) for value in shown)

    def read(self, level: int, window: WindowLike) -> Samples:
        """Return a window of a level, its values of `dtype`."""
        wanted = self.bands if self._alpha is None else (*self.bands, self._alpha)
        raw = self.reader.read(level, window, wanted)
        mask = self.reader.mask(level, window) if self.reader.layout.masked else None
        return self._convert(raw, mask)

    def blank(self, size: tuple[int, int]) -> Samples:
        """Return what `read` gives for a hole in a sparse file, (width, height) pixels of it."""
        count = len(self.bands) + (self._alpha is not None)
        raw = np.zeros((count, size[1], size[0]), dtype=self.reader.layout.dtype)
        for k, value in enumerate(self._nodata or ()):
            raw[k] = 0 if value is None else value
        mask = np.zeros(raw.shape[1:], dtype=bool) if self.reader.layout.masked else None
        return self._convert(raw, mask)

    def _convert(self, raw: NDArray[Any], mask: NDArray[np.bool_] | None) -> Samples:
        valid = None if mask is None or mask.all() else mask
        opacity: Shares | None = None
        if self._opacity is not None:
            alpha, raw = raw[-1], raw[:-1]
            clear = alpha > 0
            valid = _and(valid, clear)
            opacity = self._opacity.share(alpha)
            if self.reader.layout.premultiplied:
                raw = _unmultiplied(raw, opacity)
            if np.array_equal(opacity, clear):
                opacity = None
        present = None if self._nodata is None else _unlike(raw, self._nodata)
        if raw.dtype.kind in "fc":
            finite = np.isfinite(raw)
            if not finite.all():
                present = _and(present, finite)
                raw = np.where(finite, raw, 0)
            if raw.dtype.itemsize > (8 if raw.dtype.kind == "c" else 4):
                raw = _narrowed(raw)
        if present is not None:
            any_present = np.logical_or.reduce(present)
            # Bytes are colours as they stand: green (0, 90, 0) is not without red where 0 means no data.
            if raw.dtype == np.uint8 or np.array_equal(any_present, np.logical_and.reduce(present)):
                present = None
            valid = _and(valid, any_present)
        if self._kind == "palette":
            raw, entry = self._look_up(raw[0])
            if entry is not None:
                valid = _and(valid, entry > 0)
                opacity = entry if opacity is None else opacity * entry
        elif self._kind == "cmyk":
            light = 255 - raw[3].astype(np.uint16)
            raw = np.stack([((255 - ink.astype(np.uint16)) * light + 127) // 255 for ink in raw[:3]]).astype(np.uint8)
        if raw.dtype.kind == "c":
            raw = np.abs(raw)
        if self._white is not None:
            raw = self._white - raw.astype(self.dtype)
        values = raw if raw.dtype == self.dtype else raw.astype(self.dtype)
        return _weighted(values, valid, opacity, present)

    def _look_up(self, index: NDArray[Any]) -> tuple[NDArray[np.uint8], Shares | None]:
        palette = self.reader.layout.palette
        if palette is None:
            raise ValueError("the file says its pixels are indices but has no palette; save it as RGB")
        table = np.zeros((max(len(palette), 256), 4), dtype=np.uint8)
        table[: len(palette)] = palette
        looked = table[np.minimum(index, len(table) - 1)]
        opacity = looked[..., 3].astype(np.float32) / np.float32(255) if (looked[..., 3] < 255).any() else None
        return np.moveaxis(looked[..., :3], -1, 0), opacity


def _weighted(
    values: NDArray[Any],
    valid: NDArray[np.bool_] | None,
    opacity: Shares | None,
    present: NDArray[np.bool_] | None,
) -> Samples:
    """Put together which pixels are valid, how opaque they are, and which of their channels have a number."""
    if valid is None and opacity is None and present is None:
        return Samples(values)
    share = np.ones(values.shape[1:], np.float32) if valid is None else valid.astype(np.float32)
    if opacity is None and present is None:
        return Samples(values, share[None])
    weight = (share if opacity is None else share * opacity)[None]
    return Samples(values, weight if present is None else weight * present, share)


def _unmultiplied(raw: NDArray[Any], opacity: Shares) -> NDArray[Any]:
    """Return colours that were stored multiplied by opacity as they were before."""
    whole = raw / np.maximum(opacity, 1e-6)
    if raw.dtype.kind in "ui":
        whole = np.clip(np.round(whole), 0, np.iinfo(raw.dtype).max)
    unmultiplied: NDArray[Any] = whole.astype(raw.dtype)
    return unmultiplied


def _narrowed(raw: NDArray[Any]) -> NDArray[Any]:
    """Return floats of 64 bits and more as those of 32, the nearest where they are beyond these (a no-data value)."""
    if raw.dtype.kind == "c":
        raw = np.abs(raw)
    most = np.finfo(np.float32).max / 2**24  # so that sums of them stay finite
    narrow: NDArray[Any] = np.clip(raw, -most, most).astype(np.float32)
    return narrow


def _and(one: NDArray[np.bool_] | None, other: NDArray[np.bool_]) -> NDArray[np.bool_] | None:
    """Return where both hold; None stands for everywhere."""
    if one is None:
        return None if other.all() else other
    return one & other


def _unlike(raw: NDArray[Any], nodata: Sequence[float | None]) -> NDArray[np.bool_] | None:
    """Return (bands, h, w) where numbers differ from their band's no-data value; None where all do."""
    unlike = np.ones(raw.shape, dtype=bool)
    for found, plane, value in zip(unlike, raw, nodata):
        if value is None or np.isnan(value):
            continue  # numbers that are none are found in any case
        if plane.dtype.kind in "ui" and not _fits(value, plane.dtype):
            continue  # a value the type cannot hold marks nothing
        np.not_equal(plane, plane.dtype.type(value), out=found)
    return None if unlike.all() else unlike


def _fits(value: float, dtype: np.dtype[Any]) -> bool:
    info = np.iinfo(dtype)
    return float(value).is_integer() and bool(info.min <= value <= info.max)
