"""RSVQA: questions on Sentinel-2 (low resolution) and aerial (high resolution) images, answers derived from OpenStreetMap."""

from __future__ import annotations

from collections.abc import Iterator

from rscovlm.data.sources.folder import Folder, written
from rscovlm.data.sources.registry import source
from rscovlm.records.record import Record
from rscovlm.records.tally import Rejected

_HELD = """syvlo/RSVQA AutomaticDB/DataSpecification.md (fields, active) and VQA_model/VQALoader.py, train.py (names of the split files,
pictures by id); folders Images_LR and Data as in training scripts of others. A real file was not seen."""
_LAYOUT = """{prefix}_<split>_questions.json, {prefix}_<split>_answers.json (objects with one list each; rows that are not active are
not part of the set); pictures {pictures}/<img_id>.tif."""


def _read(folder: Folder, name: str, split: str, prefix: str, *pictures: str) -> Iterator[Record]:
    file = f"{prefix}_{split}_answers.json"
    answers = {}
    for row in folder.json(file).rows("answers"):
        if row.get("active", "answer" in row):
            answers[written(row["id"])] = row["answer"]
    base = folder.first(*pictures)
    file = f"{prefix}_{split}_questions.json"
    for number, row in enumerate(folder.json(file).rows("questions"), start=1):
        place = f"{file}, row {number}"
        with folder.row(place):
            if not row.get("active", "question" in row):
                folder.tally.set_aside("row not active", place)
                continue
            found = [answers[key] for key in map(written, row.list("answers_ids")) if key in answers]
            if not found:
                raise Rejected("question without an answer", f"none of the answers {row['answers_ids']} is there")
            image = folder.picture(base, str(row["img_id"]))
            extra = {"type": written(row.get("type"))}
            yield Record(
                str(row["id"]),
                name,
                split,
                "vqa",
                (image,),
                question=row["question"],
                answer=written(found[0]),
                extra=extra,
            )


@source(
    "rsvqa-lr",
    splits=["train", "val", "test"],
    tasks=["vqa"],
    licence="CC BY 4.0; Sentinel-2 and OpenStreetMap data under their own terms",
    layout=_LAYOUT.format(prefix="LR_split", pictures="Images_LR"),
    held=_HELD,
)
def rsvqa_lr(folder: Folder, split: str) -> Iterator[Record]:
    """Read one question a row; counts are as published, not in the bins that scoring uses."""
    yield from _read(folder, "rsvqa-lr", split, "LR_split", "Images_LR", "Images")


@source(
    "rsvqa-hr",
    splits=["train", "val", "test", "test_phili"],
    tasks=["vqa"],
    licence="CC BY 4.0; USGS imagery and OpenStreetMap data under their own terms",
    layout=_LAYOUT.format(prefix="USGS_split", pictures="Data"),
    held=_HELD,
)
def rsvqa_hr(folder: Folder, split: str) -> Iterator[Record]:
    """Read one question a row; areas keep their unit, as in '120m2'."""
    yield from _read(folder, "rsvqa-hr", split, "USGS_split", "Data", "Images")
