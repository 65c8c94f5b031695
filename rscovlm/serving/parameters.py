"""The fields of a chat request that shape the answer: honoured, or refused by name.

A field whose neglect would give a client something else than it asked for is refused; one that asks for what happens anyway
(greedy decoding, one answer, no tools) is accepted. Source: the OpenAI API reference, "Create chat completion".
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rscovlm.serving.refusals import BadRequest


@dataclass(frozen=True)
class _Number:
    """A number with the range that the API gives it, and the values in it that are honoured; none honours all."""

    least: float
    most: float
    honoured: tuple[float, ...] = ()
    whole: bool = False
    why: str = ""


_NUMBERS = {
    # 1 is what the API takes where nothing is said, so clients send it without meaning anything by it.
    "temperature": _Number(0, 2, (0, 1), why="answers are greedy; send 0 or leave it out"),
    # The most likely token is within any top_p.
    "top_p": _Number(0, 1),
    "presence_penalty": _Number(-2, 2, (0,), why="answers are greedy; send 0 or leave it out"),
    "frequency_penalty": _Number(-2, 2, (0,), why="answers are greedy; send 0 or leave it out"),
    "n": _Number(1, 128, (1,), whole=True, why="send the request again for another answer"),
    "seed": _Number(-(2**63), 2**63 - 1, whole=True),  # greedy answers are the same each time
    "top_logprobs": _Number(0, 20, (0,), whole=True, why="probabilities are not given"),
}
_HONOURED: dict[str, tuple[Any, ...]] = {
    "logprobs": (False,),
    "logit_bias": ({},),
    "tools": ([],),
    "functions": ([],),
    "tool_choice": ("none", "auto"),
    "function_call": ("none", "auto"),
    "parallel_tool_calls": (True, False),
    "response_format": ({"type": "text"},),
    "modalities": (["text"],),
    "reasoning_effort": ("none",),
    "service_tier": ("auto", "default"),
    "store": (False,),
}
_INSTEAD = {
    "tools": "the model calls none but its own; leave them out, or send tool_choice = 'none'",
    "response_format": "for boxes in JSON send rscovlm.style = 'json'",
    "logprobs": "probabilities are not given; leave it out",
}
_READ_ELSEWHERE = {
    "model",
    "messages",
    "rscovlm",
    "stream",
    "stream_options",
    "stop",
    "max_tokens",
    "max_completion_tokens",
}
# Names of who asks, which change no answer.
_NAMES = {"user", "safety_identifier", "prompt_cache_key", "prompt_cache_retention", "metadata"}


def check_parameters(values: Mapping[str, Any]) -> None:
    """Refuse a field that is unknown, outside its range, or not honoured.

    Raises:
        BadRequest: The first such field, by its name.
    """
    for name, value in values.items():
        if value is None or name in _READ_ELSEWHERE or name in _NAMES:
            continue
        if name in _NUMBERS:
            _check_number(name, value, _NUMBERS[name])
        elif name not in _HONOURED:
            raise BadRequest(f"there is no field {name[:80]!r} here; leave it out", param=name[:80])
        elif name == "tools" and values.get("tool_choice") == "none":
            continue
        elif not any(type(value) is type(one) and value == one for one in _HONOURED[name]):
            instead = _INSTEAD.get(name, "leave it out")
            raise BadRequest(f"{name} {_shown(value)} is not honoured here; {instead}", param=name)


def read_max_tokens(values: Mapping[str, Any]) -> int | None:
    """Return the generated tokens that a completion may have, or ``None`` where the client does not say.

    Raises:
        BadRequest: It is no whole number from 1 up, or two fields say different things.
    """
    names = [name for name in ("max_completion_tokens", "max_tokens") if values.get(name) is not None]
    for name in names:
        if isinstance(values[name], bool) or not isinstance(values[name], int) or values[name] < 1:
            raise BadRequest(f"{name} must be a whole number from 1 up", param=name)
    if len({values[name] for name in names}) > 1:
        raise BadRequest("max_tokens and max_completion_tokens differ; send one of them", param="max_tokens")
    return values[names[0]] if names else None


def read_stop(values: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the texts at which an answer ends.

    Raises:
        BadRequest: They are no text or list of up to four.
    """
    given = values.get("stop")
    stops = [] if given is None else [given] if isinstance(given, str) else given
    if not isinstance(stops, list) or len(stops) > 4 or not all(isinstance(one, str) and one for one in stops):
        raise BadRequest("stop must be a text or a list of up to 4, none of them empty", param="stop")
    return tuple(stops)


def _check_number(name: str, value: Any, wanted: _Number) -> None:
    whole = isinstance(value, int) and not isinstance(value, bool)
    if not (whole or (isinstance(value, float) and not wanted.whole and math.isfinite(value))):
        raise BadRequest(f"{name} must be a {'whole ' if wanted.whole else ''}number", param=name)
    if not wanted.least <= value <= wanted.most:
        raise BadRequest(f"{name} is {value}; it must lie between {wanted.least} and {wanted.most}", param=name)
    if wanted.honoured and value not in wanted.honoured:
        honoured = " or ".join(map(str, wanted.honoured))
        raise BadRequest(f"{name} must be {honoured}; {wanted.why}", param=name)


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
