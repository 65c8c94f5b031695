"""The masks of many rows as files: a GeoTIFF an image, or one COCO file; rows are read one after another and not kept."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from rscovlm.exports.mask_files import ImageMasks, write_coco_masks, write_mask_tiffs
from rscovlm.geometry.masks import Mask
from rscovlm.records.paths import file_name
from rscovlm.tasks.boxes import frame_of

Row = dict[str, Any]


def write_row_masks(rows: Mapping[str, Row], folder: Path, *, overwrite: bool = False) -> int:
    """Write the masks of rows as one GeoTIFF of object numbers an image; see `write_mask_tiffs`.

    Rows without masks, such as those of images that could not be read, have no file.

    Raises:
        ValueError: The folder holds other things.
    """
    return write_mask_tiffs(folder, _images(rows), overwrite=overwrite)


def write_row_coco(rows: Mapping[str, Row], path: Path, *, overwrite: bool = False) -> int:
    """Write the masks of rows as one COCO data set; its classes are the labels found, sorted. See `write_coco_masks`.

    Raises:
        ValueError: The path holds another file.
    """
    labels = {one["label"] for row in rows.values() for one in row.get("masks", ())}
    return write_coco_masks(path, _images(rows), sorted(labels), overwrite=overwrite)


def _images(rows: Mapping[str, Row]) -> Iterator[ImageMasks]:
    for name, row in rows.items():
        if "masks" not in row:
            continue
        frame = frame_of(row["frame"])
        labels = [one["label"] for one in row["masks"]]
        yield ImageMasks(name, file_name(name), frame, labels, [Mask.from_rle(one, frame) for one in row["masks"]])
