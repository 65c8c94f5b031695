"""refGeo: referring expressions of five data sets with boxes, outlines and masks."""

from __future__ import annotations

from collections.abc import Iterator

from rscovlm.data.formats.refgeo import refgeo_records
from rscovlm.data.records import Record
from rscovlm.data.sources.folder import Folder
from rscovlm.data.sources.registry import source


@source(
    "refgeo",
    splits=["train", "val", "test"],
    tasks=["grounding"],
    licence="compiled from AVVG, DIOR-RSVG, GeoChat, RSVG and VRSBench, each under its own terms, academic use",
    layout="""metainfo_v2/<dataset>_train_v2.jsonl for training, metainfo/<dataset>_<split>.jsonl otherwise; images/<dataset>/;
    masks/<dataset>/<picture's stem>_<question id>.png. Datasets: avvg, dior_rsvg, geochat, rsvg, vrsbench. All of it may
    lie in refGeo/.""",
)
def refgeo(folder: Folder, split: str) -> Iterator[Record]:
    """Read one grounding record a line: the box is `bbox`, the polygon `poly`, the mask if the line says there is one."""
    top = "refGeo/" if (folder.root / "refGeo").is_dir() else ""
    place = folder.first(f"{top}metainfo_v2", f"{top}metainfo") if split == "train" else f"{top}metainfo"
    for file in folder.files(place, f"_{split}.jsonl", f"_{split}_v2.jsonl"):
        records = refgeo_records(folder.path(file), folder.tally, source="refgeo", split=split, prefix=top)
        yield from folder.present(records)
