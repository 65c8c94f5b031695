"""Asking about the windows of several images in common batches."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, TypeVar

from rscovlm.engines.engine import Conversation, Reply, replies

if TYPE_CHECKING:
    from rscovlm.engines.engine import Engine

T = TypeVar("T")

BATCH = 16
"""Windows that are read and asked about at a time."""


def batched_replies(
    engine: Engine, asked: Iterable[tuple[T, Conversation | None]], *, batch: int = BATCH, max_new_tokens: int
) -> Iterator[tuple[T, Reply | None]]:
    """Ask so many conversations at a time, and yield each reply beside what came with its conversation, in their order.

    Args:
        engine: Who answers.
        asked: Anything, and what is asked about it; None passes through in its place, to mark the end of an image.
        batch: Conversations made and asked at a time.
        max_new_tokens: Limit of an answer.
    """
    waiting = iter(asked)
    while chunk := list(islice(waiting, max(1, batch))):
        sent = [conversation for _, conversation in chunk if conversation is not None]
        answers = iter(replies(engine, sent, max_new_tokens=max_new_tokens))
        for about, conversation in chunk:
            yield about, None if conversation is None else next(answers)
