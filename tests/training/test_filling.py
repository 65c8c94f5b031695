"""What fills a row, held against every possible choice."""

from collections.abc import Hashable, Iterator, Mapping, Sequence
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rscovlm.training import filling
from rscovlm.training.filling import Choice, fill_in_order, fill_room

KINDS = ["boxes", "chat"]
WAITING = st.fixed_dictionaries({kind: st.lists(st.integers(1, 12), max_size=4) for kind in KINDS})


def _choices(seats: list[str], waiting: Mapping[Hashable, Sequence[int]]) -> Iterator[Choice]:
    """Every way to give seats a sample of their kind or none, no sample twice."""
    options = [[None, *range(len(waiting[kind]))] for kind in seats]
    for places in product(*options):
        choice = [(seat, place) for seat, place in enumerate(places) if place is not None]
        used = [(seats[seat], place) for seat, place in choice]
        if len(set(used)) == len(used):
            yield choice


def _sum(choice: Choice, seats: list[str], waiting: Mapping[Hashable, Sequence[int]]) -> int:
    return sum(waiting[seats[seat]][place] for seat, place in choice)


@given(st.lists(st.sampled_from(KINDS), max_size=4), WAITING, st.integers(0, 40), st.integers(0, 40))
def test_no_choice_takes_more_of_the_room(
    seats: list[str], waiting: Mapping[Hashable, Sequence[int]], room: int, enough: int
) -> None:
    found = fill_room(seats, waiting, room, enough=enough)
    fitting = [choice for choice in _choices(seats, waiting) if _sum(choice, seats, waiting) <= room]
    assert found in fitting
    total = _sum(found, seats, waiting)
    # The first seats alone, none passed over, where they take enough; else any seats.
    first = [choice for choice in fitting if [seat for seat, _ in choice] == list(range(len(choice)))]
    most = max(_sum(choice, seats, waiting) for choice in first)
    if most >= enough:
        assert total == most
        best = [choice for choice in first if _sum(choice, seats, waiting) == most]
        assert len(found) == min(map(len, best))  # as few seats as do
        assert found in best
    else:
        assert total == max(_sum(choice, seats, waiting) for choice in fitting)


def test_among_equal_choices_earlier_seats_and_longer_waits_come_first() -> None:
    waiting: dict[Hashable, list[int]] = {"chat": [7, 5, 7, 5], "boxes": [9, 3, 9]}
    assert fill_room(["chat"], waiting, 7, enough=7) == [(0, 0)]
    # The last seat is given its sample first: the one that waited longest.
    assert fill_room(["chat", "chat"], waiting, 12, enough=12) == [(0, 1), (1, 0)]
    assert fill_room(["boxes", "boxes"], waiting, 18, enough=18) == [(0, 2), (1, 0)]
    # No sample of the first seat fits; of the others the earlier one is taken.
    assert fill_room(["chat", "boxes", "chat", "boxes"], waiting, 3, enough=1) == [(1, 1)]


@given(st.lists(st.sampled_from(KINDS), max_size=4), WAITING, st.integers(0, 40))
def test_each_number_of_first_seats_takes_most_of_the_room(
    seats: list[str], waiting: Mapping[Hashable, Sequence[int]], room: int
) -> None:
    fitting = [choice for choice in _choices(seats, waiting) if _sum(choice, seats, waiting) <= room]
    found = fill_in_order(seats, waiting, room)
    for used in range(len(seats) + 1):
        best = [choice for choice in fitting if [seat for seat, _ in choice] == list(range(used))]
        assert (used < len(found)) == bool(best)
        if best:
            assert found[used] in best
            assert _sum(found[used], seats, waiting) == max(_sum(choice, seats, waiting) for choice in best)


def test_ordinary_rooms_are_filled_by_the_quick_search(monkeypatch: pytest.MonkeyPatch) -> None:
    # Seats of different kinds never want one sample twice, so that sums need not be counted exactly. Both ways give the
    # same choice, which would hide a quick search that never succeeds.
    def exactly(*_: object, **__: object) -> int:
        raise AssertionError("the exact way was taken")

    monkeypatch.setattr(filling, "_distinct", exactly)
    waiting: dict[Hashable, list[int]] = {"chat": [30, 20, 25, 41, 7], "boxes": [70, 60, 90, 13], "count": [5, 44]}
    for room in range(40, 300, 7):
        for seats in (["chat", "boxes", "count"], ["count", "boxes"], ["chat"]):
            assert _sum(fill_room(seats, waiting, room, enough=1), seats, waiting) <= room
