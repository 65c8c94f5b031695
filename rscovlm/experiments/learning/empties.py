"""Keeping empty images lowers false detections on empty scenes: two new classes, learned with and without empty images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from rscovlm.engines import Engine
from rscovlm.experiments.embedded import budget
from rscovlm.experiments.learning.report import series
from rscovlm.experiments.learning.runs import PIXELS, Arm, ArmRun, Claim, Measure
from rscovlm.experiments.learning.scene_records import (
    answers,
    drawn,
    fresh_samples,
    unseen,
)
from rscovlm.exports.chart import draw
from rscovlm.metrics import ap_nc
from rscovlm.mixtures.mixture import Subset
from rscovlm.mixtures.scene_records import detection_record, plain_renderer
from rscovlm.records.record import Record
from rscovlm.scenes import Scene, SceneConfig

NEW = ("court", "vehicle")
"""Classes the embedded model was never asked for; planes, ships and tanks are background here."""
SCENES = SceneConfig(min_objects=1, max_objects=2, min_length=24, max_length=44)
BARE = replace(SCENES, min_objects=0, max_objects=0)
_SHOW = plain_renderer(PIXELS, budget())


def measure(arm: str, engine: Engine, seed: int, count: int) -> list[Measure]:
    """Measure recall where there is something, and false detections where there is nothing."""
    there = answers(engine, fresh_samples(lambda rng: _full(unseen(SCENES), rng), _SHOW, seed, count), most=96)
    result = ap_nc([said for said, _ in there], [true for _, true in there], iou_thresholds=(0.5,))
    found = [Measure(name, result[name], count) for name in ("recall", "precision")]
    found.append(Measure("AP_nc50", result["ap_nc50"]["mean"], count))
    for name, config in (("bare ground", BARE), ("other objects", SCENES)):
        samples = fresh_samples(lambda rng: _empty(unseen(config), rng), _SHOW, seed, count)  # noqa: B023
        counts = [len(said) for said, _ in answers(engine, samples, most=96)]
        found.append(Measure(f"false detections, {name}", float(np.mean(counts)), count))
    return found


def _holds_new(scene: Scene) -> bool:
    return any(thing.label in NEW for thing in scene.objects)


def _full(config: SceneConfig, rng: np.random.Generator) -> Record:
    return detection_record(drawn(config, _holds_new, rng), NEW)


def _empty(config: SceneConfig, rng: np.random.Generator) -> Record:
    return detection_record(drawn(config, lambda scene: not _holds_new(scene), rng), NEW)


def _subsets(shares: tuple[float, float, float]) -> list[Subset]:
    draws = {
        "full": lambda rng: _full(SCENES, rng),
        "empty, other objects": lambda rng: _empty(SCENES, rng),
        "empty, bare ground": lambda rng: _empty(BARE, rng),
    }
    return [Subset(name, draw, share, render=_SHOW) for (name, draw), share in zip(draws.items(), shares, strict=True)]


def _dropped(done: Sequence[ArmRun]) -> list[Subset]:
    return _subsets((1.0, 0.0, 0.0))


def _kept(done: Sequence[ArmRun]) -> list[Subset]:
    return _subsets((0.7, 0.15, 0.15))


def _figures(runs: Sequence[ArmRun]) -> dict[str, str]:
    title = "False detections per empty scene; recall and precision where there is something"
    drawing = draw(series(runs, lambda run, one: (run.arm, one.name)), title=title, across="")
    return {"empties": drawing}


CLAIM = Claim("empties", (Arm("dropped", _dropped, 160), Arm("kept", _kept, 160)), measure, _figures)
