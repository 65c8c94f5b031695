"""Packing samples into rows of a token budget, by their true length and without decoding an image."""

from __future__ import annotations

from bisect import bisect_right, insort
from collections import Counter, OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

Length = Callable[[Any], int]


@dataclass(frozen=True)
class Pack:
    """Samples that share a row.

    Attributes:
        positions: Their positions in the mixture.
        tokens: Their tokens together.
    """

    positions: tuple[int, ...]
    tokens: int


class PackedMixture(Sequence[Any]):
    """A mixture whose rows are packs: row k depends on the mixture, the budget and the look-ahead alone.

    The plan walks the mixture in order with a window of samples in hand. Each pack begins with the sample that has
    waited longest and takes the longest waiting one that still fits, until none does; so no sample waits for ever, and
    what is left over goes on to the next pack. Samples longer than the budget are dropped and counted.

    Args:
        mixture: Samples by position.
        length: Tokens of a sample, visual ones included, from sizes alone.
        budget: Tokens of a row.
        lookahead: Samples in hand to choose from.
        rows: Number of rows that `len` reports.

    Raises:
        ValueError: A budget, look-ahead or number of rows below 1.

    Examples:
        >>> packed = PackedMixture([6, 5, 4, 3, 2] * 4, length=int, budget=10, lookahead=5, rows=4)
        >>> [pack.tokens for pack in (packed.pack(k) for k in range(4))]
        [10, 10, 9, 10]
    """

    def __init__(self, mixture: Sequence[Any], *, length: Length, budget: int, lookahead: int = 256, rows: int) -> None:
        if budget < 1 or lookahead < 1 or rows < 1:
            raise ValueError(f"budget {budget}, look-ahead {lookahead} and rows {rows}; give numbers from 1 up")
        self.mixture, self.length, self.budget, self.lookahead, self.rows = mixture, length, budget, lookahead, rows
        self.dropped: Counter[str] = Counter()
        self._packs: list[Pack] = []
        self._next = 0
        # (tokens, position): by length for the search, by position for who has waited longest.
        self._waiting: list[tuple[int, int]] = []
        self._kept: OrderedDict[int, Any] = OrderedDict()

    def __len__(self) -> int:
        """Return the number of rows."""
        return self.rows

    def __getitem__(self, row: Any) -> Any:
        """Return the samples of a row as ``{"samples": [...]}``."""
        index = int(row)
        if not 0 <= index < self.rows:
            raise IndexError(f"row {index} is not one of {self.rows}")
        return {"samples": [self._sample(position) for position in self.pack(index).positions]}

    def pack(self, row: int) -> Pack:
        """Return what a row holds, planning up to it where that has not been done."""
        while len(self._packs) <= row:
            self._packs.append(self._plan())
        return self._packs[row]

    def fill(self, rows: int) -> float:
        """Return the share of the token budget that the first rows use."""
        return sum(self.pack(row).tokens for row in range(rows)) / (rows * self.budget)

    def _plan(self) -> Pack:
        self._fill_window()
        if not self._waiting:
            raise IndexError(f"the mixture ends after {self._next} samples, {len(self._packs)} packs")
        oldest = min(self._waiting, key=lambda entry: entry[1])
        self._waiting.remove(oldest)
        tokens, positions = oldest[0], [oldest[1]]
        while True:
            # Among the longest that fit, the one that has waited longest: entries are (tokens, position).
            place = bisect_right(self._waiting, (self.budget - tokens, self._next)) - 1
            if place < 0:
                break
            size = self._waiting[place][0]
            first = bisect_right(self._waiting, (size, -1))
            added, position = self._waiting.pop(first)
            tokens += added
            positions.append(position)
        return Pack(tuple(positions), tokens)

    def _fill_window(self) -> None:
        while len(self._waiting) < self.lookahead and self._next < len(self.mixture):
            sample = self.mixture[self._next]
            tokens = self.length(sample)
            if tokens > self.budget:
                self.dropped["longer than the token budget"] += 1
            else:
                insort(self._waiting, (tokens, self._next))
                self._keep(self._next, sample)
            self._next += 1

    def _sample(self, position: int) -> Any:
        kept = self._kept.pop(position, None)
        return self.mixture[position] if kept is None else kept

    def _keep(self, position: int, sample: Any) -> None:
        """Hold on to what the plan has drawn, so that one worker draws each sample once."""
        self._kept[position] = sample
        while len(self._kept) > self.lookahead:
            self._kept.popitem(last=False)
