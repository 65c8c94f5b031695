"""Pictures of records: their size at once, their pixels when they are asked for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from rscovlm.data.paths import resolve
from rscovlm.data.records import ImageRef
from rscovlm.data.tally import Rejected
from rscovlm.data.views import PADDING
from rscovlm.rasters import Raster, open_image

Window = tuple[int, int, int, int]


@dataclass(frozen=True)
class Picture:
    """An image of a record, or a window of it, at the size it is to be shown.

    Attributes:
        image: Which image.
        root: Folder that its path is relative to.
        size: Width and height in pixels to show it at.
        window: Part of the image to show, in its own pixels; None shows all of it.
    """

    image: ImageRef
    root: Path
    size: tuple[int, int]
    window: Window | None = None

    def load(self) -> Image.Image:
        """Read the pixels, from the original's own resolution.

        Raises:
            ValueError: The file is missing, cannot be read, or is larger than the budget of `open_image`.
        """
        with open_reference(self.image, self.root) as raster:
            window = self.window or (0, 0, raster.width, raster.height)
            return raster.read(window, size=self.size).image


def open_reference(image: ImageRef, root: Path) -> Raster:
    """Open what an image reference points at; nothing is decoded yet.

    Raises:
        ValueError: The path is unsafe, or the file missing or unreadable.
    """
    if image.data is not None:
        return open_image(image.data)
    if image.path:
        try:
            return open_image(resolve(root, image.path))
        except FileNotFoundError:
            raise Rejected("image missing", f"no file {image.path!r} below the data folder") from None
    with open_image(resolve(root, image.parent)) as parent:
        left, top, right, bottom = image.window or (0, 0, parent.width, parent.height)
        inside = (max(left, 0), max(top, 0), min(right, parent.width), min(bottom, parent.height))
        tile = Image.new("RGB", (right - left, bottom - top), PADDING)
        tile.paste(parent.read(inside).image, (inside[0] - left, inside[1] - top))
    return open_image(tile)


def picture_size(image: ImageRef, root: Path) -> tuple[int, int]:
    """Return an image's width and height: the record's where it says them, else the file's header's."""
    if image.width and image.height:
        return image.width, image.height
    if image.window is not None and not image.path and image.data is None:
        return image.window[2] - image.window[0], image.window[3] - image.window[1]
    with open_reference(image, root) as raster:
        return raster.width, raster.height


def loaded(image: Picture | Image.Image) -> Image.Image:
    """Return the pixels of a picture, or the image itself."""
    return image.load() if isinstance(image, Picture) else image
