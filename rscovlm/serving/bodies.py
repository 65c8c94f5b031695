"""Bodies as they arrive: room is taken by the bytes that came, never by those that were announced."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

from starlette.requests import ClientDisconnect
from starlette.requests import Request as HTTPRequest

from rscovlm.serving.refusals import BadRequest

SLOWEST = 32 * 2**10
"""Bytes a second below which a body is too slow, after the first seconds, which every body has."""


class Body:
    """A body on its way, or whole and waiting to be answered.

    Attributes:
        size: Bytes of room that it takes.
    """

    def __init__(self, clock: asyncio.Timeout) -> None:
        self._data, self._clock = bytearray(), clock
        self.size = 0
        self.coming, self.gave_way = True, False

    def add(self, piece: bytes) -> None:
        """Take a piece that came."""
        self._data += piece
        self.size += len(piece)

    def give_way(self) -> None:
        """Let go of what came, and end the wait for more."""
        self._data, self.size, self.gave_way = bytearray(), 0, True
        self._clock.reschedule(0)

    def take(self) -> bytearray:
        """Return what came, which this one then no longer holds; its room stays taken until it is let out."""
        data, self._data = self._data, bytearray()
        return data


class BodyRoom:
    """The room for the bodies of all requests; for the event loop alone.

    Where a piece has no room left, the largest of the bodies that are still coming gives way: a client that sends little is never
    kept out by those who hold much without ending.

    Args:
        most: Bytes of all bodies.
        seconds: Time within which a piece must come.
    """

    def __init__(self, most: int, seconds: float) -> None:
        self._most, self._seconds = most, seconds
        self._bodies: set[Body] = set()

    @property
    def held(self) -> int:
        """Bytes held now."""
        return sum(body.size for body in self._bodies)

    def let_out(self, body: Body) -> None:
        """Give the room of a body back."""
        self._bodies.discard(body)

    async def receive(self, client: HTTPRequest) -> Body:
        """Return the whole body of a request, which takes room until it is let out.

        Raises:
            BadRequest: It came too slowly or not whole, or there was no room for it.
        """
        loop = asyncio.get_running_loop()
        start = loop.time()
        try:
            async with self._coming(start + self._seconds) as (body, clock):
                async for piece in client.stream():
                    self._make_room(body, len(piece))
                    body.add(piece)
                    # Bytes that drip buy no time.
                    enough = start + self._seconds + body.size / SLOWEST
                    clock.reschedule(min(loop.time() + self._seconds, enough))
                body.coming = False
                return body
        except TimeoutError:
            if body.gave_way:
                raise BadRequest("too much is waiting; come back in a moment", 429) from None
            raise BadRequest(
                f"the body came too slowly; send a piece every {self._seconds:g} seconds and {SLOWEST} bytes a second",
                408,
            ) from None
        except ClientDisconnect:
            raise BadRequest("the body did not come whole", 400) from None

    @asynccontextmanager
    async def _coming(self, deadline: float) -> AsyncIterator[tuple[Body, asyncio.Timeout]]:
        async with asyncio.timeout_at(deadline) as clock:
            body = Body(clock)
            self._bodies.add(body)
            try:
                yield body, clock
            except BaseException:
                self.let_out(body)
                raise

    def _make_room(self, body: Body, size: int) -> None:
        while self.held > body.size and self.held + size > self._most:  # one alone is always let in
            largest = max(self._candidates(), key=lambda one: one.size + (size if one is body else 0))
            if largest is body:
                raise BadRequest("too much is waiting; come back in a moment", 429)
            largest.give_way()

    def _candidates(self) -> Iterator[Body]:
        return (body for body in self._bodies if body.coming and not body.gave_way)
