"""Generated scenes as training samples: the subsets that the embedded model, the demo and the tests train on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from PIL import Image

from rscovlm.codec import Codec
from rscovlm.data.rendering import Sample, Turn, detection_turn, grounding_turn, render_turns, render_zoom
from rscovlm.data.scenes import Question, Scene, SceneConfig, ZoomScene, make_scene, make_zoom_scene, questions
from rscovlm.geometry import Boxes, Frame, Objects
from rscovlm.geometry.affine import Floats
from rscovlm.geometry.kinds import Kind
from rscovlm.processing.resolution import PixelBudget, plan_size
from rscovlm.zoom.layouts import Layout, answer_turn, overview_turn

Spatial = Literal["hbb", "quad"]


@dataclass(frozen=True)
class SceneTurns:
    """Draws a small scene and asks several questions about it.

    Attributes:
        config: What the scenes hold.
        codec: Writes the boxes.
        budget: Pixels the model sees.
        kind: Box kind of this conversation: ``"hbb"`` grounds and detects with horizontal boxes, ``"quad"`` detects
            with quadrilaterals.
        spatial: Largest number of questions answered with boxes.
        worded: Largest number of questions answered in words.
        tasks: Kinds of question answered in words.
    """

    config: SceneConfig
    codec: Codec
    budget: PixelBudget
    kind: Spatial = "quad"
    spatial: int = 2
    worded: int = 1
    tasks: tuple[Literal["class", "count", "presence", "colour"], ...] = ("class",)

    def __call__(self, rng: np.random.Generator) -> Sample:
        """Make the next sample from a generator."""
        scene = make_scene(rng, self.config)
        boxed = spatial_turns(scene, self.config.classes, self.codec, self.budget, self.kind)
        words = _worded_turns(scene, self.config.classes, self.tasks)
        turns = _pick_boxed(rng, boxed, self.spatial) + _pick_balanced(rng, words, self.worded)
        return render_turns(scene.image, [turns[place] for place in rng.permutation(len(turns))])


@dataclass(frozen=True)
class ZoomTurns:
    """Draws a large scene whose question needs a closer look.

    Attributes:
        config: What the scenes hold beside the pad.
        codec: Writes the region.
        budget: Pixels the model sees of the overview and of the crop.
        layout: Form of the conversation.
        direct: Share of samples asked without the tool, answered from the overview (the answer can only be guessed).
        side: Side of the scenes in pixels.
    """

    config: SceneConfig
    codec: Codec
    budget: PixelBudget
    layout: Layout = "reference"
    direct: float = 0.25
    side: int = 336

    def __call__(self, rng: np.random.Generator) -> Sample:
        """Make the next sample from a generator."""
        scene = make_zoom_scene(rng, self.side, self.config)
        if rng.random() < self.direct:
            return render_direct(scene, self.budget)
        shown = jittered(scene.pad.crop, rng, self.side)
        return zoom_sample(scene, scene.pad.crop, shown, self.codec, self.budget, self.layout)


def spatial_turns(
    scene: Scene, classes: tuple[str, ...], codec: Codec, budget: PixelBudget, kind: Kind
) -> list[tuple[Turn, frozenset[int]]]:
    """Return every question about a scene that is answered with boxes of one kind, with the objects it is about."""
    frame = seen_frame(scene.image, budget)
    objects = scene_objects(scene, kind)
    turns = []
    for question in scene_questions(scene, classes, ("detection", "grounding")):
        if question.task == "detection":
            asked = (question.label,) if question.label else classes
            turns.append((detection_turn(objects, asked, frame, codec, kind=kind), frozenset(question.objects)))
        elif kind == "hbb":
            box = objects.boxes[list(question.objects)]
            turns.append((grounding_turn(question.phrase, box, frame, codec, kind=kind), frozenset(question.objects)))
    return turns


def scene_questions(scene: Scene, classes: tuple[str, ...], tasks: tuple[Any, ...]) -> list[Question]:
    """Return the questions of some tasks; objects are named by class and colour only."""
    return questions(scene.scene_class, scene.objects, classes=classes, tasks=tasks, extremes=False)


def scene_objects(scene: Scene, kind: Kind = "quad") -> Objects:
    """Return the true objects of a scene; horizontal boxes are those of the outlines, closer than those of the quads."""
    frame = Frame(*scene.image.size)
    labels = tuple(thing.label for thing in scene.objects)
    if not labels:
        return Objects(Boxes.empty(kind, frame), ())
    if kind == "hbb":
        return Objects(Boxes(np.stack([thing.hbb for thing in scene.objects]), "hbb", frame), labels)
    quads = Boxes(np.stack([thing.quad.reshape(8) for thing in scene.objects]), "quad", frame)
    return Objects(quads.as_kind(kind), labels)


def seen_frame(image: Image.Image, budget: PixelBudget) -> Frame:
    """Return the pixel grid in which a model with this budget sees an image."""
    return Frame(*image.size).resized(*plan_size(*image.size, budget))


def zoom_sample(
    scene: ZoomScene, region: Floats, shown: Floats, codec: Codec, budget: PixelBudget, layout: Layout
) -> Sample:
    """Render the zoom conversation about a scene.

    Args:
        scene: The scene.
        region: (4,) x1 y1 x2 y2 of the region to call for, in pixels of the scene.
        shown: (4,) the region whose pixels are shown, which may lie a little beside it.
        codec: Writes the region.
        budget: Pixels the model sees.
        layout: Form of the conversation.
    """
    frame = seen_frame(scene.image, budget)
    box = Boxes(region[None], "hbb", Frame(*scene.image.size))
    x1, y1, x2, y2 = (round(float(value)) for value in shown)
    crop = scene.image.crop((x1, y1, max(x2, x1 + 1), max(y2, y1 + 1)))
    overview = scene.image.resize((frame.width, frame.height), Image.Resampling.BOX)
    return render_zoom(overview, crop, box, scene.question, scene.answer, frame, codec, layout)


def render_direct(scene: ZoomScene, budget: PixelBudget) -> Sample:
    """Ask about a large scene without the tool: the same turn that a chain without zoom sends."""
    frame = seen_frame(scene.image, budget)
    overview = scene.image.resize((frame.width, frame.height), Image.Resampling.BOX)
    messages = [overview_turn(None, scene.question, "reference", zoom=False), answer_turn(scene.answer)]
    return {"messages": messages, "images": [overview], "tools": None, "task": "zoom_direct"}


def jittered(region: Floats, rng: np.random.Generator, side: int) -> Floats:
    """Move a region by up to 2 % of the scene, so that reading does not depend on a perfect crop."""
    moved = region + np.tile(rng.uniform(-0.02, 0.02, 2) * side, 2)
    clipped: Floats = np.clip(moved, 0, side)
    return clipped


def _worded_turns(scene: Scene, classes: tuple[str, ...], tasks: tuple[Any, ...]) -> list[Turn]:
    asked = scene_questions(scene, classes, tasks)
    return [Turn(question.text, question.answer, question.task) for question in asked]


def _pick_boxed(rng: np.random.Generator, turns: list[tuple[Turn, frozenset[int]]], most: int) -> list[Turn]:
    """Pick turns of which none only repeats boxes of an earlier one; of those answered with "none", one in four."""
    picked: list[Turn] = []
    asked: set[int] = set()
    found = any(objects for _, objects in turns)
    for place in rng.permutation(len(turns)):
        turn, objects = turns[place]
        repeats = bool(objects) and objects <= asked
        if len(picked) < most and not repeats and (objects or not found or rng.random() < 0.25):
            picked.append(turn)
            asked |= objects
    return picked


def _pick_balanced(rng: np.random.Generator, turns: list[Turn], most: int) -> list[Turn]:
    """Pick turns, each kind of question first, then each answer of that kind, equally often."""
    picked: list[Turn] = []
    left = list(turns)
    while left and len(picked) < most:
        tasks = sorted({turn.task for turn in left})
        task = tasks[int(rng.integers(len(tasks)))]
        answers = sorted({turn.answer for turn in left if turn.task == task})
        answer = answers[int(rng.integers(len(answers)))]
        candidates = [turn for turn in left if turn.task == task and turn.answer == answer]
        chosen = candidates[int(rng.integers(len(candidates)))]
        picked.append(chosen)
        left.remove(chosen)
    return picked
