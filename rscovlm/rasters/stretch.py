"""How stored numbers become the 0-255 of a picture, said aloud."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from rscovlm.rasters.samples import Samples

Scale = Literal["linear", "log"]

DECIBELS = "most numbers are below 0, so they are decibels already: no logarithm is taken"


@dataclass(frozen=True)
class Stretch:
    """A range of stored numbers per channel that is spread over 0-255; what lies outside is clipped.

    Attributes:
        low: Stored number shown as 0, one per channel.
        high: Stored number shown as 255, one per channel.
        scale: ``"log"`` spreads the logarithm (decibels), as SAR intensities want.
        source: Where the range comes from, in words.

    Example:
        >>> import numpy as np
        >>> Stretch((0.0,), (1000.0,)).apply(np.array([[[0.0, 500.0, 2000.0]]], dtype=np.float32)).tolist()
        [[[0, 128, 255]]]
    """

    low: tuple[float, ...]
    high: tuple[float, ...]
    scale: Scale = "linear"
    source: str = "given"

    def __post_init__(self) -> None:
        if len(self.low) != len(self.high) or not self.low:
            raise ValueError(f"a stretch needs one low and one high number per channel, not {self.low} and {self.high}")
        if not np.isfinite([*self.low, *self.high]).all() or any(a > b for a, b in zip(self.low, self.high)):
            raise ValueError(f"a stretch must rise from low to high, not from {self.low} to {self.high}")
        if self.scale not in ("linear", "log"):
            raise ValueError(f"scale={self.scale!r} is not known; use 'linear' or 'log'")
        if self.scale == "log" and min(self.low) <= 0:
            raise ValueError(f"a stretch of logarithms must start above 0, not at {self.low}")

    def apply(self, values: NDArray[Any]) -> NDArray[np.uint8]:
        """Map (channels, h, w) stored numbers to uint8 of the same shape.

        Raises:
            ValueError: The stretch is for another number of channels.
        """
        if len(self.low) not in (1, len(values)):
            raise ValueError(
                f"a stretch of {len(self.low)} channels cannot be used on {len(values)}; give one range each"
            )
        out = np.empty(values.shape, dtype=np.uint8)
        for channel, plane in enumerate(values):
            k = channel if len(self.low) > 1 else 0
            low, high = self.low[k], self.high[k]
            work = np.clip(plane.astype(np.float32), np.float32(low), np.float32(high))
            if self.scale == "log":
                work, low, high = np.log(work), float(np.log(low)), float(np.log(high))
            gain = 255.0 / (high - low) if high > low else 0.0
            out[channel] = (work - np.float32(low)) * np.float32(gain) + np.float32(0.5)
        return out

    def __str__(self) -> str:
        ranges = ", ".join(f"{a:.6g}-{b:.6g}" for a, b in zip(self.low, self.high))
        return f"{self.scale} {ranges} ({self.source})"


def check_percentiles(percentiles: Sequence[float]) -> tuple[float, float]:
    """Return a lower and an upper percentile.

    Raises:
        ValueError: They are no two numbers that rise within 0 to 100.
    """
    if len(percentiles) != 2 or not all(isinstance(value, Real) for value in percentiles):
        raise ValueError(f"percentiles={percentiles!r}; give two numbers such as (2, 98)")
    first, last = percentiles
    if not 0 <= first < last <= 100:
        raise ValueError(f"percentiles={percentiles} must rise within 0 and 100")
    return first, last


def from_samples(
    samples: Samples,
    *,
    percentiles: tuple[float, float] = (2.0, 98.0),
    scale: Scale = "linear",
    source: str = "percentiles",
) -> Stretch:
    """Choose a stretch by percentiles of the valid numbers of an overview.

    Args:
        samples: The overview's numbers.
        percentiles: Lower and upper percentile, 0 to 100.
        scale: As in `Stretch`; for ``"log"`` numbers at or below 0 are left out, and where most numbers of a channel
            are below 0, as only those are that are decibels already, the scale is linear.
        source: Words for the result's ``source``.

    Raises:
        ValueError: The percentiles do not rise within 0 to 100.
    """
    first, last = check_percentiles(percentiles)
    planes = [_kept(samples, channel) for channel in range(len(samples.values))]
    if scale == "log" and any(np.median(kept) < 0 for kept in planes if len(kept)):
        scale, source = "linear", f"{source}; {DECIBELS}"
    lows, highs = [], []
    for kept in planes:
        if scale == "log":
            kept = kept[kept > 0]
        low, high = np.percentile(kept, (first, last)) if len(kept) else (1.0, 1.0)
        if high <= low and len(kept):  # flat up to rare values: show the whole range instead of one grey
            low, high = float(kept.min()), float(kept.max())
        if high <= low and scale == "linear":  # one number everywhere: white, to tell it from no data
            low, high = min(low, 0.0), max(high, 0.0)
        lows.append(float(low))
        highs.append(float(high))
    return Stretch(tuple(lows), tuple(highs), scale, source)


def _kept(samples: Samples, channel: int) -> NDArray[Any]:
    """Return the valid numbers of a channel."""
    plane, coverage, weight = samples.values[channel], samples.coverage, samples.weight_of(channel)
    kept = plane.ravel() if coverage is None or weight is None else plane[(coverage > 0.5) & (weight > 0)]
    finite: NDArray[Any] = kept[np.isfinite(kept)]
    return finite
