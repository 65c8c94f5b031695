"""An OpenAI-compatible endpoint on top of any engine, which looks closer by itself."""

from __future__ import annotations

import hmac
import json
import logging
import secrets
import threading
import time
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

from rscovlm.serving.answering import Answer, reply_to
from rscovlm.serving.batching import Batched
from rscovlm.serving.metrics import Metrics
from rscovlm.serving.requests import TASKS, BadRequest, Request, RequestLimits, read_request

if TYPE_CHECKING:
    from rscovlm.engines import Engine
    from rscovlm.zoom import Layout

_LOG = logging.getLogger(__name__)
_KINDS = {401: "authentication_error", 429: "rate_limit_error", 500: "server_error", 503: "server_error"}


class ZoomServer(ThreadingHTTPServer):
    """Serves ``/v1/chat/completions``, ``/v1/models``, ``/health`` and ``/metrics``.

    Requests of many clients are answered in common batches. Images come as data URIs; nothing is ever fetched.

    Args:
        engine: Who answers.
        host: Address to listen on; the loopback by default.
        port: Port, 0 for any that is free.
        model: Name under which the model is listed.
        api_key: What clients must send as bearer token; ``None`` lets everyone in.
        limits: What one request may ask for.
        layout: Conversation layout of the zoom chain.
        timeout: Seconds to wait for a client that sends slowly.

    Attributes:
        metrics: What was done so far.
        port: The port it listens on.
    """

    daemon_threads = True
    request_queue_size = 128

    def __init__(
        self,
        engine: Engine,
        *,
        host: str = "127.0.0.1",
        port: int = 8000,
        model: str = "rscovlm",
        api_key: str | None = None,
        limits: RequestLimits | None = None,
        layout: Layout = "reference",
        timeout: float = 60.0,
    ) -> None:
        self.model, self.limits, self.layout = model, limits or RequestLimits(), layout
        self.metrics = Metrics()
        self.client_timeout = timeout
        self._key = api_key
        self._places = threading.BoundedSemaphore(self.limits.waiting)
        super().__init__((host, port), _Handler)
        self.engine = Batched(engine)
        self.port = int(self.server_address[1])
        self.started = int(time.time())

    def server_close(self) -> None:
        """Stop listening, and end the engine's thread when it has answered what waits."""
        super().server_close()
        self.engine.close()

    def allows(self, header: str | None) -> bool:
        """Return whether an ``Authorization`` header lets its sender in."""
        return self._key is None or hmac.compare_digest((header or "").encode(), f"Bearer {self._key}".encode())

    def answer(self, body: bytes) -> tuple[Request, Answer]:
        """Answer the body of a chat request.

        Raises:
            BadRequest: It is refused, or there are too many requests in the house.
        """
        start, task, status = time.perf_counter(), "unknown", 500
        if not self._places.acquire(blocking=False):
            self.metrics.add("rscovlm_requests_total", labels='task="unknown",status="429"')
            raise BadRequest("too many requests are waiting; come back in a moment", 429)
        self.metrics.add("rscovlm_requests_in_flight")
        try:
            request = read_request(body, self.limits)
            task = request.task
            answer = reply_to(request, self.engine, self.limits, self.layout)
            status = 200
        except BadRequest as error:
            status = error.status
            raise
        except ValueError as error:
            status = 400
            raise BadRequest(str(error)) from error
        finally:
            self._places.release()
            self.metrics.add("rscovlm_requests_in_flight", -1)
            self.metrics.add("rscovlm_requests_total", labels=f'task="{task}",status="{status}"')
            self.metrics.add("rscovlm_request_seconds_sum", time.perf_counter() - start)
        self.metrics.add("rscovlm_generated_tokens_total", answer.tokens)
        self.metrics.add("rscovlm_visual_tokens_total", answer.visual_tokens)
        self.metrics.add("rscovlm_zooms_total", answer.zooms)
        return request, answer

    def models(self) -> dict[str, Any]:
        """Return the list of models: the model, and one name more for each task but asking."""
        names = [self.model, *(f"{self.model}:{task}" for task in TASKS if task != "ask")]
        about = {"object": "model", "created": self.started, "owned_by": "rscovlm"}
        return {"object": "list", "data": [{"id": name, **about} for name in names]}


class _Handler(BaseHTTPRequestHandler):
    server: ZoomServer
    protocol_version = "HTTP/1.1"
    server_version = "rscovlm"
    sys_version = ""

    def setup(self) -> None:
        super().setup()
        self.connection.settimeout(self.server.client_timeout)

    def do_GET(self) -> None:  # http.server's name
        if self.path == "/health":
            self._send(200, {"status": "ok"})
        elif self.path == "/metrics":
            metrics = self.server.metrics
            batches = self.server.engine.batches
            metrics.add("rscovlm_engine_batches_total", batches - metrics.value("rscovlm_engine_batches_total"))
            self._send_bytes(200, metrics.text().encode(), "text/plain; version=0.0.4; charset=utf-8")
        elif self.path == "/v1/models":
            if self._let_in():
                self._send(200, self.server.models())
        else:
            self._refuse(404, "there is nothing here; see /v1/chat/completions, /v1/models, /health, /metrics")

    def do_POST(self) -> None:  # http.server's name
        if self.path != "/v1/chat/completions":
            self._refuse(404, "there is nothing to post to here; see /v1/chat/completions")
            return
        if not self._let_in():
            return
        body = self._body()
        if body is None:
            return
        try:
            request, answer = self.server.answer(body)
        except BadRequest as error:
            self._refuse(error.status, str(error))
        except Exception:  # noqa: BLE001  the client learns nothing of it, the log everything
            name = secrets.token_hex(6)
            _LOG.exception("request %s failed", name)
            self._refuse(500, f"the request failed here; the log knows it as {name}")
        else:
            value = completion(self.server.model, answer)
            if request.stream:
                self._send_bytes(200, as_events(value), "text/event-stream")
            else:
                self._send(200, value)

    def log_message(self, format: str, *args: Any) -> None:  # http.server's signature
        _LOG.debug("%s", repr(format % args))

    def _let_in(self) -> bool:
        allowed = self.server.allows(self.headers.get("Authorization"))
        if not allowed:
            self._refuse(401, "the bearer token is missing or wrong")
        return allowed

    def _body(self) -> bytes | None:
        """Return the body, or refuse it by its length before any of it is read."""
        stated = self.headers.get("Content-Length", "")
        if not (stated.isascii() and stated.isdigit()) or self.headers.get("Transfer-Encoding"):
            self._refuse(411, "state the length of the body in Content-Length")
            return None
        if int(stated[:18]) > self.server.limits.body:
            self._refuse(413, f"the body has {stated[:18]} bytes; {self.server.limits.body} are allowed")
            return None
        try:
            body = self.rfile.read(int(stated))
        except TimeoutError:
            body = b""
        if len(body) != int(stated):
            self.close_connection = True
            return None
        return body

    def _refuse(self, status: int, message: str) -> None:
        # What was not read of the body would be taken for the next request.
        self.close_connection = True
        kind = _KINDS.get(status, "invalid_request_error")
        headers = {"Retry-After": "1"} if status == 429 else {}
        self._send(status, {"error": {"message": message, "type": kind, "code": status}}, headers)

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
        self.wfile.write(data)


def completion(model: str, answer: Answer) -> dict[str, Any]:
    """Return an answer in the form of the chat completions API, with what only we know under ``rscovlm``."""
    message = {"role": "assistant", "content": answer.text}
    usage = {
        "prompt_tokens": answer.visual_tokens,
        "completion_tokens": answer.tokens,
        "total_tokens": answer.visual_tokens + answer.tokens,
    }
    return {
        "id": f"chatcmpl-{secrets.token_hex(12)}",
        "object": "chat.completion",
        "created": int(time.time()),
        "model": model,
        "choices": [{"index": 0, "message": message, "finish_reason": answer.finish, "logprobs": None}],
        "usage": usage,
        "rscovlm": dict(answer.extra),
    }


def as_events(value: Mapping[str, Any]) -> bytes:
    """Return a completion as the events of a stream: the whole answer in one piece, then the end."""
    choice = value["choices"][0]
    head = {**{name: value[name] for name in ("id", "created", "model")}, "object": "chat.completion.chunk"}
    pieces = [
        {**head, "choices": [{"index": 0, "delta": choice["message"], "finish_reason": None}]},
        {
            **head,
            "choices": [{"index": 0, "delta": {}, "finish_reason": choice["finish_reason"]}],
            "usage": value["usage"],
            "rscovlm": value["rscovlm"],
        },
    ]
    return b"".join(b"data: " + json.dumps(piece).encode() + b"\n\n" for piece in pieces) + b"data: [DONE]\n\n"
