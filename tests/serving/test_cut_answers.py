"""An answer that was cut says so, and never that there is nothing; what it cost is counted."""

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from PIL import Image

import rscovlm
from rscovlm.engines import Conversation, Reply, Transformers
from rscovlm.engines.answers import read_reply
from rscovlm.scenes import make_zoom_scene
from rscovlm.serving.refusals import RequestLimits
from rscovlm.serving.server import ZoomServer
from tests.serving.loopback import chat, send, served, uri, user
from tests.zoom.scripted import Scripted, call

NONE = "There are none."
SHIP = "10,10,60,60 ship\n"


@pytest.fixture(scope="module")
def engine() -> Transformers:
    from transformers import AutoModelForImageTextToText, AutoProcessor

    folder = rscovlm.embedded_model()
    model: Any = AutoModelForImageTextToText.from_pretrained(folder, trust_remote_code=False)
    return Transformers(model.eval(), AutoProcessor.from_pretrained(folder, trust_remote_code=False))


@pytest.fixture(scope="module")
def embedded(engine: Transformers) -> Iterator[ZoomServer]:
    with served(engine) as server:
        yield server


def said(reply: dict[str, Any]) -> tuple[str, str]:
    choice = reply["choices"][0]
    return choice["message"]["content"], choice["finish_reason"]


@pytest.mark.parametrize("task", ["detect", "ground"])
@pytest.mark.parametrize("stream", [False, True])
def test_a_real_model_that_is_cut_does_not_say_that_there_is_nothing(
    embedded: ZoomServer, task: str, stream: bool
) -> None:
    scene = make_zoom_scene(np.random.default_rng(3), 336)
    asked: dict[str, Any] = {"messages": [user("white pad", uri(scene.image))], "model": f"rscovlm:{task}"}
    for most in (1, 2, 5) if task == "detect" else (1,):  # what it is not trained for it answers in two
        if not stream:
            status, reply = chat(embedded, *asked["messages"], model=asked["model"], max_tokens=most)
            text, finish = said(reply)
            assert reply["usage"]["completion_tokens"] <= most
        else:
            body = json.dumps({**asked, "max_completion_tokens": most, "stream": True}).encode()
            status, words = send(embedded, "POST", "/v1/chat/completions", body)
            pieces = [json.loads(line[6:]) for line in words.splitlines() if line.startswith("data: {")]
            text = "".join(one["choices"][0]["delta"].get("content") or "" for one in pieces)
            finish = pieces[-1]["choices"][0]["finish_reason"]
        assert status == 200
        assert finish == "length"
        assert NONE not in text


REPLIES = {
    "none": (Reply(NONE, 5), NONE, "stop"),
    "cut": (Reply("10,10,6", 5, finish="length"), "", "length"),
    "cut at once": (Reply("", 1, finish="length"), "", "length"),
    "cut after one": (Reply(SHIP + "70,70,9", 5, finish="length"), "ship", "length"),
    "endless": (Reply("10,10,6" * 9, 5, finish="repeat"), "", "length"),
    "empty": (Reply("", 1), "", "stop"),
    "words": (Reply("I see no such thing", 5), "I see no such thing", "stop"),
}


@pytest.mark.parametrize("kind", REPLIES)
@pytest.mark.parametrize("task", ["detect", "ground"])
def test_only_the_model_says_that_there_is_nothing(task: str, kind: str) -> None:
    reply, wanted, ended = REPLIES[kind]
    with served(Scripted(lambda *_: reply)) as server:
        text, finish = said(chat(server, user("ship", uri(Image.new("RGB", (200, 200)))), model=f"rscovlm:{task}")[1])
    assert finish == ended
    if wanted == "ship":
        assert text.endswith("ship\n") and text.count("\n") == 1
    else:
        assert text == (wanted if (task, kind) != ("detect", "words") else "")


def test_the_bound_holds_for_a_completion_of_many_replies() -> None:
    """Nine tiles, a dozen tokens each: asked for one after another where the bound could be passed, and then not at all."""
    spent: list[tuple[int, int]] = []

    class Counting(Scripted):
        def generate(self, conversations: Any, *, max_new_tokens: int = 1024, logprobs: bool = False) -> list[Reply]:
            spent.append((len(conversations), max_new_tokens))
            tokens = min(12, max_new_tokens)
            finish: Any = "stop" if tokens == 12 else "length"
            return [Reply(SHIP, tokens, finish=finish) for _ in conversations]

    image = uri(Image.new("RGB", (2016, 2016)))
    with served(Counting(lambda *_: "")) as server:
        free = chat(server, user("ship", image), model="rscovlm:detect")[1]
        assert spent == [(9, 2048)]
        assert (free["usage"]["completion_tokens"], said(free)[1]) == (108, "stop")
        for most in (1, 12, 30, 107, 108, 5000):
            spent.clear()
            reply = chat(server, user("ship", image), model="rscovlm:detect", max_tokens=most)[1]
            assert reply["usage"]["completion_tokens"] == min(most, 108)
            assert said(reply)[1] == ("stop" if most >= 108 else "length")
            assert all(count * each <= most for count, each in spent)


def test_a_call_that_is_cut_is_said() -> None:
    cut = call(100, 100, 300, 300)[:-20]
    image = uri(Image.new("RGB", (1000, 1000)))
    with served(Scripted(lambda *_: Reply(cut, 30, finish="length"))) as server:
        reply = chat(server, user("What?", image), max_tokens=30)[1]
    assert said(reply)[1] == "length"
    assert reply["usage"]["completion_tokens"] == 30
    # The bound of the server's own is for one reply: the model tries again, and answers.
    with served(Scripted(lambda _, turn: "Red." if turn else Reply(cut, 30, finish="length"))) as server:
        assert said(chat(server, user("What?", image))[1]) == ("Red.", "stop")


@pytest.mark.parametrize("task", ["ask", "caption", "classify", "ground", "detect"])
def test_usage_counts_the_tokens_that_the_model_reads(engine: Transformers, task: str) -> None:
    """Those of every look: what the processor makes of each conversation that the engine was asked."""
    read, written = 0, 0

    class Watched(Scripted):
        def generate(self, conversations: Any, **options: Any) -> list[Reply]:
            nonlocal read, written
            processor = engine.processor
            for one in conversations:
                text = processor.apply_chat_template(one.messages, add_generation_prompt=True, tokenize=False)
                read += processor(text=[text], images=one.images() or None, return_tensors="np")["input_ids"].size
            answers = engine.generate(conversations, **options)
            written += sum(one.tokens for one in answers)
            return answers

    watched = Watched("", budget=engine.budget)
    watched.codec = engine.codec
    scene = make_zoom_scene(np.random.default_rng(4), 336)
    question = scene.question if task == "ask" else "ship"
    with served(watched) as server:
        asked = {"task": task, "classes": ["ship"]}
        reply = chat(server, user(question, uri(scene.image)), rscovlm=asked)[1]
    assert reply["usage"] == {
        "prompt_tokens": read,
        "completion_tokens": written,
        "total_tokens": read + written,
    }
    assert read > 20 and written > 0


def test_tokens_are_counted_where_an_engine_does_not_say() -> None:
    with served(Scripted(lambda *_: "yes")) as server:
        usage = chat(server, user("How many ships?", uri(Image.new("RGB", (280, 280)))))[1]["usage"]
    assert usage["prompt_tokens"] > 100
    body = {"choices": [{"message": {"content": "a"}}], "usage": {"completion_tokens": 1, "prompt_tokens": 7}}
    assert read_reply(json.dumps(body).encode(), 0.0, logprobs=False).prompt_tokens == 7


def test_an_answer_ends_where_the_client_wants() -> None:
    image = uri(Image.new("RGB", (100, 100)))
    with served(Scripted(lambda *_: Reply("One. Two. Three.", 9, finish="length"))) as server:
        assert said(chat(server, user("What?", image), stop=" Two")[1]) == ("One.", "stop")
        assert said(chat(server, user("What?", image), stop=["Four", "Th", "T"])[1]) == ("One. ", "stop")
        assert said(chat(server, user("What?", image), stop=["Four"])[1]) == ("One. Two. Three.", "length")


def test_texts_are_bounded_by_their_tokens(engine: Transformers) -> None:
    words = "ship " * 50
    tokens = engine.count_tokens(words)
    assert tokens == len(engine.processor.tokenizer(words)["input_ids"])
    for limit, status in ((tokens, 200), (tokens - 1, 413)):
        with served(engine, limits=RequestLimits(text=limit)) as server:
            got, reply = chat(server, {"role": "user", "content": words}, max_tokens=1)
            assert got == status, reply


def test_counting_is_safe_beside_a_batch_that_is_prepared(engine: Transformers) -> None:
    from concurrent.futures import ThreadPoolExecutor

    conversation = Conversation([{"role": "user", "content": "ship " * 200}])
    with ThreadPoolExecutor(4) as pool:
        counts = [pool.submit(engine.count_tokens, "ship " * 2000) for _ in range(200)]
        for _ in range(5):
            engine.generate([conversation, conversation], max_new_tokens=1)
        assert len({one.result() for one in counts}) == 1
