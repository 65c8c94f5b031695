"""What a codec's answers look like, as a regular expression for constrained decoding."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass

LABEL = 48
"""Characters of a label at most, where categories are not given."""

_WORD = "[A-Za-z0-9]"
_FREE = rf"[A-Za-z](?:{_WORD}|[ '.-]{_WORD}){{0,{LABEL // 2 - 1}}}"


@dataclass(frozen=True)
class Grammar:
    """The answers a codec writes, for one box kind and style.

    Attributes:
        pattern: Regular expression of a whole answer, of groups, alternatives, classes and repetitions only, so that
            Python, xgrammar and outlines read it alike.
        end: The character that ends an object and stands nowhere else.
        more: What follows ``end`` where another object begins; empty for anything at all.
        longest: Characters of the longest object.
    """

    pattern: str
    end: str
    more: str
    longest: int


def plain_grammar(numbers: Sequence[str], none: str, categories: Sequence[str] | None) -> Grammar:
    """Return the grammar of plain lines; ``numbers`` are the patterns of a box's numbers."""
    line = f"{','.join(numbers)} {_label(categories)}\n"
    longest = _digits(numbers) + 2 + _length(categories)
    return Grammar(f"(?:{_quoted(none)}|(?:{line})+)", "\n", "", longest)


def json_grammar(
    numbers: Sequence[str], none: str, categories: Sequence[str] | None, box_key: str, label_key: str
) -> Grammar:
    """Return the grammar of a fenced JSON list."""
    written = None if categories is None else [json.dumps(name, ensure_ascii=False)[1:-1] for name in categories]
    keys = [_quoted(json.dumps(key, ensure_ascii=False)) for key in (box_key, label_key)]
    one = rf"\{{{keys[0]}: \[{', '.join(numbers)}\], {keys[1]}: \"{_label(written)}\"\}}"
    longest = _digits(numbers) + len(numbers) + 16 + len(box_key) + len(label_key) + _length(written)
    return Grammar(f"(?:{_quoted(none)}|```json\n\\[\n\t{one}(?:,\n\t{one})*\n\\]\n```)", "}", ",", longest)


def whole(most: int) -> str:
    """Return a pattern of the whole numbers with as many digits as ``most`` has, at most.

    >>> whole(1000)
    '(?:0|[1-9][0-9]{0,3})'
    """
    return f"(?:0|[1-9][0-9]{{0,{len(str(most)) - 1}}})"


def _label(categories: Sequence[str] | None) -> str:
    if categories is None:
        return _FREE
    if not categories or any(not name or set(name) & set("\n}{`") for name in categories):
        raise ValueError(f"categories are {list(categories)!r}; give names without line breaks, braces and backticks")
    return f"(?:{'|'.join(_quoted(name) for name in dict.fromkeys(categories))})"


def _length(categories: Sequence[str] | None) -> int:
    return LABEL if categories is None else max(len(name.encode()) for name in categories)


def _digits(numbers: Sequence[str]) -> int:
    """Return how many characters the numbers of a box have at most, commas included; a codec has six decimals at most."""
    return sum(13 if r"\." in number else 6 for number in numbers)


def _quoted(text: str) -> str:
    return re.sub(r"([\\.^$|?*+()\[\]{}\"])", r"\\\1", text)
