"""The engine as one call of an agent has it: it stops when the call has taken too long."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rscovlm.engines.engine import Conversation, Reply, dialect_of, replies

if TYPE_CHECKING:
    from rscovlm.codec import Codec
    from rscovlm.codec.dialect import Dialect
    from rscovlm.engines import Engine
    from rscovlm.processing.resolution import PixelBudget


class DeadlineEngine:
    """An engine that refuses the next replies of a call when its time is over.

    Args:
        engine: Who answers.
        seconds: Time from now; looked at before each batch of replies.

    Attributes:
        codec: The engine's.
        budget: The engine's.
        dialect: The engine's.
    """

    def __init__(self, engine: Engine, seconds: float) -> None:
        self._engine, self._seconds, self._start = engine, seconds, time.monotonic()
        self.codec: Codec = engine.codec
        self.budget: PixelBudget = engine.budget
        self.dialect: Dialect = dialect_of(engine)

    def check(self) -> None:
        """Refuse more work when the time is over.

        Raises:
            ValueError: It is.
        """
        if time.monotonic() - self._start > self._seconds:
            raise ValueError(
                f"the call took longer than {self._seconds:g} seconds; ask about a smaller image or fewer classes, or "
                "restart the server with a larger --max-seconds"
            )

    def generate(
        self, conversations: Sequence[Conversation], *, max_new_tokens: int = 1024, logprobs: bool = False
    ) -> list[Reply]:
        """Answer each conversation; see :class:`~rscovlm.engines.Engine`.

        Raises:
            ValueError: The time is over.
        """
        self.check()
        return replies(self._engine, conversations, max_new_tokens=max_new_tokens, logprobs=logprobs)
