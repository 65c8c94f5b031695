"""DIOR and DIOR-R: twenty classes in 23,463 images of 800 x 800, horizontal and oriented boxes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from rscovlm.data.sources.folder import Folder
from rscovlm.data.sources.labeltxt import canonical, canonical_names
from rscovlm.data.sources.registry import source
from rscovlm.data.sources.voc import parse_voc
from rscovlm.records.record import Record

DIOR = [
    "airplane",
    "airport",
    "baseballfield",
    "basketballcourt",
    "bridge",
    "chimney",
    "dam",
    "Expressway-Service-area",
    "Expressway-toll-station",
    "golffield",
    "groundtrackfield",
    "harbor",
    "overpass",
    "ship",
    "stadium",
    "storagetank",
    "tenniscourt",
    "trainstation",
    "vehicle",
    "windmill",
]
_SPLITS = ["train", "val", "trainval", "test"]
_TASKS: list[str] = ["detection"]
_LICENCE = "academic use only; the images are Google Earth's"
_HELD = """zhasion/RSAR tests/data/dior/Annotations (a published file, all elements), mmrotate/datasets/dior.py (corners, names in lower
case, size that may be missing) and tools/data/dior/README.md (folders); a published image and its file."""
_LAYOUT = """JPEGImages-trainval/*.jpg, JPEGImages-test/*.jpg (or all in JPEGImages/); Annotations/{boxes} Bounding Boxes/*.xml;
ImageSets/Main/<split>.txt (or Main/), one stem a line; trainval is train then val if it has no file of its own."""


def _read(folder: Folder, name: str, split: str, boxes: str) -> Iterator[Record]:
    lists = folder.first("ImageSets/Main", "Main", "ImageSets")
    parts = ["train", "val"] if split == "trainval" and not (folder.root / lists / "trainval.txt").exists() else [split]
    annotations = folder.first(f"Annotations/{boxes} Bounding Boxes", "Annotations")
    pictures = folder.first(f"JPEGImages-{'test' if split == 'test' else 'trainval'}", "JPEGImages")
    for stem in (line.strip() for part in parts for line in folder.lines(f"{lists}/{part}.txt")):
        if not stem:
            continue
        with folder.row(f"{annotations}/{stem}.xml"):
            objects, (width, height) = parse_voc(folder.xml(folder.labels(annotations, stem, ".xml")))
            # Files differ in case: Expressway-toll-station, expressway-toll-station.
            objects = tuple(replace(item, label=canonical(item.label, _NAMES)) for item in objects)
            image = folder.picture(pictures, stem)
            if width and height:
                image = replace(image, width=width, height=height)
            yield Record(stem, name, split, "detection", (image,), objects=objects, categories=tuple(DIOR))


_NAMES = canonical_names(DIOR)


@source("dior-r", splits=_SPLITS, tasks=_TASKS, licence=_LICENCE, layout=_LAYOUT.format(boxes="Oriented"), held=_HELD)
def dior_r(folder: Folder, split: str) -> Iterator[Record]:
    """Read one detection record an image, with oriented boxes."""
    yield from _read(folder, "dior-r", split, "Oriented")


@source("dior", splits=_SPLITS, tasks=_TASKS, licence=_LICENCE, layout=_LAYOUT.format(boxes="Horizontal"), held=_HELD)
def dior(folder: Folder, split: str) -> Iterator[Record]:
    """Read one detection record an image, with horizontal boxes."""
    yield from _read(folder, "dior", split, "Horizontal")
