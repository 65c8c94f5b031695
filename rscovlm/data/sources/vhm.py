"""VHM: the instruction mix of the honest remote-sensing model: scene class, caption, questions, sensor, ground sample distance."""

from collections.abc import Iterator

from rscovlm.data.records import Record
from rscovlm.data.sources.chat import chat_record, named
from rscovlm.data.sources.folder import Folder
from rscovlm.data.sources.registry import source


@source(
    "vhm",
    splits=["train"],
    tasks=["conversation"],
    licence="instructions CC BY 4.0; images of the sets it was built from under their own terms",
    layout="""One array of LLaVA conversations, vhm_sft_mix_qwen2_5_vl_conversations.json (or another vhm*.json / VHM*.json beside it);
    pictures below images/. Boxes stay in the text until cleaning has recognised their scale.""",
)
def vhm(folder: Folder, split: str) -> Iterator[Record]:
    """Read one conversation a row; rows without an image are text only."""
    files = [file for file in folder.files("", ".json", ".jsonl") if file.lower().startswith("vhm")]
    for file in files:
        for place, row in folder.items(file):
            with folder.row(place):
                names = row.get("image") or []
                names = [names] if isinstance(names, str) else names
                images = [folder.image(f"images/{name}") for name in names]
                yield chat_record(row, f"{file}/{named(row, place)}", "vhm", split, images, scale=None)
