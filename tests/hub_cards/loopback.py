"""A Hub on this machine that knows the metric Spaces and nothing else."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


@contextmanager
def loopback_hub(folder: Path) -> Iterator[tuple[str, list[str]]]:
    """Serve `folder`/<name> as the Space rscovlm/<name>; yields the address and the paths asked for."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self._answer(with_body=False)

        def do_GET(self) -> None:
            self._answer(with_body=True)

        def _answer(self, with_body: bool) -> None:
            asked.append(self.path)
            parts = self.path.split("?")[0].strip("/").split("/")
            file = folder / parts[2] / parts[-1] if len(parts) == 6 else folder / "absent"
            known = parts[:2] == ["spaces", "rscovlm"] and parts[3:5] == ["resolve", "main"] and file.is_file()
            body = file.read_bytes() if known else b""
            self.send_response(200 if known else 404)
            if not known:
                self.send_header("X-Error-Code", "EntryNotFound")
            self.send_header("ETag", f'"{hashlib.sha256(body).hexdigest()}"')
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if with_body:
                self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Keep quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", asked
    finally:
        server.shutdown()
        server.server_close()
