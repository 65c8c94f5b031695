"""MME-RealWorld, its remote-sensing part: multiple choice on colour, count and position in very large images."""

from __future__ import annotations

from collections.abc import Iterator

from rscovlm.data.sources.choices import check_letter, split_choices
from rscovlm.data.sources.folder import Folder, written
from rscovlm.data.sources.llava_onevision import decoded_image, rows
from rscovlm.data.sources.registry import source
from rscovlm.records.paths import below
from rscovlm.records.record import ImageRef, Record
from rscovlm.records.rows import Row

_NAMES = ("MME_RealWorld.json", "MME_RealWorld_RS.json", "MME_RealWorld_remote_sensing.json")
_SUBTASK = "Remote Sensing"


@source(
    "mme-realworld-rs",
    splits=["test"],
    tasks=["vqa"],
    licence="CC BY-NC 4.0, evaluation only; images under the terms of their sources",
    layout="""MME_RealWorld.json (else MME_RealWorld_RS.json, or any one MME*.json), one array; pictures as named in Image, below
    images/, remote_sensing/ or the folder itself. Or with pictures in base64: MME-RealWorld/*.json (image), or *.parquet (bytes), with
    index, question, multi-choice options, answer, category, l2-category. Rows of another Subtask, or whose category does not end in
    Remote Sensing, are not part of this source.""",
    held="""yfzhang114/MME-RealWorld evaluation/output_test_template.json (rows of the array), download_and_prepare_prompt.py (base64
    form); EvolvingLMMs-Lab/lmms-eval lmms_eval/tasks/mme_realworld/utils.py (Parquet columns); VisionXLab/LRS-VQA
    LRS-VQA-Code/eval_mme-realworld-rs.sh and VisionXLab/RSCoVLM rscovlm/eval/data/large_image_bench.py (names of its part).""",
)
def mme_realworld_rs(folder: Folder, split: str) -> Iterator[Record]:
    """Read one multiple-choice question a row."""
    for place, row in _rows(folder):
        with folder.row(place):
            if not _ours(row):
                folder.tally.set_aside("row of another part", place)
                continue
            image, row = _image(folder, row), _renamed(row)
            choices = split_choices(row["Answer choices"])
            yield Record(
                str(row["Question_id"]),
                "mme-realworld-rs",
                split,
                "vqa",
                (image,),
                question=row["Text"],
                answer=check_letter(row["Ground truth"], choices),
                choices=choices,
                extra={"category": written(row.get("Category"))},
            )


def _rows(folder: Folder) -> Iterator[tuple[str, Row]]:
    """Give the rows of one form of the benchmark: a second file beside it is a part, a copy or a translation."""
    if (folder.root / "MME-RealWorld").is_dir():
        for file in folder.files("MME-RealWorld", ".json"):
            yield from folder.items(file)
        return
    here = folder.files("", ".json")
    others = [name for name in here if name.startswith("MME") and "_CN" not in name]
    for name in [name for name in (*_NAMES, *others) if name in here][:1]:
        yield from folder.items(name)
        return
    for path in sorted(folder.root.rglob("*.parquet")):
        for number, row in enumerate(rows(path), start=1):
            yield f"{path.relative_to(folder.root).as_posix()}, row {number}", row


def _ours(row: Row) -> bool:
    if "Subtask" in row:
        return bool(row["Subtask"] == _SUBTASK)
    return bool(row.text("category").rpartition("/")[2].replace("_", " ").lower() == _SUBTASK.lower())


def _image(folder: Folder, row: Row) -> ImageRef:
    if "Image" in row:
        name = row.text("Image")
        return folder.image(folder.first(name, *(below(place, name) for place in ("images", "remote_sensing"))))
    return decoded_image(row["bytes"] if "bytes" in row else row["image"])


def _renamed(row: Row) -> Row:
    """Give a row of the base64 form the names of the other."""
    if "Question_id" in row:
        return row
    return Row(
        {
            "Question_id": row["index"],
            "Text": row["question"],
            "Answer choices": row["multi-choice options"],
            "Ground truth": row["answer"],
            "Category": row["l2-category"],
        }
    )
