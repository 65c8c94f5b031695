"""Generated scenes as records, as a converted data set would bring them, and what a model answers about them."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from PIL import Image

from rscovlm.benchmarks.scenes import TEST_TEXTURES
from rscovlm.codec import Codec
from rscovlm.data.record_rendering import RecordRenderer, RenderOptions
from rscovlm.data.records import Annotation, ImageRef, Record, Task
from rscovlm.data.rendering import Sample
from rscovlm.data.scene_tasks import Spatial, scene_questions
from rscovlm.data.scenes import Scene, SceneConfig, make_scene
from rscovlm.engines import Engine
from rscovlm.geometry import Objects
from rscovlm.processing import PixelBudget
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
    question = asked[int(rng.integers(len(asked)))]
    box = Annotation(tuple(scene.objects[question.objects[0]].hbb.tolist()), question.label, "hbb")
    return record("grounding", scene.image, objects=(box,), expression=question.phrase)


def pointable(scene: Scene, classes: tuple[str, ...]) -> bool:
    """Tell whether some phrase means one object of these classes alone."""
    return bool(scene_questions(scene, classes, ("grounding",)))


def detection_record(scene: Scene, classes: tuple[str, ...]) -> Record:
    """Return a record that asks for every object of some classes; those of other classes are background."""
    found = [thing for thing in scene.objects if thing.label in classes]
    boxes = tuple(Annotation(tuple(thing.quad.ravel().tolist()), thing.label, "quad") for thing in found)
    return record("detection", scene.image, objects=boxes, categories=classes)


def counting_record(scene: Scene, classes: tuple[str, ...], rng: np.random.Generator) -> Record:
    """Return a record that asks how many objects of one of the classes there are."""
    asked = scene_questions(scene, classes, ("count",))
    question = asked[int(rng.integers(len(asked)))]
    return record("vqa", scene.image, question=question.text, answer=question.answer)


def record(task: Task, image: Image.Image, **fields: Any) -> Record:
    """Return a record about an image, which it holds as a file."""
    buffer = io.BytesIO()
    image.save(buffer, "PNG", compress_level=1)
    held = ImageRef(data=buffer.getvalue(), width=image.width, height=image.height)
    return Record("scene", "scenes", "train", task, (held,), **fields)


def drawn(config: SceneConfig, accept: Callable[[Scene], bool], rng: np.random.Generator) -> Scene:
    """Draw scenes until one is accepted."""
    while not accept(scene := make_scene(rng, config)):
        pass
    return scene


def renderer(codec: Codec, budget: PixelBudget, kind: Spatial = "hbb", *, resize_rate: float = 0.0) -> RecordRenderer:
    """Return what puts records into the plainest words, with boxes of one kind."""
    return RecordRenderer(codec, budget, ".", RenderOptions({kind: 1.0}, rephrase_rate=0, resize_rate=resize_rate))


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
