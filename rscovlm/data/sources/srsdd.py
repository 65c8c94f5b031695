"""SRSDD-v1.0: ships of six classes in GF-3 spotlight SAR chips, oriented boxes."""

from collections.abc import Iterator

from rscovlm.data.sources.folder import Folder
from rscovlm.data.sources.labeltxt import SRSDD, read_pairs
from rscovlm.data.sources.registry import source
from rscovlm.records.record import Record


@source(
    "srsdd",
    splits=["train", "test"],
    tasks=["detection"],
    licence="for research; images of GF-3, terms as stated with the download",
    layout="<split>/images/*.jpg (or .png); <split>/labels/*.txt in DOTA's label text with a two-line header (or labelTxt/).",
    held="""egshkim/SAR-ShipDet-Dataset-Processor UnifiedDatasetProcessor.py (folders, header, line, names; it also knows 'bulk-cargo', which
    is refused here), VisionXLab/RSCoVLM rscovlm/eval/data/dense_det.py and zhasion/RSAR configs/_base_/datasets/srsdd.py (six names).
    The archives themselves are pointers in HeuristicLU/SRSDD-V1.0 and were not seen.""",
)
def srsdd(folder: Folder, split: str) -> Iterator[Record]:
    """Read one detection record a chip."""
    labels = folder.first(f"{split}/labels", f"{split}/labelTxt")
    yield from read_pairs(folder, "srsdd", split, labels, f"{split}/images", SRSDD)
