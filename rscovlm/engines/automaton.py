"""An automaton of a regular expression that can be asked, character by character, whether a match is still possible."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache, cached_property

State = frozenset[int]

_Moves = tuple[dict[str, list[int]], list[tuple[re.Pattern[str], list[int]]]]
"""Goals by character, and by class of characters."""


@dataclass
class _Node:
    """A state of the non-deterministic automaton: free moves, moves on one character, and moves on one of a class."""

    free: list[int] = field(default_factory=list)
    on: dict[str, list[int]] = field(default_factory=dict)
    classes: list[tuple[re.Pattern[str], int]] = field(default_factory=list)


class Automaton:
    """Reads texts of one regular expression.

    Known are characters, escapes, classes, groups ``(?:...)``, alternatives, and ``?``, ``*``, ``+``, ``{m,n}``. Every
    piece of the expression is parsed once; what repeats is copied.

    Args:
        pattern: The expression, which has to match the whole text.

    Attributes:
        start: The state before the first character.

    Raises:
        ValueError: The expression has something else in it.

    Example:
        >>> automaton = Automaton("(?:ab)+c?")
        >>> [automaton.accepts(automaton.walk(automaton.start, text)) for text in ("abab", "aba", "abc", "b")]
        [True, False, True, False]
    """

    def __init__(self, pattern: str) -> None:
        self._nodes: list[_Node] = []
        first, self._last = self._built(_Parser(pattern).parsed())
        self._moves: dict[tuple[State, str], State] = {}
        self._left: dict[State, _Moves] = {}
        self.start = self._closed({first})

    def step(self, state: State, character: str) -> State:
        """Return the state after a character; empty where no match is possible any more."""
        key = state, character
        if key not in self._moves:
            on, classes = self._leaving(state)
            found = set(on.get(character, ()))
            for known, goals in classes:
                if known.fullmatch(character):
                    found.update(goals)
            self._moves[key] = self._closed(found)
        return self._moves[key]

    def walk(self, state: State, text: str) -> State:
        """Return the state after a text; empty where no match is possible any more."""
        for character in text:
            if not state:
                break
            state = self.step(state, character)
        return state

    def accepts(self, state: State) -> bool:
        """Return whether what was read is a whole match."""
        return self._last in state

    def holds(self, text: str) -> bool:
        """Return whether a text stands somewhere in a match."""
        return bool(self.walk(self._anywhere, text))

    def characters(self, state: State) -> Iterator[str]:
        """Yield the characters up to number 255 that may follow, each at least once."""
        for number in state:
            node = self._nodes[number]
            yield from node.on
            for known, _ in node.classes:
                yield from _members(known)

    def _leaving(self, state: State) -> _Moves:
        """Return the moves of all nodes of a state together: a vocabulary tries hundreds of characters at each of them."""
        if state not in self._left:
            on: defaultdict[str, list[int]] = defaultdict(list)
            classes: defaultdict[re.Pattern[str], list[int]] = defaultdict(list)
            for number in state:
                node = self._nodes[number]
                for character, goals in node.on.items():
                    on[character] += goals
                for known, goal in node.classes:
                    classes[known].append(goal)
            self._left[state] = dict(on), list(classes.items())
        return self._left[state]

    @cached_property
    def _anywhere(self) -> State:
        return frozenset(range(len(self._nodes)))

    def _closed(self, nodes: set[int]) -> State:
        waiting, seen = list(nodes), set(nodes)
        while waiting:
            for goal in self._nodes[waiting.pop()].free:
                if goal not in seen:
                    seen.add(goal)
                    waiting.append(goal)
        return frozenset(seen)

    def _new(self) -> int:
        self._nodes.append(_Node())
        return len(self._nodes) - 1

    def _built(self, piece: _Piece) -> tuple[int, int]:
        """Return the first and the last state of a piece, made anew."""
        if isinstance(piece, _Either):
            first, last = self._new(), self._new()
            for choice in piece.choices:
                begin, end = self._built(choice)
                self._nodes[first].free.append(begin)
                self._nodes[end].free.append(last)
            return first, last
        if isinstance(piece, _Row):
            first = end = self._new()
            for part in piece.parts:
                begin, stop = self._built(part)
                self._nodes[end].free.append(begin)
                end = stop
            return first, end
        if isinstance(piece, _Repeat):
            return self._repeated(piece)
        first, last = self._new(), self._new()
        if isinstance(piece, str):
            self._nodes[first].on.setdefault(piece, []).append(last)
        else:
            self._nodes[first].classes.append((piece, last))
        return first, last

    def _repeated(self, piece: _Repeat) -> tuple[int, int]:
        first = end = self._new()
        times = piece.most if piece.most is not None else max(1, piece.least)
        for number in range(times):
            begin, stop = self._built(piece.part)
            self._nodes[end].free.append(begin)
            if number >= piece.least:
                self._nodes[end].free.append(last := self._new())
                self._nodes[stop].free.append(last)
                stop = last
            if piece.most is None and number == times - 1:
                self._nodes[stop].free.append(begin)
            end = stop
        return first, end


@dataclass(frozen=True)
class _Row:
    """Pieces one after the other."""

    parts: tuple[_Piece, ...]


@dataclass(frozen=True)
class _Either:
    """Any one of some pieces."""

    choices: tuple[_Piece, ...]


@dataclass(frozen=True)
class _Repeat:
    """A piece a number of times; without ``most`` any number from ``least`` up."""

    part: _Piece
    least: int
    most: int | None


_Piece = _Row | _Either | _Repeat | re.Pattern[str] | str
"""What an expression is made of: a string is one character, a pattern one character of a class."""

_TIMES = re.compile(r"[?*+]|\{(\d+)(?:,(\d+))?\}")
_CHARACTER = re.compile(r"(\[\^?\]?(?:\\.|[^\]\\])*\])|\\(.)|([^?*+{}()|])", re.DOTALL)
_BOUNDS: dict[str, tuple[int, int | None]] = {"?": (0, 1), "*": (0, None), "+": (1, None)}


@cache
def _members(known: re.Pattern[str]) -> tuple[str, ...]:
    """Return the characters of a class, up to the last that is a byte."""
    return tuple(chr(number) for number in range(256) if known.fullmatch(chr(number)))


class _Parser:
    """Parses an expression once, from its beginning to its end."""

    def __init__(self, pattern: str) -> None:
        self._pattern, self._place = pattern, 0

    def parsed(self) -> _Piece:
        """Return the expression in pieces."""
        piece = self._alternatives()
        if self._place < len(self._pattern):
            raise ValueError(f"pattern has {self._pattern[self._place]!r} at {self._place}, which opens nothing")
        return piece

    def _alternatives(self) -> _Piece:
        choices = [self._row()]
        while self._pattern.startswith("|", self._place):
            self._place += 1
            choices.append(self._row())
        return choices[0] if len(choices) == 1 else _Either(tuple(choices))

    def _row(self) -> _Piece:
        parts = []
        while self._place < len(self._pattern) and self._pattern[self._place] not in "|)":
            part = self._one()
            times = _TIMES.match(self._pattern, self._place)
            if times is not None:
                self._place = times.end()
                least, most = _BOUNDS.get(times[0]) or (int(times[1]), int(times[2] or times[1]))
                part = _Repeat(part, least, most)
            parts.append(part)
        return _Row(tuple(parts))

    def _one(self) -> _Piece:
        """Read a group, a class or a character."""
        pattern = self._pattern
        if pattern.startswith("(?:", self._place):
            self._place += 3
            inside = self._alternatives()
            if not pattern.startswith(")", self._place):
                raise ValueError(f"pattern {pattern!r} has a group without its end")
            self._place += 1
            return inside
        found = _CHARACTER.match(pattern, self._place)
        if found is None:
            raise ValueError(
                f"pattern has {pattern[self._place]!r} at {self._place}, which this automaton does not know"
            )
        self._place = found.end()
        if found[1] is not None:
            return re.compile(found[1])
        if found[2] is not None:
            return found[2] if not found[2].isalnum() else re.compile(found[0])
        return str(found[3])
