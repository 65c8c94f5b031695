"""The memory of a server, whatever its clients send: pictures that are small as files and large when decoded."""

import base64
import contextlib
import http.client
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
import tracemalloc
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from rscovlm.serving.budget import MemoryBudget
from rscovlm.serving.refusals import BadRequest, RequestLimits
from rscovlm.serving.requests import parsing_bytes, read_body
from tests.rasters.test_memory import bomb
from tests.serving.loopback import chat, send, served, user
from tests.zoom.scripted import Scripted

ROOT = Path(__file__).parents[2]
MIB = 2**20
KINDS = (
    "webp",
    "webp-alpha",
    "webp-frames",
    "png-16",
    "png-interlaced",
    "jpeg-progressive",
    "gif",
    "gif-frames",
    "jp2",
    "tiff-16",
)


@contextlib.contextmanager
def command(*options: str) -> Iterator[tuple[int, int]]:
    """A server as users start it; its process and its port."""
    process = subprocess.Popen(
        [sys.executable, "-m", "rscovlm", "serve", "--port", "0", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    try:
        assert process.stdout is not None
        address = re.match(r"http://127\.0\.0\.1:(\d+)/v1", process.stdout.readline().decode())
        assert address is not None
        yield process.pid, int(address[1])
        process.send_signal(signal.SIGTERM)
        assert process.wait(120) == 0
    finally:
        process.kill()


def status(process: int, name: str) -> int:
    """One line of what the system says of a process, in MiB."""
    found = re.search(rf"{name}:\s+(\d+)", Path(f"/proc/{process}/status").read_text())
    assert found is not None
    return int(found[1]) // 1024


def ask(port: int, data: bytes) -> int:
    url = "data:image/png;base64," + base64.b64encode(data).decode()
    body = json.dumps({"model": "rscovlm:caption", "messages": [user("x", url)], "max_tokens": 2})
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=600)
    try:
        connection.request("POST", "/v1/chat/completions", body)
        response = connection.getresponse()
        response.read()
        return response.status
    finally:
        connection.close()


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="what a process took is read from /proc")
def test_bombs_in_flight_stay_within_the_budget_and_leave_nothing() -> None:
    """64 at a time, which undecided would take some 6 GB; the budget here is a quarter of the default."""
    budget = 384
    pictures = [bomb(KINDS[number % len(KINDS)], 1800) for number in range(63)]
    with command("--max-memory", str(budget)) as (process, port):
        assert ask(port, bomb("webp", 64)) == 200
        Path(f"/proc/{process}/clear_refs").write_text("5")
        base = status(process, "VmRSS")
        healthy = []
        with ThreadPoolExecutor(64) as pool:
            answers = [pool.submit(ask, port, data) for data in [*pictures, bomb("webp", 13_000)]]
            while not all(one.done() for one in answers):
                start = time.monotonic()
                connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
                connection.request("GET", "/health")
                healthy.append(connection.getresponse().status)
                connection.close()
                assert time.monotonic() - start < 20
                time.sleep(0.1)
            assert Counter(one.result() for one in answers) == {200: 63, 413: 1}
        assert set(healthy) == {200}
        # Beside the budget: the bodies, the model's own, and what the allocator keeps of small blocks.
        assert status(process, "VmHWM") < base + budget + 200
        assert status(process, "VmRSS") < base + 150


def test_a_picture_is_refused_by_its_header() -> None:
    limits = RequestLimits(memory=100 * MIB)
    with served(Scripted(lambda *_: "yes"), limits=limits) as server:
        for kind, side, wanted in (("webp", 13_000, 413), ("gif", 4000, 413), ("webp", 500, 200)):
            url = "data:image/webp;base64," + base64.b64encode(bomb(kind, side)).decode()
            got, reply = chat(server, user("What?", url))
            assert got == wanted, reply
            if wanted == 413:
                assert re.search(r"need \d+ MiB of memory to decode, by their headers; 100", reply["error"]["message"])
        assert server.memory.taken == 0


def test_shares_are_given_in_turn_and_given_back() -> None:
    budget = MemoryBudget(100)
    order: list[int] = []

    def take(size: int) -> None:
        with budget.share(size, lambda: None):
            assert budget.taken <= 100
            order.append(size)

    with ThreadPoolExecutor(3) as pool:
        with budget.share(60, lambda: None):
            large = pool.submit(take, 90)
            while len(budget._queue) < 1:
                time.sleep(0.01)
            small = pool.submit(take, 10)  # fits, but came later: the large one would wait for ever behind small ones
            time.sleep(0.1)
            assert order == []
        large.result(), small.result()
    assert order == [90, 10]
    assert budget.taken == 0
    with pytest.raises(BadRequest, match="by their headers"), budget.share(101, lambda: None):
        pass
    with pytest.raises(KeyError), budget.share(90, lambda: None):
        raise KeyError
    assert budget.taken == 0


def test_nobody_waits_longer_than_it_is_worth() -> None:
    budget = MemoryBudget(100)
    gone = threading.Event()

    def still() -> None:
        if gone.is_set():
            raise ConnectionError("the client is gone")

    def wait() -> None:
        with budget.share(50, still):
            pass

    with ThreadPoolExecutor(2) as pool, budget.share(80, still):
        waiting = pool.submit(wait)
        while len(budget._queue) < 1:
            time.sleep(0.01)
        gone.set()
        with pytest.raises(ConnectionError):
            waiting.result(10)
        assert not budget._queue
        gone.clear()
        with budget.share(20, still):  # nobody is in the way
            assert budget.taken == 100


@pytest.mark.parametrize("written", ["[],", "{},", "1.5,", '"ab",', '{"a":[1]},'])
def test_values_are_counted_before_they_are_parsed(written: str) -> None:
    """A value takes up to 80 times the bytes that it is written with."""
    body = b'{"messages": [' + (written * (2 * MIB)).encode() + b"0]}"
    with served(Scripted(lambda *_: "yes")) as server:
        start = time.monotonic()
        status, reply = send(server, "POST", "/v1/chat/completions", body)
        assert (status, time.monotonic() - start < 10) == (413, True)
        assert "commas and brackets" in json.loads(reply)["error"]["message"]
        # As many as are allowed are read within what the budget was told.
        fewer = b'{"messages": [' + (written * (MIB // 8)).encode() + b"0]}"
        tracemalloc.start()
        with contextlib.suppress(BadRequest):
            read_body(fewer)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < parsing_bytes(fewer)
