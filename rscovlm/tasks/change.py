"""Change: what differs between images of one place at several times, described in words."""

from __future__ import annotations

from collections.abc import Iterable

from rscovlm.codec.dialect import Dialect
from rscovlm.records import Record
from rscovlm.tasks.caption import question
from rscovlm.tasks.task import Draw, Example, Question, Shown, Task


class Change(Task):
    """What changed between images."""

    name = "change"

    def needs(self, record: Record) -> Iterable[tuple[bool, str]]:
        """Images of two times at least."""
        yield len(record.images) < 2, "fewer than two images"

    def example(self, record: Record, shown: Shown, draw: Draw) -> Example:
        """Ask what changed and answer with one of the descriptions; outlines alone have no form as text yet."""
        if not record.captions:
            return super().example(record, shown, draw)
        chosen = record.captions[int(draw.rng.integers(len(record.captions)))]
        return Example.of(question(draw.dialect, pick=draw.pick, change=True), chosen, shown)

    def asks(self, record: Record, dialect: Dialect) -> Question:
        """Ask what changed."""
        return question(dialect, change=True)


TASK = Change()
