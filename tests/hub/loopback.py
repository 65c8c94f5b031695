"""The Hub's interface on loopback and in memory: repositories, commits, large files, revisions, and faults on demand."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest


@dataclass
class HubFault:
    """What goes wrong for requests whose method and path match, so many times.

    Attributes:
        match: Regular expression for "METHOD /path".
        how: A status such as "503" (429 asks to come back in a second); "cut" closes the connection in the middle of a body; "slow"
            waits; "flip" changes a byte; "stall" does nothing and keeps silent until the Hub closes; "lost" does what is asked and
            hangs up instead of answering; "half" sends half of the answer's JSON as if it were all; "loop" sends the client to
            the same address again.
        times: How often it still happens.
        seconds: How long "slow" waits.
    """

    match: str
    how: str
    times: int = 1
    seconds: float = 1.5


class Answer(Exception):
    """An answer other than 200."""

    def __init__(self, status: int, words: str, code: str = "") -> None:
        super().__init__(words)
        self.status, self.words, self.code = status, words, code


class Hub:
    """Repositories as dictionaries of files; `visits` lists what was asked for, `created` and `commits` with what words.

    Files whose names end in one of `large` go the way of Git LFS; with `token` set, all else is refused. `xet` is the address of a
    Xet store, which is named to clients and does not exist here: every one that is named fails.
    """

    def __init__(self) -> None:
        self.files: dict[str, dict[str, bytes]] = {}
        self.snapshots: dict[str, dict[str, bytes]] = {}
        self.store: dict[str, bytes] = {}
        self.visits: list[str] = []
        self.created: list[dict[str, Any]] = []
        self.commits: list[dict[str, Any]] = []
        self.faults: list[HubFault] = []
        self.large: tuple[str, ...] = ()
        self.token: str | None = None
        self.xet: str | None = None
        self.closing = threading.Event()
        self.lock = threading.Lock()
        hub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                self._answer()

            def do_PUT(self) -> None:
                self._answer()

            def do_GET(self) -> None:
                self._answer()

            def do_HEAD(self) -> None:
                self._answer()

            def _answer(self) -> None:
                path = unquote(urlsplit(self.path).path)
                hub.visits.append(f"{self.command} {self.path}")
                fault = hub.fault(f"{self.command} {path}")
                length = int(self.headers.get("Content-Length", 0))
                if fault is not None and fault.how == "cut" and length:
                    self.rfile.read(length // 2)
                    self._hang_up()
                    return
                body = self._body(length)
                if fault is not None and fault.how == "stall":
                    hub.closing.wait(60)
                    self._hang_up()
                    return
                if fault is not None and fault.how == "loop":
                    self._json({}, 307, headers={"Location": self.path})
                    return
                try:
                    if fault is not None and fault.how.isdigit():
                        # A careless proxy that repeats what it was sent.
                        raise Answer(int(fault.how), f"no luck with {self.headers.get('Authorization', 'nothing')}")
                    if fault is not None and fault.how == "slow":
                        time.sleep(fault.seconds)
                    signed = self.command == "PUT"  # addresses of large files are signed and take no token
                    if (
                        hub.token is not None
                        and not signed
                        and self.headers.get("Authorization") != f"Bearer {hub.token}"
                    ):
                        raise Answer(401, "Invalid username or password.", "RepoNotFound")
                    if "/resolve/" in path:
                        self._send(*hub.file(path), fault)
                        return
                    value = hub.answer(self.command, path, urlsplit(self.path).query, body)
                    if fault is not None and fault.how == "lost":
                        self._hang_up()
                        return
                    headers = _xet_headers(value) if "/xet-" in path else {}
                    self._json(value, half=fault is not None and fault.how == "half", headers=headers)
                except Answer as answer:
                    headers = {"Retry-After": "1"} if answer.status == 429 else {}
                    self._json({"error": answer.words}, answer.status, answer.code, headers=headers)
                except (BrokenPipeError, ConnectionResetError):
                    self.close_connection = True

            def _body(self, length: int) -> bytes:
                if self.headers.get("Transfer-Encoding") != "chunked":
                    return self.rfile.read(length)
                parts = []
                while size := int(self.rfile.readline(), 16):
                    parts.append(self.rfile.read(size))
                    self.rfile.readline()
                self.rfile.readline()
                return b"".join(parts)

            def _hang_up(self) -> None:
                self.close_connection = True
                self.connection.shutdown(2)

            def _json(
                self,
                value: Any,
                status: int = 200,
                code: str = "",
                *,
                half: bool = False,
                headers: Mapping[str, str] = {},
            ) -> None:
                data = json.dumps(value).encode()
                data = data[: len(data) // 2] if half else data
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                if code:
                    self.send_header("X-Error-Code", code)
                for name, text in headers.items():
                    self.send_header(name, text)
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(data)

            def _send(self, data: bytes, commit: str, large: bool, fault: HubFault | None) -> None:
                first, _, last = self.headers.get("Range", "bytes=0-").removeprefix("bytes=").partition("-")
                part = data[int(first) : int(last) + 1 if last else None]
                self.send_response(206 if "Range" in self.headers else 200)
                self.send_header("Content-Length", str(len(part)))
                self.send_header("Content-Range", f"bytes {first}-{int(first) + len(part) - 1}/{len(data)}")
                self.send_header("Accept-Ranges", "bytes")
                self.send_header("ETag", f'"{_oid(data, large)}"')
                self.send_header("X-Repo-Commit", commit)
                if large and hub.xet is not None:
                    self.send_header("X-Xet-Hash", "ab" * 32)
                    self.send_header(
                        "X-Xet-Refresh-Route", f"{hub.address}/api/models/any/repo/xet-read-token/{commit}"
                    )
                self.end_headers()
                if self.command == "HEAD":
                    return
                if fault is not None and fault.how == "flip" and part:
                    part = part[:-1] + bytes([part[-1] ^ 1])
                if fault is not None and fault.how == "cut":
                    self.wfile.write(part[: len(part) // 2])
                    self.wfile.flush()
                    self._hang_up()
                    return
                self.wfile.write(part)

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.handle_error = lambda *_: None  # type: ignore[method-assign]  # clients that went away
        self.address = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def fault(self, request: str) -> HubFault | None:
        with self.lock:
            for fault in self.faults:
                if fault.times > 0 and re.search(fault.match, request):
                    fault.times -= 1
                    return fault
        return None

    def commit(self, repo: str) -> str:
        files = self.files.get(repo, {})
        name = hashlib.sha1(repr((repo, sorted(files.items()))).encode()).hexdigest()
        self.snapshots[name] = dict(files)
        return name

    def at(self, repo: str, revision: str) -> tuple[str, dict[str, bytes]]:
        if repo not in self.files:
            raise Answer(404, "Repository not found", "RepoNotFound")
        name = self.commit(repo) if revision in ("main", "") else revision
        if name not in self.snapshots:
            raise Answer(404, f"Invalid rev id: {revision}", "RevisionNotFound")
        return name, self.snapshots[name]

    def file(self, path: str) -> tuple[bytes, str, bool]:
        repo, _, rest = re.sub("^/(datasets/|spaces/)?", "", path).partition("/resolve/")
        revision, _, name = rest.partition("/")
        commit, files = self.at(repo, revision)
        if name not in files:
            raise Answer(404, "Entry not found", "EntryNotFound")
        return files[name], commit, name.endswith(self.large or "\0")

    def answer(self, method: str, path: str, query: str, body: bytes) -> Any:
        if path == "/api/whoami-v2":
            return {"name": "me", "type": "user", "auth": {}}
        if path == "/api/validate-yaml":
            return {"errors": [], "warnings": []}
        if path == "/api/repos/create":
            return self._create(json.loads(body))
        if path.endswith("/info/lfs/objects/batch"):
            return self._batch(json.loads(body))
        if "/xet-" in path:
            if self.xet is None:
                raise Answer(404, "Not found")
            return {"casUrl": self.xet, "exp": int(time.time()) + 3600, "accessToken": "of-the-store"}
        if path.startswith("/lfs/"):
            return self._stored(method, path.removeprefix("/lfs/"), body)
        repo = "/".join(path.split("/")[3:5])
        rest = "/".join(path.split("/")[5:])
        if rest.startswith("preupload/"):
            there = self.at(repo, "main")[1]
            return {"files": [self._mode(file["path"], there) for file in json.loads(body)["files"]]}
        if rest.startswith("paths-info/"):
            return []
        if rest.startswith("commit/"):
            return self._commit(repo, body)
        if rest.startswith("tree/"):
            _, revision, *folder = rest.split("/")
            files = self.at(repo, revision)[1]
            return self._tree(files, "/".join(folder), recursive="recursive=true" in query.lower())
        commit, files = self.at(repo, rest.removeprefix("revision/"))
        names = [{"rfilename": name} for name in sorted(files)]
        about = {"id": repo, "sha": commit, "siblings": names, "private": False}
        return {**about, "tags": [], "downloads": 0, "gated": False}

    def _create(self, wanted: dict[str, Any]) -> Any:
        self.created.append(wanted)
        repo = f"{wanted.get('organization') or 'me'}/{wanted['name']}"
        self.files.setdefault(repo, {})
        return {"url": f"{self.address}/{_prefix(wanted.get('type'))}{repo}", "id": repo}

    def _mode(self, path: str, there: dict[str, bytes]) -> dict[str, Any]:
        large = path.endswith(self.large or "\0")
        mode = {"path": path, "uploadMode": "lfs" if large else "regular", "shouldIgnore": False}
        return mode | ({"oid": _oid(there[path], large)} if path in there else {})

    def _batch(self, wanted: dict[str, Any]) -> Any:
        objects = []
        for one in wanted["objects"]:
            href = f"{self.address}/lfs/{one['oid']}"
            actions = {"upload": {"href": href}, "verify": {"href": f"{href}/verify"}}
            objects.append(one if one["oid"] in self.store else {**one, "actions": actions})
        return {"transfer": "basic", "objects": objects}

    def _stored(self, method: str, name: str, body: bytes) -> Any:
        if method == "PUT":
            if hashlib.sha256(body).hexdigest() != name:
                raise Answer(422, "checksum differs")
            self.store[name] = body
        elif name.removesuffix("/verify") not in self.store:
            raise Answer(404, "no such object")
        return {}

    def _commit(self, repo: str, body: bytes) -> Any:
        before, files = self.at(repo, "main")
        files = dict(files)
        header: dict[str, Any] = {}
        for row in (json.loads(line) for line in body.splitlines()):
            value = row["value"]
            if row["key"] == "header":
                header = value
                if value.get("parentCommit", before) != before:
                    raise Answer(412, "A commit has happened since. Please refresh and try again.")
            elif row["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif row["key"] == "lfsFile":
                if value["oid"] not in self.store:
                    raise Answer(400, f"LFS object {value['oid']} was not uploaded")
                files[value["path"]] = self.store[value["oid"]]
            elif row["key"] == "deletedFile":
                del files[value["path"]]
        self.files[repo] = files
        self.commits.append(header)
        name = self.commit(repo)
        prefix = _prefix(next((one.get("type") for one in self.created if repo.endswith(f"/{one['name']}")), None))
        return {"success": True, "commitOid": name, "commitUrl": f"{self.address}/{prefix}{repo}/commit/{name}"}

    def _tree(self, files: dict[str, bytes], folder: str, *, recursive: bool) -> list[dict[str, Any]]:
        prefix = f"{folder.rstrip('/')}/" if folder else ""
        below = sorted(name for name in files if name.startswith(prefix))
        rows: list[dict[str, Any]] = []
        folders = {name[: name.index("/", len(prefix))] for name in below if "/" in name[len(prefix) :]}
        rows += [{"type": "directory", "path": name, "size": 0, "oid": "0" * 40} for name in sorted(folders)]
        for name in below:
            if recursive or "/" not in name[len(prefix) :]:
                data = files[name]
                row = {"type": "file", "path": name, "size": len(data), "oid": _oid(data, False)}
                if name.endswith(self.large or "\0"):
                    row["lfs"] = {"oid": _oid(data, True), "size": len(data), "pointerSize": 134}
                rows.append(row)
        return rows


def _oid(data: bytes, large: bool) -> str:
    """Return a file's name as Git, or Git LFS, has it."""
    return hashlib.sha256(data).hexdigest() if large else hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


def _xet_headers(value: dict[str, Any]) -> dict[str, str]:
    """What a client that is no `hf_xet` reads of the same answer."""
    return {
        "X-Xet-Cas-Url": value["casUrl"],
        "X-Xet-Access-Token": value["accessToken"],
        "X-Xet-Token-Expiration": str(value["exp"]),
    }


def _prefix(kind: str | None) -> str:
    return {"dataset": "datasets/", "space": "spaces/"}.get(kind or "", "")


def reach(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the client in this process take a Hub for the public one, weights by LFS, and wait little between tries."""
    from huggingface_hub import constants
    from huggingface_hub.utils import _http
    from transformers.utils import hub as of_transformers

    hub.large = (".safetensors",)
    names = constants.HUGGINGFACE_CO_URL_TEMPLATE[constants.HUGGINGFACE_CO_URL_TEMPLATE.index("/{repo_id}") :]
    monkeypatch.setattr(constants, "ENDPOINT", hub.address)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", hub.address + names)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr(constants, "HF_HUB_DOWNLOAD_TIMEOUT", 1)
    monkeypatch.setattr(constants, "HF_HUB_ETAG_TIMEOUT", 1)
    monkeypatch.setattr(_http.time, "sleep", lambda _: None)
    # transformers keeps one client for the process, with the address that was known when it was first wanted.
    monkeypatch.setattr(of_transformers, "_hf_api", None, raising=False)


@contextmanager
def serving() -> Iterator[Hub]:
    """Serve while the block runs."""
    hub = Hub()
    try:
        yield hub
    finally:
        hub.closing.set()
        hub._server.shutdown()
        hub._server.server_close()
