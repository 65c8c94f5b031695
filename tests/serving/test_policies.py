"""Policies of the zoom chain by request: a client's own choice, within what the operator allows."""

import base64
import http.client
import itertools
import json
import socket
import threading
import time
from pathlib import Path
from typing import Any

import openai
import pytest
from PIL import Image

from rscovlm.engines import Conversation, Reply
from rscovlm.geometry import Frame
from rscovlm.processing.resolution import PixelBudget
from rscovlm.scenes.geotiff import write_geotiff
from rscovlm.serving.refusals import RequestLimits
from rscovlm.serving.requests import read_request
from rscovlm.serving.server import ZoomServer
from rscovlm.zoom import ZoomChain
from rscovlm.zoom.policies import POLICIES
from tests.serving.loopback import chat, send, served, uri, user
from tests.zoom.eye import Eye, land
from tests.zoom.scripted import Scripted, call, texts

PATH = "/v1/chat/completions"
ALL = RequestLimits(policies=tuple(POLICIES), visual_tokens=6000, search_tokens=60_000, search_calls=96)
SQUARE = land(1, [("green", 900, 310)])
DATA = uri(SQUARE)
ASKED = "What colour is the square?"


def asked(server: ZoomServer, **own: Any) -> Any:
    client = openai.OpenAI(base_url=f"http://127.0.0.1:{server.port}/v1", api_key="none", max_retries=0)
    messages: Any = [user(ASKED, DATA)]
    return client.chat.completions.create(model="rscovlm", messages=messages, extra_body={"rscovlm": own})


@pytest.mark.parametrize("name", ["tree", "grid", "assess", "branch"])
def test_openais_client_chooses_a_policy_that_finds_what_one_look_cannot(name: str) -> None:
    """The same question, answered as the chain answers it in this process."""
    with served(Eye(), limits=ALL) as server:
        assert asked(server).choices[0].message.content == "unknown"
        assert asked(server, policy="none").choices[0].message.content == "unknown"
        reply = asked(server, policy=name)
    here = ZoomChain(Eye(), policy=name, max_visual_tokens=6000, max_steps=4).ask(SQUARE, ASKED)
    about = reply.model_extra["rscovlm"]
    assert reply.choices[0].message.content == here.answer == "green"
    assert (about["policy"], about["calls"], about["confidence"]) == (name, here.calls, here.confidence)
    assert [tuple(one["window"]) for one in about["looks"]] == [tuple(one.window) for one in here.looks]
    assert [tuple(one["window"]) for one in about["windows"]] == [tuple(one) for one in here.windows]
    assert any(x1 <= 906 <= x2 and y1 <= 316 <= y2 for x1, y1, x2, y2 in here.windows)


@pytest.mark.parametrize(
    ("allowed", "own", "field", "words"),
    [
        ((), {"policy": "tree"}, "policy", "this server allows call, none"),
        (("vote", "branch"), {"policy": "tree"}, "policy", "this server allows call, none, vote, branch"),
        (("tree",), {"policy": "treee"}, "policy", "policy is 'treee'"),
        (("tree",), {"policy": ["tree"]}, "policy", "this server allows"),
        (("tree",), {"policy": {"name": "tree"}}, "policy", "this server allows"),
        (("tree",), {"policy": ""}, "policy", "this server allows"),
        (("tree",), {"policy": "tree", "zoom": False}, "policy", "zoom = false"),
        (("tree",), {"policy": "tree", "raw": True}, "policy", "with raw"),
        (("tree",), {"policy": "tree", "task": "detect"}, "policy", "task 'detect'"),
        (("tree",), {"policy": "tree", "max_search_calls": 0}, "max_search_calls", "whole number from 1"),
        (("tree",), {"policy": "tree", "max_search_tokens": 1.5}, "max_search_tokens", "whole number from 1"),
    ],
)
def test_what_the_operator_does_not_allow_is_refused_by_name(
    allowed: tuple[str, ...], own: dict[str, Any], field: str, words: str
) -> None:
    engine = Eye()
    with served(engine, limits=RequestLimits(policies=allowed)) as server:
        with pytest.raises(openai.BadRequestError, match=words) as caught:
            asked(server, **own)
        assert caught.value.param == f"rscovlm.{field}" and len(caught.value.message) < 400
        assert engine.batches == []


@pytest.mark.parametrize("name", POLICIES)
@pytest.mark.parametrize(("calls", "tokens"), [(1, 10**6), (7, 10**6), (10**6, 700), (10**6, 10**6)])
def test_looks_stay_within_the_operators_bounds_and_the_clients(name: str, calls: int, tokens: int) -> None:
    """A model that is never sure makes every policy look as long as it may; the least of all bounds holds."""
    limits = RequestLimits(policies=(name,), search_calls=20, search_tokens=9000)
    engine = Scripted(lambda *_: "no", budget=PixelBudget(max_pixels=448 * 448))
    body: dict[str, Any] = {
        "messages": [user("How many squares are there?", DATA)],
        "rscovlm": {"policy": name, "max_search_calls": calls, "max_search_tokens": tokens},
        "stream": True,
    }
    with served(engine, limits=limits) as server:
        status, text = send(server, "POST", PATH, json.dumps(body).encode())
        plain = chat(server, *body["messages"], rscovlm=body["rscovlm"])[1]
    pieces = [json.loads(line[6:]) for line in text.splitlines() if line.startswith("data: {")]
    seen = [one["rscovlm"]["search"] for one in pieces if "search" in one.get("rscovlm", {})]
    assert status == 200 and pieces[-1]["choices"][0]["finish_reason"] == "stop"
    # The last round may be the answer, whose visual tokens count elsewhere.
    assert seen[-1]["calls"] <= min(20, calls) + 1
    assert seen[-1]["visual_tokens"] <= min(9000, tokens)
    assert sum(map(len, engine.asked)) == 2 * seen[-1]["calls"] == 2 * plain["rscovlm"]["calls"]
    assert [one["calls"] for one in seen] == sorted({one["calls"] for one in seen})


@pytest.mark.parametrize("stream", [False, True])
def test_a_policy_ends_when_its_client_leaves(stream: bool) -> None:
    left = threading.Event()
    rounds = []

    class Slow(Eye):
        def generate(self, conversations: Any, **options: Any) -> list[Reply]:
            rounds.append(len(conversations))
            if len(rounds) > 1:
                left.wait(30)
                time.sleep(2.5)  # the server looks every second
            return super().generate(conversations, **options)

    body = {"messages": [user(ASKED, DATA)], "rscovlm": {"policy": "tree"}, "stream": stream}
    with served(Slow(), limits=ALL) as server:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
        connection.request("POST", PATH, json.dumps(body))
        while len(rounds) < 2:
            time.sleep(0.01)
        assert connection.sock is not None
        connection.sock.shutdown(socket.SHUT_RDWR)
        connection.close()
        left.set()
        while server.metrics.value("rscovlm_requests_in_flight"):
            time.sleep(0.01)
        assert server.metrics.value("rscovlm_requests_total", task="ask", status="499") == 1
        assert server.memory.taken == 0
    assert len(rounds) == 2  # of more than ten


def test_boxes_of_an_answer_come_back_in_pixels_of_the_image() -> None:
    """The winner of a vote looked at the whole, of which a unit is three pixels; a canvas has no place on the image."""
    weighed = itertools.count()

    def say(conversation: Conversation, turn: int) -> str:
        if "yes or no" in texts(conversation)[-1]:
            return "no, 95" if next(weighed) % 9 else "yes, 95"  # one part of nine stands out
        return "It is at [10, 20, 110, 120]."

    engine = Scripted(say, budget=PixelBudget(max_pixels=448 * 448))
    image = user("Where is it?", uri(Image.new("RGB", (1344, 1344))))
    with served(engine, limits=ALL) as server:
        for name, box in (("vote", [30, 60, 330, 360]), ("grid", [10, 20, 110, 120])):
            _, reply = chat(server, image, rscovlm={"policy": name})
            assert reply["choices"][0]["message"]["content"] == f"It is at {box}."
            assert ("objects" in reply["rscovlm"]) is (name == "vote")


@pytest.mark.parametrize("name", ["vote", "branch", "tree"])
def test_the_answer_knows_the_system_turn_and_the_turns_before(name: str) -> None:
    def say(conversation: Conversation, turn: int) -> str:
        return "yes, 99" if "yes or no" in texts(conversation)[-1] else "Red."

    engine = Scripted(say, budget=PixelBudget(max_pixels=448 * 448))
    turns = [
        {"role": "system", "content": "Be brief."},
        user("What is it?", DATA),
        {"role": "assistant", "content": "A square."},
        user(ASKED),
    ]
    with served(engine, limits=ALL) as server:
        status, reply = chat(server, *turns, rscovlm={"policy": name})
    assert status == 200 and reply["choices"][0]["message"]["content"] == "Red."
    last = engine.asked[-1][-1]
    said = "\n".join(texts(last))
    assert said.startswith("system: Be brief.") and "What is it?" in said and "assistant: A square." in said
    assert ASKED in said and len(last.images()) >= 1
    # What is only weighed is asked alone.
    looks = [one for batch in engine.asked for one in batch if "yes or no" in texts(one)[-1]]
    assert all(len(one.messages) == 1 for one in looks)


def test_a_question_that_the_image_cannot_answer_is_declined_with_its_reason(tmp_path: Path) -> None:
    """Ten metres are two pixels of five metres, too few to recognise anything."""
    for metres, declined in ((5.0, True), (0.5, False)):
        frame = Frame(400, 300, root_to_world=(metres, 0, 500_000, 0, -metres, 5_000_000), crs="EPSG:32632")
        path = write_geotiff(
            tmp_path / f"{metres}.tif", frame, lambda x1, y1, x2, y2: Image.new("RGB", (x2 - x1, y2 - y1))
        )
        data = "data:image/tiff;base64," + base64.b64encode(path.read_bytes()).decode()
        engine = Scripted(lambda *_: "Red.")
        with served(engine, limits=RequestLimits(policies=("distance",))) as server:
            status, reply = chat(server, user("What is it?", data), rscovlm={"policy": "distance"})
        about = reply["rscovlm"]
        assert status == 200 and reply["choices"][0]["message"]["content"] == ("" if declined else "Red.")
        assert bool(engine.asked) is not declined
        assert ("10 m are 2.0 pixels at 5 m" in about.get("declined", "")) is declined


@pytest.mark.parametrize(
    "message", [user("How are you?"), user("", DATA), user(" ", DATA)], ids=["words", "image", "blank"]
)
def test_a_policy_that_has_nothing_to_search_says_so(message: dict[str, Any]) -> None:
    """The conversation may hold no image yet; that nobody looked is not passed over."""
    with served(Scripted(lambda *_: "Fine."), limits=ALL) as server:
        _, plain = chat(server, message)
        status, reply = chat(server, message, rscovlm={"policy": "tree"})
    about = reply["rscovlm"]
    assert (status, about["policy"], about["problems"]) == (200, "none", {"nothing_to_search": 1})
    assert "policy" not in plain["rscovlm"] and reply["choices"] == plain["choices"]


@pytest.mark.parametrize("steps", [0, 1, 2])
def test_the_answer_of_a_policy_keeps_the_windows_allowed(steps: int) -> None:
    """To count, a model to which everything is enough makes the tree keep four quarters."""
    engine = Scripted(lambda *_: "yes, 99", budget=PixelBudget(max_pixels=448 * 448))
    own = {"policy": "tree", "max_steps": steps}
    with served(engine, limits=ALL) as server:
        _, reply = chat(server, user("How many are there?", DATA), rscovlm=own)
    about = reply["rscovlm"]
    assert len(about["windows"]) == len(engine.asked[-1][-1].images()) - 1 == steps
    assert about["problems"]["max_steps"] == (4 - steps if steps else 1) and bool(about["looks"]) is bool(steps)


@pytest.mark.parametrize("name", ["vote", "branch", "grid", "tree"])
def test_an_answer_that_was_cut_says_so(name: str) -> None:
    def say(conversation: Conversation, turn: int) -> Reply:
        if "yes or no" in texts(conversation)[-1]:
            return Reply("yes, 99", tokens=3)
        return Reply("Red and", tokens=2, finish="length")

    with served(Scripted(say, budget=PixelBudget(max_pixels=448 * 448)), limits=ALL) as server:
        _, reply = chat(server, user(ASKED, DATA), rscovlm={"policy": name})
    choice = reply["choices"][0]
    assert (choice["message"]["content"], choice["finish_reason"]) == ("Red and", "length")


def test_an_answer_that_was_cut_after_a_limit_says_so_too() -> None:
    """The limit ended the looking; the answer that was then asked for was cut."""

    def say(conversation: Conversation, turn: int) -> str | Reply:
        return call(100 + turn * 50, 100, 500, 500) if turn < 2 else Reply("Red and", tokens=2, finish="length")

    with served(Scripted(say), limits=RequestLimits(steps=1)) as server:
        _, reply = chat(server, user("What?", uri(Image.new("RGB", (1000, 1000)))))
    assert reply["rscovlm"]["stopped"] == "max_steps"
    assert reply["choices"][0]["finish_reason"] == "length"


def test_operators_name_policies_that_exist() -> None:
    with pytest.raises(ValueError, match="policy is 'forest'; choose from call, none, tree"):
        RequestLimits(policies=("tree", "forest"))


def test_memory_is_taken_for_what_a_policy_reads() -> None:
    """The bound grows with what may be read at a time, and no further than its calls need."""
    budget = PixelBudget(max_pixels=448 * 448)

    def taken(**own: Any) -> int:
        values = {"messages": [user(ASKED, DATA)], "rscovlm": own}
        request = read_request(values, ALL, "rscovlm")
        try:
            return request.memory(budget)
        finally:
            for image in request.images:
                image.close()

    plain, few, many = taken(), taken(policy="tree", max_search_calls=2), taken(policy="tree")
    assert plain < few < many
    assert many - plain <= 8 * (60_000 * 28**2 + 16 * budget.max_pixels)
