"""Generated scenes as records, as a converted data set would bring them: what the embedded model, the demo and tests train on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import Any, Literal

import numpy as np
from PIL import Image

from rscovlm.codec import Codec
from rscovlm.codec.dialect import Dialect
from rscovlm.geometry import Boxes, Frame, Objects
from rscovlm.mixtures.renderer import RecordRenderer, Sample
from rscovlm.processing.resolution import PixelBudget, plan_size
from rscovlm.records import Annotation, ImageRef, Record
from rscovlm.scenes import Scene, SceneConfig, SceneQuestion, ZoomScene, make_scene, make_zoom_scene, questions
from rscovlm.scenes.pad import MARKING
from rscovlm.scenes.questions import Task as Kind
from rscovlm.tasks.options import RenderOptions
from rscovlm.zoom.layouts import Layout

Spatial = Literal["hbb", "quad"]
Worded = Literal["class", "count", "presence", "colour"]
Boxed = Literal["detection", "grounding"]

RECORD_TASKS: Mapping[Kind, str] = {
    "class": "classification",
    "count": "counting",
    "presence": "vqa",
    "colour": "vqa",
    "marking": "vqa",
    "grounding": "grounding",
    "detection": "detection",
}
"""Task of the record that a kind of question about a scene becomes."""


@dataclass(frozen=True)
class SceneTurns:
    """Draws a small scene and asks several questions about it.

    Attributes:
        config: What the scenes hold.
        dialect: How the model writes boxes and is asked; a codec stands for the dialect of its name.
        budget: Pixels the model sees.
        kind: Box kind of this conversation: ``"hbb"`` grounds and detects with horizontal boxes, ``"quad"`` detects
            with quadrilaterals.
        spatial: Largest number of questions answered with boxes.
        worded: Largest number of questions answered in words.
        tasks: Kinds of question answered in words.
        boxed: Kinds of question answered with boxes; with quadrilaterals detection alone.
    """

    config: SceneConfig
    dialect: Dialect | Codec
    budget: PixelBudget
    kind: Spatial = "quad"
    spatial: int = 2
    worded: int = 1
    tasks: tuple[Worded, ...] = ("class",)
    boxed: tuple[Boxed, ...] = ("detection", "grounding")

    def __call__(self, rng: np.random.Generator) -> Sample:
        """Make the next sample from a generator.

        Raises:
            ValueError: A hundred scenes have nothing to ask about: with pointing alone, no phrase may mean one object.
        """
        scene, asked = self._asked(rng)
        image = image_of(scene.image)
        records = [
            record_of(scene, asked[place], self.config.classes, kind=self.kind, image=image)
            for place in rng.permutation(len(asked))
        ]
        return plain_renderer(self.dialect, self.budget, self.kind).together(records, rng)

    def _asked(self, rng: np.random.Generator) -> tuple[Scene, list[SceneQuestion]]:
        """Draw scenes until one can be asked about, and return it with the questions."""
        wanted = self.boxed if self.kind == "hbb" else ("detection",)
        for _ in range(100):
            scene = make_scene(rng, self.config)
            boxed = scene_questions(scene, self.config.classes, wanted)
            words = scene_questions(scene, self.config.classes, self.tasks)
            asked = _pick_boxed(rng, boxed, self.spatial) + _pick_balanced(rng, words, self.worded)
            if asked:
                return scene, asked
        raise ValueError(
            f"no scene of a hundred has what {', '.join((*wanted, *self.tasks))} ask for; allow more objects"
        )


@dataclass(frozen=True)
class ZoomTurns:
    """Draws a large scene whose question needs a closer look.

    Attributes:
        config: What the scenes hold beside the pad.
        dialect: How the model writes boxes and is asked; a codec stands for the dialect of its name.
        budget: Pixels the model sees of the overview and of the crop.
        layout: Form of the conversation.
        direct: Share of samples asked without the tool, answered from the overview (the answer can only be guessed).
        side: Side of the scenes in pixels.
        jitter: How far the part shown may lie beside the one called for, as a share of its side, so that reading does
            not depend on a perfect call.
        marking: Width of the marking in a scene of 336 pixels.
        worn: Stains on the pad in grey levels.
        twice: Look at the region of a large marking first, and from there at the marking.
    """

    config: SceneConfig
    dialect: Dialect | Codec
    budget: PixelBudget
    layout: Layout = "reference"
    direct: float = 0.25
    side: int = 336
    jitter: float = 0.1
    marking: float = MARKING
    worn: float = 0.0
    twice: bool = False

    def __call__(self, rng: np.random.Generator) -> Sample:
        """Make the next sample from a generator."""
        scene = make_zoom_scene(rng, self.side, self.config, marking=self.marking, worn=self.worn)
        options = RenderOptions(rephrase_rate=0.0, direct_rate=self.direct, crop_jitter=self.jitter, layout=self.layout)
        return RecordRenderer(self.dialect, self.budget, ".", options)(zoom_record(scene, twice=self.twice), rng)


def plain_renderer(
    dialect: Dialect | Codec, budget: PixelBudget, kind: Spatial = "hbb", *, resize_rate: float = 0.0
) -> RecordRenderer:
    """Return what puts records into the plainest words, with boxes of one kind."""
    return RecordRenderer(dialect, budget, ".", RenderOptions({kind: 1.0}, rephrase_rate=0, resize_rate=resize_rate))


def record_of(
    scene: Scene,
    question: SceneQuestion,
    classes: Sequence[str],
    *,
    kind: Spatial = "hbb",
    image: ImageRef | None = None,
) -> Record:
    """Return what is known about a scene that a question is about.

    Args:
        scene: The scene.
        question: One of `scene_questions`.
        classes: Classes that were looked for.
        kind: Boxes of the objects: ``"hbb"`` those of their outlines, closer than those around their quadrilaterals.
        image: The scene's picture where it was written already.
    """
    objects = true_boxes(scene, question.objects, kind)
    named = (question.label,) if question.label else tuple(classes)
    made: dict[str, dict[str, Any]] = {
        "classification": {"classes": (scene.scene_class,)},
        "counting": {"categories": named, "answer": question.answer},
        "detection": {"objects": objects, "categories": named},
        "grounding": {"objects": objects, "expression": question.phrase},
        "vqa": {"question": question.text, "answer": question.answer},
    }
    task = RECORD_TASKS[question.task]
    return Record("scene", "scenes", "train", task, (image or image_of(scene.image),), **made[task])


def detection_record(scene: Scene, classes: tuple[str, ...]) -> Record:
    """Return a record that asks for every object of some classes; those of other classes are background."""
    found = tuple(place for place, thing in enumerate(scene.objects) if thing.label in classes)
    return record_of(scene, SceneQuestion("detection", "", objects=found), classes, kind="quad")


def zoom_record(scene: ZoomScene, *, twice: bool = False) -> Record:
    """Return the question about a large scene, with the region that answers it, and before it one that holds the pad."""
    pad = scene.pad
    sides = [pad.around(MARKING / pad.marking), pad.crop] if twice else [pad.crop]
    regions = tuple(tuple(float(value) for value in region) for region in sides)
    asked: dict[str, Any] = {"question": scene.question, "answer": scene.answer, "regions": regions}
    return Record("scene", "scenes", "train", "zoom", (image_of(scene.image),), **asked)


def true_boxes(scene: Scene, places: Sequence[int], kind: Spatial) -> tuple[Annotation, ...]:
    """Return some objects of a scene as boxes of a kind."""
    things = [scene.objects[place] for place in places]
    if kind == "hbb":
        return tuple(Annotation(tuple(thing.hbb.tolist()), thing.label, "hbb") for thing in things)
    return tuple(Annotation(tuple(thing.quad.ravel().tolist()), thing.label, "quad") for thing in things)


def image_of(image: Image.Image) -> ImageRef:
    """Return a picture as a record holds it: as the bytes of a file."""
    buffer = BytesIO()
    image.save(buffer, "PNG", compress_level=0)  # compressing would cost half of all drawing
    return ImageRef(data=buffer.getvalue(), width=image.width, height=image.height)


def scene_questions(scene: Scene, classes: tuple[str, ...], tasks: tuple[Any, ...]) -> list[SceneQuestion]:
    """Return the questions of some tasks; objects are named by class and colour only."""
    return questions(scene.scene_class, scene.objects, classes=classes, tasks=tasks, extremes=False)


def scene_objects(scene: Scene) -> Objects:
    """Return the true objects of a scene as quadrilaterals."""
    frame = Frame(*scene.image.size)
    if not scene.objects:
        return Objects(Boxes.empty("quad", frame), ())
    quads = np.stack([thing.quad.reshape(8) for thing in scene.objects])
    return Objects(Boxes(quads, "quad", frame), tuple(thing.label for thing in scene.objects))


def seen_frame(image: Image.Image, budget: PixelBudget) -> Frame:
    """Return the pixel grid in which a model with this budget sees an image."""
    return Frame(*image.size).resized(*plan_size(*image.size, budget))


def _pick_boxed(rng: np.random.Generator, asked: list[SceneQuestion], most: int) -> list[SceneQuestion]:
    """Pick questions of which none only repeats objects of an earlier one; of those about nothing, one in four."""
    picked: list[SceneQuestion] = []
    seen: set[int] = set()
    found = any(question.objects for question in asked)
    for place in rng.permutation(len(asked)):
        question = asked[place]
        objects = set(question.objects)
        repeats = bool(objects) and objects <= seen
        if len(picked) < most and not repeats and (objects or not found or rng.random() < 0.25):
            picked.append(question)
            seen |= objects
    return picked


def _pick_balanced(rng: np.random.Generator, asked: list[SceneQuestion], most: int) -> list[SceneQuestion]:
    """Pick questions, each kind first, then each answer of that kind, equally often."""
    picked: list[SceneQuestion] = []
    left = list(asked)
    while left and len(picked) < most:
        tasks = sorted({question.task for question in left})
        task = tasks[int(rng.integers(len(tasks)))]
        answers = sorted({question.answer for question in left if question.task == task})
        answer = answers[int(rng.integers(len(answers)))]
        candidates = [question for question in left if question.task == task and question.answer == answer]
        chosen = candidates[int(rng.integers(len(candidates)))]
        picked.append(chosen)
        left.remove(chosen)
    return picked
