"""Messages of a request: what is read of them, and each limit from both sides."""

import base64
import io
import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from rscovlm.serving.refusals import BadRequest, RequestLimits
from rscovlm.serving.turns import ClientTurn, read_tools, read_turns

LIMITS = RequestLimits(images=2, pixels=1000, turns=6, text=20)


def _url(width: int, height: int, shade: int) -> str:
    file = io.BytesIO()
    Image.new("RGB", (width, height), (shade,) * 3).save(file, "PNG")
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"


def _shown(width: int, height: int, shade: int) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": _url(width, height, shade), "detail": "high"}}


def _said(text: str) -> dict[str, Any]:
    return {"type": "text", "text": text}


def _called(identity: str, arguments: str = '{"bbox": [1, 2]}') -> dict[str, Any]:
    return {"id": identity, "type": "function", "function": {"name": "look", "arguments": arguments}}


def _read(*messages: Any, limits: RequestLimits = LIMITS) -> list[ClientTurn]:
    return read_turns(list(messages), limits, len)


def test_turns_keep_their_order_words_and_pictures() -> None:
    turns = _read(
        {"role": "developer", "content": "be brief"},
        {"role": "user", "content": [_said("a"), _shown(30, 20, 10), _said("b"), _shown(8, 50, 200)]},
        {"role": "assistant", "content": "c"},
        {"role": "user", "content": "d"},
        limits=replace(LIMITS, text=99),
    )
    assert [(turn.role, turn.text) for turn in turns] == [
        ("system", "be brief"),
        ("user", "a\nb"),
        ("assistant", "c"),
        ("user", "d"),
    ]
    assert [(image.width, image.height) for image in turns[1].images] == [(30, 20), (8, 50)]
    assert [int(np.asarray(image.overview().image).max()) for image in turns[1].images] == [10, 200]
    assert not turns[0].images and not turns[3].images


def test_calls_are_read_and_must_be_answered() -> None:
    calls = {
        "role": "assistant",
        "content": None,
        "tool_calls": [_called("x"), _called("y", "no JSON"), _called("z", "")],
    }
    answers = [{"role": "tool", "tool_call_id": name, "content": name} for name in ("y", "x", "z")]
    wide = replace(LIMITS, text=200)
    turns = _read(calls, *answers, limits=wide)
    assert turns[0].calls == (("look", {"bbox": [1, 2]}), ("look", "no JSON"), ("look", {}))
    assert [turn.text for turn in turns] == ["", "y", "x", "z"]
    for messages, message in (
        ([calls, *answers[:2]], "tool call 'z' has no answer"),
        ([calls, *answers[:2], {"role": "user", "content": "?"}], "tool call 'z' has no answer"),
        ([calls, *answers, answers[0]], "must answer one of the tool_calls"),
        ([answers[0]], "must answer one of the tool_calls"),
        ([{"role": "tool", "content": "?"}], "must answer one of the tool_calls"),
    ):
        with pytest.raises(BadRequest, match=message):
            _read(*messages, limits=wide)


@pytest.mark.parametrize(
    ("message", "words"),
    [
        ("hello", "a turn needs a role"),
        ({"role": "robot", "content": "x"}, "a turn needs a role, one of system, developer, user, assistant, tool"),
        ({"role": ["user"], "content": "x"}, "a turn needs a role"),
        ({"role": "user"}, "the content of a turn must be text or a list"),
        ({"role": "assistant", "content": None}, "the content of a turn must be text or a list"),
        ({"role": "user", "content": [{"type": "text", "text": 3}]}, "a block must be"),
        ({"role": "user", "content": ["x"]}, "a block must be"),
        ({"role": "assistant", "content": [_shown(3, 3, 3)]}, "a block must be"),
        ({"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x", "detail": "huge"}}]}, "detail must be auto, low or high"),
        ({"role": "user", "content": [{"type": "image_url", "image_url": "https://a.org/b.png"}]}, "addresses are not fetched"),
        ({"role": "user", "content": [{"type": "image_url", "image_url": "data:image/png;base64,#"}]}, "is not base64"),
        ({"role": "user", "content": [{"type": "image_url", "image_url": "data:image/png;base64,AAAA"}]}, "cannot be read"),
        ({"role": "assistant", "content": "x", "tool_calls": {"id": "x"}}, "tool_calls must be a list"),
        ({"role": "assistant", "content": "x", "tool_calls": [{"id": 3, "function": {}}]}, "needs an id and a function"),
        ({"role": "assistant", "content": "x", "tool_calls": [{"id": "x", "function": {"name": "look"}}]}, "needs a name and its arguments"),
    ],
)  # fmt: skip
def test_what_is_not_of_the_form_is_refused(message: Any, words: str) -> None:
    with pytest.raises(BadRequest, match=words):
        _read(message)


def test_limits_hold_at_their_ends() -> None:
    turn = {"role": "user", "content": "abcde"}
    assert len(_read(*[{"role": "user", "content": "a"}] * 6)) == 6
    assert len(_read(*[turn] * 4)) == 4  # 20 tokens, as they are counted here
    two = {"role": "user", "content": [_shown(20, 25, 1), _shown(25, 20, 2)]}
    assert len(_read(two)[0].images) == 2  # 1,000 pixels together
    for messages, words, status in (
        ([], "messages must be a list of 1 to 6 turns", 400),
        ([{"role": "user", "content": "a"}] * 7, "messages must be a list of 1 to 6 turns", 400),
        ([*[turn] * 4, {"role": "user", "content": "f"}], "the texts have more than 20 tokens", 413),
        ([two, {"role": "user", "content": [_shown(1, 1, 1)]}], "there are more than 2 images", 413),
        (
            [{"role": "user", "content": [_shown(20, 25, 1), _shown(167, 3, 2)]}],
            "an image has 167x3 pixels; 500 are allowed",
            413,
        ),
        ([{"role": "user", "content": [_shown(1001, 1, 1)]}], "an image has 1001x1 pixels; 1000 are allowed", 413),
    ):
        with pytest.raises(BadRequest, match=words) as refused:
            _read(*messages)
        assert refused.value.status == status
    with pytest.raises(BadRequest, match="messages must be a list"):
        read_turns({"role": "user"}, LIMITS, len)
    # A text far beyond any limit is refused before it is counted.
    with pytest.raises(BadRequest, match="the texts have more than 20 tokens"):
        read_turns([{"role": "user", "content": "a" * (20 * 128 + 1)}], LIMITS, lambda text: 0)
    assert read_turns([{"role": "user", "content": "a" * 20 * 128}], LIMITS, lambda text: 0)


def test_tools_are_functions_within_the_limit() -> None:
    tools = [{"type": "function", "function": {"name": "look"}}]
    assert read_tools(None, LIMITS, len) == ()
    size = len(json.dumps(tools))
    assert read_tools(tools, replace(LIMITS, text=size), len) == tuple(tools)
    with pytest.raises(BadRequest, match=f"the tools have more than {size - 1} tokens") as refused:
        read_tools(tools, replace(LIMITS, text=size - 1), len)
    assert refused.value.status == 413
    foreign: list[Any] = ["x", ["x"], [{"function": {}}], [{"function": {"name": 3}}], {"function": {"name": "x"}}]
    for given in foreign:
        with pytest.raises(BadRequest, match="tools must be a list of"):
            read_tools(given, LIMITS, len)
