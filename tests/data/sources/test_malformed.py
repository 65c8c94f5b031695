"""What no row should hold, in every field of every JSON source: counted or refused; a mistake of ours ends the run."""

from __future__ import annotations

import base64
import json
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from rscovlm.data.sources import Folder, convert, registry, source
from rscovlm.records.record import Record
from rscovlm.records.tally import Rejected, Strict, Tally, TooManyRejected
from tests.data.sources.layouts import POISON, chat, encoded, picture, poisoned, text

_PNG = base64.b64encode(encoded(40, 30)).decode("ascii")
_TALK = chat("<image>\nWhere is the ship? {<10><20><30><40>|<90>}", "At [10, 20, 30, 40].")
_QUAD = [[0.1, 0.1], [0.4, 0.1], [0.4, 0.4], [0.1, 0.4], [0.1, 0.1]]
_MME = {
    "Question_id": "a/1",
    "Image": "a.png",
    "Text": "How many?",
    "Answer choices": ["(A) one", "(B) two"],
    "Ground truth": "A",
    "Category": "count",
    "Subtask": "Remote Sensing",
}
_INSTANCES = {
    "images": [{"id": 1, "file_name": "a.png", "width": 40, "height": 30}],
    "annotations": [
        {"id": 5, "image_id": 1, "category_id": 2, "segmentation": [{"size": [30, 40], "counts": [40, 9, 1151]}]},
        {"id": 6, "image_id": 1, "category_id": 2, "segmentation": [[1, 1, 9, 1, 9, 9]]},
    ],
    "categories": [{"id": 2, "name": "bridge"}],
}
_REFS = [
    {"ref_id": k, "ann_id": k, "split": "train", "sentences": [{"raw": "a bridge", "sent": "a bridge"}]} for k in (5, 6)
]
_ZOOM = {
    "id": 1,
    "image": "a.png",
    "image_ori_width": 40,
    "image_ori_height": 30,
    "bbox_info": {"crop_hbox": [[1, 1, 9, 9]], "rbox": [[1, 1, 9, 1, 9, 9, 1, 9]]},
}
_CHIP = {
    "image": "a.png",
    "caption": "A port.",
    "objects": [
        {"obj_id": 0, "obj_cls": "ship", "obj_coord": [0.1, 0.1, 0.4, 0.4], "obj_corner": [0.1] * 8, "is_unique": True}
        | {"referring_sentence": "The ship."}
    ],
    "qa_pairs": [{"ques_id": 1, "question": "What?", "answer": "A ship", "type": "object"}],
}
_COCO = {
    "images": [{"id": 1, "file_name": "a.png", "width": 40, "height": 30}],
    "annotations": [
        {"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 1, 5, 5], "segmentation": [[1, 1, 6, 1, 6, 6, 1, 6]]},
        {"id": 2, "image_id": 1, "category_id": 1, "segmentation": {"size": [30, 40], "counts": [0, 30, 1170]}},
    ],
    "categories": [{"id": 1, "name": "ship"}],
}
_FEATURES = {
    "type": "FeatureCollection",
    "crs": {"properties": {"name": "EPSG:4326"}},
    "features": [
        {"properties": {"label": "ship"}, "geometry": {"type": "Polygon", "coordinates": [_QUAD]}},
        {"properties": {"label": "ship"}, "geometry": {"type": "MultiPolygon", "coordinates": [[_QUAD]]}},
    ],
}
_REFGEO = {
    "image_id": "a.png",
    "dataset": "rsvg",
    "question": "the ship",
    "question_id": 7,
    "bbox": [1, 1, 9, 9],
    "poly": [[1, 1], [9, 1], [9, 9], [1, 9]],
    "image_width": 40,
    "image_height": 30,
}
_MESSAGES = [
    {"role": "user", "content": [{"type": "image", "image": "a.png"}, {"type": "text", "text": "What?"}]},
    {"role": "assistant", "content": "A port."},
]

CASES: dict[str, tuple[str, str, str, Any, str]] = {
    "geochat": ("geochat", "train", "GeoChat_Instruct.json", [{"id": 1, "image": "a.png", "conversations": _TALK}], "images/a.png"),
    "vrsbench": ("vrsbench", "train", "VRSBench_train.json", [{"id": 1, "image": "a.png", "conversations": _TALK}], "Images_train/a.png"),
    "vrsbench vqa": (
        "vrsbench",
        "val",
        "VRSBench_EVAL_vqa.json",
        [{"image_id": "a.png", "question": "What?", "ground_truth": "A port", "question_id": 1, "type": "object"}],
        "Images_val/a.png",
    ),
    "vrsbench referring": (
        "vrsbench",
        "val",
        "VRSBench_EVAL_referring.json",
        [{"image_id": "a.png", "question": "The ship", "ground_truth": "{<10><20><30><40>}", "obj_corner": [0.1] * 8, "obj_cls": "ship"}],
        "Images_val/a.png",
    ),
    "vrsbench-objects": ("vrsbench-objects", "train", "Annotations_train/a.json", _CHIP, "Images_train/a.png"),
    "teochatlas": (
        "teochatlas-xbd",
        "train",
        "train/instruct_xBD.json",
        [{"id": 1, "video": ["a.png"], "timestamp": ["2017-01-02"], "task": "x", "conversations": _TALK}],
        "a.png",
    ),
    "teochatlas eval": (
        "teochatlas-xbd",
        "eval",
        "eval/xBD.json",
        [{"id": 1, "image": "a.png", "conversations": [{"value": "What?"}, {"value": "A port."}]}],
        "a.png",
    ),
    "vhm": ("vhm", "train", "vhm.json", [{"id": 1, "image": "a.png", "conversations": _TALK}], "images/a.png"),
    "vhm messages": ("vhm", "train", "vhm.json", [{"id": 1, "messages": _MESSAGES}], "images/a.png"),
    "chat messages": (
        "chat",
        "train",
        "a.jsonl",
        [
            {"messages": _MESSAGES, "images": [], "tools": [{"name": "zoom"}]},
            {"messages": [{"role": "user", "content": "<image>What?"}, {"role": "assistant", "content": "A port."}], "images": [{"bytes": _PNG}]},
            {"query": "<image>?", "response": "At <bbox>.", "history": [["?", "!"]], "image": "a.png", "objects": {"bbox": [[1, 2, 3, 4]]}},
        ],
        "a.png",
    ),
    "chat calls": (
        "chat",
        "train",
        "a.json",
        [
            {"conversations": [*_TALK, {"from": "function_call", "value": {"name": "zoom", "arguments": {"a": 1}}}], "image": "a.png"},
            {"prompt": "?", "completion": [{"role": "assistant", "tool_calls": [{"function": {"name": "zoom", "arguments": {}}}]}]},
            {"instruction": "?", "input": "!", "output": "A port.", "system": "Be brief."},
        ],
        "a.png",
    ),
    "lrs-vqa": (
        "lrs-vqa",
        "test",
        "LRS_VQA_merged.jsonl",
        [{"question_id": 1, "image": "a.png", "text": "What?", "ground_truth": 2, "image_size": [40, 30], "hbox": [1, 1, 9, 9], "rbox": [1] * 8}],
        "a.png",
    ),
    "lrs-vqa-zoom": ("lrs-vqa-zoom", "train", "annotations/train/a.json", [_ZOOM | {"question": "What?", "answer": "A port"}], "images/a.png"),
    "lrs-vqa-zoom choices": (
        "lrs-vqa-zoom",
        "train",
        "annotations/train/a.json",
        [_ZOOM | {"Text": "What?", "Answer choices": "(A) a\n(B) b", "Ground truth": "A"}],
        "images/a.png",
    ),
    "mme": ("mme-realworld-rs", "test", "MME_RealWorld.json", [_MME], "images/a.png"),
    "mme base64": (
        "mme-realworld-rs",
        "test",
        "MME-RealWorld/a.json",
        [
            {"index": 1, "question": "What?", "multi-choice options": ["(A) a", "(B) b"], "answer": "A"}
            | {"category": "Perception/Remote Sensing", "l2-category": "count", "image": _PNG}
        ],
        "a.png",
    ),
    "xlrs": (
        "xlrs-bench",
        "test",
        "XLRS.jsonl",
        [
            {"index": 1, "image": _PNG, "question": "What?", "multi-choice options": ["(A) a", "(B) b"], "answer": "A"},
            {"index": 2, "image": [_PNG], "question": "What?", "answer": ["A port."], "bbox": [1, 1, 9, 9]},
            {"index": 3, "image": [{"bytes": "a.png", "path": "a.png"}], "question": "What?", "answer": ["A port."]},
        ],
        "a.png",
    ),
    "rsvqa answers": ("rsvqa-lr", "train", "LR_split_train_answers.json", {"answers": [{"id": 1, "answer": "2", "active": True}]}, "Images_LR/1.tif"),
    "rsvqa questions": (
        "rsvqa-lr",
        "train",
        "LR_split_train_questions.json",
        {"questions": [{"id": 1, "img_id": 1, "question": "How many?", "answers_ids": [1], "type": "count", "active": True}]},
        "Images_LR/1.tif",
    ),
    "levir-mci": (
        "levir-mci",
        "train",
        "LevirCCcaptions.json",
        {"images": [{"filename": "a.png", "split": "train", "filepath": "train", "sentences": [{"raw": "A house."}], "changeflag": 1}]},
        "images/train/A/a.png",
    ),
    "meter-ml": (
        "meter-ml",
        "train",
        "train_dataset.geojson",
        {"features": [{"properties": {"Type": "CAFOs", "Image_Folder": "train_images/1"}}]},
        "train_images/1/naip.png",
    ),
    "geojson": ("geojson", "train", "train/a.geojson", _FEATURES, "train/a.png"),
    "coco-json": ("coco-json", "train", "annotations/train.json", _COCO, "images/a.png"),
    "refgeo": ("refgeo", "train", "metainfo/rsvg_train.jsonl", [_REFGEO], "images/rsvg/a.png"),
    "rrsis-d objects": ("rrsis-d", "train", "rrsisd/instances.json", _INSTANCES, "images/rrsisd/JPEGImages/a.png"),
    "rrsis-d references": ("rrsis-d", "train", "rrsisd/refs(unc).json", _REFS, "images/rrsisd/JPEGImages/a.png"),
    "isaid": ("isaid", "train", "train/iSAID_train.json", _COCO, "train/images/a.png"),
    "earthreason": ("earthreason", "train", "train/QAs/a.json", {"questions": ["Where?"], "answer": ["Here."]}, "train/images/a.png"),
    "mtrefseg": (
        "mtrefseg",
        "train",
        "train/referring_expression/a.json",
        {"sample_id": "a", "img_A": "a.png", "img_B": "a.png", "referring_expressions": ["a house"], "mask": [{"path": "m.png"}]},
        "train/A/a.png",
    ),
}  # fmt: skip
"""Source, split, file, content that converts or comes close, and the picture it names."""

_BESIDE = {"levir-mci": ["images/train/B/a.png"], "earthreason": ["train/labels/a.png"], "mtrefseg": ["train/B/a.png", "train/masks/m.png"]}  # fmt: skip
"""Pictures that a source needs besides."""


@pytest.mark.parametrize("name", CASES)
def test_every_field_can_hold_anything(tmp_path: Path, name: str) -> None:
    key, split, file, content, image = CASES[name]
    picture(tmp_path, image)
    if key == "rsvqa-lr":
        text(tmp_path, "LR_split_train_answers.json", CASES["rsvqa answers"][3])
        text(tmp_path, "LR_split_train_questions.json", CASES["rsvqa questions"][3])
    if key == "rrsis-d":
        text(tmp_path, "rrsisd/instances.json", _INSTANCES)
        text(tmp_path, "rrsisd/refs(unc).json", _REFS)
    for other in _BESIDE.get(key, ()):
        picture(tmp_path, other)
    text(tmp_path, file, content)
    assert list(convert(key, tmp_path, split, tally=Tally(1.0)))
    for spoilt in (*poisoned(content), *POISON):
        lines = file.endswith("l") and isinstance(spoilt, list)
        text(tmp_path, file, spoilt if lines else json.dumps(spoilt))
        tally = Tally(1.0)
        try:
            kept = list(convert(key, tmp_path, split, tally=tally))
        except (ValueError, OSError):  # the file as a whole is refused
            continue
        assert tally.kept == len(kept) and tally.seen + tally.aside.total() > 0


@pytest.mark.parametrize(
    ("mistake", "error"),
    [
        (lambda row: row["text"].capitalise(), AttributeError),
        (lambda row: row["text"] + 1, TypeError),
        (lambda row: {"b": 1}[row["text"]], KeyError),
        (lambda row: [][len(row["text"])], IndexError),
        (lambda row: undefined, NameError),  # type: ignore[name-defined]  # noqa: F821
        (lambda row: 1 / (len(row["text"]) - 1), ZeroDivisionError),
        (lambda row: row.txt, AttributeError),
    ],
)
def test_a_mistake_in_a_converter_ends_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mistake: Callable[[Any], Any], error: type[Exception]
) -> None:
    monkeypatch.setattr(registry, "_SOURCES", dict(registry._SOURCES))

    @source("mistaken", splits=["train"], tasks=["caption"], licence="none", layout="captions.jsonl")
    def mistaken(folder: Folder, split: str) -> Iterator[Record]:
        for place, row in folder.items("captions.jsonl"):
            with folder.row(place):
                yield Record(row["id"], "mistaken", split, "caption", captions=(mistake(row),))

    text(tmp_path, "captions.jsonl", [{"id": str(i), "text": "a"} for i in range(3)])
    with pytest.raises(error) as caught:
        list(convert("mistaken", tmp_path, tally=Tally(1.0)))
    assert Path(__file__).name in {
        Path(frame.filename).name for frame in traceback.extract_tb(caught.value.__traceback__)
    }


@pytest.mark.parametrize(
    "error", [Rejected("odd", "an odd row"), ValueError("no number"), OSError("no disk"), FileNotFoundError("no file")]
)
def test_the_first_error_that_was_counted_is_the_cause(error: Exception) -> None:
    tally = Tally(0.0)
    for fault in (error, ValueError("a later one")):
        with tally.row("here"):
            raise fault
    with pytest.raises(TooManyRejected) as caught:
        tally.finish()
    assert caught.value.__cause__ is error
    with pytest.raises(ValueError, match="here") as strict, Strict().row("here"):
        raise error
    assert strict.value.__cause__ is error


def test_a_reason_comes_through_from_another_process() -> None:
    import pickle

    there = pickle.loads(pickle.dumps(Rejected("odd", "an odd row")))
    assert (there.reason, str(there)) == ("odd", "an odd row")
