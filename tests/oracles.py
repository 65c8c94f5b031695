"""Recorded outputs of the peers' own programs, which lie beside the checkout on developers' machines."""

from __future__ import annotations

from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[2] / "shared" / "oracles"


def oracle(path: str) -> Path:
    """Return the path of a recorded case, such as ``"grounding/plain_200.json"``, or skip the test naming it."""
    case = FOLDER / path
    if not case.exists():
        pytest.skip(f"recorded case {path!r} is not on this machine (looked beside the checkout)")
    return case
