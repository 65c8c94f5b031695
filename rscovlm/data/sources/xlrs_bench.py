"""XLRS-Bench: multiple choice, captions and grounding on images of about 8,500 pixels a side, images embedded in shards."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rscovlm.data.records import Annotation, ImageRef, Record
from rscovlm.data.sources.choices import check_letter, split_choices
from rscovlm.data.sources.folder import Folder
from rscovlm.data.sources.llava_onevision import embedded_image, rows
from rscovlm.data.sources.registry import source


@source(
    "xlrs-bench",
    splits=["test"],
    tasks=["vqa", "caption", "grounding"],
    licence="CC BY-NC-SA 4.0, evaluation only; images under the terms of their sources",
    layout="""*.parquet or data-*.arrow anywhere below the folder. Columns: image (one or a list), question, answer, category, l2-category,
    and 'multi-choice options' in the VQA sets, bbox with image_width and image_height in the grounding sets. The Hub calls the
    benchmark's split train.""",
)
def xlrs_bench(folder: Folder, split: str) -> Iterator[Record]:
    """Read one record a row, of the task that its columns tell."""
    for path in sorted([*folder.root.rglob("*.parquet"), *folder.root.rglob("*.arrow")]):
        name = path.relative_to(folder.root).as_posix()
        for number, row in enumerate(rows(path), start=1):
            with folder.row(f"{name}, row {number}"):
                cells = row["image"] if isinstance(row["image"], list) else [row["image"]]
                images = tuple(map(embedded_image, cells))
                yield _record(row, f"{row.get('index', row.get('id', ''))}#{name}:{number}", split, images)


def _record(row: dict[str, Any], name: str, split: str, images: tuple[ImageRef, ...]) -> Record:
    extra = {key: str(row[key]) for key in ("category", "l2-category") if row.get(key) is not None}
    if row.get("multi-choice options"):
        choices = split_choices(row["multi-choice options"])
        answer = check_letter(row["answer"], choices)
        question = row["question"]
        return Record(
            name, "xlrs-bench", split, "vqa", images, question=question, answer=answer, choices=choices, extra=extra
        )
    if row.get("bbox"):
        item = Annotation(tuple(map(float, row["bbox"])), "", "hbb")
        return Record(
            name, "xlrs-bench", split, "grounding", images, expression=row["question"], objects=(item,), extra=extra
        )
    answers = [row["answer"]] if isinstance(row["answer"], str) else row["answer"]
    captions = tuple(text for text in answers if text.strip())
    return Record(
        name, "xlrs-bench", split, "caption", images, question=row["question"], captions=captions, extra=extra
    )
