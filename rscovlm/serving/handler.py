"""One connection: requests in, answers, streams and errors out."""

from __future__ import annotations

import json
import logging
import secrets
import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from rscovlm.serving.completions import DONE, Completion, event
from rscovlm.serving.refusals import BadRequest, error_body
from rscovlm.serving.requests import Request

if TYPE_CHECKING:
    from rscovlm.serving.answering import Answer
    from rscovlm.serving.server import ZoomServer

_LOG = logging.getLogger(__name__)
_CHAT = "/v1/chat/completions"


class Handler(BaseHTTPRequestHandler):
    """Speaks HTTP with one client."""

    server: ZoomServer
    protocol_version = "HTTP/1.1"
    server_version = "rscovlm"
    sys_version = ""

    def setup(self) -> None:
        """Bound the time of each read."""
        super().setup()
        self.connection.settimeout(self.server.client_timeout)

    def handle_one_request(self) -> None:
        """Wait for a request, and for its whole head, no longer than a client has."""
        self._head = self._clock()
        try:
            super().handle_one_request()
        finally:
            self._head.cancel()

    def parse_request(self) -> bool:
        """Read a request's head."""
        read = super().parse_request()
        self._head.cancel()
        return read

    def do_GET(self) -> None:  # http.server's name
        """Answer about the server itself."""
        if self.headers.get("Content-Length") or self.headers.get("Transfer-Encoding"):
            self.close_connection = True  # a body that nobody reads would be taken for the next request
        path = urlsplit(self.path).path
        if path == "/health":
            self._send(200, {"status": "ok"})
        elif path == "/metrics":
            metrics = self.server.metrics
            batches = self.server.engine.batches
            metrics.add("rscovlm_engine_batches_total", batches - metrics.value("rscovlm_engine_batches_total"))
            self._send_bytes(200, metrics.text().encode(), "text/plain; version=0.0.4; charset=utf-8")
        elif path == "/v1/models" or path.startswith("/v1/models/"):
            if self._let_in():
                self._models(unquote(path.removeprefix("/v1/models")).removeprefix("/"))
        elif path == _CHAT:
            self._refuse(405, f"{_CHAT} takes POST")
        else:
            self._refuse(404, f"there is nothing here; see {_CHAT}, /v1/models, /health, /metrics")

    def do_POST(self) -> None:  # http.server's name
        """Answer a chat request."""
        if urlsplit(self.path).path != _CHAT:
            self._refuse(404, f"there is nothing to post to here; see {_CHAT}")
            return
        if not self._let_in():
            return
        lengths = self.headers.get_all("Content-Length", [])
        stated = lengths[0] if len(lengths) == 1 else ""
        if not (stated.isascii() and stated.isdigit()) or self.headers.get("Transfer-Encoding"):
            self._refuse(411, "state the length of the body in Content-Length")
            return
        replying = _Replying(self, Completion(self.server.model))
        try:
            with self.server.held(int(stated[:18])):
                body = self._read(int(stated))
                if len(body) != int(stated):
                    self.close_connection = True
                    return
                replying.end(self.server.answer(body, replying))
        except BadRequest as error:
            replying.fail(error.status, str(error), error.param)
        except OSError:  # the client is gone, or too slow
            self.close_connection = True
        except Exception:  # noqa: BLE001  the client learns nothing of it, the log everything
            name = secrets.token_hex(6)
            _LOG.exception("request %s failed", name)
            replying.fail(500, f"the request failed here; the log knows it as {name}")

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Refuse what http.server cannot read, in the API's form and without repeating it."""
        self._refuse(int(code), "this is no request that can be read here")

    def log_message(self, format: str, *args: Any) -> None:  # http.server's signature
        """Log at the level of debugging, escaped."""
        _LOG.debug("%s", repr(format % args))

    def begin_stream(self) -> None:
        """Send the head of a stream of events."""
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream; charset=utf-8")
        self.send_header("Cache-Control", "no-cache")
        self.send_header("X-Accel-Buffering", "no")
        if self.request_version == "HTTP/1.0":  # which knows no chunks: the end of the connection is the end
            self.close_connection = True
        else:
            self.send_header("Transfer-Encoding", "chunked")
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()

    def send_piece(self, data: bytes) -> None:
        """Send a piece of a stream; an empty one ends it."""
        self.wfile.write(data if self.request_version == "HTTP/1.0" else b"%x\r\n%b\r\n" % (len(data), data))
        self.wfile.flush()

    def _models(self, name: str) -> None:
        listed = self.server.models()
        if not name:
            self._send(200, {"object": "list", "data": listed})
            return
        found = next((one for one in listed if one["id"] == name), None)
        if found is None:
            self._refuse(404, "there is no such model; see /v1/models", "model")
        else:
            self._send(200, found)

    def _clock(self) -> threading.Timer:
        """Return a running clock that cuts the connection, however steadily its bytes drip."""
        clock = threading.Timer(self.server.client_timeout, self.server.hang_up, [self.connection])
        clock.daemon = True
        clock.start()
        return clock

    def _read(self, size: int) -> bytes:
        clock = self._clock()
        try:
            return self.rfile.read(size)
        finally:
            clock.cancel()

    def _let_in(self) -> bool:
        allowed = self.server.allows(self.headers.get("Authorization"))
        if not allowed:
            self._refuse(401, "the bearer token is missing or wrong")
        return allowed

    def _refuse(self, status: int, message: str, param: str | None = None) -> None:
        # What was not read of the body would be taken for the next request.
        self.close_connection = True
        headers = {"Retry-After": "1"} if status == 429 else {}
        self._send(status, error_body(status, message, param), headers)

    def _send(self, status: int, value: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> None:
        self._send_bytes(status, json.dumps(value).encode(), "application/json", headers)

    def _send_bytes(self, status: int, data: bytes, kind: str, headers: Mapping[str, str] | None = None) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.send_header("X-Content-Type-Options", "nosniff")
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)


class _Replying:
    """The way back to the client: one body, or a stream that begins with the first thing there is to say."""

    def __init__(self, handler: Handler, completion: Completion) -> None:
        self._handler, self._completion = handler, completion
        self._request: Request | None = None
        self._begun = False

    def begin(self, request: Request) -> None:
        self._request = request

    def progress(self, about: Mapping[str, Any]) -> None:
        if self._request is not None and self._request.stream:
            self._open()
            self._handler.send_piece(self._completion.step(about))

    def end(self, answer: Answer) -> None:
        if self._request is None or not self._request.stream:
            self._handler._send(200, self._completion.whole(answer))
            return
        self._open()
        for piece in self._completion.pieces(answer, usage=self._request.usage):
            self._handler.send_piece(piece)
        self._close()

    def fail(self, status: int, message: str, param: str | None = None) -> None:
        """Refuse; where the stream has begun, its last event says so."""
        if not self._begun:
            self._handler._refuse(status, message, param)
            return
        self._handler.send_piece(event(error_body(status, message, param)))
        self._handler.send_piece(DONE)
        self._close()

    def _open(self) -> None:
        if not self._begun:
            self._begun = True
            self._handler.begin_stream()
            self._handler.send_piece(self._completion.opening())

    def _close(self) -> None:
        self._handler.send_piece(b"")
