"""Shapes fill their box and keep their details inside their outline."""

from __future__ import annotations

import numpy as np
import pytest
import shapely

from rscovlm.scenes.shapes import SHAPES, Shape

ALL = [pytest.param(shape, id=f"{label}-{k}") for label, shapes in SHAPES.items() for k, shape in enumerate(shapes)]


@pytest.mark.parametrize("shape", ALL)
def test_outline_touches_all_four_sides(shape: Shape) -> None:
    np.testing.assert_allclose(shape.outline.min(axis=0), -1)
    np.testing.assert_allclose(shape.outline.max(axis=0), 1)
    assert shapely.Polygon(shape.outline).is_valid


@pytest.mark.parametrize("shape", ALL)
def test_details_stay_inside(shape: Shape) -> None:
    outline = shapely.Polygon(shape.outline).buffer(0.02)
    for _, points in shape.details:
        assert outline.covers(shapely.Polygon(points))
