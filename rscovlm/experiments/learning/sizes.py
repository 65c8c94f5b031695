"""Random resizing makes accuracy hold at sizes not trained: pointing at sizes between and beyond those trained."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rscovlm.engines import Engine
from rscovlm.experiments.learning.report import series
from rscovlm.experiments.learning.runs import PIXELS, Arm, ArmRun, Claim, Measure
from rscovlm.experiments.learning.scene_records import answers, fresh_samples, grounding_record, unseen
from rscovlm.exports.chart import draw
from rscovlm.metrics import grounding_accuracy
from rscovlm.mixtures.mixture import Subset
from rscovlm.mixtures.renderer import RecordRenderer
from rscovlm.mixtures.scene_records import plain_renderer
from rscovlm.processing import PixelBudget
from rscovlm.records.record import Record
from rscovlm.scenes import SceneConfig, make_scene

SCENES = SceneConfig(
    size=168, min_objects=1, max_objects=1, min_length=48, max_length=88, classes=("plane", "ship", "tank")
)
SIDES = (56, 84, 112, 140, 168, 196, 224)
"""Sides of the square that the model is shown when it is measured."""
FIXED = ((84, 84),)
RANDOM = ((56, 84), (140, 168))
"""Sides between which random resizing draws an area: 112 lies between them, 196 and 224 beyond."""


def measure(arm: str, engine: Engine, seed: int, count: int) -> list[Measure]:
    """Measure pointing at every side on the same scenes."""
    found = []
    for side in SIDES:
        samples = fresh_samples(lambda rng: _draw(unseen(SCENES), rng), _shown(side, side), seed, count)
        pairs = answers(engine, samples, most=24)
        boxes = [list(said.boxes.coords[0]) if len(said) else None for said, _ in pairs]
        result = grounding_accuracy(boxes, [list(true.boxes.coords[0]) for _, true in pairs])
        found += [
            Measure("Acc@0.5", result["acc50"], count, side),
            Measure("mean IoU", result["mean_iou"], count, side),
        ]
    return found


def _draw(config: SceneConfig, rng: np.random.Generator) -> Record:
    return grounding_record(make_scene(rng, config), config.classes, rng)


def _shown(low: int, high: int) -> RecordRenderer:
    return plain_renderer(PIXELS, PixelBudget(low * low, high * high, 28), resize_rate=1.0)


def _resized(ranges: Sequence[tuple[int, int]]) -> list[Subset]:
    return [Subset(f"{low}-{high}", lambda rng: _draw(SCENES, rng), render=_shown(low, high)) for low, high in ranges]


def _fixed(done: Sequence[ArmRun]) -> list[Subset]:
    return _resized(FIXED)


def _random(done: Sequence[ArmRun]) -> list[Subset]:
    return _resized(RANDOM)


def _figures(runs: Sequence[ArmRun]) -> dict[str, str]:
    def place(run: ArmRun, one: Measure) -> tuple[str, str] | None:
        return (run.arm, f"{one.x:g}") if one.name == "Acc@0.5" else None

    drawing = draw(
        series(runs, place), title="Pointing, Acc@0.5", across="side of the image shown, in pixels", joined=True
    )
    return {"sizes": drawing}


CLAIM = Claim("sizes", (Arm("fixed", _fixed, 300), Arm("random", _random, 300)), measure, _figures)
