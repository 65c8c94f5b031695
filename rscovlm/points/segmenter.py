"""What turns boxes and points into masks: the one small protocol, and a segmenter that needs no model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from rscovlm.codec.point_objects import PointObject
from rscovlm.geometry.masks import Mask
from rscovlm.points.polygons import mask_of


@runtime_checkable
class Segmenter(Protocol):
    """Masks of what boxes and points mean."""

    def segment(self, image: NDArray[np.uint8], prompts: Sequence[PointObject]) -> list[Mask]:
        """Return a mask for each prompt, in their order; an empty one where there is nothing.

        Args:
            image: (h, w, 3) RGB.
            prompts: On the image's grid, ``Frame(w, h)``.
        """
        ...


class FilledShapes:
    """Takes every pixel of a box or polygon for the object: the control that a model has to beat.

    >>> from rscovlm.geometry import Frame
    >>> box = PointObject.prompt("ship", (2, 1, 5, 3), [(3, 2)], Frame(8, 8))
    >>> [mask.area for mask in FilledShapes().segment(np.zeros((8, 8, 3), np.uint8), [box])]
    [6]
    """

    def segment(self, image: NDArray[np.uint8], prompts: Sequence[PointObject]) -> list[Mask]:
        """Fill the shape of each prompt."""
        return [mask_of(one) for one in prompts]
