"""LoveDA: 5,987 images of 1024 x 1024 at 0.3 m, urban and rural, with land cover of seven classes as label images."""

from __future__ import annotations

from collections.abc import Iterator

from rscovlm.data.sources.folder import PICTURES, Folder, stem_of
from rscovlm.data.sources.phrases import on_one_grid
from rscovlm.data.sources.registry import source
from rscovlm.records.mask_values import write_mask_values
from rscovlm.records.paths import below
from rscovlm.records.record import Record

# 0 is no data.
LOVEDA = ("background", "building", "road", "water", "barren", "forest", "agricultural")
_VALUES = write_mask_values({name: [level] for level, name in enumerate(LOVEDA, start=1)})


@source(
    "loveda",
    splits=["train", "val"],
    tasks=["segmentation"],
    licence="CC-BY-NC-SA-4.0; the images are Google Earth's",
    layout="""<Train|Val>/<Rural|Urban>/images_png/<number>.png and masks_png/<number>.png: 0 no data, 1 background, 2 building, 3 road,
    4 water, 5 barren, 6 forest, 7 agricultural. All of it may lie in LoveDA/. The masks of the test set are not public.""",
    held="""Junjue-Wang/LoveDA README.md (folders), torchgeo/torchgeo torchgeo/datasets/loveda.py (folders, names of classes, grey levels)
    and StevenMsy/DirectSAM-RS utils/M2C_1channel.py (grey levels). A real file was not seen.""",
)
def loveda(folder: Folder, split: str) -> Iterator[Record]:
    """Read one segmentation record an image."""
    top = below("LoveDA" if (folder.root / "LoveDA").is_dir() else "", split.capitalize())
    for scene in ("Rural", "Urban"):
        if not (folder.root / top / scene).is_dir():
            continue
        for name in folder.files(f"{top}/{scene}/images_png", *PICTURES):
            with folder.row(name):
                image, mask = folder.image(name), folder.picture(f"{top}/{scene}/masks_png", stem_of(name))
                on_one_grid(image, mask)
                yield Record(
                    f"{scene}/{stem_of(name)}",
                    "loveda",
                    split,
                    "segmentation",
                    (image,),
                    masks=(mask,),
                    categories=LOVEDA,
                    extra={"mask_values": _VALUES, "scene": scene.lower()},
                )
