"""The same answers get the same figures from version to version, so that they can be compared."""

from typing import Any

import pytest

from tests.metrics.figures import FIGURES, figures, recorded


@pytest.mark.parametrize("name", FIGURES)
def test_figures_are_what_they_were(name: str) -> None:
    differing = list(_differences(figures(name), recorded()[name], ""))
    assert not differing, f"{len(differing)} figures; where that is meant, see tests/metrics/figures.py"


def _differences(now: Any, before: Any, where: str) -> Any:
    """Yield the places of two values that differ by more than what rounding explains."""
    if isinstance(now, dict) and isinstance(before, dict) and list(now) == list(before):
        for key in now:
            yield from _differences(now[key], before[key], f"{where}/{key}")
    elif isinstance(now, list) and isinstance(before, list) and len(now) == len(before):
        for place, pair in enumerate(zip(now, before, strict=True)):
            yield from _differences(*pair, f"{where}/{place}")
    elif isinstance(now, float) and isinstance(before, float | int):
        if now != pytest.approx(before, abs=2e-6):
            yield where, before, now
    elif now != before:
        yield where, before, now
