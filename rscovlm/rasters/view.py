"""What a window of an image looks like, and where it lies."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from rscovlm.geometry import Frame
from rscovlm.rasters.stretch import Stretch


@dataclass(frozen=True, eq=False)
class View:
    """An RGB picture of a part of an image.

    Attributes:
        image: PIL picture, mode RGB.
        frame: Its pixel grid; the root is the original image, map coordinates included.
        stretch: How stored numbers became 0-255; None where they were shown as they are.
        valid: (height, width) False where nothing was measured (no-data, transparent, masked); None where all was.
    """

    image: Image.Image
    frame: Frame
    stretch: Stretch | None = None
    valid: NDArray[np.bool_] | None = None

    @property
    def coverage(self) -> float:
        """Share of the pixels where something was measured, 0 to 1."""
        return 1.0 if self.valid is None else float(self.valid.mean())

    def __repr__(self) -> str:
        return f"View({self.image.width}x{self.image.height}, stretch={self.stretch}, coverage={self.coverage:.3g})"
