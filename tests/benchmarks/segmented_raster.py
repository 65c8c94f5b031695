"""A raster of any side with objects of which one reaches over most of it, for measuring what its segmentation costs."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import rasterio
from numpy.typing import NDArray

from rscovlm.codec.point_objects import PointObject
from rscovlm.geometry import Frame
from rscovlm.geometry.masks import Mask
from rscovlm.points.loading import load_segmenter
from rscovlm.points.polygons import mask_of
from rscovlm.points.tiled import segment

OBJECTS = 400
TILE = 1024


class BrightWithin:
    """Takes the bright pixels of each box, and keeps how large a picture it was shown."""

    def __init__(self) -> None:
        self.largest = 0

    def segment(self, image: NDArray[np.uint8], prompts: Sequence[PointObject]) -> list[Mask]:
        """Return what is bright."""
        self.largest = max(self.largest, *image.shape[:2])
        frame, bright = Frame(image.shape[1], image.shape[0]), image[..., 0] > 128
        found = []
        for one in prompts:
            box = mask_of(one)
            x1, y1, x2, y2 = box.window
            found.append(Mask.of(bright[y1:y2, x1:x2] & box.pixels, frame, at=(x1, y1)))
        return found


def boxes_of(side: int) -> NDArray[np.int64]:
    """Return (n, 4) boxes that do not touch: a runway over nine tenths of the side, and objects of 20 to 60 pixels."""
    rng = np.random.default_rng(side)
    cells = int(np.ceil((OBJECTS + 1) ** 0.5)) + 1
    cell = side / cells
    boxes = [(side // 20, side // 2 - 12, side - side // 20, side // 2 + 12)]
    for row in range(cells):
        for column in range(cells):
            low, size = np.array([column + 0.1, row + 0.1]) * cell, rng.integers(20, 61, 2)
            x, y = (low + rng.uniform(0, max(0.8 * cell - 60, 0), 2)).astype(int)
            if len(boxes) <= OBJECTS and (y + 70 < side // 2 - 12 or y > side // 2 + 20):
                boxes.append((x, y, x + int(size[0]), y + int(size[1])))
    return np.array(boxes)


def write_raster(path: Path, side: int, boxes: NDArray[np.int64]) -> None:
    """Write a tiled GeoTIFF, bright in the boxes; parts without any are left out of the file."""
    about = {"driver": "GTiff", "width": side, "height": side, "count": 3, "dtype": "uint8", "tiled": True}
    options = {"blockxsize": 256, "blockysize": 256, "compress": "deflate", "sparse_ok": True}
    with rasterio.open(path, "w", **about, **options) as out:
        for y in range(0, side, TILE):
            near = boxes[(boxes[:, 1] < y + TILE) & (boxes[:, 3] > y)]
            if len(near):
                pixels = np.full((min(TILE, side - y), side), 40, np.uint8)
                for x1, y1, x2, y2 in near:
                    pixels[max(y1 - y, 0) : max(y2 - y, 0), x1:x2] = 200
                window = rasterio.windows.Window(0, y, side, len(pixels))
                out.write(np.broadcast_to(pixels, (3, *pixels.shape)), window=window)


def segment_raster(side: int, *, embedded: bool = False) -> Callable[[], list[Mask]]:
    """Return the work of segmenting all objects of a raster of so many pixels a side, from boxes with two points.

    With ``embedded`` by the segmenter in the package, which has never seen such a raster: what it costs is measured.
    """
    side = max(side, 2048)
    path = Path(tempfile.mkdtemp()) / "raster.tif"
    boxes = boxes_of(side)
    write_raster(path, side, boxes)
    frame = Frame(side, side)
    middles = boxes.reshape(-1, 2, 2).mean(axis=1)
    prompts = [
        PointObject.prompt("x", (box + (-3, -3, 3, 3)).tolist(), [middle, middle + (4, 0)], frame)
        for box, middle in zip(boxes, middles, strict=True)
    ]

    def work() -> list[Mask]:
        segmenter = BrightWithin()
        masks = segment(load_segmenter("embedded") or segmenter if embedded else segmenter, path, prompts)
        assert segmenter.largest <= TILE
        assert embedded or [tuple(mask.window) for mask in masks] == [tuple(box) for box in boxes.tolist()]
        path.unlink()
        path.parent.rmdir()
        return masks

    return work
