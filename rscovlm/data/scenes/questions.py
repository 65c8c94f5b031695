"""Questions about a generated scene, each with its true answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from rscovlm.data.scenes.objects import SceneObject

Task = Literal["class", "count", "presence", "colour", "grounding", "detection"]
TASKS: tuple[Task, ...] = ("class", "count", "presence", "colour", "grounding", "detection")


@dataclass(frozen=True)
class Question:
    """A question and its answer, before any prompt or codec has touched it.

    Attributes:
        task: Which kind of question.
        text: A plain wording of it.
        answer: The answer in words; empty for grounding and detection, which answer with boxes.
        label: The class it is about, if it is about one.
        phrase: The referring expression (grounding), such as ``"the red plane"``.
        objects: Positions in the scene's ``objects`` of those it is about; for detection, all that must be found.
    """

    task: Task
    text: str
    answer: str = ""
    label: str = ""
    phrase: str = ""
    objects: tuple[int, ...] = ()


def plural(label: str) -> str:
    """Plural of a class name."""
    return label + "s"


def references(objects: Sequence[SceneObject]) -> list[str | None]:
    """Return the shortest phrase that means each object and no other, or None where there is none.

    A phrase is a class ("the plane"), a colour and a class ("the red plane"), or either with an extreme place or
    size ("the leftmost red plane", "the largest tank"), where the runner-up is clearly behind: by 6 pixels, or by
    15 % of the length.

    Examples:
        >>> from rscovlm.data.scenes import make_scene
        >>> scene = make_scene(0)
        >>> len(references(scene.objects)) == len(scene.objects)
        True
    """
    return [_reference(objects, i) for i in range(len(objects))]


def _reference(objects: Sequence[SceneObject], index: int) -> str | None:
    me = objects[index]
    same = [o for i, o in enumerate(objects) if i != index and o.label == me.label]
    if not same:
        return f"the {me.label}"
    twins = [o for o in same if o.colour == me.colour]
    if not twins:
        return f"the {me.colour} {me.label}"
    for rivals, name in ((twins, f"{me.colour} {me.label}"), (same, me.label)):
        (x, y), others = me.centre, [o.centre for o in rivals]
        if all(x <= o[0] - 6 for o in others):
            return f"the leftmost {name}"
        if all(x >= o[0] + 6 for o in others):
            return f"the rightmost {name}"
        if all(y <= o[1] - 6 for o in others):
            return f"the topmost {name}"
        if all(y >= o[1] + 6 for o in others):
            return f"the bottommost {name}"
        if all(me.length >= 1.15 * o.length for o in rivals):
            return f"the largest {name}"
        if all(me.length <= o.length / 1.15 for o in rivals):
            return f"the smallest {name}"
    return None


def questions(
    scene_class: str,
    objects: Sequence[SceneObject],
    *,
    classes: Sequence[str],
    tasks: Sequence[Task] = TASKS,
    extremes: bool = True,
) -> list[Question]:
    """Return every question of these tasks that has one true answer.

    Args:
        scene_class: The land cover.
        objects: The objects of the scene.
        classes: Classes to ask about, present or not.
        tasks: Which kinds of question.
        extremes: Allow phrases such as "the leftmost plane" in grounding; False keeps class and colour only.

    Raises:
        ValueError: If a task is unknown.
    """
    unknown = [t for t in tasks if t not in TASKS]
    if unknown:
        raise ValueError(f"unknown tasks {unknown}; choose from {', '.join(TASKS)}")
    out: list[Question] = []
    for task in tasks:
        if task == "class":
            out.append(Question("class", "What kind of scene is this?", scene_class))
        elif task == "grounding":
            out.extend(_grounding(objects, classes, extremes))
        elif task == "detection":
            out.extend(_detection(objects, classes))
        else:
            for label in classes:
                out.extend(_about(task, objects, label))
    return out


def _about(task: Task, objects: Sequence[SceneObject], label: str) -> list[Question]:
    found = tuple(i for i, o in enumerate(objects) if o.label == label)
    if task == "count":
        return [Question(task, f"How many {plural(label)} are there?", str(len(found)), label, "", found)]
    if task == "presence":
        return [Question(task, f"Is there a {label}?", "yes" if found else "no", label, "", found)]
    if len(found) == 1:
        colour = objects[found[0]].colour
        return [Question("colour", f"What colour is the {label}?", colour, label, f"the {label}", found)]
    return []


def _grounding(objects: Sequence[SceneObject], classes: Sequence[str], extremes: bool) -> list[Question]:
    out = []
    for i, phrase in enumerate(references(objects)):
        plain = phrase is not None and not any(w in phrase for w in ("most ", "largest ", "smallest "))
        if phrase is not None and objects[i].label in classes and (plain or extremes):
            out.append(Question("grounding", f"Where is {phrase}?", "", objects[i].label, phrase, (i,)))
            named = f"the {objects[i].colour} {objects[i].label}"
            if plain and phrase != named:
                out.append(Question("grounding", f"Where is {named}?", "", objects[i].label, named, (i,)))
    return out


def _detection(objects: Sequence[SceneObject], classes: Sequence[str]) -> list[Question]:
    out = []
    for label in classes:
        found = tuple(i for i, o in enumerate(objects) if o.label == label)
        out.append(Question("detection", f"Find every {label}.", "", label, "", found))
    found = tuple(i for i, o in enumerate(objects) if o.label in classes)
    if len(classes) > 1:
        wanted = ", ".join(plural(c) for c in classes)
        out.append(Question("detection", f"Find the {wanted}.", "", "", "", found))
    return out
