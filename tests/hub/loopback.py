"""The part of the Hub's interface that data sets need, on loopback and in memory."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit


class Hub:
    """Repositories as dictionaries of files; `visits` lists what was asked for, `created` and `commits` with what words."""

    def __init__(self) -> None:
        self.files: dict[str, dict[str, bytes]] = {}
        self.visits: list[str] = []
        self.created: list[dict[str, Any]] = []
        self.commits: list[dict[str, Any]] = []
        hub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                self._json(hub.post(urlsplit(self.path).path, body))

            def do_GET(self) -> None:
                self._send(body=True)

            def do_HEAD(self) -> None:
                self._send(body=False)

            def _json(self, value: Any, status: int = 200, *, body: bool = True) -> None:
                data = json.dumps(value).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                if body:
                    self.wfile.write(data)

            def _send(self, *, body: bool) -> None:
                path = unquote(urlsplit(self.path).path)
                hub.visits.append(f"{self.command} {self.path}")
                if "/resolve/" not in path:
                    value = hub.get(path, urlsplit(self.path).query)
                    self._json(
                        value if value is not None else {"error": "not found"},
                        200 if value is not None else 404,
                        body=body,
                    )
                    return
                repo, _, rest = path.removeprefix("/datasets/").partition("/resolve/")
                data = hub.files.get(repo, {}).get(rest.partition("/")[2])
                if data is None:
                    self._json({"error": "not found"}, 404, body=body)
                    return
                first, _, last = self.headers.get("Range", "bytes=0-").removeprefix("bytes=").partition("-")
                part = data[int(first) : int(last) + 1 if last else None]
                self.send_response(206 if "Range" in self.headers else 200)
                self.send_header("Content-Length", str(len(part)))
                self.send_header("Content-Range", f"bytes {first}-{int(first) + len(part) - 1}/{len(data)}")
                self.send_header("Accept-Ranges", "bytes")
                self.send_header("ETag", f'"{hashlib.sha1(data).hexdigest()}"')
                self.send_header("X-Repo-Commit", hub.commit(repo))
                self.end_headers()
                if body:
                    self.wfile.write(part)

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def commit(self, repo: str) -> str:
        return hashlib.sha1(repr(sorted(self.files.get(repo, {}).items())).encode()).hexdigest()

    def post(self, path: str, body: bytes) -> Any:
        self.visits.append(f"POST {path}")
        if path == "/api/repos/create":
            wanted = json.loads(body)
            self.created.append(wanted)
            repo = f"{wanted.get('organization') or 'me'}/{wanted['name']}"
            self.files.setdefault(repo, {})
            return {"url": f"{self.address}/datasets/{repo}", "id": repo}
        if path == "/api/validate-yaml":
            return {"errors": [], "warnings": []}
        repo = "/".join(path.split("/")[3:5])
        if "/preupload/" in path:
            wanted = json.loads(body)["files"]
            return {
                "files": [{"path": file["path"], "uploadMode": "regular", "shouldIgnore": False} for file in wanted]
            }
        if "/paths-info/" in path:
            return []
        for line in body.splitlines():
            row = json.loads(line)
            if row["key"] == "header":
                self.commits.append(row["value"])
            if row["key"] == "file":
                self.files[repo][row["value"]["path"]] = base64.b64decode(row["value"]["content"])
        commit = self.commit(repo)
        return {"success": True, "commitOid": commit, "commitUrl": f"{self.address}/datasets/{repo}/commit/{commit}"}

    def get(self, path: str, query: str) -> Any:
        if path == "/api/whoami-v2":
            return {"name": "me", "type": "user", "auth": {}}
        repo = "/".join(path.split("/")[3:5])
        if repo not in self.files:
            return None
        files = self.files[repo]
        if "/tree/" in path:
            return _tree(
                files, path.partition("/tree/")[2].partition("/")[2], recursive="recursive=true" in query.lower()
            )
        names = [{"rfilename": name} for name in sorted(files)]
        return {
            "id": repo,
            "sha": self.commit(repo),
            "siblings": names,
            "private": False,
            "tags": [],
            "downloads": 0,
            "gated": False,
        }


def _tree(files: dict[str, bytes], folder: str, *, recursive: bool) -> list[dict[str, Any]]:
    prefix = f"{folder.rstrip('/')}/" if folder else ""
    below = sorted(name for name in files if name.startswith(prefix))
    rows: list[dict[str, Any]] = []
    folders = {name[: name.index("/", len(prefix))] for name in below if "/" in name[len(prefix) :]}
    rows += [{"type": "directory", "path": name, "size": 0, "oid": "0" * 40} for name in sorted(folders)]
    for name in below:
        if recursive or "/" not in name[len(prefix) :]:
            rows.append(
                {"type": "file", "path": name, "size": len(files[name]), "oid": hashlib.sha1(files[name]).hexdigest()}
            )
    return rows


@contextmanager
def serving() -> Iterator[Hub]:
    """Serve while the block runs."""
    hub = Hub()
    try:
        yield hub
    finally:
        hub._server.shutdown()
        hub._server.server_close()
