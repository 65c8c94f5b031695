"""Streams are mixed like tables, shuffled within bounds, and resumed exactly."""

from collections import Counter
from collections.abc import Iterator

import pytest

from rscovlm.mixtures.mixture import Mixture, Subset
from rscovlm.mixtures.streaming import Stream, stream_mixture

SUBSETS = [
    Subset("table", [f"t{i}" for i in range(50)], 2.0, render=lambda item, rng: (item, float(rng.random()))),
    Subset("far", ["never read"], 1.0, render=lambda item, rng: (item, float(rng.random()))),
    Subset("wide", ["never read"], 0.5),
]


def _open(turn: int) -> Iterator[str]:
    return (f"f{turn}-{i}" for i in range(300))


STREAMS = {"far": Stream(_open, buffer=40), "wide": Stream(lambda turn: (f"w{i}" for i in range(7)), buffer=1)}


def _walk(start: int = 0, length: int = 3500) -> list[object]:
    return list(stream_mixture(SUBSETS, STREAMS, seed=3, start=start, length=length))


def test_shares_and_tables_are_those_of_the_mixture() -> None:
    walked = _walk(length=4000)
    mixture = Mixture(SUBSETS, seed=3, length=4000)
    for position, sample in enumerate(walked):
        if mixture.subset_at(position)[0].name == "table":
            assert sample == mixture[position]
    kinds = Counter(str(sample[0] if isinstance(sample, tuple) else sample)[0] for sample in walked)
    # Four blocks of a thousand, shared 2 : 1 : 0.5 by largest remainder.
    assert kinds == {"t": 4 * 571, "f": 4 * 286, "w": 4 * 143}


@pytest.mark.parametrize("start", [1, 17, 999, 1000, 1001, 2345])
def test_resuming_gives_what_an_unbroken_run_gives(start: int) -> None:
    assert _walk(start) == _walk()[start:]


def test_each_pass_gives_every_row_once_shuffled_within_the_buffer() -> None:
    rows = STREAMS["far"].rows(5)
    first = [next(rows) for _ in range(300)]
    second = [next(rows) for _ in range(300)]
    assert sorted(first) == sorted(_open(0))
    assert sorted(second) == sorted(_open(1))
    order = [int(row.split("-")[1]) for row in first]
    assert order != sorted(order)
    # A row cannot come before the buffer has reached it.
    assert all(row <= place + 39 for place, row in enumerate(order))


def test_what_cannot_be_walked_is_refused() -> None:
    with pytest.raises(ValueError, match="no subset 'fra'"):
        list(stream_mixture(SUBSETS, {"fra": STREAMS["far"]}, length=5))
    with pytest.raises(ValueError, match="has no rows"):
        next(Stream(lambda turn: iter(())).rows(0))
    with pytest.raises(ValueError, match="buffer is 0"):
        Stream(_open, buffer=0)


def test_counts_before_a_position_agree_with_counting() -> None:
    mixture = Mixture(SUBSETS, seed=3, length=3500)
    names = [mixture.subset_at(position)[0].name for position in range(2600)]
    for position in (0, 1, 500, 1000, 1777, 2600):
        for name in ("table", "far", "wide"):
            assert mixture.drawn_before(position, name) == names[:position].count(name)
