"""The page that tells what a demo run did; self-contained, so it can be mailed or opened from disk."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any

import jinja2
from PIL import Image

from rscovlm.exports.data_url import data_url
from rscovlm.files import mark, write_text

REPORT = "report"
"""Kind of the page that is written."""


@dataclass(frozen=True)
class Figure:
    """A picture with its caption."""

    image: Image.Image
    caption: str
    zoom: int = 1


@dataclass(frozen=True)
class ReportedConversation:
    """A conversation shown on the page: a picture, and who said what."""

    image: Image.Image
    turns: Sequence[tuple[str, str]]
    zoom: int = 1


@dataclass
class Story:
    """Everything the page shows.

    Attributes:
        title: Heading.
        lead: One paragraph below it.
        facts: Label and value pairs in the first row.
        scores: Rows of the table: name, before, after, trivial baseline, what the baseline is, items.
        losses: (step, loss) pairs.
        question: What was asked about the large image.
        answers: Label and answer pairs: with zoom, without, the truth where it is known.
        zooming: Pictures of the zoom steps.
        detection: Pictures of the detection.
        objects: Rows of the first detected objects: label, longitude or x, latitude or y.
        coordinates: Heading of these two columns.
        talks: Sample conversations.
        notes: Lines at the foot: command, date, hardware, versions.
    """

    title: str
    lead: str
    facts: list[tuple[str, str]] = field(default_factory=list)
    scores: list[Mapping[str, Any]] = field(default_factory=list)
    losses: Sequence[tuple[float, float]] = ()
    question: str = ""
    answers: list[tuple[str, str]] = field(default_factory=list)
    zooming: list[Figure] = field(default_factory=list)
    detection: list[Figure] = field(default_factory=list)
    objects: list[tuple[str, float, float]] = field(default_factory=list)
    coordinates: tuple[str, str] = ("longitude", "latitude")
    talks: list[ReportedConversation] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def write_report(story: Story, path: Path) -> None:
    """Write the page.

    Args:
        story: What it shows.
        path: The file to write; pictures are embedded, nothing else is loaded.

    Raises:
        ValueError: The path holds a file that is no such report.
    """
    environment = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    environment.filters["embedded"] = _embedded
    template = environment.from_string((files(__package__) / "report.html.jinja").read_text(encoding="utf-8"))
    page = template.render(story=story, curve=loss_curve(story.losses), generator=mark(REPORT))
    write_text(path, page, REPORT)


def _embedded(image: Image.Image) -> str:
    """Return a picture as a URL that holds it: small ones, which are shown enlarged, without loss."""
    picture = image.convert("RGB")
    return data_url(picture) if image.width * image.height <= 256 * 256 else data_url(picture, "JPEG", quality=88)


@dataclass(frozen=True)
class Curve:
    """A line in a box of 640 by 200 units, with the labels of its axes."""

    points: str
    smooth: str
    top: str
    bottom: str
    last: str


def loss_curve(losses: Sequence[tuple[float, float]]) -> Curve | None:
    """Return the drawn loss curve, or None for fewer than two points."""
    if len(losses) < 2:
        return None
    steps, values = [step for step, _ in losses], [value for _, value in losses]
    low, high = min(values), max(values)
    span = (high - low) or 1.0

    def line(series: Sequence[float]) -> str:
        across = [640 * (step - steps[0]) / ((steps[-1] - steps[0]) or 1) for step in steps]
        return " ".join(
            f"{x:.1f},{190 - 180 * (value - low) / span:.1f}" for x, value in zip(across, series, strict=True)
        )

    window = max(1, len(values) // 12)
    smooth = [
        sum(values[max(0, i - window) : i + 1]) / len(values[max(0, i - window) : i + 1]) for i in range(len(values))
    ]
    return Curve(line(values), line(smooth), f"{high:.2f}", f"{low:.2f}", f"step {steps[-1]:.0f}")
