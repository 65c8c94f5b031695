"""Numbers that were read or averaged, and how much each of them counts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Shares = NDArray[np.float32]


@dataclass(frozen=True)
class Samples:
    """Channels of a part of an image.

    Attributes:
        values: (channels, h, w) uint8 or float32.
        weight: How much each number counts in an average, 0 to 1: (1, h, w) where this is the same for all channels,
            (channels, h, w) where some lack a number that others have; None where all count fully.
        valid: (h, w) share of each pixel that is valid, where `weight` is not that already: a half transparent pixel
            counts for half of one and is valid.
    """

    values: NDArray[Any]
    weight: Shares | None = None
    valid: Shares | None = None

    @property
    def coverage(self) -> Shares | None:
        """Share of each pixel that is valid, (h, w); None where all is."""
        return self.valid if self.valid is not None or self.weight is None else self.weight[0]

    def weight_of(self, channel: int) -> Shares | None:
        """Return how much the numbers of a channel count, (h, w)."""
        return None if self.weight is None else self.weight[channel % len(self.weight)]

    def weighted(self) -> Samples:
        """Return the same with every number multiplied by what it counts, so that sums of them can be taken."""
        return self if self.weight is None else Samples(self.values * self.weight, self.weight, self.valid)

    def divided(self) -> Samples:
        """Return means: what `weighted` and sums over squares made, divided by the sums of the weights."""
        weight = self.weight
        if weight is None or bool((weight > 1 - 1e-6).all()):
            return Samples(self.values)
        kept = np.where(weight < 1e-6, np.float32(0), weight)
        return Samples(self.values / np.maximum(weight, 1e-6), kept, self.valid)


class Mosaic:
    """Samples that are put together from parts.

    Args:
        channels: Channels of all parts.
        shape: Rows and columns of the whole.
        floating: Whether the numbers are float32, not uint8.
        weighted: Whether parts may have weights.
    """

    def __init__(self, channels: int, shape: tuple[int, int], *, floating: bool, weighted: bool) -> None:
        self._values = np.zeros((channels, *shape), dtype=np.float32 if floating else np.uint8)
        self._weight = np.ones((1, *shape), dtype=np.float32) if weighted else None
        self._valid: Shares | None = None

    def put(self, part: Samples, top: int, left: int) -> None:
        """Set the part whose first pixel is at a row and a column."""
        here = np.s_[top : top + part.values.shape[1], left : left + part.values.shape[2]]
        self._values[:, *here] = part.values
        if self._weight is None or part.weight is None:
            return
        if part.valid is not None and self._valid is None:
            self._valid = self._weight[0].copy()  # what was put before had no other share
        if len(part.weight) > len(self._weight):
            self._weight = np.repeat(self._weight, len(part.weight), axis=0)
        self._weight[:, *here] = part.weight
        if self._valid is not None:
            self._valid[here] = part.weight[0] if part.valid is None else part.valid

    def samples(self) -> Samples:
        """Return the whole."""
        return Samples(self._values, self._weight, self._valid)
