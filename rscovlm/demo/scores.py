"""What the model scores before and after the demo's fine-tuning."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from rscovlm.demo.tuning import LOOKS, NEW_CLASSES, known_scenes, new_scenes
from rscovlm.engines import Engine
from rscovlm.experiments.embedded_tiles import MARKING, WORN
from rscovlm.experiments.scenes import Score, score_detection, score_grounding, score_words, score_zoom
from rscovlm.scenes import SceneConfig, make_scene

MEASURED = 64
"""Scenes that each task is measured on, before and after."""

TEST_TEXTURES = 779
"""Textures of what is measured and shown; training uses others."""


@dataclass(frozen=True)
class TaskScore:
    """A task measured twice on the same items.

    Attributes:
        name: What was measured.
        known: Whether the embedded model was trained on it; otherwise the demo teaches it.
        before: The score before fine-tuning.
        after: The score after it.
    """

    name: str
    known: bool
    before: Score
    after: Score

    @property
    def change(self) -> float:
        """Points between 0 and 1 gained."""
        return self.after.value - self.before.value


def fresh(config: SceneConfig) -> SceneConfig:
    """Return scenes of a kind with textures that no training has."""
    return replace(config, texture_seed=TEST_TEXTURES)


def measure(engine: Engine, seed: int, count: int = MEASURED) -> dict[tuple[str, bool], Score]:
    """Measure what was known and what is new; keys are a task's name and whether it was known."""
    rng = np.random.default_rng([seed, 17])
    scores: dict[tuple[str, bool], Score] = {}
    for known, config in ((True, fresh(known_scenes())), (False, fresh(new_scenes()))):
        scenes = [make_scene(rng, config) for _ in range(count)]
        if known:
            scores["kind of scene", True] = score_words(engine, scenes, config.classes, "class")
        label = ", ".join(config.classes if known else NEW_CLASSES)
        scores[f"pointing, Acc@0.5: {label}", known] = score_grounding(engine, scenes, config.classes)
        scores[f"detection, AP_nc50: {label}", known] = score_detection(engine, scenes, config.classes)["ap_nc50"]
    large = score_zoom(engine, fresh(known_scenes()), count=count, rng=rng)
    scores["large marking, with zoom", True] = large["zoom_on"]
    small = {"side": 672, "marking": MARKING, "worn": WORN}
    fine = score_zoom(engine, fresh(known_scenes()), count=count, rng=rng, looks=LOOKS, **small)
    scores["small marking, with zoom", True] = fine["zoom_on"]
    scores["small marking, without zoom", True] = fine["zoom_off"]
    return scores


def compared(
    before: Mapping[tuple[str, bool], Score], after: Mapping[tuple[str, bool], Score]
) -> tuple[TaskScore, ...]:
    """Put two measurements of the same items side by side."""
    return tuple(TaskScore(name, known, score, after[name, known]) for (name, known), score in before.items())
