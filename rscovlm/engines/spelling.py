"""Texts that a tokenizer writes as one token: training writes the token, so an answer must not spell them out."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence

from rscovlm.engines.automaton import Automaton, State

Place = tuple[State, str]
"""Where an answer stands: the state of its automaton, and the end of what was spelt that begins one of the texts."""


class Spelling:
    """Follows answers of one grammar in ordinary tokens, and refuses those that spell what is a token of its own.

    Tokenizers split a text at their added tokens first, so a tag that is a special token reaches the model as that token
    alone. The same characters in ordinary tokens are a text that training never showed.

    Args:
        automaton: Reads the answers, in bytes.
        tokens: The added tokens: their texts in bytes.

    Attributes:
        tokens: Those of which an answer may hold the text.
        sorted: Their texts and numbers, in order.
        start: Where an answer begins.

    >>> spelling = Spelling(Automaton("<a>(?:[0-9]|<b>)"), {7: "<a>", 8: "<b>", 9: "<c>"})
    >>> sorted(spelling.tokens), spelling.step(spelling.start, "<")
    ([7, 8], None)
    >>> spelling.take(spelling.start, "<a>")[1], spelling.step(spelling.take(spelling.start, "<a>"), "5")[1]
    ('', '')
    """

    def __init__(self, automaton: Automaton, tokens: dict[int, str]) -> None:
        self.automaton = automaton
        self.tokens = {number: text for number, text in tokens.items() if text and automaton.holds(text)}
        self.sorted = sorted((text, number) for number, text in self.tokens.items())
        self._texts = frozenset(self.tokens.values())
        self._begun = frozenset(text[:length] for text in self._texts for length in range(1, len(text)))
        self._live: dict[Place, bool] = {}
        self.start: Place = (automaton.start, "")

    def step(self, place: Place, character: str) -> Place | None:
        """Return the place after one more character is spelt; None where no answer continues like that."""
        state = self.automaton.step(place[0], character)
        if not state:
            return None
        begun = self._after(place[1], character) if self._texts else ""
        if begun is None or (begun and not self._lives((state, begun))):
            return None
        return state, begun

    def pass_over(self, place: Place, character: str) -> Place | None:
        """Return the place after one character within an added token; None where no answer continues like that."""
        state = self.automaton.step(place[0], character)
        return (state, "") if state else None

    def take(self, place: Place, text: str) -> Place:
        """Return the place after an added token; its state is empty where no answer continues like that."""
        return self.automaton.walk(place[0], text), ""

    def walk(self, place: Place, text: str) -> Place:
        """Return the place after a text is spelt; its state is empty where no answer continues like that."""
        for character in text:
            after = self.step(place, character)
            if after is None:
                return frozenset(), ""
            place = after
        return place

    def _after(self, begun: str, character: str) -> str | None:
        """Return the longest end of what is spelt that begins a text; None where a text is spelt to its end."""
        spelt = begun + character
        ends = [spelt[first:] for first in range(len(spelt))]
        if not self._texts.isdisjoint(ends):
            return None
        return next((end for end in ends if end in self._begun), "")

    def _lives(self, place: Place) -> bool:
        """Return whether some answer continues without spelling what was begun to its end."""
        if place not in self._live:
            self._live[place] = False  # a place that only leads back to itself goes nowhere
            self._live[place] = self._escapes(*place)
        return self._live[place]

    def _escapes(self, state: State, begun: str) -> bool:
        by_token = next(readable(self.sorted, (state, ""), self.pass_over), None)
        if by_token is not None or self.automaton.accepts(state):
            return True
        for character in self.automaton.characters(state):
            after = self._after(begun, character)
            if after == "" or (after and self._lives((self.automaton.step(state, character), after))):
                return True
        return False


def readable(
    rows: Sequence[tuple[str, int]], start: Place, step: Callable[[Place, str], Place | None]
) -> Iterator[int]:
    """Yield the tokens of sorted texts that may follow a place; what texts have in common is read once."""
    row, path, places = 0, "", [start]
    while row < len(rows):
        text, number = rows[row]
        shared = 0
        for mine, other in zip(text, path, strict=False):
            if mine != other:
                break
            shared += 1
        path, places = path[:shared], places[: shared + 1]
        for character in text[shared:]:
            after = step(places[-1], character)
            if after is None:
                # No token with this beginning fits: on to the first that begins with a later character.
                row = bisect_left(rows, (path + chr(ord(character) + 1),), row + 1)
                break
            path += character
            places.append(after)
        else:
            yield number
            row += 1
