"""A few conversations about scenes the model never saw, each answer compared with the truth."""

from __future__ import annotations

import numpy as np

from rscovlm.codec.dialect import Dialect
from rscovlm.demo.report import ReportedConversation
from rscovlm.demo.scores import fresh
from rscovlm.demo.tuning import known_scenes, new_scenes
from rscovlm.engines import Engine
from rscovlm.engines.engine import dialect_of
from rscovlm.exports.matches import draw_matches, match_objects
from rscovlm.geometry import Boxes, Objects
from rscovlm.mixtures.scene_records import scene_objects, scene_questions, seen_frame
from rscovlm.rasters import open_image
from rscovlm.scenes import Scene, make_scene
from rscovlm.tasks.classify import question as classification_question
from rscovlm.tasks.detect import question as detection_question
from rscovlm.tasks.ground import question as grounding_question

COUNT = 6
SIDE = 336
"""Side of the pictures in the report in pixels."""


def hold(engine: Engine, seed: int, count: int = COUNT) -> list[ReportedConversation]:
    """Hold conversations in turn about all objects, one object, and the kind of scene; known and new classes alternate.

    Args:
        engine: Who answers.
        seed: Of the scenes.
        count: Conversations.
    """
    rng = np.random.default_rng([seed, 23])
    talks = []
    for place in range(count):
        config = fresh(known_scenes() if place % 2 == 0 else new_scenes())
        scene = make_scene(rng, config)
        if place % 3 == 0:
            talks.append(_find_all(engine, scene, config.classes))
        elif place % 3 == 1 and scene_questions(scene, config.classes, ("grounding",)):
            talks.append(_find_one(engine, scene, config.classes))
        else:
            talks.append(_name(engine, scene))
    return talks


def _find_all(engine: Engine, scene: Scene, classes: tuple[str, ...]) -> ReportedConversation:
    asked = detection_question(_dialect(engine), classes, kind="quad")
    reply = engine.generate([asked.conversation([scene.image])], max_new_tokens=120)[0].text.strip()
    return _boxed(engine, scene, (asked.user, reply), scene_objects(scene), classes)


def _find_one(engine: Engine, scene: Scene, classes: tuple[str, ...]) -> ReportedConversation:
    question = scene_questions(scene, classes, ("grounding",))[0]
    asked = grounding_question(_dialect(engine), question.phrase, kind="hbb")
    reply = engine.generate([asked.conversation([scene.image])], max_new_tokens=120)[0].text.strip()
    box = scene.objects[question.objects[0]].hbb
    true = Objects(Boxes(box[None], "hbb", scene.frame), (question.phrase,))
    return _boxed(engine, scene, (asked.user, reply), true, None)


def _boxed(
    engine: Engine, scene: Scene, turns: tuple[str, str], true: Objects, classes: tuple[str, ...] | None
) -> ReportedConversation:
    """Judge and draw an answer in boxes; without classes, the one object that was pointed at."""
    frame, kind = seen_frame(scene.image, engine.budget), true.boxes.kind
    found = engine.codec.decode(turns[1], frame, kind=kind, categories=classes).objects.to(scene.frame)
    if classes is None:
        found = Objects(found.boxes[:1], true.labels * min(1, len(found)))
    held = match_objects(found, true)
    picture = draw_matches(open_image(scene.image).overview(size=(SIDE, SIDE)), held, width=3)
    count = f"{len(held.matched)} matched, {len(held.missed)} missed, {len(held.false)} false"
    right = not held.missed and not held.false
    return ReportedConversation(picture, *turns, right, _written(true), count)


def _name(engine: Engine, scene: Scene) -> ReportedConversation:
    asked = classification_question(_dialect(engine))
    reply = engine.generate([asked.conversation([scene.image])], max_new_tokens=16)[0].text.strip()
    picture = open_image(scene.image).overview(size=(SIDE, SIDE)).image
    return ReportedConversation(picture, asked.user, reply, reply == scene.scene_class, scene.scene_class)


def _dialect(engine: Engine) -> Dialect:
    return dialect_of(engine)


def _written(true: Objects) -> str:
    """Write true boxes in pixels of the scene, which are those that the model answers in."""
    rows = true.boxes.coords.round().astype(int).tolist()
    lines = [f"{','.join(map(str, row))} {label}" for row, label in zip(rows, true.labels, strict=True)]
    return "\n".join(lines) or "There are none."
