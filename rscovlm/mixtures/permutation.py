"""A random order of any number of rows that is computed where it is asked for and takes no memory."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

_MASK = (1 << 64) - 1
_ROUNDS = 4


def permuted(index: int, size: int, key: int) -> int:
    """Return where a pseudo-random permutation puts an index.

    A balanced Feistel network over the smallest even number of bits that holds `size`, walked until it lands inside:
    every key gives a permutation, and one value costs microseconds for any size.

    Args:
        index: From 0 to ``size - 1``.
        size: Number of rows.
        key: Chooses the permutation.

    Raises:
        ValueError: The index is not one of the rows.

    Examples:
        >>> sorted(permuted(i, 10, key=3) for i in range(10)) == list(range(10))
        True
    """
    if not 0 <= index < size:
        raise ValueError(f"index {index} is not one of {size} rows")
    half = max(1, ((size - 1).bit_length() + 1) // 2)
    low = (1 << half) - 1
    value, rounds = index, _round_keys(key)
    while True:
        left, right = value >> half, value & low
        for round_key in rounds:
            left, right = right, left ^ (mixed(right ^ round_key) & low)
        value = left << half | right
        if value < size:
            return value


@functools.lru_cache(maxsize=1024)
def _round_keys(key: int) -> tuple[int, ...]:
    return tuple(mixed(key + turn) for turn in range(_ROUNDS))


def permuted_each(
    indices: NDArray[np.int64], size: int | NDArray[np.int64], key: int | Sequence[int]
) -> NDArray[np.int64]:
    """Return where the permutation of `permuted` puts each of many indices, of one permutation or of one each.

    Args:
        indices: (n,) numbers from 0 to ``size - 1``.
        size: Number of rows, below 2^53; or (n,) such numbers.
        key: Chooses the permutation, 64 bits; or (n,) such numbers.

    Raises:
        ValueError: An index is not one of the rows.

    Examples:
        >>> permuted_each(np.arange(10), 10, key=3).tolist() == [permuted(i, 10, key=3) for i in range(10)]
        True
        >>> permuted_each(np.array([4, 4]), np.array([10, 99]), [3, 7]).tolist() == [permuted(4, 10, 3), permuted(4, 99, 7)]
        True
    """
    sizes = np.broadcast_to(np.asarray(size, np.int64), indices.shape)
    if ((indices < 0) | (indices >= sizes)).any():
        raise ValueError(f"indices {indices.min()} to {indices.max()} are not all of {size} rows")
    # The exponent of a whole number is how many bits it has.
    half = np.maximum(1, (np.frexp((sizes - 1).astype(np.float64))[1] + 1) // 2).astype(np.uint64)
    low = (np.uint64(1) << half) - np.uint64(1)
    keys = np.broadcast_to(np.asarray(key, np.uint64), indices.shape)
    rounds = [_mixed_each(keys + np.uint64(turn)) for turn in range(_ROUNDS)]
    values = indices.astype(np.uint64)
    left_to_do = np.arange(len(values))
    while len(left_to_do):
        bits, mask = half[left_to_do], low[left_to_do]
        left, right = values[left_to_do] >> bits, values[left_to_do] & mask
        for round_keys in rounds:
            left, right = right, left ^ (_mixed_each(right ^ round_keys[left_to_do]) & mask)
        values[left_to_do] = left << bits | right
        left_to_do = left_to_do[values[left_to_do] >= sizes[left_to_do].astype(np.uint64)]
    return values.astype(np.int64)


def _mixed_each(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    values = values + np.uint64(0x9E3779B97F4A7C15)
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def mixed(value: int) -> int:
    """Return 64 well mixed bits of an integer (the finaliser of SplitMix64, Steele et al. 2014).

    Examples:
        >>> mixed(0) == mixed(0), mixed(0) == mixed(1)
        (True, False)
    """
    value = (value + 0x9E3779B97F4A7C15) & _MASK
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & _MASK
    return value ^ (value >> 31)
