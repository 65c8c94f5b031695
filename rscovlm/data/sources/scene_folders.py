"""Scene classification as folders of pictures, one a class: AID, UC Merced, NWPU-RESISC45, WHU-RS19; and METER-ML's table."""

from __future__ import annotations

from collections.abc import Iterator

from rscovlm.data.records import Record
from rscovlm.data.sources.folder import PICTURES, Folder
from rscovlm.data.sources.registry import source

_SETS = {
    "aid": ("academic use only; the images are Google Earth's", ["AID"]),
    "ucmerced": ("public domain imagery of the USGS", ["UCMerced_LandUse/Images", "Images"]),
    "nwpu-resisc45": ("academic use only; the images are Google Earth's", ["NWPU-RESISC45"]),
    "whu-rs19": ("academic use only; the images are Google Earth's", ["WHU-RS19", "RSDataset", "WHU_RS19"]),
}
METER_ML = ["CAFOs", "Landfills", "Mines", "Negative", "ProcessingPlants", "RefineriesAndTerminals", "WWTreatment"]


def class_name(folder: str) -> str:
    """Spell a folder's name as words: lower case, CamelCase and underscores apart.

    >>> class_name("BaseballField"), class_name("dense_residential"), class_name("footballField")
    ('baseball field', 'dense residential', 'football field')
    """
    spaced = "".join(f" {letter}" if letter.isupper() else letter for letter in folder.replace("_", " "))
    return " ".join(spaced.lower().split())


def read_class_folders(folder: Folder, name: str, split: str, base: str) -> Iterator[Record]:
    """Yield one classification record a picture; the folders below `base` are the classes."""
    classes = folder.folders(base)
    names = tuple(class_name(path.rpartition("/")[2]) for path in classes)
    for path, label in zip(classes, names, strict=True):
        for file in folder.files(path, *PICTURES):
            with folder.row(file):
                identity = file.removeprefix(f"{base}/") if base != "." else file
                yield Record(
                    identity, name, split, "classification", (folder.image(file),), classes=(label,), categories=names
                )


def _register(name: str, licence: str, places: list[str]) -> None:
    def read(folder: Folder, split: str) -> Iterator[Record]:
        base = next((place for place in places if (folder.root / place).is_dir()), ".")
        inner = f"{base}/{split}" if base != "." else split
        yield from read_class_folders(folder, name, split, inner if (folder.root / inner).is_dir() else base)

    layout = (
        f"{places[0]}/<Class>/<picture>, or the class folders at the top. The release has no split: all is 'train'."
    )
    source(
        name,
        splits=["train", "val", "test"],
        tasks=["classification"],
        licence=licence,
        layout=f"{layout} Repackaged with <split>/<Class>/ it has the splits it says.",
    )(read)


for _name, (_licence, _places) in _SETS.items():
    _register(_name, _licence, _places)


@source(
    "meter-ml",
    splits=["train", "val", "test"],
    tasks=["classification"],
    licence="CC BY 4.0; NAIP imagery of the USDA in the public domain",
    layout="""<split>_dataset.geojson, one feature a site with properties Type and Image_Folder; <Image_Folder>/naip.png. Or class folders,
    <split>/<Class>/<picture>, as repackaged for evaluation.""",
)
def meter_ml(folder: Folder, split: str) -> Iterator[Record]:
    """Read one classification record a site, from its aerial picture."""
    table = f"{split}_dataset.geojson"
    if not (folder.root / table).exists():
        yield from read_class_folders(folder, "meter-ml", split, split if (folder.root / split).is_dir() else ".")
        return
    names = tuple(map(class_name, METER_ML))
    for number, feature in enumerate(folder.json(table)["features"], start=1):
        with folder.row(f"{table}, feature {number}"):
            place, kind = feature["properties"]["Image_Folder"], feature["properties"]["Type"]
            image = folder.image(f"{place}/naip.png")
            yield Record(
                place, "meter-ml", split, "classification", (image,), classes=(class_name(kind),), categories=names
            )
