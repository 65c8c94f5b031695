"""Masks of many images as files: a GeoTIFF of numbers for each image, or one COCO file for all."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from rscovlm.exports.areas import coco_annotation, write_label_tiff
from rscovlm.files import claim_folder, mark, replacing, write_text
from rscovlm.geometry import Frame
from rscovlm.geometry.masks import Mask

MASKS = "masks"
COCO = "coco"


@dataclass(frozen=True)
class ImageMasks:
    """The masks of one image.

    Attributes:
        name: What the image is called.
        file: The same as the name of a file.
        frame: Its grid.
        labels: A label for each mask.
        masks: Objects of the image.
    """

    name: str
    file: str
    frame: Frame
    labels: Sequence[str]
    masks: Sequence[Mask]


def write_mask_tiffs(folder: str | os.PathLike[str], images: Iterable[ImageMasks], *, overwrite: bool = False) -> int:
    """Write one GeoTIFF an image, of the numbers of its objects from 1, and return how many objects there are.

    A file is called as its image, ``.tif`` added where it has another ending; ``labels.json`` lists, for each file, its image and the
    label of each number.

    Args:
        folder: A folder that does not exist, is empty, or was written by this function.
        images: The images, one after another.
        overwrite: Take a folder that holds other things too, and replace its files.

    Raises:
        ValueError: The folder holds other things.
    """
    root = claim_folder(folder, MASKS, overwrite=overwrite)
    listed: dict[str, Any] = {}
    count = 0
    for one in images:
        name = one.file if one.file.lower().endswith((".tif", ".tiff")) else f"{one.file}.tif"
        while name in listed:  # a.png beside a.png.tif
            name = f"{name}.tif"
        write_label_tiff(root / name, one.masks, one.frame, overwrite=overwrite)
        listed[name] = {"image": one.name, "labels": list(one.labels)}
        count += len(one.masks)
    text = json.dumps({"generator": mark(MASKS), "files": listed}, ensure_ascii=False)
    write_text(root / "labels.json", text, MASKS, overwrite=overwrite)
    return count


def write_coco_masks(
    path: str | os.PathLike[str], images: Iterable[ImageMasks], categories: Sequence[str], *, overwrite: bool = False
) -> int:
    """Write masks as a COCO data set with packed run lengths, image by image, and return how many there are.

    Images, categories and annotations count from 1, in the order given. Empty masks, which COCO does not know, are left out.

    Args:
        path: File to write.
        images: The images, one after another.
        categories: All class names, in order.
        overwrite: Replace a file that something else wrote.

    Raises:
        ValueError: A label is not among the categories, or another file is there.
    """
    numbers = {label: number for number, label in enumerate(categories, 1)}
    pictures: list[dict[str, Any]] = []

    def annotations() -> Iterator[dict[str, Any]]:
        number = 0
        for one in images:
            pictures.append(
                {"id": len(pictures) + 1, "file_name": one.name, "width": one.frame.width, "height": one.frame.height}
            )
            for label, mask in zip(one.labels, one.masks, strict=True):
                if label not in numbers:
                    raise ValueError(f"label {label!r} of {one.name!r} is not among the categories {list(categories)}")
                if mask.area:
                    number += 1
                    yield coco_annotation(mask, image=len(pictures), category=numbers[label], number=number)

    with (
        replacing(path, COCO, overwrite=overwrite) as part,
        part.open("w", encoding="utf-8", errors="backslashreplace") as out,
    ):
        # The mark stands first, where it is found again however long the file is.
        out.write(f'{{"info": {json.dumps({"contributor": mark(COCO)})}, "annotations": [')
        count = 0
        for found in annotations():
            out.write(", " * bool(count) + json.dumps(found))
            count += 1
        classes = [{"id": number, "name": label} for label, number in numbers.items()]
        rest = json.dumps({"images": pictures, "categories": classes}, ensure_ascii=False)
        out.write(f"], {rest[1:]}")
    return count
