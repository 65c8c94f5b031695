"""From a record to what code works with: its pixels as a picture, its boxes as `Objects`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from rscovlm.geometry import Boxes, Frame, Objects
from rscovlm.geometry.kinds import Kind
from rscovlm.geometry.window import Window, WindowLike
from rscovlm.rasters import Orientation, Raster, open_image
from rscovlm.records.paths import resolve
from rscovlm.records.record import Annotation, ImageRef, Record

PADDING = (124, 116, 104)
"""RGB outside the parent image of a tile: the mean colour that detectors of the field pad with."""


def open_ref(image: ImageRef, root: str | Path, orientation: Orientation = "shown") -> Raster:
    """Open the file an image's pixels are in: its own, or, for a tile that is a window, its parent's.

    Raises:
        ValueError: The path is unsafe or the file is no image.
        FileNotFoundError: The file is missing.
    """
    stated: dict[str, Any] = {"bands": image.bands or None, "opaque": bool(image.bands), "gsd": image.gsd or None}
    options = {**stated, "orientation": orientation}
    if image.data is not None:
        return open_image(image.data, **options)
    path = resolve(root, image.path or image.parent)
    return open_image(path, **options)


def load_image(
    image: ImageRef, root: str | Path, *, max_pixels: int | None = None, orientation: Orientation = "shown"
) -> Image.Image:
    """Read an image's pixels as RGB; a window is cut from its parent, and padded where it reaches past the edge.

    Args:
        image: What a record refers to.
        root: Folder that paths are relative to.
        max_pixels: Largest number of pixels of the result; by default all there are.
        orientation: As for `open_image`.

    Raises:
        ValueError: The path is unsafe, the file is no image, or the window lies outside it.
        FileNotFoundError: The file is missing.
    """
    with open_ref(image, root, orientation) as raster:
        if image.path or image.data is not None or image.window is None:
            return raster.read((0, 0, raster.width, raster.height), max_pixels).image
        return read_window(raster, image.window, max_pixels=max_pixels)


def read_window(raster: Raster, window: WindowLike, *, max_pixels: int | None = None) -> Image.Image:
    """Read a window of an image as RGB, padded where it reaches past the edge.

    Args:
        raster: The whole image.
        window: (x1, y1, x2, y2) in its pixels.
        max_pixels: Largest number of pixels of the result; by default all there are.

    Raises:
        ValueError: The window lies outside the image.
    """
    asked = Window(*window)
    inside = asked.clipped(raster.width, raster.height)
    if inside.empty:
        raise ValueError(f"window {window} lies outside the image of {raster.width}x{raster.height} pixels")
    scale = min(1.0, (max_pixels / asked.area) ** 0.5) if max_pixels else 1.0
    size = max(1, round(asked.width * scale)), max(1, round(asked.height * scale))
    left, top, right, bottom = (round(side * scale) for side in inside.moved(-asked.x1, -asked.y1))
    part = raster.read(inside, size=(max(1, right - left), max(1, bottom - top))).image
    if part.size == size:
        return part
    canvas = Image.new("RGB", size, PADDING)
    canvas.paste(part, (left, top))
    return canvas


def frame_of(image: ImageRef) -> Frame:
    """Give the pixel grid of an image.

    Raises:
        ValueError: Its size is not known.
    """
    if not (image.width and image.height):
        raise ValueError(f"image {image.path or image.parent!r} has no size; open it once and note width and height")
    return Frame(image.width, image.height, ground=image.gsd or None)


def objects_of(record: Record, kind: Kind = "quad", *, image: int = 0) -> Objects:
    """Give the boxes on one image of a record as labelled boxes of one kind, in the source's order.

    A horizontal box that comes with a four-cornered outline (refGeo, VRSBench) becomes that outline when `quad` or `obb` is asked for.

    Args:
        record: Any record whose image has a size.
        kind: The kind of box wanted.
        image: Which of its images.

    Raises:
        ValueError: The image's size is not known, or a box is inverted.
    """
    frame = frame_of(record.images[image])
    items = [item for item in record.objects if item.image == image]
    return Objects(boxes_of(items, kind, frame), tuple(item.label for item in items))


def boxes_of(items: Sequence[Annotation], kind: Kind, frame: Frame) -> Boxes:
    """Give annotations of one image as boxes of one kind; see `objects_of`."""
    if not items:
        return Boxes.empty(kind, frame)
    kinds = {item.kind for item in items}
    if len(kinds) == 1 and (kind in kinds or not any(item.polygons for item in items)):
        return Boxes([item.box for item in items], items[0].kind, frame).as_kind(kind)
    return Boxes.concatenate([_boxes(item, kind, frame) for item in items])


def _boxes(item: Annotation, kind: Kind, frame: Frame) -> Boxes:
    if kind != "hbb" and item.kind == "hbb" and len(item.polygons) == 1 and len(item.polygons[0]) == 8:
        return Boxes([item.polygons[0]], "quad", frame).as_kind(kind)
    return Boxes([item.box], item.kind, frame).as_kind(kind)
