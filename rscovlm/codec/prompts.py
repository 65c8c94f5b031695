"""What a model is asked for boxes with: the form of the answer is the codec's, the text the same wherever it is used."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from importlib.resources import files
from typing import Any, Literal

import yaml

Kind = Literal["hbb", "obb", "quad"]
Style = Literal["plain", "json"]


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
    what = expression.strip().removeprefix("the ").removeprefix("The ")
    if not what:
        raise ValueError("the referring expression is empty; say what to find")
    return system_prompt(kind, style), _texts()["ask"].format(what=what)


def system_prompt(kind: Kind, style: Style) -> str:
    """Return the system text that states the form of an answer, for one box kind and style."""
    texts = _texts()
    if kind not in texts["how"] or style not in texts["forms"]:
        raise ValueError(f"no prompt for kind {kind!r} and style {style!r}; choose hbb, obb or quad, and plain or json")
    return str(texts[style].replace("{form}", texts["forms"][style][kind]).replace("{how}", texts["how"][kind]))


@cache
def _texts() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((files("rscovlm.codec") / "prompts.yaml").read_text(encoding="utf-8"))
    return loaded
