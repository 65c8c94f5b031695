"""MTRefSeg: 20,924 sentences about what changed between two images of a place, each with its mask."""

from __future__ import annotations

from collections.abc import Iterator

from rscovlm.data.sources.folder import PICTURES, Folder, stem_of
from rscovlm.data.sources.phrases import on_one_grid
from rscovlm.data.sources.registry import source
from rscovlm.records.paths import below, check_relative
from rscovlm.records.record import Record
from rscovlm.records.rows import Row, as_text
from rscovlm.records.tally import Rejected

_FOLDERS = {
    "train": ("train_FINAL_CLEAN", "train"),
    "val": ("val_FINAL_CLEAN", "val"),
    "rs-train": ("RS_FINAL_CLEAN_train",),
    "rs-val": ("RS_FINAL_CLEAN_val",),
    "ns-train": ("NS_FINAL_CLEAN_train",),
    "ns-val": ("NS_FINAL_CLEAN_val",),
}


@source(
    "mtrefseg",
    splits=list(_FOLDERS),
    tasks=["change"],
    licence="as stated by the publishers with the data set; its images are those of public change detection sets",
    layout="""<folder>/A and B, before and after; <folder>/referring_expression/*.json with sample_id, img_A, img_B, referring_expressions and
    mask (paths below masks/); <folder>/masks/<sample>/0.png, 1.png ... a sentence, or masks/<sample>.png for all of them. Folders:
    train_FINAL_CLEAN and val_FINAL_CLEAN (or train, val), RS_FINAL_CLEAN_train, RS_FINAL_CLEAN_val of remote sensing (splits rs-train, rs-val),
    NS_FINAL_CLEAN_train, NS_FINAL_CLEAN_val of other scenes (ns-train, ns-val). All of it may lie in MTRefSeg_Clear/.""",
    held="""LiBingyu01/MTRefSeg segearth_r1/train/change_dataset.py (folders, fields, which mask belongs to which sentence) and README.md (names of
    the folders). A real file was not seen.""",
)
def mtrefseg(folder: Folder, split: str) -> Iterator[Record]:
    """Read one change record a sentence."""
    tops = [below(base, name) for base in ("", "MTRefSeg_Clear") for name in _FOLDERS[split]]
    top = folder.first(*tops)
    for file in folder.files(f"{top}/referring_expression", ".json"):
        with folder.row(file):
            row = folder.json(file)
            sample = check_relative(str(row.get("sample_id", stem_of(file))))
            names = [as_text(row.get(f"img_{side}", sample), f"img_{side}") for side in "AB"]
            sides = zip("AB", names, strict=True)
            images = tuple(folder.picture(f"{top}/{side}", _stem(name)) for side, name in sides)
            sentences = [as_text(text, "an expression").strip() for text in row.list("referring_expressions")]
            masks = _masks(folder, f"{top}/masks", row, (sample, stem_of(file)), len(sentences))
            for number, (sentence, mask) in enumerate(zip(sentences, masks, strict=True)):
                # A row of its own each, so that one sentence without a mask loses no other.
                with folder.row(f"{file}, expression {number + 1}"):
                    if not mask:
                        raise Rejected("missing mask", f"no mask of expression {number + 1} of sample {sample!r}")
                    found = folder.image(mask)
                    on_one_grid(*images, found)
                    key = f"{sample}/{number}"
                    yield Record(key, "mtrefseg", split, "change", images, expression=sentence, masks=(found,))


def _stem(name: str) -> str:
    """Give a file's name without its ending, where it has one of a picture: a sample's id may hold dots."""
    return name[: name.rindex(".")] if name.lower().endswith(PICTURES) else name


def _masks(folder: Folder, base: str, row: Row, keys: tuple[str, ...], count: int) -> list[str]:
    """Name the mask of each sentence: the one the row names, else the one at its place in the sample's folder, else the sample's own."""
    named = row.get("mask", row.get("masks")) or []
    entries = named if isinstance(named, list) else [named]
    paths = [entry if isinstance(entry, str) else str(Row(entry).get("path") or "") for entry in entries]
    declared = [below(base, path) if path and (folder.root / below(base, path)).is_file() else "" for path in paths]
    inner: list[str] = []
    for key in keys:
        if not inner and (folder.root / base / key).is_dir():
            inner = sorted(folder.files(f"{base}/{key}", *PICTURES), key=_order)
    flat = [f"{base}/{key}{ending}" for key in keys for ending in PICTURES]
    whole = next((path for path in flat if (folder.root / path).is_file()), "")
    return [
        (declared[k] if k < len(declared) else "") or (inner[k] if k < len(inner) else "") or whole
        for k in range(count)
    ]


def _order(path: str) -> tuple[int, str]:
    """Sort numbers as numbers, then names."""
    stem = stem_of(path)
    return (int(stem), "") if stem.isdecimal() else (10**9, stem)
