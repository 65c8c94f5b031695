"""Masks of detected objects: each box is given to a segmenter, which draws the object inside it."""

from __future__ import annotations

from typing import Any

from rscovlm.codec.point_objects import PointObject
from rscovlm.geometry import Frame, Objects
from rscovlm.geometry.masks import Mask
from rscovlm.points.segmenter import Segmenter
from rscovlm.points.tiled import segment
from rscovlm.rasters import open_image


def box_prompts(objects: Objects, frame: Frame) -> list[PointObject]:
    """Return the horizontal box of each object, without points, in pixels of the image.

    Args:
        objects: Labelled boxes of any kind; without a frame of their own they are counted in the image's pixels.
        frame: The image's grid.

    >>> from rscovlm.geometry import Boxes
    >>> ship = Objects(Boxes([[10, 0, 20, 10, 10, 20, 0, 10]], "quad"), ("ship",))
    >>> box_prompts(ship, Frame(40, 30))[0].box.coords.tolist()
    [[0.0, 0.0, 20.0, 20.0]]
    """
    boxes = (objects if objects.boxes.frame is None else objects.to(frame)).boxes.as_kind("hbb")
    return [
        PointObject.prompt(label, row, (), frame)
        for label, row in zip(objects.labels, boxes.coords.tolist(), strict=True)
    ]


def masks_of_boxes(segmenter: Segmenter, image: Any, objects: Objects, **options: Any) -> list[Mask]:
    """Return the mask of each detected object in original pixels, empty where the segmenter draws nothing.

    Args:
        segmenter: Who draws the masks, such as ``load_segmenter("embedded")``.
        image: Whatever `open_image` takes.
        objects: Labelled boxes of any kind on the image.
        options: ``tile`` and ``overlap`` of `segment`.

    Raises:
        ValueError: As for `segment`.

    >>> import numpy as np
    >>> from rscovlm.geometry import Boxes
    >>> from rscovlm.points.segmenter import FilledShapes
    >>> ship = Objects(Boxes([[10, 5, 20, 9]], "hbb"), ("ship",))
    >>> [mask.area for mask in masks_of_boxes(FilledShapes(), np.zeros((30, 40, 3), np.uint8), ship)]
    [40]
    """
    raster = open_image(image)
    return segment(segmenter, raster, box_prompts(objects, raster.frame), **options)
