"""Pairs of found and true boxes that are nearly the same, told apart by how much of each lies in the sectors around a point.

What two regions do not share is at least the sum, over the parts of any partition of the plane, of the difference between what the
one and the other cover of the part. With sectors whose rays pass the corners, this bound is within a few per cent for boxes
that differ by noise, where areas and extents rule nothing out. Sums of eight differences of whole numbers take 2 ns a pair.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from rscovlm.geometry.affine import Floats
from rscovlm.geometry.clipping import triangles

Indices = NDArray[np.intp]
Overlaps = Callable[[Indices, Indices], Floats]

_PER_CORNER = 2
"""Sectors between two neighbouring corners: with one, a hundred times as many pairs remain; with four, half as many."""

_ROWS = 64
"""Found boxes that are compared with all true ones at once."""

_COLUMNS = 2048
"""True boxes of a tile of sums, which stays in a core's own cache."""

_TOP = 32767
"""Largest sum of a pair: sums are 16-bit numbers."""

_SLACK = 1e-8
"""Overlaps are rounded to 10 decimals: nothing this close to the best is ruled out."""

_ROUNDING = 1e-12
"""Of a box's squared reach: what rounding may cost of an area."""


def sector_areas(forms: Floats, centre: Floats, angles: Floats) -> Floats:
    """Return how much of each box lies in each of the sectors around a point.

    Args:
        forms: (n, 8) quadrilaterals of every shape.
        centre: (2,) the point.
        angles: (s,) directions of the rays between sectors in radians, rising, within one turn; at least three, of which
            neighbours are less than half a turn apart.

    Returns:
        (n, s) areas in squared pixels: between each ray and the next, and last between the last and the first.

    Examples:
        >>> square = np.array([[0.0, 0, 2, 0, 2, 2, 0, 2]])
        >>> sector_areas(square, np.array([1.0, 1.0]), np.radians([0, 90, 180, 270])).round(9).tolist()
        [[1.0, 1.0, 1.0, 1.0]]
    """
    rays = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    widths = np.diff(angles, append=angles[0] + 2 * np.pi)
    areas = np.zeros((len(forms), len(angles)))
    for triangle in triangles(forms):
        corners = triangle - centre
        way = np.sign(_cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]))
        for number in range(3):
            one, other = corners[:, number], corners[:, (number + 1) % 3]
            # The triangle of the point and an edge counts as +1 or -1: the sum over the edges is the region.
            swept = _cross(one, other)
            share = _shares(np.where((swept < 0)[:, None], other, one), np.where((swept < 0)[:, None], one, other))
            areas += share(angles, rays, widths) * (way * swept / 2)[:, None]
    return areas


def near_twins(
    mine: Floats, theirs: Floats, my_area: Floats, their_area: Floats, overlaps: Overlaps, floor: float
) -> Iterator[tuple[Indices, Indices]]:
    """Yield the pairs that may overlap by `floor` or more and be the best of their found box: all of some found boxes at a time.

    Each found box is compared with the true one whose areas in the sectors differ least. Whatever must differ by more than that
    overlap allows is ruled out. Memory is that of 64 found boxes times all true ones.

    Args:
        mine: (n, 8) found boxes as quadrilaterals.
        theirs: (m, 8) true boxes.
        my_area: (n,) areas.
        their_area: (m,) areas.
        overlaps: Takes numbers (k,) of found and of true boxes and returns (k,) intersections over union.
        floor: Above 0.

    Yields:
        (k,) numbers of found boxes, rising, and (k,) of true boxes.
    """
    order = np.argsort(their_area, kind="stable")
    theirs, their_area = theirs[order], their_area[order]
    centre = np.median(theirs.reshape(-1, 2), axis=0)
    angles = _rays(theirs, centre)
    found, true = sector_areas(mine, centre, angles), sector_areas(theirs, centre, angles)
    whole, others, unit = _whole_numbers(found, true)
    # What rounding costs: of areas, and of a whole number half a unit for either box and sector.
    noise = [
        _ROUNDING * np.square(forms.reshape(-1, 4, 2) - centre).sum(axis=2).max(axis=1) for forms in (mine, theirs)
    ]
    starts = range(0, len(theirs), _COLUMNS)
    largest = np.maximum.reduceat(their_area, list(starts))
    noisiest = np.maximum.reduceat(noise[1], list(starts))
    sums, room = np.empty((_ROWS, len(theirs)), np.int16), np.empty((_ROWS, _COLUMNS), np.int16)
    for start in range(0, len(mine), _ROWS):
        rows = np.arange(start, min(start + _ROWS, len(mine)))
        least, nearest = _sums(whole[rows], others, sums, room)
        likely = nearest[np.arange(len(rows)), least.argmin(axis=1)]
        reached = np.maximum(overlaps(rows, order[likely]), floor) - _SLACK
        # Of an overlap, the part of both areas together that is not shared.
        apart = (1 - reached) / (1 + reached)
        most = (apart[:, None] * (my_area[rows, None] + largest) + noise[0][rows, None] + noisiest) / unit + len(angles)
        i, j = _within(sums, least, most)
        limit = apart[i] * (my_area[rows[i]] + their_area[j]) + noise[0][rows[i]] + noise[1][j]
        differ = np.abs(found[rows[i]] - true[j]).sum(axis=1)
        kept = np.flatnonzero(differ <= limit * (1 + 1e-9))
        yield rows[i[kept]], order[j[kept]]


def _sums(
    mine: NDArray[np.int16], others: NDArray[np.int16], sums: NDArray[np.int16], room: NDArray[np.int16]
) -> tuple[NDArray[np.int16], Indices]:
    """Fill in the sums of differences of all pairs; return the least of each found box in each tile, (n, tiles), and where."""
    least, nearest = [], []
    here = np.arange(len(mine))
    for start in range(0, others.shape[1], _COLUMNS):
        part = others[:, start : start + _COLUMNS]
        total, step = sums[: len(mine), start : start + _COLUMNS], room[: len(mine), : part.shape[1]]
        np.subtract(mine[:, :1], part[0], out=total)
        np.abs(total, out=total)
        for number in range(1, len(part)):
            np.subtract(mine[:, number : number + 1], part[number], out=step)
            np.abs(step, out=step)
            np.add(total, step, out=total)
        places = total.argmin(axis=1)
        least.append(total[here, places])
        nearest.append(places + start)
    return np.stack(least, axis=1), np.stack(nearest, axis=1)


def _within(sums: NDArray[np.int16], least: NDArray[np.int16], most: Floats) -> tuple[Indices, Indices]:
    """Return the pairs whose sums are at most a number by found box and tile; rows rising."""
    limits = np.minimum(most, _TOP).astype(np.int16)
    found = [(np.empty(0, np.intp), np.empty(0, np.intp))]
    for tile in np.flatnonzero((least <= limits).any(axis=0)).tolist():
        rows = np.flatnonzero(least[:, tile] <= limits[:, tile])
        i, j = np.nonzero(sums[rows, tile * _COLUMNS : (tile + 1) * _COLUMNS] <= limits[rows, tile, None])
        found.append((rows[i], j + tile * _COLUMNS))
    i, j = (np.concatenate(part) for part in zip(*found, strict=True))
    rising = np.argsort(i, kind="stable")
    return i[rising], j[rising]


def _whole_numbers(found: Floats, true: Floats) -> tuple[NDArray[np.int16], NDArray[np.int16], float]:
    """Return areas as whole numbers of a unit, (n, s) and (s, m), of which no sum of differences overflows.

    Areas far from those of most true boxes are cut off: two of them differ by no more after that than before.
    """
    low, high = np.percentile(true, [1, 99], axis=0)
    margin = (high - low) / 2
    low, high = low - margin, high + margin
    unit = float((high - low).sum()) / (_TOP - 2 * len(low)) or 1.0
    whole, others = (np.rint((np.clip(areas, low, high) - low) / unit).astype(np.int16) for areas in (found, true))
    return whole, np.ascontiguousarray(others.T), unit


def _rays(forms: Floats, centre: Floats) -> Floats:
    """Return directions to the corners of a box as most are, and between them."""
    even = np.linspace(-np.pi, np.pi, 8, endpoint=False)
    areas = sector_areas(forms, centre, even)
    typical = forms[np.abs(areas - np.median(areas, axis=0)).sum(axis=1).argmin()].reshape(4, 2) - centre
    corners = np.sort(np.arctan2(typical[:, 1], typical[:, 0]))
    gaps = np.diff(corners, append=corners[0] + 2 * np.pi)
    if gaps.min() < 1e-3 or gaps.max() > 3:  # the point lies outside
        return even
    return (corners[:, None] + gaps[:, None] * np.arange(_PER_CORNER) / _PER_CORNER).ravel()


def _shares(left: Floats, right: Floats) -> Callable[[Floats, Floats, Floats], Floats]:
    """Return a function of the rays and sectors that says which share of edges, (n, 2) from left to right, is in each sector."""

    def of(angles: Floats, rays: Floats, widths: Floats) -> Floats:
        first = np.arctan2(left[:, 1], left[:, 0])[:, None]
        wide = np.arctan2(_cross(left, right), (left * right).sum(axis=1))[:, None]
        crossed = (angles - first) % (2 * np.pi) <= wide
        one, other = _cross(left[:, None], rays), _cross(right[:, None], rays)
        gap = one - other
        at = np.clip(np.divide(one, gap, out=np.zeros_like(one), where=gap != 0), 0, 1)
        begins = np.where(crossed, at, 0.0)
        ends = np.roll(np.where(crossed, at, 1.0), -1, axis=1)
        touched = crossed | np.roll(crossed, -1, axis=1) | ((first - angles) % (2 * np.pi) < widths)
        share: Floats = np.where(touched, np.maximum(ends - begins, 0), 0.0)
        return share

    return of


def _cross(u: Floats, v: Floats) -> Floats:
    crossed: Floats = u[..., 0] * v[..., 1] - u[..., 1] * v[..., 0]
    return crossed
