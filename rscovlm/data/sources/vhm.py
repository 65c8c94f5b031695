"""VHM: the instruction mix of the honest remote-sensing model: scene class, caption, questions, sensor, ground sample distance."""

from collections.abc import Iterator

from rscovlm.data.formats.conversations import read_conversation
from rscovlm.data.sources.chat import named
from rscovlm.data.sources.folder import Folder
from rscovlm.data.sources.registry import source
from rscovlm.records.paths import below
from rscovlm.records.record import Record
from rscovlm.records.rows import Row


@source(
    "vhm",
    splits=["train"],
    tasks=["conversation"],
    licence="instructions CC BY 4.0; images of the sets it was built from under their own terms",
    layout="""list_sft.json, one array of LLaVA conversations, with the picture folders (BANDON/, DOTA-train/, ...) beside it, each row's
    picture in the folder that its source_dataset names; or as repackaged, vhm*.json of conversations or messages with its pictures below images/. All may lie in VHM_dataset_sft/. Boxes stay in the text
    until cleaning has recognised their scale.""",
    held="""opendatalab/VHM docs/Data.md (list_sft.json and folders) and vhm/train/train.py (fields image, source_dataset, conversations);
    VisionXLab/RSCoVLM rscovlm/training/data/config.py (the repackaged names). A real file was not seen.""",
)
def vhm(folder: Folder, split: str) -> Iterator[Record]:
    """Read one conversation a row; rows without an image are text only."""
    top = folder.first("VHM_dataset_sft", ".")
    prefix = "" if top == "." else f"{top}/"
    names = [file for file in folder.files(top, ".json", ".jsonl") if file.rpartition("/")[2].lower().startswith("vhm")]
    published = [f"{prefix}list_sft.json"] if (folder.root / top / "list_sft.json").is_file() else names
    pictures = f"{prefix}images" if (folder.root / top / "images").is_dir() else top
    for file in published:
        for place, row in folder.items(file):
            with folder.row(place):
                # A bare list of messages has no fields of its own.
                given = Row({"messages": row.value}) if isinstance(row.value, list) else row
                said = read_conversation(given)
                dataset = given.get("source_dataset")
                inner = below(pictures, dataset) if dataset else pictures
                images = tuple(folder.image(image.path, under=inner) for image in said.images)
                name = f"{file.removeprefix(prefix)}/{named(given, place)}"
                yield Record(name, "vhm", split, "conversation", images, turns=tuple(said.turns))
