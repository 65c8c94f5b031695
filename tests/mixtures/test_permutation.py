"""Every key gives a permutation, and permutations look random."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rscovlm.mixtures.permutation import mixed, permuted, permuted_each


@given(st.integers(1, 3000), st.integers(0, 2**64 - 1))
def test_each_row_comes_once(size: int, key: int) -> None:
    assert sorted(permuted(index, size, key) for index in range(size)) == list(range(size))


def test_it_does_not_keep_the_order() -> None:
    order = np.array([permuted(index, 5000, 11) for index in range(5000)])
    assert abs(np.corrcoef(order, np.arange(5000))[0, 1]) < 0.05
    assert np.mean(np.diff(order) == 1) < 0.01
    # Each row goes anywhere, over keys: 400 keys, ten bins of forty, chi-square far below its 99.9 % point of 27.9.
    bins = np.bincount([permuted(7, 5000, key) // 500 for key in range(400)], minlength=10)
    assert ((bins - 40) ** 2 / 40).sum() < 27.9


def test_a_row_far_away_is_as_cheap() -> None:
    assert 0 <= permuted(10**12, 10**12 + 1, 5) <= 10**12


def test_an_index_outside_is_refused() -> None:
    with pytest.raises(ValueError, match="index 5 is not one of 5"):
        permuted(5, 5, 0)


def test_bits_are_mixed_as_splitmix64_mixes_them() -> None:
    # The first five numbers of SplitMix64 from state 1234567, as Vigna's reference implementation (splitmix64.c) gives them.
    first = [6457827717110365317, 3203168211198807973, 9817491932198370423, 4593380528125082431, 16408922859458223821]
    step = 0x9E3779B97F4A7C15
    assert [mixed(1234567 + turn * step) for turn in range(5)] == first


def _by_the_book(index: int, size: int, key: int) -> int:
    """Feistel's network with strings of bits: four rounds on two halves, again while the result is no row."""
    half = max(1, -(-len(f"{size - 1:b}") // 2))
    bits = f"{index:b}".zfill(2 * half)
    while True:
        left, right = bits[:half], bits[half:]
        for turn in range(4):
            function = f"{mixed(int(right, 2) ^ mixed(key + turn)):064b}"[-half:]
            left, right = right, "".join(str(int(a != b)) for a, b in zip(left, function, strict=True))
        bits = left + right
        if int(bits, 2) < size:
            return int(bits, 2)


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 16, 17, 100, 255, 256, 257])
def test_it_is_the_network_that_its_description_names(size: int) -> None:
    for key in (0, 3, 2**64 - 1):
        wanted = [_by_the_book(index, size, key) for index in range(size)]
        assert [permuted(index, size, key) for index in range(size)] == wanted
        assert permuted_each(np.arange(size), size, key).tolist() == wanted


def test_the_order_is_that_of_earlier_versions() -> None:
    # A run that resumes with a later version must draw the rows that are left: these values must not change.
    assert [permuted(index, 10, 3) for index in range(10)] == [5, 8, 0, 1, 4, 3, 6, 7, 2, 9]
    assert [permuted(index, 10**6, 11) for index in range(4)] == [313241, 890043, 611874, 612860]


@pytest.mark.parametrize("indices", [[-1, 2], [0, 5]])
def test_any_index_outside_is_refused(indices: list[int]) -> None:
    with pytest.raises(ValueError, match=f"indices {indices[0]} to {indices[1]} are not all of 5 rows"):
        permuted_each(np.array(indices), 5, 0)
    assert permuted_each(np.array([], dtype=np.int64), 5, 0).tolist() == []
