"""Segmenting images of any size: window by window in original pixels, objects larger than a window joined from their parts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import shapely

from rscovlm.codec.point_objects import PointObject
from rscovlm.geometry import Frame, PointSets
from rscovlm.geometry.masks import Mask
from rscovlm.geometry.shapes import rings_of
from rscovlm.geometry.tiling import window_starts
from rscovlm.geometry.window import Window
from rscovlm.points.segmenter import Segmenter
from rscovlm.rasters import open_image

TILE, OVERLAP = 1024, 128
_MARGIN = 0.1
"""Share of an object's longer side that is looked at around it, where the window has room."""


def segment(
    segmenter: Segmenter, image: Any, prompts: Sequence[PointObject], *, tile: int = TILE, overlap: int = OVERLAP
) -> list[Mask]:
    """Return the mask of each prompt in original pixels, reading no more than one window at a time.

    An object that fits into a window is looked at in one of its own size: in one of the grid that covers the image, or where none
    holds it, in one around it. A larger object is cut at the windows of the grid; in each the segmenter is given the part of the
    box and the points that lie there, and what it finds is joined.

    Args:
        segmenter: Who draws the masks.
        image: Whatever `open_image` takes.
        prompts: Boxes with points, or other shapes; on any grid of the image.
        tile: Side of a window in original pixels.
        overlap: Pixels that windows of the grid share.

    Returns:
        A mask for each prompt on the image's grid, empty where nothing was found or the box lies outside.

    Raises:
        ValueError: The segmenter gives another number of masks, or one of another size.
    """
    raster = open_image(image)
    frame = raster.frame
    starts = [window_starts(side, tile, overlap) for side in (frame.width, frame.height)]
    moved = [one if one.sets.frame == frame else one.to(frame) for one in prompts]
    parts: dict[Window, list[tuple[int, PointObject]]] = {}
    for number, one in enumerate(moved):
        for window in _windows(one, frame, starts, tile):
            parts.setdefault(window, []).append((number, one))
    found: list[list[Mask]] = [[] for _ in prompts]
    for window in sorted(parts, key=lambda one: (one.y1, one.x1)):
        view = raster.read(window)
        grid = Frame(window.width, window.height)
        given = [(number, part_within(one, window, grid)) for number, one in parts[window]]
        asked = [(number, one) for number, one in given if one is not None]
        masks = segmenter.segment(np.asarray(view.image), [one for _, one in asked])
        _check(masks, len(asked), grid, segmenter)
        for (number, _), mask in zip(asked, masks, strict=True):
            if mask.area:
                found[number].append(Mask(mask.pixels, mask.window.moved(window.x1, window.y1), frame))
    return [joined(pieces, frame) for pieces in found]


def joined(pieces: Sequence[Mask], frame: Frame) -> Mask:
    """Return the pixels that any of some masks of one image has."""
    if len(pieces) == 1:
        return pieces[0]
    if not pieces:
        return Mask(np.zeros((0, 0), bool), Window(0, 0, 0, 0), frame)
    sides = np.array([piece.window for piece in pieces])
    around = Window(*sides[:, :2].min(axis=0).tolist(), *sides[:, 2:].max(axis=0).tolist())
    pixels = np.zeros((around.height, around.width), bool)
    for piece in pieces:
        x1, y1, x2, y2 = piece.window.moved(-around.x1, -around.y1)
        pixels[y1:y2, x1:x2] |= piece.pixels
    return Mask(pixels, around, frame)


def _windows(one: PointObject, frame: Frame, starts: Sequence[Sequence[int]], tile: int) -> list[Window]:
    """Return the windows in which an object is looked at."""
    x1, y1, x2, y2 = one.box.coords[0].tolist()
    box = Window.around(x1, y1, x2, y2).clipped(frame.width, frame.height)
    if box.empty:
        return []
    side = max(box.width, box.height)
    if side > tile:
        grid = [
            Window(x, y, x + tile, y + tile).clipped(frame.width, frame.height) for y in starts[1] for x in starts[0]
        ]
        return [each for each in grid if not _shared(each, box).empty]
    room = min(round(_MARGIN * side), (tile - side) // 2)
    grown = Window(box.x1 - room, box.y1 - room, box.x2 + room, box.y2 + room).clipped(frame.width, frame.height)
    ranges = zip(starts, (grown.x1, grown.y1), (grown.x2, grown.y2), strict=True)
    at = [[start for start in along if start <= low and high <= start + tile] for along, low, high in ranges]
    left, top = (
        _nearest(held, middle, tile) if held else min(max((middle - tile) // 2, 0), max(length - tile, 0))
        for held, middle, length in zip(
            at, (grown.x1 + grown.x2, grown.y1 + grown.y2), (frame.width, frame.height), strict=True
        )
    )
    return [Window(left, top, left + tile, top + tile).clipped(frame.width, frame.height)]


def _nearest(starts: Sequence[int], middle: int, tile: int) -> int:
    """Return the start of the window whose middle is nearest to half of a number."""
    return min(starts, key=lambda start: abs(2 * start + tile - middle))


def _shared(one: Window, two: Window) -> Window:
    return Window(max(one.x1, two.x1), max(one.y1, two.y1), min(one.x2, two.x2), min(one.y2, two.y2))


def part_within(one: PointObject, window: Window, grid: Frame) -> PointObject | None:
    """Return the part of an object in a window, counted from the window's corner; None where its box has no area there.

    Args:
        one: A box with points, or another shape.
        window: In pixels of the object's frame.
        grid: The window's own frame, ``Frame(window.width, window.height)``.
    """
    corner = np.array([window.x1, window.y1])
    x1, y1, x2, y2 = one.box.coords[0]
    inside = x1 >= window.x1 and y1 >= window.y1 and x2 <= window.x2 and y2 <= window.y2
    if one.form != "prompt" and inside:
        return PointObject(one.label, one.form, PointSets([points - corner for points in one.sets.points], grid))
    low = np.maximum((x1, y1), corner) - corner
    high = np.minimum((x2, y2), (window.x2, window.y2)) - corner
    if (high <= low).any():
        return None
    if one.form != "prompt":
        shape = shapely.intersection(one.shape, shapely.box(*window))
        rings = [ring - corner for ring in rings_of(shape)]
        return PointObject.polygon(one.label, rings, grid) if rings else None
    sets = [points[_lie_in(points, window)] - corner for points in one.sets.points[1:]]
    sets = [*sets, np.empty((0, 2)), np.empty((0, 2))]
    if not len(sets[0]):  # points outside alone would be taken for points inside
        sets[1] = np.empty((0, 2))
    return PointObject.prompt(one.label, [*low.tolist(), *high.tolist()], sets[0], grid, sets[1])


def _lie_in(points: Any, window: Window) -> Any:
    return ((points >= (window.x1, window.y1)) & (points < (window.x2, window.y2))).all(axis=1)


def _check(masks: Any, count: int, grid: Frame, segmenter: Segmenter) -> None:
    name = type(segmenter).__name__
    if not isinstance(masks, list) or len(masks) != count:
        given = len(masks) if isinstance(masks, list) else f"a {type(masks).__name__}"
        raise ValueError(f"{name}.segment gave {given} for {count} prompts; it must give a list of one mask each")
    for mask in masks:
        if not isinstance(mask, Mask) or (mask.frame.width, mask.frame.height) != (grid.width, grid.height):
            size = f" of {mask.frame.width}x{mask.frame.height}" if isinstance(mask, Mask) else ""
            raise ValueError(
                f"{name}.segment gave a {type(mask).__name__}{size} for an image of {grid.width}x{grid.height}; give Mask "
                "objects of its size"
            )
