"""What a task answers to a client of a server."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from rscovlm.codec.problems import DROPPED
from rscovlm.engines.engine import Finish
from rscovlm.geometry import Objects


@dataclass(frozen=True)
class Served:
    """An answer before it is written for a client.

    Attributes:
        text: The answer in words; with objects, what is said where there are none and the model does not say so.
        cut: The model met a limit, or repeated itself, so that something may be missing.
        objects: The answer's objects in pixels of the original image, which are then written in place of the text.
        none: The model says that there are no objects.
        extra: What else is known, as plain JSON values.
    """

    text: str
    cut: bool = False
    objects: Objects | None = None
    none: bool = False
    extra: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> Served:
        """Return the answer that a row of `predict` is: its first text, or the whole row as JSON where it has none.

        >>> Served.of({"material": "tile"}).text, Served.of({"counts": {"ship": 2}}).text
        ('tile', '{"counts": {"ship": 2}}')
        """
        rest = {name: value for name, value in row.items() if name != "finish"}
        key = next((name for name, value in rest.items() if isinstance(value, str)), None)
        text = json.dumps(rest, ensure_ascii=False) if key is None else rest.pop(key)
        cut = row.get("finish") in ("length", "repeat") or was_cut(row.get("problems") or {})
        return cls(text, cut, extra=rest)


def truncated_answers(row: Mapping[str, Any]) -> int:
    """Return how many answers of a row met the limit of generated tokens.

    >>> truncated_answers({"finish": "length"}), truncated_answers({"objects": [], "problems": {"cut_off": 3}})
    (1, 3)
    """
    return max(int(row.get("finish") == "length"), int((row.get("problems") or {}).get("cut_off", 0)))


def finish_of(problems: Mapping[str, int]) -> Finish:
    """Return how an answer ended, from what was odd in it."""
    return "length" if problems.get("cut_off") else "repeat" if problems.get("repeat") else "stop"


def was_cut(problems: Mapping[str, int]) -> bool:
    """Tell whether an answer met its limit or was ended by the repeat guard."""
    return bool(problems.get("cut_off") or problems.get("repeat"))


def lost_some(problems: Mapping[str, int]) -> bool:
    """Tell whether an object may be missing, so that none found does not mean that there is none."""
    return was_cut(problems) or any(problems.get(reason) for reason in DROPPED)
