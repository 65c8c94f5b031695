"""What servers may send back: nothing of it is more than an answer, another try, or an error that keeps the key."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from email.utils import formatdate
from typing import Any

import pytest

from rscovlm.engines import Conversation, Reply, Server, ServerError
from rscovlm.engines.answers import read_reply, retry_after
from tests.engines.test_server import question, said, serving

KEY = "hf_thisIsASecret123456"


@contextmanager
def raw(talk: Callable[[socket.socket], None]) -> Iterator[tuple[str, list[bytes]]]:
    """A server that reads a request and then does what it likes with the connection."""
    heads: list[bytes] = []
    listening = socket.create_server(("127.0.0.1", 0))

    def accept() -> None:
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            threading.Thread(target=one, args=(connection,), daemon=True).start()

    def one(connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            heads.append(connection.recv(1 << 20))
            talk(connection)

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/v1", heads
    finally:
        listening.close()


def head(length: int | None = None, status: str = "200 OK", *more: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", "Connection: close", *more]
    lines += [] if length is None else [f"Content-Length: {length}"]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def ask(address: str, **options: Any) -> Reply:
    settings = {"api_key": KEY, "tries": 2, "pause": 0.0, "timeout": 0.4, **options}
    return Server(address, "tiny", **settings).generate([question(1)])[0]


def message(**fields: Any) -> dict[str, Any]:
    return {"choices": [{"message": fields}]}


@pytest.mark.parametrize(
    "body",
    [
        b"{not json",
        b"[" * 200_000,
        b'data: {"choices": []}\n\ndata: [DONE]\n\n',
        '{"choices": [{"message": {"content": "é"}}]}'.encode("latin-1"),
        [1, 2],
        None,
        {"error": {"message": "overloaded"}},
        {"choices": []},
        {"choices": None},
        {"choices": [None]},
        {"choices": "abc"},
        {"choices": {"0": 1}},
        {"choices": [{"message": "x"}]},
        message(content=5),
        message(content=["text"]),
        message(content=None, tool_calls=[None]),
        message(content=None, tool_calls=[{"function": "zoom"}]),
        message(content=None, tool_calls="zoom"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_an_answer_that_cannot_be_read_is_asked_for_again(body: Any) -> None:
    def answer(_: dict[str, Any], number: int) -> tuple[int, Any]:
        return (200, body) if number % 2 == 0 else said("an answer")

    with serving(answer) as (server,):
        assert ask(server.address, timeout=20).text == "an answer"
        with pytest.raises(ServerError, match="no answer in 1 tries.*status 200"):
            ask(server.address, tries=1, timeout=20)


@pytest.mark.parametrize(
    ("body", "text", "tokens"),
    [
        (message(content=None), "", 0),
        (message(content=[{"type": "text", "text": "two "}, {"type": "x"}, {"text": "parts"}]), "two parts", 0),
        ({**message(content="a"), "usage": "many"}, "a", 0),
        ({**message(content="a"), "usage": {"completion_tokens": "many"}}, "a", 0),
        ({**message(content="a"), "usage": {"completion_tokens": float("nan")}}, "a", 0),
        ({**message(content="a"), "usage": {"completion_tokens": -4}}, "a", 0),
        ({**message(content="a"), "usage": {"completion_tokens": 7}}, "a", 7),
        (message(content="half \ud800 a character"), "half ? a character", 0),
    ],
)
def test_what_is_missing_is_nothing(body: Any, text: str, tokens: int) -> None:
    reply = read_reply(json.dumps(body).encode(), 0.5, logprobs=False)
    assert (reply.text, reply.tokens, reply.seconds, reply.finish) == (text, tokens, 0.5, "stop")


def test_log_probabilities_of_another_form_are_none() -> None:
    for content in (None, 5, [], [None], [{"token": "a"}], [{"token": "a", "logprob": "low"}]):
        body = {"choices": [{"message": {"content": "a"}, "logprobs": {"content": content}}]}
        assert read_reply(json.dumps(body).encode(), 0.0, logprobs=True).token_logprobs is None
    body = {"choices": [{"message": {"content": "a"}, "logprobs": {"content": [{"token": "a", "logprob": -1}]}}]}
    reply = read_reply(json.dumps(body).encode(), 0.0, logprobs=True)
    assert (reply.token_logprobs, reply.token_texts, reply.tokens) == ([-1.0], ["a"], 1)


def test_arguments_that_a_server_read_are_json_again() -> None:
    call = {"function": {"name": "image_zoom_in", "arguments": {"bbox": [1, 2, 3, 4]}}}
    reply = read_reply(json.dumps(message(content=None, tool_calls=[call])).encode(), 0.0, logprobs=False)
    assert json.loads(reply.text.split("\n")[1]) == {"name": "image_zoom_in", "arguments": {"bbox": [1, 2, 3, 4]}}


def test_a_key_that_a_server_repeats_is_in_no_error() -> None:
    for status in (401, 500):
        with (
            serving(lambda *_, status=status: (status, {"error": f"\x1b[2J bad key {KEY}"})) as (server,),
            pytest.raises((ServerError, ValueError), match=rf"status {status}.*bad key \*\*\*") as raised,
        ):
            ask(server.address, timeout=20)
        shown = "".join(traceback.format_exception(raised.value))
        assert KEY not in shown and "\x1b" not in shown
    for key in ("a\r\nX-Evil: 1", "two words", "ключ"):
        with pytest.raises(ValueError, match="api_key holds") as refused:
            Server("http://127.0.0.1:9/v1", "tiny", api_key=key)
        assert key not in str(refused.value)


def test_an_answer_must_be_whole_in_time() -> None:
    def drip(connection: socket.socket) -> None:
        connection.sendall(head(1000))
        for _ in range(100):
            connection.sendall(b" ")
            time.sleep(0.05)

    with raw(drip) as (address, _):
        start = time.monotonic()
        with pytest.raises(ServerError, match="was not whole after 0.4 seconds"):
            ask(address)
        assert time.monotonic() - start < 4


def test_an_answer_without_end_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rscovlm.engines.server._LARGEST", 1 << 20)
    sent = []

    def flood(connection: socket.socket) -> None:
        connection.sendall(head())
        while True:
            sent.append(connection.send(b"x" * 65536))

    with raw(flood) as (address, _), pytest.raises(ServerError, match="more than 1,048,576 bytes"):
        ask(address, tries=1, timeout=20)
    assert sum(sent) < 2**26


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_takes_neither_key_nor_image_elsewhere(status: int) -> None:
    with raw(lambda connection: connection.sendall(head(0))) as (elsewhere, visited):

        def leave(connection: socket.socket) -> None:
            connection.sendall(head(0, f"{status} Moved", f"Location: {elsewhere}/chat/completions"))

        with raw(leave) as (address, asked), pytest.raises(ValueError, match=f"refused.*status {status}"):
            ask(address)
        assert [one.split()[0] for one in asked] == [b"GET", b"POST"] and not visited


def test_half_answers_and_resets_are_tried_again() -> None:
    whole = json.dumps(said("an answer")[1]).encode()
    turns = iter([b"", head(len(whole)) + whole[:9], b"SSH-2.0-OpenSSH\r\n", head(len(whole)) + whole])
    with raw(lambda connection: connection.sendall(next(turns))) as (address, heads):
        assert ask(address, tries=4, timeout=20).text == "an answer"
    assert len(heads) == 4


def test_a_server_may_say_until_when_to_wait() -> None:
    assert retry_after("1.5") == 1.5 and retry_after("86400") == 60
    assert 3 < retry_after(formatdate(time.time() + 5, usegmt=True)) <= 5
    assert [retry_after(value) for value in (None, "", "soon", "nan", "-5", "Mon, 99 Foo 2026")] == [0] * 6


def test_an_engine_goes_on_after_a_request_that_was_refused() -> None:
    def picky(request: dict[str, Any], _: int) -> tuple[int, Any]:
        return (400, {"error": "no"}) if "13" in str(request["messages"]) else said("yes")

    with serving(picky) as (server,):
        engine = Server(server.address, "tiny", concurrency=4)
        with pytest.raises(ValueError, match="refused the request for good"):
            engine.generate([question(n) for n in range(20)])
        assert len(engine.generate([Conversation([{"role": "user", "content": "again"}])])) == 1


def test_a_failure_waits_for_nothing_that_is_in_flight() -> None:
    asked, released = threading.Event(), threading.Event()
    overdue = []

    def slow(request: dict[str, Any], _: int) -> tuple[int, Any]:
        if "question 3" in str(request["messages"]):
            asked.wait(30)
            return 400, {"error": "no"}
        asked.set()
        if not released.wait(30):
            overdue.append(request)
        return 500, {}  # would be tried again, many times

    with serving(slow) as (server,):
        engine = Server(server.address, "tiny", concurrency=4, tries=9, pause=0.01)
        with pytest.raises(ValueError, match="refused the request for good"):
            engine.generate([question(n) for n in range(8)])
        assert not overdue  # the others hang in the server still
        released.set()
        time.sleep(1)
        asked_for = [str(request["messages"]) for request in server.requests]
        assert len(set(asked_for)) == len(asked_for) <= 7  # what was in flight, each once, and nothing more
