"""Connections that are bounded in number, and in the time they take to say what they want."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from uvicorn.protocols.http.h11_impl import H11Protocol

if TYPE_CHECKING:
    from rscovlm.serving.metrics import Metrics


class BoundedConnection(H11Protocol):
    """One connection of uvicorn's, which itself waits for the head of a request as long as a client likes.

    Args:
        most: Connections open at a time.
        seconds: Time for the head of a request.
        metrics: Counts what is refused.
        given: What uvicorn gives.
    """

    def __init__(self, *, most: int, seconds: float, metrics: Metrics, **given: Any) -> None:
        super().__init__(**given)
        self._most, self._seconds, self._metrics = most, seconds, metrics
        self._deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's
        """Hang up where too many are open already."""
        super().connection_made(transport)
        if len(self.connections) > self._most:
            self._metrics.refused.inc()
            transport.abort()
        else:
            self._wait_for_a_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the clock."""
        self._stop_the_clock()
        super().connection_lost(exc)

    def handle_events(self) -> None:
        """Stop the clock when a head is there."""
        before = self.cycle
        super().handle_events()
        if self.cycle is not before:
            self._stop_the_clock()

    def on_response_complete(self) -> None:
        """Start the clock for the next request."""
        self._wait_for_a_head()
        super().on_response_complete()

    def _wait_for_a_head(self) -> None:
        self._stop_the_clock()
        self._deadline = self.loop.call_later(self._seconds, self._hang_up)

    def _stop_the_clock(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()

    def _hang_up(self) -> None:
        self._metrics.slow.inc()
        self.transport.abort()
