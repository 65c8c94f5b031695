"""What the options of a command say of a model: which go together, and what they change of its budget."""

from __future__ import annotations

from typing import Any

import pytest

from rscovlm.processing.resolution import PixelBudget
from rscovlm.serving.loading import limited, load_engine, read_budget

SERVER = {"endpoints": ["http://127.0.0.1:9/v1"]}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (SERVER, "--server needs --model, the name by which"),
        (SERVER | {"model": "m", "revision": "main"}, "are for a model in this process; set them at the server"),
        (SERVER | {"model": "m", "device": "cpu"}, "are for a model in this process"),
        (SERVER | {"model": "m", "dtype": "float32"}, "are for a model in this process"),
        (
            SERVER | {"model": "m", "processor": "p", "revision": "main", "device": "cpu"},
            "are for a model in this process",
        ),
        (SERVER | {"model": "m", "budget": "1"}, "--budget is '1'; give the least and the largest pixels"),
        ({"processor": "p"}, "--processor and --budget say what a server's model is; give --server"),
        ({"budget": "50176,1016064"}, "--processor and --budget say what a server's model is"),
        ({"dtype": "float8"}, "dtype is 'float8'; choose one of auto, "),
        ({"device": "cuda:99"}, "device is 'cuda:99', which this machine cannot use .*; leave it out for cpu"),
        ({"device": "toaster"}, "device is 'toaster', which this machine cannot use"),
    ],
)
def test_options_that_do_not_go_together_are_named(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        load_engine(**options)


@pytest.mark.parametrize(
    ("text", "least", "largest", "factor"), [("784,1016064", 784, 1016064, 28), ("1024, 65536, 32", 1024, 65536, 32)]
)
def test_a_budget_in_two_or_three_numbers(text: str, least: int, largest: int, factor: int) -> None:
    found = read_budget(text)
    assert (found.min_pixels, found.max_pixels, found.factor) == (least, largest, factor)


@pytest.mark.parametrize("text", ["", "784", "784,x", "784,1016064,28,1", "784;1016064"])
def test_what_is_no_budget_says_how_one_is_written(text: str) -> None:
    with pytest.raises(ValueError, match="such as 50176,1016064"):
        read_budget(text)


def test_a_budget_is_limited_by_what_is_given_and_by_nothing_else() -> None:
    own = PixelBudget(56 * 56, 560 * 560, 28, mode="native")
    assert limited(own, None) == limited(own, None, None) == own
    assert limited(own, 100 * 28 * 28) == PixelBudget(56 * 56, 100 * 28 * 28, 28, mode="native")
    # A largest picture below the smallest takes the smallest with it.
    assert limited(own, 28 * 28) == PixelBudget(28 * 28, 28 * 28, 28, mode="native")
    assert limited(own, None, "max") == PixelBudget(56 * 56, 560 * 560, 28, mode="max")
    assert limited(PixelBudget(56 * 56, 560 * 560, 28, mode="max"), None).mode == "max"
