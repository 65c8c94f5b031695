"""VHM's test sets: scene classes of five data sets, and five parts of RSVQA, as questions with one answer."""

from __future__ import annotations

from collections.abc import Iterator

from rscovlm.data.sources.chat import named, read_turns
from rscovlm.data.sources.folder import Folder, stem_of
from rscovlm.data.sources.registry import source
from rscovlm.records.paths import below
from rscovlm.records.record import Record
from rscovlm.records.tally import Rejected

_HELD = """VisionXLab/RSCoVLM rscovlm/eval/data/vhm_bench.py (names of the files, image, image_path, conversations of two turns). A real file
was not seen."""


def _register(name: str, prefix: str, examples: str) -> None:
    def read(folder: Folder, split: str) -> Iterator[Record]:
        top = folder.first("datasets_eval", ".")
        for file in folder.files(top, ".json"):
            if not stem_of(file).startswith(prefix):
                continue
            for place, row in folder.items(file):
                with folder.row(place):
                    inner = below("" if top == "." else top, row["image_path"]) if row.get("image_path") else top
                    image = folder.image(row["image"], under=inner)
                    turns = read_turns(row.list("conversations"), 1)
                    if [turn.role for turn in turns] != ["user", "assistant"]:
                        raise Rejected("not one question", f"{len(turns)} turns are no question and its answer")
                    yield Record(
                        f"{stem_of(file)}/{named(row, place)}",
                        name,
                        split,
                        "vqa",
                        (image,),
                        question=turns[0].text.replace("<image>", ""),
                        answer=turns[1].text,
                        extra={"set": stem_of(file)},
                    )

    source(
        name,
        splits=["test"],
        tasks=["vqa"],
        licence="instructions CC BY 4.0; images of the sets it was built from under their own terms",
        layout=f"""{examples}, one array each (any of them), in datasets_eval/ or at the top; pictures in the folder that a row's image_path names
        beside them. The name of the file is in `extra` as set; questions are as published, with what they say about the answer's form.""",
        held=_HELD,
    )(read)


_register(
    "vhm-scenes",
    "cls_",
    "cls_AID.json, cls_METER_ML.json, cls_NWPU_RESISC45.json, cls_SIRI_WHU.json, cls_WHU_RS19.json",
)
_register(
    "vhm-rsvqa",
    "RSVQA_",
    "RSVQA_HR-comp_RSVQA.json, RSVQA_HR-presence_RSVQA.json, RSVQA_LR-comp_RSVQA.json, RSVQA_LR-presence_RSVQA.json, "
    "RSVQA_LR-rural_urban_RSVQA.json",
)
