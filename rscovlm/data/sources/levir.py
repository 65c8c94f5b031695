"""LEVIR-CD and LEVIR-MCI: pairs of aerial images years apart, masks of what changed, and sentences about it."""

from __future__ import annotations

from collections.abc import Iterator

from rscovlm.data.records import Record
from rscovlm.data.sources.folder import PICTURES, Folder
from rscovlm.data.sources.registry import source

_LICENCE = "academic use only; the images are Google Earth's"


@source(
    "levir-cd",
    splits=["train", "val", "test"],
    tasks=["change"],
    licence=_LICENCE,
    layout="""<split>/A, <split>/B, <split>/label with equal names: before, after, 255 where a building changed. Or all splits together in
    A, B, label with names that begin with <split>_, as cut into 256 x 256 tiles.""",
)
def levir_cd(folder: Folder, split: str) -> Iterator[Record]:
    """Read one pair of images with its mask a record."""
    flat = not (folder.root / split).is_dir()
    top = "" if flat else f"{split}/"
    for file in folder.files(f"{top}A", *PICTURES):
        name = file.rpartition("/")[2]
        if flat and not name.startswith(f"{split}_"):
            continue
        with folder.row(file):
            images = (folder.image(file), folder.image(f"{top}B/{name}"))
            masks = (folder.image(f"{top}label/{name}"),)
            yield Record(
                name.rpartition(".")[0], "levir-cd", split, "change", images, masks=masks, categories=("building",)
            )


@source(
    "levir-mci",
    splits=["train", "val", "test"],
    tasks=["change"],
    licence=_LICENCE,
    layout="""LevirCCcaptions.json with five sentences a pair; images/<split>/A, B and label (0 unchanged, 1 road, 2 building, or their
    grey levels 128 and 255). LEVIR-CC, without label, is read as well.""",
)
def levir_mci(folder: Folder, split: str) -> Iterator[Record]:
    """Read one pair of images with its sentences, and its mask where there is one."""
    for number, row in enumerate(folder.json("LevirCCcaptions.json")["images"], start=1):
        if row["split"] != split:
            continue
        with folder.row(f"LevirCCcaptions.json, image {number}"):
            name, base = row["filename"], f"images/{row.get('filepath', split)}"
            images = (folder.image(f"{base}/A/{name}"), folder.image(f"{base}/B/{name}"))
            masks = (folder.image(f"{base}/label/{name}"),) if (folder.root / base / "label").is_dir() else ()
            captions = tuple(text for text in (sentence["raw"].strip() for sentence in row["sentences"]) if text)
            extra = {"changeflag": str(row["changeflag"])} if "changeflag" in row else {}
            yield Record(
                name.rpartition(".")[0],
                "levir-mci",
                split,
                "change",
                images,
                captions=captions,
                masks=masks,
                categories=("road", "building"),
                extra=extra,
            )
