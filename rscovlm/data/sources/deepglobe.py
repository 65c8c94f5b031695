"""DeepGlobe road extraction: 8,570 satellite images of 1024 x 1024 at 0.5 m, 6,226 of them with masks of their roads."""

from __future__ import annotations

from collections.abc import Iterator

from rscovlm.data.sources.folder import PICTURES, Folder
from rscovlm.data.sources.phrases import on_one_grid
from rscovlm.data.sources.registry import source
from rscovlm.records.mask_values import write_mask_values
from rscovlm.records.record import Record

_END = "_sat"


@source(
    "deepglobe-roads",
    splits=["train"],
    tasks=["segmentation"],
    licence="academic use only, as DeepGlobe's terms say",
    layout="""train/<id>_sat.jpg and train/<id>_mask.png, a road from grey level 128 on, since masks are not only 0 and 255. All of it may lie
    in deepglobe/. Images in valid/ and test/ have no public masks.""",
    held="""The challenge's published description (names, the level of 128) and public readers of its archive (folders). A real file was not
    seen.""",
)
def deepglobe_roads(folder: Folder, split: str) -> Iterator[Record]:
    """Read one segmentation record an image that has a mask; one without roads has a mask of nothing."""
    top = f"deepglobe/{split}" if (folder.root / "deepglobe").is_dir() else split
    pictures = folder.by_stem(top, *PICTURES, deep=False)
    for stem, name in pictures.items():
        if not stem.endswith(_END):
            if stem.removesuffix("_mask") + _END not in pictures:
                folder.tally.drop("picture without its pair", name)
            continue
        key = stem.removesuffix(_END)
        with folder.row(name):
            image = folder.image(name)
            mask = folder.image(pictures.get(f"{key}_mask", f"{top}/{key}_mask.png"))
            on_one_grid(image, mask)
            extra = {"mask_values": write_mask_values({"road": [(128, 255)]})}
            yield Record(
                key,
                "deepglobe-roads",
                split,
                "segmentation",
                (image,),
                masks=(mask,),
                categories=("road",),
                extra=extra,
            )
