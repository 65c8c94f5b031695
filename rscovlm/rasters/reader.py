"""What every way of reading a file offers: levels of detail, and raw bands of a window of one of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from rscovlm.geometry.affine import Affine6
from rscovlm.geometry.control_points import ControlPoints
from rscovlm.geometry.window import WindowLike


@dataclass(frozen=True)
class Level:
    """One resolution of an image: its size, and the blocks it is stored in, in its own pixels."""

    width: int
    height: int
    block_width: int
    block_height: int


@dataclass(frozen=True)
class BandLayout:
    """What the bands of a file are.

    Attributes:
        colours: One of gray, red, green, blue, alpha, palette, cyan, magenta, yellow, black, undefined for each band.
        dtype: Type of the stored numbers.
        nodata: The value of each band that means "nothing was measured here", or None.
        palette: (n, 4) uint8 red, green, blue, alpha of the palette's entries, or None.
        masked: Whether the file holds a separate validity mask.
        bits: Significant bits where fewer than the type has (a 1-bit mask stored as bytes), or None.
        white_is_zero: Whether 0 is the brightest grey (TIFF's MinIsWhite, as scanners write it).
        descriptions: What the file calls its bands, in its own words.
        alpha_top: Number that alpha has where a pixel is opaque; None where the format does not define it.
        premultiplied: Whether colours are stored multiplied by alpha (TIFF's associated alpha).
        expanded: Whether the file holds numbers of a palette, in whose place its colours are read.
    """

    colours: tuple[str, ...]
    dtype: np.dtype[Any]
    nodata: tuple[float | None, ...] = ()
    palette: NDArray[np.uint8] | None = None
    masked: bool = False
    bits: int | None = None
    white_is_zero: bool = False
    descriptions: tuple[str, ...] = ()
    alpha_top: float | None = None
    premultiplied: bool = False
    expanded: bool = False

    def opaque(self) -> BandLayout:
        """Return the same without anything that makes pixels invalid."""
        palette = self.palette
        if palette is not None:
            palette = palette.copy()
            palette[:, 3] = 255
        colours = tuple("undefined" if colour == "alpha" else colour for colour in self.colours)
        return replace(self, colours=colours, nodata=(), palette=palette, masked=False, premultiplied=False)


@dataclass(frozen=True)
class Place:
    """Where an image lies: the map from pixels to the units of a CRS, either of which may be unknown.

    The last two are those of a `Frame`: points that the map runs through where it is not affine, and its accuracy.
    """

    to_world: Affine6 | None = None
    crs: str | None = None
    notes: tuple[str, ...] = field(default=())
    control: ControlPoints | None = None
    accuracy: float | None = None


class Reader(Protocol):
    """A file (or picture in memory) opened for reading windows."""

    name: str
    layout: BandLayout
    place: Place
    notes: tuple[str, ...]
    front_to_back: bool
    """Whether any read decodes the file from its beginning (PNG, JPEG), so that few large reads are best."""

    @property
    def levels(self) -> Sequence[Level]:
        """Levels of detail, the full resolution first."""

    def read(self, level: int, window: WindowLike, bands: Sequence[int]) -> NDArray[Any]:
        """Return (len(bands), h, w) stored numbers of a window x1, y1, x2, y2 of a level; bands count from 0."""

    def mask(self, level: int, window: WindowLike) -> NDArray[np.bool_] | None:
        """Return (h, w) True where the file's own mask says valid; None where it holds no mask."""

    def blank(self, level: int, window: WindowLike) -> bool:
        """Tell whether a window is known to hold nothing at all (a hole in a sparse file), without reading it."""

    def close(self) -> None:
        """Close the file."""
