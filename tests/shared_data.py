"""Real remote-sensing samples that lie beside the checkout on developers' machines; never part of the project."""

from __future__ import annotations

from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[2] / "shared" / "data"


def shared(path: str) -> Path:
    """Return the path of a real sample, or skip the test naming what is absent.

    Args:
        path: Path below the folder of samples, such as ``"geotiff/rotated.tif"``.
    """
    sample = FOLDER / path
    if not sample.exists():
        pytest.skip(f"real sample {path!r} is not on this machine (looked beside the checkout)")
    return sample
