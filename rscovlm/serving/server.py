"""An OpenAI-compatible endpoint on top of any engine, which looks closer by itself."""

from __future__ import annotations

import asyncio
import functools
import hmac
import socket
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request as HTTPRequest
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from rscovlm.engines.published import FIELD, Published
from rscovlm.engines.unstated import check_stated
from rscovlm.serving.answering import Answer, reply_to
from rscovlm.serving.batching import Batched
from rscovlm.serving.bodies import Body, BodyRoom
from rscovlm.serving.budget import MemoryBudget
from rscovlm.serving.completions import Completion
from rscovlm.serving.connections import BoundedConnection
from rscovlm.serving.metrics import Metrics
from rscovlm.serving.refusals import BadRequest, RequestLimits
from rscovlm.serving.replying import Replying, refused
from rscovlm.serving.requests import Request, model_names, parsing_bytes, read_body, read_request

if TYPE_CHECKING:
    from rscovlm.engines import Engine
    from rscovlm.points.segmenter import Segmenter
    from rscovlm.tasks.wanted import AnswerForm
    from rscovlm.zoom import Layout

_CHAT = "/v1/chat/completions"


class ZoomServer:
    """Serves ``/v1/chat/completions``, ``/v1/models``, ``/health`` and ``/metrics``.

    Requests of many clients are answered in common batches. Images come as data URIs; nothing is ever fetched.
    It listens once it is made, and answers while :meth:`serve_forever` runs.

    Args:
        engine: Who answers.
        host: Address to listen on; the loopback by default.
        port: Port, 0 for any that is free.
        model: Name under which the model is listed.
        api_key: What clients must send as bearer token; ``None`` lets everyone in.
        limits: What one request may ask for, and all together.
        layout: Conversation layout of the zoom chain.
        segmenter: Who draws masks of segmentation; None fills boxes.
        form: What segmentation is answered with; None for a box and points.
        timeout: Seconds in which a client must have sent the head of a request, and then each piece of its body.

    Attributes:
        app: The ASGI application, for servers of one's own.
        memory: What pictures are decoded in.
        metrics: What was done so far.
        port: The port it listens on.

    Raises:
        OSError: The address cannot be listened on.
        ValueError: The engine asks a server of which nobody says how its model sees images and writes boxes.
    """

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
        segmenter: Segmenter | None = None,
        form: AnswerForm | None = None,
        timeout: float = 60.0,
    ) -> None:
        check_stated(engine, "serve")
        self._drawing = {"segmenter": segmenter, "form": form}
        self.model, self.limits, self.layout = model, limits or RequestLimits(), layout
        self._key, self._timeout = api_key, timeout
        self._started = int(time.time())
        # Touched by the event loop alone.
        self._in_house = 0
        self._bodies = BodyRoom(self.limits.bodies, timeout)
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._socket = socket.create_server((host, port), family=family, backlog=128)
        self.port = int(self._socket.getsockname()[1])
        self.engine = Batched(engine)
        self.metrics = Metrics(lambda: self.engine.batches)
        self.memory = MemoryBudget(self.limits.memory)
        self._pool = ThreadPoolExecutor(self.limits.waiting, "rscovlm-request")
        self.app = Starlette(
            routes=[
                Route(_CHAT, self._chat, methods=["POST"]),
                Route("/v1/models", self._models),
                Route("/v1/models/{name:path}", self._models),
                Route("/health", self._health),
                Route("/metrics", self._metrics),
            ],
            middleware=[
                # As OpenAI's API: pages of any origin may ask, and show their key as a header, never as a cookie.
                Middleware(CORSMiddleware, allow_origins=["*"], allow_methods=["GET", "POST"], allow_headers=["*"])
            ],
            exception_handlers={HTTPException: _not_here, BadRequest: _refused},
        )
        connection: Any = functools.partial(
            BoundedConnection, most=self.limits.connections, seconds=timeout, metrics=self.metrics
        )
        self._server = uvicorn.Server(
            uvicorn.Config(
                self.app,
                http=connection,
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
            )
        )

    def serve_forever(self) -> None:
        """Answer until :meth:`shutdown`, or until a signal in the main thread; what has begun is answered first."""
        self._server.run(sockets=[self._socket])

    def shutdown(self) -> None:
        """Make :meth:`serve_forever` return; from another thread."""
        self._server.should_exit = True

    def server_close(self) -> None:
        """Stop listening, and end the engine's thread when it has answered what waits."""
        self._socket.close()
        self._pool.shutdown()
        self.engine.close()

    async def _chat(self, client: HTTPRequest) -> Response:
        self._let_in(client)
        size = _stated_size(client)
        if size > self.limits.body:
            raise BadRequest(f"the body has {size} bytes; {self.limits.body} are allowed", 413)
        try:
            body = await self._bodies.receive(client)
        except BadRequest as error:
            self.metrics.slow.inc(error.status == 408)
            self.metrics.requests.labels("unknown", str(error.status)).inc()
            raise
        if self._in_house >= self.limits.waiting:
            self._bodies.let_out(body)
            self.metrics.requests.labels("unknown", "429").inc()
            raise BadRequest("too much is waiting; come back in a moment", 429)
        self._in_house += 1
        replying = Replying(Completion(self.model))
        work = functools.partial(replying.run, functools.partial(self._answer, body))
        loop = asyncio.get_running_loop()
        loop.run_in_executor(self._pool, work).add_done_callback(lambda _: self._let_out(body))
        return await replying.response(client)

    async def _models(self, client: HTTPRequest) -> Response:
        self._let_in(client)
        names = model_names(self.model)
        about = {"object": "model", "created": self._started, "owned_by": "rscovlm"}
        name = client.path_params.get("name")
        if not name:
            return JSONResponse(
                {"object": "list", "data": [{"id": one, **about, **self._published(one)} for one in names]}
            )
        if name not in names:
            raise BadRequest("there is no such model; see /v1/models", 404, param="model")
        return JSONResponse({"id": name, **about, **self._published(name)})

    def _published(self, name: str) -> dict[str, Any]:
        """Return what clients of ours must know of the model, for its own entry."""
        if name != self.model:
            return {}
        return {FIELD: Published(self.engine.budget, self.engine.dialect, self.layout).to_dict()}

    async def _health(self, client: HTTPRequest) -> Response:
        return JSONResponse({"status": "ok"})

    async def _metrics(self, client: HTTPRequest) -> Response:
        return Response(self.metrics.text(), media_type="text/plain; version=0.0.4")

    def _let_in(self, client: HTTPRequest) -> None:
        header = client.headers.get("Authorization", "")
        if self._key is not None and not hmac.compare_digest(header.encode(), f"Bearer {self._key}".encode()):
            raise BadRequest("the bearer token is missing or wrong", 401)

    def _let_out(self, body: Body) -> None:
        self._in_house -= 1
        self._bodies.let_out(body)

    def _answer(self, body: Body, replying: Replying) -> Answer:
        """Answer the body of a chat request, in a thread of its own."""
        start, task, status = time.perf_counter(), "unknown", 500

        def still() -> None:
            if time.perf_counter() - start > self.limits.seconds:
                raise BadRequest(f"the request took longer than {self.limits.seconds} seconds", 504)
            replying.check()

        def progress(about: Mapping[str, Any]) -> None:
            still()
            replying.progress(about)

        try:
            with self.metrics.in_flight.track_inprogress(), self.metrics.seconds.time():
                request = self._read(body, still)
                task = request.task
                replying.begin(request)
                with self.memory.share(request.memory(self.engine.budget), still):
                    try:
                        answer = reply_to(request, self.engine, self.limits, self.layout, progress, **self._drawing)
                    finally:
                        for image in request.images:
                            image.close()
            status = 200
        except BadRequest as error:
            status = error.status
            raise
        except ConnectionError:
            status = 499  # the client is gone
            raise
        except ValueError as error:
            status = 400
            raise BadRequest(str(error)) from error
        finally:
            self.metrics.requests.labels(task, str(status)).inc()
        self.metrics.tokens.inc(answer.tokens)
        self.metrics.visual_tokens.inc(answer.visual_tokens)
        self.metrics.zooms.inc(answer.zooms)
        return answer

    def _read(self, body: Body, still: Callable[[], None]) -> Request:
        """Read a request, of which nothing but its texts and the bytes of its images is left when this returns."""
        data = body.take()
        with self.memory.share(min(parsing_bytes(data), self.memory.most), still):
            return read_request(read_body(data), self.limits, self.model, count=self.engine.count_tokens)


def _stated_size(client: HTTPRequest) -> int:
    stated = client.headers.get("Content-Length", "")
    if not (stated.isascii() and stated.isdigit()) or client.headers.get("Transfer-Encoding"):
        raise BadRequest("state the length of the body in Content-Length", 411)
    return int(stated)


async def _not_here(client: HTTPRequest, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    if status == 405:
        return refused(405, f"{client.method[:10]!r} is not taken here; {_CHAT} takes POST, the rest GET")
    return refused(status, f"there is nothing here; see {_CHAT}, /v1/models, /health, /metrics")


async def _refused(client: HTTPRequest, error: Exception) -> Response:
    return refused(error.status, str(error), error.param) if isinstance(error, BadRequest) else refused(500, "failed")
