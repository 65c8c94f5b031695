"""GeoChat's test sets of scene classification: its share of AID and of UC Merced, one question a picture."""

from __future__ import annotations

from collections.abc import Iterator

from rscovlm.data.sources.folder import Folder
from rscovlm.data.sources.registry import source
from rscovlm.data.sources.scene_folders import class_name
from rscovlm.records.record import Record
from rscovlm.records.tally import Rejected

_HELD = """mbzuai-oryx/GeoChat geochat/eval/batch_geochat_scene.py (question_id, image, text, ground_truth; the class is the folder in
question_id, case aside). A real file was not seen."""


def _register(name: str, files: tuple[str, ...], pictures: tuple[str, ...], licence: str) -> None:
    def read(folder: Folder, split: str) -> Iterator[Record]:
        file, base = folder.first(*files), folder.first(*pictures, ".")
        # The set as a whole says what there is to choose from.
        names = tuple(sorted({label for _, row in folder.items(file) if (label := _label(row.value))}))
        for place, row in folder.items(file):
            with folder.row(place):
                label = _label(row.value)
                if not label:
                    raise Rejected(
                        "no class", f"question_id {row['question_id']!r} names no folder, which is the class"
                    )
                image = folder.image(row["image"], under=base)
                yield Record(
                    row.text("question_id"),
                    name,
                    split,
                    "classification",
                    (image,),
                    question=row.text("text"),
                    classes=(label,),
                    categories=names,
                )

    source(
        name,
        splits=["test"],
        tasks=["classification"],
        licence=licence,
        layout=f"""{files[0]} (or {files[1]}), one question a line: question_id as <class>/<picture>, image, text, ground_truth; pictures
        below {pictures[0]}/ or at the top, by `image`.""",
        held=_HELD,
    )(read)


def _label(row: object) -> str:
    """Give the class of a row, empty where its id names none."""
    given = row.get("question_id") if isinstance(row, dict) else None
    return class_name(given.split("/")[0]) if isinstance(given, str) and "/" in given else ""


_register(
    "geochat-aid", ("aid.jsonl", "AID.jsonl"), ("AID", "images"), "academic use only; the images are Google Earth's"
)
_register(
    "geochat-ucmerced",
    ("UCmerced.jsonl", "ucmerced.jsonl"),
    ("UCMerced_LandUse/Images", "UCmerced", "images"),
    "public domain imagery of the USGS",
)
