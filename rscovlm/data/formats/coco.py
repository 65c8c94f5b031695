"""COCO detection JSON: `images`, `annotations` with `bbox` [x, y, w, h] and `segmentation`, `categories`.

Oriented data sets keep their quadrilateral as the one four-point polygon of `segmentation`. On writing every box has both. Masks in runs
become outlines; an object that has no `bbox` takes the bounds of its outlines.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, cast

from rscovlm.data.formats.rle import mask_rings, rings_to_coco
from rscovlm.files import mark, write_text
from rscovlm.records.jsonfiles import read_json
from rscovlm.records.paths import below
from rscovlm.records.record import Annotation, ImageRef, Record
from rscovlm.records.rows import Row, as_list, as_numbers, as_whole
from rscovlm.records.tally import Rejected, Strict, Tally
from rscovlm.tasks.table import task_of


def read_coco(
    path: str | Path,
    *,
    images: str = "",
    source: str = "coco",
    split: str = "train",
    kind: Literal["auto", "hbb", "quad"] = "auto",
    tally: Tally | None = None,
) -> Iterator[Record]:
    """Read one detection record an image, images without objects included.

    Args:
        path: The annotation file.
        images: Folder of the pictures, relative to the data folder; put before each `file_name`.
        source: Written into the records.
        split: Written into the records.
        kind: `hbb` takes `bbox`; `quad` takes the four-point polygon, and an object without one makes its row unusable; `auto` takes
            `quad` if every object has exactly one four-point polygon.
        tally: Counts images that cannot be read. Without it the first one is an error.

    Raises:
        ValueError: The file is not COCO JSON, or a row cannot be read; the message names file and row.
    """
    tally = tally or Strict()
    yield from tally.counted(coco_records(Path(path), tally, images=images, source=source, split=split, kind=kind))


def coco_records(
    path: Path, tally: Tally, *, images: str, source: str, split: str, kind: Literal["auto", "hbb", "quad"]
) -> Iterator[Record]:
    """Do what `read_coco` does, leaving it to the caller to count what is kept.

    Raises:
        ValueError: The file is no COCO detection JSON.
    """
    name = path.name
    content = read_json(path)
    parts = [content.get(key) if isinstance(content, dict) else None for key in ("images", "annotations", "categories")]
    if not all(isinstance(part, list) for part in parts):
        raise ValueError(f"{name} is not COCO detection JSON: it needs lists of images, annotations and categories")
    rows, annotations, categories = cast(list[list[Any]], parts)
    names = _names(categories, name)
    by_image: dict[Any, list[Any]] = defaultdict(list)
    for number, item in enumerate(annotations, start=1):
        with tally.row(f"{name}, annotation {number}"):
            by_image[_id(Row(item), "image_id")].append(item)
    quads = kind == "quad" or (kind == "auto" and annotations and all(map(_is_quad, annotations)))
    seen = set()
    for number, row in enumerate(map(Row, rows), start=1):
        with tally.row(f"{name}, image {number}"):
            key = _id(row, "id")
            if key in seen:
                raise Rejected("repeated id", f"image id {key!r} stands on an earlier image too")
            seen.add(key)
            given = by_image.pop(key, ())
            size = as_whole(row.get("width") or 0, "'width'"), as_whole(row.get("height") or 0, "'height'")
            objects = tuple(_object(item, names, size, quads=bool(quads)) for item in map(Row, given))
            file = below(images, row["file_name"])
            image = ImageRef(file, width=size[0], height=size[1])
            name_of_row = str(row.get("record_id", key))
            record = Record(
                name_of_row, source, split, "detection", (image,), objects=objects, categories=tuple(names.values())
            )
            yield record
    for image_id, orphans in by_image.items():
        tally.drop("object on no image", f"{name}, image id {image_id!r}", f"{len(orphans)} objects")


def _id(row: Row, key: str) -> Any:
    """Give a number or text that names something."""
    value = row[key]
    if isinstance(value, (list, dict)):
        raise Rejected("malformed row", f"{key!r} is {value!r}, which names nothing")
    return value


def _names(categories: list[Any], name: str) -> dict[Any, str]:
    names: dict[Any, str] = {}
    for number, category in enumerate(categories, start=1):
        place = f"{name}, category {number}"
        row = Row(category, place)
        key, text = _id(row, "id"), row["name"]
        if text is None or isinstance(text, (list, dict)) or not str(text).strip():
            raise ValueError(f"{place}: {text!r} is no name; name every class")
        if names.setdefault(key, str(text)) != str(text):
            raise ValueError(
                f"{place}: id {key!r} is both {names[key]!r} and {text!r}; give every class an id of its own"
            )
    return names


def write_coco(
    records: Iterable[Record], path: str | Path, *, tally: Tally | None = None, overwrite: bool = False
) -> int:
    """Write detection records as one COCO file; category ids follow the first appearance of each name.

    Args:
        records: Detection records with one image each; other records cannot be written.
        path: The file to write.
        tally: Counts records that are no detections. Without it the first one is an error.
        overwrite: Replace a file that something else wrote.

    Returns:
        How many images were written.

    Raises:
        ValueError: Such a file is there.
    """
    tally = tally or Strict()
    before = tally.kept
    content: dict[str, list[dict[str, Any]]] = {"images": [], "annotations": [], "categories": []}
    ids: dict[str, int] = {}
    for record in records:
        with tally.row(f"record {record.id!r}"):
            _append(record, content, ids)
            tally.keep()
    content["categories"] = [{"id": number, "name": name} for name, number in ids.items()]
    text = json.dumps({"info": {"contributor": mark("coco")}, **content}, ensure_ascii=False)
    write_text(path, text, "coco", overwrite=overwrite)
    return tally.kept - before


def _append(record: Record, content: dict[str, list[dict[str, Any]]], ids: dict[str, int]) -> None:
    if not task_of(record.task).dense or len(record.images) != 1:
        raise Rejected(
            "not a detection of one image", f"a {record.task} record with {len(record.images)} images is not COCO"
        )
    image = record.images[0]
    number = len(content["images"]) + 1
    content["images"].append(
        {"id": number, "record_id": record.id, "file_name": image.path, "width": image.width, "height": image.height}
    )
    for label in (*record.categories, *(item.label for item in record.objects)):
        ids.setdefault(label, len(ids) + 1)
    for item in record.objects:
        quad = corners(item)
        xs, ys = quad[0::2], quad[1::2]
        box = [min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys)]
        rings = rings_to_coco(item.polygons, image.width, image.height) if item.polygons else [list(quad)]
        content["annotations"].append(
            {
                "id": len(content["annotations"]) + 1,
                "image_id": number,
                "category_id": ids[item.label],
                "bbox": box,
                "area": box[2] * box[3],
                "segmentation": rings if item.polygons or item.kind != "hbb" else [],
                "iscrowd": 0,
                "difficult": int(item.difficult),
            }
        )


def corners(item: Annotation) -> tuple[float, ...]:
    """Give the four corners of a box of any kind as x1 y1 ... x4 y4, a `quad` in the order it has."""
    if item.kind == "quad":
        return item.box
    if item.kind == "hbb":
        x1, y1, x2, y2 = item.box
        return (x1, y1, x2, y1, x2, y2, x1, y2)
    from rscovlm.geometry import Boxes

    return tuple(Boxes([item.box], "obb").as_kind("quad").coords[0].tolist())


def _is_quad(item: Any) -> bool:
    rings = item.get("segmentation") if isinstance(item, Mapping) else None
    return isinstance(rings, list) and len(rings) == 1 and isinstance(rings[0], list) and len(rings[0]) == 8


def _object(item: Row, names: dict[Any, str], size: tuple[int, int], *, quads: bool) -> Annotation:
    category = _id(item, "category_id")
    if category not in names:
        raise Rejected("unknown class", f"category {category!r} is not in the file's categories")
    label = names[category]
    hard = bool(item.get("iscrowd") or item.get("ignore") or item.get("difficult"))
    if quads:
        if not _is_quad(item):
            raise Rejected(
                "no quadrilateral",
                f"object {item.get('id')!r} has no single four-point polygon; read it with kind='hbb'",
            )
        return Annotation(as_numbers(item.list("segmentation")[0], "a polygon"), label, "quad", difficult=hard)
    polygons = _rings(item.get("segmentation"), size)
    if not item.get("bbox") and polygons:
        xs, ys = ([number for ring in polygons for number in ring[axis::2]] for axis in (0, 1))
        return Annotation((min(xs), min(ys), max(xs), max(ys)), label, "hbb", difficult=hard, polygons=polygons)
    x, y, w, h = item.numbers("bbox")
    return Annotation((x, y, x + w, y + h), label, "hbb", difficult=hard, polygons=polygons)


def _rings(segmentation: Any, size: tuple[int, int]) -> tuple[tuple[float, ...], ...]:
    if not segmentation:
        return ()
    if isinstance(segmentation, list):
        # Rings of two corners or none, which annotation tools leave behind, enclose nothing.
        rings = (as_numbers(ring, "a polygon") for ring in segmentation)
        return tuple(ring for ring in rings if len(ring) > 4 or len(ring) % 2)
    sides = Row(segmentation, "'segmentation'")["size"]
    if all(size) and as_list(sides, "a mask's size") != [size[1], size[0]]:
        raise Rejected("malformed mask", f"a mask of size {sides} (h, w) on an image of {size[0]}x{size[1]}")
    return mask_rings(segmentation)
