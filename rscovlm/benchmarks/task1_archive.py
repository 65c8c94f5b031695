"""DOTA's Task 1 archive of a run, for a split whose labels only the evaluation server has."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rscovlm.benchmarks.answers import merged_rows, runs_of
from rscovlm.benchmarks.controls import CONTROLS
from rscovlm.benchmarks.detection_scores import side_of
from rscovlm.benchmarks.suite import Suite
from rscovlm.files import check_output
from rscovlm.metrics import write_task1


def write_archive(path: Path, folder: Path, suite: Suite) -> Path:
    """Write the objects of the one run of a suite as DOTA's server wants them; all scores are 1.

    Args:
        path: A file that ends in ``.zip``, or a folder.
        folder: Folder of the run.
        suite: A benchmark of detection.

    Returns:
        The path.

    Raises:
        ValueError: The benchmark is none of detection, or the folder holds no run of it, or several.
    """
    if suite.protocol.scoring != "detections":
        raise ValueError(f"suite {suite.name!r} has no objects; a Task 1 archive is of a benchmark of detection")
    if path.suffix == ".zip" or path.is_file():
        check_output(path, "task1")
    runs = [run for run in runs_of(folder) if run.startswith(f"{suite.name}.") and not run.endswith(CONTROLS)]
    if len(runs) != 1:
        raise ValueError(f"{folder} holds {len(runs)} runs of {suite.name!r}; give the folder of exactly one")
    found: dict[str, Any] = {}
    for row in merged_rows(folder, runs[0]):
        found[Path(row["image"]).stem] = side_of(row.get("objects", ()))
    classes = sorted({label for side in found.values() for label in side["labels"]})
    return write_task1(path, found, classes)
