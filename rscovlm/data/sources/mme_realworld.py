"""MME-RealWorld, its remote-sensing part: multiple choice on colour, count and position in very large images."""

from collections.abc import Iterator

from rscovlm.data.records import Record
from rscovlm.data.sources.choices import check_letter, split_choices
from rscovlm.data.sources.folder import Folder
from rscovlm.data.sources.registry import source


@source(
    "mme-realworld-rs",
    splits=["test"],
    tasks=["vqa"],
    licence="CC BY-NC 4.0, evaluation only; images under the terms of their sources",
    layout="""MME_RealWorld.json (or any MME*.json), one array; rows whose Subtask is not 'Remote Sensing' are not part of this source;
    pictures as named in Image, below images/, remote_sensing/ or the folder itself.""",
)
def mme_realworld_rs(folder: Folder, split: str) -> Iterator[Record]:
    """Read one multiple-choice question a row."""
    for file in (name for name in folder.files("", ".json") if name.startswith("MME")):
        for place, row in folder.items(file):
            with folder.row(place):
                if row["Subtask"] != "Remote Sensing":
                    continue
                choices = split_choices(row["Answer choices"])
                name = folder.first(f"images/{row['Image']}", f"remote_sensing/{row['Image']}", row["Image"])
                yield Record(
                    str(row["Question_id"]),
                    "mme-realworld-rs",
                    split,
                    "vqa",
                    (folder.image(name),),
                    question=row["Text"],
                    answer=check_letter(row["Ground truth"], choices),
                    choices=choices,
                    extra={"category": str(row.get("Category", ""))},
                )
