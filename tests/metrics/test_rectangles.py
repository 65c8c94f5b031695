"""Rectangles of smallest area held against OpenCV's recorded ones and against an exhaustive search."""

import numpy as np
import pytest

from rscovlm.geometry.overlaps import quad_area
from rscovlm.metrics.rectangles import smallest_rectangles
from tests.metrics.scenes import rectangles

# Sorted x of cv2.boxPoints(cv2.minAreaRect(quad)), OpenCV 5.0. The first six have two rectangles of one area.
RECORDED = [
    ([301.2, 39.9, 309.1, 54.7, 300.9, 58.7, 294.1, 43.9], [293.5497, 300.9, 301.7497, 309.1]),
    ([599, 732.3, 613.4, 719.5, 620.1, 727.3, 604.7, 740.1], [598.1284, 604.7001, 613.5283, 620.1]),
    ([2635.1, 3953.1, 2635.1, 3963, 2644, 3963, 2643.9, 3953], [2635.001, 2635.1011, 2643.8999, 2644.0]),
    ([218.0, 89.0, 224.0, 84.0, 236.0, 101.0, 227.0, 106.0], [216.9529, 225.9529, 227.0, 236.0]),
    ([311.0, 249.0, 298.0, 258.0, 303.0, 264.0, 316.0, 258.0], [297.2453, 302.2453, 311.0, 316.0]),
    ([677.2, 585.9, 772.7, 449.7, 649.3, 356.2, 545.5, 493.3], [545.5, 649.2999, 673.7776, 777.5775]),
    ([0, 0, 10, 0, 10, 10, 0, 10], [0.0, 0.0, 10.0, 10.0]),
    ([0, 0, 20, 20, 20, 0, 0, 20], [0.0, 0.0, 20.0, 20.0]),
    ([0, 0, 0, 5, 0, 9, 4, 9], [-3.3402, 0.0, 0.6598, 4.0]),
    # Two corners lie equally far to the right: the hull starts at the lower one, which decides between equal rectangles.
    ([27, 2, 16, 15, 38, 3, 16, 2], [10.5350, 16.0, 32.5350, 38.0]),
    ([53, 8, 17, 28, 38, 50, 16, 8], [16.0, 16.0, 53.0, 53.0]),
    ([10, 33, 33, 15, 47, 27, 10, 1], [4.9438, 10.0, 41.9438, 47.0]),
    ([53, 59, 37, 5, 44, 3, 21, 59], [12.8057, 21.8057, 44.0, 53.0]),
    ([0, 9, 49, 31, 51, 9, 2, 55], [0.0, 0.0, 51.0, 51.0]),
]


@pytest.mark.parametrize(("quad", "xs"), RECORDED)
def test_recorded_rectangles(quad: list[float], xs: list[float]) -> None:
    found = np.sort(smallest_rectangles(np.asarray([quad]))[0, 0::2])
    np.testing.assert_allclose(found, xs, atol=2e-3)


@pytest.mark.parametrize("power", [-12, -6, 5])
def test_rectangles_scale_with_their_quadrilaterals(power: int) -> None:
    """Nothing is decided by the number of pixels: times a power of two, every figure is the same but for that."""
    quads = np.array([quad for quad, _ in RECORDED], dtype=float)
    backwards = quads.reshape(-1, 4, 2)[:, ::-1].reshape(-1, 8)
    for given in (quads, backwards):
        np.testing.assert_array_equal(smallest_rectangles(given * 2.0**power), smallest_rectangles(given) * 2.0**power)


def test_no_rectangle_is_smaller() -> None:
    rng = np.random.default_rng(0)
    quads = np.concatenate(
        [
            rng.integers(0, 40, (2000, 8)).astype(float),
            rectangles(rng.uniform(0, 4000, (2000, 2)), rng.uniform(8, 80, (2000, 2)), rng.uniform(-1.5, 1.5, 2000)),
        ]
    )
    corners = quads.reshape(-1, 4, 2)
    least = np.full(len(quads), np.inf)
    for i in range(4):
        for j in range(i):
            step = corners[:, i] - corners[:, j]
            length = np.hypot(step[:, 0], step[:, 1])
            step = step / np.where(length == 0, 1, length)[:, None]
            u = np.einsum("nkd,nd->nk", corners, step)
            v = np.einsum("nkd,nd->nk", corners, np.stack([-step[:, 1], step[:, 0]], axis=1))
            least = np.minimum(least, np.where(length == 0, np.inf, np.ptp(u, axis=1) * np.ptp(v, axis=1)))
    np.testing.assert_allclose(quad_area(smallest_rectangles(quads)), least, rtol=1e-5, atol=1e-2)


def test_corner_order_is_settled_as_the_peers_settle_it() -> None:
    rng = np.random.default_rng(1)
    quads = rectangles(rng.uniform(0, 400, (3000, 2)), rng.uniform(6, 30, (3000, 2)), rng.uniform(-1.5, 1.5, 3000))
    first = smallest_rectangles(quads)
    again = smallest_rectangles(quads.reshape(-1, 4, 2)[:, ::-1].reshape(-1, 8))
    same = np.abs(np.sort(first, axis=1) - np.sort(again, axis=1)).max(axis=1) < 1e-3
    assert same.mean() > 0.999


def test_without_area_without_rectangle() -> None:
    quads = np.asarray([[5, 5, 5, 5, 5, 5, 5, 5], [0, 0, 3, 3, 6, 6, 9, 9]], dtype=np.float64)
    np.testing.assert_array_equal(quad_area(smallest_rectangles(quads)), 0)
    assert smallest_rectangles(np.zeros((0, 8))).shape == (0, 8)
