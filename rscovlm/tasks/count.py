"""Counting: how many objects of a class there are, from boxes or in words."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from rscovlm.codec.categories import plural, spoken
from rscovlm.codec.control_tokens import check_names
from rscovlm.codec.dialect import Dialect
from rscovlm.codec.wording import plainest
from rscovlm.engines.engine import check_engine, dialect_of, replies
from rscovlm.geometry.masks import Mask
from rscovlm.metrics.counting import count_error
from rscovlm.metrics.texts import number_in
from rscovlm.points.counting import count_areas
from rscovlm.rasters import Raster, open_image
from rscovlm.records import Record
from rscovlm.tasks.detect import detect, detection_options
from rscovlm.tasks.detections import Detections
from rscovlm.tasks.served import Served, was_cut
from rscovlm.tasks.task import Answered, Draw, Example, Question, Row, Shown, Task
from rscovlm.tasks.wanted import Wanted
from rscovlm.tasks.words import overview

if TYPE_CHECKING:
    from rscovlm.engines.engine import Engine


ClassMask = Callable[[Raster, str], Mask]
"""Returns the mask of all objects of a class in an image."""


@dataclass(frozen=True)
class Counted:
    """How many objects there are.

    Attributes:
        counts: Number of each class; ``None`` where the model's words hold no number.
        texts: What the model wrote for each class, where it was asked in words.
        detections: The objects counted, where they were detected.
    """

    counts: dict[str, int | None]
    texts: dict[str, str] = field(default_factory=dict)
    detections: Detections | None = None


def question(dialect: Dialect, name: str, *, pick: Callable[[int], int] = plainest) -> Question:
    """Return the question for how many objects of a class there are.

    >>> question(Dialect.preset("rscovlm-v1"), "storage-tank").user
    'How many storage tanks are there?'
    """
    asked = dialect.ask("count", pick=pick, classes=plural(spoken(name)))
    return Question(asked.system, asked.user, gsd=asked.gsd)


class Count(Task):
    """How many objects of a class there are."""

    name = "count"
    wants = ("classes",)
    tiled = True
    category = "visual-question-answering"

    def needs(self, record: Record) -> Iterable[tuple[bool, str]]:
        """One class and its number."""
        yield len(record.categories) != 1, "not one category"
        yield not record.answer.strip(), "empty answer"

    def example(self, record: Record, shown: Shown, draw: Draw) -> Example:
        """Ask how many there are and answer with the number."""
        return Example.of(question(draw.dialect, record.categories[0], pick=draw.pick), record.answer, shown)

    def asks(self, record: Record, dialect: Dialect) -> Question:
        """Ask how many there are."""
        return question(dialect, record.categories[0])

    def measure(self, answered: Sequence[Answered], dialect: Dialect) -> Mapping[str, float]:
        """Measure the share of numbers that are right, and the mean error relative to the true number.

        Where a true answer names no number ("many"), all are compared as words.
        """
        if any(number_in(one.expected) is None for one in answered):
            return super().measure(answered, dialect)
        result = count_error([one.reply for one in answered], [one.expected for one in answered])
        answers = {"accuracy": float(result["exact"]), "relative_error": float(result["mape"])}
        return answers | {"unanswered": result["unanswered"] / result["items"]}

    def places(self, wanted: Wanted) -> bool:
        """The answer is read from boxes."""
        return True

    def serve(self, engine: Engine, rasters: Sequence[Raster], wanted: Wanted) -> Served:
        """Answer with a line a class."""
        (row,) = self.rows(engine, rasters, [wanted])
        lines = [f"{name}: {number}" for name, number in row["counts"].items()]
        return Served("\n".join(lines), was_cut(row["problems"]), extra=row)

    def rows(
        self, engine: Engine, rasters: Sequence[Raster], wanted: Sequence[Wanted], journal: Any = None
    ) -> list[Row]:
        """Count what is detected on each image; a journal of finished tiles takes up one image."""
        found = []
        for raster, one in zip(rasters, wanted, strict=True):
            counted = count(engine, raster, one.classes or (), journal=journal, **detection_options(one))
            problems = {} if counted.detections is None else dict(counted.detections.problems)
            found.append({"counts": counted.counts, "problems": problems})
        return found


TASK = Count()


def count(
    engine: Engine,
    image: Any,
    classes: Iterable[str],
    *,
    how: Literal["boxes", "words", "masks"] = "boxes",
    segment: ClassMask | None = None,
    max_new_tokens: int | None = None,
    **options: Any,
) -> Counted:
    """Count objects of some classes.

    Args:
        engine: Who answers.
        image: Whatever ``open_image`` takes.
        classes: Class names.
        how: ``"boxes"`` detects, tile by tile on a large image, and counts what it found, so that every one counted can
            be looked at; ``"words"`` asks how many there are, once a class, about the image as a whole; ``"masks"`` counts
            the separate parts of the mask of a class, which suits things that boxes overlap.
        segment: For ``"masks"``: returns the mask of a class, given the image and the name.
        max_new_tokens: Limit of an answer.
        options: Further settings of :func:`~rscovlm.tasks.detect`; for ``"masks"`` those of
            :func:`~rscovlm.points.counting.count_areas`.

    Raises:
        ValueError: No class, another ``how``, ``"masks"`` without ``segment``, options with ``"words"``, or an image that cannot be read.
    """
    names = [] if isinstance(classes, str) else check_names(classes, "class")
    if how not in ("boxes", "words", "masks") or not names:
        raise ValueError(
            f"how is {how!r} and classes {classes!r}; give 'boxes', 'words' or 'masks', and a list of class names"
        )
    if (how == "masks") != (segment is not None):
        raise ValueError(
            f"how is {how!r} and segment {segment!r}; 'masks' needs a function that segments, no other does"
        )
    if segment is not None:
        raster = open_image(image)
        return Counted({name: count_areas(segment(raster, name), **options).number for name in names})
    if how == "boxes":
        detections = detect(engine, image, names, max_new_tokens=max_new_tokens or 4096, **options)
        found = detections.counts()
        return Counted({name: found[name] for name in names}, detections=detections)
    if options:
        raise ValueError(f"how='words' takes no {', '.join(sorted(options))}; these are settings of detection")
    check_engine(engine)
    view = overview(open_image(image), engine)
    asked = [question(dialect_of(engine), name).conversation([view.image], view.frame) for name in names]
    answers = replies(engine, asked, max_new_tokens=max_new_tokens or 32)
    texts = {name: reply.text.strip() for name, reply in zip(names, answers, strict=True)}
    return Counted({name: whole_number_in(text) for name, text in texts.items()}, texts=texts)


def whole_number_in(text: str) -> int | None:
    """Return the number of objects that an answer names first, in digits or in words; ``None`` where it is none.

    >>> whole_number_in("There are three."), whole_number_in("1,234 ships"), whole_number_in("many"), whole_number_in("-2")
    (3, 1234, None, None)
    """
    number = number_in(text)
    return int(number) if number is not None and 0 <= number < 1e15 and number == int(number) else None
