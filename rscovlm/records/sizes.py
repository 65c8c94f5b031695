"""The size of a record's image is what its file says; a record that says another is refused or rescaled."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from rscovlm.geometry import Boxes
from rscovlm.geometry.window import Window
from rscovlm.rasters import Orientation, Raster
from rscovlm.records.paths import resolve
from rscovlm.records.record import Annotation, ImageRef, Record
from rscovlm.records.tally import Rejected
from rscovlm.records.views import open_ref

OTHER_SIZE = "image is not of the record's size"
"""Reason that records are refused for."""

Size = tuple[int, int]


@dataclass(frozen=True)
class FileRule:
    """How the files of records are taken.

    Attributes:
        sizes: Where a record says another size than its file: ``"refuse"`` it, or ``"rescale"`` its boxes to the file.
        orientation: Which pixels boxes count: those that are ``"shown"``, turned by the EXIF orientation, or those ``"stored"``.
    """

    sizes: Literal["refuse", "rescale"] = "refuse"
    orientation: Orientation = "shown"


def picture_size(image: ImageRef, root: Path, orientation: Orientation = "shown") -> Size:
    """Return an image's width and height: its file's header's, whatever the record says; of a tile its window's.

    The record's size stands in for that of a file that cannot be opened: the code that reads the pixels reports the fault.

    Raises:
        ValueError: The file cannot be opened, and the record says no size.
    """
    if image.window is not None and not image.path and image.data is None:
        return Window(*image.window).size
    try:
        if image.data is not None:
            return _opened_size(open_ref(image, root, orientation))
        path = resolve(root, image.path)
        return _header_size(str(path), path.stat().st_mtime_ns, orientation)
    except (ValueError, OSError) as error:
        if image.width and image.height:
            return image.width, image.height
        if isinstance(error, FileNotFoundError):
            raise Rejected("image missing", f"no file {image.path!r} below the data folder") from None
        raise


def fitted(record: Record, root: Path, rule: FileRule) -> Record:
    """Return a record whose boxes count the pixels of its files.

    Args:
        record: Any record.
        root: Folder that its paths are relative to.
        rule: What to do where an image has another size than the record says.

    Raises:
        Rejected: An image has another size, and is to be refused or is turned.
    """
    sizes = [picture_size(image, root, rule.orientation) for image in record.images]
    said = [(image.width, image.height) for image in record.images]
    wrong = [place for place, size in enumerate(said) if all(size) and size != sizes[place]]
    if not wrong:
        return record
    place = wrong[0]
    if rule.sizes == "refuse" or any(said[place] == sizes[place][::-1] for place in wrong):
        raise Rejected(OTHER_SIZE, f"record {record.id!r}: {_words(record.images[place], sizes[place])}")
    return rescaled(record, sizes)


def _words(image: ImageRef, size: Size) -> str:
    what = (
        f"image {image.path!r} has {size[0]}x{size[1]} pixels, the record says {image.width}x{image.height}; "
        "its boxes would be off"
    )
    if (image.width, image.height) == size[::-1]:
        return f"{what}: it is turned by its EXIF orientation, or was; set orientation to 'stored', or convert it again"
    return f"{what}: convert the data again, or set sizes to 'rescale' if the images were resized as a whole"


def rescaled(record: Record, sizes: Sequence[Size]) -> Record:
    """Return a record with all that lies on its images stretched to images of other sizes.

    Args:
        record: A record whose images have sizes, or none and stay as they are.
        sizes: New width and height of each image.

    Examples:
        >>> record = Record("1", "mine", "train", "detection", (ImageRef("a.png", width=80, height=50),), objects=(
        ...     Annotation((4, 4, 14, 14), "ship", "hbb"),))
        >>> rescaled(record, [(40, 75)]).objects[0].box
        (2.0, 6.0, 7.0, 21.0)
    """
    factors = [
        (width / image.width, height / image.height) if image.width and image.height else (1.0, 1.0)
        for image, (width, height) in zip(record.images, sizes, strict=True)
    ]
    images = tuple(
        replace(image, width=width, height=height, gsd=image.gsd / math.sqrt(x * y) if image.gsd else 0.0)
        for image, (width, height), (x, y) in zip(record.images, sizes, factors, strict=True)
    )
    objects = tuple(_stretched(item, *factors[item.image]) for item in record.objects)
    x, y = factors[0]
    regions = tuple((x1 * x, y1 * y, x2 * x, y2 * y) for x1, y1, x2, y2 in record.regions)
    return replace(record, images=images, objects=objects, regions=regions)


def _stretched(item: Annotation, x: float, y: float) -> Annotation:
    box, kind = item.box, item.kind
    if kind == "obb":  # stretched, a turned rectangle is none any more
        box, kind = tuple(float(v) for v in Boxes([box], "obb").as_kind("quad").coords[0]), "quad"
    rings = tuple(_ring(ring, x, y) for ring in item.polygons)
    return replace(item, box=_ring(box, x, y), kind=kind, polygons=rings)


def _ring(numbers: Sequence[float], x: float, y: float) -> tuple[float, ...]:
    return tuple(value * (y if place % 2 else x) for place, value in enumerate(numbers))


@functools.lru_cache(maxsize=100_000)
def _header_size(path: str, changed: int, orientation: Orientation) -> Size:
    """Return the size of a file that has not changed since; the second number is for the cache alone."""
    return _opened_size(open_ref(ImageRef(path=Path(path).name), Path(path).parent, orientation))


def _opened_size(raster: Raster) -> Size:
    with raster:
        return raster.width, raster.height
