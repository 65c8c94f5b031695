"""What lint found: the checks, places where they failed, and the report that counts them."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from rscovlm.files import mark, write_text
from rscovlm.records.record import Annotation, ImageRef

REPORT = "lint"
"""Kind of the file that is written."""

Level = Literal["error", "warning"]
CHECKS: dict[str, tuple[Level, str]] = {
    "box outside": ("warning", "a corner lies outside the image"),
    "box far outside": ("error", "the box does not touch the image, or reaches more than its size beyond it"),
    "box inverted": ("error", "right of its left side, or no width or height"),
    "scale": ("error", "the boxes of a source are not in pixels"),
    "content": ("error", "the task needs something the record lacks"),
    "repeated id": ("error", "two records of a source and split share an id"),
    "missing file": ("error", "the image's file is not there, or its path is unsafe"),
    "unreadable image": ("error", "the image cannot be read"),
    "size": ("error", "the image has another size than the record says"),
    "same image": ("warning", "two files of one split hold the same pixels"),
    "near image": ("warning", "two files of one split look the same"),
    "shared ground": ("warning", "two files of one split show part of the same ground"),
    "leak": ("error", "an image of one split is, looks like, or shows part of an image of another"),
    "parent leak": ("error", "tiles of one image are in several splits"),
    "class names": ("warning", "names that differ only in spelling"),
    "broken row": ("error", "a row of a file of records is no record"),
    "idle evidence": ("warning", "hiding the region that is to answer the question does not change the model's answer"),
    "wrong evidence": ("warning", "the model's answer is not the true one although the region is shown"),
    "conflicting answers": ("warning", "one question about one image has several answers"),
}


@dataclass(frozen=True)
class Finding:
    """One place where a check failed.

    Attributes:
        check: A name in `CHECKS`.
        place: Source, split and id of the record.
        detail: What is wrong there.
        weight: Ranks findings of a check, the worst being the largest.
        others: Further places that have part in it.
        images: What to look at.
        boxes: What to draw on the first image.
    """

    check: str
    place: str
    detail: str
    weight: float = 0.0
    others: tuple[str, ...] = ()
    images: tuple[ImageRef, ...] = ()
    boxes: tuple[Annotation, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Give what a machine needs to find the place again."""
        return {"place": self.place, "detail": self.detail, "weight": self.weight, "others": list(self.others)}


@dataclass
class Report:
    """What lint found: how often each check failed, and the worst findings of each.

    Attributes:
        records: Records that were looked at.
        images: Images of these.
        counts: Findings by check.
        evidence: Where evidence was checked, records by what came of it, or by why they were not checked.
        findings: The worst findings of each check.
        keep: Findings kept per check.
    """

    records: int = 0
    images: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    evidence: Counter[str] = field(default_factory=Counter)
    findings: dict[str, list[Finding]] = field(default_factory=dict)
    keep: int = 50

    def add(self, finding: Finding) -> None:
        """Count a finding and keep it while it is among the worst of its check."""
        self.counts[finding.check] += 1
        kept = self.findings.setdefault(finding.check, [])
        kept.append(finding)
        if len(kept) > 2 * self.keep:
            self.findings[finding.check] = self.worst(finding.check)

    def worst(self, check: str) -> list[Finding]:
        """Give the findings of a check that were kept, the worst first."""
        return sorted(self.findings.get(check, ()), key=lambda finding: -finding.weight)[: self.keep]

    @property
    def errors(self) -> int:
        """Findings of checks that are errors."""
        return sum(count for check, count in self.counts.items() if CHECKS[check][0] == "error")

    def table(self) -> str:
        """Give one line a check that failed, errors first, with its worst place."""
        lines = [
            f"{self.records} records, {self.images} images: {self.errors} errors, {self.counts.total() - self.errors} warnings"
        ]
        for check, (level, meaning) in sorted(CHECKS.items(), key=lambda item: item[1][0]):
            if self.counts[check]:
                worst = self.worst(check)[0]
                lines.append(f"{level:>8} {self.counts[check]:>8}  {check}: {meaning}")
                lines.append(f"{'':>19}{worst.place}: {worst.detail}")
        if self.evidence:
            lines.append("evidence: " + ", ".join(f"{reason} {count}" for reason, count in self.evidence.most_common()))
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """Give everything kept as plain data."""
        checks = {
            check: {"level": CHECKS[check][0], "count": count, "worst": [item.to_dict() for item in self.worst(check)]}
            for check, count in self.counts.items()
        }
        whole = {"records": self.records, "images": self.images, "errors": self.errors, "checks": checks}
        return whole | ({"evidence": dict(self.evidence)} if self.evidence else {})

    def write(self, path: str | Path, *, overwrite: bool = False) -> None:
        """Write `to_dict` as a JSON file.

        Args:
            path: The file; its folder is made.
            overwrite: Replace a file that something else wrote.

        Raises:
            ValueError: Such a file is there.
        """
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps({"generator": mark(REPORT), **self.to_dict()}, ensure_ascii=False, indent=1)
        write_text(path, text, REPORT, overwrite=overwrite)
