"""Equal and nearly equal images: a checksum of the file, and a small print of what the picture looks like."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

_SIDE = 16
_BANDS = 8


@dataclass(frozen=True)
class Print:
    """A picture's fingerprint.

    Attributes:
        digest: SHA-256 of the pixels, first 16 hexadecimal digits.
        bits: 64 bits: whether each pixel of a 9 x 8 miniature is brighter than its left neighbour.
        look: 16 x 16 grey miniature, mean 0 and norm 1; all zero for a flat picture.
    """

    digest: str
    bits: int
    look: NDArray[np.float32]


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
    return Print(hashlib.sha256(picture.tobytes() + repr(picture.size).encode()).hexdigest()[:16], bits, look)


def near_pairs(
    prints: Sequence[Print], *, distance: int = 7, likeness: float = 0.97, crowd: int = 200
) -> Iterator[tuple[int, int]]:
    """Find pairs of pictures that look the same.

    Two pictures are a pair if their bits differ in at most `distance` (up to 7) places and their miniatures correlate by at least
    `likeness`. With at most 7 differing bits one of 8 bytes is equal, so only pictures that share a byte in place are compared.

    Args:
        prints: The pictures' fingerprints.
        distance: Differing bits allowed.
        likeness: Correlation asked for, between 0 and 1.
        crowd: Where more than this many pictures share a byte, each is compared with this many of its followers only.

    Yields:
        Indices (i, j) with i < j, each pair once.
    """
    seen: set[tuple[int, int]] = set()
    for band in range(_BANDS):
        groups: dict[int, list[int]] = defaultdict(list)
        for index, item in enumerate(prints):
            if item.look.any():
                groups[(item.bits >> (8 * band)) & 0xFF].append(index)
        for members in groups.values():
            for place, i in enumerate(members):
                for j in members[place + 1 : place + 1 + crowd]:
                    if (i, j) in seen or (prints[i].bits ^ prints[j].bits).bit_count() > distance:
                        continue
                    if float((prints[i].look * prints[j].look).sum()) >= likeness:
                        seen.add((i, j))
                        yield i, j
