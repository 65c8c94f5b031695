"""RRSIS-D: 17,402 expressions of twenty classes, each with the mask of what it names, on DIOR's images of 800 x 800."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from rscovlm.data.formats.rle import decode_rle, encode_rle, mask_rings
from rscovlm.data.sources.folder import Folder
from rscovlm.data.sources.registry import source
from rscovlm.records.paths import below
from rscovlm.records.record import Annotation, Record
from rscovlm.records.rows import Row, as_list, as_numbers
from rscovlm.records.tally import Rejected

_REFS = ("refs(unc).json", "refs.json")
_PICKLE = "refs(unc).p"
_REWRITE = (
    "import json, pickle; json.dump(pickle.load(open('refs(unc).p', 'rb')), open('refs(unc).json', 'w'), default=int)"
)


@source(
    "rrsis-d",
    splits=["train", "val", "test"],
    tasks=["segmentation"],
    licence="academic use only; the images are DIOR's",
    layout="""rrsisd/instances.json (COCO with a mask an object); rrsisd/refs(unc).json with ref_id, ann_id, image_id, split and sentences of
    each reference; images/rrsisd/JPEGImages/*.jpg. All of it may lie in RRSIS-D/. The references are published as a pickle, refs(unc).p,
    which is never loaded: the error says how to write it as JSON.""",
    held="""Lsan2401/RMSIN README.md (folders) and refer/refer.py (fields of references, masks as a list of runs or of polygons), and
    earth-insights/SegEarth-R1 RS_val_dataset.py (`raw` is the expression). A real file was not seen.""",
)
def rrsisd(folder: Folder, split: str) -> Iterator[Record]:
    """Read one segmentation record a sentence; the box is what the outlines span, since public readers take `bbox` in two ways."""
    top = "RRSIS-D" if (folder.root / "RRSIS-D").is_dir() else ""
    name = _references(folder, below(top, "rrsisd"))
    content = folder.json(below(top, "rrsisd/instances.json"))
    objects = {str(row["id"]): row for row in content.rows("annotations")}
    images = {str(row["id"]): row.text("file_name") for row in content.rows("images")}
    classes = {str(row["id"]): row.text("name") for row in content.rows("categories")}
    for place, row in folder.items(name):
        if row.get("split") != split:
            folder.tally.set_aside("row of another split", place)
            continue
        with folder.row(place):
            found = objects.get(str(row["ann_id"]))
            if found is None:
                raise Rejected("object that is not there", f"no annotation {row['ann_id']!r} in instances.json")
            picture = images.get(str(found["image_id"]), f"no image {found['image_id']!r}")
            image = folder.image(picture, under=below(top, "images/rrsisd/JPEGImages"))
            label = classes.get(str(found.get("category_id")), "")
            item = _outlined(found["segmentation"], label, (image.width, image.height))
            for number, sentence in enumerate(row.rows("sentences")):
                text = sentence.text("raw" if "raw" in sentence else "sent").strip()
                key = f"{row['ref_id']}/{number}"
                yield Record(key, "rrsis-d", split, "segmentation", (image,), expression=text, objects=(item,))


def _references(folder: Folder, base: str) -> str:
    """Find the references as JSON.

    Raises:
        ValueError: They are there as a pickle alone.
        FileNotFoundError: They are not there at all.
    """
    for name in _REFS:
        if (folder.root / base / name).is_file():
            return f"{base}/{name}"
    if (folder.root / base / _PICKLE).is_file():
        raise ValueError(
            f"{base}/{_PICKLE} is a pickle, which may run any code when it is loaded, so it is not read; if you trust it, "
            f'write it as JSON once, in that folder: python -c "{_REWRITE}"'
        )
    return folder.first(f"{base}/{_REFS[0]}")


def _outlined(segmentation: Any, label: str, size: tuple[int, int]) -> Annotation:
    """Give an object of a mask: runs, a list of runs which are one mask together, or polygons.

    Raises:
        ValueError: It is none of these, is of another size than the image, or shows nothing.
    """
    parts = [segmentation] if isinstance(segmentation, Mapping) else as_list(segmentation, "'segmentation'")
    if parts and isinstance(parts[0], Mapping):
        masks = [decode_rle(Row(part).value) for part in parts]
        for mask in masks:
            if (mask.shape[1], mask.shape[0]) != size:
                shape = f"{mask.shape[1]}x{mask.shape[0]}"
                raise Rejected("sizes differ", f"a mask of {shape} on an image of {size[0]}x{size[1]}")
        rings = mask_rings(encode_rle(np.logical_or.reduce(masks)))
    else:
        rings = tuple(ring for ring in (as_numbers(part, "a polygon") for part in parts) if len(ring) > 4)
    if not rings:
        raise Rejected("empty mask", "the mask shows nothing")
    xs, ys = ([number for ring in rings for number in ring[axis::2]] for axis in (0, 1))
    return Annotation((min(xs), min(ys), max(xs), max(ys)), label, "hbb", polygons=rings)
