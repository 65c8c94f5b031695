"""refGeo: referring expressions of five data sets with boxes, outlines and masks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from rscovlm.data.formats.refgeo import mask_path, refgeo_records
from rscovlm.data.sources.folder import Folder
from rscovlm.data.sources.registry import source
from rscovlm.records.record import Record


@source(
    "refgeo",
    splits=["train", "val", "test"],
    tasks=["grounding"],
    licence="compiled from AVVG, DIOR-RSVG, GeoChat, RSVG and VRSBench, each under its own terms, academic use",
    layout="""metainfo_v2/<dataset>_train_v2.jsonl for training, metainfo/<dataset>_<split>.jsonl otherwise; images/<dataset>/;
    masks/<dataset>/<picture's stem>_<question id>.png. Datasets: avvg, dior_rsvg, geochat, rsvg, vrsbench. All of it may
    lie in refGeo/. A picture whose file has another ending, or lies in images/<dataset>_test/, is found there. Rows as published have no image_width, image_height and mask_exists: sizes are then
    the pictures' own, and a mask is taken where its file is there.""",
    held="""VisionXLab/RSCoVLM rscovlm/training/data/refgeo_dataset.py and config.py (fields, names of the training files, masks),
    rscovlm/eval/data/geoground.py (names of the others, geochat's other endings and test folder). A real file was not seen.""",
)
def refgeo(folder: Folder, split: str) -> Iterator[Record]:
    """Read one grounding record a line: the box is `bbox`, the polygon `poly`, the mask if the line says there is one."""
    top = "refGeo/" if (folder.root / "refGeo").is_dir() else ""
    place = folder.first(f"{top}metainfo_v2", f"{top}metainfo") if split == "train" else f"{top}metainfo"
    for file in folder.files(place, f"_{split}.jsonl", f"_{split}_v2.jsonl"):
        records = refgeo_records(folder.path(file), folder.tally, source="refgeo", split=split, prefix=top)
        yield from folder.present(_masked(folder, _placed(folder, record), top) for record in records)


def _masked(folder: Folder, record: Record, top: str) -> Record:
    """Add the mask that lies where it belongs, since rows as published do not say whether there is one."""
    dataset, _, question = record.id.partition("/")
    path = mask_path(dataset, record.images[0].path.rpartition("/")[2], question, top)
    if record.masks or not (folder.root / path).is_file():
        return record
    return replace(record, masks=(folder.image(path),))


def _placed(folder: Folder, record: Record) -> Record:
    """Point at the picture where it lies: GeoChat's names say .jpg for what may be .png, and its test set has its own folder."""
    image = record.images[0]
    if (folder.root / image.path).exists():
        return record
    base, ending = image.path.rpartition(".")[::2]
    place, stem = base.rpartition("/")[::2]
    other = {"jpg": "png", "png": "jpg"}.get(ending, ending)
    for path in (f"{base}.{other}", f"{place}_test/{stem}.{ending}", f"{place}_test/{stem}.{other}"):
        if (folder.root / path).exists():
            return replace(record, images=(replace(image, path=path),))
    return record
