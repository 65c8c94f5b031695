"""The pixels of one object: a mask no larger than the object, and where it lies in its image."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rscovlm.geometry.affine import Floats, apply
from rscovlm.geometry.boxes import Boxes
from rscovlm.geometry.filling import fill
from rscovlm.geometry.frame import Frame
from rscovlm.geometry.runs import pack, unpack
from rscovlm.geometry.shapes import shape_of_directed
from rscovlm.geometry.tracing import trace
from rscovlm.geometry.window import Window

_TOGETHER = 1 << 24
"""Pixels of masks that are outlined at a time."""


@dataclass(frozen=True, eq=False)
class Mask:
    """The pixels of an object, kept for the window that holds them, so that many on a large image take little memory.

    Attributes:
        pixels: (h, w) True inside; read-only.
        window: (x1, y1, x2, y2) of these pixels in the image.
        frame: The image's grid.

    Raises:
        ValueError: The pixels do not fit the window, or the window the image.

    >>> mask = Mask.of([[0, 0, 0], [0, 1, 1]])
    >>> mask.window, mask.area, mask.full().astype(int).tolist()
    (Window(x1=1, y1=1, x2=3, y2=2), 2, [[0, 0, 0], [0, 1, 1]])
    """

    pixels: NDArray[np.bool_]
    window: Window
    frame: Frame

    def __post_init__(self) -> None:
        pixels = np.array(self.pixels, bool)
        window = Window(*self.window)
        if pixels.ndim != 2 or pixels.shape != (window.height, window.width):
            raise ValueError(f"a mask of shape {pixels.shape} does not fit the window {tuple(window)}; give (h, w)")
        if pixels.size and window.clipped(self.frame.width, self.frame.height) != window:
            raise ValueError(
                f"window {tuple(window)} reaches outside the image of {self.frame.width}x{self.frame.height} pixels"
            )
        pixels.flags.writeable = False
        object.__setattr__(self, "pixels", pixels)
        object.__setattr__(self, "window", window)

    @classmethod
    def of(cls, pixels: ArrayLike, frame: Frame | None = None, *, at: tuple[int, int] | None = None) -> Mask:
        """Return a mask cut down to what is inside.

        Args:
            pixels: (h, w), not 0 inside.
            frame: The image's grid; by default of the pixels' own size.
            at: x and y of the first pixel in the image, where they are a part of it; what lies outside of the image is left out.

        Raises:
            ValueError: Without a place given, pixels and image differ in size.
        """
        array = np.asarray(pixels) != 0
        if array.ndim != 2:
            raise ValueError(f"a mask has shape {array.shape}; give (h, w)")
        height, width = array.shape
        frame = Frame(max(width, 1), max(height, 1)) if frame is None else frame
        if at is None and (width, height) != (frame.width, frame.height):
            raise ValueError(
                f"a mask of {width}x{height} pixels is not one of an image of {frame.width}x{frame.height}"
            )
        at = (0, 0) if at is None else at
        inside = Window(at[0], at[1], at[0] + width, at[1] + height).clipped(frame.width, frame.height)
        array = array[inside.y1 - at[1] : inside.y2 - at[1], inside.x1 - at[0] : inside.x2 - at[0]]
        columns, rows = np.flatnonzero(array.any(axis=0)), np.flatnonzero(array.any(axis=1))
        if not len(rows):
            return cls(np.zeros((0, 0), bool), Window(0, 0, 0, 0), frame)
        x, y, right, low = int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1
        return cls(
            array[y:low, x:right], Window(x + inside.x1, y + inside.y1, right + inside.x1, low + inside.y1), frame
        )

    @classmethod
    def filled(cls, rings: Iterable[ArrayLike], frame: Frame) -> Mask:
        """Return the pixels whose centres an odd number of rings encloses; see `fill`.

        Args:
            rings: (k, 2) corners of each, in pixels of the frame; they may reach outside.
            frame: The image's grid.
        """
        corners = [np.asarray(ring, np.float64) for ring in rings]
        if not corners:
            return cls(np.zeros((0, 0), bool), Window(0, 0, 0, 0), frame)
        both = np.concatenate(corners)
        around = Window.around(*both.min(axis=0).tolist(), *both.max(axis=0).tolist())
        window = around.clipped(frame.width, frame.height)
        if window.empty:
            return cls(np.zeros((0, 0), bool), Window(0, 0, 0, 0), frame)
        return cls.of(fill(corners, window), frame, at=(window.x1, window.y1))

    @property
    def area(self) -> int:
        """Pixels inside."""
        return int(np.count_nonzero(self.pixels))

    @property
    def box(self) -> Boxes:
        """The smallest horizontal box around the pixels inside.

        Raises:
            ValueError: Nothing is inside.
        """
        if not self.area:
            raise ValueError("an empty mask has no box; leave it out")
        return Boxes([self.window], "hbb", self.frame)

    def rings(self) -> list[Floats]:
        """Return the outlines along the edges of the pixels, (k, 2) each, in pixels of the image."""
        return (
            [ring + (self.window.x1, self.window.y1) for ring in trace(self.pixels).each()] if self.pixels.size else []
        )

    def shape(self) -> Any:
        """Return the outlines as a shapely polygon or multipolygon."""
        return shape_of_directed(self.rings())

    def full(self) -> NDArray[np.bool_]:
        """Return the mask of the whole image, (height, width)."""
        out = np.zeros((self.frame.height, self.frame.width), bool)
        x1, y1, x2, y2 = self.window
        out[y1:y2, x1:x2] = self.pixels
        return out

    def part(self, window: Window) -> NDArray[np.bool_]:
        """Return what lies in a window of the image, (h, w)."""
        out = np.zeros((window.height, window.width), bool)
        x1, y1, x2, y2 = self.window
        left, top, right, low = max(x1, window.x1), max(y1, window.y1), min(x2, window.x2), min(y2, window.y2)
        if left < right and top < low:
            inside = self.pixels[top - y1 : low - y1, left - x1 : right - x1]
            out[top - window.y1 : low - window.y1, left - window.x1 : right - window.x1] = inside
        return out

    def to(self, frame: Frame) -> Mask:
        """Return the mask on another grid of the same root image: pixels whose centres lie inside its outlines there."""
        if frame == self.frame:
            return self
        return Mask.filled([apply(self.frame.to(frame), ring) for ring in self.rings()], frame)

    def runs(self) -> list[int]:
        """Return the lengths of the runs down the columns of the whole image, off and on in turn."""
        height, total = self.frame.height, self.frame.width * self.frame.height
        edges = np.diff(np.pad(self.pixels.T.astype(np.int8), ((0, 0), (1, 1))), axis=1) if self.pixels.size else None
        if edges is None:
            return [total]
        columns, rows = np.nonzero(edges)
        places = (columns + self.window.x1) * height + rows + self.window.y1
        # A run that ends with a column and continues with the next one is one run.
        starts, ends = places[0::2], places[1::2]
        joined = np.flatnonzero(ends[:-1] == starts[1:])
        starts, ends = np.delete(starts, joined + 1), np.delete(ends, joined)
        bounds = [0, *np.column_stack([starts, ends]).ravel().tolist(), total]
        runs = [after - before for before, after in pairwise(bounds)]
        return runs if runs[-1] or len(runs) == 1 else runs[:-1]

    def rle(self) -> dict[str, Any]:
        """Return the mask as COCO's packed run lengths: ``size`` (height, width) and ``counts``.

        >>> Mask.of([[0, 1, 0], [1, 0, 0]]).rle()
        {'size': [2, 3], 'counts': '123'}
        """
        return {"size": [self.frame.height, self.frame.width], "counts": pack(self.runs())}

    @classmethod
    def from_rle(cls, rle: Mapping[str, Any], frame: Frame | None = None) -> Mask:
        """Return the mask that COCO's packed run lengths hold.

        Args:
            rle: ``size`` (height, width) and ``counts``, as `rle` gives them.
            frame: Its grid, of that size; a bare one by default.

        Raises:
            ValueError: The grid has another size, or the runs do not end where it does.

        >>> Mask.from_rle({"size": [2, 3], "counts": "123"}).full().astype(int).tolist()
        [[0, 1, 0], [1, 0, 0]]
        """
        height, width = (int(side) for side in rle["size"])
        frame = Frame(width, height) if frame is None else frame
        ends = np.cumsum(np.array(unpack(rle["counts"]), np.int64))
        whole = len(ends) and ends[-1] == width * height and (np.diff(ends) >= 0).all()
        if (frame.width, frame.height) != (width, height) or not whole:
            raise ValueError(
                f"run lengths of {width}x{height} pixels end at {ends[-1] if len(ends) else None} and the grid has "
                f"{frame.width}x{frame.height}; give the grid that they were made on"
            )
        starts, ends = ends[:-1:2], ends[1::2]
        starts, ends = starts[ends > starts], ends[ends > starts]
        if not len(starts):
            return cls.of(np.zeros((0, 0), bool), frame, at=(0, 0))
        # Only the columns that hold something are unpacked, and the one after them, which `of` cuts off.
        x1, x2 = int(starts[0] // height), int(ends[-1] // height) + 1
        flips = np.zeros((x2 - x1) * height + 1, np.int8)
        np.add.at(flips, starts - x1 * height, 1)
        np.add.at(flips, ends - x1 * height, -1)
        pixels = np.cumsum(flips[:-1], dtype=np.int8).astype(bool).reshape(x2 - x1, height).T
        return cls.of(pixels, frame, at=(x1, 0))


def masks_of(labels: NDArray[np.integer], frame: Frame | None = None) -> dict[int, Mask]:
    """Return the mask of every label of an image but 0, in ascending order, from one pass over the pixels.

    Args:
        labels: (h, w) whole numbers from 0.
        frame: The image's grid; by default of the labels' own size.

    >>> {label: mask.area for label, mask in masks_of(np.array([[1, 1, 0], [0, 7, 7]])).items()}
    {1: 2, 7: 2}
    """
    frame = Frame(labels.shape[1], labels.shape[0]) if frame is None else frame
    rings = trace(labels)
    found: dict[int, Mask] = {}
    if not len(rings.labels):
        return found
    # Rings stand in the order of their labels: those of one label have its box between them.
    first = rings.starts[np.flatnonzero(np.diff(rings.labels, prepend=-1))]
    low, high = np.minimum.reduceat(rings.points, first), np.maximum.reduceat(rings.points, first)
    for value, one, two in zip(np.unique(rings.labels).tolist(), low.astype(int), high.astype(int), strict=True):
        window = Window(*one.tolist(), *two.tolist())
        found[value] = Mask(labels[window.y1 : window.y2, window.x1 : window.x2] == value, window, frame)
    return found


def rings_each(masks: Sequence[Mask]) -> list[list[Floats]]:
    """Return the outlines of many masks: those that `Mask.rings` gives of each, from one pass over all their pixels.

    >>> [[len(ring) for ring in rings] for rings in rings_each([Mask.of([[1, 1]]), Mask.of([[0]]), Mask.of([[1, 0], [0, 1]])])]
    [[4], [], [4, 4]]
    """
    found: list[list[Floats]] = [[] for _ in masks]
    for group in _groups(masks):
        places = _shelves([masks[number] for number in group])
        width = max(x + masks[number].window.width for number, (x, _) in zip(group, places, strict=True))
        height = max(y + masks[number].window.height for number, (_, y) in zip(group, places, strict=True))
        labels = np.zeros((height, width), np.int32)
        for label, (number, (x, y)) in enumerate(zip(group, places, strict=True), 1):
            pixels = masks[number].pixels
            labels[y : y + pixels.shape[0], x : x + pixels.shape[1]][pixels] = label
        rings = trace(labels)
        for label, ring in zip(rings.labels.tolist(), rings.each(), strict=True):
            window, place = masks[group[label - 1]].window, places[label - 1]
            found[group[label - 1]].append(ring + (window.x1 - place[0], window.y1 - place[1]))
    return found


def _groups(masks: Sequence[Mask]) -> Iterator[list[int]]:
    """Yield the numbers of masks that are not empty, from low to high ones, as many at a time as bounded memory takes."""
    group: list[int] = []
    size = 0
    for number in sorted(
        (number for number, mask in enumerate(masks) if mask.area), key=lambda at: masks[at].window.height
    ):
        if group and size + masks[number].pixels.size > _TOGETHER:
            yield group
            group, size = [], 0
        group.append(number)
        size += masks[number].pixels.size
    if group:
        yield group


def _shelves(masks: Sequence[Mask]) -> list[tuple[int, int]]:
    """Return where masks lie, x and y, side by side on shelves about as long as all of them are high."""
    wide = max(int(sum(mask.pixels.size for mask in masks) ** 0.5), max(mask.window.width for mask in masks))
    places = []
    x = y = shelf = 0
    for mask in masks:
        if x + mask.window.width > wide:
            x, y, shelf = 0, y + shelf, 0
        places.append((x, y))
        x, shelf = x + mask.window.width, max(shelf, mask.window.height)
    return places


def label_image(masks: Sequence[Mask], frame: Frame) -> NDArray[np.int32]:
    """Return the numbers from 1 of masks, (h, w), 0 if there is none; of masks that overlap the later one counts."""
    labels = np.zeros((frame.height, frame.width), np.int32)
    for number, mask in enumerate(masks, 1):
        x1, y1, x2, y2 = mask.window
        labels[y1:y2, x1:x2][mask.pixels] = number
    return labels
