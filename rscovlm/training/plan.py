"""Which samples share which row: a walk over a mixture that can be put down and taken up again."""

from __future__ import annotations

import bisect
import math
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from rscovlm.training.filling import Choice, fill_in_order, fill_room

Measure = Callable[[int], tuple[Sequence[int], Counter[str]]]
"""Given a position, the tokens of each part of its sample (one; none where it is left out; several where it was split)
and what befell it by reason."""

Kind = Callable[[int, int], Hashable]
"""Given a position and the tokens of a sample there, its kind."""


_SOON = 4
"""Samples that must still fit for the next to be taken in order; what fills a row is chosen from the last few."""

_SEATS = 6
"""Turns among which a row ends where none is passed over."""

_WEIGHT = 0.15
"""Share of a row that one sample off the shares, squared, outweighs with 32 lanes or more; nothing with one lane."""

_MANY_LANES = 32

_REACH = 16
"""Turns among which those that fill a row are chosen, with one lane: none is taken further from its place than this."""

_WIDE = 10
"""Turns among which samples are chosen for a row that would stay half empty."""

_FREE = 13.0
"""Squares of samples off the shares, added up, that such a row may cost: four or five samples ahead of the other kinds."""

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
        waiting: Tokens, position and part of each sample in the buffer, and how far after its position a turn of its kind is
            due, and for how many packs it has waited, in that order.
        dropped: Samples passed over so far, by reason.

    Raises:
        ValueError: Numbers below 0.
    """

    lane: int
    packs: int = 0
    next: int = 0
    waiting: tuple[tuple[int, int, int, int, int], ...] = ()
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
                sorted(
                    (int(tokens), int(place), int(part), int(due), int(packs))
                    for tokens, place, part, due, packs in content["waiting"]
                )
            )
            dropped = {str(reason): int(count) for reason, count in content["dropped"].items()}
            return cls(int(content["lane"]), int(content["packs"]), int(content["next"]), waiting, dropped)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
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


class _Waiting(NamedTuple):
    """A sample in the buffer of a lane, and how many packs the lane had made when it came."""

    position: int
    part: int
    tokens: int
    since: int


class Lane:
    """Packs made of a lane's own positions of a mixture, in which every kind of sample takes its turn.

    A row's length must be filled from samples that happen to fit, and taking those first would train short samples
    early and let long ones wait. So the order of *kinds* is kept: each sample that is read posts a turn for its kind, due
    where it would stand if the samples of its kind were equally far apart. The turns are taken in order, and only which of
    the waiting samples of a kind takes the turn is chosen by length. Of the ends that fill a row, the one is taken that
    leaves each kind closest to its share. Where a row cannot be filled so, turns among the next few are passed over, as far
    as the shares allow; they are then the first of the next row.
    No sample waits for more rows than the buffer holds: where one would, packs begin with the sample that waited longest,
    as all do where shares are not known.

    Args:
        measure: Looks at a position.
        state: Where to resume from.
        own: Given a position, the first from there on that is the lane's own.
        end: Number of positions of the mixture.
        budget: Tokens of a row.
        lookahead: Samples to choose from.
        kind: Given a position and the tokens there, the kind of its sample, such as its subset; None takes samples of
            about the same length for one kind.
        lanes: Number of lanes.
        due: Given a position of the lane, where its turn stands in the order of turns; by default as they come.
        shares: Given a position, the share of each kind there; None where it is not known.

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
        due: Callable[[int], int] = int,
        shares: Callable[[int], Mapping[str, float]] | None = None,
    ) -> None:
        self.measure, self.own, self.end, self.budget, self.lookahead = measure, own, end, budget, lookahead
        self.number, self.packs, self.next = state.lane, state.packs, state.next
        self.dropped: Counter[str] = Counter(state.dropped)
        # What lanes are off their shares adds up to about the root of their number.
        self._reach = max(3, round(_REACH / math.sqrt(lanes)))
        self._kind = kind or (lambda _, tokens: _octave(tokens))
        # Waiting samples by kind, those that waited longest first.
        self._waiting: defaultdict[Hashable, list[_Waiting]] = defaultdict(list)
        self._weight = _WEIGHT * min(1.0, (lanes - 1) / (_MANY_LANES - 1))
        self._due, self._shares, self._lanes = due, shares, lanes
        # Turns not taken yet, each with where it is due and its kind, in order. There are as many of a kind as there are
        # samples of it waiting.
        self._turns: list[tuple[int, Hashable]] = []
        for tokens, position, part, due_after, packs in sorted(state.waiting, key=lambda entry: entry[1:3]):
            entry_kind = self._kind(position, tokens)
            self._waiting[entry_kind].append(_Waiting(position, part, tokens, self.packs - packs))
            self._post(position + due_after, entry_kind)

    def state(self) -> LaneState:
        """Return where the lane stands."""
        turns: defaultdict[Hashable, list[int]] = defaultdict(list)
        for due, kind in self._turns:
            turns[kind].append(due)
        waiting = sorted(
            (sample.tokens, sample.position, sample.part, due - sample.position, self.packs - sample.since)
            for kind, samples in self._waiting.items()
            for sample, due in zip(samples, turns[kind], strict=True)
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
        chosen = [self._take(self._first(), 0)]
        room = self.budget - chosen[0].tokens
        while room:
            self._fill_window()
            soon = self._soon(room)
            taken = self._last(room) if soon is None else [self._take(soon, 0)]
            chosen += taken
            room -= sum(sample.tokens for sample in taken)
            if soon is None:
                break
        self.packs += 1
        positions, parts = tuple(sample.position for sample in chosen), tuple(sample.part for sample in chosen)
        return PackedRow(positions, parts, self.budget - room, dict(self.dropped - before))

    def _first(self) -> Hashable:
        """Return the kind that a pack begins with: whose turn it is, or that of the sample that may not wait any more."""
        oldest = sorted(sample for samples in self._waiting.values() for sample in samples)
        # If packs begin with these one after another from the next on, each must come in time.
        in_time = all(self.packs + 1 + place <= one.since + self.lookahead for place, one in enumerate(oldest))
        if self._shares is not None and in_time:
            return self._turns[0][1]
        return next(kind for kind, samples in self._waiting.items() if samples and samples[0] == oldest[0])

    def _soon(self, room: int) -> Hashable | None:
        """Return the kind whose turn it is where several more samples fit after it, else None."""
        counts: Counter[Hashable] = Counter()
        needed = 0
        for _, kind in self._turns[:_SOON]:
            needed += self._waiting[kind][counts[kind]].tokens
            counts[kind] += 1
        return self._turns[0][1] if counts and needed <= room else None

    def _last(self, room: int) -> list[_Waiting]:
        """Take what fills the rest of a row."""
        kinds = [kind for _, kind in self._turns[: max(_SEATS, _WIDE)]]
        seats, free = kinds[:_SEATS], 0.0
        lengths = {kind: [sample.tokens for sample in self._waiting[kind][:_CANDIDATES]] for kind in set(kinds)}
        enough = room - int(_SPARE * self.budget)
        choices = [] if self._shares is None else fill_in_order(seats, lengths, room)
        full = [choice for choice in choices if _tokens(choice, seats, lengths) >= enough]
        if not full:
            near = seats[: self._reach]
            choices.append(fill_room(near, lengths, room, enough=enough))
            most = max(_tokens(choice, seats, lengths) for choice in choices)
            # One sample of a kind that fits with no other of them would take a row for itself each time.
            if self._shares is not None and self.budget - room + most < self.budget / 2:
                seats, free = kinds, _FREE
                choices.append(fill_room(seats, lengths, room, enough=enough))

        def value(choice: Choice) -> float:
            used = 0 if full else _tokens(choice, seats, lengths) / self.budget
            return used - self._weight * max(0.0, self._off(choice, seats) - free)

        best = max(full or choices, key=value)
        picked = [(seats[seat], place) for seat, place in best]
        # From the back, so that the places of those before stay what they are.
        taken = [self._take(kind, place) for kind, place in sorted(picked, key=lambda pick: -pick[1])]
        return sorted(taken)

    def _off(self, choice: Choice, seats: Sequence[Hashable]) -> float:
        """Return the sum of squares of the samples that kinds would be off their shares after a choice."""
        if self._shares is None:
            return 0.0
        taken = Counter(seats[seat] for seat, _ in choice)
        next_due: dict[Hashable, int] = {}
        for due, kind in self._turns:
            if taken[kind]:
                taken[kind] -= 1
            elif kind not in next_due:
                next_due[kind] = due
        shares = self._shares(min(self.next, self.end - 1))
        rates = {kind: shares[str(kind)] / self._lanes for kind in next_due if shares.get(str(kind))}
        if len(rates) < 2:
            return 0.0
        # Where the turns of all kinds together stand, each half a turn before the next of its kind on average.
        stand = sum(rates[kind] * next_due[kind] - 0.5 for kind in rates) / sum(rates.values())
        return sum((rate * (stand - next_due[kind]) + 0.5) ** 2 for kind, rate in rates.items())

    def _take(self, kind: Hashable, place: int) -> _Waiting:
        """Take a waiting sample, and the first turn of its kind."""
        self._turns.pop(next(index for index, turn in enumerate(self._turns) if turn[1] == kind))
        return self._waiting[kind].pop(place)

    def _post(self, due: int, kind: Hashable) -> None:
        """Post a turn; of those due at the same place, by name of the kind, so that no order of arrival need be kept."""
        bisect.insort(self._turns, (due, kind), key=lambda turn: (turn[0], str(turn[1])))

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
                self._waiting[kind].append(_Waiting(position, part, tokens, self.packs))
                self._post(self._due(position), kind)
            self.next = position + 1


def _tokens(choice: Choice, seats: Sequence[Hashable], lengths: Mapping[Hashable, Sequence[int]]) -> int:
    return sum(lengths[seats[seat]][place] for seat, place in choice)


def _octave(tokens: int) -> int:
    """Return a number that lengths within half an octave have in common: kinds where a mixture tells none."""
    return round(2 * math.log2(tokens)) if tokens else 0
