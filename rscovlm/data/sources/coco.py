"""COCO detection as released: 80 everyday classes, horizontal boxes and polygons."""

from collections.abc import Iterator

from rscovlm.data.formats.coco import coco_records
from rscovlm.data.records import Record
from rscovlm.data.sources.folder import Folder
from rscovlm.data.sources.registry import source


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
