"""Answers and errors in the form of the API, whole and in pieces."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rscovlm.serving.answering import Answer
from rscovlm.serving.completions import DONE, Completion
from rscovlm.serving.refusals import RequestLimits, error_body

TEXT = st.text(st.sampled_from("ab \n\t\r\u2028.é"), max_size=60)


def _events(pieces: Any) -> list[dict[str, Any]]:
    found = []
    for piece in pieces:
        assert piece.startswith(b"data: ") and piece.endswith(b"\n\n") and piece.count(b"\n") == 2
        found.append(json.loads(piece[6:]))
    return found


def test_an_answer_at_once() -> None:
    completion = Completion("ours")
    completion.name("asked-for")
    found = completion.whole(
        Answer("two ships", finish="length", tokens=7, prompt_tokens=20, extra={"task": "caption"})
    )
    assert found.pop("id").startswith("chatcmpl-") and found.pop("created") > 1_700_000_000
    message = {"role": "assistant", "content": "two ships", "refusal": None}
    assert found == {
        "model": "asked-for",
        "object": "chat.completion",
        "choices": [{"index": 0, "message": message, "finish_reason": "length", "logprobs": None}],
        "usage": {"prompt_tokens": 20, "completion_tokens": 7, "total_tokens": 27},
        "rscovlm": {"task": "caption"},
    }


@given(
    TEXT | st.integers(380, 420).map(lambda count: "word " * count) | st.integers(380, 1300).map(lambda n: "a\n" * n)
)
def test_pieces_give_the_text_back_and_are_not_too_many(text: str) -> None:
    *pieces, last = Completion("m").pieces(Answer(text, finish="stop"), usage=False)
    assert last == DONE
    events = _events(pieces)
    deltas = [one["choices"][0]["delta"] for one in events]
    assert "".join(delta.get("content", "") for delta in deltas) == text
    assert deltas[-1] == {} and all(delta["content"] for delta in deltas[:-1])
    assert len(deltas) <= 401
    assert [one["choices"][0]["finish_reason"] for one in events] == [None] * (len(events) - 1) + ["stop"]


def test_one_line_comes_by_words_and_several_come_by_lines() -> None:
    def contents(text: str) -> list[str]:
        *pieces, _ = Completion("m").pieces(Answer(text, finish="stop"), usage=False)
        return [one["choices"][0]["delta"].get("content") for one in _events(pieces)][:-1]

    assert contents("It is  red.\n") == ["It ", "is  ", "red.\n"]
    assert contents("1,2 ship\n3,4 plane") == ["1,2 ship\n", "3,4 plane"]
    assert len(contents("word " * 400)) == 400
    # Of 802 characters no more than 400 pieces are made: three characters each.
    assert [len(piece) for piece in contents("x " * 401)] == [3] * 267 + [1]
    assert contents("") == []


def test_usage_is_the_last_event_where_it_is_asked_for() -> None:
    *_, usage, done = Completion("m").pieces(Answer("x", finish="stop", tokens=3, prompt_tokens=4), usage=True)
    (found,) = _events([usage])
    assert (found["choices"], found["object"]) == ([], "chat.completion.chunk")
    assert found["usage"] == {"prompt_tokens": 4, "completion_tokens": 3, "total_tokens": 7}
    assert done == DONE


def test_the_stream_opens_with_who_speaks_and_steps_say_no_text() -> None:
    completion = Completion("m")
    opening, step = _events([completion.opening(), completion.step({"window": [1, 2, 3, 4]})])
    assert opening["choices"][0]["delta"] == {"role": "assistant", "content": ""} and "rscovlm" not in opening
    assert step["choices"][0]["delta"] == {} and step["rscovlm"] == {"window": [1, 2, 3, 4]}
    assert opening["id"] == step["id"]


@pytest.mark.parametrize(
    ("status", "kind", "code"),
    [
        (400, "invalid_request_error", None),
        (401, "authentication_error", "invalid_api_key"),
        (404, "not_found_error", "not_found"),
        (405, "invalid_request_error", "method_not_allowed"),
        (411, "invalid_request_error", "length_required"),
        (413, "invalid_request_error", "request_too_large"),
        (429, "rate_limit_error", "rate_limit_exceeded"),
        (500, "server_error", None),
        (501, "invalid_request_error", None),
        (503, "server_error", "overloaded"),
        (504, "server_error", "timeout"),
    ],
)
def test_errors_have_the_kinds_and_codes_of_the_api(status: int, kind: str, code: str | None) -> None:
    assert error_body(status, "m", "p") == {"error": {"message": "m", "type": kind, "param": "p", "code": code}}


def test_a_model_that_is_not_there_has_a_code_of_its_own() -> None:
    assert error_body(404, "m", "model")["error"]["code"] == "model_not_found"
    assert error_body(400, "m", "model")["error"]["code"] is None


def test_each_limit_is_at_least_1() -> None:
    numbers = [name for name, value in vars(RequestLimits()).items() if isinstance(value, int)]
    assert len(numbers) > 3
    for name in numbers:
        least: dict[str, Any] = {name: 1}
        none: dict[str, Any] = {name: 0}
        replace(RequestLimits(), **least)
        with pytest.raises(ValueError, match=f"limit {name} is 0; give a number from 1 up"):
            replace(RequestLimits(), **none)
