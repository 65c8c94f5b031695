"""Connections that are bounded in number, and in the time they take to say what they want."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING, Any

from uvicorn.protocols.http.h11_impl import H11Protocol

if TYPE_CHECKING:
    from rscovlm.serving.metrics import Metrics


class BoundedConnection(H11Protocol):
    """One connection of uvicorn's, which itself waits for the head of a request as long as a client likes.

    Where too many are open, one that waits for its client gives way to the new one, so that nobody is kept out by clients
    who say nothing.

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
        self._heard = self.loop.time()

    @property
    def waits(self) -> bool:
        """Whether the next word is the client's: the head of a request, the rest of its body, or that it reads."""
        cycle = self.cycle
        return cycle is None or cycle.response_complete or cycle.more_body or self.flow.write_paused

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's
        """Close another connection where too many are open, or this one where all others are being answered."""
        super().connection_made(transport)
        if len(self.connections) > self._most:
            self._metrics.refused.inc()
            given_up = self._most_idle()
            given_up.transport.abort()
            self.connections.discard(given_up)
            if given_up is self:
                return
        self._wait_for_a_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the clock."""
        self._stop_the_clock()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Note when the client was heard last."""
        self._heard = self.loop.time()
        super().data_received(data)

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

    def _most_idle(self) -> BoundedConnection:
        """Return the connection that is missed least: of the address that holds most, the one silent for longest."""
        others = [
            one for one in self.connections if isinstance(one, BoundedConnection) and one is not self and one.waits
        ]
        held = Counter(one.client[0] if one.client else "" for one in others)
        return min(others, key=lambda one: (-held[one.client[0] if one.client else ""], one._heard), default=self)

    def _wait_for_a_head(self) -> None:
        self._stop_the_clock()
        self._deadline = self.loop.call_later(self._seconds, self._hang_up)

    def _stop_the_clock(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()

    def _hang_up(self) -> None:
        self._metrics.slow.inc()
        self.transport.abort()
