"""Generated scenes as records, as a converted data set would bring them, and what a model answers about them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from rscovlm.engines import Engine
from rscovlm.experiments.scenes import TEST_TEXTURES
from rscovlm.geometry import Objects
from rscovlm.mixtures.renderer import RecordRenderer, Sample
from rscovlm.mixtures.scene_records import record_of, scene_questions
from rscovlm.records.record import Record
from rscovlm.scenes import Scene, SceneConfig, make_scene
from rscovlm.training.evaluation import ask

Draw = Callable[[np.random.Generator], Record]


def grounding_record(scene: Scene, classes: tuple[str, ...], rng: np.random.Generator) -> Record:
    """Return a record that asks for one object by class, or by colour and class.

    Raises:
        ValueError: No phrase means one object alone; see `pointable`.
    """
    asked = scene_questions(scene, classes, ("grounding",))
    if not asked:
        raise ValueError(f"no phrase means one of {[thing.label for thing in scene.objects]} alone; draw another scene")
    return record_of(scene, asked[int(rng.integers(len(asked)))], classes)


def pointable(scene: Scene, classes: tuple[str, ...]) -> bool:
    """Tell whether some phrase means one object of these classes alone."""
    return bool(scene_questions(scene, classes, ("grounding",)))


def counting_record(scene: Scene, classes: tuple[str, ...], rng: np.random.Generator) -> Record:
    """Return a record that asks how many objects of one of the classes there are."""
    asked = scene_questions(scene, classes, ("count",))
    return record_of(scene, asked[int(rng.integers(len(asked)))], classes)


def drawn(config: SceneConfig, accept: Callable[[Scene], bool], rng: np.random.Generator) -> Scene:
    """Draw scenes until one is accepted."""
    while not accept(scene := make_scene(rng, config)):
        pass
    return scene


def fresh_samples(draw: Draw, show: RecordRenderer, seed: int, count: int) -> list[Sample]:
    """Return samples to measure with, from generators that no position of a mixture has."""
    generators = [np.random.default_rng([4242, seed, place]) for place in range(count)]
    return [show(draw(rng), rng) for rng in generators]


def unseen(config: SceneConfig) -> SceneConfig:
    """Return the same kind of scenes with textures that no training scene has."""
    return replace(config, texture_seed=TEST_TEXTURES)


def answers(engine: Engine, samples: Sequence[Sample], *, most: int) -> list[tuple[Objects, Objects]]:
    """Return what the model found and what is true, on the pixels of each original image.

    Args:
        engine: Who answers.
        samples: Samples with boxes.
        most: Largest number of tokens of an answer.

    Raises:
        ValueError: A sample has boxes without a frame.
    """
    pairs = []
    for one, sample in zip(ask(engine, samples, max_new_tokens=most), samples, strict=True):
        truth: Objects = sample["truth"]
        frame = truth.boxes.frame
        if frame is None:
            raise ValueError(f"a {one.task} sample has boxes without a frame; render it from a record")
        shown = frame.resized(*sample["images"][0].size)
        kind = truth.boxes.kind
        pairs.append((engine.codec.decode(one.reply, shown, kind=kind).objects.to(frame), truth))
    return pairs
