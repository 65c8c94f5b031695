"""Which waiting samples fill what is left of a row, where their kinds are given and their lengths are free to choose."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Mapping, Sequence

_VISITS = 1000
"""Steps of the search for samples with a given sum before it settles for a smaller one."""

_FEW_VISITS = 100
"""The same where one of several numbers of seats is looked at."""

_TOTALS = 8
"""Sums, from the largest, of which one is looked for in samples that are all different."""

Choice = list[tuple[int, int]]
"""Pairs of a seat and a place among the waiting samples of its kind."""


def fill_room(
    seats: Sequence[Hashable], waiting: Mapping[Hashable, Sequence[int]], room: int, *, enough: int
) -> Choice:
    """Choose samples for seats so that they take as much of the room as they can.

    First only the first seats are filled, none passed over. Where that takes less than enough, seats may be passed over.

    Args:
        seats: Kind of the sample that each seat is for, in the order in which they should be taken.
        waiting: Tokens of the waiting samples by kind, those that waited longest first.
        room: Tokens that are left.
        enough: Tokens with which the room counts as taken.

    Returns:
        The seats that are taken, in order, each with a place in ``waiting`` of its kind. Of choices with the same sum, the
        one with the earlier seats, and in a seat the sample that waited longest.

    Examples:
        >>> fill_room(["chat", "boxes", "chat"], {"chat": [30, 20, 25], "boxes": [70, 60]}, 100, enough=98)
        [(0, 0), (1, 0)]
        >>> fill_room(["boxes", "chat"], {"chat": [30, 20, 25], "boxes": [170]}, 28, enough=20)
        [(1, 2)]
    """
    for passing in (False, True):
        choice, total = _fullest(seats, waiting, room, passing=passing)
        if total >= enough:
            break
    return choice


def fill_in_order(seats: Sequence[Hashable], waiting: Mapping[Hashable, Sequence[int]], room: int) -> list[Choice]:
    """Choose samples for the first seats, none passed over: for each number of seats those that take most of the room.

    Args:
        seats: As for `fill_room`.
        waiting: As for `fill_room`.
        room: Tokens that are left.

    Returns:
        Choices of no seat, of one, and so on, as far as they fit.

    Examples:
        >>> fill_in_order(["chat", "boxes", "chat"], {"chat": [30, 20, 25], "boxes": [70, 60]}, 100)
        [[], [(0, 0)], [(0, 0), (1, 0)]]
    """
    reached = _sums(seats, waiting, room, passing=False)
    choices: list[Choice] = []
    for used, sums in enumerate(reached):
        if _least(seats[:used], waiting) > room:
            break
        for _ in range(_TOTALS):
            if not sums:
                break
            total = sums.bit_length() - 1
            choice = _trace(seats[:used], waiting, reached, total, passing=False, visits=_FEW_VISITS)
            if choice is not None:
                choices.append(choice)
                break
            sums ^= 1 << total
    return choices


def _least(seats: Sequence[Hashable], waiting: Mapping[Hashable, Sequence[int]]) -> int:
    """Return the fewest tokens that seats take, no sample used twice."""
    counts = Counter(seats)
    return sum(sum(sorted(waiting[kind])[:count]) for kind, count in counts.items())


def _sums(
    seats: Sequence[Hashable], waiting: Mapping[Hashable, Sequence[int]], room: int, *, passing: bool
) -> list[int]:
    """Return by number of seats which sums they reach: bit n of an integer for n tokens, so a length costs one shift."""
    mask = (1 << room + 1) - 1
    options = {kind: set(waiting[kind]) for kind in set(seats)}
    reached = [1]
    for kind in seats:
        last = reached[-1]
        bits = last if passing else 0
        for length in options[kind]:
            bits |= last << length
        bits &= mask
        if not bits:
            break
        reached.append(bits)
    return reached


def _fullest(
    seats: Sequence[Hashable], waiting: Mapping[Hashable, Sequence[int]], room: int, *, passing: bool
) -> tuple[Choice, int]:
    """Return the fullest choice and its sum."""
    reached = _sums(seats, waiting, room, passing=passing)
    sums = 0
    for bits in reached:
        sums |= bits
    while sums > 1:
        total = sums.bit_length() - 1
        for used in range(1, len(reached)):
            if reached[used] >> total & 1:
                choice = _trace(seats[:used], waiting, reached, total, passing=passing)
                if choice is not None:
                    return choice, total
        sums ^= 1 << total
    return [], 0


def _trace(
    seats: Sequence[Hashable],
    waiting: Mapping[Hashable, Sequence[int]],
    reached: Sequence[int],
    total: int,
    *,
    passing: bool,
    visits: int = _VISITS,
) -> Choice | None:
    """Return samples with this sum, or None where one sample would be needed twice (or it takes too long to tell)."""
    # Depth first, from the last seat to the first; an entry is a seat, the sum before it, and what was chosen so far.
    stack: list[tuple[int, int, Choice]] = [(len(seats), total, [])]
    for _ in range(visits):
        if not stack:
            return None
        seat, left, chosen = stack.pop()
        if not seat or (passing and not left):
            return chosen[::-1]
        before, kind = reached[seat - 1], seats[seat - 1]
        taken = {place for other, place in chosen if seats[other] == kind}
        tried: set[int] = set()
        options = []
        for place, length in enumerate(waiting[kind]):
            if length > left or length in tried or place in taken or not before >> left - length & 1:
                continue
            tried.add(length)
            options.append((seat - 1, left - length, [*chosen, (seat - 1, place)]))
        stack += reversed(options)
        if passing and before >> left & 1:  # the sum is reached without this seat: tried first
            stack.append((seat - 1, left, chosen))
    return None
