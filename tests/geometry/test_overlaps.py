"""Overlaps held against shapely."""

import numpy as np
import shapely
from numpy.typing import NDArray

from rscovlm.geometry.overlaps import quad_area, quad_intersection

Floats = NDArray[np.float64]


def _shapely(a: Floats, b: Floats) -> Floats:
    def regions(quads: Floats) -> NDArray[np.object_]:
        return np.asarray(shapely.make_valid(np.asarray(shapely.polygons(quads.reshape(-1, 4, 2)))))

    return np.asarray(shapely.area(shapely.intersection(regions(a), regions(b))))


def test_random_quadrilaterals_of_every_shape() -> None:
    rng = np.random.default_rng(0)
    a = rng.uniform(0, 100, (20_000, 8))
    b = rng.uniform(0, 100, (20_000, 8))
    assert np.abs(quad_intersection(a, b) - _shapely(a, b)).max() < 1e-9


def test_integer_boxes_of_twelve_pixels() -> None:
    rng = np.random.default_rng(1)
    base = rng.integers(0, 12, (20_000, 8)).astype(np.float64)
    other = base + rng.integers(-2, 3, base.shape)
    assert np.abs(quad_intersection(base, other) - _shapely(base, other)).max() < 1e-9


def test_a_box_shares_its_own_area_with_itself() -> None:
    quads = np.random.default_rng(2).uniform(0, 3000, (1000, 8))
    np.testing.assert_allclose(quad_intersection(quads, quads), quad_area(quads), rtol=1e-9)
