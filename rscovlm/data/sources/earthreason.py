"""EarthReason: 5,434 images with questions that ask for a place by what it is for, answered by a mask; some have no target."""

from __future__ import annotations

from collections.abc import Iterator

from rscovlm.data.sources.folder import PICTURES, Folder
from rscovlm.data.sources.phrases import on_one_grid
from rscovlm.data.sources.registry import source
from rscovlm.records.paths import below
from rscovlm.records.record import Record
from rscovlm.records.rows import as_text


@source(
    "earthreason",
    splits=["train", "val", "test"],
    tasks=["segmentation"],
    licence="as stated by the publishers with the data set",
    layout="""<split>/images/<stem>.jpg; <split>/labels/<stem>.png, 0 outside the target; <split>/QAs/<stem>.json with lists `questions` and
    `answer`, the latter empty where nothing in the image is asked for (the mask is then all 0). All of it may lie in EarthReason/ or
    RSReasonSeg/.""",
    held="""earth-insights/SegEarth-R1 segearth_r1/eval_and_test/eval_dataset/RS_val_dataset.py (folders, fields, grey levels, empty answers).
    That reader pairs files by their order; here equal stems pair them. A real file was not seen.""",
)
def earthreason(folder: Folder, split: str) -> Iterator[Record]:
    """Read one segmentation record a question; the first answer in words is its `answer`, all are its `captions`."""
    tops = ("EarthReason", "RSReasonSeg")
    top = below(next((place for place in tops if (folder.root / place).is_dir()), ""), split)
    questions = folder.by_stem(below(top, "QAs"), ".json", ".txt", deep=False)
    masks = folder.by_stem(below(top, "labels"), *PICTURES, deep=False)
    for stem, name in folder.by_stem(below(top, "images"), *PICTURES, deep=False).items():
        if stem not in questions:
            folder.tally.set_aside("picture without questions", name)
    for stem, place in questions.items():
        with folder.row(place):
            row = folder.json(place)
            asked = [as_text(text, "a question").strip() for text in row.list("questions")]
            answers = tuple(as_text(text, "an answer").strip() for text in row.list("answer"))
            image = folder.picture(below(top, "images"), stem)
            mask = folder.image(masks.get(stem, below(top, f"labels/{stem}.png")))
            on_one_grid(image, mask)
            for number, text in enumerate(asked):
                yield Record(
                    f"{stem}/{number}",
                    "earthreason",
                    split,
                    "segmentation",
                    (image,),
                    expression=text,
                    answer=answers[0] if answers else "",
                    captions=answers,
                    masks=(mask,),
                    extra={} if answers else {"target": "none"},
                )
