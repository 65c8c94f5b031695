"""The page that reports what a demo run did; self-contained, so it can be mailed or opened from disk."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

import jinja2
from PIL import Image

from rscovlm.exports.data_url import data_url
from rscovlm.exports.matches import MATCH_COLOURS
from rscovlm.files import mark, write_text

if TYPE_CHECKING:
    from rscovlm.demo.scores import TaskScore

REPORT = "report"
"""Kind of the page that is written."""


@dataclass(frozen=True)
class Figure:
    """A picture with its caption, enlarged by a whole number without smoothing."""

    image: Image.Image
    caption: str
    zoom: int = 1


@dataclass(frozen=True)
class ReportedAnswer:
    """An answer on the page; whether it is right, None where that is not known or it is the truth itself."""

    name: str
    text: str
    right: bool | None = None


@dataclass(frozen=True)
class ReportedConversation:
    """A conversation shown on the page.

    Attributes:
        image: The picture, with the boxes of the answer where it has some.
        user: What was asked.
        assistant: What was answered.
        right: Whether the answer is right.
        truth: The true answer.
        count: How many objects are matched, missed and false, where it is about objects.
    """

    image: Image.Image
    user: str
    assistant: str
    right: bool
    truth: str
    count: str = ""


@dataclass(frozen=True)
class ReportedSection:
    """A heading with paragraphs and pictures."""

    title: str
    text: Sequence[str]
    figures: Sequence[Figure] = ()
    link: tuple[str, str] = ("", "")


@dataclass
class ReportedSearch:
    """What the detection found.

    Attributes:
        figures: Pictures.
        text: Sentences above them.
        method: How the image was searched, in sentences.
        counts: Rows of class, matched, missed, false; empty where the truth is not known.
        precision: Share of the found objects that are right; None where unknown or nothing was found.
        recall: Share of the true objects that were found.
        objects: Rows of the first objects: label, longitude or x, latitude or y.
        coordinates: Heading of these two columns.
        sections: What follows from the objects: masks, change, conditions.
    """

    figures: Sequence[Figure]
    text: str = ""
    method: str = ""
    counts: Sequence[tuple[str, int, int, int]] = ()
    precision: float | None = None
    recall: float | None = None
    objects: Sequence[tuple[str, float, float]] = ()
    coordinates: tuple[str, str] = ("longitude", "latitude")
    sections: Sequence[ReportedSection] = ()


@dataclass
class Story:
    """Everything the page shows.

    Attributes:
        title: Heading.
        lead: One paragraph below it.
        limits: What the model can do and what not, in sentences.
        facts: Label and value pairs in the first row.
        scores: Tasks before and after.
        losses: (step, loss) pairs.
        question: What was asked about the large image; empty where nothing was.
        answers: The answers, and the truth where it is known.
        zooming: Pictures of what was looked at.
        legible: How far the overview can be read, where it was measured.
        search: The objects found.
        talks: Sample conversations.
        real: The real tile.
        notes: Lines at the foot: command, date, hardware, versions.
    """

    title: str
    lead: str
    limits: Sequence[str] = ()
    facts: Sequence[tuple[str, str]] = ()
    scores: Sequence[TaskScore] = ()
    losses: Sequence[tuple[float, float]] = ()
    question: str = ""
    answers: Sequence[ReportedAnswer] = ()
    zooming: Sequence[Figure] = ()
    legible: str = ""
    search: ReportedSearch | None = None
    talks: Sequence[ReportedConversation] = ()
    real: ReportedSection | None = None
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
    # What was no better than the trivial answer has nothing to lose.
    known = [score.change for score in story.scores if score.known and score.before.value > score.before.baseline]
    page = template.render(
        story=story,
        curve=loss_curve(story.losses),
        generator=mark(REPORT),
        colours=MATCH_COLOURS,
        loss=max(0.0, -min(known, default=0.0)),
    )
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
