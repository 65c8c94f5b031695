"""A part that is resized lies where it lay: a plane stays the same plane, at the centres of the new pixels."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from rscovlm.rasters import open_image
from rscovlm.rasters.samples import Samples
from rscovlm.rasters.sampling import read_reduced, resize

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


@pytest.mark.parametrize("missing", [False, True])
@pytest.mark.parametrize("factors", [(1, 1), (2, 2), (4, 1), (1, 8), (4, 16)])
@pytest.mark.parametrize("window", [(0, 0, 120, 90), (16, 32, 117, 90), (64, 16, 120, 33), (16, 80, 17, 81)])
def test_squares_of_a_window_anywhere_are_averaged(
    window: tuple[int, int, int, int], factors: tuple[int, int], missing: bool
) -> None:
    """Each square counts what of it lies in the window and has a number, beside a mean written out here."""
    numbers = np.random.default_rng(3).integers(0, 4000, (90, 120, 3)).astype(np.float32)
    if missing:
        numbers[20:50, 30:70, 1] = np.nan  # in one of the bands alone
        numbers[:40, 100:] = np.nan
    x1, y1, x2, y2 = window
    kx, ky = factors
    found = read_reduced(open_image(numbers)._pixels, 0, window, factors)
    rows, columns = range(y1, y2, ky), range(x1, x2, kx)
    assert found.values.shape[1:] == (len(rows), len(columns))
    for j, y in enumerate(rows):
        for i, x in enumerate(columns):
            square = numbers[y : min(y + ky, y2), x : min(x + kx, x2)].reshape(-1, 3)
            for band in range(3):
                known = square[~np.isnan(square[:, band]), band]
                if len(known):
                    assert found.values[band, j, i] == pytest.approx(known.mean(), rel=1e-4), (band, j, i)
