"""Masks, polygons and points of 1,000 objects on images of 1,024 and 8,192 pixels, beside rasterio and pycocotools.

    python -m tests.benchmarks.bench_masks --side 1024 8192

Prints seconds; `pycocotools` only where it is installed.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rscovlm.geometry import Frame
from rscovlm.geometry.masks import Mask, label_image, masks_of
from rscovlm.points.keypoints import prompt_of
from rscovlm.points.polygons import polygons_each

BARS = {1024: 1.0, 8192: 20.0}
"""Seconds that masks to polygons, to points, and polygons to masks may take each."""


def labels_of(side: int, count: int = 1000) -> NDArray[np.int32]:
    """Draw so many star-shaped objects of different size, each with a number of its own."""
    cells = int(np.ceil(count**0.5))
    cell = side // cells
    ys, xs = np.mgrid[:cell, :cell]
    angle, away = np.arctan2(ys - cell / 2, xs - cell / 2), np.hypot(ys - cell / 2, xs - cell / 2)
    labels = np.zeros((side, side), np.int32)
    for number in range(count):
        top, left = (place * cell for place in divmod(number, cells))
        reach = cell * 0.42 * (1 + 0.15 * np.sin((3 + number % 5) * angle + number))
        labels[top : top + cell, left : left + cell][away < reach] = number + 1
    return labels


def timed(what: Callable[[], Any]) -> tuple[float, Any]:
    """Return seconds of the processor, which others on the machine do not lengthen, and what came out."""
    start = time.process_time()
    found = what()
    return time.process_time() - start, found


def measure(side: int) -> dict[str, float]:
    """Return seconds by step on an image of so many pixels a side."""
    labels, frame = labels_of(side), Frame(side, side)
    seconds: dict[str, float] = {}
    seconds["labels to masks"], masks = timed(lambda: list(masks_of(labels).values()))
    seconds["masks to exact polygons"], shapes = timed(lambda: [mask.shape() for mask in masks])
    seconds["masks to simplified polygons"], found = timed(lambda: polygons_each(masks))
    seconds["masks to boxes and two points"], _ = timed(lambda: [prompt_of(mask) for mask in masks])
    rings = [[ring for one in each.objects for ring in one.sets.points] for each in found]
    seconds["polygons to masks"], drawn = timed(lambda: [Mask.filled(each, frame) for each in rings])
    seconds["masks to an image"], _ = timed(lambda: label_image(drawn, frame))
    seconds["masks to run lengths"], _ = timed(lambda: [mask.rle() for mask in masks])
    seconds |= _theirs(labels, shapes, masks)
    return seconds


def _theirs(labels: NDArray[np.int32], shapes: list[Any], masks: list[Mask]) -> dict[str, float]:
    """Time the same with rasterio, whose polygons must be ours, and with pycocotools."""
    import shapely
    from rasterio import features

    seconds, found = timed(lambda: list(features.shapes(labels, mask=labels > 0)))
    theirs = {int(value): shapely.geometry.shape(shape) for shape, value in found}
    assert all(theirs[number].equals(shape) for number, shape in enumerate(shapes, 1))
    pairs = [(shape, number) for number, shape in enumerate(shapes, 1)]
    burning, burnt = timed(lambda: features.rasterize(pairs, out_shape=labels.shape, dtype="int32"))
    assert np.array_equal(burnt, labels)
    found_seconds = {"rasterio: image to exact polygons": seconds, "rasterio: exact polygons to an image": burning}
    try:
        coco: Any = import_module("pycocotools.mask")
    except ModuleNotFoundError:
        return found_seconds
    some = masks[:20]  # it wants the whole image for each object

    def encode() -> list[Any]:
        return [coco.encode(np.asfortranarray(mask.full().astype(np.uint8))) for mask in some]

    packing, packed = timed(encode)
    assert all(mask.rle()["counts"] == one["counts"].decode() for mask, one in zip(some, packed, strict=True))
    return {**found_seconds, "pycocotools: masks to run lengths (from 20)": packing * len(masks) / len(some)}


def main() -> None:
    """Print a table for each size."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--side", type=int, nargs="+", default=sorted(BARS))
    for side in parser.parse_args().side:
        print(f"{side} x {side} pixels, 1,000 objects; bar {BARS.get(side, float('nan')):g} s a step")
        for name, seconds in measure(side).items():
            print(f"  {name:45s} {seconds:8.2f} s")


if __name__ == "__main__":
    main()
