"""Captions: what an image shows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from rscovlm.codec.dialect import Dialect
from rscovlm.codec.wording import plainest
from rscovlm.engines.engine import check_engine, dialect_of
from rscovlm.rasters import Raster
from rscovlm.records import Record
from rscovlm.tasks.task import Draw, Example, Question, Row, Shown, Task
from rscovlm.tasks.wanted import Wanted
from rscovlm.tasks.words import WordAnswer, in_words

if TYPE_CHECKING:
    from rscovlm.engines.engine import Engine


def question(dialect: Dialect, *, pick: Callable[[int], int] = plainest, change: bool = False) -> Question:
    """Return the text that asks for a description.

    Args:
        dialect: Whose words.
        pick: Chooses one of several wordings.
        change: Ask what differs between several images.

    >>> question(Dialect.preset("rscovlm-v1")).user
    'Describe this image.'
    """
    asked = dialect.ask("caption_change" if change else "caption", pick=pick)
    return Question(asked.system, asked.user, gsd=asked.gsd)


class Caption(Task):
    """A description of an image."""

    name = "caption"
    category = "image-to-text"

    def needs(self, record: Record) -> Iterable[tuple[bool, str]]:
        """At least one description."""
        yield not any(text.strip() for text in record.captions), "no caption"

    def example(self, record: Record, shown: Shown, draw: Draw) -> Example:
        """Ask for a description and answer with one of the references."""
        chosen = record.captions[int(draw.rng.integers(len(record.captions)))]
        return Example.of(question(draw.dialect, pick=draw.pick), chosen, shown)

    def asks(self, record: Record, dialect: Dialect) -> Question:
        """Ask for a description."""
        return question(dialect)

    def truth(self, record: Record, size: tuple[int, int]) -> dict[str, Any]:
        """All references."""
        return {"captions": list(record.captions)}

    def rows(
        self, engine: Engine, rasters: Sequence[Raster], wanted: Sequence[Wanted], journal: Any = None
    ) -> list[Row]:
        """Describe all images as one batch."""
        told = caption(engine, rasters, **wanted[0].limit)
        return [{"caption": said.text, "finish": said.finish} for said in told]


TASK = Caption()


def caption(engine: Engine, images: Iterable[Any], *, batch: int = 16, max_new_tokens: int = 512) -> list[WordAnswer]:
    """Describe each image.

    Args:
        engine: Who answers.
        images: What ``open_image`` takes, any number; ``batch`` of them are held at a time.
        batch: Images read and asked about at a time.
        max_new_tokens: Limit of an answer.

    Raises:
        ValueError: An image cannot be read.
    """
    check_engine(engine)
    return list(in_words(engine, images, question(dialect_of(engine)), batch, max_new_tokens))
