"""In which coordinate space a whole set of boxes was written: no single box tells, and a set does only where it must."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rscovlm.codec.spaces import SPACES, SpaceName
from rscovlm.geometry.affine import Floats

_TOLERANCE = 1.005
"""Rounding may write the far border this much beyond itself."""

_STRAY = 0.02
"""Share of boxes that may lie outside a space that the others were written in: typing errors, objects at a border."""

_LEAST_BEYOND = 3
"""So many boxes must lie outside a space before it is ruled out."""

_REACHED = 0.7
"""Share of a space's whole extent that the largest number must reach: small numbers fit every space."""

_ODDS = 1000.0
"""How many times likelier the space must be than the next one that fits, were objects spread evenly."""

_EXPECTED = 0.75
"""Share of the boxes that one space leads to expect beyond the next smaller one; fewer suggest that both were written."""


@dataclass(frozen=True)
class SetSpace:
    """Which space explains a set of boxes.

    Attributes:
        space: The space; None where the set does not tell.
        evidence: Why, in words.
    """

    space: SpaceName | None
    evidence: str


def space_of_set(
    extents: Floats, sizes: Floats, candidates: Sequence[SpaceName], *, middles: Floats | None = None
) -> SetSpace:
    """Tell in which of some spaces a set of boxes was written.

    Args:
        extents: (n, 2) largest x and y of each box, as written.
        sizes: (n, 2) width and height of the grid that each box lies on.
        candidates: Spaces to choose from.
        middles: (n, 2) middles of the boxes, as written, where objects may reach beyond their grid, as those do that a
            tile's border cuts: then only middles beyond the grid speak against pixels.
    """
    count = len(extents)
    if count < _LEAST_BEYOND:
        return SetSpace(None, f"{count} boxes are too few to tell a coordinate space")
    supports = {name: _support(name, sizes) for name in candidates}
    beyond = {name: (extents > side * _TOLERANCE).any(axis=1) for name, side in supports.items()}
    if "pixels" in beyond and middles is not None:
        beyond["pixels"] = (middles > supports["pixels"] * _TOLERANCE).any(axis=1)
    fits = [name for name in candidates if beyond[name].sum() <= _STRAY * count]
    maybe = [name for name in candidates if name in fits or beyond[name].sum() < _LEAST_BEYOND]
    largest = f"the largest number of {count} boxes is {extents.max():g}"
    if not fits:
        return SetSpace(None, f"{largest}, which lies outside {' and '.join(candidates)} for too many")
    fits.sort(key=lambda name: float(np.log(supports[name]).sum()))
    best = fits[0]
    if float((extents / supports[best]).max()) < _REACHED:
        return SetSpace(None, f"{largest}: small numbers fit {' and '.join(fits)} alike")
    for other in maybe:
        if other == best:
            continue
        odds = float((np.log(supports[other]) - np.log(supports[best])).sum())
        if odds < math.log(_ODDS):
            return SetSpace(None, f"{largest}, which fits {best} and {other} alike")
    for name in candidates:
        expected = 1.0 - float(np.clip(supports[name] / supports[best], 0.0, 1.0).prod(axis=1).mean())
        seen = float((extents > supports[name] * _TOLERANCE).any(axis=1).mean())
        if name not in maybe and expected > 0.1 and seen < _EXPECTED * expected and name != "0-1":
            return SetSpace(
                None, f"{seen:.0%} of the boxes lie outside {name}, fewer than {best} would lead to: both may be there"
            )
    ruled = [f"{int(beyond[name].sum())} lie outside {name}" for name in candidates if name not in maybe]
    return SetSpace(best, "; ".join([f"{largest}, inside {best}", *ruled]))


def _support(name: SpaceName, sizes: Floats) -> Floats:
    units = SPACES[name].units
    return sizes if units is None else np.full_like(sizes, float(units))
