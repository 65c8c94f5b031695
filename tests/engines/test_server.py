"""The client against real sockets: a small server of the chat completions API on loopback."""

import base64
import io
import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np
import pytest
from jsonschema import validate
from PIL import Image

from rscovlm.codec import Codec
from rscovlm.engines import Conversation, Engine, Reply, Server, ServerError, Transformers
from rscovlm.engines.chat_form import to_openai
from rscovlm.geometry import Boxes, Frame, Objects
from rscovlm.processing import PixelBudget, RSCoVLMImageProcessor, RSCoVLMProcessor
from rscovlm.processing.tokenizer import build_tokenizer
from rscovlm.training.tiny import build_model
from rscovlm.zoom import ZoomChain
from rscovlm.zoom.layouts import LAYOUTS, Layout, overview_turn, zoom_conversation
from tests.codec.test_exported_grammars import ebnf_reader

FRAME = Frame(504, 504)
Answer = Callable[[dict[str, Any], int], tuple[int, Any]]


class Loopback:
    """A server that answers a request with ``answer(request, number of the request)``: a status and a JSON value."""

    def __init__(self, answer: Answer) -> None:
        self.requests: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        lock = threading.Lock()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                with lock:
                    number = len(outer.requests)
                    outer.requests.append(body)
                    outer.headers.append({"path": self.path, **{k.lower(): v for k, v in self.headers.items()}})
                status, value = answer(body, number)
                if status == 0:  # hang up without a word
                    self.connection.close()
                    return
                data = json.dumps(value).encode() if not isinstance(value, bytes) else value
                self.send_response(status)
                self.send_header("Content-Length", str(len(data)))
                if status == 429:
                    self.send_header("Retry-After", "0.05")
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_: Any) -> None:
                pass

        class Quiet(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 128

            def handle_error(self, *_: Any) -> None:
                pass

        self._server = Quiet(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self._server.server_address[1]}/v1"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@contextmanager
def serving(*answers: Answer) -> Iterator[list[Loopback]]:
    servers = [Loopback(answer) for answer in answers]
    try:
        yield servers
    finally:
        for server in servers:
            server.close()


def said(text: str, **more: Any) -> tuple[int, dict[str, Any]]:
    choice = {"message": {"role": "assistant", "content": text}, "finish_reason": "stop", **more}
    return 200, {"choices": [choice], "usage": {"completion_tokens": 3}}


def question(number: int) -> Conversation:
    return Conversation([{"role": "user", "content": f"question {number}"}])


def echo(request: dict[str, Any], _: int) -> tuple[int, Any]:
    return said(request["messages"][-1]["content"].replace("question", "answer"))


def test_answers_come_in_the_order_asked() -> None:
    with serving(echo) as (server,):
        engine: Engine = Server(server.address, "tiny", api_key="secret")
        replies = engine.generate([question(n) for n in range(40)], max_new_tokens=7)
    assert [reply.text for reply in replies] == [f"answer {n}" for n in range(40)]
    assert all((reply.tokens, reply.finish) == (3, "stop") and reply.seconds > 0 for reply in replies)
    fields = ("model", "max_tokens", "temperature", "frequency_penalty")
    assert {tuple(one[name] for name in fields) for one in server.requests} == {("tiny", 7, 0, 0)}
    assert {(one["path"], one["authorization"]) for one in server.headers} == {
        ("/v1/chat/completions", "Bearer secret")
    }
    assert "secret" not in repr(vars(engine)) and engine.generate([]) == []


def test_sixty_four_conversations_survive_the_death_of_a_replica() -> None:
    servers: list[Loopback] = []

    def mortal(request: dict[str, Any], number: int) -> tuple[int, Any]:
        if number >= 5:
            threading.Thread(target=servers[0].close).start()
            return 0, None
        return steady(request, number)

    def steady(request: dict[str, Any], number: int) -> tuple[int, Any]:
        time.sleep(0.01)
        return echo(request, number)

    servers += [Loopback(mortal), *(Loopback(steady) for _ in range(3))]
    try:
        engine = Server([server.address for server in servers], "tiny", concurrency=64, pause=0.01)
        replies = engine.generate([question(n) for n in range(64)])
    finally:
        for server in servers[1:]:
            server.close()
    assert [reply.text for reply in replies] == [f"answer {n}" for n in range(64)]
    counts = [len(server.requests) for server in servers]
    assert counts[0] >= 6 and min(counts[1:]) >= 10 and max(counts[1:]) <= 40  # spread over those that live


def test_a_busy_or_failing_server_is_asked_again() -> None:
    def moody(request: dict[str, Any], number: int) -> tuple[int, Any]:
        outcomes: list[tuple[int, Any]] = [(429, {}), (503, {}), (200, b"<html>"), (200, {"choices": []}), (0, None)]
        return outcomes[number] if number < len(outcomes) else echo(request, number)

    with serving(moody) as (server,):
        (reply,) = Server(server.address, "tiny", pause=0.001).generate([question(1)])
        assert reply.text == "answer 1" and len(server.requests) == 6
    failing = serving(lambda *_: (500, {"error": "out of memory"}))
    with failing as (server,), pytest.raises(ServerError, match=r"3 tries.*500.*out of memory"):
        Server(server.address, "tiny", pause=0.001, tries=3).generate([question(1), question(2)])
    with serving(lambda *_: (400, {"error": "no such model"})) as (server,):
        with pytest.raises(ValueError, match="no such model"):
            Server(server.address, "tiny", pause=0.001).generate([question(1)])
        assert len(server.requests) == 1
    with serving(echo) as (server,):
        Server(server.address, "tiny", options={"temperature": 0.7, "frequency_penalty": None}).generate([question(1)])
        assert server.requests[0]["temperature"] == 0.7 and "frequency_penalty" not in server.requests[0]
    with serving(lambda *_: (302, {})) as (server,), pytest.raises(ValueError, match="302"):  # no redirect is followed
        Server(server.address, "tiny").generate([question(1)])


def test_a_silent_server_times_out() -> None:
    def silent(request: dict[str, Any], number: int) -> tuple[int, Any]:
        time.sleep(0.3 if number == 0 else 0)
        return echo(request, number)

    with serving(silent) as (server,):
        (reply,) = Server(server.address, "tiny", timeout=0.1, pause=0.001).generate([question(4)])
    assert reply.text == "answer 4"


def test_images_go_as_data_uris_of_the_planned_size() -> None:
    image = Image.fromarray(np.random.default_rng(0).integers(0, 255, (300, 500, 3), dtype=np.uint8))
    messages, tools = zoom_conversation(image, "What?", [1, 2, 3, 4], image.crop((0, 0, 336, 252)), "x", "native")
    sent = to_openai(messages[:-1], PixelBudget())
    assert json.loads(json.dumps(sent)) == sent and tools is not None
    pictures = [
        block for turn in sent for block in turn["content"] or [] if not isinstance(block, str) and "image_url" in block
    ]
    sizes = []
    for block in pictures:
        head, data = block["image_url"]["url"].split(",")
        assert head == "data:image/png;base64"
        sizes.append(Image.open(io.BytesIO(base64.b64decode(data))).size)
    assert sizes == [(504, 308), (336, 252)]
    (call,) = sent[1]["tool_calls"]
    assert (
        sent[1]["content"] is None
    )  # an empty text would be a block of its own in vLLM, and a line break before the call
    assert json.loads(call["function"]["arguments"]) == {"bbox": [1, 2, 3, 4]} and sent[2]["tool_call_id"] == call["id"]


def test_a_call_parsed_by_the_server_reads_as_the_model_wrote_it() -> None:
    function = {"name": "image_zoom_in", "arguments": '{"bbox": [1, 2, 300, 400]}'}
    calls = {"message": {"content": None, "tool_calls": [{"id": "a", "type": "function", "function": function}]}}

    def answer(request: dict[str, Any], number: int) -> tuple[int, Any]:
        return said("", finish_reason="tool_calls", **calls) if number == 0 else said("a ship")

    with serving(answer) as (server,):
        engine = Server(server.address, "tiny", dialect="rscovlm-v1", budget=PixelBudget(), probe=False)
        chain = ZoomChain(engine, layout="native")
        result = chain.ask(Image.new("RGB", (2000, 2000)), "What?")
    assert result.answer == "a ship" and len(result.crops) == 1
    assert server.requests[0]["tools"][0]["function"]["name"] == "image_zoom_in"


def test_log_probabilities_and_the_limit_are_read() -> None:
    content = [{"token": "a ", "logprob": -0.5}, {"token": "ship", "logprob": -0.25}]
    with serving(lambda *_: said("a ship", finish_reason="length", logprobs={"content": content})) as (server,):
        (reply,) = Server(server.address, "tiny").generate([question(1)], logprobs=True)
        (without,) = Server(server.address, "tiny").generate([question(1)])
    assert (reply.finish, reply.token_logprobs, reply.token_texts) == ("length", [-0.5, -0.25], ["a ", "ship"])
    assert server.requests[0]["logprobs"] is True and without.token_logprobs is None


@pytest.fixture(scope="module")
def local() -> Transformers:
    tokenizer = build_tokenizer(["What colour is the roof of the hangar? 0123456789, plane ship"])
    budget = PixelBudget(56 * 56, 168 * 168)
    processor = RSCoVLMProcessor(RSCoVLMImageProcessor.for_family("qwen2_5_vl", budget), tokenizer)
    return Transformers(build_model(tokenizer, depth=2).eval(), processor)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_engines_give_equal_texts(local: Transformers, layout: Layout) -> None:
    lock = threading.Lock()

    def answer(request: dict[str, Any], _: int) -> tuple[int, Any]:
        """What a server does: images out of the data URIs, then the model."""
        messages = request["messages"]
        for turn in messages:
            if not isinstance(turn["content"], str):
                turn["content"] = [_decoded(block) for block in turn["content"] or []]
            for call in turn.get("tool_calls", []):
                call["function"]["arguments"] = json.loads(call["function"]["arguments"])
        with lock:
            conversation = Conversation(messages, request.get("tools"))
            (reply,) = local.generate([conversation], max_new_tokens=request["max_tokens"])
        return said(reply.text)

    image = Image.fromarray(np.random.default_rng(0).integers(0, 255, (260, 300, 3), dtype=np.uint8))
    zoomed, tools = zoom_conversation(image, "What colour?", [1, 2, 50, 60], image, "red", layout)
    asked = [
        Conversation([overview_turn(image, "What colour?", layout, zoom=False)]),
        Conversation(zoomed[:-1], tools),
        question(3),
    ]
    with serving(answer) as (server,):
        remote = Server(server.address, "tiny", dialect=local.codec, budget=local.budget, concurrency=2)
        replies = remote.generate(asked, max_new_tokens=10)
    expected = local.generate(asked, max_new_tokens=10)
    assert [reply.text for reply in replies] == [reply.text for reply in expected]
    assert isinstance(replies[0], Reply)


def _decoded(block: dict[str, Any]) -> dict[str, Any]:
    if "image_url" not in block:
        return block
    data = base64.b64decode(block["image_url"]["url"].split(",")[1])
    return {"type": "image", "image": Image.open(io.BytesIO(data))}


@pytest.mark.parametrize("form", ["grammar", "regex", "json", "json_schema"])
def test_a_grammar_goes_in_the_field_that_the_server_reads(form: Any) -> None:
    """The server holds its own answer to what it was sent, by the readers that vLLM uses."""
    codec, texts = Codec.preset("qwen2.5-vl"), []

    def held(request: dict[str, Any], number: int) -> tuple[int, Any]:
        structured = request.get("structured_outputs") or request.get("response_format")
        if structured is None:
            return said("anything")
        label = request["messages"][-1]["content"].removeprefix("question ")
        answer = [{"bbox_2d": [1, 2, 30, 40], "label": f"class {label}"}]
        written = codec.encode(Objects(Boxes([[1, 2, 30, 40]], "hbb", FRAME), (f"class {label}",)), FRAME)
        if form == "regex":
            assert re.fullmatch(structured["regex"], written) and not re.fullmatch(structured["regex"], "None.")
        elif form == "grammar":
            assert ebnf_reader(structured["grammar"])(written)
        elif form == "json":
            validate(answer, structured["json"])
            written = json.dumps(answer)
        else:
            whole = structured["json_schema"]
            assert (structured["type"], whole["strict"], whole["schema"]["type"]) == ("json_schema", True, "object")
            validate({"objects": answer}, whole["schema"])
            written = json.dumps({"objects": answer})
        texts.append(written)
        return said(written)

    with serving(held) as (server,):
        engine = Server(server.address, "tiny", dialect=codec, structured=form, max_objects=3)
        asked = [Conversation(question(n).messages, grammar=codec.grammar(categories=[f"class {n}"])) for n in range(3)]
        replies = engine.generate([*asked, question(9)], max_new_tokens=200)
        short = Server(server.address, "tiny", grammar=codec.grammar(categories=["class 5"]), structured=form)
        assert codec.decode(short.generate([question(5)])[0].text, FRAME).objects.labels == ("class 5",)
        with pytest.raises(ValueError, match="raise it"):
            short.generate([question(5)], max_new_tokens=10)
    assert replies[3].text == "anything"
    for number, reply in enumerate(replies[:3]):
        decoded = codec.decode(reply.text, FRAME, categories=[f"class {number}"])
        assert decoded.objects.labels == (f"class {number}",) and not decoded.problems
    plain = Conversation(question(1).messages, grammar=codec.grammar(style="plain"))
    with serving(held) as (server,):
        engine = Server(server.address, "tiny", dialect=codec, structured="json")
        with pytest.raises(ValueError, match="no JSON"):
            engine.generate([plain])
    with pytest.raises(ValueError, match="structured is 'bnf'"):
        Server(server.address, "tiny", structured="bnf")  # type: ignore[arg-type]


def test_bad_settings_are_named() -> None:
    for address in ("ftp://host/v1", "file:///etc/passwd", "127.0.0.1:8000", "http://host:port/v1"):
        with pytest.raises(ValueError, match="is no http"):
            Server(address, "tiny")
    with pytest.raises(ValueError, match="at host has a password") as caught:
        Server("http://user:pw@host/v1", "m")
    assert "pw" not in str(caught.value)
    with pytest.raises(ValueError, match="no endpoint"):
        Server([], "tiny")
    with pytest.raises(ValueError, match="concurrency 0"):
        Server("http://127.0.0.1:1/v1", "tiny", concurrency=0)
