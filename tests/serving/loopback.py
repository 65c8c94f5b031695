"""A server of ours on the loopback, and what a client without a library sends it."""

import base64
import contextlib
import http.client
import io
import json
import threading
from collections.abc import Iterator
from typing import Any

from PIL import Image

from rscovlm.engines import Engine
from rscovlm.serving.server import ZoomServer


@contextlib.contextmanager
def served(engine: Engine, **options: Any) -> Iterator[ZoomServer]:
    server = ZoomServer(engine, port=0, **options)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def uri(image: Image.Image) -> str:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def user(text: str, *urls: str) -> dict[str, Any]:
    blocks: list[dict[str, Any]] = [{"type": "image_url", "image_url": {"url": url}} for url in urls]
    return {"role": "user", "content": [*blocks, {"type": "text", "text": text}]}


def send(
    server: ZoomServer, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None
) -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    try:
        connection.request(method, path, body, headers or {})
        response = connection.getresponse()
        return response.status, response.read().decode()
    finally:
        connection.close()


def chat(server: ZoomServer, *messages: dict[str, Any], **fields: Any) -> tuple[int, dict[str, Any]]:
    body = json.dumps({"model": "rscovlm", "messages": messages, **fields}).encode()
    status, text = send(server, "POST", "/v1/chat/completions", body)
    return status, json.loads(text)
