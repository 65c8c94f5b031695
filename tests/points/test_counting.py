"""Parts of masks beside a flood fill, and what is left out or counted twice."""

import numpy as np
import pytest
from numpy.typing import NDArray

from rscovlm.geometry.masks import Mask
from rscovlm.points.counting import count_areas


def flooded(pixels: NDArray[np.bool_]) -> list[int]:
    """Return the sizes of parts that are joined along edges, by walking from pixel to pixel."""
    left = {(int(y), int(x)) for y, x in zip(*np.nonzero(pixels), strict=True)}
    sizes = []
    while left:
        queue, size = [left.pop()], 0
        while queue:
            y, x = queue.pop()
            size += 1
            for near in ((y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)):
                if near in left:
                    left.remove(near)
                    queue.append(near)
        sizes.append(size)
    return sorted(sizes)


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("least", [1, 3])
def test_parts_are_those_of_a_flood_fill(seed: int, least: int) -> None:
    rng = np.random.default_rng(seed)
    pixels = rng.random((30, 37)) < rng.uniform(0.1, 0.9)
    found, sizes = count_areas(Mask.of(pixels), least_area=least), flooded(pixels)
    assert found.number == sum(size >= least for size in sizes)
    assert sorted(found.areas) == [size for size in sizes if size >= least]
    assert found.too_small == sum(size < least for size in sizes)


def test_empty_masks_single_pixels_and_holes() -> None:
    assert count_areas(Mask.of(np.zeros((5, 5)))).number == 0
    one = np.zeros((5, 5))
    one[2, 2] = 1
    assert count_areas(Mask.of(one)).areas == (1.0,)
    ring = np.ones((9, 9))
    ring[2:7, 2:7] = 0
    ring[4, 4] = 1
    found = count_areas(Mask.of(ring))
    assert found.number == 2 and sorted(found.areas) == [1.0, 56.0]


def test_touching_things_count_as_often_as_they_hold_the_area_of_one() -> None:
    pixels = np.zeros((10, 30))
    pixels[2:6, 1:5] = 1  # one of 16
    pixels[2:6, 8:20] = 1  # three side by side
    pixels[8, 28] = 1  # half of none
    found = count_areas(Mask.of(pixels), one_area=16)
    assert (found.number, found.split, found.too_small) == (5, 1, 0)
    assert count_areas(Mask.of(pixels), one_area=16, least_area=4).number == 4


@pytest.mark.parametrize("name", ["least_area", "one_area"])
@pytest.mark.parametrize("value", [0, -1, float("nan")])
def test_areas_that_mean_nothing_are_refused(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=name):
        count_areas(Mask.of(np.ones((2, 2))), **{name: value})
