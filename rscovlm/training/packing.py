"""Packing samples into rows of a token budget, by their true length and without decoding an image."""

from __future__ import annotations

import functools
import logging
import math
import zlib
from collections import Counter, OrderedDict, defaultdict
from collections.abc import Callable, Iterable, Sequence, Sized
from typing import Any

from rscovlm.mixtures.read_ahead import OwnPositions, ReadAhead, check_by_number
from rscovlm.training.plan import Lane, LaneState, Measure, PackedRow
from rscovlm.training.stored_plans import APART, StoredPlans

_LOGGER = logging.getLogger(__name__)

Length = Callable[[Any], int | Sized]
Fit = Callable[[Any, int], tuple[list[Any], Counter[str]]]

TOO_LONG = "longer than the token budget"

_RECENT = 64
"""Packs a lane remembers, so that looking at the first rows before training does not plan them twice."""

_MARKS = 64
"""States of a lane, spread over the packs that it has made, from which one further back is reached without planning all."""

_MOST_LANES = 8
"""Lanes of a plan at most. What lanes that know nothing of each other are off their shares adds up to the root of their number: 64 of them
are 1.3 points off in a thousand samples although each is within half a sample (measured), 8 are 0.5 points off."""

_LOOKED_AT = 16
"""Samples waiting in a stored state that must still have the lengths they had."""

_AGAIN = 3
"""Other samples of the same subset that are tried in the place of one that is too long."""


class PackedMixture(Sequence[Any]):
    """A mixture whose rows are packs: row k depends on the mixture, the budget, the look-ahead and the lanes alone.

    The mixture is dealt out to lanes, and so are the rows: lane l makes rows l, l + lanes, and so on of its own positions.
    Those are every so manieth of each subset, so that each lane has the shares of the whole; of a sequence without
    subsets, every so manieth of all. Each lane walks them in order with a buffer of samples, and trains each
    subset in the share in which it comes, see `Lane`. What becomes of samples longer than the budget is up to ``fit``, and
    counted; nothing is ever cut inside, and where nothing is left another sample of the subset takes the place.

    Asking for a row plans its lane up to it and no other. So with as many lanes as rows are trained in a step, up to 8
    processes plan what they train rather than what all do, more of them share a lane and plan what those do that share it; and resuming from a `LaneState` costs the same at any row, as does a
    row of a plan that an earlier process has stored.

    Args:
        mixture: Samples by position; a `Mixture` or `Stages` also tells their subsets.
        length: Tokens of a sample, visual ones included, from sizes alone; or what has that many, such as the sample
            encoded, which is then handed on with the row so that no sample is encoded twice.
        budget: Tokens of a row.
        lookahead: Samples to choose from, in each lane.
        rows: Number of rows that `len` reports; None makes one pass over the mixture, with as many as it fills, which are
            all planned once to count them.
        lanes: Number of lanes, of which the largest divisor up to 8 is taken, so that few enough accounts of the shares are kept.
        fit: Given a sample that is too long and the budget, the samples that take its place, each within the budget, and
            what was done by reason, such as `Fitting`; None drops what is too long.
        plans: Where states of the plan are stored and found again, for a mixture that does not change; None stores none.

    Raises:
        TypeError: The samples cannot be had by position, as those of a streamed data set.
        ValueError: A budget, look-ahead, number of lanes or rows below 1; or no number of rows, and several lanes or nothing
            that fits.

    Examples:
        >>> packed = PackedMixture([6, 5, 4, 3, 2] * 4, length=int, budget=10, lookahead=5, rows=4)
        >>> [pack.tokens for pack in (packed.pack(k) for k in range(4))]
        [10, 10, 10, 10]
        >>> len(PackedMixture([6, 5, 4, 3, 2] * 4, length=int, budget=10))
        8
    """

    def __init__(
        self,
        mixture: Sequence[Any],
        *,
        length: Length,
        budget: int,
        lookahead: int = 256,
        rows: int | None = None,
        lanes: int = 1,
        fit: Fit | None = None,
        plans: StoredPlans | None = None,
    ) -> None:
        check_by_number(mixture, "the mixture")
        if min(budget, lookahead, 1 if rows is None else rows, lanes) < 1:
            raise ValueError(
                f"budget {budget}, look-ahead {lookahead}, rows {rows} and lanes {lanes}; give numbers from 1 up"
            )
        if rows is None and lanes > 1:
            raise ValueError(f"{lanes} lanes may end with different numbers of rows; give rows, or take one lane")
        self.mixture, self.length, self.budget, self.lookahead = mixture, length, budget, lookahead
        self.lanes = lanes = next(number for number in range(min(lanes, _MOST_LANES), 0, -1) if lanes % number == 0)
        self.fit, self.plans = fit, plans
        self._starts: dict[int, LaneState] = {}
        self._lanes: dict[int, Lane] = {}
        self._recent: dict[int, OrderedDict[int, tuple[PackedRow, LaneState | None]]] = {}
        # By lane, states that it passed through, and how many packs lie between two of them.
        self._marks: dict[int, tuple[int, list[LaneState]]] = {}
        # By lane, what the plan has drawn and is not used yet, so that a process draws each sample once.
        self._kept: defaultdict[int, dict[tuple[int, int], tuple[Any, int | Sized]]] = defaultdict(dict)
        self._draw_at = getattr(mixture, "draw_at", None)
        if plans is not None:
            shares = getattr(mixture, "shares_at", None)
            about = (len(mixture), budget, lookahead, lanes, fit is not None, None if shares is None else shares(0))
            plans.settle(repr(about))
        self.rows = self._one_pass() if rows is None else rows

    def __len__(self) -> int:
        """Return the number of rows."""
        return self.rows

    def __getitem__(self, row: Any) -> Any:
        """Return a row: its ``samples``, their ``positions``, and what was ``dropped`` since its lane's row before.

        ``plan`` is where the lane stands after it, for `resume`. Where the mixture has subsets, their names are there as
        ``subsets``; where ``length`` gives encoded samples, they are there as ``encoded``.
        """
        index = int(row)
        if not 0 <= index < self.rows:
            raise IndexError(f"row {index} is not one of {self.rows}")
        pack, state = self._planned(index, whole=True)
        kept = self._kept[index % self.lanes]
        drawn = [
            kept.pop(place) if place in kept else self._fitted(place[0])[0][place[1]]
            for place in zip(pack.positions, pack.parts, strict=True)
        ]
        made = {
            "samples": [sample for sample, _ in drawn],
            "positions": list(pack.positions),
            "dropped": dict(pack.dropped),
            "plan": state,
        }
        if self._draw_at is not None:
            made["subsets"] = [self._draw_at(position)[0] for position in pack.positions]
        encoded = [length for _, length in drawn if not isinstance(length, int)]
        return made | {"encoded": encoded} if encoded else made

    @property
    def dropped(self) -> Counter[str]:
        """Samples passed over or altered so far, by reason, in the lanes that were looked at."""
        return sum((lane.dropped for lane in self._lanes.values()), Counter())

    def pack(self, row: int) -> PackedRow:
        """Return what a row holds, planning its lane up to it where that has not been done."""
        return self._planned(row)[0]

    def fill(self, rows: int) -> float:
        """Return the share of the token budget that the first rows of the first lane use."""
        return sum(self.pack(place * self.lanes).tokens for place in range(rows)) / (rows * self.budget)

    def resume(self, states: Iterable[LaneState]) -> None:
        """Continue from where lanes stood; those not named begin. Rows before that are planned from the first.

        Args:
            states: Of a lane that has several, the one furthest on counts.

        Raises:
            ValueError: A lane that there is not.
        """
        starts = {state.lane: state for state in sorted(states, key=lambda state: state.packs)}
        for lane in starts:
            if lane >= self.lanes:
                raise ValueError(f"the plan has a lane {lane}, this mixture has {self.lanes}; give it the same number")
        self._starts = starts
        for known in (self._lanes, self._recent, self._kept, self._marks):
            known.clear()

    def _planned(self, row: int, *, whole: bool = False) -> tuple[PackedRow, LaneState | None]:
        """Return a row's pack and, where it is asked for, the state of its lane after it."""
        packs, number = divmod(row, self.lanes)
        recent = self._recent.setdefault(number, OrderedDict())
        if packs not in recent or (whole and recent[packs][1] is None):
            lane, kept = self._lane_before(number, packs), self._kept[number]
            while lane.packs <= packs:
                pack = lane.plan()
                if lane.packs <= packs:  # a row of another process
                    for place in zip(pack.positions, pack.parts, strict=True):
                        kept.pop(place, None)
                recent[lane.packs - 1] = pack, lane.state() if whole and lane.packs > packs else None
                self._mark(lane)
                if len(recent) > _RECENT:
                    recent.popitem(last=False)
        return recent[packs]

    def _lane_before(self, number: int, packs: int) -> Lane:
        """Return a lane that has made no more packs than these: the one that is there, or one at a later known state."""
        lane = self._lanes.get(number)
        far = self.plans is not None and lane is not None and packs - lane.packs >= APART
        if lane is None or packs < lane.packs or far:
            start = self._start(number, packs)
            if lane is None or lane.packs > packs or start.packs > lane.packs:
                self._kept[number].clear()
                lane = self._lanes[number] = self._lane(number, start)
        return lane

    def _start(self, number: int, packs: int) -> LaneState:
        """Return the last known state of a lane in which it had made no more packs than these."""
        known = [LaneState(number), *self._marks.get(number, (1, []))[1]]
        if number in self._starts:
            known.append(self._starts[number])
        last = max((state for state in known if state.packs <= packs), key=lambda state: state.packs)
        stored = None if self.plans is None or packs - last.packs < APART else self.plans.before(number, packs)
        return stored if stored is not None and stored.packs > last.packs and self._holds(stored) else last

    def _holds(self, stored: LaneState) -> bool:
        """Tell whether samples that wait in a stored state still have their lengths; where not, the states are removed."""
        for tokens, position, part, *_ in stored.waiting[:: max(1, len(stored.waiting) // _LOOKED_AT)]:
            parts = self._fitted(position)[0]
            now = _count(parts[part][1]) if part < len(parts) else None
            if now != tokens:
                _LOGGER.warning(
                    "the stored plan is of other data: the sample at position %d had %d tokens and has %s now; it is made anew",
                    *(position, tokens, now),
                )
                if self.plans is not None:
                    self.plans.forget()
                return False
        return True

    def _mark(self, lane: Lane) -> None:
        """Remember the state of a lane that came so many packs further than any before; when there are many, every other."""
        if self.plans is not None and lane.packs % APART == 0:
            self.plans.save(lane.state())
        apart, marks = self._marks.get(lane.number, (_RECENT, []))
        if lane.packs % apart == 0 and (not marks or marks[-1].packs < lane.packs):
            marks.append(lane.state())
            if len(marks) > _MARKS:
                apart, marks = 2 * apart, marks[1::2]
            self._marks[lane.number] = apart, marks

    def _lane(self, number: int, start: LaneState, measure: Measure | None = None) -> Lane:
        draw_at, lanes = self._draw_at, self.lanes

        def mine(position: int) -> bool:
            if draw_at is None:
                return position % lanes == number
            return _lane_of(*draw_at(position), lanes=lanes) == number

        own = OwnPositions(mine, len(self.mixture))
        ahead = ReadAhead(self.mixture, own.following, count=self.lookahead)
        return Lane(
            measure or functools.partial(self._measure, number, ahead),
            start,
            own=own.first,
            end=len(self.mixture),
            budget=self.budget,
            lookahead=self.lookahead,
            kind=None if draw_at is None else lambda position, _: draw_at(position)[0],
            lanes=self.lanes,
            due=getattr(self.mixture, "due_at", int),
            shares=getattr(self.mixture, "shares_at", None),
        )

    def _one_pass(self) -> int:
        """Return how many rows the whole mixture fills."""
        known = None if self.plans is None else self.plans.rows
        last = None if self.plans is None or known is None else self.plans.before(0, known)
        if known is not None and last is not None and self._holds(last):
            return known

        def measure(position: int) -> tuple[list[int], Counter[str]]:
            parts, reasons = self._fitted(position)
            return [_count(length) for _, length in parts], reasons

        lane = self._lane(0, LaneState(0), measure)
        while True:
            try:
                lane.plan()
                if self.plans is not None and lane.packs % APART == 0:
                    self.plans.save(lane.state())
            except IndexError:
                # The mixture ends, as a sequence does.
                break
        if lane.packs == 0:
            said = ", ".join(f"{count} {reason}" for reason, count in lane.dropped.items())
            raise ValueError(f"none of {len(self.mixture)} samples goes into a row of {self.budget} tokens ({said})")
        if self.plans is not None:
            self.plans.rows = lane.packs
        return lane.packs

    def _measure(self, number: int, ahead: ReadAhead, position: int) -> tuple[list[int], Counter[str]]:
        before = drops_of(self.mixture)
        parts, reasons = self._fitted(position, ahead.draw)
        self._kept[number] |= {(position, part): drawn for part, drawn in enumerate(parts)}
        return [_count(length) for _, length in parts], reasons + (drops_of(self.mixture) - before)

    def _fitted(
        self, position: int, draw: Callable[[int], Any] | None = None
    ) -> tuple[list[tuple[Any, int | Sized]], Counter[str]]:
        """Return a position's samples and their lengths, and what was done so that they fit.

        Where nothing of a sample is left, others of its subset are tried, so that its share does not shrink by those.
        """
        reasons = Counter[str]()
        redraw = getattr(self.mixture, "redraw", None)
        for attempt in range(1 + (_AGAIN if redraw is not None else 0)):
            if redraw is not None and attempt:
                sample = redraw(position, attempt)
            else:
                sample = (draw or self.mixture.__getitem__)(position)
            try:
                length = self.length(sample)
            except ValueError as error:
                raise ValueError(f"position {position} of the mixture: {error}") from error
            if _count(length) <= self.budget:
                return [(sample, length)], reasons
            samples, counts = ([], Counter([TOO_LONG])) if self.fit is None else self.fit(sample, self.budget)
            reasons += counts
            if samples:
                return [(made, self.length(made)) for made in samples], reasons
        return [], reasons


def _lane_of(subset: str, ordinal: int, *, lanes: int) -> int:
    """Return the lane that a subset's draw goes to."""
    first, stride = _dealing(subset, lanes)
    return (first + stride * ordinal) % lanes


@functools.cache
def _dealing(subset: str, lanes: int) -> tuple[int, int]:
    """Return the lane of a subset's first draw, and how many lanes further on each next one goes.

    They differ by subset, and neighbours are not served in turn: where every lane came to the same subset at the same time,
    what each is off its shares would add up.
    """
    key = zlib.crc32(subset.encode())
    apart = [stride for stride in range(1, lanes) if math.gcd(stride, lanes) == 1]
    strides = [stride for stride in apart if lanes <= 4 * stride <= 3 * lanes] or apart or [1]
    return key % lanes, strides[key // lanes % len(strides)]


def _count(length: int | Sized) -> int:
    return length if isinstance(length, int) else len(length)


def drops_of(mixture: Any) -> Counter[str]:
    """Return what a mixture left out so far, by reason; nothing where it does not count."""
    return Counter(getattr(mixture, "dropped", {}))
