"""HRSC2016: ships in 1,061 labelled Google Earth images, boxes as centre, size and angle in radians."""

from __future__ import annotations

import math
from collections.abc import Iterator
from xml.etree.ElementTree import Element

from rscovlm.data.sources.folder import Folder, child, stem_of, value
from rscovlm.data.sources.registry import source
from rscovlm.records.record import Annotation, Record


@source(
    "hrsc2016",
    splits=["train", "val", "trainval", "test"],
    tasks=["detection"],
    licence="academic use only; the images are Google Earth's",
    layout="""ImageSets/<split>.txt, one stem a line; FullDataSet/AllImages/*.bmp with FullDataSet/Annotations/*.xml (or Train/ and Test/,
    each with AllImages and Annotations; without a list, all annotations of Train are trainval and of Test test). All objects are
    'ship'; the fine class id stays in the record's extra.""",
    held="""zhasion/RSAR tests/data/hrsc/FullDataSet/Annotations/100000006.xml (a published file, all elements) and tools/data/hrsc/README.md
    (folders); open-mmlab/mmrotate mmrotate/datasets/hrsc.py (radians, class ids, names of the lists).""",
)
def hrsc2016(folder: Folder, split: str) -> Iterator[Record]:
    """Read one detection record an image."""
    base = folder.first("FullDataSet", "Test" if split == "test" else "Train")
    for stem in _stems(folder, base, split):
        with folder.row(f"{base}/Annotations/{stem}.xml"):
            root = folder.xml(folder.labels(f"{base}/Annotations", stem, ".xml"))
            items = list(child(root, "HRSC_Objects").iterfind("HRSC_Object"))
            image = folder.picture(f"{base}/AllImages", stem)
            extra = {"class_ids": " ".join(value(item, "Class_ID") for item in items)} if items else {}
            objects = tuple(map(_object, items))
            yield Record(
                stem, "hrsc2016", split, "detection", (image,), objects=objects, categories=("ship",), extra=extra
            )


def _stems(folder: Folder, base: str, split: str) -> list[str]:
    listed = f"ImageSets/{split}.txt"
    if base == "FullDataSet" or split in ("train", "val") or (folder.root / listed).exists():
        return [stem for stem in map(str.strip, folder.lines(listed)) if stem]
    return [stem_of(file) for file in folder.files(f"{base}/Annotations", ".xml")]


def _object(element: Element) -> Annotation:
    x, y, w, h, angle = (float(value(element, f"mbox_{name}")) for name in ("cx", "cy", "w", "h", "ang"))
    hard = (element.findtext("difficult") or "0").strip() not in ("", "0")
    return Annotation((x, y, w, h, math.degrees(angle)), "ship", "obb", difficult=hard)
