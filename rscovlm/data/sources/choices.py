"""Multiple choice as published: options that carry their letter, answers that are one."""

from __future__ import annotations

import re
from collections.abc import Sequence

from rscovlm.records.rows import as_list, as_text
from rscovlm.records.tally import Rejected

_LETTERED = re.compile(r"\(?([A-Z])(?:\)|\.|:)\s*(.*)", re.DOTALL)


def split_choices(options: Sequence[str] | str) -> tuple[str, ...]:
    """Give the options' texts without their letters, which must be A, B, C, ... in order.

    Raises:
        ValueError: An option has no letter, or another than its place says.

    >>> split_choices(["(A) red", "(B) blue"]), split_choices("A. red\\nB. blue")
    (('red', 'blue'), ('red', 'blue'))
    """
    given = _cut(options.strip()) if isinstance(options, str) else as_list(options, "the choices")
    texts = []
    for place, option in enumerate(given):
        match = _LETTERED.fullmatch(as_text(option, "a choice").strip())
        if match is None or ord(match.group(1)) - ord("A") != place:
            raise Rejected("malformed choices", f"option {option!r} should begin with {chr(ord('A') + place)!r}")
        texts.append(match.group(2).strip())
    return tuple(texts)


def _cut(text: str) -> list[str]:
    """Cut a text at its lines, or a single line before each next letter that is written like the first: A., then B., then C."""
    lines = [line for line in text.splitlines() if line.strip()]
    if len(lines) > 1:
        return lines
    first = re.match(r"(\(?)A([).:])", text)
    if first is None:
        return lines
    parts, start = [], 0
    for letter in "BCDEFGHIJKLMNOPQRSTUVWXYZ":
        found = re.compile(rf"\s{re.escape(first[1])}{letter}{re.escape(first[2])}").search(text, start)
        if found is None:
            break
        parts.append(text[start : found.start()])
        start = found.start() + 1
    return [*parts, text[start:]]


def check_letter(answer: str, choices: Sequence[str]) -> str:
    """Give the letter, or the letters, of the right choices, such as `B` or `AC`.

    Raises:
        ValueError: It is no letter of a choice.
    """
    letters = "".join(re.findall(r"[A-Za-z]", as_text(answer, "the answer"))).upper()
    if (
        not letters
        or any(ord(letter) - ord("A") >= len(choices) for letter in letters)
        or len(set(letters)) < len(letters)
    ):
        raise Rejected("answer is no choice", f"answer {answer!r} is not the letter of one of {len(choices)} choices")
    return letters
