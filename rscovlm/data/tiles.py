"""Tiles: windows of large images with the objects they hold, as the DOTA tools cut them, and the way back.

Windows step by size minus overlap; the last one is shifted to the edge; an image smaller than a window is padded right and below. An object
belongs to every tile that holds at least 0.7 of its area (intersection over foreground). Tiles without objects are kept: they teach that
nothing is there.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from io import BytesIO
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from PIL import Image

from rscovlm.data.formats.coco import corners
from rscovlm.files import FAST_PNG, write_picture
from rscovlm.geometry import Boxes, Frame, Objects
from rscovlm.geometry.tiling import window_starts
from rscovlm.geometry.window import Window, WindowLike
from rscovlm.rasters import Raster
from rscovlm.records.paths import file_name
from rscovlm.records.record import Annotation, ImageRef, Record
from rscovlm.records.sizes import FileRule, fitted
from rscovlm.records.tally import Rejected, Strict, Tally
from rscovlm.records.views import open_ref, read_window
from rscovlm.tasks.table import lists_objects

LEAST = 0.7
"""Smallest share of an object's area in a tile that holds it."""

_NAME = re.compile(r"(?P<stem>.+)__(?P<scale>\d+(?:\.\d+)?)__(?P<x>-?\d+)___(?P<y>-?\d+)")


def plan_windows(width: int, height: int, *, size: int = 512, overlap: int = 100) -> list[WindowLike]:
    """Plan the windows of an image, row by row, each (x1, y1, x2, y2) of `size` x `size` pixels.

    Args:
        width: Of the image, in pixels.
        height: Of the image, in pixels.
        size: Side of a window.
        overlap: Pixels that neighbours share; the last window of a row or column shares more.

    Raises:
        ValueError: The overlap is not smaller than the size, or a number is not positive.

    >>> plan_windows(1000, 300, size=512, overlap=100)
    [(0, 0, 512, 512), (412, 0, 924, 512), (488, 0, 1000, 512)]
    """
    if min(width, height, size) < 1 or not 0 <= overlap < size:
        raise ValueError(
            f"image {width}x{height}, size {size}, overlap {overlap}: sides must be positive, 0 <= overlap < size"
        )
    columns, rows = (window_starts(side, size, overlap) for side in (width, height))
    return [(x, y, x + size, y + size) for y in rows for x in columns]


def tile(
    records: Iterable[Record],
    *,
    size: int = 512,
    overlap: int = 100,
    least: float = LEAST,
    keep_empty: bool = True,
    root: str | Path | None = None,
    folder: str | None = None,
    tally: Tally | None = None,
    overwrite: bool = False,
) -> Iterator[Record]:
    """Cut detection records into tiles, one by one.

    By default nothing is written: a tile's image is a window of its parent, read when it is needed. With `folder`, tiles are saved as PNG;
    and tiles of an image that lies in its record carry their own pixels, as PNG too, since no file is known to have them.
    Boxes are in the tile's pixels and are not clipped, so that they can be moved back; `window` holds the offset.

    Args:
        records: Detection records with one image each, of known size.
        size: Side of a tile, in pixels.
        overlap: Pixels that neighbours share.
        least: Smallest share of an object's area in a tile that holds it.
        keep_empty: Keep tiles without objects.
        root: The data folder; needed to save tiles. With it, images must have the size that their records say.
        folder: Where to save tiles, relative to `root`.
        tally: Counts objects: those in at least one tile as kept, the others by reason. Records that cannot be tiled, or whose
            image has to be read and cannot be, are counted too; without a tally they are an error.
        overwrite: Let tiles replace files that something else wrote.

    Raises:
        ValueError: A record is no detection of one image of known size, `folder` is given without `root`, a tile's file
            is there and is no picture of ours, or two records' tiles would have one name.
    """
    if folder is not None and root is None:
        raise ValueError("folder is set but root is not; give the data folder that the tiles' paths are relative to")
    named: set[str] = set()
    for record in records:
        if not lists_objects(record):
            reason = f"a {record.task} record with {len(record.images)} images cannot be tiled; one image of known size is needed"
            if tally is None:
                raise Rejected("not one sized image", f"record {record.id!r}: {reason}")
            tally.drop("not one sized image", f"{record.source}/{record.id}", reason)
            continue
        if root is not None or record.images[0].data is not None:
            checked: Record | None = None
            with (tally or Strict()).row(f"{record.source}/{record.id}"):
                checked = fitted(record, Path(root or ""), FileRule())
            if checked is None:
                continue
        if folder is not None:
            # One file where case or the form of accents does not count.
            name = unicodedata.normalize("NFC", record.id).casefold()
            if name in named:
                with (tally or Strict()).row(f"{record.source}/{record.id}"):
                    raise Rejected(
                        "id used twice",
                        f"tiles of another record are saved under the id {record.id!r} already; save each source in a "
                        "folder of its own, or give each record an id of its own",
                    )
                continue
            named.add(name)
        yield from _tiles(record, size, overlap, least, keep_empty, root, folder, tally, overwrite)


def _tiles(
    record: Record,
    size: int,
    overlap: int,
    least: float,
    keep_empty: bool,
    root: str | Path | None,
    folder: str | None,
    tally: Tally | None,
    overwrite: bool,
) -> Iterator[Record]:
    image = record.images[0]
    windows = plan_windows(image.width, image.height, size=size, overlap=overlap)
    parts, best = shared_out(record.objects, windows, least=least)
    place = f"{record.source}/{record.id}"
    with ExitStack() as stack:
        raster: Raster | None = None
        for window, objects in zip(windows, parts, strict=True):
            if not (objects or keep_empty):
                continue
            name = f"{record.id}__{size}__{window[0]}___{window[1]}"
            shown: Image.Image | None = None
            if folder is not None or image.data is not None:
                with (tally or Strict()).row(place):
                    # Opened once for all tiles: a file without tiles of its own is decoded whole.
                    within = image.data is not None
                    seen = image if within else _tile_image(image, window)
                    raster = raster or stack.enter_context(open_ref(seen, root or ""))
                    shown = read_window(raster, window if within else seen.window or window)
                if shown is None:
                    return
            pixels = {} if shown is None else _kept(shown, name, root, folder, overwrite)
            part = _tile_image(image, window, **pixels)
            yield replace(record, id=name, images=(part,), objects=objects)
    if tally is not None:
        tally.keep(int((best >= least).sum()))
        for index in np.flatnonzero(best < least):
            detail = f"{record.objects[index].label!r}: at most {best[index]:.2f} of it lies in a tile"
            tally.drop("object in no tile", place, detail)


def shared_out(
    objects: Sequence[Annotation], windows: Sequence[WindowLike], *, least: float = LEAST
) -> tuple[list[tuple[Annotation, ...]], NDArray[np.float64]]:
    """Share objects out over windows of their image.

    Args:
        objects: In the image's pixels.
        windows: Each (x1, y1, x2, y2).
        least: Smallest share of an object's area in a window that holds it.

    Returns:
        The objects of each window, in its own pixels and not clipped; and the largest share of each object in any.

    >>> parts, best = shared_out([Annotation((2, 2, 6, 4), "ship", "hbb")], [(0, 0, 5, 5), (2, 0, 7, 5)])
    >>> [item.box for item in parts[1]], best
    ([(0, 2, 4, 4)], array([1.]))
    """
    foreground, best = Foreground(objects), np.zeros(len(objects))
    parts = []
    for window in windows:
        near, shares = foreground.shares(window)
        best[near] = np.maximum(best[near], shares)
        x, y = window[:2]
        parts.append(tuple(_moved(objects[index], -x, -y) for index in near[shares >= least]))
    return parts, best


def halves(window: WindowLike, *, overlap: float = 0.2) -> list[WindowLike]:
    """Cut a window in two along its longer side, and in four where the other is longer than the pieces.

    Args:
        window: (x1, y1, x2, y2); the pieces cover it and do not reach beyond.
        overlap: Share of a piece's side that neighbours have in common.

    Raises:
        ValueError: An overlap that is no share below 1.

    >>> halves((0, 0, 90, 40)), len(halves((0, 0, 90, 90)))
    ([(0, 0, 50, 40), (40, 0, 90, 40)], 4)
    """
    if not 0 <= overlap < 1:
        raise ValueError(f"overlap {overlap} is no share; give 0 or more, and less than 1")
    left, top, right, bottom = window
    side = math.ceil(max(right - left, bottom - top) / (2 - overlap))
    planned = plan_windows(right - left, bottom - top, size=side, overlap=int(side * overlap))
    return [(left + x1, top + y1, min(left + x2, right), min(top + y2, bottom)) for x1, y1, x2, y2 in planned]


class Foreground:
    """The outlines of many objects, ready to be asked what of them a window holds.

    >>> Foreground([Annotation((0, 0, 10, 10), "ship", "hbb")]).shares((0, 0, 8, 10))
    (array([0]), array([0.8]))
    """

    def __init__(self, objects: Iterable[Annotation]) -> None:
        points = np.array([corners(item) for item in objects], float).reshape(-1, 4, 2)
        self._shapes = np.array([shapely.Polygon(quad).convex_hull for quad in points], object)
        self._areas = shapely.area(self._shapes)
        self._centres = points.mean(axis=1)
        self._tree = shapely.STRtree(self._shapes)

    def shares(self, window: WindowLike) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
        """Give the objects that touch a window, by index, and the share of their area in it, from 0 to 1.

        An object without area counts as wholly inside the windows that hold its centre.
        """
        near = np.sort(self._tree.query(shapely.box(*window)))
        common = shapely.area(shapely.intersection(self._shapes[near], shapely.box(*window)))
        held = ((self._centres[near] >= window[:2]) & (self._centres[near] <= window[2:])).all(axis=1).astype(float)
        areas = self._areas[near]
        return near, np.where(areas > 0, common / np.where(areas > 0, areas, 1), held)


def to_parent(objects: Objects, image: ImageRef, parent: Frame | None = None) -> Objects:
    """Move boxes found in a tile into the pixels of the image it was cut from.

    Args:
        objects: In the tile's own pixels; resized predictions are brought there first (`objects.to`).
        image: The tile, with its `window`.
        parent: The parent's grid, where the result is to carry it.

    Raises:
        ValueError: The image is not a tile.
    """
    if image.window is None:
        raise ValueError(f"image {image.path!r} is not a tile: it has no window to move boxes by")
    x, y = image.window[:2]
    moved = [_moved_values(row, objects.boxes.kind, x, y) for row in objects.boxes.coords.tolist()]
    boxes = Boxes(moved, objects.boxes.kind, parent) if moved else Boxes.empty(objects.boxes.kind, parent)
    return replace(objects, boxes=boxes)


def parse_tile_name(name: str) -> tuple[str, float, int, int]:
    """Read (stem, size or scale, x, y) from a name as the DOTA tools and `tile` write it.

    Raises:
        ValueError: The name has no such ending.

    >>> parse_tile_name("P0706__512__412___0.png")
    ('P0706', 512.0, 412, 0)
    """
    match = _NAME.fullmatch(re.sub(r"\.[A-Za-z]+$", "", PurePosixPath(name).name))
    if match is None:
        raise ValueError(f"name {name!r} is not <stem>__<size>__<x>___<y>; give the offset another way")
    return match["stem"], float(match["scale"]), int(match["x"]), int(match["y"])


def _tile_image(image: ImageRef, window: WindowLike, **pixels: Any) -> ImageRef:
    """Return a window of an image; with the tile's own pixels where it has some."""
    whole = Window(*window)
    parent = image.path
    if not parent and image.window is not None:
        left, top = image.window[:2]
        parent, window = image.parent, whole.moved(left, top)
    bands = () if pixels else image.bands
    same: dict[str, Any] = {"time": image.time, "gsd": image.gsd, "bands": bands}
    return ImageRef(parent=parent, window=window, width=whole.width, height=whole.height, **same, **pixels)


def _kept(
    shown: Image.Image, name: str, root: str | Path | None, folder: str | None, overwrite: bool
) -> dict[str, Any]:
    """Keep a tile's pixels, as a file where there is a folder for it; return where they are."""
    if folder is None or root is None:
        file = BytesIO()
        shown.save(file, "PNG", compress_level=FAST_PNG)
        return {"data": file.getvalue()}
    path = f"{folder}/{file_name(name)}.png"
    target = Path(root) / path
    target.parent.mkdir(parents=True, exist_ok=True)
    write_picture(target, shown, overwrite=overwrite)
    return {"path": path}


def _moved(item: Annotation, x: float, y: float) -> Annotation:
    rings = tuple(_moved_values(ring, "quad", x, y) for ring in item.polygons)
    return replace(item, box=_moved_values(item.box, item.kind, x, y), polygons=rings)


def _moved_values(values: Iterable[float], kind: str, x: float, y: float) -> tuple[float, ...]:
    numbers = tuple(values)
    count = 2 if kind == "obb" else len(numbers)
    return tuple(number + (y if i % 2 else x) if i < count else number for i, number in enumerate(numbers))
