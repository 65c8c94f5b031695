"""Recorded outputs of the peers' own programs."""

from __future__ import annotations

from pathlib import Path

from tests.evidence import evidence


def oracle(path: str) -> Path:
    """Return the path of a recorded case, such as ``"grounding/plain_200.json"``, or skip the test where it may not travel."""
    return evidence(path, outside="oracles")
