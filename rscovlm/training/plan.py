"""Which samples share which row: a walk over a mixture that can be put down and taken up again."""

from __future__ import annotations

from bisect import bisect_right, insort
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Measure = Callable[[int], tuple[Sequence[int], Counter[str]]]
"""Given a position, the tokens of each part of its sample (one; none where it is left out; several where it was split)
and what befell it by reason."""


_MISSES = 20_000
"""Samples one after another that leave a lane with nothing to pack, after which it gives up: seconds, not for ever."""


@dataclass(frozen=True)
class Pack:
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
        waiting: Tokens, position and part of the samples in hand, in that order.
        dropped: Samples passed over so far, by reason.

    Raises:
        ValueError: Numbers below 0.
    """

    lane: int
    packs: int = 0
    next: int = 0
    waiting: tuple[tuple[int, int, int], ...] = ()
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
            waiting = tuple(sorted((int(tokens), int(place), int(part)) for tokens, place, part in content["waiting"]))
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
    """Packs made of every n-th position of a mixture, from the n-th part of it that is the lane's own.

    Each pack begins with the sample that has waited longest and takes the longest waiting one that still fits, until
    none does; so no sample waits for ever, and what is left over goes on to the next pack.

    Args:
        measure: Looks at a position.
        state: Where to go on from; ``next`` of a lane that begins is its own number.
        stride: Number of lanes.
        end: Number of positions of the mixture.
        budget: Tokens of a row.
        lookahead: Samples in hand to choose from.

    Examples:
        >>> lengths = [6, 5, 4, 3, 2] * 4
        >>> lane = Lane(lambda i: ([lengths[i]], Counter()), LaneState(0), stride=1, end=20, budget=10, lookahead=5)
        >>> lane.plan().positions
        (0, 2)
        >>> other = Lane(lane.measure, LaneState.from_dict(lane.state().to_dict()), stride=1, end=20, budget=10, lookahead=5)
        >>> [other.plan() == lane.plan() for _ in range(3)]
        [True, True, True]
    """

    def __init__(
        self, measure: Measure, state: LaneState, *, stride: int, end: int, budget: int, lookahead: int
    ) -> None:
        self.measure, self.stride, self.end, self.budget, self.lookahead = measure, stride, end, budget, lookahead
        self.number, self.packs, self.next = state.lane, state.packs, state.next
        self.dropped: Counter[str] = Counter(state.dropped)
        # (tokens, position, part), sorted: by length for the search, by position for who has waited longest.
        self._waiting = list(state.waiting)

    def state(self) -> LaneState:
        """Return where the lane stands."""
        return LaneState(self.number, self.packs, self.next, tuple(self._waiting), dict(self.dropped))

    def plan(self) -> Pack:
        """Make the next pack.

        Raises:
            IndexError: The mixture has come to its end.
            ValueError: Thousands of samples one after another are of no use.
        """
        before = self.dropped.copy()
        self._fill_window()
        if not self._waiting:
            raise IndexError(f"the mixture ends after {self.end} samples, {self.packs} packs of lane {self.number}")
        oldest = min(self._waiting, key=lambda entry: entry[1:])
        self._waiting.remove(oldest)
        tokens, chosen = oldest[0], [oldest]
        while True:
            # Among the longest that fit, the one that has waited longest.
            place = bisect_right(self._waiting, (self.budget - tokens, self.next, 0)) - 1
            if place < 0:
                break
            size = self._waiting[place][0]
            chosen.append(self._waiting.pop(bisect_right(self._waiting, (size, -1, 0))))
            tokens += size
        self.packs += 1
        positions, parts = (tuple(entry[place] for entry in chosen) for place in (1, 2))
        return Pack(positions, parts, tokens, dict(self.dropped - before))

    def _fill_window(self) -> None:
        misses = 0
        while len(self._waiting) < self.lookahead and self.next < self.end:
            parts, reasons = self.measure(self.next)
            self.dropped += reasons
            misses = 0 if parts else misses + 1
            if misses >= _MISSES and not self._waiting:
                said = ", ".join(f"{count} {reason}" for reason, count in self.dropped.most_common())
                raise ValueError(
                    f"none of {misses} samples one after another goes into a row of {self.budget} tokens ({said}); raise "
                    "packing.tokens, lower budget.max_pixels, or set packing.too_long to shrink or split"
                )
            for part, tokens in enumerate(parts):
                insort(self._waiting, (tokens, self.next, part))
            self.next += self.stride
