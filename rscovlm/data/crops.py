"""Pictures that show part of the same ground: crops of one scene at other places, turned or mirrored, at the same scale.

Landmarks say which pictures may be such a pair and how one lies on the other; then the part that both show is compared pixel by pixel.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from rscovlm.data.landmarks import Grey, blurred, landmarks

_SHRINK = 2
_FURTHER = 2
_PART = 1024
_STRIDE = 768
_CROWD = 200
_BIN = 4
_LEAST_SIDE = 12
_NEAR = 4
_CHUNK = 1 << 20
_LEAST_CONTRAST = 0.4


@dataclass(frozen=True)
class Overlap:
    """Two pictures that show part of the same ground.

    Attributes:
        first: Number of the one picture, in the order they were added.
        second: Number of the other, larger.
        share: Part of the smaller picture that the other shows too, from 0 to 1.
        likeness: Correlation of the details there.
        turned: The one is turned or mirrored against the other.
    """

    first: int
    second: int
    share: float
    likeness: float
    turned: bool


class Crops:
    """Gather pictures one by one, then find those that overlap.

    A picture's landmarks stay in memory (about 15 kB for 800 x 800 pixels, five times that while they are compared) and a small grey
    copy in a temporary file. Crops at another scale, and places without detail such as open water, are not found.

    Args:
        likeness: Correlation of the details asked for in the part that both show; more where they repeat themselves.
        largest: Pixels of the largest picture looked at; larger ones are counted in `skipped`.
    """

    def __init__(self, *, likeness: float = 0.7, largest: int = 1 << 28) -> None:
        self.skipped = 0
        self._likeness, self._largest = likeness, largest
        self._count = 0
        self._parts: list[_Part] = []
        self._keys: list[NDArray[np.uint32]] = []
        self._points: list[NDArray[np.int16]] = []
        self._turns: list[NDArray[np.uint8]] = []
        self._owner: list[NDArray[np.uint32]] = []
        self._spool: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 (read again when all is in)

    def fits(self, width: int, height: int) -> bool:
        """Tell whether a picture of that size is looked at."""
        return width * height <= self._largest

    def shrunk(self, width: int, height: int) -> tuple[int, int]:
        """Give the size that a picture of that size is to be read at; all are read at the same scale."""
        return max(1, width // _SHRINK), max(1, height // _SHRINK)

    def add(self, picture: Image.Image | None) -> int:
        """Take in a picture, shrunk as `shrunk` says, or None for one that is only counted; give its number."""
        number = self._count
        self._count += 1
        if picture is None:
            self.skipped += 1
            return number
        grey = np.asarray(picture.convert("L"), np.float32)
        for top in range(0, max(1, grey.shape[0] - (_PART - _STRIDE)), _STRIDE):
            for left in range(0, max(1, grey.shape[1] - (_PART - _STRIDE)), _STRIDE):
                self._take(number, grey[top : top + _PART, left : left + _PART])
        return number

    def _take(self, number: int, grey: Grey) -> None:
        found = landmarks(grey)
        if not len(found.keys):
            return
        small = _halved(grey)
        self._parts.append(_Part(number, (grey.shape[1], grey.shape[0]), self._spool.tell(), small.shape))
        self._spool.write(small.astype(np.uint8).tobytes())
        self._keys.append(found.keys)
        self._points.append(found.points)
        self._turns.append(found.turns)
        self._owner.append(np.full(len(found.keys), len(self._parts) - 1, np.uint32))

    def overlaps(self) -> Iterator[Overlap]:
        """Compare what landmarks suggest; give every pair of pictures once, with its best likeness."""
        best: dict[tuple[int, int], Overlap] = {}
        for first, second, turn, shift in self._suggested():
            one, other = self._parts[first], self._parts[second]
            pair = (one.picture, other.picture)
            if pair in best:
                continue
            seen = self._compared(one, other, turn, shift)
            if seen is not None:
                best[pair] = Overlap(*pair, *seen, turned=turn != 0)
        self._spool.close()
        yield from sorted(best.values(), key=lambda found: (found.first, found.second))

    def _suggested(self) -> Iterator[tuple[int, int, int, tuple[float, float]]]:
        """Give (part, part, turn, shift) that at least two landmarks agree on, the most agreed on first."""
        if not self._keys:
            return
        keys = np.concatenate(self._keys)
        table = _Table(
            np.concatenate(self._owner),
            np.concatenate(self._points),
            np.concatenate(self._turns),
            np.array([part.picture for part in self._parts], np.int64),
            np.array([part.size for part in self._parts], np.int32),
        )
        order = np.argsort(keys, kind="stable")
        starts = np.flatnonzero(np.diff(keys[order], prepend=keys[order[0]] ^ 1))
        sizes = np.diff(starts, append=len(order))
        votes = []
        # A key that very many places share, such as a road's edge, says nothing.
        for size in np.unique(sizes[(sizes > 1) & (sizes <= _CROWD)]).tolist():
            begins = starts[sizes == size]
            i, j = np.triu_indices(size, 1)
            rows = max(1, _CHUNK // len(i))
            for start in range(0, len(begins), rows):
                members = order[begins[start : start + rows, None] + np.arange(size)]
                votes.append(table.votes(members[:, i].ravel(), members[:, j].ravel()))
        if votes:
            yield from _agreed(np.concatenate([code for code, _ in votes]), np.concatenate([way for _, way in votes]))

    def _compared(self, one: _Part, other: _Part, turn: int, shift: tuple[float, float]) -> tuple[float, float] | None:
        """Lay one part on the other and correlate the details of what both show; None if they are not alike."""
        first, second = _turn(self._grey(one), turn), self._grey(other)
        best = None
        x, y = (round(value / _FURTHER) for value in shift)
        for dx, dy in ((dx, dy) for dx in (-1, 0, 1) for dy in (-1, 0, 1)):
            seen = _overlay(first, second, x + dx, y + dy)
            if seen is not None and (best is None or seen[1] > best[1]):
                best = seen
        if best is None or best[1] < self._likeness:
            return None
        needed = (1 + _repeats(*best[2:])) / 2
        return (best[0], best[1]) if best[1] >= needed else None

    def _grey(self, part: _Part) -> Grey:
        self._spool.seek(part.place)
        data = self._spool.read(part.shape[0] * part.shape[1])
        return np.frombuffer(data, np.uint8).reshape(part.shape).astype(np.float32)


@dataclass(frozen=True)
class _Table:
    """All landmarks, by row: the part they are in, where, and how turned; and of each part its picture and size."""

    owner: NDArray[np.uint32]
    points: NDArray[np.int16]
    turns: NDArray[np.uint8]
    picture: NDArray[np.int64]
    size: NDArray[np.int32]

    def votes(self, i: NDArray[np.intp], j: NDArray[np.intp]) -> tuple[NDArray[np.uint64], NDArray[np.int16]]:
        """Say for pairs of rows that look the same which parts would lie on each other, and how.

        Returns:
            (n,) codes of the two parts and the turn, and (n, 4): where the one would lie on the other, and the landmark in the one.
        """
        swap = self.owner[i] > self.owner[j]
        i, j = np.where(swap, j, i), np.where(swap, i, j)
        apart = self.picture[self.owner[i]] != self.picture[self.owner[j]]
        i, j = i[apart], j[apart]
        turn = _BETWEEN[self.turns[i], self.turns[j]]
        code = (
            (self.owner[i].astype(np.uint64) << np.uint64(34))
            | (self.owner[j].astype(np.uint64) << np.uint64(3))
            | turn
        )
        x, y = _placed(self.points[i], self.size[self.owner[i]], turn)
        way = (self.points[j, 0] - x, self.points[j, 1] - y, self.points[i, 0], self.points[i, 1])
        return code, np.stack(way, axis=1).astype(np.int16)


@dataclass(frozen=True)
class _Part:
    picture: int
    size: tuple[int, int]
    place: int
    shape: tuple[int, ...]


def _halved(grey: Grey) -> Grey:
    height, width = (side // _FURTHER * _FURTHER for side in grey.shape)
    cut = grey[:height, :width].reshape(height // _FURTHER, _FURTHER, width // _FURTHER, _FURTHER)
    return np.asarray(cut.mean(axis=(1, 3)), np.float32)


def _turn(grey: Grey, turn: int) -> Grey:
    """Mirror x (1), then y (2), then swap them (4)."""
    grey = grey[:, ::-1] if turn & 1 else grey
    grey = grey[::-1] if turn & 2 else grey
    return grey.T if turn & 4 else grey


def _between() -> NDArray[np.uint8]:
    """Tabulate the turn that carries a picture onto another, of which landmarks were turned by a and by b to the same patch.

    The way there is a, and back again from b; both are found by trying all on a square of different numbers.
    """
    square = np.arange(9.0, dtype=np.float32).reshape(3, 3)
    table = np.zeros((8, 8), np.uint8)
    for a in range(8):
        for b in range(8):
            table[a, b] = next(turn for turn in range(8) if (_turn(_turn(square, turn), b) == _turn(square, a)).all())
    return table


_BETWEEN = _between()


def _placed(
    points: NDArray[np.int16], sizes: NDArray[np.int32], turn: NDArray[np.uint8]
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Carry pixels to where they lie in the turned picture."""
    x = np.where(turn & 1, sizes[:, 0] - 1 - points[:, 0], points[:, 0])
    y = np.where(turn & 2, sizes[:, 1] - 1 - points[:, 1], points[:, 1])
    return np.where(turn & 4, y, x), np.where(turn & 4, x, y)


def _agreed(codes: NDArray[np.uint64], ways: NDArray[np.int16]) -> Iterator[tuple[int, int, int, tuple[float, float]]]:
    """Give what at least two different landmarks agree on, within a few pixels, the most first."""
    order = np.argsort(codes, kind="stable")
    codes, ways = codes[order], ways[order]
    again = np.diff(codes, prepend=codes[:1] ^ np.uint64(1)) == 0
    several = again | np.append(again[1:], [False])
    codes, ways = codes[several], ways[several].astype(np.int64)
    if not len(codes):
        return
    found: dict[int, list[tuple[int, float, float]]] = {}
    for half in (0, _BIN // 2):
        cells = np.column_stack([codes.astype(np.int64), (ways[:, :2] + half) // _BIN])
        order = np.lexsort(cells.T[::-1])
        cells, rows = cells[order], ways[order]
        starts = np.flatnonzero(np.any(np.diff(cells, axis=0, prepend=cells[:1] - 1) != 0, axis=1))
        for start, end in zip(starts.tolist(), [*starts[1:].tolist(), len(cells)], strict=True):
            different = len({*map(tuple, rows[start:end, 2:].tolist())}) if end - start > 1 else 0
            if different > 1:
                x, y = np.median(rows[start:end, :2], axis=0).tolist()
                found.setdefault(int(cells[start, 0]), []).append((different, x, y))
    ranked = [(count, code, (x, y)) for code, places in found.items() for count, x, y in sorted(places)[-2:]]
    for _, code, shift in sorted(ranked, key=lambda item: (-item[0], item[1:])):
        yield code >> 34, code >> 3 & (1 << 31) - 1, code & 7, shift


def _repeats(one: Grey, other: Grey) -> float:
    """Give how like itself a picture's details are elsewhere in it, the more repetitive of two: furrows of any two fields are alike."""
    found = 0.0
    for details in (one, other):
        spectrum = np.abs(np.fft.rfft2(details)) ** 2
        alike = np.fft.irfft2(spectrum, details.shape)
        alike /= alike[0, 0]
        near = np.ix_(*(np.minimum(np.arange(side), side - np.arange(side)) <= _NEAR for side in details.shape))
        alike[near] = 0
        found = max(found, float(alike.max()))
    return found


def _overlay(first: Grey, second: Grey, x: int, y: int) -> tuple[float, float, Grey, Grey] | None:
    """Put the one at (x, y) of the other: share of the smaller that both show, correlation of the details there, and these."""
    left, top = max(0, x), max(0, y)
    right, bottom = min(second.shape[1], x + first.shape[1]), min(second.shape[0], y + first.shape[0])
    if min(right - left, bottom - top) < _LEAST_SIDE:
        return None
    one, other = _details(first[top - y : bottom - y, left - x : right - x]), _details(second[top:bottom, left:right])
    spread = float(one.std() * other.std())
    if min(one.std(), other.std()) < _LEAST_CONTRAST:
        return None
    share = (right - left) * (bottom - top) / min(first.size, second.size)
    return share, float((one * other).mean() / spread), one, other


def _details(grey: Grey) -> Grey:
    """Take away noise and slow change, so that neither light nor padding makes two pictures alike."""
    found = blurred(grey, 1) - blurred(grey, 6)
    return np.asarray(found - found.mean(), np.float32)
