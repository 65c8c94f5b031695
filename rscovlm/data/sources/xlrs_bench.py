"""XLRS-Bench: multiple choice, captions and grounding on images of about 8,500 pixels a side, images embedded in shards."""

from __future__ import annotations

import re
from collections.abc import Iterator

from rscovlm.data.sources.choices import check_letter, split_choices
from rscovlm.data.sources.folder import Folder
from rscovlm.data.sources.llava_onevision import decoded_image, embedded_image, rows, shards
from rscovlm.data.sources.registry import source
from rscovlm.records.record import Annotation, ImageRef, Record
from rscovlm.records.rows import Row, as_text
from rscovlm.records.tally import Rejected

_LETTERED = re.compile(r"\s*\(?[A-Z][).:]")


@source(
    "xlrs-bench",
    splits=["test"],
    tasks=["vqa", "caption", "grounding"],
    licence="CC BY-NC-SA 4.0, evaluation only; images under the terms of their sources",
    layout="""*.parquet or data-*.arrow anywhere below the folder, or XLRS*.jsonl with pictures in base64. Columns: index, image (one or a
    list), question, answer, category, l2-category, and 'multi-choice options' (a list, or one text) in the VQA sets, bbox with
    image_width and image_height in the grounding sets. The Hub calls the benchmark's split train.""",
    held="""EvolvingLMMs-Lab/lmms-eval lmms_eval/tasks/xlrs/mcq_utils.py and XLRS-lite.yaml (columns of the VQA set, letters of several right
    choices); open-compass/VLMEvalKit vlmeval/dataset/image_mcq.py (XLRS-Bench-lite_part<n>.jsonl). The columns of the caption and
    grounding sets are from their description and were not seen.""",
)
def xlrs_bench(folder: Folder, split: str) -> Iterator[Record]:
    """Read one record a row, of the task that its columns tell."""
    for path in sorted([*shards(folder.root), *folder.root.glob("XLRS*.jsonl")]):
        name = path.relative_to(folder.root).as_posix()
        found = (row for _, row in folder.items(name)) if path.suffix == ".jsonl" else rows(path)
        for number, row in enumerate(found, start=1):
            with folder.row(f"{name}, row {number}"):
                cells = row["image"] if isinstance(row["image"], list) else [row["image"]]
                images = tuple(decoded_image(cell) if isinstance(cell, str) else embedded_image(cell) for cell in cells)
                yield _record(row, f"{row.get('index', row.get('id', ''))}#{name}:{number}", split, images)


def _options(given: list[str] | str) -> list[str] | str:
    """Take the options out of a text that also says what to do with them.

    >>> _options("The choices are listed below:\\n(A) red\\n(B) blue\\nAnswer with the letter.\\nThe answer is:")
    '(A) red\\n(B) blue'
    """
    if not isinstance(given, str) or "\n" not in given:
        return given
    return "\n".join(line for line in given.splitlines() if _LETTERED.match(line))


def _record(row: Row, name: str, split: str, images: tuple[ImageRef, ...]) -> Record:
    extra = {key: str(row[key]) for key in ("category", "l2-category") if row.get(key) is not None}
    if row.get("multi-choice options"):
        choices = split_choices(_options(row["multi-choice options"]))
        answer = check_letter(row["answer"], choices)
        question = row["question"]
        return Record(
            name, "xlrs-bench", split, "vqa", images, question=question, answer=answer, choices=choices, extra=extra
        )
    if row.get("bbox"):
        item = Annotation(row.numbers("bbox"), "", "hbb")
        return Record(
            name, "xlrs-bench", split, "grounding", images, expression=row["question"], objects=(item,), extra=extra
        )
    if row["answer"] is None:
        raise Rejected("no caption", "the row has neither choices, a box nor an answer")
    answers = [row["answer"]] if isinstance(row["answer"], str) else row.list("answer")
    captions = tuple(text for text in answers if as_text(text, "a caption").strip())
    return Record(
        name, "xlrs-bench", split, "caption", images, question=row["question"], captions=captions, extra=extra
    )
