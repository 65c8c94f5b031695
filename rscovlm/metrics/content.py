"""Keys that depend on what a row says and not on where it stands, and random orders drawn from them."""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray

from rscovlm.geometry.affine import Floats
from rscovlm.metrics.detections import Ints, Rows

Keys = NDArray[np.uint64]

_STEP = 0x9E3779B97F4A7C15
_MASK = (1 << 64) - 1


def row_keys(rows: Rows, classes: tuple[str, ...]) -> Keys:
    """Return (n,) keys of corners, class name and flag; rows that say the same have equal keys."""
    names = [int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "little") for name in classes]
    keys = mixed(np.asarray(names or [0], dtype=np.uint64)[rows.label])
    for column in (*rows.quads.T, rows.flags.astype(np.float64)):
        # Adding zero makes -0.0 and 0.0 one number.
        keys = mixed(keys ^ (np.ascontiguousarray(column) + 0.0).view(np.uint64))
    return keys


def image_keys(found: Rows, found_keys: Keys, true: Rows, true_keys: Keys, images: int) -> Keys:
    """Return (images,) keys of all that is found and true in an image; images alike have equal keys."""
    sums = []
    for rows, keys in ((found, found_keys), (true, true_keys)):
        ends = np.searchsorted(rows.image, np.arange(images + 1))
        total = np.concatenate([np.zeros(1, np.uint64), np.cumsum(mixed(keys), dtype=np.uint64)])
        sums.append(total[ends[1:]] - total[ends[:-1]])
    return mixed(mixed(sums[0]) ^ sums[1])


def numbered(keys: Keys, scores: Floats | None = None) -> Keys:
    """Return keys that all differ: the k-th row among equals, highest score first, gets its number mixed in.

    Which of several rows equal in that too is called the first does not matter: nothing else tells them apart.
    """
    order = np.argsort(keys, kind="stable") if scores is None else np.lexsort((-scores, keys))
    ordered = keys[order]
    fresh = np.concatenate([[True], ordered[1:] != ordered[:-1]])[: len(keys)]
    place = np.arange(len(keys))
    number = np.empty(len(keys), np.uint64)
    number[order] = place - np.maximum.accumulate(np.where(fresh, place, 0))
    return mixed(keys ^ (number * np.uint64(_STEP)))


def streams(repeats: int, seed: int) -> Keys:
    """Return (repeats,) keys, one per random draw."""
    start = int.from_bytes(hashlib.blake2b(str(seed).encode(), digest_size=8).digest(), "little")
    return mixed(np.asarray([(start + k * _STEP) & _MASK for k in range(repeats)], dtype=np.uint64))


def random_orders(keys: Keys, draws: Keys, tier: Ints | None = None) -> NDArray[np.int64]:
    """Return a random order of the rows for each draw.

    A row's random number depends on its key and the draw alone: neither on its place nor on other rows.

    Args:
        keys: (n,) distinct keys of the rows.
        draws: (r,) keys of the draws.
        tier: (n,) small numbers that come before chance: rows of tier 0 first. None puts all in one.

    Returns:
        (r, n) row numbers, first to last.
    """
    n = len(keys)
    bits = max(n - 1, 1).bit_length()
    low = np.uint64((1 << bits) - 1)
    chance = mixed(keys[None, :] ^ draws[:, None])
    if tier is not None:
        width = int(tier.max(initial=0)).bit_length()
        chance >>= np.uint64(width)
        chance |= tier.astype(np.uint64) << np.uint64(64 - width) if width else np.uint64(0)
    # The row number rides in the lowest bits, so that one plain sort gives the order.
    chance &= ~low
    chance |= np.arange(n, dtype=np.uint64)
    chance.sort(axis=1)
    chance &= low
    return chance.view(np.int64)


def score_tiers(scores: Floats) -> Ints:
    """Return (n,) 0 for the highest score, 1 for the next, and so on; equal scores share a number."""
    unique, place = np.unique(scores, return_inverse=True)
    tiers: Ints = len(unique) - 1 - place.astype(np.int64)
    return tiers


def mixed(keys: Keys) -> Keys:
    """Spread 64 bits over 64 bits, one to one (the finishing step of SplitMix64)."""
    out = keys + np.uint64(_STEP)
    scratch = np.empty_like(out)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB), (31, 1)):
        np.right_shift(out, np.uint64(shift), out=scratch)
        np.bitwise_xor(out, scratch, out=out)
        if factor > 1:
            np.multiply(out, np.uint64(factor), out=out)
    return out
