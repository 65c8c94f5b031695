"""Many callers, one engine: what waits at the same time is answered as one batch."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import Future
from typing import TYPE_CHECKING

from rscovlm.engines.engine import Conversation, Reply, dialect_of, replies
from rscovlm.serving.metering import estimated_tokens

if TYPE_CHECKING:
    from rscovlm.codec import Codec
    from rscovlm.codec.dialect import Dialect
    from rscovlm.engines import Engine
    from rscovlm.processing.resolution import PixelBudget

_Options = tuple[int, bool]
_Waiting = tuple[_Options, list[Conversation], "Future[list[Reply]]"]


class Batched:
    """An engine that may be called from many threads and calls the one below from a single thread of its own.

    Args:
        engine: Who answers.

    Attributes:
        codec: The engine's.
        budget: The engine's.
        dialect: The engine's.
        batches: How often the engine below was called.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.codec: Codec = engine.codec
        self.budget: PixelBudget = engine.budget
        self.dialect: Dialect = dialect_of(engine)
        self.batches = 0
        self._waiting: list[_Waiting] = []
        self._news = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._work, name="rscovlm-engine", daemon=True)
        self._thread.start()

    def generate(
        self, conversations: Sequence[Conversation], *, max_new_tokens: int = 1024, logprobs: bool = False
    ) -> list[Reply]:
        """Answer each conversation; see :class:`~rscovlm.engines.Engine`.

        Raises:
            RuntimeError: The engine was closed.
        """
        answered: Future[list[Reply]] = Future()
        with self._news:
            if self._closed:
                raise RuntimeError("this engine was closed; the server is shutting down")
            self._waiting.append(((max_new_tokens, logprobs), list(conversations), answered))
            self._news.notify()
        return answered.result()

    def count_tokens(self, text: str) -> int:
        """Return how many tokens a text has: as the engine counts them, else about so many."""
        count = getattr(self._engine, "count_tokens", estimated_tokens)
        return int(count(text))

    def close(self) -> None:
        """Answer what waits, then end the thread."""
        with self._news:
            self._closed = True
            self._news.notify()
        self._thread.join()

    def _work(self) -> None:
        while True:
            with self._news:
                while not self._waiting and not self._closed:
                    self._news.wait()
                if not self._waiting:
                    return
                options = self._waiting[0][0]
                taken = [one for one in self._waiting if one[0] == options]
                self._waiting = [one for one in self._waiting if one[0] != options]
            self._answer(options, taken)

    def _answer(self, options: _Options, taken: Sequence[_Waiting]) -> None:
        asked = [conversation for _, conversations, _ in taken for conversation in conversations]
        try:
            self.batches += 1
            answers = replies(self._engine, asked, max_new_tokens=options[0], logprobs=options[1])
        except BaseException as error:  # noqa: BLE001  the caller gets it; the thread lives on for the others
            if len(taken) == 1:
                taken[0][2].set_exception(error)
                return
            for one in taken:  # one caller's mistake is not the others'
                self._answer(options, [one])
            return
        place = 0
        for _, conversations, answered in taken:
            answered.set_result(answers[place : place + len(conversations)])
            place += len(conversations)
