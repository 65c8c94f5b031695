"""The memory that all requests of a server decode their pictures in."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rscovlm.serving.refusals import BadRequest

_LOOK = 0.5
"""Seconds between looks at whether it is still worth waiting."""


class MemoryBudget:
    """Bytes that are taken before they are used, first come, first served.

    Each holds one share at a time, so that none waits for another while it holds what that one waits for.

    Args:
        most: Bytes of all shares.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self.taken = 0
        self._news = threading.Condition()
        self._queue: deque[object] = deque()

    @contextmanager
    def share(self, size: int, still: Callable[[], None]) -> Iterator[None]:
        """Wait for so many bytes, and hold them.

        Args:
            size: Bytes.
            still: Called while it waits; what it raises ends the waiting.

        Raises:
            BadRequest: There are not so many, however long one waits.
        """
        if size > self.most:
            raise BadRequest(
                f"the images need {-(-size // 2**20)} MiB of memory to decode, by their headers; {self.most // 2**20} are "
                "allowed, so send smaller ones, or large ones as tiled GeoTIFF",
                413,
                param="messages",
            )
        turn = object()
        with self._news:
            self._queue.append(turn)
            try:
                while self._queue[0] is not turn or self.taken + size > self.most:
                    self._news.wait(_LOOK)
                    still()
            except BaseException:
                self._queue.remove(turn)
                self._news.notify_all()
                raise
            self._queue.popleft()
            self.taken += size
            self._news.notify_all()
        try:
            yield
        finally:
            with self._news:
                self.taken -= size
                self._news.notify_all()
