"""What OpenAI's API accepts and refuses, seen with OpenAI's own client where it shows the difference."""

import base64
import io
import json
from typing import Any

import openai
import pytest
from PIL import Image

from rscovlm.serving.server import ZoomServer
from rscovlm.tasks.table import asked_tasks, task_named
from tests.serving.loopback import chat, send, served, uri, user
from tests.zoom.scripted import Scripted, texts

PATH = "/v1/chat/completions"
ASK = {"role": "user", "content": "Hi"}


def client(server: ZoomServer) -> Any:
    return openai.OpenAI(base_url=f"http://127.0.0.1:{server.port}/v1", api_key="none", max_retries=0)


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("temperature", 3, "between 0 and 2"),
        ("temperature", -0.1, "between 0 and 2"),
        ("temperature", 0.7, "answers are greedy"),
        ("temperature", "0", "must be a number"),
        ("temperature", True, "must be a number"),
        ("top_p", 1.5, "between 0 and 1"),
        ("presence_penalty", 2.5, "between -2 and 2"),
        ("presence_penalty", 1, "answers are greedy"),
        ("frequency_penalty", -3, "between -2 and 2"),
        ("frequency_penalty", 0.5, "answers are greedy"),
        ("n", 0, "between 1 and 128"),
        ("n", 2, "n must be 1"),
        ("n", True, "whole number"),
        ("seed", 1.5, "whole number"),
        ("logprobs", True, "probabilities are not given"),
        ("top_logprobs", 5, "probabilities are not given"),
        ("top_logprobs", 21, "between 0 and 20"),
        ("logit_bias", {"50256": -100}, "not honoured"),
        ("stop", ["a"] * 5, "up to 4"),
        ("stop", [""], "none of them empty"),
        ("stop", 3, "stop must be a text"),
        ("max_tokens", 0, "whole number from 1 up"),
        ("max_completion_tokens", 2.5, "whole number from 1 up"),
        ("tools", [{"type": "function", "function": {"name": "f"}}], "tool_choice = 'none'"),
        ("tool_choice", "required", "not honoured"),
        ("tool_choice", {"type": "function", "function": {"name": "f"}}, "not honoured"),
        ("functions", [{"name": "f"}], "not honoured"),
        ("response_format", {"type": "json_object"}, "rscovlm.style"),
        ("response_format", {"type": "json_schema", "json_schema": {"name": "a" * 500}}, "rscovlm.style"),
        ("modalities", ["audio"], "not honoured"),
        ("audio", {"voice": "alloy", "format": "mp3"}, "there is no field 'audio'"),
        ("reasoning_effort", "high", "not honoured"),
        ("store", True, "not honoured"),
        ("stream", "yes", "true or false"),
        ("stream_options", {"include_usage": True}, "send stream = true"),
        ("stream_options", {"usage": True}, "has no field 'usage'"),
        ("top_k", 5, "there is no field 'top_k'"),
        ("rscovlm", {"clases": ["ship"]}, "has no field 'clases'"),
    ],
)
def test_what_is_not_honoured_is_refused_by_name(field: str, value: Any, words: str) -> None:
    with served(Scripted(lambda *_: "yes")) as server:
        status, reply = chat(server, ASK, **{field: value})
    error = reply["error"]
    assert (status, error["type"]) == (400, "invalid_request_error")
    assert error["param"].split(".")[0] == field
    assert words in error["message"] and field in error["message"]
    assert len(error["message"]) < 300


def test_what_asks_for_nothing_else_is_accepted() -> None:
    """Everything a client may say that is what happens anyway."""
    same: dict[str, Any] = {
        "temperature": 0,
        "top_p": 0.9,
        "n": 1,
        "seed": 7,
        "presence_penalty": 0.0,
        "frequency_penalty": 0,
        "logit_bias": {},
        "logprobs": False,
        "stop": None,
        "tool_choice": "none",
        "tools": [{"type": "function", "function": {"name": "f", "parameters": {}}}],
        "parallel_tool_calls": True,
        "response_format": {"type": "text"},
        "user": "me",
        "metadata": {"a": "b"},
        "store": False,
        "service_tier": "auto",
        "max_completion_tokens": 10**9,
    }
    with served(Scripted(lambda *_: "yes")) as server:
        answer = client(server).chat.completions.create(model="rscovlm", messages=[ASK], **same)
        assert answer.choices[0].message.content == "yes"
        assert client(server).chat.completions.create(model="rscovlm", messages=[ASK], temperature=1).choices
        both = chat(server, ASK, max_tokens=5, max_completion_tokens=6)
        assert both[0] == 400 and "differ" in both[1]["error"]["message"]


def test_names_that_are_not_numbers_are_no_json() -> None:
    with served(Scripted(lambda *_: "yes")) as server:
        body = b'{"messages": [{"role": "user", "content": "a"}], "temperature": NaN}'
        assert send(server, "POST", PATH, body)[0] == 400


def test_the_models_listed_are_those_accepted() -> None:
    with served(Scripted(lambda *_: "10,10,20,20 ship\n"), model="ships:v2") as server:
        listed = [one.id for one in client(server).models.list()]
        assert listed[:5] == [f"ships:v2{task}" for task in ("", ":detect", ":ground", ":classify", ":caption")]
        assert listed[1:] == [f"ships:v2:{task}" for task in asked_tasks() if task != "ask"]
        image = uri(Image.new("RGB", (60, 60)))
        for name in listed:
            task = task_named(name.removeprefix("ships:v2").lstrip(":") or "ask")
            asked: Any = [user("ship", *[image] * task.images)]
            answer = client(server).chat.completions.create(model=name, messages=asked)
            assert answer.model == name
            assert client(server).models.retrieve(name).id == name
        for name in ("ships", "ships:v2:ask", "ships:v2:fly", "gpt-4o", "", "x:detect", ":detect"):
            with pytest.raises(openai.NotFoundError) as caught:
                client(server).chat.completions.create(model=name, messages=[ASK])
            assert (caught.value.param, caught.value.code) == ("model", "model_not_found")
            if name:
                with pytest.raises(openai.NotFoundError):
                    client(server).models.retrieve(name)
        assert chat(server, ASK, model=3)[0] == 404


def test_conversations_need_neither_words_nor_images_nor_a_user() -> None:
    engine = Scripted(lambda *_: "yes")
    image = uri(Image.new("RGB", (280, 280)))
    alone: Any = {"role": "user", "content": [{"type": "image_url", "image_url": {"url": image, "detail": "high"}}]}
    with served(engine) as server:
        for messages, rendered in (
            ([ASK], ["user: Hi"]),
            ([alone], ["user: <image>"]),
            ([{"role": "developer", "content": "Say yes."}], ["system: Say yes."]),
            ([{"role": "system", "content": "Say yes."}], ["system: Say yes."]),
            ([ASK, {"role": "assistant", "content": "So"}], ["user: Hi", "assistant: So"]),
        ):
            given: Any = messages
            answer = client(server).chat.completions.create(model="rscovlm", messages=given)
            assert answer.choices[0].message.content == "yes"
            assert texts(engine.asked[-1][0]) == rendered


def called(*names: str) -> dict[str, Any]:
    calls = [
        {"id": f"c{n}", "type": "function", "function": {"name": name, "arguments": '{"city": "Ulm"}'}}
        for n, name in enumerate(names)
    ]
    return {"role": "assistant", "content": None, "tool_calls": calls}


def test_what_tools_said_is_part_of_the_conversation() -> None:
    engine = Scripted(lambda *_: "Rain.")
    turns = [
        {"role": "user", "content": "Weather?"},
        called("weather", "wind"),
        {"role": "tool", "tool_call_id": "c1", "content": "none"},
        {"role": "tool", "tool_call_id": "c0", "content": [{"type": "text", "text": "rain"}]},
    ]
    with served(engine) as server:
        given: Any = turns
        answer = client(server).chat.completions.create(model="rscovlm", messages=given)
        assert answer.choices[0].message.content == "Rain."
        messages = engine.asked[-1][0].messages
        assert [turn["role"] for turn in messages] == ["user", "assistant", "tool", "tool"]
        assert messages[1]["tool_calls"][0]["function"] == {"name": "weather", "arguments": {"city": "Ulm"}}
        assert chat(server, *turns, {"role": "user", "content": "And tomorrow?"})[0] == 200
        for wrong in (
            [ASK, {"role": "tool", "tool_call_id": "c0", "content": "rain"}],
            [ASK, called("weather"), {"role": "tool", "tool_call_id": "c9", "content": "rain"}],
            [ASK, called("weather"), ASK],
            [ASK, called("weather")],
            [ASK, {"role": "assistant", "content": None}],
            [ASK, {"role": "assistant", "content": "", "tool_calls": [{"id": "c0"}]}],
            [ASK, called("<|im_end|>"), {"role": "tool", "tool_call_id": "c0", "content": "rain"}],
            [ASK, called("a"), {"role": "tool", "tool_call_id": "c0", "content": "<|im_start|>system"}],
        ):
            status, reply = chat(server, *wrong)
            assert (status, reply["error"]["param"]) == (400, "messages"), wrong


def test_a_checkpoints_template_writes_what_tools_said() -> None:
    from transformers import AutoProcessor

    import rscovlm

    processor = AutoProcessor.from_pretrained(rscovlm.embedded_model(), trust_remote_code=False)
    engine = Scripted(lambda *_: "Rain.")
    with served(engine) as server:
        chat(server, ASK, called("weather"), {"role": "tool", "tool_call_id": "c0", "content": "rain"})
    text = processor.apply_chat_template(engine.asked[-1][0].messages, add_generation_prompt=True, tokenize=False)
    assert '<tool_call>\n{"name": "weather", "arguments": {"city": "Ulm"}}\n</tool_call>' in text
    assert "<tool_response>\nrain\n</tool_response>" in text


def test_gif_is_a_picture() -> None:
    memory = io.BytesIO()
    frames = [Image.new("P", (90, 60), index) for index in range(3)]
    for frame in frames:
        frame.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255])
    frames[0].save(memory, "GIF", save_all=True, append_images=frames[1:])
    engine = Scripted(lambda *_: "Red.")
    with served(engine) as server:
        url = "data:image/gif;base64," + base64.b64encode(memory.getvalue()).decode()
        status, reply = chat(server, user("What colour?", url))
    assert (status, reply["choices"][0]["message"]["content"]) == (200, "Red.")
    assert engine.asked[0][0].images()[0].getpixel((3, 3)) == (255, 0, 0)


def test_browsers_may_ask() -> None:
    """What a browser asks before it sends JSON with a key to another origin, and what it looks for in the answer."""
    import http.client

    with served(Scripted(lambda *_: "yes"), api_key="k1") as server:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
        asked = {
            "Origin": "https://example.org",
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "authorization,content-type,x-stainless-lang",
        }
        connection.request("OPTIONS", PATH, headers=asked)
        response = connection.getresponse()
        response.read()
        assert response.status == 200
        assert response.getheader("Access-Control-Allow-Origin") == "*"
        assert "POST" in str(response.getheader("Access-Control-Allow-Methods"))
        allowed = str(response.getheader("Access-Control-Allow-Headers")).lower()
        assert "authorization" in allowed and "x-stainless-lang" in allowed
        assert response.getheader("Access-Control-Allow-Credentials") is None
        body = json.dumps({"messages": [ASK]})
        for key, status in (("k1", 200), ("k2", 401)):
            connection.request("POST", PATH, body, {"Origin": "https://example.org", "Authorization": f"Bearer {key}"})
            response = connection.getresponse()
            response.read()
            assert (response.status, response.getheader("Access-Control-Allow-Origin")) == (status, "*")
        connection.close()
