"""LEVIR-CD and LEVIR-MCI: pairs of aerial images years apart, masks of what changed, and sentences about it."""

from __future__ import annotations

from collections.abc import Iterator

from rscovlm.data.sources.folder import PICTURES, Folder
from rscovlm.data.sources.phrases import on_one_grid
from rscovlm.data.sources.registry import source
from rscovlm.records.mask_values import write_mask_values
from rscovlm.records.paths import below
from rscovlm.records.record import Record

_LICENCE = "academic use only; the images are Google Earth's"


# Masks come as numbers of classes, or as the grey levels they are drawn in.
_MCI = write_mask_values({"road": [1, 128], "building": [2, 255]})
_CD = write_mask_values({"building": [(128, 255)]})


@source(
    "levir-cd",
    splits=["train", "val", "test"],
    tasks=["change"],
    licence=_LICENCE,
    layout="""<split>/A, <split>/B, <split>/label with equal names: before, after, 255 where a building changed. Or all splits together in
    A, B, label with names that begin with <split>_, as cut into 256 x 256 tiles.""",
    held="torchgeo/torchgeo torchgeo/datasets/levircd.py (folders, names); published pairs of 256 x 256.",
)
def levir_cd(folder: Folder, split: str) -> Iterator[Record]:
    """Read one pair of images with its mask a record."""
    flat = not (folder.root / split).is_dir()
    top = "" if flat else f"{split}/"
    names = [name.rpartition("/")[2] for name in folder.files(f"{top}A", *PICTURES)]
    for part in ("B", "label"):
        for file in folder.files(f"{top}{part}", *PICTURES):
            if file.rpartition("/")[2] not in names:
                folder.tally.drop("picture without its pair", file)
    for name in names:
        file = f"{top}A/{name}"
        if flat and not name.startswith(f"{split}_"):
            folder.tally.set_aside("row of another split", file)
            continue
        with folder.row(file):
            images = (folder.image(file), folder.image(f"{top}B/{name}"))
            masks = (folder.image(f"{top}label/{name}"),)
            on_one_grid(*images, *masks)
            yield Record(
                name.rpartition(".")[0],
                "levir-cd",
                split,
                "change",
                images,
                masks=masks,
                categories=("building",),
                extra={"mask_values": _CD},
            )


@source(
    "levir-mci",
    splits=["train", "val", "test"],
    tasks=["change"],
    licence=_LICENCE,
    layout="""LevirCCcaptions.json with five sentences a pair; images/<split>/A, B and label (0 unchanged, 1 road, 2 building, or their
    grey levels 128 and 255). All of it may lie in Levir-MCI-dataset/. LEVIR-CC, without label, is read as well.""",
    held="""Chen-Yang-Liu/Change-Agent README.md (folders), Multi_change/preprocess_data.py (images, filename, sentences, raw) and
    Multi_change/data/LEVIR_MCI.py (grey levels).""",
)
def levir_mci(folder: Folder, split: str) -> Iterator[Record]:
    """Read one pair of images with its sentences, and its mask where there is one."""
    top = "Levir-MCI-dataset" if (folder.root / "Levir-MCI-dataset").is_dir() else ""
    for number, row in enumerate(folder.json(below(top, "LevirCCcaptions.json")).rows("images"), start=1):
        place = f"LevirCCcaptions.json, image {number}"
        with folder.row(place):
            if row.get("split", str(row.get("filename")).partition("_")[0]) != split:
                folder.tally.set_aside("row of another split", place)
                continue
            name, base = row.text("filename"), below(top, below("images", row.get("filepath") or split))
            images = (folder.image(name, under=f"{base}/A"), folder.image(name, under=f"{base}/B"))
            masks = (folder.image(name, under=f"{base}/label"),) if (folder.root / base / "label").is_dir() else ()
            on_one_grid(*images, *masks)
            captions = tuple(
                text for text in (sentence.text("raw").strip() for sentence in row.rows("sentences")) if text
            )
            extra = {"mask_values": _MCI} if masks else {}
            if "changeflag" in row:
                extra["changeflag"] = str(row["changeflag"])
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
