"""RefSegRS: 4,420 phrases, each with the mask of what it names, on aerial tiles of 512 x 512."""

from __future__ import annotations

from collections.abc import Iterator

from rscovlm.data.sources.folder import Folder
from rscovlm.data.sources.phrases import on_one_grid, phrase_lines
from rscovlm.data.sources.registry import source
from rscovlm.records.paths import below
from rscovlm.records.record import Record


@source(
    "refsegrs",
    splits=["train", "val", "test"],
    tasks=["segmentation"],
    licence="CC-BY-4.0",
    layout="""output_phrase_<split>.txt, a number and a phrase a line; images/<number>.tif; masks/<number>.tif, 0 where the phrase does
    not apply. All of it may lie in RefSegRS/.""",
    held="""earth-insights/SegEarth-R1 segearth_r1/eval_and_test/eval_dataset/RS_val_dataset.py (lines, names, endings, grey levels) and
    docs/Preparation.md (folders); zhu-xlab/rrsis README.md (terms). A real file was not seen.""",
)
def refsegrs(folder: Folder, split: str) -> Iterator[Record]:
    """Read one segmentation record a line."""
    top = "RefSegRS" if (folder.root / "RefSegRS").is_dir() else ""
    for place, number, stem, phrase in phrase_lines(folder, below(top, f"output_phrase_{split}.txt")):
        with folder.row(place):
            image, mask = folder.picture(below(top, "images"), stem), folder.picture(below(top, "masks"), stem)
            on_one_grid(image, mask)
            key = f"{stem}/{number}"
            yield Record(key, "refsegrs", split, "segmentation", (image,), expression=phrase, masks=(mask,))
