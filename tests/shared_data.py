"""Real remote-sensing samples that lie beside the checkout on developers' machines; never part of the project."""

from __future__ import annotations

from pathlib import Path

from tests.evidence import evidence


def shared(path: str) -> Path:
    """Return the path of a real sample that may not travel, or skip the test.

    Args:
        path: Path below the folder of samples, such as ``"geotiff/rgb1.tif"``.
    """
    return evidence(path, outside="data")
