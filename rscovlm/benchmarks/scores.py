"""Figures of a benchmark: each with its convention, its interval and the counts that it came from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from rscovlm.benchmarks.suite import Suite


@dataclass(frozen=True)
class BenchmarkFigure:
    """One number.

    Attributes:
        name: The column or average that it stands in.
        rule: Its convention.
        value: A fraction from 0 to 1.
        items: Answers behind it.
        low: Lower end of its interval; None where none was computed.
        high: Upper end.
    """

    name: str
    rule: str
    value: float
    items: int
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class SuiteScore:
    """What a model scores on a benchmark, asked in one way.

    Attributes:
        suite: Name of the benchmark.
        title: What reports call it.
        variant: How it was asked.
        control: What was shown instead of the image.
        model: The model's name.
        protocol: What the figures depend on: version, prompt, dialect, budget, data, fingerprint.
        figures: All figures; those of the first convention come first.
        counts: Answers in all, and those that were unparsed, refused, truncated, repeated or missing.
        constant: What the best constant answer scores under the first convention, by column.
        details: More that belongs to the kind of benchmark.
    """

    suite: str
    title: str
    variant: str
    control: str
    model: str
    protocol: Mapping[str, Any]
    figures: tuple[BenchmarkFigure, ...]
    counts: Mapping[str, int]
    constant: Mapping[str, float] = field(default_factory=dict)
    details: Mapping[str, Any] = field(default_factory=dict)

    @property
    def rule(self) -> str:
        """The first convention."""
        return self.figures[0].rule if self.figures else str(self.protocol.get("rule", ""))

    def figure(self, name: str, rule: str = "") -> BenchmarkFigure | None:
        """Return a figure by name, under the first convention unless another is named; None where there is none."""
        wanted = rule or self.rule
        return next((one for one in self.figures if one.name == name and one.rule == wanted), None)

    def protocol_id(self, rule: str = "") -> str:
        """Return one line that says how a figure was made."""
        about = self.protocol
        variant = f"/{self.variant}" if self.variant else ""
        control = f" control={self.control}" if self.control else ""
        return (
            f"{self.suite}@{about.get('version')}{variant}{control} rule={rule or self.rule} "
            f"prompt={about.get('prompt')} dialect={about.get('dialect')} budget={about.get('budget')} "
            f"data={about.get('data')} run={about.get('fingerprint')}"
        )

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values, every figure with its protocol."""
        row = asdict(self)
        for figure in row["figures"]:
            figure["protocol"] = self.protocol_id(figure["rule"])
        return row

    @classmethod
    def from_dict(cls, row: Mapping[str, Any]) -> SuiteScore:
        """Return what `to_dict` wrote."""
        figures = [{key: value for key, value in one.items() if key != "protocol"} for one in row["figures"]]
        return cls(**{**row, "figures": tuple(BenchmarkFigure(**one) for one in figures)})


_REFUSALS = (
    "i'm sorry",
    "i am sorry",
    "i cannot",
    "i can't",
    "i can not",
    "unable to",
    "as an ai",
    "not able to",
    "cannot determine",
    "cannot be determined",
)
"""What answers begin or say that refuse to answer."""


def count_answer(counts: Counter[str], row: Mapping[str, Any]) -> bool:
    """Count how an answer ended; return whether there is one.

    Args:
        counts: What is counted into: ``answers``, ``errors``, ``truncated``, ``repeated``, ``refused``, ``empty``.
        row: A row of a run.
    """
    counts["answers"] += 1
    if "error" in row:
        counts["errors"] += 1
        return False
    counts["truncated"] += row.get("finish") == "length"
    counts["repeated"] += row.get("finish") == "repeat"
    text = str(row.get("answer", ""))
    if "answer" in row and not text.strip():
        counts["empty"] += 1
    low = text[:300].lower().replace("\u2019", "'")
    counts["refused"] += any(words in low for words in _REFUSALS)
    return True


def protocol_of(suite: Suite, settings: Mapping[str, Any], rule: str) -> dict[str, Any]:
    """Return what the figures of a run depend on, in short."""
    from rscovlm.benchmarks.evaluation import fingerprint

    dialect = settings.get("dialect") or {}
    budget = settings.get("budget") or {}
    sizes = f"{budget['min_pixels']}-{budget['max_pixels']}/{budget['mode']}" if budget else "unknown"
    return {
        "version": suite.version,
        "rule": rule,
        "prompt": fingerprint({"asking": settings.get("asking"), "wording": dialect.get("wording")})[:8],
        "dialect": dialect.get("name", "unknown"),
        "budget": sizes,
        "published_dialect": suite.dialect,
        "data": settings.get("data", ""),
        "of": settings.get("items", 0),
        "checkpoint": settings.get("checkpoint", ""),
        "fingerprint": settings.get("fingerprint", ""),
    }
