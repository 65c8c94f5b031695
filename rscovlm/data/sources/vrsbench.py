"""VRSBench: captions, questions and referring expressions on 29,614 chips of 512 x 512 from DOTA and DIOR."""

from __future__ import annotations

from collections.abc import Iterator

from rscovlm.data.sources.chat import chat_record, named
from rscovlm.data.sources.folder import Folder, stem_of, written
from rscovlm.data.sources.registry import source
from rscovlm.data.textboxes import find_boxes, to_annotation
from rscovlm.records.jsonfiles import parsed
from rscovlm.records.record import Annotation, ImageRef, Record
from rscovlm.records.rows import Row, as_numbers
from rscovlm.records.tally import Rejected

_LICENCE = "annotations CC BY 4.0; images of DOTA-v2 and DIOR, academic use only"


_HELD = """lx709/VRSBench prepare_eval_all.ipynb (every field of the evaluation files and of the annotations) and rs_instruction.txt (which
objects are annotated); wildcraft958/VRSBench_dataloader README.md (archives, ques_id as number or text). VRSBench_train.json was not
seen."""


@source(
    "vrsbench",
    splits=["train", "val"],
    tasks=["conversation", "vqa", "caption", "grounding"],
    licence=_LICENCE,
    layout="""VRSBench_train.json, one array of LLaVA conversations with boxes {<x1><y1><x2><y2>} in per cent, pictures in Images_train/;
    VRSBench_EVAL_vqa.json, VRSBench_EVAL_Cap.json, VRSBench_EVAL_referring.json (any of them) with pictures in Images_val/. A picture folder may be nested, as Images_train/Images_train/. Boxes reach up to 154 per
    cent: what lies beyond the image is kept, and lint counts it.""",
    held=_HELD,
)
def vrsbench(folder: Folder, split: str) -> Iterator[Record]:
    """Read conversations for training; questions, captions and expressions for validation."""
    if split == "train":
        pictures = _nested(folder, "Images_train")
        for place, row in folder.items("VRSBench_train.json"):
            with folder.row(place):
                image = folder.image(row["image"], under=pictures)
                yield chat_record(row, named(row, place), "vrsbench", split, [image], scale=100)
        return
    pictures = _nested(folder, "Images_val")
    for file, read in (("vqa", _question), ("Cap", _caption), ("referring", _expression)):
        name = f"VRSBench_EVAL_{file}.json"
        if not (folder.root / name).exists():
            continue
        for place, row in folder.items(name):
            with folder.row(place):
                image = folder.image(row["image_id"], under=pictures)
                yield read(row, f"{file}/{named(row, place)}", image)


def _nested(folder: Folder, name: str) -> str:
    """Give the folder that an archive unpacks to, which may hold another of its name."""
    return f"{name}/{name}" if (folder.root / name / name).is_dir() else name


def _question(row: Row, name: str, image: ImageRef) -> Record:
    extra = {"type": str(row["type"])} if row.get("type") else {}
    answer = written(row["ground_truth"])
    return Record(name, "vrsbench", "val", "vqa", (image,), question=row["question"], answer=answer, extra=extra)


def _caption(row: Row, name: str, image: ImageRef) -> Record:
    return Record(name, "vrsbench", "val", "caption", (image,), captions=(written(row["ground_truth"]),))


def _expression(row: Row, name: str, image: ImageRef) -> Record:
    boxes = find_boxes(row.text("ground_truth"))
    if len(boxes) != 1:
        raise Rejected("malformed box", f"expression has {len(boxes)} boxes in {row['ground_truth']!r}, not one")
    upright = to_annotation(boxes[0], 100, image.width, image.height)
    corners = row.get("obj_corner")
    corners = parsed(corners) if isinstance(corners, str) else corners
    rings = (_pixels(corners, image),) if corners else ()
    item = Annotation(upright.box, row.get("obj_cls") or "", "hbb", polygons=rings)
    extra = {"unique": str(row["unique"])} if "unique" in row else {}
    return Record(
        name, "vrsbench", "val", "grounding", (image,), expression=row["question"], objects=(item,), extra=extra
    )


@source(
    "vrsbench-objects",
    splits=["train", "val"],
    tasks=["grounding", "caption", "vqa"],
    licence=_LICENCE,
    layout="""Annotations_<split>/*.json, one a chip (caption; objects with obj_cls, obj_coord and obj_corner as shares of the sides,
    referring_sentence, is_unique; qa_pairs); Images_<split>/. Only the one to five objects that a sentence refers to are listed: they
    are no detections of all that is there.""",
    held=_HELD,
)
def vrsbench_objects(folder: Folder, split: str) -> Iterator[Record]:
    """Read the chips' own annotations: expressions, the caption, question-answer pairs."""
    pictures = _nested(folder, f"Images_{split}")
    for file in folder.files(_nested(folder, f"Annotations_{split}"), ".json"):
        with folder.row(file):
            row = folder.json(file)
            image = folder.image(row["image"], under=pictures)
            stem = stem_of(file)
            common = ("vrsbench-objects", split)
            objects, pairs = (row.rows(key) if row.get(key) else [] for key in ("objects", "qa_pairs"))
            if not (objects or pairs or row.get("caption")):
                raise Rejected("nothing annotated", f"{file} has neither objects, caption nor qa_pairs")
            for number, given in enumerate(objects):
                with folder.row(f"{file}, object {number}"):
                    identity = f"{stem}/ref{given.get('obj_id', number)}"
                    text, item = given.get("referring_sentence"), _object(given, image)
                    if not text:
                        raise Rejected("object without an expression", f"{item.label!r} has no referring_sentence")
                    extra = {"unique": str(given["is_unique"])} if "is_unique" in given else {}
                    yield Record(
                        identity, *common, "grounding", (image,), expression=text, objects=(item,), extra=extra
                    )
            if row.get("caption"):
                yield Record(f"{stem}/caption", *common, "caption", (image,), captions=(written(row["caption"]),))
            for number, pair in enumerate(pairs):
                with folder.row(f"{file}, question {number}"):
                    identity = f"{stem}/qa{pair.get('ques_id', number)}"
                    question, answer = pair["question"], written(pair["answer"])
                    extra = {"type": str(pair["type"])} if pair.get("type") else {}
                    yield Record(identity, *common, "vqa", (image,), question=question, answer=answer, extra=extra)


def _object(item: Row, image: ImageRef) -> Annotation:
    ring = _pixels(item["obj_corner"], image) if item.get("obj_corner") else ()
    bounds = (min(ring[0::2]), min(ring[1::2]), max(ring[0::2]), max(ring[1::2])) if ring else ()
    upright = _pixels(item["obj_coord"], image) if item.get("obj_coord") else bounds
    return Annotation(upright, item["obj_cls"], "hbb", polygons=(ring,) if ring else ())


def _pixels(shares: object, image: ImageRef) -> tuple[float, ...]:
    return tuple(
        value * (image.height if i % 2 else image.width) for i, value in enumerate(as_numbers(shares, "corners"))
    )
