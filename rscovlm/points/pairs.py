"""Two images of one place: the same window of both, on one grid, and whether they lie on each other."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from PIL import Image

from rscovlm.geometry import Boxes, Frame
from rscovlm.geometry.affine import Affine6, Floats, apply, compose, inverse
from rscovlm.geometry.window import Window
from rscovlm.rasters import Raster

_SIDE = 512
"""Longest side at which two images are compared."""

_CERTAIN = 8.0
"""How many standard deviations the peak of a correlation stands out where the images show one place."""

_ALONE = 1.5
"""How many times as far as any peak elsewhere: stripes and enlarged pixels correlate in many places."""

_NEAR = 5
"""Pixels around a peak that belong to it."""


@dataclass(frozen=True)
class Shift:
    """How far a later image lies from an earlier one.

    Attributes:
        x: Pixels of the earlier image to the right; 0 where the correlation tells nothing.
        y: Pixels downwards.
        certain: The correlation has one peak that stands out; otherwise the images may show different places.
        step: Pixels of the earlier image that one pixel of the comparison has: the finest shift that can be told.
    """

    x: float
    y: float
    certain: bool
    step: float

    @property
    def distance(self) -> float:
        """Length of the shift in pixels of the earlier image."""
        return float(np.hypot(self.x, self.y))

    @property
    def noticed(self) -> bool:
        """Whether the images lie beside each other by more than two pixels of the comparison."""
        return self.certain and self.distance > 2 * self.step


@dataclass(frozen=True)
class RasterPair:
    """Two images of one place on the grid of the earlier one.

    Attributes:
        before: The earlier image.
        after: The later image.
        resampled: The later image has another grid and is resampled.

    Raises:
        ValueError: They differ in size and do not both say where they lie, have different coordinate systems, or share no ground.
    """

    before: Raster
    after: Raster
    resampled: bool = False

    @classmethod
    def of(cls, before: Raster, after: Raster) -> RasterPair:
        """Pair two images: pixel by pixel where they are of one size and no map says otherwise, else by map coordinates.

        Raises:
            ValueError: They do not fit each other, as the class says.
        """
        one, two = before.frame, after.frame
        placed = [frame.to_world() is not None and frame.control is None for frame in (one, two)]
        alike = (one.width, one.height) == (two.width, two.height)
        if all(placed) and one.crs != two.crs:
            raise ValueError(
                f"the images have the coordinate systems {one.crs} and {two.crs}; bring them to one, with gdalwarp for instance"
            )
        same_grid = one.root_to_world is not None and np.allclose(
            one.root_to_world, two.root_to_world or (0.0,) * 6, rtol=1e-9, atol=1e-9
        )
        if alike and (not all(placed) or same_grid):
            return cls(before, after)
        if not all(placed):
            raise ValueError(
                f"the images have {one.width}x{one.height} and {two.width}x{two.height} pixels and do not both say where they "
                "lie; give images of one size, or with map coordinates"
            )
        pair = cls(before, after, resampled=True)
        if pair._in_after(Window.whole(one.width, one.height)).empty:
            raise ValueError("the images share no ground; give two of one place")
        return pair

    @property
    def frame(self) -> Frame:
        """The grid of the earlier image."""
        return self.before.frame

    def windows(self, window: Window, size: tuple[int, int]) -> tuple[Image.Image, Image.Image]:
        """Return the same window of both images at one size; ground that the later one does not show is black.

        Args:
            window: In pixels of the earlier image.
            size: Width and height of both pictures.
        """
        first = self.before.read(window, size=size).image
        if not self.resampled:
            return first, self.after.read(window, size=size).image
        part = self._in_after(window)
        if part.empty:
            return first, Image.new("RGB", size)
        # As fine as what is shown asks for, and no finer.
        most = 4 * size[0] * size[1]
        view = self.after.read(part, max_pixels=min(part.area, most))
        ours = self.frame.cropped(*window).resized(*size)
        return first, _resampled(view.image, _affine(ours, view.frame), size)

    def shift(self) -> Shift:
        """Return how far the later image lies from the earlier one, by phase correlation of both as a whole."""
        width, height = self.frame.width, self.frame.height
        scale = min(1.0, _SIDE / max(width, height))
        size = max(1, round(width * scale)), max(1, round(height * scale))
        first, second = self.windows(Window.whole(width, height), size)
        found = phase_shift(np.asarray(first.convert("L")), np.asarray(second.convert("L")))
        x, y, certain = found
        step = max(1.0, 1 / scale)
        return Shift(x * width / size[0], y * height / size[1], certain, step)

    def _in_after(self, window: Window) -> Window:
        """Return the window of the later image that holds a window of the earlier one."""
        corners = Boxes([window], "hbb").as_kind("quad").coords.reshape(-1, 2)
        there = apply(_affine(self.frame, self.after.frame), corners)
        around = Window.around(*there.min(axis=0).round(6).tolist(), *there.max(axis=0).round(6).tolist())
        return around.clipped(self.after.width, self.after.height)


def phase_shift(first: ArrayLike, second: ArrayLike) -> tuple[float, float, bool]:
    """Return by how many pixels, x and y, what the first image shows lies elsewhere in the second, and whether that is certain.

    The phases of both spectra are compared (Kuglin and Hines, 1975), of edges rather than of light, so that another season or sun
    matters little.

    Args:
        first: (h, w) grey levels.
        second: (h, w) grey levels.

    Raises:
        ValueError: The images differ in size.

    >>> image = np.random.default_rng(0).random((64, 64))
    >>> phase_shift(image, np.roll(image, (3, -5), axis=(0, 1)))
    (-5.0, 3.0, True)
    """
    one, two = (_edges(np.asarray(image, np.float64)) for image in (first, second))
    if one.shape != two.shape:
        raise ValueError(f"the images have shapes {one.shape} and {two.shape}; give two of one size")
    if min(one.shape) < 2 * _NEAR + 2 or not one.any() or not two.any():
        return 0.0, 0.0, False
    spectrum = np.conj(np.fft.rfft2(one)) * np.fft.rfft2(two)
    size: Floats = np.abs(spectrum)
    surface: Floats = np.fft.irfft2(spectrum / np.maximum(size, 1e-12 * size.max()), one.shape)
    sharp, surface = surface, _smoothed(surface)
    surface = (surface - surface.mean()) / max(float(surface.std()), 1e-300)
    y, x = (int(place) for place in np.unravel_index(int(np.argmax(surface)), surface.shape))
    peak = float(surface[y, x])
    elsewhere = np.roll(surface, (_NEAR - y, _NEAR - x), axis=(0, 1))
    elsewhere[: 2 * _NEAR + 1, : 2 * _NEAR + 1] = -np.inf
    certain = bool(peak > _CERTAIN and peak > _ALONE * float(elsewhere.max()))
    if not certain:
        return 0.0, 0.0, False
    height, width = one.shape
    # The mean of nine neighbours is as high next to a sharp peak as on it.
    near = [((y + down) % height, (x + across) % width) for down in (-1, 0, 1) for across in (-1, 0, 1)]
    y, x = max(near, key=lambda place: float(sharp[place]))
    return float(x - width if x > width // 2 else x), float(y - height if y > height // 2 else y), True


def _edges(image: Floats) -> Floats:
    """Return how much the light changes, faded out towards the borders."""
    down, across = np.gradient(image) if min(image.shape) > 1 else (image * 0, image * 0)
    faded: Floats = np.hypot(down, across)
    faded -= faded.mean()
    return faded * np.hanning(image.shape[0])[:, None] * np.hanning(image.shape[1])[None]


def _smoothed(surface: Floats) -> Floats:
    """Return means over 3 by 3 neighbours, round the borders: a shift of half a pixel has its peak on two."""
    down = surface + np.roll(surface, 1, axis=0) + np.roll(surface, -1, axis=0)
    return np.asarray(down + np.roll(down, 1, axis=1) + np.roll(down, -1, axis=1)) / 9


def _affine(one: Frame, two: Frame) -> Affine6:
    """Return the map from pixels of one grid to those of another, over the ground."""
    world, other = one.to_world(), two.to_world()
    if world is None or other is None:
        raise ValueError("an image does not say where it lies; give map coordinates")
    return compose(inverse(other), world)


def _resampled(image: Image.Image, affine: tuple[float, ...], size: tuple[int, int]) -> Image.Image:
    return image.transform(size, Image.Transform.AFFINE, affine, Image.Resampling.BILINEAR)
