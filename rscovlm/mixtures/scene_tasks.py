"""Generated scenes as records of every task that is answered with sets of points, and of those in words that stand beside them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from PIL import Image

from rscovlm.codec import Codec
from rscovlm.codec.categories import plural, singular
from rscovlm.codec.dialect import Dialect
from rscovlm.geometry import Boxes, Frame, Objects
from rscovlm.mixtures.renderer import RecordRenderer, Sample
from rscovlm.mixtures.scene_records import image_of, record_of, scene_questions, true_boxes
from rscovlm.points.condition_rules import parse_by_rules
from rscovlm.points.condition_solver import ConditionSolver
from rscovlm.processing.resolution import PixelBudget
from rscovlm.records import Annotation, ImageRef, Record
from rscovlm.scenes import Scene, SceneConfig, SceneObject, ScenePair, make_change, make_scene
from rscovlm.tasks.options import RenderOptions

PLACES: Mapping[str, tuple[str, float, float]] = {
    "field": ("Fargo", 46.88, -96.79),
    "forest": ("Manaus", -3.12, -60.02),
    "desert": ("Doha", 25.29, 51.53),
    "water": ("Suva", -18.14, 178.44),
    "urban": ("Osaka", 34.69, 135.5),
    "airfield": ("Denver", 39.74, -104.99),
    "harbour": ("Bergen", 60.39, 5.32),
}
"""Drawn scenes lie nowhere: each land cover stands for one city, with its latitude and longitude."""

SUPERLATIVES = ("largest", "smallest", "leftmost", "rightmost", "topmost", "bottommost")
RELATIONS = ("to the left of", "to the right of", "above", "below", "nearest to")

Write = Callable[[Scene, ImageRef, Sequence[str]], Iterator[Record]]
"""Gives the records of a scene with a picture that ask for some classes, all that there are."""


@dataclass(frozen=True)
class SceneTask:
    """A kind of task and how scenes are put as its records.

    Attributes:
        row: Group and task of the taxonomy (`rscovlm.tasks.taxonomy`) that it serves.
        write: Gives the records of a scene; None for a pair of scenes, whose changes are asked for.
        least: Least number of objects in a scene.
        options: What differs from the plainest wording.
    """

    row: tuple[str, str]
    write: Write | None
    least: int = 1
    options: Mapping[str, Any] | None = None


def _worded(kind: Any) -> Write:
    def write(scene: Scene, image: ImageRef, classes: Sequence[str]) -> Iterator[Record]:
        for asked in scene_questions(scene, tuple(classes), (kind,)):
            yield record_of(scene, asked, classes, image=image)

    return write


def _detection(scene: Scene, image: ImageRef, classes: Sequence[str]) -> Iterator[Record]:
    for asked in scene_questions(scene, tuple(classes), ("detection",)):
        yield record_of(scene, asked, classes, kind="quad", image=image)


def _place(scene: Scene, image: ImageRef, classes: Sequence[str]) -> Iterator[Record]:
    city, latitude, longitude = PLACES[scene.scene_class]
    extra = {"latitude": str(latitude), "longitude": str(longitude)}
    yield Record("scene", "scenes", "train", "geolocation", (image,), answer=city, extra=extra)


def _caption(scene: Scene, image: ImageRef, classes: Sequence[str]) -> Iterator[Record]:
    counts = [(name, scene.count(name)) for name in classes]
    parts = [f"{number} {name if number == 1 else plural(name)}" for name, number in counts if number]
    text = f"{scene.scene_class} with {', '.join(parts) if parts else 'nothing on it'}"
    yield Record("scene", "scenes", "train", "caption", (image,), captions=(text,))


def _described(scene: Scene, image: ImageRef, classes: Sequence[str]) -> Iterator[Record]:
    """Ask for the words of each object that its class and colour alone mean."""
    for asked in scene_questions(scene, tuple(classes), ("grounding",)):
        thing = scene.objects[asked.objects[0]]
        if asked.phrase == f"the {thing.colour} {thing.label}":
            record = record_of(scene, asked, classes, image=image)
            yield replace(record, task="region_caption")


def _segmented(scene: Scene, image: ImageRef, classes: Sequence[str]) -> Iterator[Record]:
    for asked in scene_questions(scene, tuple(classes), ("detection",)):
        if asked.objects:
            named = (asked.label,) if asked.label else tuple(classes)
            yield _areas(scene, image, asked.objects, categories=named)


def _referred(scene: Scene, image: ImageRef, classes: Sequence[str]) -> Iterator[Record]:
    for asked in scene_questions(scene, tuple(classes), ("grounding",)):
        yield _areas(scene, image, asked.objects, expression=asked.phrase)


def _conditions(scene: Scene, image: ImageRef, classes: Sequence[str]) -> Iterator[Record]:
    for words, places in instructions(scene, classes):
        if len(places) == 1:
            objects = true_boxes(scene, places, "hbb")
            yield Record("scene", "scenes", "train", "conditions", (image,), expression=words, objects=objects)


def _conditional(scene: Scene, image: ImageRef, classes: Sequence[str]) -> Iterator[Record]:
    for words, places in instructions(scene, classes):
        yield _areas(scene, image, places, expression=words)


SCENE_TASKS: Mapping[str, SceneTask] = {
    "classification": SceneTask(("open-vocabulary", "zero-shot classification"), _worded("class"), 0),
    "detection": SceneTask(("open-vocabulary", "detection"), _detection, 0),
    "segmentation": SceneTask(("open-vocabulary", "segmentation"), _segmented),
    "segmentation again": SceneTask(("open-vocabulary", "segmentation"), _segmented, 1, {"refine_rate": 1.0}),
    "outlines": SceneTask(("open-vocabulary", "segmentation"), _segmented, 1, {"outline_rate": 1.0, "longest": 150}),
    "counting": SceneTask(("open-vocabulary", "counting"), _worded("count"), 0),
    "geolocation": SceneTask(("open-vocabulary", "geolocation"), _place, 0),
    "caption": SceneTask(("open-vocabulary", "captioning"), _caption, 0),
    "comprehension": SceneTask(("referring", "comprehension"), _worded("grounding")),
    "referring segmentation": SceneTask(("referring", "segmentation"), _referred),
    "generation": SceneTask(("referring", "generation"), _described),
    "presence": SceneTask(("referring", "visual question answering"), _worded("presence"), 0),
    "colour": SceneTask(("referring", "visual question answering"), _worded("colour")),
    "conditions": SceneTask(("described object", "conditional comprehension"), _conditions, 2),
    "conditional segmentation": SceneTask(("described object", "conditional segmentation"), _conditional, 2),
    "change": SceneTask(("described object", "referring change detection"), None, 0, {"longest": 150}),
}
"""The kinds by name. Object reasoning, the task that is left, needs larger scenes: `ZoomTurns` draws them."""


@dataclass(frozen=True)
class SceneTaskTurns:
    """Draws a scene, or a pair of them, and asks for what kinds of task want, in one conversation.

    Attributes:
        kinds: Names of `SCENE_TASKS`, of which each question draws one; they must rely on the same system text.
        config: What the scenes hold.
        dialect: How the model writes and is asked; a codec stands for the dialect of its name.
        budget: Pixels the model sees.
        turns: Largest number of questions about a scene.
        cyclic: As `RenderOptions.cyclic_rate`.
    """

    kinds: tuple[str, ...]
    config: SceneConfig
    dialect: Dialect | Codec
    budget: PixelBudget
    turns: int = 1
    cyclic: float = 0.0

    def __call__(self, rng: np.random.Generator) -> Sample:
        """Make the next sample from a generator."""
        records = self.records(rng)
        # A record by itself may be shown its image with masks on it.
        return self.renderer()(records[0], rng) if len(records) == 1 else self.renderer().together(records, rng)

    def renderer(self) -> RecordRenderer:
        """Return what puts the records into words."""
        given = SCENE_TASKS[self.kinds[0]].options or {}
        options = RenderOptions({"quad" if self.kinds[0] == "detection" else "hbb": 1.0}, rephrase_rate=0.0)
        return RecordRenderer(self.dialect, self.budget, ".", replace(options, cyclic_rate=self.cyclic, **given))

    def records(self, rng: np.random.Generator) -> list[Record]:
        """Draw scenes until one can be asked about, and return what is asked.

        Raises:
            ValueError: A hundred scenes have nothing that the kinds ask for.
        """
        tasks = [SCENE_TASKS[kind] for kind in self.kinds]
        config = replace(self.config, min_objects=max(self.config.min_objects, *(task.least for task in tasks), 0))
        for _ in range(100):
            if tasks[0].write is None:
                return [change_record(make_change(rng, replace(config, max_objects=2), max_changes=1), rng)]
            scene = make_scene(rng, config)
            image = image_of(scene.image)
            asked = []
            for _ in range(int(rng.integers(1, self.turns + 1))):
                write = tasks[int(rng.integers(len(tasks)))].write
                found = [one for one in write(scene, image, config.classes) if one not in asked] if write else []
                asked += [found[int(rng.integers(len(found)))]] if found else []
            if asked:
                return asked
        raise ValueError(f"no scene of a hundred has what {', '.join(self.kinds)} ask for; allow more objects")


def instructions(scene: Scene, classes: Sequence[str]) -> list[tuple[str, tuple[int, ...]]]:
    """Return instructions with a condition about a scene, with the objects that the solver keeps of the true ones.

    Those that keep nothing or everything are left out: what is not chosen needs no condition.

    Args:
        scene: A scene; with fewer than two objects of a class there is nothing to choose.
        classes: Classes to ask for.
    """
    several = [name for name in classes if scene.count(name) > 1]
    asked = [f"the {word} {name}" for name in several for word in SUPERLATIVES]
    asked += [
        f"the {name if word == 'nearest to' else plural(name)} {word} the {other}"
        for name in several
        for word in RELATIONS
        for other in classes
        if scene.count(other) == 1
    ]
    found = []
    for words in asked:
        solver = ConditionSolver(lambda what, many: _named(scene, what), scene.frame)
        kept = solver.solve(parse_by_rules(words)).objects
        places = tuple(place for place, thing in enumerate(scene.objects) if _among(thing, kept))
        if 0 < len(places) < max(scene.count(scene.objects[place].label) for place in places):
            found.append((words, places))
    return found


def change_record(pair: ScenePair, rng: np.random.Generator) -> Record:
    """Return what changed between two scenes, asked for by class or, half of the time, whatever it is."""
    named = rng.random() < 0.5
    gone = [(pair.before.objects[place], 0) for place in pair.removed]
    new = [(pair.after.objects[place], 1) for place in pair.added]
    objects = [replace(_outlined(thing), image=image) for thing, image in gone + new]
    if not named:
        objects = [replace(one, label="") for one in objects]
    categories = tuple(sorted({thing.label for thing, _ in gone + new})) if named else ()
    images = (image_of(pair.before.image), image_of(pair.after.image))
    # Without objects a record would not say that it was looked for changes: an empty mask says so.
    masks = () if objects else (image_of(Image.fromarray(pair.mask())),)
    given: dict[str, Any] = {"objects": tuple(objects), "categories": categories, "masks": masks}
    return Record("pair", "scenes", "train", "change", images, **given)


def _areas(scene: Scene, image: ImageRef, places: Sequence[int], **named: Any) -> Record:
    objects = tuple(_outlined(scene.objects[place]) for place in places)
    return Record("scene", "scenes", "train", "segmentation", (image,), objects=objects, **named)


def _outlined(thing: SceneObject) -> Annotation:
    ring = tuple(thing.polygon.ravel().tolist())
    return Annotation(tuple(thing.hbb.tolist()), thing.label, "hbb", polygons=(ring,))


def _named(scene: Scene, what: str) -> Objects:
    """Return the true objects that a class name means."""
    things = [thing for thing in scene.objects if thing.label == singular(what)]
    frame = Frame(*scene.image.size)
    if not things:
        return Objects.empty("hbb", frame)
    return Objects(Boxes(np.stack([thing.hbb for thing in things]), "hbb", frame), (things[0].label,) * len(things))


def _among(thing: SceneObject, kept: Objects) -> bool:
    return bool(len(kept)) and bool((np.abs(kept.boxes.coords - thing.hbb).max(axis=1) < 1e-9).any())
