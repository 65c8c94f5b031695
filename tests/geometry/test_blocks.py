"""What is worked on block by block, so that memory is bounded, comes out as from one block."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from rscovlm.geometry import control_points, kinds, overlaps, similarity, tracing
from rscovlm.geometry.control_points import ControlPoints


def _rectangles(rng: np.random.Generator) -> Any:
    return kinds.smallest_rectangle(rng.uniform(-90, 400, (23, 5, 2)))


def _table(rng: np.random.Generator) -> Any:
    low = rng.uniform(0, 60, (2, 19, 2))
    one, two = np.concatenate([low, low + rng.uniform(1, 40, (2, 19, 2))], axis=2)
    found = similarity.iou(one, two[:13])
    assert np.array_equal(found, [[similarity.iou([a], [b])[0, 0] for b in two[:13]] for a in one])
    return found


def _shared(rng: np.random.Generator) -> Any:
    a, b = rng.uniform(0, 50, (2, 31, 8))
    return np.stack(overlaps.quad_overlap(a, b))


def _outlines(rng: np.random.Generator) -> Any:
    rings = tracing.trace(rng.integers(0, 3, (17, 11)))
    return np.concatenate([rings.points.ravel(), rings.starts, rings.labels])


def _places(rng: np.random.Generator) -> Any:
    pixels = rng.uniform(0, 900, (8, 2))
    points = ControlPoints(tuple(map(tuple, pixels)), tuple(map(tuple, pixels * (3, -2) + rng.normal(0, 5, (8, 2)))))
    return points.to_world(rng.uniform(0, 900, (37, 2)))


@pytest.mark.parametrize(
    ("module", "name", "act"),
    [
        (kinds, "_CHUNK", _rectangles),
        (similarity, "_CELLS", _table),
        (overlaps, "_CHUNK", _shared),
        (tracing, "_STRIP", _outlines),
        (control_points, "CHUNK", _places),
    ],
    ids=["rectangles", "table of IoU", "shared areas", "outlines", "places"],
)
@pytest.mark.parametrize("size", [1, 30, 100])
def test_blocks_of_any_size_give_the_same(
    module: Any, name: str, act: Callable[[np.random.Generator], Any], size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = act(np.random.default_rng(5))
    monkeypatch.setattr(module, name, size)
    np.testing.assert_allclose(act(np.random.default_rng(5)), whole, rtol=1e-12, atol=1e-9)
