"""Questions about images, answered in words, with a closer look where the model asks for one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from string import ascii_uppercase
from typing import TYPE_CHECKING, Any

from rscovlm.codec.dialect import Dialect
from rscovlm.codec.wording import plainest
from rscovlm.engines.engine import dialect_of
from rscovlm.rasters import Raster, open_image
from rscovlm.records import Record, Turn
from rscovlm.tasks.task import Draw, Example, Question, Row, Shown, Task
from rscovlm.tasks.wanted import Wanted
from rscovlm.zoom.chain import ZoomChain

if TYPE_CHECKING:
    from rscovlm.engines.engine import Engine
    from rscovlm.zoom.result import ZoomResult


def question(
    dialect: Dialect, text: str, choices: Sequence[str] = (), *, pick: Callable[[int], int] = plainest
) -> Question:
    """Return a question as it is asked, with its choices in lettered lines where it has some.

    >>> print(question(Dialect.preset("rscovlm-v1"), "Which?", ["a ship", "a plane"]).user)
    Which?
    (A) a ship
    (B) a plane
    Answer with the letter of the right option.
    """
    if choices:
        asked = dialect.ask("answer_choices", pick=pick, question=text, options=options(choices))
    else:
        asked = dialect.ask("answer", pick=pick, question=text)
    return Question(asked.system, asked.user, gsd=asked.gsd)


def options(choices: Sequence[str]) -> str:
    """Return the choices of a question, a lettered line each.

    >>> options(["a ship", "a plane"])
    '(A) a ship\\n(B) a plane'
    """
    return "\n".join(f"({letter}) {text}" for letter, text in zip(ascii_uppercase, choices, strict=False))


def question_needs(record: Record) -> Iterable[tuple[bool, str]]:
    """Yield what a record with a question may lack."""
    yield not record.question.strip(), "answer without a question" if record.answer else "no question"
    yield not record.answer.strip(), "empty answer"


class AnswerTask(Task):
    """A question and its answer."""

    name = "ask"
    wants = ("question",)
    converses = True
    choosable = True
    category = "visual-question-answering"

    def needs(self, record: Record) -> Iterable[tuple[bool, str]]:
        """A question and an answer."""
        return question_needs(record)

    def example(self, record: Record, shown: Shown, draw: Draw) -> Example:
        """Ask the question and answer it."""
        asked = question(draw.dialect, record.question, record.choices, pick=draw.pick)
        return Example.of(asked, record.answer, shown)

    def asks(self, record: Record, dialect: Dialect) -> Question:
        """Ask the question, with its choices where it has some."""
        return question(dialect, record.question, record.choices)

    def turns(self, record: Record) -> tuple[Turn, ...]:
        """The question, with its choices in lettered lines, and the answer."""
        asked = "\n".join([record.question, *([options(record.choices)] if record.choices else [])])
        return Turn("user", asked), Turn("assistant", record.answer)

    def places(self, wanted: Wanted) -> bool:
        """A closer look is called by coordinates; an answer from the overview needs none."""
        return wanted.zoom

    def rows(
        self, engine: Engine, rasters: Sequence[Raster], wanted: Sequence[Wanted], journal: Any = None
    ) -> list[Row]:
        """Answer the question of each image as one batch, looking closer where that is allowed."""
        pairs = [(raster, one.question or "") for raster, one in zip(rasters, wanted, strict=True)]
        chain = ZoomChain(engine, policy=wanted[0].policy, **wanted[0].limit)
        return [chain_row(result) for result in _asked(chain, pairs, zoom=wanted[0].zoom, pictures=False)]


TASK = AnswerTask()


def chain_row(result: ZoomResult) -> Row:
    """Return what a chain said and saw as plain JSON values."""
    row = {
        "question": result.question,
        "answer": result.answer,
        "stopped": result.stopped,
        "windows": [list(window) for window in result.windows],
        "tokens": result.tokens,
        "problems": dict(result.problems),
    }
    row |= {"declined": result.declined} if result.declined else {}
    return row | ({"finish": result.finish} if result.finish != "stop" else {})


def answer(
    engine: Engine, image: Any, questions: Sequence[str], *, zoom: bool = True, **options: Any
) -> list[ZoomResult]:
    """Answer questions about one image, looking closer where the model asks to; all questions go in batches.

    Args:
        engine: Who answers.
        image: Whatever ``open_image`` takes, or a list of those for questions about several images.
        questions: The questions.
        zoom: False answers from the overview.
        options: Further settings of :class:`~rscovlm.zoom.ZoomChain`.

    Raises:
        ValueError: An image cannot be read, or an option has no meaning.
        TypeError: One string instead of a list.
    """
    if isinstance(questions, str):
        raise TypeError(f"questions is the string {questions!r}; give a list of questions")
    chain = ZoomChain(engine, **options)
    opened = [open_image(one) for one in image] if isinstance(image, (list, tuple)) else open_image(image)
    return _asked(chain, [(opened, text) for text in questions], zoom=zoom, pictures=True)


def _asked(chain: ZoomChain, pairs: Sequence[tuple[Any, str]], *, zoom: bool, pictures: bool) -> list[ZoomResult]:
    """Ask in the words of the dialect; results tell the question as it was given."""
    dialect = dialect_of(chain.engine)
    asked = [(image, question(dialect, text).user) for image, text in pairs]
    results = chain.ask_many(asked, zoom=zoom, pictures=pictures)
    return [replace(result, question=text) for result, (_, text) in zip(results, pairs, strict=True)]
