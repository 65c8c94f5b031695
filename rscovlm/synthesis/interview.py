"""Asking a model many things, once each: within a budget, not too fast, every reply kept, and picked up where it stopped."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

from rscovlm.engines.engine import Conversation
from rscovlm.records.rows import Row
from rscovlm.records.tally import Rejected
from rscovlm.zoom.journal import Journal, read_rows

REPLIES = "replies"
"""Kind of the journal."""


class Writer(Protocol):
    """Whoever answers: any engine of `rscovlm.engines`, for instance a client of an OpenAI-compatible server."""

    def generate(
        self, conversations: Sequence[Any], *, max_new_tokens: int = ..., logprobs: bool = ...
    ) -> Sequence[Any]:
        """Answer conversations with replies that have `text` and `tokens`."""


TRIES = 2
"""Requests for one question in one run, where replies cannot be used."""


def any_reply(reply: str) -> bool:
    """Take any reply."""
    return True


@dataclass(frozen=True)
class Ask:
    """One thing to ask.

    Attributes:
        key: The same for the same question, whenever it is asked: replies are found again by it.
        messages: Makes the messages when they are needed, since pictures are large.
        usable: Tells whether a reply can be used; one that cannot is asked for again, in this run and in the next.
    """

    key: str
    messages: Callable[[], list[dict[str, Any]]]
    usable: Callable[[str], bool] = any_reply


class Interview:
    """Asks a writer and keeps every reply in a file of JSON lines.

    Args:
        writer: Who answers.
        journal: The file; replies in it are not asked for again, unless they cannot be used. A line cut short by a crash is asked for again.
        requests_per_minute: Starts of requests are spread out to this rate; 0 is as fast as it goes.
        max_requests: No more than this are sent in this run.
        max_tokens: No request is sent once the journal's replies have this many tokens together.
        max_new_tokens: Of one reply.
        concurrency: Requests in flight.

    Attributes:
        sent: Requests sent in this run.
        tokens: Tokens of all replies in the journal.
    """

    def __init__(
        self,
        writer: Writer,
        journal: str | Path,
        *,
        requests_per_minute: float = 0,
        max_requests: int | None = None,
        max_tokens: int | None = None,
        max_new_tokens: int = 256,
        concurrency: int = 1,
    ) -> None:
        if concurrency < 1 or requests_per_minute < 0 or max_new_tokens < 1:
            raise ValueError(
                f"concurrency {concurrency}, requests_per_minute {requests_per_minute}, max_new_tokens {max_new_tokens}: "
                "give at least 1, 0 and 1"
            )
        self._writer, self._path = writer, Path(journal)
        self._interval = 60 / requests_per_minute if requests_per_minute else 0.0
        self._max_requests, self._max_tokens, self._max_new_tokens = max_requests, max_tokens, max_new_tokens
        self._concurrency = concurrency
        self._lock = threading.Lock()
        self._next = 0.0
        self._replies: dict[str, tuple[str, int]] = {}
        if self._path.exists():
            self._take(read_rows(self._path, kind=REPLIES))
        self._journal: Journal | None = None
        self.sent = 0

    @property
    def tokens(self) -> int:
        """Tokens of all replies kept so far."""
        with self._lock:
            return sum(tokens for _, tokens in self._replies.values())

    def ask(self, questions: Iterable[Ask]) -> Iterator[tuple[Ask, str | None]]:
        """Yield each question with its reply, in order; None where the budget did not reach.

        Raises:
            ValueError: The journal is open in another process, or is another file.
            Exception: Whatever the writer raises. The replies so far are kept, and asking again resumes from there.
        """
        source = iter(questions)
        with Journal(self._path, kind=REPLIES) as self._journal, ThreadPoolExecutor(self._concurrency) as pool:
            self._take(self._journal)
            while batch := list(islice(source, 4 * self._concurrency)):
                futures = [pool.submit(self._one, question) for question in batch]
                try:
                    for question, future in zip(batch, futures, strict=True):
                        yield question, future.result()
                finally:
                    for future in futures:
                        future.cancel()

    def _one(self, question: Ask) -> str | None:
        with self._lock:
            known = self._replies.get(question.key)
        reply = None if known is None else known[0]
        for _ in range(TRIES):
            if reply is not None and question.usable(reply):
                return reply
            sent = self._send(question)
            if sent is None:
                break
            reply = sent
        return reply

    def _send(self, question: Ask) -> str | None:
        """Send a request and keep its reply; None where the budget is spent."""
        with self._lock:
            if self._spent():
                return None
            self.sent += 1
            start = max(time.monotonic(), self._next)
            self._next = start + self._interval
        time.sleep(max(0.0, start - time.monotonic()))
        (reply,) = self._writer.generate([Conversation(question.messages())], max_new_tokens=self._max_new_tokens)
        with self._lock:
            # A later row of the journal stands for an earlier one of the same question.
            self._replies[question.key] = (reply.text, reply.tokens)
            if self._journal is not None:
                self._journal.append([{"key": question.key, "reply": reply.text, "tokens": reply.tokens}])
        return str(reply.text)

    def _spent(self) -> bool:
        if self._max_requests is not None and self.sent >= self._max_requests:
            return True
        return self._max_tokens is not None and sum(tokens for _, tokens in self._replies.values()) >= self._max_tokens

    def _take(self, rows: Iterable[dict[str, Any]]) -> None:
        """Take the replies of earlier runs."""
        for row in rows:
            try:
                kept = Row(row)
                self._replies[kept.text("key")] = (kept.text("reply"), kept.whole("tokens"))
            except Rejected as error:
                raise ValueError(f"{self._path} holds a row that is no reply ({error}); remove that line") from error
