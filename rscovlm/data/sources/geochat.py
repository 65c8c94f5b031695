"""GeoChat-Instruct: 318k remote-sensing conversations; boxes as `{<x1><y1><x2><y2>|<angle>}` in per cent."""

from collections.abc import Iterator

from rscovlm.data.sources.chat import chat_record, named
from rscovlm.data.sources.folder import Folder
from rscovlm.data.sources.registry import source
from rscovlm.records.record import Record


@source(
    "geochat",
    splits=["train"],
    tasks=["conversation"],
    licence="instructions Apache-2.0; images of DOTA, DIOR, FAIR1M, NWPU-RESISC45, LRBEN and FloodNet under their own terms",
    layout="""GeoChat_Instruct.json, one array; pictures in final_images_llava/ (or images/, or the folder tree that the published
    archive unpacks to). Task tags ([refer], [identify], [grounding]) stay; cleaning removes them.""",
    held="""mbzuai-oryx/GeoChat docs/Data.md and README.md (file, images.zip), geochat/train/train.py (image, conversations), geochat_demo.py
    (boxes with an angle about their centre). A real file and the folders inside images.zip were not seen.""",
)
def geochat(folder: Folder, split: str) -> Iterator[Record]:
    """Read one conversation a row."""
    pictures = folder.first(
        "final_images_llava",
        "images",
        "geochat_data/images",
        "share/softwares/kartik/GeoChat_finetuning/final_images_llava",
    )
    for place, row in folder.items(folder.first("GeoChat_Instruct.json", "geochat_data/GeoChat_Instruct.json")):
        with folder.row(place):
            image = folder.image(row["image"], under=pictures)
            yield chat_record(row, named(row, place), "geochat", split, [image], scale=100)
