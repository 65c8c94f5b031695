"""What may be drawn when a record is rendered."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import pytest

from rscovlm.tasks import RenderOptions

RATES = [one.name for one in fields(RenderOptions) if one.name.endswith(("_rate", "_jitter"))]


@pytest.mark.parametrize("name", RATES)
@pytest.mark.parametrize("value", [-1.0, -1e-9, 1 + 1e-9, 2.0, float("nan")])
def test_a_rate_is_a_share(name: str, value: float) -> None:
    given: dict[str, Any] = {name: value}
    with pytest.raises(ValueError, match=f"{name} is .*; give a number from 0 to 1"):
        RenderOptions(**given)
    for edge in (0.0, 1.0):
        given = {name: edge}
        RenderOptions(**given)


@pytest.mark.parametrize("given", [{"points": -1}, {"negatives": -1}, {"longest": 0}])
def test_counts_of_points_and_characters(given: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="give 0 or more points and a length from 1"):
        RenderOptions(**given)
    RenderOptions(points=0, negatives=0, longest=1)


@pytest.mark.parametrize("kinds", [{"hbb": -0.1, "quad": 1.0}, {"hbb": 0.0}, {"hbb": 0.0, "quad": 0.0}])
def test_weights_of_kinds_are_positive_together_and_none_is_negative(kinds: Any) -> None:
    with pytest.raises(ValueError, match="give box kinds with positive weights"):
        RenderOptions(kinds)
    RenderOptions({"hbb": 0.0, "quad": 1.0})
