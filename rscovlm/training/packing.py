"""Packing samples into rows of a token budget, by their true length and without decoding an image."""

from __future__ import annotations

from bisect import bisect_right, insort
from collections import Counter, OrderedDict
from collections.abc import Callable, Mapping, Sequence, Sized
from dataclasses import dataclass, field
from typing import Any

Length = Callable[[Any], int | Sized]
Shrink = Callable[[Any, int], Any]

TOO_LONG = "longer than the token budget"
SHRUNK = "shown smaller to fit the token budget"
BY_RECIPE = frozenset({TOO_LONG, SHRUNK})
"""Reasons that are the recipe's will; all others are faults of the data."""


@dataclass(frozen=True)
class Pack:
    """Samples that share a row.

    Attributes:
        positions: Their positions in the mixture.
        tokens: Their tokens together.
        dropped: Samples passed over since the pack before, by reason.
    """

    positions: tuple[int, ...]
    tokens: int
    dropped: Mapping[str, int] = field(default_factory=dict)


class PackedMixture(Sequence[Any]):
    """A mixture whose rows are packs: row k depends on the mixture, the budget and the look-ahead alone.

    The plan walks the mixture in order with a window of samples in hand. Each pack begins with the sample that has
    waited longest and takes the longest waiting one that still fits, until none does; so no sample waits for ever, and
    what is left over goes on to the next pack. Samples longer than the budget are dropped and counted, or shown smaller
    and counted; nothing is ever cut.

    Args:
        mixture: Samples by position.
        length: Tokens of a sample, visual ones included, from sizes alone; or what has that many, such as the sample
            encoded, which is then handed on with the row so that no sample is encoded twice.
        budget: Tokens of a row.
        lookahead: Samples in hand to choose from.
        rows: Number of rows that `len` reports.
        shrink: Given a sample that is too long and the budget, the same with smaller images, or None where that does not
            help; None drops what is too long.

    Raises:
        ValueError: A budget, look-ahead or number of rows below 1.

    Examples:
        >>> packed = PackedMixture([6, 5, 4, 3, 2] * 4, length=int, budget=10, lookahead=5, rows=4)
        >>> [pack.tokens for pack in (packed.pack(k) for k in range(4))]
        [10, 10, 9, 10]
    """

    def __init__(
        self,
        mixture: Sequence[Any],
        *,
        length: Length,
        budget: int,
        lookahead: int = 256,
        rows: int,
        shrink: Shrink | None = None,
    ) -> None:
        if budget < 1 or lookahead < 1 or rows < 1:
            raise ValueError(f"budget {budget}, look-ahead {lookahead} and rows {rows}; give numbers from 1 up")
        self.mixture, self.length, self.budget, self.lookahead, self.rows = mixture, length, budget, lookahead, rows
        self.shrink = shrink
        self.dropped: Counter[str] = Counter()
        self._told: Counter[str] = Counter()
        self._packs: list[Pack] = []
        self._next = 0
        # (tokens, position): by length for the search, by position for who has waited longest.
        self._waiting: list[tuple[int, int]] = []
        self._kept: OrderedDict[int, tuple[Any, int | Sized, bool]] = OrderedDict()

    def __len__(self) -> int:
        """Return the number of rows."""
        return self.rows

    def __getitem__(self, row: Any) -> Any:
        """Return a row: its ``samples``, their ``positions``, and what was ``dropped`` since the row before, by reason.

        Where ``length`` gives encoded samples, they are there as ``encoded``.
        """
        index = int(row)
        if not 0 <= index < self.rows:
            raise IndexError(f"row {index} is not one of {self.rows}")
        pack = self.pack(index)
        drawn = [
            self._kept.pop(position) if position in self._kept else self._fitted(position)
            for position in pack.positions
        ]
        made = {
            "samples": [sample for sample, _, _ in drawn],
            "positions": list(pack.positions),
            "dropped": dict(pack.dropped),
        }
        encoded = [length for _, length, _ in drawn if not isinstance(length, int)]
        return made | {"encoded": encoded} if encoded else made

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
        dropped = self.dropped - self._told
        self._told = self.dropped.copy()
        return Pack(tuple(positions), tokens, dropped)

    def _fill_window(self) -> None:
        while len(self._waiting) < self.lookahead and self._next < len(self.mixture):
            before = drops_of(self.mixture)
            fitted = self._fitted(self._next)
            self.dropped += drops_of(self.mixture) - before
            tokens = _count(fitted[1])
            if tokens > self.budget:
                self.dropped[TOO_LONG] += 1
            else:
                self.dropped += Counter([SHRUNK] * fitted[2])
                insort(self._waiting, (tokens, self._next))
                self._keep(self._next, fitted)
            self._next += 1

    def _fitted(self, position: int) -> tuple[Any, int | Sized, bool]:
        """Return a sample, its length, and whether it is shown smaller so that it fits."""
        sample = self.mixture[position]
        length = self.length(sample)
        if _count(length) > self.budget and self.shrink is not None:
            smaller = self.shrink(sample, self.budget)
            if smaller is not None and _count(fitting := self.length(smaller)) <= self.budget:
                return smaller, fitting, True
        return sample, length, False

    def _keep(self, position: int, fitted: tuple[Any, int | Sized, bool]) -> None:
        """Hold on to what the plan has drawn, so that one worker draws each sample once."""
        self._kept[position] = fitted
        while len(self._kept) > self.lookahead:
            self._kept.popitem(last=False)


def _count(length: int | Sized) -> int:
    return length if isinstance(length, int) else len(length)


def drops_of(mixture: Any) -> Counter[str]:
    """Return what a mixture left out so far, by reason; nothing where it does not count."""
    return Counter(getattr(mixture, "dropped", {}))
