"""Which bands of a file are shown."""

from __future__ import annotations

import re
from collections.abc import Sequence
from numbers import Real
from typing import Any

from rscovlm.rasters.errors import RasterError
from rscovlm.rasters.reader import BandLayout

CMYK = ("cyan", "magenta", "yellow", "black")
RGB = ("red", "green", "blue")

OTHERS = frozenset(("edge", "infra", "nir", "swir", "near", "coastal", "aerosol", "deep", "mask", "quality"))
"""Words that make of a red, green or blue band another one: red edge, infra red, coastal blue."""


def choose(layout: BandLayout, bands: Sequence[int] | None, name: str) -> tuple[list[int], str | None]:
    """Return indices from 0 of the bands to show, and what a reader of the result should know of the choice.

    Args:
        layout: What the file says of its bands.
        bands: Numbers counted from 1; None takes those that the file describes as red, green and blue, else those it
            marks so, else its first three, or the first of one or two.
        name: What messages call the file.

    Raises:
        RasterError: `bands` are no one or three of the file's, or it holds an alpha band only.
    """
    colours = layout.colours
    if bands is not None:
        return _asked(bands, len(colours), name), None
    if all(ink in colours for ink in CMYK):
        return [colours.index(ink) for ink in CMYK], None
    marked = [colours.index(colour) for colour in RGB] if all(colour in colours for colour in RGB) else None
    described = _described(layout)
    if described is not None and described != marked:
        told = ", ".join(str(band + 1) for band in described)
        against = f"bands {told} are shown, which it describes as red, green and blue, though it marks others as these"
        return described, against if marked is not None else None
    if marked is not None:
        return marked, None
    plain = [k for k, colour in enumerate(colours) if colour != "alpha"]
    if not plain:
        raise RasterError(f"{name}: it holds an alpha band only; open it with opaque=True to show that")
    if len(plain) == 1 or colours[plain[0]] == "palette":
        return plain[:1], None
    chosen = plain[:3] if len(plain) >= 3 else plain[:1]
    shown = (
        f"bands {', '.join(str(band + 1) for band in chosen)} of {len(plain)} are"
        if len(chosen) == 3
        else (f"band {chosen[0] + 1} of {len(plain)} is")
    )
    return chosen, f"{shown} shown: the file does not say which are red, green and blue; choose with bands=[...]"


def _asked(bands: Any, count: int, name: str) -> list[int]:
    chosen = [bands] if isinstance(bands, int) else list(bands)
    if len(chosen) not in (1, 3) or not all(_is_whole(band) and 1 <= band <= count for band in chosen):
        raise RasterError(f"{name}: bands={bands!r}; choose one or three of its bands 1 to {count}")
    return [int(band) - 1 for band in chosen]


def _described(layout: BandLayout) -> list[int] | None:
    """Return the bands whose descriptions name red, green and blue; None where not each is named by one band."""
    words = [re.findall(r"[a-z]+", re.sub(r"([a-z])([A-Z])", r"\1 \2", told).lower()) for told in layout.descriptions]
    found = []
    for colour in RGB:
        exact = [k for k, said in enumerate(words) if said == [colour]]
        among = [k for k, said in enumerate(words) if colour in said and not OTHERS.intersection(said)]
        single = exact if len(exact) == 1 else among
        if len(single) != 1 or layout.colours[single[0]] == "alpha":
            return None
        found += single
    return found if len(set(found)) == 3 else None


def _is_whole(number: Any) -> bool:
    return isinstance(number, Real) and not isinstance(number, bool) and float(number).is_integer()
