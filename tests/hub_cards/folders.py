"""The metric Spaces as folders, which tests and the processes that they start read."""

from __future__ import annotations

from pathlib import Path

from rscovlm.hub import write_metric
from rscovlm.metrics.spaces import NAMES


def write_spaces(folder: Path) -> Path:
    """Write every metric's Space into a folder of its name."""
    for name in NAMES:
        write_metric(name, folder / name)
    return folder
