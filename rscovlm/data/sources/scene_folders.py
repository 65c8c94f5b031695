"""Scene classification as folders of pictures, one a class: AID, UC Merced, NWPU-RESISC45, WHU-RS19."""

from __future__ import annotations

import re
from collections.abc import Iterator

from rscovlm.data.sources.folder import PICTURES, Folder
from rscovlm.data.sources.registry import source
from rscovlm.records.record import Record

_SETS = {
    "aid": ("academic use only; the images are Google Earth's", ["AID"]),
    "ucmerced": ("public domain imagery of the USGS", ["UCMerced_LandUse/Images", "Images"]),
    "nwpu-resisc45": ("academic use only; the images are Google Earth's", ["NWPU-RESISC45"]),
    "whu-rs19": ("academic use only; the images are Google Earth's", ["WHU-RS19", "RSDataset", "WHU_RS19"]),
}
_HELD = {
    "ucmerced": "torchgeo/torchgeo torchgeo/datasets/ucmerced.py (UCMerced_LandUse/Images/<class>/<class><nn>.tif)",
    "nwpu-resisc45": "torchgeo/torchgeo torchgeo/datasets/resisc45.py (NWPU-RESISC45/<class>/<class>_<nnn>.jpg)",
}
# Where a word begins inside a name: after a small letter, and before the last of several capitals that begins one.
_WORDS = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z]{2})")


def class_name(folder: str) -> str:
    """Spell a folder's name as words: lower case, CamelCase and underscores apart, abbreviations whole.

    >>> class_name("BaseballField"), class_name("dense_residential"), class_name("WWTreatment"), class_name("CAFOs")
    ('baseball field', 'dense residential', 'ww treatment', 'cafos')
    """
    return " ".join(_WORDS.sub(" ", folder.replace("_", " ")).lower().split())


def read_class_folders(folder: Folder, name: str, split: str, base: str) -> Iterator[Record]:
    """Yield one classification record a picture; the folders below `base` are the classes."""
    classes = folder.folders(base)
    for file in folder.files(base, *PICTURES):
        folder.tally.drop("picture outside a class folder", file)
    names = tuple(class_name(path.rpartition("/")[2]) for path in classes)
    for path, label in zip(classes, names, strict=True):
        for file in folder.tree(path, *PICTURES):
            with folder.row(file):
                identity = file.removeprefix(f"{base}/") if base != "." else file
                yield Record(
                    identity, name, split, "classification", (folder.image(file),), classes=(label,), categories=names
                )


def split_folder(folder: Folder, base: str, split: str) -> str:
    """Give the folder of a split in `base`, or `base` itself where it is not cut into splits.

    Raises:
        FileNotFoundError: It is cut into splits, and this one is not there.
    """
    inner = split if base == "." else f"{base}/{split}"
    if (folder.root / inner).is_dir():
        return inner
    others = [name for name in ("train", "val", "test", "validation") if (folder.root / base / name).is_dir()]
    if others:
        raise FileNotFoundError(f"no folder {inner!r} below {str(folder.root)!r}; there are {', '.join(others)}")
    return base


def _register(name: str, licence: str, places: list[str]) -> None:
    def read(folder: Folder, split: str) -> Iterator[Record]:
        base = next((place for place in places if (folder.root / place).is_dir()), ".")
        yield from read_class_folders(folder, name, split, split_folder(folder, base, split))

    layout = (
        f"{places[0]}/<Class>/<picture>, or the class folders at the top. The release has no split: all is 'train'."
    )
    source(
        name,
        splits=["train", "val", "test"],
        tasks=["classification"],
        licence=licence,
        layout=f"{layout} Repackaged with <split>/<Class>/ it has the splits it says.",
        held=_HELD.get(name, ""),
    )(read)


for _name, (_licence, _places) in _SETS.items():
    _register(_name, _licence, _places)
