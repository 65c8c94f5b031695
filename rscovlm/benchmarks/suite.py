"""A benchmark as one YAML file: whose records, what is asked about them, and how answers become figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from fnmatch import fnmatchcase
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

from rscovlm.codec.dialect import Dialect
from rscovlm.data.sources import find_source
from rscovlm.geometry.kinds import Kind
from rscovlm.processing.resolution import PixelBudget
from rscovlm.records import Record
from rscovlm.settings.checked import known_fields
from rscovlm.settings.nearest import nearest
from rscovlm.settings.yamlfiles import read_yaml
from rscovlm.tasks.wanted import DetectionMode
from rscovlm.zoom.policies import NAMES as POLICY_NAMES

Looking = Literal["once", "chain", "region"]
"""How a question is asked: about the overview alone, with the zoom chain, or with the true region shown."""

Scoring = Literal["words", "boxes", "detections", "masks", "captions"]
"""What answers are read as: words, the one box of an expression, every object of an image, the mask of an expression, or a description."""


@dataclass(frozen=True)
class RecordSet:
    """Whose records a benchmark asks about.

    Attributes:
        source: A converter of `rscovlm data sources`.
        split: One of its splits.
        task: Records of other tasks are left out; empty keeps all.
        folder: Folder of the data set below the one that ``--data`` names; the source's name by default.
        where: What a record must say, as patterns of its `id` or of what its `extra` holds.
    """

    source: str
    split: str
    task: str = ""
    folder: str = ""
    where: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        known = find_source(self.source)
        if self.split not in known.splits:
            raise ValueError(
                f"source {self.source!r} has no split {self.split!r}; use one of {', '.join(known.splits)}"
            )
        if self.task and self.task not in known.tasks:
            raise ValueError(f"source {self.source!r} has no {self.task!r} records; it has {', '.join(known.tasks)}")


@dataclass(frozen=True)
class Asking:
    """How a benchmark asks. What is not set is the model's own.

    Attributes:
        looking: See `Looking`.
        direct: Categories that are asked about the overview alone even under ``"chain"``.
        as_published: Ask the question that the data set itself words instead of the dialect's question of the task.
        suffix: What is added to a question, as the published program adds it.
        remove: What is taken out of a question, as the published program does.
        kind: Kind of the boxes asked for.
        min_pixels: Smallest picture shown, in pixels.
        max_pixels: Largest picture shown, in pixels.
        tile: Side of a detection tile in original pixels.
        overlap: What neighbouring tiles share.
        mode: ``"max"`` enlarges what is shown to the largest picture.
        max_new_tokens: Limit of an answer.
        policy: Who decides where to look under ``"chain"``: a name of `rscovlm.zoom.policies`.

    Raises:
        ValueError: There is no such policy.
    """

    looking: Looking = "once"
    direct: Sequence[str] = ()
    as_published: bool = False
    suffix: str = ""
    remove: str = ""
    kind: Kind | None = None
    min_pixels: int | None = None
    max_pixels: int | None = None
    tile: int | None = None
    overlap: float | None = None
    mode: DetectionMode = "native"
    max_new_tokens: int = 256
    policy: str = "call"

    def __post_init__(self) -> None:
        if self.policy not in POLICY_NAMES:
            raise ValueError(f"policy is {self.policy!r}{nearest(self.policy, POLICY_NAMES)}")

    def settings(self) -> dict[str, Any]:
        """Return what answers depend on; the model's own calls go unnamed, as in files of before there were policies."""
        return {name: value for name, value in asdict(self).items() if (name, value) != ("policy", "call")}


@dataclass(frozen=True)
class Protocol:
    """How answers become figures.

    Attributes:
        scoring: See `Scoring`.
        rule: The convention of the first figures; see `rscovlm.benchmarks.conventions`.
        also: Other conventions under the same name, printed too.
        columns: What a record of each column says, as patterns; none makes one column of all.
        within: The field whose values are averaged in a column; empty pools its items.
        average: Name of the mean of the columns; empty where the paper prints none.
    """

    scoring: Scoring
    rule: str
    also: Sequence[str] = ()
    columns: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    within: str = ""
    average: str = ""


@dataclass(frozen=True)
class PublishedRow:
    """What a paper or a table prints for one model.

    Attributes:
        name: The model as the source calls it.
        values: Printed figures by column, in per cent.
        printed: Printed averages by name.
        source: Where they were read.
        misprint: What is wrong with a printed average; empty where the columns give it.
    """

    name: str
    values: Mapping[str, float] = field(default_factory=dict)
    printed: Mapping[str, float] = field(default_factory=dict)
    source: str = ""
    misprint: str = ""


@dataclass(frozen=True)
class Suite:
    """One benchmark.

    Attributes:
        name: What ``--suite`` calls it.
        version: Raised whenever anything that changes a figure changes.
        title: What reports call it.
        records: Whose records.
        licence: The terms of its data.
        get: Where the data come from and how they are laid out.
        protocol: How answers become figures.
        asking: How it asks.
        variants: Other ways of asking, by name: what each sets otherwise; the first is what ``eval`` runs by default.
        dialect: The dialect of the published figures, where that is known.
        published: What was printed elsewhere than in one of the tables.
        note: What a reader of the figures must know.

    Raises:
        ValueError: A name, a source, a split or a rule is not known.
    """

    name: str
    version: int
    title: str
    records: tuple[RecordSet, ...]
    licence: str
    get: str
    protocol: Protocol
    asking: Asking = field(default_factory=Asking)
    variants: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    dialect: str = ""
    published: tuple[PublishedRow, ...] = ()
    note: str = ""

    def __post_init__(self) -> None:
        if self.dialect:
            Dialect.preset(self.dialect)
        for variant in self.variants:
            self.asked(variant)
        _check_rules(self)

    def asked(self, variant: str = "") -> Asking:
        """Return how a variant asks; by default the first.

        Raises:
            ValueError: There is none of this name, or it sets what there is not.
        """
        if not self.variants and not variant:
            return self.asking
        variant = variant or next(iter(self.variants))
        if variant not in self.variants:
            raise ValueError(f"suite {self.name!r} has no variant {variant!r}{nearest(variant, self.variants)}")
        where = f"variant {variant!r} of suite {self.name!r}"
        return Asking(**vars(self.asking) | known_fields(self.variants[variant], Asking, where))

    def with_policies(self, policies: Sequence[str]) -> Suite:
        """Return the suite with one more way of asking for each policy and each variant that lets the model look closer.

        >>> list(load_suite("lrs-vqa").with_policies(["tree"]).variants)
        ['direct', 'zoom', 'true-region', 'zoom+tree']
        """
        ways = {
            f"{name}+{policy}": {**changes, "policy": policy}
            for name, changes in self.variants.items()
            for policy in policies
            if self.asked(name).looking == "chain"
        }
        return replace(self, variants={**self.variants, **ways})

    def default_variant(self) -> str:
        """Return the name of the variant that is run when none is named; empty where there are none."""
        return next(iter(self.variants), "")


def matches(record: Record, wanted: Mapping[str, str]) -> bool:
    """Tell whether a record says what is wanted, each as a pattern (``FAIR*``) of its `id`, `split` or an `extra`.

    >>> record = Record("FAIR_1", "lrs-vqa", "test", "vqa", extra={"category": "count"})
    >>> matches(record, {"id": "FAIR*"}), matches(record, {"category": "color"})
    (True, False)
    """
    return all(fnmatchcase(field_of(record, name), pattern) for name, pattern in wanted.items())


def field_of(record: Record, name: str) -> str:
    """Return what a record says under a name: `id`, `source`, `split`, `class`, or a key of `extra`; empty if nothing."""
    if name in ("id", "source", "split"):
        return str(getattr(record, name))
    if name == "class":
        return record.classes[0] if record.classes else record.answer
    return record.extra.get(name, "")


def budget_of(asking: Asking, own: PixelBudget) -> PixelBudget:
    """Return the pixels that a benchmark shows: the model's own, but for what it sets."""
    most = asking.max_pixels or own.max_pixels
    least = min(asking.min_pixels or own.min_pixels, most)
    if asking.min_pixels and asking.min_pixels == asking.max_pixels:
        return PixelBudget(min(own.factor**2, most), most, own.factor, "max")
    return PixelBudget(least, most, own.factor, own.mode)


@cache
def suite_names() -> tuple[str, ...]:
    """Return the names of the suites that ship.

    >>> "lrs-vqa" in suite_names()
    True
    """
    found = (entry.name for entry in (files("rscovlm.benchmarks") / "suites").iterdir())
    return tuple(sorted(name.removesuffix(".yaml") for name in found if name.endswith(".yaml")))


def load_suite(name: str | Path) -> Suite:
    """Return a suite that ships, or that of a YAML file.

    Args:
        name: Name of a suite, or path of a file that ends in ``.yaml`` or ``.yml``.

    Raises:
        ValueError: There is no such suite, or the file is none; the message says what is wrong and where.
        FileNotFoundError: There is no such file.

    >>> load_suite("lrs-vqa").protocol.average
    'Avg.'
    """
    path = Path(name)
    if path.suffix not in (".yaml", ".yml"):
        if str(name) not in suite_names():
            raise ValueError(f"suite is {str(name)!r}{nearest(str(name), suite_names())}")
        path = Path(str(files("rscovlm.benchmarks") / "suites" / f"{name}.yaml"))
    elif not path.is_file():
        raise FileNotFoundError(
            f"there is no suite file {path}; give a path, or a name among {', '.join(suite_names())}"
        )
    return suite_from(read_yaml(path), path.name)


def suite_from(content: Any, where: str) -> Suite:
    """Return the suite that plain values describe.

    Raises:
        ValueError: A key is unknown or missing, or a value has no meaning.
    """
    if isinstance(content, Mapping) and isinstance(content.get("records"), Mapping):
        content = {**content, "records": [content["records"]]}
    given = known_fields(content, Suite, where)
    given["records"] = tuple(
        RecordSet(**known_fields(one, RecordSet, f"records of {where}")) for one in given["records"]
    )
    given["protocol"] = Protocol(**known_fields(given["protocol"], Protocol, f"protocol of {where}"))
    given["asking"] = Asking(**known_fields(given.get("asking") or {}, Asking, f"asking of {where}"))
    rows = given.get("published") or ()
    given["published"] = tuple(PublishedRow(**known_fields(one, PublishedRow, f"published of {where}")) for one in rows)
    return Suite(**given)


def _check_rules(suite: Suite) -> None:
    """Refuse a convention that nothing computes."""
    from rscovlm.benchmarks.conventions import CONVENTIONS

    known = CONVENTIONS[suite.protocol.scoring]
    for rule in (suite.protocol.rule, *suite.protocol.also):
        if rule not in known:
            raise ValueError(f"suite {suite.name!r} has the rule {rule!r}{nearest(rule, known)}")
