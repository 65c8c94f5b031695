"""Which waiting samples fill what is left of a row, where their kinds are given and their lengths are free to choose."""

from __future__ import annotations

import functools
import operator
from collections import Counter, defaultdict
from collections.abc import Hashable, Mapping, Sequence

_VISITS = 100
"""Steps of the quick search for samples with a given sum, after which sums are computed exactly."""

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
    choices = []
    for used in range(len(reached)):
        found = _fullest_of(seats, waiting, room, reached[: used + 1], passing=False)
        if found is None:
            break
        choices.append(found[0])
    return choices


def _sums(
    seats: Sequence[Hashable], waiting: Mapping[Hashable, Sequence[int]], room: int, *, passing: bool
) -> list[int]:
    """Return by number of seats which sums they reach at most: bit n of an integer for n tokens, so a length costs one shift.

    A sample may be counted for several seats, so that some of these sums cannot be had.
    """
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
    """Return the fullest choice and its sum; with as few seats as do."""
    reached = _sums(seats, waiting, room, passing=passing)
    if passing:
        return _fullest_of(seats, waiting, room, reached, passing=True) or ([], 0)
    best: tuple[Choice, int] = [], 0
    bounds = [bits.bit_length() - 1 for bits in reached]
    for used in sorted(range(1, len(reached)), key=lambda used: (-bounds[used], used)):
        if bounds[used] < best[1]:
            break
        found = _fullest_of(seats, waiting, room, reached[: used + 1], passing=False)
        if found and (-found[1], len(found[0])) < (-best[1], len(best[0])):
            best = found
    return best


def _fullest_of(
    seats: Sequence[Hashable],
    waiting: Mapping[Hashable, Sequence[int]],
    room: int,
    reached: Sequence[int],
    *,
    passing: bool,
) -> tuple[Choice, int] | None:
    """Return the fullest choice for the seats of `reached`, all of them unless they may be passed over, and its sum."""
    seats = seats[: len(reached) - 1]
    total = reached[-1].bit_length() - 1
    choice = _trace(seats, waiting, reached, total, passing=passing)
    if choice is None:
        sums = _distinct(seats, waiting, {}, room, passing=passing)
        if not sums:
            return None
        total = sums.bit_length() - 1
        choice = _chosen(seats, waiting, reached, total, passing=passing)
    return choice, total


def _distinct(
    seats: Sequence[Hashable],
    waiting: Mapping[Hashable, Sequence[int]],
    taken: Mapping[Hashable, set[int]],
    room: int,
    *,
    passing: bool,
) -> int:
    """Return which sums seats reach, no sample used twice, as bits."""
    mask = (1 << room + 1) - 1
    bits = 1
    for kind, count in Counter(seats).items():
        by_count = [bits] + [0] * count
        for place, length in enumerate(waiting[kind]):
            if place not in taken.get(kind, ()):
                for number in range(count, 0, -1):
                    by_count[number] |= by_count[number - 1] << length & mask
        bits = functools.reduce(operator.or_, by_count) if passing else by_count[count]
    return bits


def _chosen(
    seats: Sequence[Hashable],
    waiting: Mapping[Hashable, Sequence[int]],
    reached: Sequence[int],
    total: int,
    *,
    passing: bool,
) -> Choice:
    """Return the samples with a sum that can be had, in the order in which `_trace` looks for them."""
    chosen: Choice = []
    taken: defaultdict[Hashable, set[int]] = defaultdict(set)
    left = total

    def had(seat: int, rest: int) -> bool:
        if not reached[seat] >> rest & 1:
            return False
        return bool(_distinct(seats[:seat], waiting, taken, rest, passing=passing) >> rest & 1)

    for seat in reversed(range(len(seats))):
        if passing and had(seat, left):
            continue
        kind, tried = seats[seat], set[int]()
        for place, length in enumerate(waiting[kind]):
            if length > left or length in tried or place in taken[kind]:
                continue
            tried.add(length)
            taken[kind].add(place)
            if had(seat, left - length):
                chosen.append((seat, place))
                left -= length
                break
            taken[kind].remove(place)
    return chosen[::-1]


def _trace(
    seats: Sequence[Hashable],
    waiting: Mapping[Hashable, Sequence[int]],
    reached: Sequence[int],
    total: int,
    *,
    passing: bool,
) -> Choice | None:
    """Return samples with this sum, or None where one sample would be needed twice (or it takes too long to tell)."""
    # Depth first, from the last seat to the first; an entry is a seat, the sum before it, and what was chosen so far.
    stack: list[tuple[int, int, Choice]] = [(len(seats), total, [])]
    for _ in range(_VISITS):
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
