"""Recipes: which records, in which proportion, put into words how; a YAML file that gives a mixture."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import abc
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import MISSING, dataclass, field, fields, is_dataclass, replace
from enum import Enum
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, Union, cast, get_args, get_origin, get_type_hints

from rscovlm.codec import Codec
from rscovlm.data.mixture import Mixture, Stages, Subset
from rscovlm.data.nearest import nearest
from rscovlm.data.paths import check_relative
from rscovlm.data.record_rendering import RecordRenderer, RenderOptions
from rscovlm.data.table import RecordTable
from rscovlm.data.yamlfiles import read_yaml
from rscovlm.processing.resolution import PixelBudget


@dataclass(frozen=True)
class SubsetRecipe:
    """One subset of a recipe.

    Attributes:
        name: Unique in the recipe.
        records: Records to draw from: a ``.jsonl`` file, a shard or a folder of shards, relative to the recipe's root.
        weight: Relative share.
        split: Of a folder of shards, only this split.
        images: Folder that image paths are relative to, relative to the root; that of the records where empty.
        cap: Only the first rows, this many.
        epochs: Passes over its rows at most, such as 2 or 0.5; after them the others share its positions. None has no end.
        render: How to put the records into words.
    """

    name: str
    records: str
    weight: float = 1.0
    split: str | None = None
    images: str = ""
    cap: int | None = None
    epochs: float | None = None
    render: RenderOptions = field(default_factory=RenderOptions)


@dataclass(frozen=True)
class Change:
    """New weights from a position on.

    Attributes:
        at: First position they hold for.
        weights: By name of subset; those not named keep theirs.
    """

    at: int
    weights: Mapping[str, float]


@dataclass(frozen=True)
class MixtureRecipe:
    """A mixture as a recipe tells it.

    Attributes:
        subsets: What to draw from.
        seed: Any integer.
        tolerate: Largest share of unusable rows.
        codec: Name of the codec's preset.
        budget: Pixels the model sees.
        schedule: Changes of weights, by position.
        history: Weights of earlier rounds of balancing, oldest first.
    """

    subsets: tuple[SubsetRecipe, ...]
    seed: int = 0
    tolerate: float = 0.005
    codec: str = "rscovlm-v1"
    budget: PixelBudget = field(default_factory=PixelBudget)
    schedule: tuple[Change, ...] = ()
    history: tuple[Mapping[str, float], ...] = ()

    @classmethod
    def from_dict(cls, content: Any) -> MixtureRecipe:
        """Read the recipe's plain values.

        Raises:
            ValueError: A key is unknown (the nearest right one is named), or a value is of no use.
        """
        values = known_fields(content, cls, "the recipe")
        subsets = values["subsets"]
        if not subsets:
            raise ValueError("the recipe has no subsets; list at least one with name and records")
        values["subsets"] = tuple(_subset(item, place) for place, item in enumerate(subsets))
        if "budget" in values:
            values["budget"] = PixelBudget(**known_fields(values["budget"], PixelBudget, "budget"))
        changes = [Change(**known_fields(item, Change, "schedule")) for item in values.get("schedule", ())]
        values["schedule"] = tuple(sorted(changes, key=lambda change: change.at))
        values["history"] = tuple(values.get("history", ()))
        recipe = cls(**values)
        names = {subset.name for subset in recipe.subsets}
        for change in recipe.schedule:
            if change.at < 0:
                raise ValueError(f"schedule has a change at {change.at}; give a position of 0 or more")
            for name in change.weights:
                if name not in names:
                    raise ValueError(f"schedule at {change.at} names subset {name!r}{nearest(name, names)}")
        return recipe

    def build(self, root: str | Path, *, length: int, codec: Codec | None = None) -> Stages:
        """Open the records and build the mixture.

        Args:
            root: Folder that the recipe's paths are relative to.
            length: Number of positions.
            codec: Replaces the preset, such as the processor's own.

        Raises:
            ValueError: A path leaves the root, or a subset has no rows.
            FileNotFoundError: Records are missing.
        """
        codec = codec or Codec.preset(self.codec)
        subsets = [self._open(subset, Path(root), codec) for subset in self.subsets]
        return Stages(self._stages(subsets, length))

    def _stages(self, subsets: list[Subset], length: int) -> list[tuple[int, Mixture]]:
        """Cut the positions where the schedule changes weights, and where a subset has made its epochs."""
        rows = {subset.name: len(cast(Sequence[Any], subset.source)) for subset in subsets}
        passes = {s.name: s.epochs * min(s.cap or rows[s.name], rows[s.name]) for s in self.subsets if s.epochs}
        limits = {name: max(1, round(count)) for name, count in passes.items()}
        stages: list[tuple[int, Mixture]] = []
        start, used_up = 0, set[str]()
        while start < length:
            for change in self.schedule:
                if change.at <= start:
                    subsets = [replace(s, weight=change.weights.get(s.name, s.weight)) for s in subsets]
            left = [replace(s, weight=0.0) if s.name in used_up else s for s in subsets]
            if used_up and not any(subset.weight for subset in left):
                raise ValueError(
                    f"all subsets made their epochs by position {start} of {length}; give one of them more, or no limit"
                )
            end = min([change.at for change in self.schedule if change.at > start] + [length])
            mixture = Mixture(left, seed=self.seed, length=length, tolerate=self.tolerate)
            if stages:
                mixture = mixture.following(stages[-1][1], start)
            going = [name for name in limits if name not in used_up]
            end = min([end, *(_reaches(mixture, name, limits[name], start, end) for name in going)])
            if end > start:
                stages.append((end - start, mixture))
            used_up |= {name for name in going if mixture.drawn_before(end, name) >= limits[name]}
            start = end
        return stages

    def _open(self, subset: SubsetRecipe, root: Path, codec: Codec) -> Subset:
        records = _below(root, subset.records)
        images = _below(root, subset.images) if subset.images else records if records.is_dir() else records.parent
        if not images.is_dir() and subset.images:
            raise FileNotFoundError(
                f"images of {subset.name!r} are to be in {subset.images!r}, which is no folder below the root; correct it"
            )
        renderer = RecordRenderer(codec, self.budget, images, subset.render)
        table = RecordTable(records, split=subset.split)
        return Subset(subset.name, table, subset.weight, renderer, subset.cap)


def load_recipe(path: str | Path) -> MixtureRecipe:
    """Read a recipe from a YAML file; its part ``mixture`` where it has one, as training recipes do.

    Raises:
        ValueError: The file is no recipe; the message names what is wrong and, for a misspelt key, the nearest right one.
    """
    content = read_yaml(path)
    if isinstance(content, Mapping) and "mixture" in content:
        content = content["mixture"]
    return MixtureRecipe.from_dict(content)


def _subset(item: Any, place: int) -> SubsetRecipe:
    values = known_fields(item, SubsetRecipe, f"subset {place}")
    for name in ("name", "records"):
        if not values[name]:
            raise ValueError(f"subset {place} has no {name}; give it one")
    if values.get("epochs") is not None and not 0 < values["epochs"] < float("inf"):
        raise ValueError(f"epochs of {values['name']!r} is {values['epochs']}; give a number above 0, or leave it out")
    if "render" in values:
        values["render"] = RenderOptions(
            **known_fields(values["render"], RenderOptions, f"render of {values['name']!r}")
        )
    return SubsetRecipe(**values)


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

    >>> known_fields({"name": "sea", "records": "sea.jsonl", "weight": "1e-2"}, SubsetRecipe, "subset 0")
    {'name': 'sea', 'records': 'sea.jsonl', 'weight': 0.01}
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


def _reaches(mixture: Mixture, name: str, limit: int, start: int, end: int) -> int:
    """Give the first position by which a subset was drawn so often, or the end."""
    return bisect_left(range(end), limit, lo=start, key=lambda position: mixture.drawn_before(position, name))


def _below(root: Path, path: str) -> Path:
    """Return a file or folder of a recipe, which may not lead out of the root."""
    found = (root / check_relative(path)).resolve()
    if not found.is_relative_to(root.resolve()):
        raise ValueError(f"path {path!r} leads out of the recipe's root by a link; copy it below the root")
    return found
