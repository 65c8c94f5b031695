"""Intersection over union of convex quadrilaterals in rational arithmetic: slow, and without any rounding."""

from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

Point = tuple[Fraction, Fraction]


def exact_iou(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    """Return the IoU of two convex quadrilaterals, (8,) each; 0 where one has no area."""
    one, two = _corners(a), _corners(b)
    area_1, area_2 = _doubled_area(one), _doubled_area(two)
    if area_1 == 0 or area_2 == 0:
        return 0.0
    shared = one
    for k in range(4):
        shared = _cut(shared, two[k], two[(k + 1) % 4], 1 if area_2 > 0 else -1)
    both = abs(_doubled_area(shared))
    return float(both / (abs(area_1) + abs(area_2) - both))


def _corners(quad: NDArray[np.float64]) -> list[Point]:
    numbers = [Fraction(float(value)) for value in quad]
    return list(zip(numbers[0::2], numbers[1::2], strict=True))


def _doubled_area(polygon: list[Point]) -> Fraction:
    edges = zip(polygon, polygon[1:] + polygon[:1], strict=True)
    return sum((p[0] * q[1] - p[1] * q[0] for p, q in edges), Fraction(0))


def _cut(polygon: list[Point], start: Point, end: Point, turn: int) -> list[Point]:
    def side(p: Point) -> Fraction:
        return turn * ((end[0] - start[0]) * (p[1] - start[1]) - (end[1] - start[1]) * (p[0] - start[0]))

    kept: list[Point] = []
    for p, q in zip(polygon, polygon[1:] + polygon[:1], strict=True):
        here, there = side(p), side(q)
        if here >= 0:
            kept.append(p)
        if here * there < 0:
            t = here / (here - there)
            kept.append((p[0] + t * (q[0] - p[0]), p[1] + t * (q[1] - p[1])))
    return kept
