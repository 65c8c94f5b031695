"""Every key gives a permutation, and permutations look random."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rscovlm.mixtures.permutation import permuted


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
