"""FAIR1M: 37 fine-grained classes of planes, ships, vehicles, courts and roads, oriented boxes in XML."""

from __future__ import annotations

from collections.abc import Iterator
from xml.etree.ElementTree import Element

from rscovlm.data.sources.folder import Folder, child, stem_of, value
from rscovlm.data.sources.labeltxt import canonical, canonical_names, read_unlabelled
from rscovlm.data.sources.registry import source
from rscovlm.records.record import Annotation, Record
from rscovlm.records.tally import Rejected

FAIR1M = [
    "Boeing737",
    "Boeing747",
    "Boeing777",
    "Boeing787",
    "C919",
    "A220",
    "A321",
    "A330",
    "A350",
    "ARJ21",
    "other-airplane",
    "Passenger Ship",
    "Motorboat",
    "Fishing Boat",
    "Tugboat",
    "Engineering Ship",
    "Liquid Cargo Ship",
    "Dry Cargo Ship",
    "Warship",
    "other-ship",
    "Small Car",
    "Bus",
    "Cargo Truck",
    "Dump Truck",
    "Van",
    "Trailer",
    "Tractor",
    "Excavator",
    "Truck Tractor",
    "other-vehicle",
    "Basketball Court",
    "Tennis Court",
    "Football Field",
    "Baseball Field",
    "Intersection",
    "Roundabout",
    "Bridge",
]


@source(
    "fair1m",
    splits=["train", "validation", "test"],
    tasks=["detection"],
    licence="academic use only; images of the Gaofen satellites and Google Earth",
    layout="""train/part1/images/*.tif with train/part1/labelXml/*.xml (labelXmls in some releases), train/part2 likewise;
    validation/images with validation/labelXml. Names repeat between parts. The test split's labels are not published: its records
    are the pictures of test/images, to be predicted.""",
    held="""torchgeo/torchgeo torchgeo/datasets/fair1m.py and tests/data/fair1m (folders, elements, 37 names, five points a rectangle).""",
)
def fair1m(folder: Folder, split: str) -> Iterator[Record]:
    """Read one detection record an image."""
    if split == "test":
        yield from read_unlabelled(folder, "fair1m", split, "test/images", FAIR1M)
        return
    parts = [part for part in folder.folders(split) if part.rpartition("/")[2].startswith("part")] or [split]
    for part in parts:
        labels = folder.first(f"{part}/labelXml", f"{part}/labelXmls")
        files = folder.files(labels, ".xml")
        folder.unlabelled(f"{part}/images", map(stem_of, files))
        for file in files:
            with folder.row(file):
                stem = stem_of(file)
                root = folder.xml(file)
                image = folder.picture(f"{part}/images", stem)
                objects = tuple(map(_object, child(root, "objects").iterfind("object")))
                name = f"{part.rpartition('/')[2]}/{stem}"
                yield Record(name, "fair1m", split, "detection", (image,), objects=objects, categories=tuple(FAIR1M))


def _object(element: Element) -> Annotation:
    label = value(element, "possibleresult/name")
    # Early files write names without a space ("PassengerShip"): both mean the same class.
    known = canonical(label, _NAMES)
    points = [tuple(map(float, (point.text or "").split(","))) for point in element.iterfind("points/point")]
    if points and points[0] == points[-1]:
        points.pop()
    if len(points) != 4 or any(len(point) != 2 for point in points):
        raise Rejected("malformed box", f"object {label!r} has points {points}, not four corners and the first again")
    return Annotation(tuple(number for point in points for number in point), known, "quad")


_NAMES = canonical_names(FAIR1M)
