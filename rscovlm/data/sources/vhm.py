"""VHM: the instruction mix of the honest remote-sensing model: scene class, caption, questions, sensor, ground sample distance."""

from collections.abc import Iterator

from rscovlm.data.records import Record
from rscovlm.data.sources.chat import chat_record, named, spoken
from rscovlm.data.sources.folder import Folder
from rscovlm.data.sources.registry import source


@source(
    "vhm",
    splits=["train"],
    tasks=["conversation"],
    licence="instructions CC BY 4.0; images of the sets it was built from under their own terms",
    layout="""One array of LLaVA conversations, vhm_sft_mix_qwen2_5_vl_conversations.json (or another vhm*.json beside it, or messages in its place);
    pictures below images/; both may lie in VHM_dataset_sft/. Boxes stay in the text until cleaning has recognised their scale.""",
)
def vhm(folder: Folder, split: str) -> Iterator[Record]:
    """Read one conversation a row; rows without an image are text only."""
    top = folder.first("VHM_dataset_sft", ".")
    files = [file for file in folder.files(top, ".json", ".jsonl") if file.rpartition("/")[2].lower().startswith("vhm")]
    pictures = "images" if top == "." else f"{top}/images"
    for file in files:
        for place, row in folder.items(file):
            with folder.row(place):
                given = spoken(row)
                images = [folder.image(f"{pictures}/{name}") for name in given["image"]]
                yield chat_record(given, f"{file}/{named(given, place)}", "vhm", split, images, scale=None)
