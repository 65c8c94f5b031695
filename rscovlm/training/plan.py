"""Which samples share which row: a walk over a mixture that can be put down and taken up again."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rscovlm.training.filling import fill_room

Measure = Callable[[int], tuple[Sequence[int], Counter[str]]]
"""Given a position, the tokens of each part of its sample (one; none where it is left out; several where it was split)
and what befell it by reason."""

Kind = Callable[[int, int], Hashable]
"""Given a position and the tokens of a sample there, its kind."""


_SOON = 4
"""Samples that must still fit for the next to be taken in order; what fills a row is chosen from the last few."""

_REACH = 16
"""Turns among which those that fill a row are chosen, with one lane: none is taken further from its place than this."""

_SPARE = 0.008
"""Share of a row that may stay empty so that no turn is passed over."""

_CANDIDATES = 32
"""Waiting samples of a kind from which one is chosen by length: enough to fill rows, and bounds the time."""

_MISSES = 20_000
"""Samples one after another that leave a lane with nothing to pack, after which it gives up: seconds, not for ever."""


@dataclass(frozen=True)
class PackedRow:
    """Samples that share a row.

    Attributes:
        positions: Their positions in the mixture.
        parts: Which part of its position's sample each is, from 0; all 0 where nothing was split.
        tokens: Their tokens together.
        dropped: Samples passed over since the pack before of the same lane, by reason.
    """

    positions: tuple[int, ...]
    parts: tuple[int, ...]
    tokens: int
    dropped: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class LaneState:
    """Where a lane stands between two packs; all that the packs to come depend on, besides the mixture.

    Attributes:
        lane: Number of the lane.
        packs: Packs it has made.
        next: Position it looks at next.
        waiting: Tokens, position and part of each sample in the buffer, and how many arrivals ago a turn of its kind was posted, in
            that order.
        dropped: Samples passed over so far, by reason.

    Raises:
        ValueError: Numbers below 0.
    """

    lane: int
    packs: int = 0
    next: int = 0
    waiting: tuple[tuple[int, int, int, int], ...] = ()
    dropped: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse what no walk could have come to."""
        if min(self.lane, self.packs, self.next) < 0:
            raise ValueError(f"lane {self.lane}, {self.packs} packs, position {self.next}; give numbers of 0 or more")

    @classmethod
    def from_dict(cls, content: Any) -> LaneState:
        """Read a state's plain values.

        Raises:
            ValueError: They are not those of a state.
        """
        try:
            waiting = tuple(
                sorted((int(t), int(place), int(part), int(age)) for t, place, part, age in content["waiting"])
            )
            dropped = {str(reason): int(count) for reason, count in content["dropped"].items()}
            return cls(int(content["lane"]), int(content["packs"]), int(content["next"]), waiting, dropped)
        except (KeyError, TypeError, AttributeError) as error:
            # The file may hold anything.
            raise ValueError(f"this is no state of a lane ({error!r}): {str(content)[:80]!r}") from error

    def to_dict(self) -> dict[str, Any]:
        """Return the state as plain values."""
        return {
            "lane": self.lane,
            "packs": self.packs,
            "next": self.next,
            "waiting": [list(entry) for entry in self.waiting],
            "dropped": dict(self.dropped),
        }


class Lane:
    """Packs made of a lane's own positions of a mixture, in which every kind of sample takes its turn.

    A row's length must be filled from samples that happen to fit, and taking those first would train short samples
    early and let long ones wait. So the order of *kinds* is kept: each sample that is read posts a turn for its kind, the
    turns are taken in order, and only which of the waiting samples of a kind takes the turn is chosen by length. Where
    a row cannot be filled so, turns among the next few are passed over; they are then the first of the next row.
    Each pack also begins with the sample that has waited longest, so none waits for more rows than the buffer holds.

    Args:
        measure: Looks at a position.
        state: Where to go on from.
        own: Given a position, the first from there on that is the lane's own.
        end: Number of positions of the mixture.
        budget: Tokens of a row.
        lookahead: Samples to choose from.
        kind: Given a position and the tokens there, the kind of its sample, such as its subset; None takes samples of
            about the same length for one kind.
        lanes: Number of lanes.

    Examples:
        >>> lengths = [6, 5, 4, 3, 2] * 4
        >>> settings = {"own": lambda i: i, "end": 20, "budget": 10, "lookahead": 5}
        >>> lane = Lane(lambda i: ([lengths[i]], Counter()), LaneState(0), **settings)
        >>> lane.plan().positions
        (0, 2)
        >>> other = Lane(lane.measure, LaneState.from_dict(lane.state().to_dict()), **settings)
        >>> [other.plan() == lane.plan() for _ in range(3)]
        [True, True, True]
    """

    def __init__(
        self,
        measure: Measure,
        state: LaneState,
        *,
        own: Callable[[int], int],
        end: int,
        budget: int,
        lookahead: int,
        kind: Kind | None = None,
        lanes: int = 1,
    ) -> None:
        self.measure, self.own, self.end, self.budget, self.lookahead = measure, own, end, budget, lookahead
        self.number, self.packs, self.next = state.lane, state.packs, state.next
        self.dropped: Counter[str] = Counter(state.dropped)
        # What lanes are off their shares adds up to about the root of their number.
        self._reach = max(3, round(_REACH / math.sqrt(lanes)))
        self._kind = kind or (lambda _, tokens: _octave(tokens))
        # Waiting samples by kind, each (position, part, tokens), those that waited longest first.
        self._waiting: defaultdict[Hashable, list[tuple[int, int, int]]] = defaultdict(list)
        # Turns not taken yet, each the number of the arrival that posted it and its kind, in order. There are as many of
        # a kind as there are samples of it waiting.
        self._turns: list[tuple[int, Hashable]] = []
        self._arrivals = 0
        for tokens, position, part, age in sorted(state.waiting, key=lambda entry: entry[1:3]):
            entry_kind = self._kind(position, tokens)
            self._waiting[entry_kind].append((position, part, tokens))
            self._turns.append((-age, entry_kind))
        self._turns.sort(key=lambda turn: turn[0])

    def state(self) -> LaneState:
        """Return where the lane stands."""
        turns: defaultdict[Hashable, list[int]] = defaultdict(list)
        for number, kind in self._turns:
            turns[kind].append(self._arrivals - number)
        waiting = sorted(
            (tokens, position, part, age)
            for kind, samples in self._waiting.items()
            for (position, part, tokens), age in zip(samples, turns[kind], strict=True)
        )
        return LaneState(self.number, self.packs, self.next, tuple(waiting), dict(self.dropped))

    def plan(self) -> PackedRow:
        """Make the next pack.

        Raises:
            IndexError: The mixture has come to its end.
            ValueError: Thousands of samples one after another are of no use.
        """
        before = self.dropped.copy()
        self._fill_window()
        if not self._turns:
            raise IndexError(f"the mixture ends after {self.end} samples, {self.packs} packs of lane {self.number}")
        oldest = min((samples[0], kind) for kind, samples in self._waiting.items() if samples)[1]
        chosen = [self._take(oldest, 0)]
        room = self.budget - chosen[0][2]
        while room:
            self._fill_window()
            taken = self._next(room)
            if not taken:
                break
            chosen += taken
            room -= sum(tokens for _, _, tokens in taken)
        self.packs += 1
        positions, parts = (tuple(entry[place] for entry in chosen) for place in (0, 1))
        return PackedRow(positions, parts, self.budget - room, dict(self.dropped - before))

    def _next(self, room: int) -> list[tuple[int, int, int]]:
        """Take the next sample where several more fit after it, or else those that fill the rest of the row."""
        soon = [kind for _, kind in self._turns[:_SOON]]
        counts: Counter[Hashable] = Counter()
        needed = 0
        for kind in soon:
            needed += self._waiting[kind][counts[kind]][2]
            counts[kind] += 1
        if soon and needed <= room:
            return [self._take(soon[0], 0)]
        seats = [kind for _, kind in self._turns[: self._reach]]
        lengths = {kind: [tokens for _, _, tokens in self._waiting[kind][:_CANDIDATES]] for kind in set(seats)}
        choice = fill_room(seats, lengths, room, enough=room - int(_SPARE * self.budget))
        picked = [(seats[seat], place) for seat, place in choice]
        # From the back, so that the places of those before stay what they are.
        taken = [self._take(kind, place) for kind, place in sorted(picked, key=lambda pick: -pick[1])]
        return sorted(taken)

    def _take(self, kind: Hashable, place: int) -> tuple[int, int, int]:
        """Take a waiting sample, and the first turn of its kind."""
        self._turns.pop(next(index for index, turn in enumerate(self._turns) if turn[1] == kind))
        return self._waiting[kind].pop(place)

    def _fill_window(self) -> None:
        misses = 0
        while len(self._turns) < self.lookahead and (position := self.own(self.next)) < self.end:
            parts, reasons = self.measure(position)
            self.dropped += reasons
            misses = 0 if parts else misses + 1
            if misses >= _MISSES and not self._turns:
                said = ", ".join(f"{count} {reason}" for reason, count in self.dropped.most_common())
                raise ValueError(
                    f"none of {misses} samples one after another goes into a row of {self.budget} tokens ({said}); raise "
                    "packing.tokens, lower budget.max_pixels, or set packing.too_long to shrink or split"
                )
            for part, tokens in enumerate(parts):
                kind = self._kind(position, tokens)
                self._waiting[kind].append((position, part, tokens))
                self._turns.append((self._arrivals, kind))
                self._arrivals += 1
            self.next = position + 1


def _octave(tokens: int) -> int:
    """Return a number that lengths within half an octave have in common: kinds where a mixture tells none."""
    return round(2 * math.log2(tokens)) if tokens else 0
