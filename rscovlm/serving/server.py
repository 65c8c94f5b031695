"""An OpenAI-compatible endpoint on top of any engine, which looks closer by itself."""

from __future__ import annotations

import hmac
import logging
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

from rscovlm.serving.answering import Answer, reply_to
from rscovlm.serving.batching import Batched
from rscovlm.serving.handler import Handler
from rscovlm.serving.metrics import Metrics
from rscovlm.serving.refusals import BadRequest, RequestLimits
from rscovlm.serving.requests import TASKS, Request, read_request

if TYPE_CHECKING:
    from rscovlm.engines import Engine
    from rscovlm.zoom import Layout

_LOG = logging.getLogger(__name__)


class ZoomServer(ThreadingHTTPServer):
    """Serves ``/v1/chat/completions``, ``/v1/models``, ``/health`` and ``/metrics``.

    Requests of many clients are answered in common batches. Images come as data URIs; nothing is ever fetched.

    Args:
        engine: Who answers.
        host: Address to listen on; the loopback by default.
        port: Port, 0 for any that is free.
        model: Name under which the model is listed.
        api_key: What clients must send as bearer token; ``None`` lets everyone in.
        limits: What one request may ask for, and all together.
        layout: Conversation layout of the zoom chain.
        timeout: Seconds in which a client must have sent its whole request.

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
        self._connections = threading.BoundedSemaphore(self.limits.connections)
        self._bodies, self._bodies_lock = 0, threading.Lock()
        super().__init__((host, port), Handler)
        self.engine = Batched(engine)
        self.port = int(self.server_address[1])
        self.started = int(time.time())

    def server_close(self) -> None:
        """Stop listening, and end the engine's thread when it has answered what waits."""
        super().server_close()
        self.engine.close()

    def process_request(self, request: Any, client_address: Any) -> None:
        """Give a connection a thread, or hang up where too many are open."""
        if not self._connections.acquire(blocking=False):
            self.metrics.add("rscovlm_connections_refused_total")
            self.shutdown_request(request)
            return
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Serve a connection."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._connections.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Log what a connection died of."""
        _LOG.debug("a connection ended badly", exc_info=True)

    def allows(self, header: str | None) -> bool:
        """Return whether an ``Authorization`` header lets its sender in."""
        return self._key is None or hmac.compare_digest((header or "").encode(), f"Bearer {self._key}".encode())

    @contextmanager
    def held(self, size: int) -> Iterator[None]:
        """Hold a body of so many bytes.

        Raises:
            BadRequest: It is too large, or there are too many bytes in the house.
        """
        if size > self.limits.body:
            raise BadRequest(f"the body has {size} bytes; {self.limits.body} are allowed", 413)
        with self._bodies_lock:
            # One alone is always let in.
            if self._bodies and self._bodies + size > self.limits.bodies:
                raise BadRequest("too much is waiting; come back in a moment", 429)
            self._bodies += size
        try:
            yield
        finally:
            with self._bodies_lock:
                self._bodies -= size

    def answer(self, body: bytes, replying: Any) -> Answer:
        """Answer the body of a chat request.

        Args:
            body: The body.
            replying: ``begin(request)`` is called when the request is read, ``progress(about)`` after each reply of the
                model.

        Raises:
            BadRequest: It is refused, or there are too many requests in the house.
        """
        start, task, status = time.perf_counter(), "unknown", 500
        if not self._places.acquire(blocking=False):
            self.metrics.add("rscovlm_requests_total", labels='task="unknown",status="429"')
            raise BadRequest("too many requests are waiting; come back in a moment", 429)
        self.metrics.add("rscovlm_requests_in_flight")

        def progress(about: Mapping[str, Any]) -> None:
            if time.perf_counter() - start > self.limits.seconds:
                raise BadRequest(f"the request took longer than {self.limits.seconds} seconds", 504)
            replying.progress(about)

        try:
            request: Request = read_request(body, self.limits)
            task = request.task
            replying.begin(request)
            answer = reply_to(request, self.engine, self.limits, self.layout, progress)
            status = 200
        except BadRequest as error:
            status = error.status
            raise
        except (ConnectionError, TimeoutError):
            status = 499  # the client is gone
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
        return answer

    def models(self) -> list[dict[str, Any]]:
        """Return the models: the model, and one name more for each task but asking."""
        names = [self.model, *(f"{self.model}:{task}" for task in TASKS if task != "ask")]
        about = {"object": "model", "created": self.started, "owned_by": "rscovlm"}
        return [{"id": name, **about} for name in names]

    def hang_up(self, connection: socket.socket) -> None:
        """Cut a connection that took too long to say what it wants."""
        self.metrics.add("rscovlm_clients_too_slow_total")
        try:
            connection.shutdown(socket.SHUT_RDWR)
        except OSError:  # gone already
            _LOG.debug("a slow client was gone already")
