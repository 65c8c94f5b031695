"""A small server of the chat completions API on loopback, that answers as it is told."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Answer = Callable[[dict[str, Any]], str]


class Loopback:
    """Requests it got, when, and its address."""

    def __init__(self, answer: Answer) -> None:
        self.requests: list[dict[str, Any]] = []
        self.times: list[float] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                outer.times.append(time.monotonic())
                outer.requests.append(body)
                text = answer(body)
                choice = {"message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
                data = json.dumps({"choices": [choice], "usage": {"completion_tokens": len(text.split())}}).encode()
                self.send_response(200 if text != "refuse" else 400)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server.server_address[1]}/v1"
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()


@contextmanager
def serving(answer: Answer) -> Iterator[Loopback]:
    """Serve while the block runs."""
    loopback = Loopback(answer)
    try:
        yield loopback
    finally:
        loopback.server.shutdown()
        loopback.server.server_close()
