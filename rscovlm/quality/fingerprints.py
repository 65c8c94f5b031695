"""Equal and nearly equal images: a checksum of the file, and a small print of what the picture looks like."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from rscovlm.quality.near_duplicates.alignment import grain

_SIDE = 16
_FINE = 64
_LEVELS = 40
"""Whole steps of a detail of size 1."""
_BANDS = 8
_ROWS = 512


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
    look = np.asarray(grey.resize((_SIDE, _SIDE), Image.Resampling.BOX), np.float32)
    look = look - look.mean()
    norm = float(np.linalg.norm(look))
    # Below two grey levels of contrast a miniature is noise: flat sea looks like any other flat sea.
    look = look / norm if norm > 2 * _SIDE else np.zeros_like(look)
    miniature = np.asarray(grey.resize((_FINE, _FINE), Image.Resampling.BOX), np.float32)
    fine = np.clip(np.rint(grain(miniature) * _LEVELS), -127, 127).astype(np.int8)
    return Print(hashlib.sha256(picture.tobytes() + repr(picture.size).encode()).hexdigest()[:16], bits, look, fine)


def near_pairs(
    prints: Sequence[Print], *, distance: int = 7, likeness: float = 0.97, agreement: float = 0.3
) -> Iterator[tuple[int, int]]:
    """Find pairs of pictures that look the same.

    Two pictures are a pair if their bits differ in at most `distance` (up to 7) places and their miniatures correlate by at least
    `likeness`. With at most 7 differing bits one of 8 bytes is equal, so only pictures that share a byte in place are compared. Flat
    pictures look like any other flat picture and are left out. So are pairs of which too few places agree in their finest details:
    two shapes on plain ground, or the shading of two waters, may look the same in a miniature.

    Args:
        prints: The pictures' fingerprints.
        distance: Differing bits allowed.
        likeness: Correlation asked for, between 0 and 1.
        agreement: Share of places whose finest details agree that is asked for.

    Yields:
        Indices (i, j) with i < j, each pair once.
    """
    vivid = np.array([index for index, item in enumerate(prints) if item.look.any()], int)
    if len(vivid) < 2:
        return
    bits = np.array([prints[index].bits for index in vivid], np.uint64)
    looks = np.stack([prints[index].look.ravel() for index in vivid])
    byte = [(bits >> np.uint64(8 * band)) & np.uint64(0xFF) for band in range(_BANDS)]
    for band in range(_BANDS):
        order = np.argsort(byte[band], kind="stable")
        for members in np.split(order, np.flatnonzero(np.diff(byte[band][order])) + 1):
            for start in range(0, len(members), _ROWS):
                rows = members[start : start + _ROWS]
                apart = np.bitwise_count(bits[rows][:, None] ^ bits[members][None, :])
                first, second = np.nonzero((apart <= distance) & (rows[:, None] < members[None, :]))
                i, j = rows[first], members[second]
                # A pair that shares an earlier byte was met there.
                fresh = (
                    ~np.any([byte[earlier][i] == byte[earlier][j] for earlier in range(band)], axis=0)
                    if band
                    else np.ones(len(i), bool)
                )
                i, j = i[fresh], j[fresh]
                alike = np.einsum("ij,ij->i", looks[i], looks[j]) >= likeness
                for one, other in zip(vivid[i[alike]].tolist(), vivid[j[alike]].tolist(), strict=True):
                    if _agreement(prints[one], prints[other]) >= agreement:
                        yield one, other


def _agreement(one: Print, other: Print) -> float:
    return float(np.dot(one.fine.ravel().astype(np.float32), other.fine.ravel())) / (one.fine.size * _LEVELS**2)
