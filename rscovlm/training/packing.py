"""Packing samples into rows of a token budget, by their true length and without decoding an image."""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable, Sequence, Sized
from typing import Any

from rscovlm.training.plan import Lane, LaneState, Pack

Length = Callable[[Any], int | Sized]
Shrink = Callable[[Any, int], Any]

TOO_LONG = "longer than the token budget"
SHRUNK = "shown smaller to fit the token budget"
BY_RECIPE = frozenset({TOO_LONG, SHRUNK})
"""Reasons that are the recipe's will; all others are faults of the data."""

_RECENT = 64
"""Packs a lane remembers, so that looking at the first rows before training does not plan them twice."""


class PackedMixture(Sequence[Any]):
    """A mixture whose rows are packs: row k depends on the mixture, the budget, the look-ahead and the lanes alone.

    The mixture is dealt out to lanes, position by position, and so are the rows: lane l makes rows l, l + lanes, and so
    on of its own positions. Each walks them in order with a window of samples in hand, see `Lane`. Samples longer than the
    budget are dropped and counted, or shown smaller and counted; nothing is ever cut.

    Whoever asks for a row plans its lane up to it and no other. So with as many lanes as rows are trained in a step, a
    process plans what it trains rather than what all do; and going on from a `LaneState` costs the same at any row.

    Args:
        mixture: Samples by position.
        length: Tokens of a sample, visual ones included, from sizes alone; or what has that many, such as the sample
            encoded, which is then handed on with the row so that no sample is encoded twice.
        budget: Tokens of a row.
        lookahead: Samples in hand to choose from, in each lane.
        rows: Number of rows that `len` reports.
        lanes: Number of lanes.
        shrink: Given a sample that is too long and the budget, the same with smaller images, or None where that does not
            help; None drops what is too long.

    Raises:
        ValueError: A budget, look-ahead, number of lanes or rows below 1.

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
        lanes: int = 1,
        shrink: Shrink | None = None,
    ) -> None:
        if min(budget, lookahead, rows, lanes) < 1:
            raise ValueError(
                f"budget {budget}, look-ahead {lookahead}, rows {rows} and lanes {lanes}; give numbers from 1 up"
            )
        self.mixture, self.length, self.budget, self.lookahead, self.rows = mixture, length, budget, lookahead, rows
        self.lanes, self.shrink = lanes, shrink
        self._starts: dict[int, LaneState] = {}
        self._lanes: dict[int, Lane] = {}
        self._recent: dict[int, OrderedDict[int, tuple[Pack, LaneState]]] = {}
        # What the plan has drawn and is not used yet, so that a process draws each sample once.
        self._kept: dict[int, tuple[Any, int | Sized, bool]] = {}

    def __len__(self) -> int:
        """Return the number of rows."""
        return self.rows

    def __getitem__(self, row: Any) -> Any:
        """Return a row: its ``samples``, their ``positions``, and what was ``dropped`` since its lane's row before.

        ``plan`` is where the lane stands after it, for `resume`. Where ``length`` gives encoded samples, they are there
        as ``encoded``.
        """
        index = int(row)
        if not 0 <= index < self.rows:
            raise IndexError(f"row {index} is not one of {self.rows}")
        pack, state = self._planned(index)
        drawn = [
            self._kept.pop(position) if position in self._kept else self._fitted(position)
            for position in pack.positions
        ]
        made = {
            "samples": [sample for sample, _, _ in drawn],
            "positions": list(pack.positions),
            "dropped": dict(pack.dropped),
            "plan": state,
        }
        encoded = [length for _, length, _ in drawn if not isinstance(length, int)]
        return made | {"encoded": encoded} if encoded else made

    @property
    def dropped(self) -> Counter[str]:
        """Samples passed over or shown smaller so far, by reason, in the lanes that were looked at."""
        return sum((lane.dropped for lane in self._lanes.values()), Counter())

    def pack(self, row: int) -> Pack:
        """Return what a row holds, planning its lane up to it where that has not been done."""
        return self._planned(row)[0]

    def fill(self, rows: int) -> float:
        """Return the share of the token budget that the first rows of the first lane use."""
        return sum(self.pack(place * self.lanes).tokens for place in range(rows)) / (rows * self.budget)

    def resume(self, states: Iterable[LaneState]) -> None:
        """Go on from where lanes stood; those not named begin. Rows before that are planned from the first.

        Args:
            states: At most one for each lane.

        Raises:
            ValueError: A lane that there is not.
        """
        starts = {state.lane: state for state in states}
        for lane in starts:
            if lane >= self.lanes:
                raise ValueError(f"the plan has a lane {lane}, this mixture has {self.lanes}; give it the same number")
        self._starts = starts
        self._lanes.clear()
        self._recent.clear()
        self._kept.clear()

    def _planned(self, row: int) -> tuple[Pack, LaneState]:
        """Return a row's pack, and where its lane stands after it."""
        packs, number = divmod(row, self.lanes)
        recent = self._recent.setdefault(number, OrderedDict())
        if packs not in recent:
            if number not in self._lanes or packs < self._lanes[number].packs:
                self._kept = {place: kept for place, kept in self._kept.items() if place % self.lanes != number}
                self._lanes[number] = self._begun(number, packs)
            lane = self._lanes[number]
            while lane.packs <= packs:
                pack = lane.plan()
                if lane.packs <= packs:  # a row of another process
                    for position in pack.positions:
                        self._kept.pop(position, None)
                recent[lane.packs - 1] = pack, lane.state()
                if len(recent) > _RECENT:
                    recent.popitem(last=False)
        return recent[packs]

    def _begun(self, number: int, packs: int) -> Lane:
        """Return a lane that has made no more packs than these: where it was resumed, or else from its beginning."""
        start = self._starts.get(number)
        if start is None or start.packs > packs:
            start = LaneState(number, next=number)
        return Lane(
            self._measure,
            start,
            stride=self.lanes,
            end=len(self.mixture),
            budget=self.budget,
            lookahead=self.lookahead,
        )

    def _measure(self, position: int) -> tuple[int | None, Counter[str]]:
        before = drops_of(self.mixture)
        fitted = self._fitted(position)
        reasons = drops_of(self.mixture) - before
        tokens = _count(fitted[1])
        if tokens > self.budget:
            reasons[TOO_LONG] += 1
            return None, reasons
        if fitted[2]:
            reasons[SHRUNK] += 1
        self._kept[position] = fitted
        return tokens, reasons

    def _fitted(self, position: int) -> tuple[Any, int | Sized, bool]:
        """Return a sample, its length, and whether it is shown smaller so that it fits."""
        sample = self.mixture[position]
        length = self.length(sample)
        if _count(length) > self.budget and self.shrink is not None:
            smaller = self.shrink(sample, self.budget)
            if smaller is not None and _count(fitting := self.length(smaller)) <= self.budget:
                return smaller, fitting, True
        return sample, length, False


def _count(length: int | Sized) -> int:
    return length if isinstance(length, int) else len(length)


def drops_of(mixture: Any) -> Counter[str]:
    """Return what a mixture left out so far, by reason; nothing where it does not count."""
    return Counter(getattr(mixture, "dropped", {}))
