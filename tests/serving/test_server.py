"""A real client on the loopback: zooming without knowing of it, boxes in the pixels sent, and every limit."""

import base64
import http.client
import io
import json
import struct
import threading
import zlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
from PIL import Image

import rscovlm
from rscovlm.codec import Codec
from rscovlm.data.scenes import make_zoom_scene
from rscovlm.engines import Conversation, Engine, Reply, Transformers
from rscovlm.geometry import Frame
from rscovlm.serving.batching import Batched
from rscovlm.serving.requests import RequestLimits
from rscovlm.serving.server import ZoomServer
from rscovlm.training.embedded import STAGES, scene_config
from tests.zoom.scripted import Scripted, call, texts

SHIP = "0,0,504,504 ship\n"


@contextmanager
def served(engine: Engine, **options: Any) -> Iterator[ZoomServer]:
    server = ZoomServer(engine, port=0, **options)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
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


def test_a_client_that_knows_nothing_gets_zooming_from_the_embedded_model() -> None:
    from transformers import AutoModelForImageTextToText, AutoProcessor

    model: Any = AutoModelForImageTextToText.from_pretrained(rscovlm.embedded_model())
    engine = Transformers(model.eval(), AutoProcessor.from_pretrained(rscovlm.embedded_model()), batch_size=8)
    rng = np.random.default_rng(5)
    scenes = [make_zoom_scene(rng, 336, scene_config(STAGES[-1], 777)) for _ in range(6)]
    with served(engine) as server, ThreadPoolExecutor(6) as pool:
        replies = list(pool.map(lambda scene: chat(server, user(scene.question, uri(scene.image))), scenes))
        metrics = send(server, "GET", "/metrics")[1]
        batches = server.engine.batches
    assert [status for status, _ in replies] == [200] * 6
    right = [
        reply["choices"][0]["message"]["content"] == scene.answer
        for (_, reply), scene in zip(replies, scenes, strict=True)
    ]
    assert sum(right) >= 5
    assert all(len(reply["rscovlm"]["windows"]) == 1 for _, reply in replies)
    assert 'rscovlm_requests_total{task="ask",status="200"} 6' in metrics
    assert "rscovlm_zooms_total 6" in metrics
    assert batches < 12  # six questions of two turns each, some of them together


def test_boxes_come_back_in_the_pixels_that_were_sent() -> None:
    image = uri(Image.new("RGB", (2016, 2016)))
    engine = Scripted(lambda conversation, turn: SHIP)
    with served(engine) as server:
        _, asked = chat(server, user("Where is the ship?", image))
        _, found = chat(server, user("the ship", image), model="rscovlm:ground")
        _, listed = chat(server, user("", image), rscovlm={"task": "detect", "classes": ["ship"], "kind": "hbb"})
    # The overview of a chain has half the visual tokens, a single look has all: 1008 pixels a side.
    assert texts(engine.asked[1][0])[1] == "user: <image>find the ship"
    assert found["choices"][0]["message"]["content"] == "0,0,1008,1008 the ship\n"
    assert found["rscovlm"]["objects"] == [{"label": "the ship", "kind": "hbb", "box": [0.0, 0.0, 1008.0, 1008.0]}]
    objects = Codec("sent").decode(asked["choices"][0]["message"]["content"], Frame(2016, 2016)).objects
    shown = engine.asked[0][0].images()[0].width
    assert objects.boxes.coords[0, 2] == pytest.approx(504 * 2016 / shown, abs=0.6)
    # Nine tiles begin at 0, 807 and 1008; what the last two of a row or column found overlaps and is one object.
    assert listed["rscovlm"]["tiles"] == 9
    assert [one["box"][:2] for one in listed["rscovlm"]["objects"]] == [[0, 0], [807, 0], [0, 807], [807, 807]]


def test_budgets_bound_a_model_that_always_zooms() -> None:
    engine = Scripted(lambda conversation, turn: call(turn * 20, turn * 20, 400 + turn * 20, 400 + turn * 20))
    image = uri(Image.new("RGB", (1200, 1200)))
    with served(engine, limits=RequestLimits(steps=3)) as server:
        _, reply = chat(server, user("What?", image), rscovlm={"max_steps": 100, "max_visual_tokens": 10**9})
        assert len(reply["rscovlm"]["windows"]) <= 3
        assert reply["rscovlm"]["stopped"] in ("max_steps", "no_progress")
        _, none = chat(server, user("What?", image), rscovlm={"zoom": False})
        assert none["rscovlm"]["windows"] == []


def test_longer_conversations_and_streams() -> None:
    engine = Scripted(lambda conversation, turn: f"turn {turn}")
    image = uri(Image.new("RGB", (100, 100)))
    with served(engine) as server:
        said = {"role": "assistant", "content": "turn 0"}
        _, reply = chat(server, user("What?", image), said, {"role": "user", "content": "And now?"})
        assert reply["choices"][0]["message"]["content"] == "turn 1"
        assert texts(engine.asked[-1][0]) == ["user: <image>What?", "assistant: turn 0", "user: And now?"]
        body = json.dumps({"messages": [user("What?", image)], "stream": True}).encode()
        events = send(server, "POST", "/v1/chat/completions", body)[1].strip().split("\n\n")
        assert events[-1] == "data: [DONE]"
        pieces = [json.loads(event.removeprefix("data: ")) for event in events[:-1]]
        assert pieces[0]["choices"][0]["delta"] == {"role": "assistant", "content": "turn 0"}
        assert pieces[1]["choices"][0]["finish_reason"] == "stop"


def bomb() -> str:
    """A PNG of a few bytes that claims 60,000 x 60,000 pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    data = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")
    return "data:image/png;base64," + base64.b64encode(data).decode()


@pytest.mark.parametrize(
    ("fields", "status", "words"),
    [
        ({"messages": [user("What?", "http://169.254.169.254/latest")]}, 400, "not fetched"),
        ({"messages": [user("What?", "file:///etc/passwd")]}, 400, "not fetched"),
        ({"messages": [user("What?", "/etc/passwd")]}, 400, "not fetched"),
        ({"messages": [user("What?", "data:image/png;base64,%%%")]}, 400, "base64"),
        ({"messages": [user("What?", "data:image/png;base64,aGVsbG8=")]}, 400, "cannot be read"),
        ({"messages": [user("What?", bomb())]}, 400, "pixels"),
        ({"messages": [user("What?", *[uri(Image.new("RGB", (30, 30)))] * 9)]}, 413, "more than 8 images"),
        ({"messages": [user("x" * 40_000, uri(Image.new("RGB", (30, 30))))]}, 413, "characters"),
        ({"messages": [user("What?")]}, 400, "no image"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": 3}]}]}, 400, "data URI"),
        ({"messages": [{"role": "tool", "content": ""}]}, 400, "role"),
        ({"messages": []}, 400, "1 to 64 turns"),
        ({"messages": [user("a", uri(Image.new("RGB", (30, 30))))], "max_tokens": -1}, 400, "whole number"),
        ({"messages": [user("a", uri(Image.new("RGB", (30, 30))))], "rscovlm": {"task": "fly"}}, 400, "task"),
        ({"messages": [user("", uri(Image.new("RGB", (30, 30))))], "rscovlm": {"task": "detect"}}, 400, "class names"),
        ({"messages": [user("a", uri(Image.new("RGB", (9000, 20))))]}, 400, "200"),
    ],
)
def test_what_is_refused_is_named_and_nothing_more(fields: dict[str, Any], status: int, words: str) -> None:
    with served(Scripted(lambda *_: "yes")) as server:
        got, text = send(server, "POST", "/v1/chat/completions", json.dumps(fields).encode())
    assert (got, words in json.loads(text)["error"]["message"]) == (status, True), text
    assert "Traceback" not in text


def test_bodies_are_refused_by_their_length_and_form() -> None:
    path = "/v1/chat/completions"
    with served(Scripted(lambda *_: "yes"), limits=RequestLimits(body=1000)) as server:
        assert send(server, "POST", path, b"{}", {"Content-Length": str(10**12)})[0] == 413
        assert send(server, "POST", path, b"{}", {"Content-Length": "many"})[0] == 411
        assert send(server, "POST", path, b"[" * 900)[0] == 400
        assert send(server, "POST", path, b"[]")[0] == 400
        assert send(server, "POST", "/v1/other", b"{}")[0] == 404
        assert send(server, "GET", "/etc/passwd")[0] == 404
        assert send(server, "GET", "/health") == (200, '{"status": "ok"}')
        names = [model["id"] for model in json.loads(send(server, "GET", "/v1/models")[1])["data"]]
        assert names[:2] == ["rscovlm", "rscovlm:detect"]


def test_keys_failures_and_crowds() -> None:
    gate = threading.Event()

    def slow(conversation: Conversation, turn: int) -> str:
        gate.wait(30)
        raise RuntimeError("secret of the engine")

    image = uri(Image.new("RGB", (60, 60)))
    body = json.dumps({"messages": [user("What?", image)]}).encode()
    key = {"Authorization": "Bearer k1"}
    limits = RequestLimits(waiting=1)
    with served(Scripted(slow), api_key="k1", limits=limits) as server, ThreadPoolExecutor(1) as pool:
        assert send(server, "POST", "/v1/chat/completions", body)[0] == 401
        assert send(server, "GET", "/v1/models", headers={"Authorization": "Bearer k2"})[0] == 401
        first = pool.submit(send, server, "POST", "/v1/chat/completions", body, key)
        while server.metrics.value("rscovlm_requests_in_flight") < 1:
            pass
        assert send(server, "POST", "/v1/chat/completions", body, key)[0] == 429
        gate.set()
        status, text = first.result()
        assert status == 500
        assert "secret" not in text
        assert 'status="500"} 1' in send(server, "GET", "/metrics")[1]


class Counting(Scripted):
    """Fails where a conversation says so, and otherwise repeats what it was asked."""

    def generate(self, conversations: Sequence[Conversation], **options: Any) -> list[Reply]:
        if any("fail" in one.messages[0]["content"] for one in conversations):
            raise ValueError("fail")
        return super().generate(conversations, **options)


def test_many_callers_share_batches_and_not_mistakes() -> None:
    engine = Batched(Counting(lambda conversation, _: str(conversation.messages[0]["content"])))

    def ask(number: int) -> str:
        words = f"{number} fail" if number % 10 == 3 else str(number)
        try:
            return engine.generate([Conversation([{"role": "user", "content": words}])])[0].text
        except ValueError:
            return words

    with ThreadPoolExecutor(16) as pool:
        assert list(pool.map(ask, range(100))) == [f"{n} fail" if n % 10 == 3 else str(n) for n in range(100)]
    engine.close()
    with pytest.raises(RuntimeError, match="closed"):
        ask(1)
