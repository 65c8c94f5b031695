"""The way from the thread that answers a request back to its client."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import AsyncIterator, Callable, Mapping
from typing import TYPE_CHECKING, Any

from starlette.requests import Request as HTTPRequest
from starlette.responses import JSONResponse, Response, StreamingResponse

from rscovlm.serving.completions import DONE, WAITING, Completion, event
from rscovlm.serving.refusals import BadRequest, error_body

if TYPE_CHECKING:
    from rscovlm.serving.answering import Answer
    from rscovlm.serving.requests import Request

_LOG = logging.getLogger(__name__)
# Seconds between looks at whether the client is still there.
_LOOK = 1.0
# Seconds without an event after which a stream says that it lives: proxies cut what is silent.
_SILENCE = 15.0


class Replying:
    """One body, or a stream that begins with the first thing there is to say.

    Its methods but :meth:`response` are for the thread that answers.

    Args:
        completion: Gives the answer its form.
    """

    def __init__(self, completion: Completion) -> None:
        self._completion = completion
        self._loop = asyncio.get_running_loop()
        self._said: asyncio.Queue[Response | bytes | None] = asyncio.Queue()
        self._request: Request | None = None
        self._streaming = self._gone = False

    def run(self, work: Callable[[Replying], Answer]) -> None:
        """Answer a request, or say why not."""
        try:
            self._end(work(self))
        except BadRequest as error:
            self._fail(error.status, str(error), error.param)
        except ConnectionError:
            _LOG.debug("a client left before its answer came")
        except Exception:  # noqa: BLE001  the client learns nothing of it, the log everything
            name = secrets.token_hex(6)
            _LOG.exception("request %s failed", name)
            self._fail(500, f"the request failed here; the log knows it as {name}")

    def begin(self, request: Request) -> None:
        """Take note of how the client wants to be answered."""
        self._request = request
        self._completion.name(request.model)

    def check(self) -> None:
        """Find out whether it is still worth answering.

        Raises:
            ConnectionError: The client is gone.
        """
        if self._gone:
            raise ConnectionError("the client is gone")

    def progress(self, about: Mapping[str, Any]) -> None:
        """Tell a client that streams what was done.

        Raises:
            ConnectionError: The client is gone.
        """
        self.check()
        if self._request is not None and self._request.stream:
            self._open()
            self._say(self._completion.step(about))

    async def response(self, client: HTTPRequest) -> Response:
        """Wait for the first thing said and return what is sent; a client that leaves meanwhile ends the answering."""
        while True:
            try:
                first = await asyncio.wait_for(self._said.get(), _LOOK)
            except TimeoutError:
                self._gone = self._gone or await client.is_disconnected()
                if self._gone:
                    return Response(status_code=499)
                continue
            if isinstance(first, Response):
                return first
            headers = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
            return StreamingResponse(self._stream(first), media_type="text/event-stream", headers=headers)

    async def _stream(self, piece: Response | bytes | None) -> AsyncIterator[bytes]:
        try:
            while isinstance(piece, bytes):
                yield piece
                try:
                    piece = await asyncio.wait_for(self._said.get(), _SILENCE)
                except TimeoutError:
                    piece = WAITING
        finally:
            self._gone = True

    def _end(self, answer: Answer) -> None:
        if self._request is None or not self._request.stream:
            self._say(JSONResponse(self._completion.whole(answer)))
            return
        self._open()
        for piece in self._completion.pieces(answer, usage=self._request.usage):
            self._say(piece)
        self._say(None)

    def _fail(self, status: int, message: str, param: str | None = None) -> None:
        """Refuse; where the stream has begun, its last event says so."""
        if not self._streaming:
            self._say(refused(status, message, param))
            return
        for piece in (event(error_body(status, message, param)), DONE, None):
            self._say(piece)

    def _open(self) -> None:
        if not self._streaming:
            self._streaming = True
            self._say(self._completion.opening())

    def _say(self, what: Response | bytes | None) -> None:
        self._loop.call_soon_threadsafe(self._said.put_nowait, what)


def refused(status: int, message: str, param: str | None = None) -> Response:
    """Return a refusal in the form of the OpenAI API; what is left of its request is not read."""
    headers = {"Connection": "close"} | ({"Retry-After": "1"} if status == 429 else {})
    return JSONResponse(error_body(status, message, param), status, headers)
