"""Fields of a request: the ranges of the API reference, both ends, and what is honoured of them."""

from typing import Any

import pytest

from rscovlm.serving.parameters import check_parameters, read_max_tokens, read_stop
from rscovlm.serving.refusals import BadRequest

# OpenAI API reference, "Create chat completion": the range of each number.
RANGES: dict[str, tuple[float, float]] = {
    "temperature": (0, 2),
    "top_p": (0, 1),
    "presence_penalty": (-2, 2),
    "frequency_penalty": (-2, 2),
    "n": (1, 128),
    "seed": (-(2**63), 2**63 - 1),
    "top_logprobs": (0, 20),
}
HONOURED: dict[str, list[Any]] = {
    "temperature": [0, 1, 0.0, 1.0, None],
    "top_p": [0, 0.3, 1, None],
    "presence_penalty": [0, 0.0],
    "frequency_penalty": [0],
    "n": [1],
    "seed": [-(2**63), 7, 2**63 - 1],
    "top_logprobs": [0],
    "logprobs": [False, None],
    "logit_bias": [{}],
    "tools": [[]],
    "functions": [[]],
    "tool_choice": ["none", "auto"],
    "function_call": ["none", "auto"],
    "parallel_tool_calls": [True, False],
    "response_format": [{"type": "text"}],
    "modalities": [["text"]],
    "reasoning_effort": ["none"],
    "service_tier": ["auto", "default"],
    "store": [False],
    "user": ["me", 3],
    "metadata": [{"a": "b"}],
}


@pytest.mark.parametrize("name", HONOURED)
def test_what_asks_for_what_happens_anyway_is_accepted(name: str) -> None:
    for value in HONOURED[name]:
        check_parameters({"model": "m", "messages": [], name: value})


@pytest.mark.parametrize("name", RANGES)
def test_a_number_beyond_the_range_is_said_to_be(name: str) -> None:
    least, most = RANGES[name]
    for value in (least - 1, most + 1):
        with pytest.raises(BadRequest, match=f"{name} is .*; it must lie between {least} and {most}") as refused:
            check_parameters({name: value})
        assert refused.value.param == name
    odd: tuple[Any, ...] = ("1", True, [1], float("nan"), float("inf"))
    for value in odd:
        with pytest.raises(BadRequest, match=f"{name} must be a (whole )?number"):
            check_parameters({name: value})


@pytest.mark.parametrize(
    ("name", "value", "instead"),
    [
        ("temperature", 0.5, "must be 0 or 1; answers are greedy"),
        ("temperature", 2, "must be 0 or 1; answers are greedy"),
        ("presence_penalty", -2, "must be 0; answers are greedy"),
        ("n", 2, "must be 1; send the request again"),
        ("n", 1.0, "must be a whole number"),
        ("top_logprobs", 20, "must be 0; probabilities are not given"),
        ("logprobs", True, "logprobs True is not honoured here; probabilities are not given"),
        ("logprobs", 0, "logprobs 0 is not honoured here"),
        ("tools", [{"type": "function"}], "the model calls none but its own"),
        ("response_format", {"type": "json_object"}, "for boxes in JSON send rscovlm.style"),
        ("service_tier", "flex", "service_tier 'flex' is not honoured here; leave it out"),
        ("best_of", 1, "there is no field 'best_of' here"),
    ],
)
def test_what_is_not_honoured_is_refused_with_what_to_do(name: str, value: Any, instead: str) -> None:
    with pytest.raises(BadRequest, match=instead) as refused:
        check_parameters({"seed": 3, name: value})
    assert refused.value.param == name


def test_tools_that_may_not_be_called_are_accepted() -> None:
    tools = [{"type": "function"}]
    check_parameters({"tools": tools, "tool_choice": "none"})
    with pytest.raises(BadRequest):
        check_parameters({"tools": tools, "tool_choice": "auto"})


def test_long_values_and_names_are_cut() -> None:
    with pytest.raises(BadRequest) as refused:
        check_parameters({"modalities": ["x" * 200]})
    text = repr(["x" * 200])
    assert f"modalities {text[:77]}... is not" in str(refused.value)
    short = ["x" * 76]
    with pytest.raises(BadRequest) as refused:
        check_parameters({"modalities": short})
    assert len(repr(short)) == 80 and f"modalities {short!r} is not" in str(refused.value)
    with pytest.raises(BadRequest) as refused:
        check_parameters({"y" * 200: 1})
    assert refused.value.param == "y" * 80


def test_the_tokens_of_a_completion_have_two_names() -> None:
    assert read_max_tokens({}) is None
    assert read_max_tokens({"max_tokens": 1}) == read_max_tokens({"max_completion_tokens": 1}) == 1
    assert read_max_tokens({"max_tokens": 5, "max_completion_tokens": 5}) == 5
    assert read_max_tokens({"max_tokens": None, "max_completion_tokens": 5}) == 5
    with pytest.raises(BadRequest, match="differ; send one of them"):
        read_max_tokens({"max_tokens": 5, "max_completion_tokens": 6})
    for value in (0, -1, 1.0, "1", True):
        for name in ("max_tokens", "max_completion_tokens"):
            with pytest.raises(BadRequest, match=f"{name} must be a whole number from 1 up"):
                read_max_tokens({name: value})


def test_an_answer_ends_at_up_to_four_texts() -> None:
    assert read_stop({}) == read_stop({"stop": None}) == ()
    assert read_stop({"stop": "a"}) == ("a",)
    assert read_stop({"stop": ["a", "b", "c", "d"]}) == ("a", "b", "c", "d")
    for value in (["a"] * 5, [""], "", [1], {"a": 1}, 3):
        with pytest.raises(BadRequest, match="stop must be a text or a list of up to 4"):
            read_stop({"stop": value})
