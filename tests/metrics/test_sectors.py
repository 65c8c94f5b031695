"""Boxes that are nearly the same: areas in sectors against shapely, and the best pairs against every pair compared."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from shapely.geometry import MultiPoint, Polygon

from rscovlm.metrics import ap_nc, matching, sectors
from rscovlm.metrics.matching import areas, overlaps, shaped
from rscovlm.metrics.sectors import near_twins, sector_areas
from tests.metrics.scenes import rectangles


def _wedge(centre: Any, first: float, last: float) -> Polygon:
    """A sector as a polygon that reaches far beyond all boxes."""
    angles = np.linspace(first, last, 9)
    arc = centre + 1e4 * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    return Polygon([tuple(centre), *map(tuple, arc)])


def _region(quad: Any) -> Any:
    """What a quadrilateral covers, both lobes of one that crosses itself."""
    return Polygon(quad.reshape(4, 2)).buffer(0) if Polygon(quad.reshape(4, 2)).is_valid else _lobes(quad.reshape(4, 2))


def _lobes(corners: Any) -> Any:
    a, b, c, d = corners
    for p, q, r, s in ((a, b, c, d), (b, c, d, a)):
        # Edges p-q and r-s meet.
        matrix = np.array([q - p, r - s]).T
        if abs(np.linalg.det(matrix)) < 1e-12:
            continue
        along, other = np.linalg.solve(matrix, r - p)
        if 0 < along < 1 and 0 < other < 1:
            meeting = p + along * (q - p)
            return MultiPoint([meeting, q, r]).convex_hull.union(MultiPoint([meeting, s, p]).convex_hull)
    raise ValueError("it does not cross itself")


@pytest.mark.parametrize("kind", ["rectangles", "any corners"])
@pytest.mark.parametrize("parts", [3, 8, 13])
def test_areas_in_sectors_are_shapelys(kind: str, parts: int) -> None:
    for seed in range(4):
        rng = np.random.default_rng(seed)
        if kind == "rectangles":
            quads = rectangles(rng.uniform(-20, 20, (30, 2)), rng.uniform(5, 60, (30, 2)), rng.uniform(-1.5, 1.5, 30))
        else:  # dents and crossings, and the point inside of few
            quads = rng.uniform(-40, 40, (30, 8))
        if parts == 3:
            angles = np.array([-2.5, -0.1, 1.7])
        else:
            angles = np.linspace(-np.pi, np.pi, parts, endpoint=False) + 0.2 * rng.random(parts)
        centre = rng.uniform(-10, 10, 2)
        found = sector_areas(quads, centre, angles)
        ends = [*angles[1:], angles[0] + 2 * np.pi]
        wedges = [_wedge(centre, *pair) for pair in zip(angles, ends, strict=True)]
        expected = [[_region(quad).intersection(wedge).area for wedge in wedges] for quad in quads]
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6)
        np.testing.assert_allclose(found.sum(axis=1), areas(quads), rtol=1e-9)


def test_rays_through_corners_and_along_edges_cost_no_area() -> None:
    square = np.array([[0.0, 0, 2, 0, 2, 2, 0, 2]])
    for centre in ((0, 0), (1, 0), (2, 2), (1, 1), (-1, 0), (-1, -1), (0, 1), (5, 2)):
        for turn in (0, 0.25, 0.5):
            angles = (np.arange(8) + turn) * np.pi / 4 - np.pi
            assert sector_areas(square, np.array(centre, float), angles).sum() == pytest.approx(4)


def _twins(count: int, noise: float, seed: int, shape: Any) -> tuple[Any, Any]:
    rng = np.random.default_rng(seed)
    quads = rectangles(np.full((count, 2), 100.0), np.full((count, 2), 50.0), np.full(count, 0.3))
    found, true = (quads + rng.normal(0, noise, quads.shape) for _ in range(2))
    # Some that are equal, whole pixels among them, empty ones, one that reaches to the moon, and corners in another order.
    true[:20], found[:5], found[5:9] = true[20:40].round(), true[20:25], true[30:34].round()
    true[40], found[40], true[41], found[41] = 100.0, 100.0, true[41] * 1e6, true[42]
    found[50:60] = np.roll(found[50:60], 2, axis=1)
    true[60:70] = rng.uniform(50, 150, (10, 8))
    return shaped(found, shape), shaped(true, shape)


@pytest.mark.parametrize("shape", ["quad", "rectangle", "horizontal"])
@pytest.mark.parametrize("noise", [1e-9, 0.01, 2.0, 15.0])
@pytest.mark.parametrize("floor", [0.3, 0.5, 0.9])
def test_the_best_of_all_pairs_is_among_those_left(
    shape: Any, noise: float, floor: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sectors, "_COLUMNS", 100)
    for seed in range(2):
        found, true = _twins(330, noise, seed, shape)
        mine, theirs = areas(found), areas(true)

        def compared(i: Any, j: Any, given: Any = (found, true, mine, theirs)) -> Any:
            return overlaps(given[0][i], given[1][j], given[2][i], given[3][j])

        forms = matching._as_quads(found), matching._as_quads(true)
        yielded = list(near_twins(*forms, mine, theirs, compared, floor))
        assert all((np.diff(i) >= 0).all() for i, _ in yielded)
        rows = np.concatenate([np.unique(i) for i, _ in yielded])
        assert len(rows) == len(set(rows.tolist())), "all of a found box at a time"
        left = {pair for i, j in yielded for pair in zip(i.tolist(), j.tolist(), strict=True)}
        everything = compared(np.repeat(np.arange(330), 330), np.tile(np.arange(330), 330)).reshape(330, 330)
        for row, iou in enumerate(everything):
            if iou.max() >= floor:
                assert {(row, column) for column in np.flatnonzero(iou == iou.max()).tolist()} <= left
        if noise == 2.0 and shape == "quad":
            assert len(left) < 15 * 330, "few pairs remain"


@pytest.mark.parametrize("shape", ["quad", "rectangle", "horizontal"])
def test_ap_nc_is_that_of_the_former_way(shape: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(matching, "_CROWDED", 300)
    found, true = _twins(700, 2.0, 0, "quad")
    labels = ["ship"] * 500 + ["plane"] * 200
    given = [{"boxes": found, "labels": labels}], [{"boxes": true, "labels": labels}]
    calls: list[int] = []
    plain = near_twins

    def counted(*args: Any) -> Any:
        calls.append(len(args[0]))
        return plain(*args)

    monkeypatch.setattr(matching, "near_twins", counted)
    results = []
    for share in (0.0, 2.0):
        monkeypatch.setattr(matching, "_ALIKE", share)
        results.append(ap_nc(*given))
        assert calls == [500]  # planes are no pile
    assert results[0] == results[1]


def test_twins_are_compared_by_sectors_and_others_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []
    plain = near_twins
    monkeypatch.setattr(matching, "near_twins", lambda *args: calls.append(len(args[0])) or plain(*args))  # type: ignore[func-returns-value]
    rng = np.random.default_rng(0)
    spread = rectangles(rng.uniform(0, 60, (3_000, 2)), rng.uniform(10, 60, (3_000, 2)), rng.uniform(-1.5, 1.5, 3_000))
    for true in (spread, _twins(3_000, 2.0, 0, "quad")[1]):
        labels = ["ship"] * len(true)
        found = true + rng.normal(0, 2, true.shape)
        ap_nc([{"boxes": found, "labels": labels}], [{"boxes": true, "labels": labels}])
    assert calls == [3_000]
