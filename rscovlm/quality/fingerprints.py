"""Equal and nearly equal images: a checksum of the file, and a small print of what the picture looks like."""

from __future__ import annotations

import hashlib
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
_BANDS = 8
_ROWS = 128
_COLUMNS = 4096
_PAIRS = 2048
"""Pairs whose miniatures are gathered at once."""

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
    `likeness`. With at most 7 differing bits one of 8 bytes is equal, so only pictures that share a byte in place are compared. Flat
    pictures look like any other flat picture and are left out. So are pairs of which too few places agree in their finest details:
    two shapes on plain ground, or the shading of two waters, may look the same in a miniature.

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
    """Yield rows (k,) of pairs whose bits are near, first ones rising, without those that are covered by then."""
    byte = [(bits >> np.uint64(8 * band)) & np.uint64(0xFF) for band in range(_BANDS)]
    for band in range(_BANDS):
        order = np.argsort(byte[band], kind="stable")
        for bucket in np.split(order, np.flatnonzero(np.diff(byte[band][order])) + 1):
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
                    i, j = i[fresh], j[fresh]
                    # A pair that shares an earlier byte was met there.
                    met = np.zeros(len(i), bool)
                    for earlier in range(band):
                        met |= byte[earlier][i] == byte[earlier][j]
                    yield i[~met], j[~met]


def _agreement(one: Print, other: Print) -> float:
    return float(np.dot(one.fine.ravel().astype(np.float32), other.fine.ravel())) / (one.fine.size * _LEVELS**2)
