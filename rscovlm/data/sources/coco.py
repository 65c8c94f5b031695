"""COCO detection: as released, 80 everyday classes with horizontal boxes and polygons; and one's own data written that way."""

import os.path
from collections.abc import Iterator
from dataclasses import replace

from rscovlm.data.formats.coco import coco_records
from rscovlm.data.sources.folder import Folder
from rscovlm.data.sources.registry import source
from rscovlm.records.paths import below
from rscovlm.records.record import Record


@source(
    "coco",
    splits=["train2017", "val2017", "train2014", "val2014"],
    tasks=["detection"],
    licence="annotations CC BY 4.0; images under Flickr's terms",
    layout="annotations/instances_<split>.json; <split>/*.jpg. Both may lie in coco/.",
)
def coco(folder: Folder, split: str) -> Iterator[Record]:
    """Read one detection record an image whose file is there."""
    top = "coco/" if (folder.root / "coco").is_dir() else ""
    path = folder.path(f"{top}annotations/instances_{split}.json")
    records = coco_records(path, folder.tally, images=f"{top}{split}", source="coco", split=split, kind="hbb")
    yield from folder.present(records)


@source(
    "coco-json",
    splits=["train", "val", "test", "trainval"],
    tasks=["detection"],
    licence="your own",
    layout="""annotations/instances_<split>.json, annotations/<split>.json, <split>.json, <split>/_annotations.coco.json or
    annotations.json; pictures as file_name says below images/<split>/, <split>/images/, <split>/, images/ or the folder itself.
    Objects are quadrilaterals if every one has a single polygon of four corners, else horizontal boxes; masks in runs become outlines.""",
)
def coco_json(folder: Folder, split: str) -> Iterator[Record]:
    """Read one detection record an image of one's own COCO file; a size it does not say is the picture's."""
    name = folder.first(
        f"annotations/instances_{split}.json",
        f"annotations/{split}.json",
        f"{split}.json",
        f"{split}/_annotations.coco.json",
        "annotations.json",
    )
    places = [f"images/{split}", f"{split}/images", split, "images", ""]
    path = folder.path(name)
    records = coco_records(path, folder.tally, images="", source="coco-json", split=split, kind="auto")
    yield from folder.present(_placed(folder, record, places) for record in records)


def _placed(folder: Folder, record: Record, places: list[str]) -> Record:
    image = record.images[0]
    paths = (below(place, image.path) for place in places)
    found = next((path for path in paths if os.path.isfile(folder.root / path)), image.path)
    return replace(record, images=(replace(image, path=found),))
