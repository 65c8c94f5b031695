"""Figures of an evaluation in the tracker where a team watches its runs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rscovlm.benchmarks.scores import SuiteScore
from rscovlm.extras import optional
from rscovlm.settings.nearest import nearest


def check_tracker(tracker: str) -> None:
    """Refuse a tracker that cannot be logged to, before anything is asked.

    Args:
        tracker: Its name.

    Raises:
        ValueError: accelerate knows no tracker of this name, or its package is not installed.
        ModuleNotFoundError: accelerate is not installed.
    """
    with optional():
        from accelerate.tracking import LOGGER_TYPE_TO_CLASS, get_available_trackers

    if tracker not in LOGGER_TYPE_TO_CLASS:
        raise ValueError(f"tracker is {tracker!r}{nearest(tracker, LOGGER_TYPE_TO_CLASS)}")
    if tracker not in map(str, get_available_trackers()):
        raise ValueError(f"tracker {tracker!r} is not installed; install its package, such as pip install {tracker}")


def track(
    scores: Sequence[SuiteScore], tracker: str, folder: Path, *, project: str = "rscovlm-eval"
) -> dict[str, float]:
    """Log every figure in per cent, with intervals, to a tracker that accelerate knows: TensorBoard, trackio, MLflow, ...

    Args:
        scores: What `score_folder` returned.
        tracker: Its name, such as ``tensorboard``, whose files go below ``folder/logs``, or ``trackio``.
        folder: The folder of the run.
        project: What the tracker calls the project.

    Returns:
        What was logged: ``SUITE/VARIANT/CONTROL/FIGURE/RULE``, without what is empty.

    Raises:
        ValueError: See `check_tracker`.
        ModuleNotFoundError: See `check_tracker`.
    """
    check_tracker(tracker)
    from accelerate import Accelerator

    values = {}
    for score in scores:
        for figure in score.figures:
            parts = (score.suite, score.variant, score.control, figure.name, figure.rule)
            name = "/".join(part.replace("/", "-") for part in parts if part)
            values[name] = 100 * figure.value
            if figure.low is not None and figure.high is not None:
                values |= {f"{name}/low": 100 * figure.low, f"{name}/high": 100 * figure.high}
    accelerator = Accelerator(log_with=tracker, project_dir=str(folder / "logs"))
    about = {f"{score.suite}.{score.variant}.{score.control}": score.protocol_id() for score in scores}
    accelerator.init_trackers(project, config=about)
    accelerator.log(values, step=0)
    accelerator.end_training()
    return values
