"""Objects as the annotation formats of detection: COCO, DOTA Task 1, YOLO-OBB, supervision."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rscovlm.files import mark, write_text
from rscovlm.geometry import Objects
from rscovlm.geometry.affine import IDENTITY
from rscovlm.metrics.task1 import write_task1


def to_coco(
    images: Mapping[str, Objects],
    path: str | os.PathLike[str] | None = None,
    *,
    categories: Sequence[str] | None = None,
    overwrite: bool = False,
) -> dict[str, Any]:
    """Return objects as a COCO data set, and write it where a path is given.

    Boxes are x, y, width, height; the corners are kept as ``segmentation``; images and categories count from 1 in the
    order given.

    Args:
        images: File name -> its objects, in pixels of that image.
        path: File to write; its ``info`` says that it is ours.
        categories: All class names in order; by default those found, sorted.
        overwrite: Replace a file that something else wrote.

    Raises:
        ValueError: Objects have no frame or lie on a view, a label is not among the categories, or another file is there.

    Example:
        >>> from rscovlm.geometry import Boxes, Frame
        >>> found = Objects(Boxes([[1, 2, 11, 8]], "hbb", Frame(20, 10)), ("ship",))
        >>> to_coco({"a.tif": found})["annotations"][0]["bbox"]
        [1.0, 2.0, 10.0, 6.0]
    """
    numbers = _numbers(images, categories)
    pictures: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for name, objects in images.items():
        width, height = _original(objects, name)
        pictures.append({"id": len(pictures) + 1, "file_name": name, "width": width, "height": height})
        upright = objects.boxes.as_kind("hbb").coords
        corners = objects.boxes.as_kind("quad").coords
        areas = objects.boxes.area()
        for row, label in enumerate(objects.labels):
            x1, y1, x2, y2 = upright[row].tolist()
            annotation = {
                "id": len(annotations) + 1,
                "image_id": len(pictures),
                "category_id": numbers[label] + 1,
                "bbox": [x1, y1, x2 - x1, y2 - y1],
                "segmentation": [corners[row].tolist()],
                "area": float(areas[row]),
                "iscrowd": 0,
            }
            if objects.scores is not None:
                annotation["score"] = float(objects.scores[row])
            annotations.append(annotation)
    classes = [{"id": number + 1, "name": label} for label, number in numbers.items()]
    dataset = {"images": pictures, "annotations": annotations, "categories": classes}
    if path is not None:
        text = json.dumps({"info": {"contributor": mark("coco")}, **dataset}, ensure_ascii=False, allow_nan=False)
        write_text(path, text, "coco", overwrite=overwrite)
    return dataset


def to_dota(
    images: Mapping[str, Objects],
    path: str | os.PathLike[str],
    *,
    categories: Sequence[str] | None = None,
    overwrite: bool = False,
) -> Path:
    """Write objects as DOTA Task 1 files, one a class with a line an object: image, score, four corners.

    Args:
        images: Image name -> its objects, in pixels of that image; an object without score gets 1.
        path: Folder, which is made, or a file that ends in ``.zip``.
        categories: All class names, each that occurs gets its file; by default those found, sorted.
        overwrite: Replace files of these names that something else wrote.

    Raises:
        ValueError: Objects lie on a view, a label is not among the categories, a name has blanks or slashes or is a tile's,
            or another file is there.
    """
    numbers = _numbers(images, categories)
    detections: dict[str, dict[str, Any]] = {}
    for name, objects in images.items():
        _original(objects, name)
        corners = objects.boxes.as_kind("quad").coords
        detections[name] = {"boxes": corners, "labels": list(objects.labels), "scores": objects.scores}
    return write_task1(Path(path), detections, list(numbers), overwrite=overwrite)


def to_yolo_obb(
    objects: Objects,
    categories: Sequence[str],
    path: str | os.PathLike[str] | None = None,
    *,
    overwrite: bool = False,
) -> str:
    """Return objects as lines of YOLO-OBB labels, and write them where a path is given.

    A line is the class's index in `categories` and four corners as shares of width and height. Shares are clipped to
    0-1, as that format has no others. It has no room for a mark either, so that an existing file is replaced only with
    ``overwrite``.

    Raises:
        ValueError: The objects have no frame or lie on a view, a label is not among the categories, or the file exists.

    Example:
        >>> from rscovlm.geometry import Boxes, Frame
        >>> to_yolo_obb(Objects(Boxes([[1, 2, 11, 8]], "hbb", Frame(20, 10)), ("ship",)), ["plane", "ship"])
        '1 0.05 0.2 0.55 0.2 0.55 0.8 0.05 0.8\\n'
    """
    numbers = _numbers({"": objects}, categories)
    width, height = _original(objects, "")
    shares = np.clip(objects.boxes.as_kind("quad").coords / ([width, height] * 4), 0, 1)
    rows = zip(objects.labels, shares.tolist(), strict=True)
    text = "".join(f"{numbers[label]} {' '.join(f'{round(v, 6):g}' for v in row)}\n" for label, row in rows)
    if path is not None:
        write_text(path, text, overwrite=overwrite)
    return text


def to_supervision(objects: Objects, categories: Sequence[str] | None = None) -> Any:
    """Return objects as ``supervision.Detections``; oriented corners go where that library looks for them.

    Args:
        objects: Labelled boxes in pixels of the picture they will be drawn on.
        categories: All class names in order; by default those found, sorted.

    Raises:
        ValueError: supervision is not installed, or a label is not among the categories.
    """
    try:
        import supervision
    except ImportError:
        raise ValueError("this needs the package supervision: pip install supervision") from None
    numbers = _numbers({"": objects}, categories)
    data: dict[str, Any] = {"class_name": np.array(objects.labels, dtype=str)}
    if objects.boxes.kind != "hbb":
        data["xyxyxyxy"] = objects.boxes.as_kind("quad").coords.reshape(-1, 4, 2)
    return supervision.Detections(
        xyxy=objects.boxes.as_kind("hbb").coords.copy(),
        confidence=None if objects.scores is None else objects.scores.copy(),
        class_id=np.array([numbers[label] for label in objects.labels], dtype=int),
        data=data,
    )


def _numbers(images: Mapping[str, Objects], categories: Sequence[str] | None) -> dict[str, int]:
    """Return label -> index; every label found must have one."""
    found = {label: name for name, objects in images.items() for label in objects.labels}
    if categories is None:
        return {label: number for number, label in enumerate(sorted(found))}
    numbers = {label: number for number, label in enumerate(categories)}
    if len(numbers) != len(categories):
        raise ValueError(f"categories {list(categories)} name a class twice; give each once")
    for label, name in found.items():
        if label not in numbers:
            raise ValueError(
                f"{name or 'the objects'}: label {label!r} is not among the categories {list(categories)[:20]}"
            )
    return numbers


def _original(objects: Objects, name: str) -> tuple[int, int]:
    """Return width and height of the image; the objects must be in its pixels."""
    frame = objects.boxes.frame
    where = name or "the objects"
    if frame is None:
        raise ValueError(
            f"{where}: these objects have no frame, so the image's size is not known; give objects.to(frame)"
        )
    if frame.to_root != IDENTITY:
        raise ValueError(f"{where}: these objects are in pixels of a view; give objects.to(raster.frame)")
    return frame.width, frame.height
