"""What metrics of masks share: pairs of equal size, one at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import zip_longest
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

_NONE = object()


def mask_pairs(predictions: Iterable[ArrayLike], references: Iterable[ArrayLike]) -> Iterator[tuple[Any, Any]]:
    """Yield predictions with their references as arrays, (h, w) each, so that a data set is never in memory at once.

    Raises:
        ValueError: One has no counterpart, another shape, or is no image; or there are none.
    """
    number = -1
    for number, (found, true) in enumerate(zip_longest(predictions, references, fillvalue=_NONE)):
        if found is _NONE or true is _NONE:
            which = "predictions" if found is _NONE else "references"
            raise ValueError(f"there are only {number} {which}; give one for each item")
        one, two = np.asarray(found), np.asarray(true)
        if one.ndim != 2 or one.shape != two.shape:
            raise ValueError(
                f"masks {number} have shapes {one.shape} and {two.shape}; give (h, w) of one size, resampled to the image's"
            )
        yield one, two
    if number < 0:
        raise ValueError("there are no masks; give at least one pair")


def binary_pairs(
    predictions: Iterable[ArrayLike], references: Iterable[ArrayLike]
) -> Iterator[tuple[NDArray[np.bool_], NDArray[np.bool_]]]:
    """Yield pairs of masks as True and False; see `mask_pairs`."""
    return ((found != 0, true != 0) for found, true in mask_pairs(predictions, references))
