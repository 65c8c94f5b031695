"""What metrics of text share: checking columns of strings, words, numbers, and the reference system's normalisation."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

_WORD = re.compile(r"[-+]?\d+(?:[.,]\d+)*|[^\W\d_]+")
_FIGURE = re.compile(r"(?<![\w.])[-+]?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?|(?<![\w.])[-+]?\.\d+")

_UNITS = [
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"),
    *("thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"),
]
_TENS = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
_SMALL = {word: number for number, word in enumerate(_UNITS)}
_SMALL |= {word: 20 + 10 * number for number, word in enumerate(_TENS)}
_LARGE = {"hundred": 100, "thousand": 1000, "million": 1_000_000}
_NOTHING = frozenset({"no", "none", "nothing"})


def check_texts(columns: Mapping[str, Sequence[str]]) -> None:
    """Check that columns are equally long, not empty, and hold strings alone.

    Raises:
        ValueError: If not; the message names the column and the item.
    """
    check_columns(columns)
    for name, column in columns.items():
        for k, entry in enumerate(column):
            if not isinstance(entry, str):
                raise ValueError(f"{name}[{k}] is {entry!r}, a {type(entry).__name__}; give a string")


def check_columns(columns: Mapping[str, Sequence[object]]) -> None:
    """Check that columns are equally long and not empty.

    Raises:
        ValueError: If not.
    """
    for name, column in columns.items():
        if isinstance(column, str):
            raise ValueError(f"{name} is one string, {column!r}; give a list with one entry per item")
    lengths = {name: len(column) for name, column in columns.items()}
    if len(set(lengths.values())) > 1:
        described = ", ".join(f"{name} has {length}" for name, length in lengths.items())
        raise ValueError(f"{described} entries; give one of each per item")
    if not any(lengths.values()):
        raise ValueError(f"there are no items: {', '.join(columns)} are empty; give at least one entry")


def normalised(text: str) -> str:
    """Return text as the reference system compares it: lower case, without blanks around, then without periods around.

    Example:
        >>> normalised("  Yes. ")
        'yes'
    """
    return text.lower().strip().strip(".")


def words(text: str) -> list[str]:
    """Return the words and numbers of a text, in lower case; punctuation, hyphens and underscores only part them.

    Example:
        >>> words("T-shaped, 3.5 m!")
        ['t', 'shaped', '3.5', 'm']
    """
    return _WORD.findall(text.casefold())


def holds(text: Sequence[str], part: Sequence[str]) -> bool:
    """Tell whether a row of words stands in another, in one piece. An empty row stands in nothing.

    Example:
        >>> holds(["a", "big", "ship"], ["big", "ship"]), holds(["parking"], ["park"]), holds(["a"], [])
        (True, False, False)
    """
    n = len(part)
    return n > 0 and any(list(text[k : k + n]) == list(part) for k in range(len(text) - n + 1))


def holds_joined(text: Sequence[str], part: Sequence[str]) -> bool:
    """Tell whether a row of words stands in another where blanks between words do not count.

    Example:
        >>> holds_joined(["a", "storagetank"], ["storage", "tank"]), holds_joined(["starship"], ["ship"])
        (True, False)
    """
    wanted = "".join(part)
    for first in range(len(text) if wanted else 0):
        found = ""
        for word in text[first:]:
            found += word
            if found == wanted:
                return True
            if len(found) >= len(wanted):
                break
    return False


def number_in(text: str) -> float | None:
    """Return the first number a text names, in figures or in words, or None.

    "No", "none" and "nothing" are 0 where nothing else is a number.

    Example:
        >>> number_in("about 1,200 cars"), number_in("Twenty-one ships"), number_in("none"), number_in("many")
        (1200.0, 21.0, 0.0, None)
    """
    figure = _FIGURE.search(text)
    spoken, place = _spoken(text)
    if figure is not None and (spoken is None or figure.start() < place):
        return float(figure.group().replace(",", ""))
    if spoken is not None:
        return spoken
    return 0.0 if _NOTHING.intersection(words(text)) else None


def _spoken(text: str) -> tuple[float | None, int]:
    """Return the first number in words and where it starts."""
    total, current, start = 0, 0, -1
    for match in re.finditer(r"[^\W\d_]+", text.casefold()):
        word = match.group()
        if word in _SMALL:
            start = match.start() if start < 0 else start
            current += _SMALL[word]
        elif word in _LARGE and start >= 0:
            current = max(current, 1) * _LARGE[word]
            if _LARGE[word] >= 1000:
                total, current = total + current, 0
        elif start >= 0 and word != "and":
            break
    return (float(total + current), start) if start >= 0 else (None, -1)
