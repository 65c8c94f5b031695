"""Values from a file held against the fields of a dataclass, with messages that name what is wrong and where."""

from __future__ import annotations

import math
from collections import abc
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import MISSING, fields, is_dataclass
from enum import Enum
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from rscovlm.settings.nearest import nearest


def checked_number(value: Any, what: str, *, whole: bool = False) -> Any:
    """Return a number as it is.

    Raises:
        ValueError: It is a text, a switch, or nothing; or not whole where it should be.
    """
    if isinstance(value, bool) or not isinstance(value, int if whole else (int, float)):
        raise ValueError(f"{what} is {value!r}; give a {'whole ' if whole else ''}number")
    return value


def known_fields(content: Any, kind: Any, where: str) -> dict[str, Any]:
    """Return a mapping's values if all its keys are fields of a dataclass, and plain ones are of the field's type.

    A whole number stands for a fraction, and a text such as ``2e-6``, which YAML takes for no number, for the number.

    Raises:
        ValueError: A key is unknown (the nearest right one is named), or a value is of another type.

    >>> from dataclasses import dataclass
    >>> @dataclass
    ... class Part:
    ...     name: str
    ...     weight: float = 1.0
    >>> known_fields({"name": "sea", "weight": "1e-2"}, Part, "part 0")
    {'name': 'sea', 'weight': 0.01}
    """
    if not isinstance(content, Mapping):
        what = "empty" if content is None else _shown(content)
        raise ValueError(f"{where} is {what}; give keys and values")
    types = get_type_hints(kind)
    for key in content:
        if key not in types:
            raise ValueError(f"{where} has the unknown key {key!r}{nearest(str(key), types)}")
    for field_ in fields(kind):
        if field_.default is MISSING and field_.default_factory is MISSING and content.get(field_.name) is None:
            raise ValueError(f"{where} has no {field_.name}; give it one")
    # A list or mapping with nothing in it is None in YAML.
    given = {key: value for key, value in content.items() if value is not None or not _many(types[key])}
    return {key: checked_value(value, types[key], f"{key} of {where}") for key, value in given.items()}


def _many(hint: Any) -> bool:
    return get_origin(hint) in (tuple, abc.Sequence, abc.Mapping)


_WORDS = {str: "a text", int: "a whole number", float: "a number", bool: "true or false"}


def _shown(value: Any) -> str:
    """Return a value for a message, long ones from their beginning."""
    text = repr(value)
    return text if len(text) <= 200 else f"{text[:200]}..."


def checked_value(value: Any, hint: Any, where: str) -> Any:
    """Return a value of a plain type, or of several of them; what is built from keys and values is left to its builder.

    Args:
        value: As YAML gives it.
        hint: The type that it should be of; values of types that YAML has not are returned as they are.
        where: How a message begins.

    Raises:
        ValueError: It is of another type, or a number that is not finite.

    >>> checked_value("2e-6", float | None, "rate"), checked_value([1.0], list[int], "sizes")
    (2e-06, [1])
    """
    origin, inner = get_origin(hint), get_args(hint)
    if isinstance(hint, type) and issubclass(hint, Enum):
        hint = str
    if origin is Literal:
        if value not in inner:
            near = nearest(value, inner) if isinstance(value, str) else f"; known are {', '.join(map(str, inner))}"
            raise ValueError(f"{where} is {_shown(value)}{near}")
        return value
    if origin in (UnionType, Union):
        if value is None and NoneType in inner:
            return None
        faults = []
        for one in sorted((one for one in inner if one is not NoneType), key=lambda one: one is str):
            try:
                return checked_value(value, one, where)
            except ValueError as fault:
                faults.append(fault)
        raise faults[0]
    if origin in (tuple, list, abc.Sequence):
        if isinstance(value, str) or not isinstance(value, Sequence):
            raise ValueError(f"{where} is {_shown(value)}; give a list")
        return value if is_dataclass(inner[0]) else [checked_value(item, inner[0], where) for item in value]
    if hint is dict or origin in (dict, abc.Mapping):
        if not isinstance(value, Mapping):
            raise ValueError(f"{where} is {_shown(value)}; give keys and values")
        return (
            dict(value)
            if not inner
            else {
                checked_value(key, inner[0], where): checked_value(item, inner[1], f"{key} in {where}")
                for key, item in value.items()
            }
        )
    if hint is float and isinstance(value, (str, int)) and not isinstance(value, bool):
        with suppress(ValueError, OverflowError):
            value = float(value)
    if isinstance(value, float) and hint in (int, float) and not math.isfinite(value):
        raise ValueError(f"{where} is {value}; give a finite number")
    if hint is int and isinstance(value, float) and value.is_integer():
        return int(value)
    if hint in _WORDS and (not isinstance(value, hint) or (hint is int and isinstance(value, bool))):
        raise ValueError(f"{where} is {_shown(value)}; give {_WORDS[hint]}")
    return value
