"""What a model wrote, taken as data: JSON found in prose, checked before it becomes a question."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

from rscovlm.records.tally import Rejected

_GIVEAWAY = re.compile(
    r"\b(crop|cropped|bounding box|red box|zoomed|sub-?image|patch|this part|shown part)\b", re.IGNORECASE
)
_MAX_WORDS = 5

NOTHING = "writer saw nothing to ask"
"""Reason of a pair that the writer left empty."""


def find_json(text: str, kind: type) -> Any:
    """Give the first JSON value of a kind (`dict` or `list`) in a text, whatever stands around it.

    Raises:
        ValueError: There is none.

    >>> find_json('Sure! ```json\\n{"question": "?", "answer": "red"}\\n```', dict)["answer"]
    'red'
    """
    decoder = json.JSONDecoder()
    for match in re.finditer(r"\{" if kind is dict else r"\[", text):
        try:
            value, _ = decoder.raw_decode(text, match.start())
        except (ValueError, RecursionError):
            continue
        if isinstance(value, kind):
            return value
    raise Rejected("reply is no JSON", f"no JSON {kind.__name__} in {text[:120]!r}")


def usable(check: Callable[[str, str], object], expected: str, reply: str) -> bool:
    """Tell whether a reply passes a check, or says that there is nothing to ask, which is an answer too.

    >>> usable(check_pair, "the ship", "no JSON")
    False
    """
    try:
        check(reply, expected)
    except Rejected as error:
        return error.reason == NOTHING
    return True


def check_pair(text: str, reference: str) -> tuple[str, str]:
    """Give question and answer from a reply, if they can be used.

    Raises:
        ValueError: They cannot; the reason says why.
    """
    value = find_json(text, dict)
    question, answer = value.get("question"), value.get("answer")
    if not isinstance(question, str) or not isinstance(answer, str):
        raise Rejected("reply lacks question or answer", f"keys {sorted(map(str, value))}, texts are needed")
    question, answer = " ".join(question.split()), " ".join(answer.split()).rstrip(".")
    if not question or not answer:
        raise Rejected(NOTHING, f"an empty pair for {reference!r}")
    if not question.endswith("?"):
        raise Rejected("not a question", f"{question!r} does not end with a question mark")
    if reference.lower() not in question.lower():
        raise Rejected("target not named", f"{question!r} does not name {reference!r}")
    if _GIVEAWAY.search(question):
        raise Rejected("speaks of the crop", f"{question!r} speaks of what only the writer saw")
    if len(answer.split()) > _MAX_WORDS:
        raise Rejected("answer too long", f"{answer!r} has more than {_MAX_WORDS} words")
    if re.search(rf"\b{re.escape(answer.lower())}\b", question.lower()) and " or " not in question.lower():
        raise Rejected("question gives the answer away", f"{answer!r} stands in {question!r}")
    return question, answer


def check_distractors(text: str, answer: str) -> tuple[str, str, str]:
    """Give three wrong options from a reply, if with the answer they are exactly four distinct ones.

    Raises:
        ValueError: They are not; the reason says why.
    """
    value = find_json(text, list)
    if len(value) != 3 or not all(isinstance(item, str) and item.strip() for item in value):
        raise Rejected("not three options", f"{value!r} is not a list of three texts")
    options = [re.sub(r"^\(?[A-D][).:]\s+", "", " ".join(item.split())).rstrip(".") for item in value]
    if any(len(option.split()) > 2 * _MAX_WORDS or not _plain(option) for option in options):
        raise Rejected("option too long or empty", f"{options}")
    if _plain(answer) in map(_plain, options):
        raise Rejected("option equals the answer", f"{answer!r} is among {options}")
    if len(set(map(_plain, options))) != 3:
        raise Rejected("options repeat", f"{options}")
    first, second, third = options
    return first, second, third


def same(first: str, second: str) -> bool:
    """Tell whether two options say the same, case, articles, punctuation and a plural s aside."""
    return _plain(first) == _plain(second)


def _plain(text: str) -> str:
    words = re.sub(r"[^\w\s]", " ", text.lower()).split()
    words = [word for word in words if word not in ("a", "an", "the")]
    return " ".join(
        word[:-1] if word.endswith("s") and len(word) > 3 and not word.endswith("ss") else word for word in words
    )
