"""A real client on the loopback: zooming without knowing of it, boxes in the pixels sent, and every limit."""

import base64
import contextlib
import http.client
import json
import os
import re
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import rscovlm
from rscovlm.codec import Codec
from rscovlm.engines import Conversation, Reply, Transformers
from rscovlm.experiments.embedded import STAGES, scene_config
from rscovlm.geometry import Frame
from rscovlm.processing.resolution import PixelBudget, plan_size
from rscovlm.scenes import make_zoom_scene
from rscovlm.serving import replying
from rscovlm.serving.batching import Batched
from rscovlm.serving.refusals import RequestLimits
from rscovlm.serving.server import ZoomServer
from tests.serving.loopback import chat, send, served, uri, user
from tests.zoom.scripted import Scripted, call, texts

ROOT = Path(__file__).parents[2]
SHIP = "0,0,504,504 ship\n"


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
    assert 'rscovlm_requests_total{status="200",task="ask"} 6.0' in metrics
    assert "rscovlm_zooms_total 6.0" in metrics
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


def events(text: str) -> list[dict[str, Any]]:
    """The events of a stream, without the word that ends it."""
    *pieces, last = text.strip().split("\n\n")
    assert last == "data: [DONE]"
    return [json.loads(piece.removeprefix("data: ")) for piece in pieces]


def test_earlier_turns_are_zoomed_in_and_their_boxes_are_where_the_model_has_them() -> None:
    """A hundred of the model's units are four hundred pixels of the first image sent, two hundred of the second."""

    def say(conversation: Conversation, turn: int) -> str:
        if "zoomed-in" in texts(conversation)[-1]:
            return "10,20,30,40 mast\n"
        return (
            call(100, 100, 300, 300) if "mast" in texts(conversation)[-1] else "The ship at [10, 20, 110, 120] is red."
        )

    engine = Scripted(say, budget=PixelBudget(28 * 28, 504 * 504))
    first, second = uri(Image.new("RGB", (2016, 2016))), uri(Image.new("RGB", (1008, 1008)))
    limits = RequestLimits(visual_tokens=10**5)
    with served(engine, limits=limits) as server:
        _, one = chat(server, user("Where is the ship?", first))
        said = one["choices"][0]["message"]
        assert said["content"] == "The ship at [40, 80, 440, 480] is red."
        _, two = chat(
            server,
            {"role": "system", "content": "Be brief."},
            user("Where is the ship?", first),
            said,
            user("And here?", second),
        )
        assert two["choices"][0]["message"]["content"] == "The ship at [20, 40, 220, 240] is red."
        assert two["rscovlm"]["image"] == 1
        asked = engine.asked[-1][0]
        assert texts(asked)[0].startswith("system: Be brief.\n\n# Tools")
        assert texts(asked)[1:] == [
            "user: <image>Where is the ship?",
            "assistant: The ship at [10, 20, 110, 120] is red.",
            "user: <image>And here?\nZoom in to the region of interest and answer the question.",
        ]
        assert [image.size for image in asked.images()] == [(504, 504), (504, 504)]
        # A question without an image of its own is about the last one; its window is read from the original.
        mast = user("Where is its mast?")
        _, three = chat(server, user("What?", first), user("And this?", second), said, mast)
        assert three["rscovlm"]["windows"] == [{"image": 1, "window": [200, 200, 600, 600]}]
        crop = engine.asked[-1][0].images()[-1]
        scale = 400 / plan_size(crop.width, crop.height, engine.budget)[0]
        numbers = [200 + round(number * scale) for number in (10, 20, 30, 40)]
        assert three["choices"][0]["message"]["content"] == ",".join(map(str, numbers)) + " mast"
        # Other tasks look at the last image that was sent.
        _, four = chat(server, user("What?", first), said, user("the ship"), model="rscovlm:ground")
        assert four["choices"][0]["message"]["content"] == "40,80,440,480 the ship\n"
        _, words = chat(server, {"role": "user", "content": "What is a ship?"})
        assert words["rscovlm"]["windows"] == [] and texts(engine.asked[-1][0]) == ["user: What is a ship?"]


def test_json_stays_json_and_a_stated_style_is_kept() -> None:
    fenced = '```json\n[\n\t{"bbox_2d": [250, 500, 750, 1000], "label": "ship 1, 2"}\n]\n```'
    engine = Scripted(lambda *_: fenced, codec="qwen3-vl")
    image = uri(Image.new("RGB", (400, 200)))
    with served(engine) as server:
        _, kept = chat(server, user("Where?", image))
        _, plain = chat(server, user("Where?", image), rscovlm={"style": "plain"})
        _, again = chat(server, user("Where?", image), kept["choices"][0]["message"], user("Sure?"))
    assert kept["choices"][0]["message"]["content"] == fenced.replace("250, 500, 750, 1000", "100, 100, 300, 200")
    assert plain["choices"][0]["message"]["content"] == "100,100,300,200 ship 1, 2\n"
    assert texts(engine.asked[-1][0])[-2] == f"assistant: {fenced}" and again["rscovlm"]["stopped"] == "answer"


def test_streams_say_what_happens_while_it_happens() -> None:
    gate = threading.Event()

    def say(conversation: Conversation, turn: int) -> str:
        if turn == 0:
            return call(100, 100, 300, 300)
        gate.wait(30)
        return "It is red."

    body = {"messages": [user("What?", uri(Image.new("RGB", (1000, 1000))))], "stream": True}
    with served(Scripted(say)) as server:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
        connection.request("POST", "/v1/chat/completions", json.dumps(body))
        response = connection.getresponse()
        assert response.getheader("Content-Type") == "text/event-stream; charset=utf-8"
        early = response.readline() + response.readline() + response.readline()  # before the second reply
        assert b'"role": "assistant"' in early and b'"window"' in early
        gate.set()
        rest = events(response.read().decode().lstrip("\n"))
        connection.close()
        spoken = [piece["choices"][0]["delta"].get("content") for piece in rest]
        assert spoken == [None, "It ", "is ", "red.", None]  # the second step, the words, the end
        assert rest[-1]["choices"][0]["finish_reason"] == "stop" and "usage" not in rest[-1]
        assert len(rest[-1]["rscovlm"]["windows"]) == 1
        counted = json.dumps({**body, "stream_options": {"include_usage": True}}).encode()
        last = events(send(server, "POST", "/v1/chat/completions", counted)[1])[-1]
        assert last["choices"] == [] and last["usage"]["completion_tokens"] > 0


def test_a_silent_stream_says_that_it_lives(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replying, "_SILENCE", 0.05)

    def say(conversation: Conversation, turn: int) -> str:
        time.sleep(0.3 * turn)
        return "It is red." if turn else call(100, 100, 300, 300)

    body = {"messages": [user("What?", uri(Image.new("RGB", (1000, 1000))))], "stream": True}
    with served(Scripted(say)) as server:
        _, text = send(server, "POST", "/v1/chat/completions", json.dumps(body).encode())
    assert ": still here\n\n" in text
    assert events(text.replace(": still here\n\n", ""))[-1]["choices"][0]["finish_reason"] == "stop"


@pytest.mark.parametrize("stream", [False, True])
def test_nobody_is_answered_who_left(stream: bool) -> None:
    left = threading.Event()

    def say(conversation: Conversation, turn: int) -> str:
        if turn:
            left.wait(30)
            time.sleep(2.5)  # the server looks every second
        return call(100 + turn, 100, 500, 500)

    body = json.dumps({"messages": [user("What?", uri(Image.new("RGB", (1000, 1000))))], "stream": stream}).encode()
    with served(Scripted(say), limits=RequestLimits(steps=4)) as server:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
        connection.request("POST", "/v1/chat/completions", body)
        while server.metrics.value("rscovlm_requests_in_flight") < 1:
            time.sleep(0.01)
        assert connection.sock is not None
        connection.sock.shutdown(socket.SHUT_RDWR)
        connection.close()
        left.set()
        while server.metrics.value("rscovlm_requests_in_flight"):
            time.sleep(0.01)
        assert server.metrics.value("rscovlm_requests_total", task="ask", status="499") == 1


def test_openais_client_is_content() -> None:
    openai = pytest.importorskip("openai", reason="openai is not installed")
    image = Image.new("RGB", (1300, 1008))
    engine = Scripted(lambda conversation, _: SHIP if "find" in texts(conversation)[-1] else "Two\nships.")
    key = "k1"
    with served(engine, api_key=key) as server:
        client = openai.OpenAI(base_url=f"http://127.0.0.1:{server.port}/v1", api_key=key, max_retries=0)
        asked: list[Any] = [user("How many?", uri(image))]
        whole = client.chat.completions.create(model="rscovlm", messages=asked, temperature=0)
        assert whole.choices[0].message.content == "Two\nships." and whole.usage.total_tokens > 0
        stream = client.chat.completions.create(
            model="rscovlm", messages=asked, stream=True, stream_options={"include_usage": True}
        )
        pieces = list(stream)
        said = "".join(piece.choices[0].delta.content or "" for piece in pieces if piece.choices)
        assert said == "Two\nships." and pieces[-1].usage.total_tokens == whole.usage.total_tokens
        assert [piece.choices[0].finish_reason for piece in pieces if piece.choices][-1] == "stop"
        found = client.chat.completions.create(
            model="rscovlm:detect",
            messages=[user("ship", uri(image))],
            extra_body={"rscovlm": {"kind": "hbb"}},
            stream=True,
        )
        tiles = [piece.model_extra["rscovlm"].get("tiles") for piece in found if "rscovlm" in piece.model_extra]
        assert tiles[0] == [2, 2] and tiles[-1] == 2
        assert next(one.id for one in client.models.list()) == "rscovlm"
        assert client.models.retrieve("rscovlm:ground").owned_by == "rscovlm"
        with pytest.raises(openai.NotFoundError):
            client.models.retrieve("gpt")
        with pytest.raises(openai.BadRequestError, match="not fetched") as caught:
            client.chat.completions.create(model="rscovlm", messages=[user("?", "https://example.org/a.png")])
        assert caught.value.type == "invalid_request_error"
        with pytest.raises(openai.AuthenticationError):
            openai.OpenAI(base_url=client.base_url, api_key="k2", max_retries=0).models.list()


def test_what_goes_wrong_in_a_stream_ends_it_with_its_reason() -> None:
    def say(conversation: Conversation, turn: int) -> str:
        if turn:
            raise RuntimeError("secret of the engine")
        return call(100, 100, 300, 300)

    body = {"messages": [user("What?", uri(Image.new("RGB", (1000, 1000))))], "stream": True}
    with served(Scripted(say)) as server:
        status, text = send(server, "POST", "/v1/chat/completions", json.dumps(body).encode())
        assert status == 200 and events(text)[-1]["error"]["type"] == "server_error" and "secret" not in text
        refused = json.dumps({**body, "n": 3}).encode()
        status, text = send(server, "POST", "/v1/chat/completions", refused)
        assert status == 400 and json.loads(text)["error"] == {
            "message": "n must be 1; send the request again for another answer",
            "type": "invalid_request_error",
            "param": "n",
            "code": None,
        }


def test_answers_can_be_held_to_a_grammar_and_to_a_time() -> None:
    engine = Scripted(lambda *_: SHIP)
    image = uri(Image.new("RGB", (100, 100)))
    with served(engine) as server:
        for task in ("detect", "ground", "classify"):
            own = {"task": task, "classes": ["ship", "quay"], "constrained": True}
            assert chat(server, user("ship", image), rscovlm=own)[0] == 200
            grammar = engine.asked[-1][0].grammar
            assert grammar is not None and "ship" in grammar.pattern

    def slow(conversation: Conversation, turn: int) -> str:
        time.sleep(0.6)
        return call(10 * turn, 0, 10 * turn + 50, 50)

    with served(Scripted(slow), limits=RequestLimits(seconds=1)) as server:
        assert chat(server, user("What?", uri(Image.new("RGB", (900, 900)))))[0] == 504


def virtual() -> str:
    """A GDAL virtual file that calls itself a PNG."""
    return "data:image/png;base64," + base64.b64encode(b"<VRTDataset rasterXSize='9' rasterYSize='9'/>").decode()


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
        ({"messages": [user("What?", bomb())]}, 413, "an image has 60000x60000 pixels; 268435456 are allowed"),
        ({"messages": [user("What?", virtual())]}, 400, "an image is a GDAL virtual file"),
        ({"messages": [user("What?")], "max_tokens": 1.5}, 400, "max_tokens must be a whole number"),
        ({"messages": [user("What?")], "model": "rscovlm:detct"}, 404, "there is no model 'rscovlm:detct'"),
        ({"messages": [user("What?", *[uri(Image.new("RGB", (30, 30)))] * 9)]}, 413, "more than 8 images"),
        ({"messages": [user("x" * 60_000, uri(Image.new("RGB", (30, 30))))]}, 413, "more than 16384 tokens"),
        ({"messages": [user("ship")], "model": "rscovlm:detect"}, 400, "no image"),
        ({"messages": [user("a<|im_end|>b")]}, 400, "control token"),
        ({"messages": [user("\ud800")]}, 400, "half a character"),
        ({"messages": [user("a")], "response_format": {"type": "json_object"}}, 400, "rscovlm.style"),
        ({"messages": [{"role": ["user"], "content": "a"}]}, 400, "role"),
        ({"messages": [{"role": "assistant", "content": [{"type": "image_url", "image_url": "x"}]}]}, 400, "block"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": 3}]}]}, 400, "data URI"),
        ({"messages": [{"role": "tool", "content": ""}]}, 400, "role"),
        ({"messages": []}, 400, "1 to 64 turns"),
        ({"messages": [user("a", uri(Image.new("RGB", (30, 30))))], "max_tokens": -1}, 400, "whole number"),
        ({"messages": [user("a", uri(Image.new("RGB", (30, 30))))], "rscovlm": {"task": "fly"}}, 400, "task"),
        ({"messages": [user("", uri(Image.new("RGB", (30, 30))))], "rscovlm": {"task": "detect"}}, 400, "class names"),
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
        assert send(server, "POST", path, b"{}", {"Content-Length": "many"})[0] == 400
        assert send(server, "POST", path, None, {"Transfer-Encoding": "chunked"})[0] == 411
        # A length beside chunks is how a request is smuggled past a proxy.
        assert (
            send(server, "POST", path, b"0\r\n\r\n", {"Transfer-Encoding": "chunked", "Content-Length": "5"})[0] == 411
        )
        assert send(server, "POST", path, b"[" * 900)[0] == 400
        assert send(server, "POST", path, b"[]")[0] == 400
        assert send(server, "POST", "/v1/other", b"{}")[0] == 404
        assert send(server, "GET", "/etc/passwd")[0] == 404
        assert send(server, "GET", "/health") == (200, '{"status":"ok"}')
        names = [model["id"] for model in json.loads(send(server, "GET", "/v1/models")[1])["data"]]
        assert names[:2] == ["rscovlm", "rscovlm:detect"]


def raw(server: ZoomServer, data: bytes, wait: float = 10) -> bytes:
    with socket.create_connection(("127.0.0.1", server.port), timeout=wait) as connection:
        connection.sendall(data)
        answer = b""
        while piece := connection.recv(65536):
            answer += piece
        return answer


def test_strange_speech_and_slow_clients() -> None:
    with served(Scripted(lambda *_: "yes"), timeout=0.5, limits=RequestLimits(connections=2)) as server:
        for line in (
            b"<script> / HTTP/1.1\r\n\r\n",
            b"BREW /<script> HTTP/1.1\r\n\r\n",
            b"GET /" + b"a" * 70_000 + b"\r\n",
        ):
            answer = raw(server, line)
            assert b" 400 " in answer.split(b"\r\n")[0] and b"script" not in answer and b"aaa" not in answer
        assert b" 405 " in raw(server, b"GET /v1/chat/completions HTTP/1.0\r\n\r\n").split(b"\r\n")[0]
        body = json.dumps({"messages": [{"role": "user", "content": "Hi"}], "stream": True}).encode()
        old = b"POST /v1/chat/completions HTTP/1.0\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
        assert raw(server, old).endswith(b"data: [DONE]\n\n")  # no chunks in HTTP/1.0
        # What could be read as two requests, by a proxy and by this server, is refused; a body that nobody asked for is
        # no request.
        twice = b"POST /v1/chat/completions HTTP/1.1\r\nContent-Length: 2\r\nContent-Length: 40\r\n\r\n{}"
        assert b" 400 " in raw(server, twice + b"GET /health HTTP/1.1\r\n\r\n").split(b"\r\n")[0]
        hidden = b"GET /metrics HTTP/1.1\r\nContent-Length: 24\r\n\r\nGET /health HTTP/1.1\r\n\r\n"
        assert raw(server, hidden).count(b"HTTP/1.1 ") == 1
        # Bytes that drip, in the head and in the body, buy no more time.
        head = b"POST /v1/chat/completions HTTP/1.1\r\nContent-Length: 1000\r\n"
        for begun in (head, head + b"\r\n{"):
            start = time.monotonic()
            # A reset or a broken pipe, as the system likes.
            with socket.create_connection(("127.0.0.1", server.port), timeout=10) as slow, pytest.raises(OSError):
                slow.sendall(begun)
                while time.monotonic() < start + 8:
                    slow.sendall(b"x")
                    time.sleep(0.1)
            assert time.monotonic() < start + 5
        idle = [socket.create_connection(("127.0.0.1", server.port), timeout=10) for _ in range(4)]
        for one in idle:  # two at once, two after their time
            with contextlib.suppress(ConnectionResetError):
                assert one.recv(1) == b""
            one.close()
        assert server.metrics.value("rscovlm_connections_refused_total") == 2
        assert server.metrics.value("rscovlm_clients_too_slow_total") >= 2


def test_bodies_together_are_bounded() -> None:
    gate = threading.Event()
    body = json.dumps({"messages": [{"role": "user", "content": "x" * 500}]}).encode()

    def wait(conversation: Conversation, turn: int) -> str:
        gate.wait(30)
        return "yes"

    with served(Scripted(wait), limits=RequestLimits(bodies=900)) as server, ThreadPoolExecutor(1) as pool:
        first = pool.submit(send, server, "POST", "/v1/chat/completions", body)
        while server.metrics.value("rscovlm_requests_in_flight") < 1:
            time.sleep(0.01)
        assert send(server, "POST", "/v1/chat/completions", body)[0] == 429
        gate.set()
        assert first.result()[0] == 200
        assert send(server, "POST", "/v1/chat/completions", body)[0] == 200


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
        assert 'rscovlm_requests_total{status="500",task="ask"} 1.0' in send(server, "GET", "/metrics")[1]


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


def test_no_caller_gets_the_reply_to_another() -> None:
    """An engine that loses a reply of a common batch answers each caller on its own, or none at all."""

    class Forgetful(Counting):
        def generate(self, conversations: Any, **options: Any) -> list[Reply]:
            if len(conversations) == 1 and "stop" in str(conversations[0].messages):
                raise SystemExit("out of memory")
            time.sleep(0.02)  # so that others come to wait together
            return super().generate(conversations[1:] if len(conversations) > 1 else conversations, **options)

    engine = Batched(Forgetful(lambda conversation, _: str(conversation.messages[0]["content"])))

    def ask(number: int) -> str:
        words = "stop" if number == 7 else str(number)
        try:
            return engine.generate([Conversation([{"role": "user", "content": words}])])[0].text
        except SystemExit:
            return words

    with ThreadPoolExecutor(16) as pool:
        assert list(pool.map(ask, range(40))) == ["stop" if n == 7 else str(n) for n in range(40)]
    engine.close()


def test_it_is_one_command(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "rscovlm", "serve", "--port", "0", "--api-key-env", "SERVE_KEY"]
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=log, env={**os.environ, "SERVE_KEY": "k1"}, cwd=ROOT
        )
    try:
        assert process.stdout is not None
        said = process.stdout.readline().decode()
        address = re.match(r"http://127\.0\.0\.1:(\d+)/v1 serves rscovlm", said)
        assert address is not None, (said, (tmp_path / "log").read_text())
        connection = http.client.HTTPConnection("127.0.0.1", int(address[1]), timeout=300)
        image = uri(make_zoom_scene(3, 336).image)
        body = json.dumps({"messages": [user("What marking is on the white pad?", image)]})
        connection.request("POST", "/v1/chat/completions", body, {"Authorization": "Bearer k1"})
        answer = json.loads(connection.getresponse().read())
        connection.close()
        assert answer["choices"][0]["message"]["content"] == make_zoom_scene(3, 336).answer
        process.send_signal(signal.SIGTERM)
        assert process.wait(120) == 0
    finally:
        process.kill()
    assert "k1" not in (tmp_path / "log").read_text()
