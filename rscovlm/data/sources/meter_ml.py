"""METER-ML: sites that emit methane, six kinds and none, in aerial and satellite pictures."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from rscovlm.data.sources.folder import Folder
from rscovlm.data.sources.registry import source
from rscovlm.data.sources.scene_folders import class_name, read_class_folders, split_folder
from rscovlm.records.paths import check_relative
from rscovlm.records.record import Record
from rscovlm.records.tally import Rejected

METER_ML = ["CAFOs", "Landfills", "Mines", "Negative", "ProcessingPlants", "RefineriesAndTerminals", "WWTreatment"]
# Sites without any of the six: the release says which it took round roads for.
_NONE = {"Negative", "Roundabout"}
_COLOURS = (1, 2, 3)


@source(
    "meter-ml",
    splits=["train", "val", "test"],
    tasks=["classification"],
    licence="CC BY 4.0; NAIP imagery of the USDA in the public domain",
    layout="""<split>_dataset.geojson, one feature a site with properties Type (several kinds joined by a hyphen; Negative and Roundabout
    are none) and Image_Folder (train_images/train_images_1/<lat>_<lon>, val_images/<lat>_<lon>); <Image_Folder>/naip.png with near
    infrared in the place of alpha. Or class folders, <split>/<Class>/<picture>, as repackaged for evaluation.""",
    held="""stanfordmlgroup/USat usat/data/meter_dataset.py and README.md (properties, joined kinds, folders, the four bands of naip.png).
    A real table was not seen.""",
)
def meter_ml(folder: Folder, split: str) -> Iterator[Record]:
    """Read one classification record a site, from the colours of its aerial picture.

    Raises:
        FileNotFoundError: The folder is not laid out as published.
    """
    table = f"{split}_dataset.geojson"
    if not (folder.root / table).exists():
        if not (folder.root / split).is_dir() and folder.files("", "_dataset.geojson"):
            raise FileNotFoundError(f"no table {table!r} below {str(folder.root)!r}, though another split has one")
        yield from read_class_folders(folder, "meter-ml", split, split_folder(folder, ".", split))
        return
    names = tuple(map(class_name, METER_ML))
    for number, feature in enumerate(folder.json(table).rows("features"), start=1):
        with folder.row(f"{table}, feature {number}"):
            site = feature.row("properties")
            place, given = site.text("Image_Folder"), site.text("Type")
            image = replace(folder.image(f"{check_relative(place)}/naip.png"), bands=_COLOURS)
            extra = {"type": given}
            yield Record(
                place,
                "meter-ml",
                split,
                "classification",
                (image,),
                classes=_kinds(given),
                categories=names,
                extra=extra,
            )


def _kinds(given: str) -> tuple[str, ...]:
    """Give the classes that a `Type` joins.

    >>> _kinds("Landfills - WWTreatment"), _kinds("Roundabout")
    (('landfills', 'ww treatment'), ('negative',))
    """
    parts = [part.strip() for part in given.split("-") if part.strip()]
    unknown = [part for part in parts if part not in METER_ML and part not in _NONE]
    if unknown or not parts:
        raise Rejected("unknown class", f"type {given!r} is not made of {', '.join(METER_ML)}")
    return tuple(class_name(part) for part in parts if part not in _NONE) or (class_name("Negative"),)
