"""RISBench: 52,472 phrases of 26 classes, each with a mask, on the chips of VRSBench, 512 x 512."""

from __future__ import annotations

from collections.abc import Iterator

from rscovlm.data.sources.folder import Folder
from rscovlm.data.sources.phrases import on_one_grid, phrase_lines
from rscovlm.data.sources.registry import source
from rscovlm.records.paths import below
from rscovlm.records.record import Record


@source(
    "risbench",
    splits=["train", "val", "test"],
    tasks=["segmentation"],
    licence="CC-BY-4.0; images of DOTA-v2 and DIOR, academic use only",
    layout="""output_phrase_<split>.txt, a file's name and a phrase a line; img_rgb/<name>; mask/<name>, 0 where the phrase does not apply.
    All of it may lie in RISBench_dataset/ or RISBench/RISBench_dataset/.""",
    held="""A public reader of the files in the RISBench_dataset folder (folders, lines, grey levels) and HIT-SIRS/CroBIM README.md (size,
    counts, terms). A real file was not seen.""",
)
def risbench(folder: Folder, split: str) -> Iterator[Record]:
    """Read one segmentation record a line."""
    tops = ("RISBench_dataset", "RISBench/RISBench_dataset", "RISBench")
    top = next((place for place in tops if (folder.root / place / f"output_phrase_{split}.txt").is_file()), "")
    for place, number, name, phrase in phrase_lines(folder, below(top, f"output_phrase_{split}.txt")):
        with folder.row(place):
            image, mask = folder.image(name, under=below(top, "img_rgb")), folder.image(name, under=below(top, "mask"))
            on_one_grid(image, mask)
            key = f"{name.rpartition('.')[0] or name}/{number}"
            yield Record(key, "risbench", split, "segmentation", (image,), expression=phrase, masks=(mask,))
