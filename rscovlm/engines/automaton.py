"""An automaton of a regular expression that can be asked, character by character, whether a match is still possible."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

State = frozenset[int]


@dataclass
class _Node:
    """A state of the non-deterministic automaton: free moves, and moves on a character."""

    free: list[int] = field(default_factory=list)
    on: list[tuple[re.Pattern[str], int]] = field(default_factory=list)


class Automaton:
    """Reads texts of one regular expression.

    Known are characters, escapes, classes, groups ``(?:...)``, alternatives, and ``?``, ``*``, ``+``, ``{m,n}``.

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
        self._pattern, self._place = pattern, 0
        self._nodes: list[_Node] = []
        first, self._last = self._alternatives()
        if self._place < len(pattern):
            raise ValueError(f"pattern has {pattern[self._place]!r} at {self._place}, which opens nothing")
        self._moves: dict[tuple[State, str], State] = {}
        self.start = self._closed({first})

    def step(self, state: State, character: str) -> State:
        """Return the state after a character; empty where no match is possible any more."""
        key = state, character
        if key not in self._moves:
            found = {goal for node in state for known, goal in self._nodes[node].on if known.fullmatch(character)}
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

    def _peek(self) -> str:
        return self._pattern[self._place : self._place + 1]

    def _alternatives(self) -> tuple[int, int]:
        first, last = self._new(), self._new()
        while True:
            begin, end = self._sequence()
            self._nodes[first].free.append(begin)
            self._nodes[end].free.append(last)
            if self._peek() != "|":
                return first, last
            self._place += 1

    def _sequence(self) -> tuple[int, int]:
        first = end = self._new()
        while self._peek() not in ("", "|", ")"):
            place = self._place
            least, most, after = self._repeats(place)
            for number in range(most if most is not None else max(1, least)):
                self._place = place
                begin, stop = self._one()
                self._nodes[end].free.append(begin)
                if number >= least:
                    self._nodes[end].free.append(last := self._new())
                    self._nodes[stop].free.append(last)
                    stop = last
                if most is None and number == max(1, least) - 1:
                    self._nodes[stop].free.append(begin)
                end = stop
            self._place = after
        return first, end

    def _repeats(self, place: int) -> tuple[int, int | None, int]:
        """Return how often the piece at a place may stand, and where the next begins."""
        nodes = len(self._nodes)
        self._one()
        del self._nodes[nodes:]
        found = re.compile(r"[?*+]|\{(\d+)(?:,(\d+))?\}").match(self._pattern, self._place)
        self._place = place
        if found is None:
            self._skip(place)
            return 1, 1, self._after
        bounds: dict[str, tuple[int, int | None]] = {"?": (0, 1), "*": (0, None), "+": (1, None)}
        least, most = bounds.get(found[0]) or (int(found[1]), int(found[2] or found[1]))
        return least, most, found.end()

    def _skip(self, place: int) -> None:
        nodes = len(self._nodes)
        self._one()
        del self._nodes[nodes:]
        self._after, self._place = self._place, place

    def _one(self) -> tuple[int, int]:
        """Read a group, a class or a character."""
        pattern = self._pattern
        if pattern.startswith("(?:", self._place):
            self._place += 3
            begin, end = self._alternatives()
            if self._peek() != ")":
                raise ValueError(f"pattern {pattern!r} has a group without its end")
            self._place += 1
            return begin, end
        found = re.compile(r"\[\^?\]?(?:\\.|[^\]\\])*\]|\\.|[^?*+{}()|]", re.DOTALL).match(pattern, self._place)
        if found is None:
            raise ValueError(f"pattern has {self._peek()!r} at {self._place}, which this automaton does not know")
        self._place = found.end()
        begin, end = self._new(), self._new()
        text = found[0] if found[0][0] in "\\[" else re.escape(found[0])
        self._nodes[begin].on.append((re.compile(text), end))
        return begin, end
