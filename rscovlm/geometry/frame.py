"""The only place where coordinates change: a pixel grid and where it lies on the image it came from."""

from __future__ import annotations

import math
import operator
from dataclasses import dataclass, field, replace

from rscovlm.geometry.affine import IDENTITY, Affine6, Floats, apply, compose, inverse, validated
from rscovlm.geometry.control_points import ControlPoints

NOWHERE = "the image has no map coordinates; give one with a world file or geotransform, or use its pixels"


@dataclass(frozen=True)
class Frame:
    """A pixel grid with the map to the image it came from and, where known, on to map coordinates.

    The map to map coordinates is affine, or runs through control points; `places` and `pixels` follow either.

    Coordinates are continuous: x right, y down, (0, 0) the outer corner of the first pixel, so pixel (0, 0) covers
    [0, 1) x [0, 1) and its centre is (0.5, 0.5). An affine map is six numbers a, b, c, d, e, f:
    ``X = a x + b y + c``, ``Y = d x + e y + f`` (the order of rasterio's ``Affine``).

    Attributes:
        width: Columns of this grid.
        height: Rows of this grid.
        to_root: From this grid to the pixels of the root image, the file as it was opened.
        root_to_world: From the root image's pixels to units of `crs`; None where the file has none. With control points
            it is the affine map that comes closest to them.
        crs: Coordinate reference system, such as ``"EPSG:32617"`` or WKT.
        control: Points of the root image whose places are known, where no affine map meets them.
        accuracy: How far places are expected to be off, r.m.s. in pixels of the root image, where they were fitted to
            control points; None where the file states them, or where nothing is known of it.
        ground: Metres per pixel of the root image, where they are stated; two frames that differ in it alone are equal.

    Raises:
        ValueError: When a size is not a positive integer, or a map is not six finite numbers that can be undone.

    >>> overview = Frame(4000, 2000).resized(1000, 500)
    >>> window = Frame(4000, 2000).cropped(1000, 800, 1400, 1200)
    >>> overview.to(window)  # pixels of the overview to pixels of the window
    (4.0, 0.0, -1000.0, 0.0, 4.0, -800.0)
    """

    width: int
    height: int
    to_root: Affine6 = IDENTITY
    root_to_world: Affine6 | None = None
    crs: str | None = None
    control: ControlPoints | None = None
    accuracy: float | None = None
    ground: float | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        for name in ("width", "height"):
            object.__setattr__(self, name, _positive(getattr(self, name), f"frame {name}"))
        if self.ground is not None and not (math.isfinite(self.ground) and self.ground > 0):
            raise ValueError(f"ground is {self.ground!r}; give metres per pixel above 0, or None")
        object.__setattr__(self, "to_root", validated(self.to_root, "to_root"))
        if self.control is not None and self.root_to_world is None:
            object.__setattr__(self, "root_to_world", self.control.affine)
        if self.root_to_world is not None:
            object.__setattr__(self, "root_to_world", validated(self.root_to_world, "root_to_world"))

    @property
    def root_pixels(self) -> float:
        """Pixels of the root image along one pixel of this grid: the root of what its area covers.

        >>> Frame(4000, 2000).resized(1000, 500).root_pixels
        4.0
        """
        a, b, _, d, e, _ = self.to_root
        return math.sqrt(abs(a * e - b * d))

    def resized(self, width: int, height: int) -> Frame:
        """Return the grid of `width` x `height` pixels over the same part of the root image."""
        width, height = _positive(width, "new width"), _positive(height, "new height")
        shrink: Affine6 = (self.width / width, 0.0, 0.0, 0.0, self.height / height, 0.0)
        return replace(self, width=width, height=height, to_root=compose(self.to_root, shrink))

    def cropped(self, x1: int, y1: int, x2: int, y2: int) -> Frame:
        """Return the grid of a window.

        Args:
            x1: First column of the window, in pixels of this grid.
            y1: First row.
            x2: Column after the last one. The window may reach over the border, as that of a padded tile does.
            y2: Row after the last one.

        Raises:
            ValueError: When a side is not an integer or the window is empty.
        """
        x1, y1, x2, y2 = (_integer(side, "window side") for side in (x1, y1, x2, y2))
        if x2 <= x1 or y2 <= y1:
            raise ValueError(f"window {(x1, y1, x2, y2)} is empty; x2 must be above x1 and y2 above y1")
        shift: Affine6 = (1.0, 0.0, float(x1), 0.0, 1.0, float(y1))
        return replace(self, width=x2 - x1, height=y2 - y1, to_root=compose(self.to_root, shift))

    def normalised(self, scale: int = 1000) -> Frame:
        """Return the grid in which this one is `scale` x `scale` units large."""
        return self.resized(scale, scale)

    def to(self, other: Frame) -> Affine6:
        """Return the map from this grid to another grid of the same root image.

        Raises:
            ValueError: When both know their place on the ground and these differ: then the roots are two images.
        """
        mine, theirs = (self.root_to_world, self.crs, self.control), (other.root_to_world, other.crs, other.control)
        if None not in (mine[0], theirs[0]) and mine != theirs:
            raise ValueError(
                f"the frames lie on different images: {mine[:2]} and {theirs[:2]}; go through map coordinates"
            )
        if self.to_root == other.to_root:
            return IDENTITY
        return compose(inverse(other.to_root), self.to_root)

    def to_world(self) -> Affine6 | None:
        """Return the affine map from this grid to units of `crs`, or None where the file has none.

        Of an image placed by control points it is an approximation; `places` is not.
        """
        return None if self.root_to_world is None else compose(self.root_to_world, self.to_root)

    def places(self, points: Floats) -> Floats:
        """Return the places of (n, 2) points of this grid, in units of `crs`.

        Raises:
            ValueError: The frame has no map coordinates.
        """
        if self.root_to_world is None:
            raise ValueError(NOWHERE)
        if self.control is not None:
            return self.control.to_world(apply(self.to_root, points))
        return apply(compose(self.root_to_world, self.to_root), points)

    def pixels(self, places: Floats) -> Floats:
        """Return the points of this grid at (n, 2) places in units of `crs`.

        Raises:
            ValueError: The frame has no map coordinates, or a place is too far from its control points.
        """
        if self.root_to_world is None:
            raise ValueError(NOWHERE)
        if self.control is not None:
            return apply(inverse(self.to_root), self.control.to_pixels(places))
        return apply(inverse(compose(self.root_to_world, self.to_root)), places)


def checked_frame(frame: Frame) -> Frame:
    """Return a frame.

    Raises:
        ValueError: It is none, such as a tuple of width and height.
    """
    if not isinstance(frame, Frame):
        raise ValueError(f"frame is {frame!r}; give a Frame, such as Frame(1008, 1008) for width and height")
    return frame


def _integer(value: int, name: str) -> int:
    try:
        return operator.index(value)
    except TypeError:
        raise ValueError(f"{name} is {value!r}; give an integer") from None


def _positive(value: int, name: str) -> int:
    number = _integer(value, name)
    if number < 1:
        raise ValueError(f"{name} is {number}; give a number of pixels from 1 up")
    return number
