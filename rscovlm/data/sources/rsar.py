"""RSAR: oriented boxes of six classes in SAR images of several sensors."""

from collections.abc import Iterator

from rscovlm.data.sources.folder import Folder
from rscovlm.data.sources.labeltxt import RSAR, read_pairs
from rscovlm.data.sources.registry import source
from rscovlm.records.record import Record


@source(
    "rsar",
    splits=["train", "val", "test"],
    tasks=["detection"],
    licence="built on SARDet-100K and its parts, each under its own terms, academic use",
    layout="<split>/images/* (.jpg, .png, .bmp); <split>/annfiles/*.txt in DOTA's label text.",
    held="zhasion/RSAR README.md (folders, endings) and mmrotate/datasets/rsar.py (line, six names in lower case).",
)
def rsar(folder: Folder, split: str) -> Iterator[Record]:
    """Read one detection record an image."""
    yield from read_pairs(folder, "rsar", split, f"{split}/annfiles", f"{split}/images", RSAR)
