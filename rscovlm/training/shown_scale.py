"""At which scale training shows images for detection, held against that of `rscovlm predict`."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from rscovlm.tasks.table import tiled

_SAME = 1.25
"""Factor up to which two scales count as the same: a step of the grid that sides are rounded to is less."""


def scale_lines(samples: Iterable[Any], max_pixels: int) -> list[str]:
    """Return at which scale detections are shown, and what to do where `predict` shows objects at another size.

    Args:
        samples: Samples of training; those of other tasks are passed over.
        max_pixels: Of the pixel budget; `predict` cuts tiles that this shows without shrinking.
    """
    scales = []
    for sample in samples:
        truth, images = sample.get("truth"), list(sample.get("images") or [])
        if not tiled(str(sample.get("task"))) or truth is None or truth.boxes.frame is None or len(images) != 1:
            continue
        frame, (width, height) = truth.boxes.frame, images[0].size
        scales.append(math.sqrt(width * height / (frame.width * frame.height)))
    if not scales:
        return []
    middle, tile = float(np.median(scales)), math.isqrt(max_pixels)
    lines = [f"detections are shown at {middle:.2f} of their size ({min(scales):.2f} to {max(scales):.2f})"]
    if middle * _SAME < 1:
        lines.append(
            f"predict shows tiles of {tile} pixels at their size, so objects {1 / middle:.1f} times as large as in training: "
            f"tile the records (`rscovlm data tile --size {tile}`), or predict with --tile {round(tile / middle)}"
        )
    return lines
