"""Reading plain lines: numbers, a space, a label."""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import pairwise
from typing import NamedTuple

from rscovlm.codec import patterns
from rscovlm.codec.found_objects import LAYOUTS, FoundObjects

_WORD = re.compile(r"\w")


class _Line(NamedTuple):
    """The numbers of a line, where its label begins, and how far it is from what codecs write."""

    numbers: list[str]
    label_start: int
    repaired: bool
    bracketed: bool = False


class Lines:
    """Reads lines that begin with numbers.

    Args:
        text: What a model wrote.
        found: Where objects and problems go.
        before_object: Called before an object is added.
    """

    def __init__(self, text: str, found: FoundObjects, before_object: Callable[[], None]) -> None:
        self._text = text
        self._found = found
        self._before_object = before_object
        self._line_end = -1

    def read(self, place: int) -> int | None:
        """Read the objects on the line that begins at `place`; return where to go on, or None if it holds none."""
        line = self._line(place)
        if line is None:
            return None
        self._before_object()
        while line is not None:
            after, another = self._labelled(line, place)
            line, place = (self._line(after) if another else None), after
        return place

    def _line(self, place: int) -> _Line | None:
        text = self._text
        exact = patterns.EXACT_LINE.match(text, place)
        if exact is not None:
            numbers = exact["numbers"].split(",")
            more = patterns.CONTINUED.get(len(numbers))
            if more is None or more.match(text, exact.end()) is None:
                return _Line(numbers, exact.end(), repaired=False)
        loose = patterns.LOOSE_LINE.match(text, place)
        if loose is None:
            return None
        bracketed = loose["inside"] is not None
        tokens = list(patterns.TOKEN.finditer(text, *loose.span("inside" if bracketed else "bare")))
        if bracketed:
            return _Line([token[0] for token in tokens], loose.end(), True, True) if len(tokens) > 2 else None
        commas = [patterns.COMMA.search(text, a.end(), b.start()) is not None for a, b in pairwise(tokens)]
        if not any(commas) and len(tokens) < 4 and patterns.TEXT_END.match(text, loose.end()) is None:
            return None
        count = _box_numbers(commas)
        end = tokens[count - 1].end()
        if count not in LAYOUTS:
            more_numbers = patterns.MORE_NUMBERS.match(text, end)
            end = more_numbers.end() if more_numbers is not None else end
        return _Line([token[0] for token in tokens[:count]], end, repaired=True)

    def _labelled(self, line: _Line, start: int) -> tuple[int, bool]:
        """Take a line's label; return where the text continues, and whether with another object on the same line."""
        text = self._text
        if self._line_end < line.label_start:
            newline = text.find("\n", line.label_start)
            self._line_end = len(text) if newline < 0 else newline
        stop = patterns.LABEL_STOP.search(text, line.label_start, self._line_end)
        after = self._line_end if stop is None else stop.start()
        if line.bracketed:
            listed = patterns.LIST_STOP.search(text, line.label_start, self._line_end)
            if listed is not None and listed.start() < after:
                stop, after = listed, listed.start()
        another = stop is not None and stop[0][0] not in "`{"
        label = text[line.label_start : after].strip()
        if another:
            label = label.rstrip(" \t,;")
        if line.bracketed:
            label = label.lstrip(":=- \t")
            # What is left of brackets and commas is no name.
            label = label if _WORD.search(label) else ""
        if after == len(text) and not line.bracketed and not label.strip(",;"):
            self._found.problems["truncated"] += 1
        elif self._found.keep(line.numbers, label, start, after, syntax="list" if line.bracketed else "line"):
            self._found.problems["repaired"] += line.repaired and (bool(label) or not line.bracketed)
        return after, another


def _box_numbers(commas: list[bool]) -> int:
    """Return how many of a line's numbers are its box; the label may begin with numbers too.

    Args:
        commas: For each gap between two numbers, whether it holds a comma.
    """
    total = len(commas) + 1
    joined = [*commas, False].index(False) + 1
    if joined not in LAYOUTS:
        return total
    more = [*commas[joined:], False].index(False) + 1 if joined < total else 0
    return 8 if more > 1 and joined + more == 8 else joined
