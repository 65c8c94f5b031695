"""LRS-VQA (the benchmark) and LRS-VQA-Zoom (the training set): questions on images of thousands of pixels a side."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

from rscovlm.data.sources.chat import named
from rscovlm.data.sources.choices import check_letter, split_choices
from rscovlm.data.sources.folder import Folder, stem_of, written
from rscovlm.data.sources.registry import source
from rscovlm.records.record import Annotation, Record
from rscovlm.records.rows import Row, as_list, as_numbers, as_whole
from rscovlm.records.tally import Rejected

_LICENCE = "no licence is stated; images of DOTA/FAIR1M, GLH-Bridge and STAR under their own terms, academic use"
Box = tuple[float, float, float, float]


@source(
    "lrs-vqa",
    splits=["test"],
    tasks=["vqa"],
    licence=_LICENCE,
    layout="LRS_VQA_merged.jsonl (or any LRS_VQA*.jsonl beside it, or in LRS_VQA/); pictures LRS_VQA/image/*.tif, as the rows name them.",
    held="136 published rows; VisionXLab/LRS-VQA Script/llava_eval_LRSVQA.py (image, text, question_id, ground_truth, category).",
)
def lrs_vqa(folder: Folder, split: str) -> Iterator[Record]:
    """Read one question a row; the region that answers it, where the row has one, is kept in `regions` for oracle runs."""
    places = [
        *folder.files("", ".jsonl"),
        *(folder.files("LRS_VQA", ".jsonl") if (folder.root / "LRS_VQA").is_dir() else []),
    ]
    for file in (name for name in places if name.rpartition("/")[2].lower().startswith("lrs")):
        for place, row in folder.items(file):
            with folder.row(place):
                width, height = map(as_whole, row.list("image_size"))
                image = folder.image(row["image"], width=width, height=height)
                extra = {key: written(row[key]) for key in ("category", "size_bin") if key in row}
                yield Record(
                    written(row["question_id"]),
                    "lrs-vqa",
                    split,
                    "vqa",
                    (image,),
                    question=row["text"],
                    answer=written(row["ground_truth"]),
                    regions=_regions(row.get("hbox")),
                    objects=_quads(row.get("rbox")),
                    extra=extra,
                )


@source(
    "lrs-vqa-zoom",
    splits=["train"],
    tasks=["zoom"],
    licence=_LICENCE,
    layout="""LRS_VQA/annotations/train/*.json, arrays (or annotations/train/, or the folder itself); pictures LRS_VQA/images/train/.
    Open questions have question and answer; multiple choice has Text, Answer choices, Ground truth. bbox_info holds crop_hbox and rbox.""",
    held="""VisionXLab/RSCoVLM rscovlm/training/data/visual_cot_dataset.py (fields) and config.py (files, folders). A real file was not
    seen.""",
)
def lrs_vqa_zoom(folder: Folder, split: str) -> Iterator[Record]:
    """Read one zoom record a row: the crops are its regions."""
    annotations = folder.first("LRS_VQA/annotations/train", "annotations/train", ".")
    pictures = folder.first("LRS_VQA/images/train", "images/train", "images")
    for file in folder.files(annotations, ".json"):
        stem = stem_of(file)
        for place, row in folder.items(file):
            with folder.row(place):
                size = row.whole("image_ori_width"), row.whole("image_ori_height")
                # Rows that were not cut to the release still name the place they were made in, up to its folder dataset/.
                name = row.text("image")
                name = name.rpartition("/dataset/")[2] if name.startswith("/") else name
                image = folder.image(name, under=pictures, width=size[0], height=size[1])
                boxes = row.row("bbox_info")
                question, answer, choices = _pair(row)
                yield Record(
                    f"{stem}/{named(row, place)}",
                    "lrs-vqa-zoom",
                    split,
                    "zoom",
                    (image,),
                    question=question,
                    answer=answer,
                    choices=choices,
                    regions=_regions(boxes["crop_hbox"]),
                    objects=_quads(boxes.get("rbox")),
                )


def _pair(row: Row) -> tuple[str, str, tuple[str, ...]]:
    if "question" in row:
        return row["question"], written(row["answer"]), ()
    choices = split_choices(row["Answer choices"])
    return row["Text"], check_letter(row["Ground truth"], choices), choices


def _regions(boxes: Any) -> tuple[Box, ...]:
    rows = _lists(boxes)
    if any(len(row) != 4 for row in rows):
        raise Rejected("malformed box", f"regions {rows} are not x1 y1 x2 y2")
    return tuple(cast(Box, row) for row in rows)


def _quads(boxes: Any) -> tuple[Annotation, ...]:
    """Keep quadrilaterals as boxes and longer outlines as polygons of their bounds."""
    items = []
    for numbers in _lists(boxes):
        if len(numbers) == 8:
            items.append(Annotation(numbers, "", "quad"))
        elif len(numbers) > 8 and len(numbers) % 2 == 0:
            xs, ys = numbers[0::2], numbers[1::2]
            items.append(Annotation((min(xs), min(ys), max(xs), max(ys)), "", "hbb", polygons=(numbers,)))
        else:
            raise Rejected("malformed box", f"outline {numbers} is not four or more corners")
    return tuple(items)


def _lists(boxes: Any) -> list[tuple[float, ...]]:
    """Give the numbers of several boxes, of one, or of none."""
    given = as_list(boxes or [], "boxes")
    return [as_numbers(row, "a box") for row in (given if given and isinstance(given[0], list) else [given]) if row]
