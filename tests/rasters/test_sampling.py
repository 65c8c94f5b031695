"""A part that is resized lies where it lay: a plane stays the same plane, at the centres of the new pixels."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from rscovlm.rasters.samples import Samples
from rscovlm.rasters.sampling import resize

BOXES = [(0, 0, 400, 240), (37, 21, 337, 221), (37.25, 21.5, 390.75, 200.25), (3, 150, 399, 239.5), (200, 0, 230, 240)]


@pytest.mark.parametrize("weighed", [False, True])
@pytest.mark.parametrize("size", [(20, 12), (31, 40), (150, 100), (12, 90)])
@pytest.mark.parametrize("box", BOXES)
def test_a_part_that_is_resized_lies_where_it_lay(
    box: tuple[float, float, float, float], size: tuple[int, int], weighed: bool
) -> None:
    y, x = np.mgrid[:240, :400] + 0.5
    planes = np.stack([2 * x + 3 * y, 700 - x + 2 * y]).astype(np.float32)
    weight = np.ones((2, 240, 400), np.float32) if weighed else None
    if weight is not None:  # no data in a corner of the image leaves the rest as it is
        weight[:, :2, :2] = 0
    found = resize(Samples(planes, weight), box, size).values
    across = box[0] + (np.arange(size[0]) + 0.5) * (box[2] - box[0]) / size[0]
    down = (box[1] + (np.arange(size[1]) + 0.5) * (box[3] - box[1]) / size[1])[:, None]
    expected = np.stack([2 * across + 3 * down, 700 - across + 2 * down])
    assert found.shape == expected.shape
    # Filters are cut off at the border of the part, three pixels of the coarser grid wide; a plane rises by 3 a pixel at most.
    # A filter that few pixels sample is off by up to an eighth of a new pixel.
    step = max((box[2] - box[0]) / size[0], (box[3] - box[1]) / size[1], 1.0)
    inside = _inside(across, box[0], box[2]) & _inside(down, box[1], box[3])
    assert inside.any() and np.abs(found - expected)[:, inside].max() < 0.15 * 3 * step


def _inside(places: NDArray[np.float64], low: float, high: float) -> NDArray[np.bool_]:
    margin = 3 * max((high - low) / places.size, 1.0)
    return (places > low + margin) & (places < high - margin)
