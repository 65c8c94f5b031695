"""Limits of a server: what operators rely on does not change by itself, and none can be left without meaning."""

from __future__ import annotations

from dataclasses import asdict, fields
from typing import Any

import pytest

from rscovlm.serving.refusals import RequestLimits

MIB = 2**20


def test_limits_are_those_that_the_page_states() -> None:
    assert asdict(RequestLimits()) == {
        "body": 64 * MIB,
        "images": 8,
        "pixels": 268_435_456,
        "tokens": 2048,
        "steps": 4,
        "visual_tokens": 6000,
        "policies": (),
        "search_calls": 64,
        "search_tokens": 20_000,
        "turns": 64,
        "text": 16_384,
        "tiles": 400,
        "seconds": 600,
        "waiting": 64,
        "connections": 256,
        "bodies": 512 * MIB,
        "memory": 1536 * MIB,
    }


@pytest.mark.parametrize("name", [one.name for one in fields(RequestLimits) if one.name != "policies"])
def test_every_limit_is_at_least_one(name: str) -> None:
    given: dict[str, Any] = {name: 1}
    assert getattr(RequestLimits(**given), name) == 1
    for value in (0, -1):
        given = {name: value}
        with pytest.raises(ValueError, match=f"limit {name} is {value}; give a number from 1 up"):
            RequestLimits(**given)
