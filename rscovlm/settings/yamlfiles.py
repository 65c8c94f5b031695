"""Settings in YAML: recipes, figures, rules."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from yaml.constructor import ConstructorError

_MOST = 100_000
"""Values of a file, those that aliases repeat counted each time: a few lines of aliases can stand for billions."""


def read_yaml(path: str | Path) -> Any:
    """Read one YAML document.

    Raises:
        ValueError: The file is not YAML, has a value that cannot be read (`2024-02-31`), says a key twice, or holds itself or too much by aliases; the message names it, with
            line and column.
    """
    name = Path(path).name
    try:
        loader = _Loader(Path(path).read_text(encoding="utf-8-sig"))
        node = loader.get_single_node()
        if node is None:
            return None
        _count(node, {}, name)
        return loader.construct_document(node)
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        where = getattr(error, "problem_mark", None)
        place = "" if where is None else _place(where)
        words = getattr(error, "problem", None) or " ".join(str(error).split())
        raise ValueError(f"{name}{place} is not YAML: {words}") from error


class _Loader(yaml.SafeLoader):
    """Says where a value stands that cannot be made: a date that no calendar has, a number of thousands of digits."""

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        try:
            return super().construct_object(node, deep)
        except (ValueError, TypeError, AttributeError, LookupError, OverflowError) as error:
            # PyYAML's constructors raise these over the text of a value, without its place; nothing of ours runs in them.
            words = str(error).partition(";")[0]
            text = node.value if isinstance(node.value, str) else "the value"
            raise ConstructorError(None, None, f"{text[:40]!r} cannot be read ({words})", node.start_mark) from error


def _count(node: yaml.Node, counted: dict[int, int], name: str) -> int:
    """Return how many values a node stands for; refuse it where that is too many, or it holds itself or a key twice."""
    known = counted.get(id(node))
    if known is not None:
        if not known:
            raise ValueError(f"{name}{_place(node.start_mark)} holds itself by an alias; write it out")
        return known
    counted[id(node)], total = 0, 1
    if isinstance(node, yaml.SequenceNode):
        total += sum(_count(item, counted, name) for item in node.value)
    elif isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            if isinstance(key, yaml.ScalarNode) and key.tag != "tag:yaml.org,2002:merge":
                if key.value in seen:
                    raise ValueError(
                        f"{name}{_place(key.start_mark)} has the key {key.value!r} a second time; keep one"
                    )
                seen.add(key.value)
            total += _count(key, counted, name) + _count(value, counted, name)
    if total > _MOST:
        raise ValueError(f"{name}{_place(node.start_mark)} stands for more than {_MOST} values; write fewer")
    counted[id(node)] = total
    return total


def _place(mark: Any) -> str:
    return f", line {mark.line + 1}, column {mark.column + 1}"
