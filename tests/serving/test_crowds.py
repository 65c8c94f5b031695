"""Clients that hold connections, room or time do not keep others out."""

import contextlib
import json
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from rscovlm.engines import Conversation
from rscovlm.serving import bodies
from rscovlm.serving.refusals import RequestLimits
from rscovlm.serving.server import ZoomServer
from tests.serving.loopback import chat, send, served
from tests.zoom.scripted import Scripted

ASK = {"role": "user", "content": "Hi"}
PATH = "/v1/chat/completions"


@contextlib.contextmanager
def held(server: ZoomServer, connections: int, sent: bytes = b"") -> Iterator[list[socket.socket]]:
    """Open connections that send something and then nothing more."""
    with contextlib.ExitStack() as stack:
        opened = []
        for _ in range(connections):
            one = stack.enter_context(socket.create_connection(("127.0.0.1", server.port), timeout=10))
            one.sendall(sent)
            opened.append(one)
        time.sleep(0.3)
        yield opened


def holds(server: ZoomServer, size: int) -> bool:
    """Whether the bodies held come to so many bytes, in a moment: room is given back after the answer was sent."""
    end = time.monotonic() + 10
    while server._bodies.held != size and time.monotonic() < end:
        time.sleep(0.02)
    return server._bodies.held == size


def head(stated: int) -> bytes:
    return f"POST {PATH} HTTP/1.1\r\nHost: x\r\nContent-Length: {stated}\r\n\r\n".encode()


@pytest.mark.parametrize(
    ("connections", "sent"),
    [
        (8, head(64 * 2**20) + b"{"),  # all the room, announced
        (64, head(2) + b"{"),  # all the places, announced
        (300, b""),  # all the connections
        (300, b"POST / HT"),
        (300, head(2**20) + b"{"),
        (300, b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n"),  # answered, and kept open
    ],
)
def test_clients_that_wait_keep_nobody_out(connections: int, sent: bytes) -> None:
    with served(Scripted(lambda *_: "yes")) as server, held(server, connections, sent):
        for _ in range(3):
            start = time.monotonic()
            assert send(server, "GET", "/health")[0] == 200
            assert send(server, "GET", "/metrics")[0] == 200
            assert send(server, "GET", "/v1/models")[0] == 200
            status, reply = chat(server, ASK)
            assert (status, time.monotonic() - start < 10) == (200, True), reply


def test_those_who_are_answered_are_not_hung_up_on() -> None:
    gate = threading.Event()

    def wait(conversation: Conversation, turn: int) -> str:
        gate.wait(30)
        return "yes"

    with served(Scripted(wait), limits=RequestLimits(connections=8)) as server, ThreadPoolExecutor(4) as pool:
        asked = [pool.submit(chat, server, ASK) for _ in range(4)]
        while server.metrics.value("rscovlm_requests_in_flight") < 4:
            time.sleep(0.01)
        with held(server, 20):
            assert send(server, "GET", "/health")[0] == 200
            gate.set()
            assert [one.result()[0] for one in asked] == [200] * 4


def test_the_largest_body_that_is_coming_gives_way() -> None:
    """Bodies that really hold all the room lose it to one that needs little; none that is whole does."""
    body = json.dumps({"messages": [ASK]}).encode()
    with served(Scripted(lambda *_: "yes"), limits=RequestLimits(bodies=4_000_000, body=4_000_000)) as server:
        with held(server, 3, head(1_400_000) + b" " * 1_300_000) as holding:
            assert holds(server, 3_900_000)
            assert send(server, "POST", PATH, body + b" " * 150_000)[0] == 200
            assert holds(server, 2 * 1_300_000)
            answers = []
            for one in holding:
                one.settimeout(0.3)
                with contextlib.suppress(TimeoutError):
                    answers.append(one.recv(12))
            assert answers == [b"HTTP/1.1 429"]
        assert holds(server, 0)


def test_bodies_may_take_long_as_long_as_they_come(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "SLOWEST", 1000)
    body = json.dumps({"messages": [ASK]}).encode() + b" " * 2400
    with served(Scripted(lambda *_: "yes"), timeout=0.6) as server:
        for pause, status in ((0.2, b"200"), (0.9, b"408"), (0.5, b"408")):
            # 12 pieces: 2.4 seconds at 1,000 bytes a second; then a gap; then too few bytes a second.
            with socket.create_connection(("127.0.0.1", server.port), timeout=10) as one:
                one.sendall(head(len(body)))
                with contextlib.suppress(OSError):
                    for start in range(0, len(body), 210):
                        one.sendall(body[start : start + 210])
                        time.sleep(pause)
                assert one.recv(12)[-3:] == status
        assert server.metrics.value("rscovlm_clients_too_slow_total") == 2
        assert holds(server, 0)
