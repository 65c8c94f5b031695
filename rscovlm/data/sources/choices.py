"""Multiple choice as published: options that carry their letter, answers that are one."""

from __future__ import annotations

import re
from collections.abc import Sequence

from rscovlm.data.tally import Rejected

_LETTERED = re.compile(r"\(?([A-Z])(?:\)|\.|:)\s*(.*)", re.DOTALL)
_LINES = re.compile(r"\n+|\s+(?=\([A-Z]\)\s)")


def split_choices(options: Sequence[str] | str) -> tuple[str, ...]:
    """Give the options' texts without their letters, which must be A, B, C, ... in order.

    Raises:
        ValueError: An option has no letter, or another than its place says.

    >>> split_choices(["(A) red", "(B) blue"]), split_choices("A. red\\nB. blue")
    (('red', 'blue'), ('red', 'blue'))
    """
    given = [option for option in _LINES.split(options.strip())] if isinstance(options, str) else list(options)
    texts = []
    for place, option in enumerate(given):
        match = _LETTERED.fullmatch(option.strip())
        if match is None or ord(match.group(1)) - ord("A") != place:
            raise Rejected("malformed choices", f"option {option!r} should begin with {chr(ord('A') + place)!r}")
        texts.append(match.group(2).strip())
    return tuple(texts)


def check_letter(answer: str, choices: Sequence[str]) -> str:
    """Give the letter, or the letters, of the right choices, such as `B` or `AC`.

    Raises:
        ValueError: It is no letter of a choice.
    """
    letters = "".join(re.findall(r"[A-Za-z]", answer)).upper()
    if (
        not letters
        or any(ord(letter) - ord("A") >= len(choices) for letter in letters)
        or len(set(letters)) < len(letters)
    ):
        raise Rejected("answer is no choice", f"answer {answer!r} is not the letter of one of {len(choices)} choices")
    return letters
