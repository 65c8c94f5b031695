"""What a model is asked with: the form of answers with boxes is the codec's, the text the same wherever it is used."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from importlib.resources import files
from typing import Any

import yaml

from rscovlm.codec.categories import spoken
from rscovlm.codec.writing import Style
from rscovlm.geometry.kinds import Kind


def detection_prompt(classes: Iterable[str], kind: Kind = "quad", style: Style = "plain") -> tuple[str, str]:
    """Return the system and the user text that ask for every object of ``classes``.

    Args:
        classes: Class names; shown once each, in sorted order, as the codec writes them.
        kind: Box kind of the answer.
        style: ``"plain"`` lines or ``"json"``.

    Raises:
        ValueError: There is no class, or no such kind or style.
        TypeError: One string instead of a list.

    >>> detection_prompt(["ship", "plane"])[1]
    'find the plane, ship'
    """
    if isinstance(classes, str):
        raise TypeError(f"classes is the string {classes!r}; give a list of class names")
    names = sorted({name.strip() for name in classes} - {""})
    if not names:
        raise ValueError("no class to find; give at least one class name")
    return system_prompt(kind, style), _texts()["ask"].format(what=", ".join(names))


def grounding_prompt(expression: str, kind: Kind = "hbb", style: Style = "plain") -> tuple[str, str]:
    """Return the system and the user text that ask for the one object an expression describes.

    >>> grounding_prompt("the red-roofed hangar")[1]
    'find the red-roofed hangar'
    """
    return system_prompt(kind, style), _texts()["ask"].format(what=referent(expression))


def referent(expression: str) -> str:
    """Return an expression without its article, as prompts name it and answers label it.

    Raises:
        ValueError: Nothing is left.

    >>> referent("The red-roofed hangar")
    'red-roofed hangar'
    """
    what = expression.strip().removeprefix("the ").removeprefix("The ")
    if not what:
        raise ValueError("the referring expression is empty; say what to find")
    return what


def classification_prompt(classes: Iterable[str] | None = None) -> str:
    """Return the question for the kind of scene, with the classes to choose from where there are some.

    Raises:
        ValueError: The list of classes is empty.

    >>> classification_prompt(["harbor", "airport"])
    'Which of these is it: harbor, airport?'
    """
    if classes is None:
        return template("classification")
    names = list(dict.fromkeys(spoken(name) for name in classes))
    if not any(names):
        raise ValueError("no class to choose from; give class names, or None for an open question")
    return template("classification_choices").format(names=", ".join(names))


def caption_prompt() -> str:
    """Return the text that asks for a description."""
    return template("caption")


def counting_prompt(name: str) -> str:
    """Return the question for how many objects of a class there are.

    >>> counting_prompt("storage-tank")
    'How many storage tanks are there?'
    """
    return template("count").format(names=plural(spoken(name)))


def plural(name: str) -> str:
    """Return the English plural of a class name, by its last word.

    >>> plural("small vehicle"), plural("bus"), plural("ferry"), plural("aircraft")
    ('small vehicles', 'buses', 'ferries', 'aircraft')
    """
    if name.endswith("craft"):
        return name
    if name.endswith("y") and name[-2:-1] not in set("aeiou"):
        return name[:-1] + "ies"
    return name + ("es" if name.endswith(("s", "x", "z", "ch", "sh")) else "s")


def system_prompt(kind: Kind, style: Style) -> str:
    """Return the system text that states the form of an answer, for one box kind and style.

    Raises:
        ValueError: There is no such kind or style.
    """
    texts = _texts()
    if kind not in texts["how"] or style not in texts["forms"]:
        raise ValueError(f"no prompt for kind {kind!r} and style {style!r}; choose hbb, obb or quad, and plain or json")
    return str(texts[style].replace("{form}", texts["forms"][style][kind]).replace("{how}", texts["how"][kind]))


def template(name: str) -> str:
    """Return the plainest wording of a task answered in words, its fields not filled in yet.

    Raises:
        ValueError: There is none of this name.
    """
    text = _texts().get(name)
    if not isinstance(text, str):
        raise ValueError(f"no wording {name!r}; there are classification, classification_choices, caption and count")
    return text


@cache
def _texts() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((files("rscovlm.codec") / "prompts.yaml").read_text(encoding="utf-8"))
    return loaded
