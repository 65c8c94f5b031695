"""Finding sets of points in whatever a model wrote: set notation, JSON, and what resembles either."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from rscovlm.codec.found_objects import LARGEST
from rscovlm.metrics.final_answers import answer_span

_NUMBER = r"[-+]?(?:[0-9]++\.?+[0-9]*+|\.[0-9]++)(?:[eE][-+]?[0-9]++)?"
_NO_NUMBER = r"[-+]?(?i:nan|inf(?:inity)?|null|none)|\d++"
_START = re.compile(rf"[\[(]\s*+(?:[\[(]\s*+){{0,2}}(?:{_NUMBER}|{_NO_NUMBER})\s*+[,，]|\{{")
"""Where an object begins: brackets around a number, or a brace."""

_TOKEN = re.compile(
    rf"(?P<blank>\s++)|(?P<open>[\[(])|(?P<close>[\])])|(?P<comma>[,，;])|(?P<number>{_NUMBER})(?![\w.])"
    r"|(?P<word>[-+]?[^\W_][\w.]*+|\"[^\"\n]{0,64}\")"
)
_KEY = re.compile(r"[\"']?([^\W\d][\w .-]{0,63}+)[\"']?\s*+:\s*+")
_STRING = re.compile(r"\"((?:[^\"\\\n]|\\.)*+)\"|'((?:[^'\\\n]|\\.)*+)'")
_LABEL = re.compile(r"[ \t]*+(?:[:=-]++[ \t]++)?([^\n\r\v\f\x1c-\x1e\x85\u2028\u2029]*+)")
_BEFORE = re.compile(r"([^\n:,{}\[\]()]{1,64}):[ \t]*$")
_HALF_CHARACTER = re.compile("[\ud800-\udfff]")


class WrittenObject(NamedTuple):
    """A whole object as it was written.

    Attributes:
        sets: Pairs of numbers, set by set, by what JSON calls them; the set notation calls none ("").
        label: The label; None if there is none.
        start: Where its text begins.
        end: Where its text ends.
    """

    sets: dict[str, list[list[tuple[float, float]]]]
    label: str | None
    start: int
    end: int


class _Sets(NamedTuple):
    """What stood between brackets."""

    sets: list[list[tuple[float, float]]]
    end: int
    problem: str = ""  # why these are no sets of points
    repaired: bool = False


@dataclass
class SetReader:
    """Reads the objects of an answer; never raises, in time linear in its length.

    Attributes:
        keys: What JSON calls sets -> what they are; names are compared in lower case.
        label_key: What JSON calls labels.
        problems: Counts by reason.
    """

    keys: Mapping[str, str]
    label_key: str
    problems: Counter[str] = field(default_factory=Counter)

    def read(self, text: str) -> Iterator[WrittenObject]:
        """Yield every whole object in the order of the text."""
        place, stop = answer_span(text)
        # Beyond the answer nothing is read; what the text ends in may be cut.
        while (found := _START.search(text, place, stop)) is not None:
            start = found.start()
            one, place = (self._json if text[start] == "{" else self._plain)(text, start, stop)
            if one is not None:
                yield one

    def _plain(self, text: str, start: int, stop: int) -> tuple[WrittenObject | None, int]:
        """Read sets and the label behind them, or before them on their line."""
        found = _sets(text, start, stop, line=True)
        if found.problem:
            self.problems[found.problem] += 1
            return None, max(found.end, start + 1)
        end = found.end
        behind = _LABEL.match(text, end, stop)
        label = ""
        if behind is not None:
            following = _START.search(text, behind.start(1), behind.end(1))
            end = behind.end(1) if following is None else following.start()
            label = text[behind.start(1) : end].strip(" \t")
            label = label if following is None else label.rstrip(" \t,;:")
        before = _BEFORE.search(text, max(0, start - 80), start) if not label.strip(",;.]})") else None
        if before is not None:
            label = before[1].strip(" \t-*0123456789.\"'")
        elif not label.strip(",;.]})"):
            label = ""
        self.problems["repaired"] += found.repaired or before is not None
        self.problems["no_label"] += not label
        return WrittenObject({"": found.sets}, _whole(label), start, max(end, found.end)), max(end, found.end)

    def _json(self, text: str, start: int, stop: int) -> tuple[WrittenObject | None, int]:
        """Read the keys of an object one after the other, up to its brace or to where another object begins."""
        sets: dict[str, list[list[tuple[float, float]]]] = {}
        label, place, repaired, problem, seen = None, start + 1, False, "", False
        while place < stop and text[place] not in "{}":
            key = _KEY.match(text, place, stop)
            if key is None:
                place += 1
                continue
            place, name = key.end(), key[1].strip().lower()
            if name == self.label_key.lower():
                seen = True
                string = _STRING.match(text, place, stop)
                if string is not None:
                    repaired |= label is not None or string[1] is None
                    label, place = _unescaped(string), string.end()
            elif name in self.keys:
                seen = True
                found = _sets(text, place, stop)
                place = max(found.end, place)
                problem = problem or found.problem
                repaired |= found.repaired or self.keys[name] in sets
                if not found.problem:
                    sets[self.keys[name]] = found.sets
            else:
                string = _STRING.match(text, place, stop)
                place = place if string is None else string.end()
        closed = place < stop and text[place] == "}"
        end = place + closed
        sets = {name: listed for name, listed in sets.items() if listed}
        if problem or not sets or (not closed and place >= stop and label is None):
            cut = not closed and place >= stop
            reason = problem or ("truncated" if cut and seen else "no_box" if seen else "")
            self.problems[reason] += bool(reason)
            return None, end
        self.problems["repaired"] += repaired or not closed
        self.problems["no_label"] += not label
        return WrittenObject(sets, _whole(label or ""), start, end), end


def _sets(text: str, start: int, stop: int, *, line: bool = False) -> _Sets:
    """Read nested brackets of pairs of numbers, however deep they are nested; on one line where that ends an object."""
    sets: list[list[tuple[float, float]]] = []
    points: list[tuple[float, float]] = []
    numbers: list[float] = []
    depth, place, problem, parted, broken, closed = 0, start, "", True, False, start
    while place < stop and (token := _TOKEN.match(text, place, stop)) is not None:
        kind, word = token.lastgroup, token[0]
        if kind == "blank":
            broken |= "\n" in word
            if line and broken and not depth:
                break
        elif kind == "comma":
            parted = True
        elif kind == "open":
            if line and broken and not parted and depth:
                # A new object on a new line: the bracket of the one before was never closed.
                return _Sets(_all(sets, points), closed, problem, repaired=True)
            if not depth and not parted:
                break
            depth, broken, parted = depth + 1, False, True
        elif kind == "close":
            if not depth:
                break
            problem = problem or _closed(sets, points, numbers)
            numbers = []
            depth, closed, parted, broken = depth - 1, token.end(), False, False
            if not depth and not line:
                place = token.end()
                break
        elif not depth:
            break
        elif kind == "word" and not numbers and not parted and depth == 1:
            return _Sets(_all(sets, points), closed, problem, repaired=True)
        else:
            value, wrong = _value(word, kind == "number")
            problem = problem or wrong
            numbers.append(value)
            parted = False
        place = token.end()
    if depth and place >= stop:
        return _Sets([], place, problem or "truncated")
    everything = _all(sets, points)
    if depth:  # a sign that has no place here
        problem = problem or "coordinate_count"
    return _Sets(everything, place if depth else closed, problem or ("" if everything else "coordinate_count"))


def _closed(sets: list[list[tuple[float, float]]], points: list[tuple[float, float]], numbers: Sequence[float]) -> str:
    """Take in what a closing bracket ends: a point, a flat set, or the set that was begun."""
    if len(numbers) == 2:
        points.append((numbers[0], numbers[1]))
        return ""
    if points:
        sets.append(points.copy())
        points.clear()
    if len(numbers) % 2 or len(numbers) == 0:
        return "coordinate_count" if numbers else ""
    sets.append(list(zip(numbers[0::2], numbers[1::2], strict=True)))
    return ""


def _all(sets: list[list[tuple[float, float]]], points: list[tuple[float, float]]) -> list[list[tuple[float, float]]]:
    return [*sets, points] if points else sets


def _value(word: str, number: bool) -> tuple[float, str]:
    """Return a coordinate, or why it is none."""
    if not word.isascii() and any(sign.isdigit() for sign in word):
        return 0.0, "non_ascii_digits"
    value = float(word) if number else float("nan")
    return (value, "") if -LARGEST <= value <= LARGEST else (0.0, "not_finite")


def _unescaped(string: re.Match[str]) -> str:
    if string[1] is None:
        return string[2]
    try:
        return str(json.loads(string[0]))
    except ValueError:
        return string[1]


def _whole(label: str) -> str:
    """Replace halves of characters, which an escape in JSON can give and no file can hold."""
    return label if label.isascii() else _HALF_CHARACTER.sub("\ufffd", label)
