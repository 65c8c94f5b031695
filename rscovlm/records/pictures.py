"""Pictures of records: their size at once, their pixels when they are asked for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import cast

from PIL import Image

from rscovlm.exports.mask_drawing import tint_masks
from rscovlm.geometry.masks import Mask
from rscovlm.geometry.window import WindowLike
from rscovlm.processing.pixels import to_rgb
from rscovlm.rasters import Orientation, Raster, open_image
from rscovlm.records.record import ImageRef
from rscovlm.records.tally import Rejected
from rscovlm.records.views import load_image, open_ref


@dataclass(frozen=True)
class Picture:
    """An image of a record, or a window of it, at the size it is to be shown.

    Attributes:
        image: Which image.
        root: Folder that its path is relative to.
        size: Width and height in pixels to show it at.
        window: Part of the image to show, in its own pixels; None shows all of it.
        orientation: Which pixels its own are, as for `open_image`.
        masks: Tinted on what is shown, in pixels of that.
    """

    image: ImageRef
    root: Path
    size: tuple[int, int]
    window: WindowLike | None = None
    orientation: Orientation = "shown"
    masks: tuple[Mask, ...] = ()

    def load(self) -> Image.Image:
        """Read the pixels, from the original's own resolution.

        Raises:
            ValueError: The file is missing, cannot be read, or is larger than the budget of `open_image`.
        """
        return tint_masks(self._read(), self.masks) if self.masks else self._read()

    def _read(self) -> Image.Image:
        if self.image.window is not None and not self.image.path and self.image.data is None:
            # A tile: its pixels are a window of its parent, and what lies outside is padded.
            tile = open_image(load_image(self.image, self.root, orientation=self.orientation))
            return tile.read(self.window or (0, 0, tile.width, tile.height), size=self.size).image
        with self._opened() as raster:
            return raster.read(self.window or (0, 0, raster.width, raster.height), size=self.size).image

    def _opened(self) -> Raster:
        try:
            return open_ref(self.image, self.root, self.orientation)
        except FileNotFoundError:
            raise Rejected("image missing", f"no file {self.image.path!r} below the data folder") from None


def loaded(image: Picture | Image.Image) -> Image.Image:
    """Return the pixels of a picture, or of the image itself, in 8-bit RGB.

    Raises:
        ValueError: They cannot be had, or `to_rgb` refuses them; the error carries a reason that a `Tally` counts by.
    """
    try:
        if isinstance(image, Picture):
            return image.load()
        image.load()
        return cast(Image.Image, to_rgb(image))
    except Rejected:
        raise
    except FileNotFoundError as error:
        raise Rejected("image missing", str(error)) from error
    except (ValueError, OSError, SyntaxError) as error:
        # Pillow tells a broken PNG by a SyntaxError.
        raise Rejected("image unreadable", str(error)) from error
