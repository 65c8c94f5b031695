"""A random order of any number of rows that is computed where it is asked for and takes no memory."""

from __future__ import annotations

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
    value = index
    while True:
        left, right = value >> half, value & low
        for turn in range(_ROUNDS):
            left, right = right, left ^ (mixed(right ^ mixed(key + turn)) & low)
        value = left << half | right
        if value < size:
            return value


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
