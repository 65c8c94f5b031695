"""Scene classification: what kind of scene an image shows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from rscovlm.codec.categories import Matcher, spoken
from rscovlm.codec.control_tokens import check_names
from rscovlm.codec.dialect import Dialect
from rscovlm.codec.grammar import choice_grammar
from rscovlm.codec.wording import plainest
from rscovlm.engines.engine import check_engine, dialect_of
from rscovlm.rasters import Raster
from rscovlm.records import Record
from rscovlm.tasks.served import Served
from rscovlm.tasks.task import Draw, Example, Question, Row, Shown, Task
from rscovlm.tasks.wanted import Wanted
from rscovlm.tasks.words import WordAnswer, in_words

if TYPE_CHECKING:
    from rscovlm.engines.engine import Engine


def question(
    dialect: Dialect,
    classes: Iterable[str] | None = None,
    *,
    pick: Callable[[int], int] = plainest,
) -> Question:
    """Return the question for the kind of scene, with the classes to choose from where there are some.

    Args:
        dialect: Whose words.
        classes: Classes to choose from, in the order given; None for an open question.
        pick: Chooses one of several wordings.

    Raises:
        ValueError: The list of classes is empty.

    >>> question(Dialect.preset("rscovlm-v1"), ["harbor", "airport"]).user
    'Which of these is it: harbor, airport?'
    """
    if classes is None:
        asked = dialect.ask("classify_open", pick=pick)
        return Question(asked.system, asked.user, gsd=asked.gsd)
    names = list(dict.fromkeys(spoken(name) for name in classes))
    if not any(names):
        raise ValueError("no class to choose from; give class names, or None for an open question")
    asked = dialect.ask("classify", pick=pick, classes=", ".join(names))
    return Question(asked.system, asked.user, gsd=asked.gsd)


class Classify(Task):
    """The kind of scene."""

    name = "classify"
    category = "image-classification"
    named = True
    may = ("classes",)

    def needs(self, record: Record) -> Iterable[tuple[bool, str]]:
        """At least one class."""
        yield not record.classes, "no class"

    def example(self, record: Record, shown: Shown, draw: Draw) -> Example:
        """Ask openly or with the classes to choose from, and answer with the class or classes."""
        offered = record.categories if record.categories and draw.chance(draw.options.offer_rate) else None
        asked = question(draw.dialect, offered, pick=draw.pick)
        return Example.of(asked, ", ".join(spoken(name) for name in record.classes), shown)

    def asks(self, record: Record, dialect: Dialect) -> Question:
        """Ask for the class, among those to choose from where the record has them."""
        return question(dialect, record.categories or None)

    def truth(self, record: Record, size: tuple[int, int]) -> dict[str, Any]:
        """The class or classes, as prompts give them."""
        return {"answer": ", ".join(spoken(name) for name in record.classes)}

    def serve(self, engine: Engine, rasters: Sequence[Raster], wanted: Wanted) -> Served:
        """Answer with the class, or with the model's words where they mean none."""
        said = _said(engine, rasters[0], wanted)
        extra = {"label": said.label} if wanted.classes else {}
        return Served(said.label or said.text, said.finish != "stop", extra=extra)

    def rows(
        self, engine: Engine, rasters: Sequence[Raster], wanted: Sequence[Wanted], journal: Any = None
    ) -> list[Row]:
        """Ask about each image, with its own classes."""
        found = []
        for raster, one in zip(rasters, wanted, strict=True):
            said = _said(engine, raster, one)
            ended = {"finish": said.finish} if said.finish != "stop" else {}
            found.append({"label": said.label if one.classes else said.text, "text": said.text, **ended})
        return found


TASK = Classify()


def _said(engine: Engine, raster: Raster, wanted: Wanted) -> WordAnswer:
    held = wanted.constrained and bool(wanted.classes)
    (said,) = classify(engine, [raster], wanted.classes or None, constrained=held, **wanted.limit)
    return said


def classify(
    engine: Engine,
    images: Iterable[Any],
    classes: Iterable[str] | None = None,
    *,
    offer: bool = True,
    cutoff: float | None = None,
    constrained: bool = False,
    batch: int = 16,
    max_new_tokens: int = 32,
) -> list[WordAnswer]:
    """Name the kind of scene of each image.

    Args:
        engine: Who answers.
        images: What ``open_image`` takes, any number; ``batch`` of them are held at a time.
        classes: The classes there are: :attr:`WordAnswer.label` is the one that the answer means. ``None`` asks openly.
        offer: Tell the model the classes; False asks openly and only matches the answer.
        cutoff: Least similarity, in (0, 1], at which an answer means the closest class; ``None`` for never.
        constrained: Hold the model to one of the classes.
        batch: Images read and asked about at a time.
        max_new_tokens: Limit of an answer.

    Raises:
        ValueError: There is no class in the list, nothing to be held to, or an image cannot be read.
    """
    check_engine(engine)
    dialect = dialect_of(engine)
    names = classes if classes is None or isinstance(classes, str) else check_names(classes, "class")
    asked = question(dialect, names if offer else None)
    if names is None:
        if constrained:
            raise ValueError("constrained is true without classes to choose from; give classes too")
        return list(in_words(engine, images, asked, batch, max_new_tokens))
    grammar = choice_grammar([spoken(name) for name in names]) if constrained else None  # also where none are offered
    match = Matcher(names, cutoff)
    said = []
    for one in in_words(engine, images, replace(asked, grammar=grammar), batch, max_new_tokens):
        label, problem = match(one.text.rstrip("."))
        known = label if problem != "unknown_label" else None
        said.append(WordAnswer(one.text, known, one.finish, one.tokens, one.seconds))
    return said
