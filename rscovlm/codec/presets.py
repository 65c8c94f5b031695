"""Dialects that are shipped, each a file in ``dialects/``, and what they are known by."""

from __future__ import annotations

from functools import cache
from importlib.resources import as_file, files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

from rscovlm.codec.keys import KeyMeaning
from rscovlm.codec.settings import Settings
from rscovlm.codec.tag_patterns import TagPattern
from rscovlm.settings.yamlfiles import read_yaml

_OURS = ("rscovlm-v1", "qwen2.5-vl", "qwen3-vl")


@cache
def preset_names() -> tuple[str, ...]:
    """Return the names of the shipped dialects, those that checkpoints of ours speak first."""
    names = {entry.name.removesuffix(".yaml") for entry in _folder().iterdir() if entry.name.endswith(".yaml")}
    return (*_OURS, *sorted(names - set(_OURS)))


@cache
def preset(name: str) -> Settings:
    """Return the settings of a shipped dialect.

    Raises:
        ValueError: No such name exists.
    """
    if name not in preset_names():
        raise ValueError(
            f"codec preset is {name!r}; choose one of {', '.join(map(repr, preset_names()))}, or give the path of a YAML file"
        )
    return _settings(_folder() / f"{name}.yaml", name)


def settings_from_file(path: str | Path) -> Settings:
    """Return the settings of a dialect in a file of one's own.

    Raises:
        ValueError: The file cannot be read, or its ``codec`` section is not one.
    """
    try:
        return _settings(Path(path), str(path))
    except OSError as error:
        raise ValueError(f"dialect {str(path)!r} cannot be read: {error}") from None


@cache
def known_tags() -> tuple[TagPattern, ...]:
    """Return the tags that shipped dialects are known by, wherever they are met."""
    patterns = (preset(name).tag_pattern for name in preset_names())
    return tuple(pattern for pattern in patterns if pattern is not None and pattern.distinctive)


@cache
def known_keys() -> dict[str, KeyMeaning]:
    """Return what shipped dialects write under their names for boxes in JSON, as far as all that use a name agree."""
    found: dict[str, KeyMeaning] = {}
    for codec in map(preset, preset_names()):
        if "json" not in codec.styles:
            continue
        for kind in codec.kinds:
            mine = KeyMeaning(codec.layout(kind), codec.space_of(kind), foreign=True)
            name = codec.key(kind).lower()
            other = found.setdefault(name, mine)
            if other != mine:
                space = mine.space if other.space == mine.space else None
                found[name] = KeyMeaning(mine.layout if other.layout == mine.layout else None, space, foreign=True)
    return found


def _settings(file: Traversable | Path, where: str) -> Settings:
    with as_file(file) as path:
        content: Any = read_yaml(path)
    if not isinstance(content, dict) or not isinstance(content.get("codec"), dict) or "name" not in content:
        raise ValueError(
            f"dialect {where!r} has no 'name' or no 'codec' section; see the files in rscovlm/codec/dialects"
        )
    return Settings.from_dict({"name": content["name"], **content["codec"]})


def _folder() -> Traversable:
    return files("rscovlm.codec") / "dialects"
