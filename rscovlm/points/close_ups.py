"""A segmenter that is shown each object by itself, large enough to be seen well."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from rscovlm.codec.point_objects import PointObject
from rscovlm.geometry import Frame
from rscovlm.geometry.masks import Mask
from rscovlm.geometry.window import Window
from rscovlm.points.segmenter import Segmenter
from rscovlm.points.tiled import part_within

LEAST = 32
"""Least side in pixels of what is cut out: enough ground around a small object to tell it apart."""


class CloseUps:
    """Cuts a square around each box out of the image, has it segmented alone, and puts the mask where it belongs.

    A segmenter that sees little at once, as the embedded one does, is given each object at nearly the same size, whatever its size
    in the image.

    Args:
        segmenter: Who draws the masks.
        room: Side of the square as a multiple of the box's longer side.

    Raises:
        ValueError: The room is below 1.

    >>> from rscovlm.points.segmenter import FilledShapes
    >>> box = PointObject.prompt("ship", (2, 1, 50, 30), [], Frame(300, 200))
    >>> [mask.area for mask in CloseUps(FilledShapes()).segment(np.zeros((200, 300, 3), np.uint8), [box])]
    [1392]
    """

    def __init__(self, segmenter: Segmenter, *, room: float = 1.7) -> None:
        if not room >= 1:
            raise ValueError(f"room is {room:g}; give 1 or more, so that the object fits into the square")
        self.segmenter, self.room = segmenter, room

    def segment(self, image: NDArray[np.uint8], prompts: Sequence[PointObject]) -> list[Mask]:
        """Return a mask for each prompt, in their order; an empty one where the box lies outside."""
        frame = Frame(image.shape[1], image.shape[0])
        return [self._mask(image, one, frame) for one in prompts]

    def window(self, one: PointObject, frame: Frame) -> Window:
        """Return the square that is shown for an object, moved into the image and cut where the image is smaller."""
        around = Window.around(*one.box.coords[0].tolist())
        side = max(LEAST, math.ceil(self.room * max(around.width, around.height)))
        left, top = (
            min(max((low + high - side) // 2, 0), max(whole - side, 0))
            for low, high, whole in ((around.x1, around.x2, frame.width), (around.y1, around.y2, frame.height))
        )
        return Window(left, top, left + side, top + side).clipped(frame.width, frame.height)

    def _mask(self, image: NDArray[np.uint8], one: PointObject, frame: Frame) -> Mask:
        window = self.window(one, frame)
        part = part_within(one, window, Frame(max(window.width, 1), max(window.height, 1)))
        if part is None:
            return Mask(np.zeros((0, 0), bool), Window(0, 0, 0, 0), frame)
        shown = np.ascontiguousarray(image[window.y1 : window.y2, window.x1 : window.x2])
        (mask,) = self.segmenter.segment(shown, [part])
        if not mask.area:
            return Mask(mask.pixels, mask.window, frame)
        return Mask(mask.pixels, mask.window.moved(window.x1, window.y1), frame)
