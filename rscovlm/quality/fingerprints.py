"""Equal and nearly equal images: a checksum of the file, and a small print of what the picture looks like."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from rscovlm.quality.near_duplicates.alignment import grain

SIDE = 16
FINE = 64
_LEVELS = 40
"""Whole steps of a detail of size 1."""
_ROWS = 128
_COLUMNS = 4096
_PAIRS = 2048
"""Pairs whose miniatures are gathered at once."""
_CROWD = 64
"""Fingerprints of one key that are compared as a crowd, without those that need not be compared any more."""
_SORTED = 12
"""Pairs that are compared in the time in which a fingerprint is sorted by one more key (measured)."""

Bits = NDArray[np.uint64]
Ints = NDArray[np.intp]


@dataclass(frozen=True)
class Print:
    """A picture's fingerprint.

    Attributes:
        digest: SHA-256 of the pixels, first 16 hexadecimal digits.
        bits: 64 bits: whether each pixel of a 9 x 8 miniature is brighter than its left neighbour.
        look: 16 x 16 grey miniature, mean 0 and norm 1; all zero for a flat picture.
        fine: (64, 64) finest details of a grey miniature in whole steps; see `grain`.
    """

    digest: str
    bits: int
    look: NDArray[np.float32]
    fine: NDArray[np.int8]

    @property
    def plain(self) -> bool:
        """Whether there is nothing to see, as in a tile without data: it equals any other of its kind."""
        return not self.fine.any()


def fingerprint(picture: Image.Image) -> Print:
    """Take the fingerprint of a picture, of any size; equal pictures stored in different formats have close prints."""
    grey = picture.convert("L")
    small = np.asarray(grey.resize((9, 8), Image.Resampling.BOX), np.int16)
    bits = int.from_bytes(np.packbits(small[:, 1:] > small[:, :-1]).tobytes(), "big")
    look = np.asarray(grey.resize((SIDE, SIDE), Image.Resampling.BOX), np.float32)
    look = look - look.mean()
    norm = float(np.linalg.norm(look))
    # Below two grey levels of contrast a miniature is noise: flat sea looks like any other flat sea.
    look = look / norm if norm > 2 * SIDE else np.zeros_like(look)
    miniature = np.asarray(grey.resize((FINE, FINE), Image.Resampling.BOX), np.float32)
    fine = np.clip(np.rint(grain(miniature) * _LEVELS), -127, 127).astype(np.int8)
    return Print(hashlib.sha256(picture.tobytes() + repr(picture.size).encode()).hexdigest()[:16], bits, look, fine)


def near_pairs(
    prints: Sequence[Print],
    *,
    kinds: Sequence[str] | None = None,
    distance: int = 7,
    likeness: float = 0.97,
    agreement: float = 0.3,
) -> Iterator[tuple[int, int]]:
    """Find pictures that look like an earlier one: each at most once for every kind of earlier picture.

    So of a thousand pictures that all look the same there are 999 pairs, not half a million, and yet every picture that looks like
    one of another split is found, where the kinds are splits.

    Two pictures are a pair if their bits differ in at most `distance` (up to 7) places and their miniatures correlate by at least
    `likeness`. With at most 7 differing bits, of 9 bands of bits two are equal (of 8 one, of 10 three), so only pictures that share
    bands are compared. Flat pictures look like any other flat picture and are left out. So are pairs of which too few places agree in
    their finest details: two shapes on plain ground, or the shading of two waters, may look the same in a miniature.

    Args:
        prints: The pictures' fingerprints.
        kinds: (n,) what each is; all one kind by default.
        distance: Differing bits allowed.
        likeness: Correlation asked for, between 0 and 1.
        agreement: Share of places whose finest details agree that is asked for.

    Yields:
        Indices (i, j) with i < j.
    """
    vivid = np.array([index for index, item in enumerate(prints) if item.look.any()], int)
    if len(vivid) < 2:
        return
    names = ["" if kinds is None else kinds[index] for index in vivid]
    kind = np.unique(names, return_inverse=True)[1]
    covered = np.zeros((len(vivid), kind.max() + 1), bool)
    for i, j in _candidates(np.array([prints[index].bits for index in vivid], np.uint64), kind, covered, distance):
        # Pairs of an earlier row first: what it settles need not be compared with later ones.
        for start in range(0, len(i), _PAIRS):
            one, other = i[start : start + _PAIRS], j[start : start + _PAIRS]
            open_ = ~covered[other, kind[one]]
            one, other = one[open_], other[open_]
            looks = (
                [np.stack([prints[index].look.ravel() for index in vivid[rows]]) for rows in (one, other)]
                if len(one)
                else []
            )
            alike = np.einsum("ij,ij->i", *looks) >= likeness if looks else open_[:0]
            for first, second in zip(one[alike].tolist(), other[alike].tolist(), strict=True):
                if covered[second, kind[first]] or _agreement(prints[vivid[first]], prints[vivid[second]]) < agreement:
                    continue
                covered[second, kind[first]] = True
                yield int(vivid[first]), int(vivid[second])


def _candidates(bits: Bits, kind: Ints, covered: NDArray[np.bool_], distance: int) -> Iterator[tuple[Ints, Ints]]:
    """Yield rows (k,) of pairs whose bits are near, each pair once, without those that are covered by then."""
    equal = _least_equal(len(bits), distance)
    bands = [((bits >> np.uint64(low)) & np.uint64((1 << width) - 1), width) for low, width in _bands(distance + equal)]
    for chosen in itertools.combinations(range(len(bands)), equal):
        key = np.zeros_like(bits)
        for band in chosen:
            values, width = bands[band]
            key = (key << np.uint64(width)) | values
        for i, j in _of_equal_key(bits, key, kind, covered, distance):
            # A pair is met wherever enough of its bands are equal; the first of these places is the one that counts.
            met = np.zeros(len(i), bool)
            for earlier in range(chosen[-1]):
                if earlier not in chosen:
                    met |= bands[earlier][0][i] == bands[earlier][0][j]
            yield i[~met], j[~met]


def _bands(count: int) -> list[tuple[int, int]]:
    """Return the first bit and the width of so many bands of about equal width of 64 bits."""
    edges = [64 * band // count for band in range(count + 1)]
    return [(low, high - low) for low, high in itertools.pairwise(edges)]


def _least_equal(count: int, distance: int) -> int:
    """Return how many bands a pair must have in common: more of them make more keys to sort by, and fewer pairs by chance."""

    def cost(equal: int) -> float:
        widths = [width for _, width in _bands(distance + equal)]
        keys = [sum(chosen) for chosen in itertools.combinations(widths, equal)]
        return sum(count * _SORTED + count * count / (1 << width) for width in keys)

    return min((1, 2, 3), key=cost)


def _of_equal_key(
    bits: Bits, key: Bits, kind: Ints, covered: NDArray[np.bool_], distance: int
) -> Iterator[tuple[Ints, Ints]]:
    """Yield rows of pairs of one key whose bits are near, without those that are covered by then."""
    order = np.argsort(key, kind="stable")
    starts = np.flatnonzero(np.diff(key[order], prepend=~key[order[0]]))
    sizes = np.diff(starts, append=len(order))
    for start, size in zip(starts[sizes > _CROWD].tolist(), sizes[sizes > _CROWD].tolist(), strict=True):
        yield from _of_crowd(bits, order[start : start + size], kind, covered, distance)
    # The others all at once: each with the next of its key, the one after that, and so on.
    after = np.repeat(np.where(sizes > _CROWD, 0, starts + sizes), sizes)
    place = np.arange(len(order))
    for step in range(1, _CROWD):
        place = place[place + step < after[place]]
        if not len(place):
            break
        i, j = order[place], order[place + step]
        near = np.bitwise_count(bits[i] ^ bits[j]) <= distance
        i, j = i[near], j[near]
        fresh = ~covered[j, kind[i]]
        yield i[fresh], j[fresh]


def _of_crowd(
    bits: Bits, bucket: Ints, kind: Ints, covered: NDArray[np.bool_], distance: int
) -> Iterator[tuple[Ints, Ints]]:
    """Yield rows of near pairs of a bucket, rising, in chunks: first ones rising, without those that are covered by then."""
    left, present = bucket, np.unique(kind[bucket])
    for start in range(0, len(bucket), _ROWS):
        rows = bucket[start : start + _ROWS]
        left = left[~covered[left][:, present].all(axis=1)]
        later = left[left > rows[0]]
        for begin in range(0, len(later), _COLUMNS):
            members = later[begin : begin + _COLUMNS]
            apart = np.bitwise_count(bits[rows][:, None] ^ bits[members][None, :])
            first, second = np.nonzero((apart <= distance) & (rows[:, None] < members[None, :]))
            i, j = rows[first], members[second]
            fresh = ~covered[j, kind[i]]
            yield i[fresh], j[fresh]


def _agreement(one: Print, other: Print) -> float:
    return float(np.dot(one.fine.ravel().astype(np.float32), other.fine.ravel())) / (one.fine.size * _LEVELS**2)
