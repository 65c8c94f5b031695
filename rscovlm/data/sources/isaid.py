"""iSAID: 655,451 instances of fifteen classes with outlines in the 2,806 images of DOTA-v1.0."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from rscovlm.data.formats.coco import coco_records
from rscovlm.data.sources.folder import Folder, stem_of
from rscovlm.data.sources.registry import source
from rscovlm.records.paths import below
from rscovlm.records.record import Record


@source(
    "isaid",
    splits=["train", "val"],
    tasks=["segmentation"],
    licence="academic use only; the images are DOTA's",
    layout="""<split>/Annotations/iSAID_<split>.json, COCO with polygons of every instance; <split>/images/<name>.png, DOTA-v1.0's images,
    also as <split>/images/images/. All of it may lie in iSAID/. Patches as the development kit cuts them, with
    <split>/instancesonly_filtered_<split>.json beside <split>/images/, are read as well. The test set has no public labels.""",
    held="""CAPTAIN-WHU/iSAID_Devkit README.md and preprocess (folders, names), open-mmlab/mmdetection configs of iSAID (patches and their
    file). A real file was not seen.""",
)
def isaid(folder: Folder, split: str) -> Iterator[Record]:
    """Read one segmentation record an image, the instances as outlines with their boxes; an image without any is set aside."""
    top = below("iSAID" if (folder.root / "iSAID").is_dir() else "", split)
    name = folder.first(
        f"{top}/Annotations/iSAID_{split}.json",
        f"{top}/Annotations/iSAID_{split}_2019.json",
        f"{top}/iSAID_{split}.json",
        f"{top}/instancesonly_filtered_{split}.json",
    )
    pictures = f"{top}/images"
    for record in coco_records(folder.path(name), folder.tally, images="", source="isaid", split=split, kind="hbb"):
        place = folder.tally.at
        if not record.objects:
            folder.tally.set_aside("picture without instances", place)
            continue
        with folder.row(place):
            image = folder.picture(pictures, stem_of(record.images[0].path))
            # Names repeat the categories' order in the file; the id is the picture's, which tells more than a number.
            key = stem_of(record.images[0].path)
            yield replace(record, id=key, task="segmentation", images=(image,))
