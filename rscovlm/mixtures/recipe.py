"""Recipes: which records, in which proportion, put into words how; a YAML file that gives a mixture."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

from rscovlm.codec import Codec
from rscovlm.codec.dialect import Dialect
from rscovlm.data.table import RecordTable
from rscovlm.mixtures.mixture import Mixture, Subset
from rscovlm.mixtures.renderer import RecordRenderer
from rscovlm.mixtures.weight_stages import Stages
from rscovlm.processing.resolution import PixelBudget
from rscovlm.records.paths import check_relative
from rscovlm.records.sizes import FileRule
from rscovlm.settings.checked import known_fields
from rscovlm.settings.nearest import nearest
from rscovlm.settings.yamlfiles import read_yaml
from rscovlm.tasks.options import RenderOptions


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
        files: How image files are taken: what to do where a record says another size than its file, and whether
            boxes count the pixels that viewers show.
    """

    name: str
    records: str
    weight: float = 1.0
    split: str | None = None
    images: str = ""
    cap: int | None = None
    epochs: float | None = None
    render: RenderOptions = field(default_factory=RenderOptions)
    files: FileRule = field(default_factory=FileRule)


@dataclass(frozen=True)
class WeightChange:
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
        codec: The dialect that is trained: name of a preset, or a YAML file; None for that of the model.
        budget: Pixels the model sees.
        schedule: Changes of weights, by position.
        history: Weights of earlier rounds of balancing, oldest first.
    """

    subsets: tuple[SubsetRecipe, ...]
    seed: int = 0
    tolerate: float = 0.005
    codec: str | None = None
    budget: PixelBudget = field(default_factory=PixelBudget)
    schedule: tuple[WeightChange, ...] = ()
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
        changes = [WeightChange(**known_fields(item, WeightChange, "schedule")) for item in values.get("schedule", ())]
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

    def build(self, root: str | Path, *, length: int, codec: Codec | Dialect | None = None) -> Stages:
        """Open the records and build the mixture.

        Args:
            root: Folder that the recipe's paths are relative to.
            length: Number of positions.
            codec: Replaces the recipe's dialect, such as the processor's own; ``rscovlm-v1`` where neither names one.

        Raises:
            ValueError: A path leaves the root, or a subset has no rows.
            FileNotFoundError: Records are missing.
        """
        dialect = Dialect.given(codec or self.codec or "rscovlm-v1")
        subsets = [self._open(subset, Path(root), dialect) for subset in self.subsets]
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
                    f"all subsets have completed their epochs by position {start} of {length}; give one of them more, or no limit"
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

    def _open(self, subset: SubsetRecipe, root: Path, dialect: Dialect) -> Subset:
        records = _below(root, subset.records)
        images = _below(root, subset.images) if subset.images else records if records.is_dir() else records.parent
        if not images.is_dir() and subset.images:
            raise FileNotFoundError(
                f"images of {subset.name!r} are to be in {subset.images!r}, which is no folder below the root; correct it"
            )
        renderer = RecordRenderer(dialect, self.budget, images, subset.render, files=subset.files)
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
    if "files" in values:
        values["files"] = FileRule(**known_fields(values["files"], FileRule, f"files of {values['name']!r}"))
    return SubsetRecipe(**values)


def _reaches(mixture: Mixture, name: str, limit: int, start: int, end: int) -> int:
    """Give the first position by which a subset was drawn so often, or the end."""
    return bisect_left(range(end), limit, lo=start, key=lambda position: mixture.drawn_before(position, name))


def _below(root: Path, path: str) -> Path:
    """Return a file or folder of a recipe, which may not lead out of the root."""
    found = (root / check_relative(path)).resolve()
    if not found.is_relative_to(root.resolve()):
        raise ValueError(f"path {path!r} leads out of the recipe's root by a link; copy it below the root")
    return found
