"""Counting from masks: how many separate things a mask shows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import shapely

from rscovlm.geometry.masks import Mask


@dataclass(frozen=True)
class AreaCount:
    """How many things a mask shows.

    Attributes:
        number: Things counted.
        areas: Pixels of each part that was counted, in the order of the outlines.
        too_small: Parts that were left out because they are smaller than the least area.
        split: Parts that were counted as several.
    """

    number: int
    areas: tuple[float, ...]
    too_small: int = 0
    split: int = 0


def count_areas(mask: Mask, *, least_area: float = 1.0, one_area: float | None = None) -> AreaCount:
    """Count the parts of a mask that are joined along edges; parts that meet at a corner alone are two.

    Args:
        mask: What shows the things.
        least_area: Pixels of the smallest part that counts.
        one_area: Pixels of one thing, where things touch each other: a part counts as often as it holds that area, rounded,
            but once at least. None counts each part once.

    Raises:
        ValueError: An area is not positive.

    >>> count_areas(Mask.of([[1, 1, 0, 1], [0, 0, 0, 1], [1, 0, 0, 0]]), least_area=2)
    AreaCount(number=2, areas=(2.0, 2.0), too_small=1, split=0)
    """
    for name, value in (("least_area", least_area), ("one_area", one_area)):
        if value is not None and not value > 0:
            raise ValueError(f"{name} is {value}; give pixels above 0")
    areas = np.asarray(shapely.area(shapely.get_parts(mask.shape()))) if mask.area else np.empty(0)
    counted = areas[areas >= least_area]
    times = np.ones(len(counted)) if one_area is None else np.maximum(1, np.round(counted / one_area))
    return AreaCount(int(times.sum()), tuple(counted.tolist()), int((areas < least_area).sum()), int((times > 1).sum()))
