"""Segmentation: the outlines of what an expression or class names mean; known as records, not yet written as text."""

from __future__ import annotations

from collections.abc import Iterable

from rscovlm.records import Record
from rscovlm.tasks.task import Task


class Segment(Task):
    """Outlines of objects."""

    name = "segment"

    def needs(self, record: Record) -> Iterable[tuple[bool, str]]:
        """What is meant, and its outline."""
        yield not (record.expression or record.categories), "no expression"
        yield not (record.objects or record.masks), "no mask"


TASK = Segment()
