"""Figures in TensorBoard's own files, read by TensorBoard."""

from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from rscovlm.benchmarks.scores import BenchmarkFigure, SuiteScore
from rscovlm.benchmarks.trackers import track

SCORE = SuiteScore(
    "lrs-vqa",
    "LRS-VQA",
    "zoom",
    "",
    "m",
    {"version": 1},
    (BenchmarkFigure("Avg.", "lrs_vqa", 0.4571, 9, 0.4, 0.5),),
    {},
)


def test_figures_are_in_the_tracker(tmp_path: Path) -> None:
    logged = track([SCORE], "tensorboard", tmp_path)
    found: dict[str, float] = {}
    for folder in {path.parent for path in tmp_path.rglob("events.out.tfevents.*")}:
        reader = EventAccumulator(str(folder))
        reader.Reload()
        found |= {name: reader.Scalars(name)[0].value for name in reader.Tags()["scalars"]}
    assert found == {
        "lrs-vqa/zoom/Avg./lrs_vqa": pytest.approx(45.71),
        "lrs-vqa/zoom/Avg./lrs_vqa/low": pytest.approx(40),
        "lrs-vqa/zoom/Avg./lrs_vqa/high": pytest.approx(50),
    }
    assert set(logged) == set(found)


def test_trackers_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="tracker is 'tensorbord'.*tensorboard"):
        track([SCORE], "tensorbord", tmp_path)
    with pytest.raises(ValueError, match="'clearml' is not installed"):
        track([SCORE], "clearml", tmp_path)
