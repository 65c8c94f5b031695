"""refGeo grounding JSON lines: an expression, its box and outline in absolute pixels of the original image.

    {"image_id": "00001.jpg", "dataset": "dior_rsvg", "question": "the red roof", "question_id": 7, "bbox": [x1, y1, x2, y2],
     "poly": [[x, y], [x, y], [x, y], [x, y]], "image_width": 800, "image_height": 800, "mask_exists": true}

The published rows have neither size nor `mask_exists`: the size is then 0. Pictures are `images/<dataset>/<image_id>`, masks `masks/<dataset>/<stem of the picture>_<question_id>.png`. The record keeps `bbox` as its
box, because that is what is scored, and `poly` as its polygon.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from rscovlm.files import replacing
from rscovlm.records.jsonfiles import read_items
from rscovlm.records.paths import check_relative
from rscovlm.records.record import Annotation, ImageRef, Record
from rscovlm.records.rows import Row, as_list, as_numbers
from rscovlm.records.tally import Rejected, Strict, Tally


def read_refgeo(
    path: str | Path, *, source: str = "refgeo", split: str = "train", prefix: str = "", tally: Tally | None = None
) -> Iterator[Record]:
    """Read one grounding record a line.

    Args:
        path: The file.
        source: Written into the records.
        split: Written into the records.
        prefix: Put before `images/...` and `masks/...`, where the data folder is not refGeo's own.
        tally: Counts rows that cannot be read. Without it the first one is an error.

    Raises:
        ValueError: A row cannot be read; the message names file and row.
    """
    tally = tally or Strict()
    yield from tally.counted(refgeo_records(Path(path), tally, source=source, split=split, prefix=prefix))


def refgeo_records(path: Path, tally: Tally, *, source: str, split: str, prefix: str = "") -> Iterator[Record]:
    """Do what `read_refgeo` does, leaving it to the caller to count what is kept."""
    for place, row in read_items(path):
        with tally.row(place):
            yield _record(Row(row), source, split, prefix)


def write_refgeo(
    records: Iterable[Record], path: str | Path, *, tally: Tally | None = None, overwrite: bool = False
) -> int:
    """Write grounding records that have one image and one object.

    Args:
        records: Images lie in `images/<dataset>/`, as `read_refgeo` says.
        path: The file to write.
        tally: Counts records that are not of that kind. Without it the first one is an error.
        overwrite: Replace the file where it exists.

    Returns:
        How many lines were written.

    Raises:
        ValueError: The file exists.
    """
    tally = tally or Strict()
    before = tally.kept
    with replacing(path, overwrite=overwrite) as part, part.open("w", encoding="utf-8") as lines:
        for record in records:
            with tally.row(f"record {record.id!r}"):
                lines.write(json.dumps(_line(record), ensure_ascii=False) + "\n")
                tally.keep()
    return tally.kept - before


def _record(row: Row, source: str, split: str, prefix: str) -> Record:
    width, height = (row.whole(side) if row.get(side) is not None else 0 for side in ("image_width", "image_height"))
    dataset, picture, name = row.text("dataset"), row.text("image_id"), str(row["question_id"])
    image = ImageRef(f"{prefix}images/{check_relative(dataset)}/{check_relative(picture)}", width=width, height=height)
    points = as_list(row.get("poly") or [], "'poly'")
    ring = as_numbers(
        [value for point in points for value in (point if isinstance(point, list) else [point])], "'poly'"
    )
    item = Annotation(row.numbers("bbox"), row["question"], "hbb", polygons=(ring,) if ring else ())
    masks: tuple[ImageRef, ...] = ()
    if row.get("mask_exists"):
        masks = (ImageRef(mask_path(dataset, picture, name, prefix), width=width, height=height),)
    extra = {"dataset": dataset}
    return Record(
        f"{dataset}/{name}",
        source,
        split,
        "grounding",
        (image,),
        expression=row["question"],
        objects=(item,),
        masks=masks,
        extra=extra,
    )


def mask_path(dataset: str, picture: str, question: str, prefix: str = "") -> str:
    """Name the mask of an expression; the published reader cuts the picture's name at its first dot."""
    return f"{prefix}masks/{dataset}/{picture.partition('.')[0]}_{question}.png"


def _line(record: Record) -> dict[str, Any]:
    if record.task != "grounding" or len(record.images) != 1 or len(record.objects) != 1:
        count = len(record.objects)
        raise Rejected(
            "not one expression for one object", f"a {record.task} record with {count} objects is not a refGeo line"
        )
    (image,), (item,) = record.images, record.objects
    path, name = PurePosixPath(image.path), record.id.rpartition("/")[2]
    line: dict[str, Any] = {
        "image_id": path.name,
        "dataset": record.extra.get("dataset", path.parent.name),
        "question": record.expression,
        "question_id": int(name) if name.isdecimal() else name,
        "bbox": list(_bounds(item)),
        "image_width": image.width,
        "image_height": image.height,
    }
    ring = item.polygons[0] if item.polygons else item.box if item.kind == "quad" else ()
    if ring:
        line["poly"] = [[x, y] for x, y in zip(ring[0::2], ring[1::2], strict=True)]
    if record.masks:
        line["mask_exists"] = True
    return line


def _bounds(item: Annotation) -> tuple[float, ...]:
    if item.kind == "hbb":
        return item.box
    from rscovlm.geometry import Boxes

    return tuple(Boxes([item.box], item.kind).as_kind("hbb").coords[0].tolist())
