"""What becomes of a sample longer than a row: shown smaller, cut into tiles, or left out; never cut inside."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import Any, Literal, get_args

from rscovlm.training.encoding import Encoder, Sample
from rscovlm.training.packing import TOO_LONG

Way = Literal["drop", "shrink", "split"]

SHRUNK = "shown smaller to fit the token budget"
SPLIT = "split into tiles to fit the token budget"
TILES = "tiles that others were split into"
TILE_TOO_LONG = "tiles longer than the token budget"
LOST = "objects in no tile of a sample that was split"

BY_RECIPE = frozenset({TOO_LONG, SHRUNK, SPLIT, TILES, TILE_TOO_LONG, LOST})
"""What is counted because the recipe wills it; all other reasons are faults of the data."""


def ways_of(value: str | Sequence[str]) -> tuple[Way, ...]:
    """Return what to try with a sample that is too long, in order.

    Raises:
        ValueError: There is no such way, or one is named twice.

    >>> ways_of("drop"), ways_of(["split", "shrink"])
    (('drop',), ('split', 'shrink'))
    """
    ways = (value,) if isinstance(value, str) else tuple(value)
    if not ways or len(set(ways)) < len(ways) or any(way not in get_args(Way) for way in ways):
        raise ValueError(f"packing.too_long is {value!r}; give 'drop', 'shrink', 'split' or a list in the order to try")
    return ways  # type: ignore[return-value]


class Fitting:
    """Makes samples fit a token budget: a function of the sample, so of recipe, seed and position.

    Args:
        encoder: Counts tokens.
        ways: What to try, in order; what none helps is dropped. ``"split"`` cuts a detection in halves, with overlap, and
            those that are still too long again, so only crowded places are cut small; other tasks have no tiles.
        overlap: Share of a tile's side that neighbours have in common.
        least_tile: Longest side, in the image's pixels, of what is not cut further.
    """

    def __init__(self, encoder: Encoder, ways: Sequence[Way], *, overlap: float = 0.2, least_tile: int = 128) -> None:
        if not 0 <= overlap <= 0.5 or least_tile < 16:
            raise ValueError(
                f"packing.overlap is {overlap}, packing.least_tile {least_tile}; give 0 to 0.5, and 16 pixels or more"
            )
        self.encoder, self.ways, self.overlap, self.least_tile = encoder, tuple(ways), overlap, least_tile

    def __call__(self, sample: Sample, budget: int) -> tuple[list[Sample], Counter[str]]:
        """Return what a sample that is too long becomes, nothing where it is left out, and what was done by reason."""
        for way in self.ways:
            made, counts = self._shrunk(sample, budget) if way == "shrink" else self._split(sample, budget, way)
            if made:
                return made, counts
        return [], Counter([TOO_LONG])

    def _shrunk(self, sample: Sample, budget: int) -> tuple[list[Sample], Counter[str]]:
        made = shrunk_to(sample, budget, self.encoder)
        return ([], Counter()) if made is None else ([made], Counter([SHRUNK]))

    def _split(self, sample: Sample, budget: int, way: Way) -> tuple[list[Sample], Counter[str]]:
        redraw = sample.get("redraw")
        if way != "split" or redraw is None or redraw.side() <= self.least_tile:
            return [], Counter()
        tiles = redraw.tiles(overlap=self.overlap)
        lengths = [len(self.encoder(tile)) for tile in tiles]
        if min(lengths) >= len(self.encoder(sample)):
            return [], Counter()
        kept: list[Sample] = []
        counts = Counter({SPLIT: 1})
        for tile, length in zip(tiles, lengths, strict=True):
            made, further = ([tile], Counter[str]()) if length <= budget else self(tile, budget)
            kept += made
            counts[TILE_TOO_LONG] += further[TOO_LONG] + further[TILE_TOO_LONG]
            counts[SHRUNK] += further[SHRUNK]
        counts[TILES] = len(kept)
        counts[LOST] = redraw.outside([tile["redraw"].window for tile in kept])
        return kept, +counts


def shrunk_to(sample: Sample, budget: int, encoder: Encoder) -> Sample | None:
    """Return a sample with its images shown smaller, so that it takes no more than a number of tokens.

    Args:
        sample: A sample that knows how to ``redraw`` itself, as those of records do.
        budget: Tokens it may take.
        encoder: Counts them.

    Returns:
        The smaller sample; None where its text alone is too long, its images may not be smaller (the pixel budget's
        least size), or it does not know how.
    """
    redraw = sample.get("redraw")
    encoded = encoder(sample)
    merged = encoder.processor.image_processor.merge_size**2
    visual = sum(height * width // merged for _, height, width in encoded.grids)
    room = budget - (len(encoded) - visual)
    if redraw is None or room < 1 or not visual:
        return None
    for margin in (0.97, 0.85, 0.6):
        made: Any = redraw.smaller(margin * math.sqrt(room / visual))
        if len(encoder(made)) <= budget:
            return dict(made)
    return None
