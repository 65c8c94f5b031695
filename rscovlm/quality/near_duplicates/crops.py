"""Pictures that show part of the same ground: crops of one scene at other places, turned, mirrored, or at another scale.

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

from rscovlm.quality.near_duplicates.alignment import (
    agreeing,
    best_laid,
    covered,
    evenly,
    grain,
    repeats,
    resized,
    shrunken,
    turned,
)
from rscovlm.quality.near_duplicates.keypoints import Grey, landmarks

_SHRINK = 2
_FURTHER = 2
_PART = 1024
_STRIDE = 768
_CROWD = 200
_BIN = 4
_CHUNK = 1 << 20
# Of unrelated pictures with one to three shapes on plain ground, at most 0.41 of what coincides has details in both; of crops of
# scenes and of real pictures, at least 0.54. Less than 3,000 pixels one shape may fill: there its edges must not be all that agrees,
# which was up to 0.51.
_COVERED, _AGREED, _SMALL = 0.48, 0.52, 3000
# Landmarks are found again within a tenth of their scale, so four steps down from it meet anything up to twice as large.
_STEP = 2**0.25
_LEVELS = 5
_BETWEEN_STEPS = (1.0, 0.965, 1.035, 0.93, 1.07)


@dataclass(frozen=True)
class CropPair:
    """Two pictures that show part of the same ground.

    Attributes:
        first: Number of the one picture, in the order they were added.
        second: Number of the other, larger.
        share: Part of the smaller picture that the other shows too, from 0 to 1.
        likeness: Correlation of the details there.
        turned: The one is turned or mirrored against the other.
        scale: Pixels of the second that a pixel of the first is long.
    """

    first: int
    second: int
    share: float
    likeness: float
    turned: bool
    scale: float = 1.0


class Crops:
    """Gather pictures one by one, then find those that overlap.

    A picture's landmarks stay in memory (about 15 kB for 800 x 800 pixels, 40 kB with `scales`, five times that while they are compared)
    and a small grey copy in a temporary file. Places without detail such as open water are not found, nor strips of less than 96 pixels.

    Args:
        likeness: Correlation of the details asked for in the part that both show; more where they repeat themselves.
        largest: Pixels of the largest picture looked at; larger ones are counted in `skipped`.
        scales: Find crops at up to twice or half the scale, too.
    """

    def __init__(self, *, likeness: float = 0.7, largest: int = 1 << 28, scales: bool = True) -> None:
        self.skipped = 0
        self._likeness, self._largest = likeness, largest
        self._levels = _LEVELS if scales else 1
        self._count = 0
        self._parts: list[_CropPart] = []
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
        small = shrunken(grey, _FURTHER)
        place = self._spool.tell()
        for level in range(self._levels):
            scale = _STEP**-level
            here = resized(grey, scale) if level else grey
            found = landmarks(here)
            if not len(found.keys):
                break
            if not level:
                self._spool.write(small.astype(np.uint8).tobytes())
            self._parts.append(_CropPart(number, (here.shape[1], here.shape[0]), place, small.shape, scale))
            self._keys.append(found.keys)
            self._points.append(found.points)
            self._turns.append(found.turns)
            self._owner.append(np.full(len(found.keys), len(self._parts) - 1, np.uint32))

    def overlaps(self) -> Iterator[CropPair]:
        """Compare what landmarks suggest; give every pair of pictures once, with its best likeness."""
        best: dict[tuple[int, int], CropPair] = {}
        for way in self._suggested():
            one, other = self._parts[way.first], self._parts[way.second]
            pair = (one.picture, other.picture)
            if pair in best:
                continue
            seen = self._compared(one, other, way)
            if seen is not None:
                best[pair] = seen
        self._spool.close()
        yield from sorted(best.values(), key=lambda found: (found.first, found.second))

    def _suggested(self) -> Iterator[_Way]:
        """Give what several landmarks agree on, the most agreed on first."""
        if not self._keys:
            return
        keys = np.concatenate(self._keys)
        table = _Table(
            np.concatenate(self._owner),
            np.concatenate(self._points),
            np.concatenate(self._turns),
            np.array([part.picture for part in self._parts], np.int64),
            np.array([part.size for part in self._parts], np.int32),
            np.array([part.scale == 1 for part in self._parts]),
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
            codes, places = (np.concatenate(column) for column in zip(*votes, strict=True))
            yield from _agreed(codes, places, scaled=self._levels > 1)

    def _compared(self, one: _CropPart, other: _CropPart, way: _Way) -> CropPair | None:
        """Lay one part on the other and correlate the details of what both show; None if they are not alike."""
        first, second = turned(self._grey(one), way.turn), self._grey(other)
        # The landmarks lie in pictures shrunk by the parts' own scales.
        scale = way.scale * one.scale / other.scale
        x, y = (at / other.scale / _FURTHER for at in way.shift)
        laid = best_laid(first, second, scale, (x, y))
        if laid is None or laid.likeness < self._likeness:
            return None
        if evenly(laid) < self._likeness or laid.likeness < (1 + repeats(laid.one, laid.other)) / 2:
            return None
        if laid.one.size < _SMALL:
            edges_alone = agreeing(grain(laid.one), grain(laid.other)) < _AGREED
        else:
            edges_alone = covered(laid) < _COVERED
        if edges_alone:
            return None
        return CropPair(one.picture, other.picture, laid.share, laid.likeness, turned=way.turn != 0, scale=laid.scale)

    def _grey(self, part: _CropPart) -> Grey:
        self._spool.seek(part.place)
        data = self._spool.read(part.shape[0] * part.shape[1])
        return np.frombuffer(data, np.uint8).reshape(part.shape).astype(np.float32)


@dataclass(frozen=True)
class _Table:
    """All landmarks, by row: the part they are in, where, and how turned; and of each part its picture, size, and if it was not shrunk."""

    owner: NDArray[np.uint32]
    points: NDArray[np.int16]
    turns: NDArray[np.uint8]
    picture: NDArray[np.int64]
    size: NDArray[np.int32]
    whole: NDArray[np.bool_]

    def votes(self, i: NDArray[np.intp], j: NDArray[np.intp]) -> tuple[NDArray[np.uint64], NDArray[np.int16]]:
        """Say for pairs of rows that look the same which parts would lie on each other, and how.

        Returns:
            (n,) codes of the two parts and the turn, and (n, 4): the landmark in the other part, and in the one after its turn.
        """
        swap = self.owner[i] > self.owner[j]
        i, j = np.where(swap, j, i), np.where(swap, i, j)
        apart = self.picture[self.owner[i]] != self.picture[self.owner[j]]
        # Two pictures that were both shrunk say what they said before, and less of it.
        apart &= self.whole[self.owner[i]] | self.whole[self.owner[j]]
        i, j = i[apart], j[apart]
        turn = _BETWEEN[self.turns[i], self.turns[j]]
        code = (
            (self.owner[i].astype(np.uint64) << np.uint64(34))
            | (self.owner[j].astype(np.uint64) << np.uint64(3))
            | turn
        )
        x, y = _placed(self.points[i], self.size[self.owner[i]], turn)
        return code, np.column_stack([self.points[j], x, y]).astype(np.int16)


@dataclass(frozen=True)
class _CropPart:
    picture: int
    size: tuple[int, int]
    place: int
    shape: tuple[int, ...]
    scale: float


@dataclass(frozen=True)
class _Way:
    """How one part would lie on another: turned first, then `scale` times as large, then shifted."""

    first: int
    second: int
    turn: int
    scale: float
    shift: tuple[float, float]


def _between() -> NDArray[np.uint8]:
    """Tabulate the turn that carries a picture onto another, of which landmarks were turned by a and by b to the same patch.

    The way there is a, and back again from b; both are found by trying all on a square of different numbers.
    """
    square = np.arange(9.0, dtype=np.float32).reshape(3, 3)
    table = np.zeros((8, 8), np.uint8)
    for a in range(8):
        for b in range(8):
            table[a, b] = next(
                turn for turn in range(8) if (turned(turned(square, turn), b) == turned(square, a)).all()
            )
    return table


_BETWEEN = _between()


def _placed(
    points: NDArray[np.int16], sizes: NDArray[np.int32], turn: NDArray[np.uint8]
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Carry pixels to where they lie in the turned picture."""
    x = np.where(turn & 1, sizes[:, 0] - 1 - points[:, 0], points[:, 0])
    y = np.where(turn & 2, sizes[:, 1] - 1 - points[:, 1], points[:, 1])
    return np.where(turn & 4, y, x), np.where(turn & 4, x, y)


def _agreed(codes: NDArray[np.uint64], places: NDArray[np.int16], *, scaled: bool) -> Iterator[_Way]:
    """Give what two different landmarks agree on, within a few pixels, or three where the steps' scales are not enough; the most first."""
    order = np.argsort(codes, kind="stable")
    codes, places = codes[order], places[order]
    again = np.diff(codes, prepend=codes[:1] ^ np.uint64(1)) == 0
    several = again | np.append(again[1:], [False])
    known, points = codes[several].astype(np.int64), places[several].astype(np.float32)
    found: dict[int, list[tuple[int, _Way]]] = {}
    for scale in _BETWEEN_STEPS if scaled else (1.0,):
        for half in (0, _BIN // 2):
            for code, rows in _together(known, points, scale, half):
                different = len({*map(tuple, rows[:, 2:].tolist())})
                # The more scales are tried, the sooner two agree by chance.
                if different >= (2 if scale == 1 else 3):
                    found.setdefault(code, []).append((different, _fitted(code, rows, scale)))
    ranked = [item for ways in found.values() for item in sorted(ways, key=lambda item: item[0])[-2:]]
    for _, way in sorted(
        ranked, key=lambda item: (-item[0], item[1].first, item[1].second, item[1].turn, item[1].shift)
    ):
        yield way


def _together(
    codes: NDArray[np.int64], places: NDArray[np.float32], scale: float, half: int
) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """Give the landmarks of each code that are at one place if the first picture is so much larger."""
    if not len(codes):
        return
    shifts = np.floor((places[:, :2] - np.float32(scale) * places[:, 2:] + half) / _BIN).astype(np.int64)
    order = np.lexsort((shifts[:, 1], shifts[:, 0], codes))
    cells = np.column_stack([codes, shifts])[order]
    starts = np.flatnonzero(np.any(np.diff(cells, axis=0, prepend=cells[:1] - 1) != 0, axis=1))
    counts = np.diff(starts, append=len(cells))
    for start, count in zip(starts[counts > 1].tolist(), counts[counts > 1].tolist(), strict=True):
        yield int(cells[start, 0]), places[order[start : start + count]]


def _fitted(code: int, rows: NDArray[np.float32], scale: float) -> _Way:
    """Say how landmarks that agree lie on each other, from the middle of their shifts."""
    x, y = np.median(rows[:, :2] - np.float32(scale) * rows[:, 2:], axis=0).tolist()
    return _Way(code >> 34, code >> 3 & (1 << 31) - 1, code & 7, scale, (x, y))
