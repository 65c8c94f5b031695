"""The reference of recipes, written from the dataclasses that read them."""

from __future__ import annotations

import inspect
import re
import types
from collections.abc import Iterator
from dataclasses import MISSING, Field, fields, is_dataclass
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

_NAMES = {str: "text", int: "whole number", float: "number", bool: "true or false", types.NoneType: "nothing"}


def reached(kind: Any) -> list[Any]:
    """Return a dataclass and every one that its fields hold, each once, in the order in which a reader meets them."""
    found: list[Any] = []
    waiting = [kind]
    while waiting:
        one = waiting.pop(0)
        if one in found:
            continue
        found.append(one)
        waiting += [inner for hint in get_type_hints(one).values() for inner in _classes(hint)]
    return found


def _classes(hint: Any) -> Iterator[Any]:
    if inspect.isclass(hint) and is_dataclass(hint):
        yield hint
    for inner in get_args(hint):
        yield from _classes(inner)


def reference(kind: Any, title: str) -> str:
    """Write the reference of a recipe: a table for each part of it, the recipe itself first."""
    parts = []
    for one in reached(kind):
        name = title if one is kind else f"`{one.__name__}`"
        rows = [_row(one, field, hint) for field, hint in zip(fields(one), _hints(one), strict=True)]
        head = "| key | takes | default | what it is |\n|---|---|---|---|"
        parts.append(f"## {name}\n\n{_first(one)}\n\n{head}\n" + "\n".join(rows))
    return "\n\n".join(parts)


def _hints(kind: Any) -> list[Any]:
    hints = get_type_hints(kind)
    return [hints[field.name] for field in fields(kind)]


def _row(kind: Any, field: Field[Any], hint: Any) -> str:
    meaning = described(kind)[field.name]
    cells = [f"`{field.name}`", _type(hint), _default(field), meaning]
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def described(kind: Any) -> dict[str, str]:
    """Return what the docstring of a dataclass says of each field.

    Raises:
        ValueError: It says nothing of one.
    """
    text = inspect.getdoc(kind) or ""
    section = re.search(r"^(?:Attributes|Args):\n((?:    .*\n|\n)*)", text + "\n", re.MULTILINE)
    entries = re.findall(r"^    (\w+): (.*(?:\n {8,}.*)*)", section[1] if section else "", re.MULTILINE)
    found = {name: " ".join(words.split()).replace("``", "`") for name, words in entries}
    missing = [field.name for field in fields(kind) if field.name not in found]
    if missing:
        raise ValueError(f"the docstring of {kind.__name__} says nothing of {missing}; describe each field there")
    return found


def _first(kind: Any) -> str:
    return (inspect.getdoc(kind) or "").split("\n\n")[0].replace("\n", " ").replace("``", "`")


def _type(hint: Any) -> str:
    origin, inner = get_origin(hint), get_args(hint)
    if origin is Literal:
        return " or ".join(f"`{value}`" for value in inner)
    if origin in (Union, types.UnionType):
        return " or ".join(dict.fromkeys(_type(one) for one in inner))
    if inspect.isclass(hint) and is_dataclass(hint):
        return f"keys of [`{hint.__name__}`](#{hint.__name__.lower()})"
    if hint in _NAMES:
        return _NAMES[hint]
    if origin in (dict,) or getattr(origin, "__name__", "") == "Mapping":
        return f"{_type(inner[0])} to {_type(inner[1])}"
    if origin is tuple or getattr(origin, "__name__", "") == "Sequence":
        return f"list of {_type(inner[0])}"
    return "anything" if hint is Any else getattr(hint, "__name__", str(hint))


def _default(field: Field[Any]) -> str:
    if field.default is MISSING and field.default_factory is MISSING:
        return "must be given"
    value = field.default_factory() if field.default_factory is not MISSING else field.default
    if value is None or value in ("", (), {}):
        return "none"
    if is_dataclass(value):
        return "its defaults"
    return f"`{value}`".replace("True", "true").replace("False", "false")
