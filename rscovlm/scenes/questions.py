"""Questions about a generated scene, each with its true answer."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from rscovlm.codec.categories import plural
from rscovlm.scenes.objects import SceneObject

Task = Literal["class", "count", "presence", "colour", "grounding", "detection", "marking"]
TASKS: tuple[Task, ...] = ("class", "count", "presence", "colour", "grounding", "detection")
"""Kinds of question a small scene has; large scenes also ask for the marking on a pad."""


@dataclass(frozen=True)
class SceneQuestion:
    """A question and its answer, before any prompt or codec has touched it.

    Attributes:
        task: Which kind of question.
        text: A plain wording of it.
        answer: The answer in words; empty for grounding and detection, which answer with boxes.
        label: The class it is about, if it is about one.
        phrase: The referring expression (grounding), such as ``"the red plane"``.
        objects: Positions in the scene's ``objects`` of those it is about; for detection, all that must be found.
        region: x1 y1 x2 y2 in pixels of the scene that must be seen closely to answer; empty if the whole is needed.
    """

    task: Task
    text: str
    answer: str = ""
    label: str = ""
    phrase: str = ""
    objects: tuple[int, ...] = ()
    region: tuple[float, ...] = ()


def references(objects: Sequence[SceneObject]) -> list[str | None]:
    """Return the shortest phrase that means each object and no other, or None if there is none.

    A phrase is a class ("the plane"), a colour and a class ("the red plane"), or either with an extreme place or
    size ("the leftmost red plane", "the largest tank"), where the runner-up is clearly behind: by 6 pixels, or by
    15 % of the length.

    Examples:
        >>> from rscovlm.scenes import make_scene
        >>> scene = make_scene(0)
        >>> len(references(scene.objects)) == len(scene.objects)
        True
    """
    labels, twins = _groups(objects, False), _groups(objects, True)
    names: list[str | None] = [None] * len(objects)
    for (label, _), group in labels.items():
        for i, word in superlatives(objects, group).items():
            names[i] = f"the {word} {label}"
    for (label, colour), group in twins.items():
        for i, word in superlatives(objects, group).items():
            names[i] = f"the {word} {colour} {label}"
        if len(group) == 1:
            names[group[0]] = f"the {colour} {label}"
    for (label, _), group in labels.items():
        if len(group) == 1:
            names[group[0]] = f"the {label}"
    return names


def _groups(objects: Sequence[SceneObject], by_colour: bool) -> dict[tuple[str, str], list[int]]:
    """Positions of the objects of each class, or of each class and colour."""
    groups: dict[tuple[str, str], list[int]] = {}
    for i, thing in enumerate(objects):
        groups.setdefault((thing.label, thing.colour if by_colour else ""), []).append(i)
    return groups


def superlatives(objects: Sequence[SceneObject], group: Sequence[int]) -> dict[int, str]:
    """Say which of a group is the leftmost, rightmost, topmost, bottommost, largest or smallest, where it is clear.

    Args:
        objects: All objects.
        group: Positions of those compared.

    Returns:
        A word for each object that has one, by its position; the first that fits, in the order above.
    """
    if len(group) < 2:
        return {}
    members = np.array(group)
    x, y = np.array([objects[i].centre for i in group]).T
    size = np.log([objects[i].length for i in group])
    words: dict[int, str] = {}
    for word, key, lead in (
        ("leftmost", x, 6.0),
        ("rightmost", -x, 6.0),
        ("topmost", y, 6.0),
        ("bottommost", -y, 6.0),
        ("largest", -size, np.log(1.15)),
        ("smallest", size, np.log(1.15)),
    ):
        first, second = np.argpartition(key, 1)[:2]
        if key[second] - key[first] >= lead:
            words.setdefault(int(members[first]), word)
    return words


def questions(
    scene_class: str,
    objects: Sequence[SceneObject],
    *,
    classes: Sequence[str],
    tasks: Sequence[Task] = TASKS,
    extremes: bool = True,
) -> list[SceneQuestion]:
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
    asked: Mapping[Task, Callable[[], Iterable[SceneQuestion]]] = {
        "class": lambda: [SceneQuestion("class", "What kind of scene is this?", scene_class)],
        "count": lambda: (_count(objects, label) for label in classes),
        "presence": lambda: (_presence(objects, label) for label in classes),
        "colour": lambda: (one for label in classes for one in _colour(objects, label)),
        "grounding": lambda: _grounding(objects, classes, extremes),
        "detection": lambda: _detection(objects, classes),
    }
    return [one for task in tasks for one in asked[task]()]


def _of_class(objects: Sequence[SceneObject], label: str) -> tuple[int, ...]:
    return tuple(i for i, o in enumerate(objects) if o.label == label)


def _count(objects: Sequence[SceneObject], label: str) -> SceneQuestion:
    found = _of_class(objects, label)
    return SceneQuestion("count", f"How many {plural(label)} are there?", str(len(found)), label, "", found)


def _presence(objects: Sequence[SceneObject], label: str) -> SceneQuestion:
    found = _of_class(objects, label)
    return SceneQuestion("presence", f"Is there a {label}?", "yes" if found else "no", label, "", found)


def _colour(objects: Sequence[SceneObject], label: str) -> list[SceneQuestion]:
    """Ask for the colour of the one object of a class; of several there is no one answer."""
    found = _of_class(objects, label)
    if len(found) != 1:
        return []
    colour = objects[found[0]].colour
    return [SceneQuestion("colour", f"What colour is the {label}?", colour, label, f"the {label}", found)]


def _grounding(objects: Sequence[SceneObject], classes: Sequence[str], extremes: bool) -> list[SceneQuestion]:
    out = []
    for i, phrase in enumerate(references(objects)):
        plain = phrase is not None and not any(w in phrase for w in ("most ", "largest ", "smallest "))
        if phrase is not None and objects[i].label in classes and (plain or extremes):
            out.append(SceneQuestion("grounding", f"Where is {phrase}?", "", objects[i].label, phrase, (i,)))
            named = f"the {objects[i].colour} {objects[i].label}"
            if plain and phrase != named:
                out.append(SceneQuestion("grounding", f"Where is {named}?", "", objects[i].label, named, (i,)))
    return out


def _detection(objects: Sequence[SceneObject], classes: Sequence[str]) -> list[SceneQuestion]:
    out = []
    for label in classes:
        found = _of_class(objects, label)
        out.append(SceneQuestion("detection", f"Find every {label}.", "", label, "", found))
    found = tuple(i for i, o in enumerate(objects) if o.label in classes)
    if len(classes) > 1:
        wanted = ", ".join(plural(c) for c in classes)
        out.append(SceneQuestion("detection", f"Find the {wanted}.", "", "", "", found))
    return out
