"""The page that sets policies side by side, so that a reader can pick one; self-contained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import jinja2

from rscovlm.files import mark, write_text
from rscovlm.zoom.comparison import PolicyScore

POLICY_PAGE = "policies"
"""Kind of the page that is written."""

COLUMNS = ("accuracy", "gain", "harm", "looked closer", "saw the evidence", "visual tokens", "calls", "seconds")

Cell = tuple[str, str, str]


@dataclass(frozen=True)
class _PagePart:
    name: str
    verdict: str
    rows: Sequence[tuple[str, Sequence[Cell]]]


def write_comparison(
    scores: Mapping[str, Sequence[PolicyScore]],
    path: str | Path,
    *,
    title: str = "Policies of zooming, side by side",
    notes: Sequence[str] = (),
    overwrite: bool = False,
) -> None:
    """Write the page: for each set what each policy brings, spoils and costs, and in a sentence which one to take.

    Args:
        scores: What `compare` gave, by the name of the set.
        path: The file to write; nothing else is loaded.
        title: Heading.
        notes: Lines at the foot: command, date, hardware.
        overwrite: Replace a file that something else wrote.

    Raises:
        ValueError: There are no scores, or such a file is there.
    """
    if not scores or not all(scores.values()):
        raise ValueError(
            "there are no scores to set side by side; give what `compare` returned, by the name of the set"
        )
    parts = [
        _PagePart(name, verdict(some), [(one.policy, _cells(one)) for one in some]) for name, some in scores.items()
    ]
    environment = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    source = (files(__package__) / "comparison_page.html.jinja").read_text(encoding="utf-8")
    page = environment.from_string(source).render(
        title=title, parts=parts, columns=COLUMNS, notes=notes, generator=mark(POLICY_PAGE)
    )
    write_text(Path(path), page, POLICY_PAGE, overwrite=overwrite)


def verdict(scores: Sequence[PolicyScore]) -> str:
    """Say which policy is the best of a set, which gives almost as much for less, and which do harm.

    Args:
        scores: What `compare` gave.
    """
    count = len(scores[0].results)
    best = max(scores, key=lambda one: (one.accuracy, -one.visual_tokens))
    if best.gain <= 0:
        text = "No policy answers better than a single look."
    else:
        text = f"{best.policy} answers best: {_points(best.gain)} points above a single look, at {best.visual_tokens:.0f} visual tokens."
        near = [one for one in scores if one.gain > 0 and one.accuracy >= best.accuracy - 0.03]
        cheap = min(near, key=lambda one: one.visual_tokens)
        if cheap is not best:
            text += f" {cheap.policy} comes within 3 points of it at {cheap.visual_tokens:.0f}."
    harmful = [f"{one.policy} ({100 * one.harm:.0f} points)" for one in scores if one.harm > 0.02]
    spoiled = f" Right answers are lost by {', '.join(harmful)}." if harmful else " None loses right answers."
    return f"{count} questions. {text}{spoiled}"


def _points(share: float) -> str:
    """Return points of 100 with their sign; 0 has none.

    >>> _points(0.784), _points(-0.001)
    ('+78', '0')
    """
    whole = round(100 * share)
    return f"{whole:+d}" if whole else "0"


def _cells(one: PolicyScore) -> list[Cell]:
    """Return name, text and kind of each cell."""
    seen = "–" if one.evidence_rate is None else f"{100 * one.evidence_rate:.0f} %"
    gain = "good" if one.gain > 0.005 else "bad" if one.gain < -0.005 else ""
    texts = [
        (f"{100 * one.accuracy:.0f} %", ""),
        (_points(one.gain), gain),
        (f"{100 * one.harm:.0f}", "bad" if one.harm > 0.02 else ""),
        (f"{100 * one.zoom_rate:.0f} %", ""),
        (seen, ""),
        (f"{one.visual_tokens:,.0f}", ""),
        (f"{one.calls:.1f}", ""),
        (f"{one.seconds:.2f}", ""),
    ]
    return [(name, text, kind) for name, (text, kind) in zip(COLUMNS, texts, strict=True)]
