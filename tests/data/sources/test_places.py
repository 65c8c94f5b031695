"""One release in each of the places and under each of the names that its source's layout lists: the same records."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rscovlm.data.sources import sources
from rscovlm.records.record import Record
from tests.data.sources.layouts import chat, encoded, picture, read, text

PICTURE: Any = None
PNG = base64.b64encode(encoded(40, 30)).decode("ascii")
LINE = "imagesource:GoogleEarth\ngsd:0.25\n3 7 21.5 4 23 16 5 19 ship 1\n30 5 33 5 33 29 30 29 large-vehicle 0\n"
TALK = chat("<image>\nWhat is {<10><20><30><80>|<15>}?", "A port at {<50><5><95><60>}.")
VOC = "<annotation><object><name>ship</name><bndbox><xmin>3</xmin><ymin>7</ymin><xmax>22</xmax><ymax>19</ymax></bndbox></object></annotation>"
ROTATED = "<annotation><object><name>ship</name><robndbox>{}</robndbox></object></annotation>".format(
    "".join(
        f"<{axis}_{corner}>{value}</{axis}_{corner}>"
        for corner, x, y in (("left_top", 1, 2), ("right_top", 9, 2), ("right_bottom", 9, 8), ("left_bottom", 1, 8))
        for axis, value in (("x", x), ("y", y))
    )
)
RECTANGLE = "".join(f"<point>{x},{y}</point>" for x, y in ((1, 2), (9, 2), (9, 8), (1, 8), (1, 2)))
BUS = f"<annotation><objects><object><possibleresult><name>Bus</name></possibleresult><points>{RECTANGLE}</points></object></objects></annotation>"
SHIP = "".join(
    f"<mbox_{name}>{value}</mbox_{name}>" for name, value in (("cx", 21), ("cy", 13), ("w", 17), ("h", 5), ("ang", 0.5))
)
HRSC = f"<HRSC_Image><HRSC_Objects><HRSC_Object><Class_ID>1</Class_ID>{SHIP}</HRSC_Object></HRSC_Objects></HRSC_Image>"
COCO = {
    "images": [{"id": 1, "file_name": "a.png", "width": 40, "height": 30}],
    "annotations": [
        {
            "id": 5,
            "image_id": 1,
            "category_id": 2,
            "bbox": [3, 7, 19, 5],
            "segmentation": [[3, 7, 22, 7, 20, 12]],
            "iscrowd": 1,
        },
        {"id": 6, "image_id": 1, "category_id": 9, "bbox": [30, 5, 3, 24], "segmentation": []},
    ],
    "categories": [{"id": 9, "name": "pier"}, {"id": 2, "name": "ship"}],
}
REFS = [{"ref_id": 5, "ann_id": 5, "split": "train", "sentences": [{"raw": " a ship "}, {"sent": "the ship"}]}]
SCENE = [{"question_id": "Farm/a", "image": "Farm/a.png", "text": "What is it?", "ground_truth": "Farm"}]
LRS = [
    {
        "question_id": 1,
        "image": "a.png",
        "text": "What?",
        "ground_truth": 2,
        "image_size": [40, 30],
        "category": "count",
    }
    | {
        "size_bin": "s",
        "hbox": [3, 7, 22, 12],
        "rbox": [[3, 7, 21, 4, 23, 16, 5, 19], [1, 2, 9, 2, 12, 8, 5, 20, 2, 11]],
    }
]
ZOOM = [
    {"id": 1, "image": "a.png", "image_ori_width": 40, "image_ori_height": 30, "question": "What?", "answer": "A port"}
    | {"bbox_info": {"crop_hbox": [[3, 7, 22, 12], [1, 2, 30, 20]], "rbox": [[3, 7, 21, 4, 23, 16, 5, 19]]}},
    {"id": 2, "image": "a.png", "image_ori_width": 40, "image_ori_height": 30, "Text": "Which?", "Ground truth": "(B)"}
    | {"Answer choices": "(A) red\n(B) blue", "bbox_info": {"crop_hbox": [[3, 7, 22, 12]]}},
]
MME64 = {
    "index": 7,
    "question": "How many?",
    "multi-choice options": ["(A) one", "(B) two"],
    "answer": "B",
    "category": "Perception/Remote_Sensing",
}
XLRS = {
    "index": 1,
    "image": PNG,
    "question": "Which?",
    "answer": ["A", "C"],
    "category": "Counting",
    "l2-category": "count",
}
MESSAGES = [
    {"role": "user", "content": [{"type": "image", "image": "a.png"}, {"type": "text", "text": "What?"}]},
    {"role": "assistant", "content": "A port."},
]
RING = [[3, 7], [21, 4], [23, 16], [5, 19], [3, 7]]
MME = [
    {"Question_id": "1", "Image": "a.png", "Text": "What?", "Answer choices": ["(A) a", "(B) b"], "Ground truth": "A"}
    | {"Category": "count", "Subtask": "Remote Sensing"}
]
REFGEO = [
    {"image_id": "a.png", "dataset": "rsvg", "question": "the ship", "question_id": 7, "bbox": [3, 7, 22, 12]}
    | {"poly": [[3, 7], [21, 4], [23, 16], [5, 19]], "image_width": 40, "image_height": 30, "mask_exists": True}
]
TEO = [
    {
        "id": 1,
        "video": ["TEOChatlas/x/b.png", "TEOChatlas/x/a.png"],
        "timestamp": ["2019-02-03", "2017-05-06"],
        "task": "x",
    }
    | {
        "conversations": chat("<video>\nWhat is at [10, 20, 30, 80]?", "A port."),
        "polygon": "POLYGON ((0 0, 1 0, 1 1, 0 0))",
    }
]
SENTENCE = {"sample_id": "a", "img_A": "a.png", "img_B": "a.png", "referring_expressions": ["a house"]}
MCI = {
    "images": [
        {
            "filename": "train_1.png",
            "filepath": "train",
            "sentences": [{"raw": "A house ."}, {"raw": " "}, {"raw": "A road ."}],
            "changeflag": 1,
        },
        {"filename": "val_1.png"},
    ]
}
CHIP = {
    "image": "a.png",
    "caption": "A port.",
    "objects": [
        {
            "obj_id": 4,
            "obj_cls": "ship",
            "obj_coord": [0.1, 0.2, 0.5, 0.8],
            "obj_corner": [0.1, 0.3, 0.4, 0.2, 0.5, 0.7, 0.2, 0.8],
        }
        | {"is_unique": True, "referring_sentence": "The ship."},
        {"obj_cls": "pier", "obj_corner": [0.1, 0.3, 0.4, 0.2, 0.5, 0.7, 0.2, 0.8], "referring_sentence": "The pier."},
    ],
    "qa_pairs": [
        {"ques_id": 1, "question": "What?", "answer": "A ship", "type": "object"},
        {"ques_id": 4, "question": "Is it?", "answer": 5},
    ],
}
REFERRING = {
    "image_id": "a.png",
    "question": "The ship",
    "ground_truth": "{<10><20><50><80>}",
    "question_id": 3,
    "obj_cls": "ship",
}
YAML = "names: [ship]\n"

Files = dict[str, Any]
Moves = list[dict[str, str]]
RELEASES: dict[str, tuple[str, str, Files, Moves]] = {
    "coco": ("coco", "val2014", {"annotations/instances_val2014.json": COCO, "val2014/a.png": PICTURE}, [{"": "coco/"}]),
    "coco-json": (
        "coco-json",
        "val",
        {"annotations/instances_val.json": COCO, "images/val/a.png": PICTURE},
        [
            *({"annotations/instances_val.json": name} for name in ("annotations/val.json", "val.json", "val/_annotations.coco.json", "annotations.json")),
            *({"images/val/": place} for place in ("val/images/", "val/", "images/", "")),
        ],
    ),
    "deepglobe": ("deepglobe-roads", "train", {"train/1_sat.jpg": PICTURE, "train/1_mask.png": PICTURE}, [{"": "deepglobe/"}]),
    "dior": (
        "dior",
        "train",
        {"ImageSets/Main/train.txt": "1\n", "Annotations/Horizontal Bounding Boxes/1.xml": VOC, "JPEGImages-trainval/1.jpg": PICTURE},
        [
            {"ImageSets/Main/": "Main/"},
            {"ImageSets/Main/": "ImageSets/"},
            {"Annotations/Horizontal Bounding Boxes/": "Annotations/"},
            {"JPEGImages-trainval/": "JPEGImages/"},
        ],
    ),
    "dior-r": (
        "dior-r",
        "test",
        {"ImageSets/Main/test.txt": "1\n", "Annotations/Oriented Bounding Boxes/1.xml": ROTATED, "JPEGImages-test/1.jpg": PICTURE},
        [{"Annotations/Oriented Bounding Boxes/": "Annotations/"}, {"JPEGImages-test/": "JPEGImages/"}],
    ),
    "dota-v1.0": (
        "dota-v1.0",
        "val",
        {"val/labelTxt-v1.0/DOTA-v1.0_val/a.txt": LINE, "val/images/a.png": PICTURE},
        [
            {"val/": ""},
            *(
                {"val/labelTxt-v1.0/DOTA-v1.0_val/": f"val/{place}/"}
                for place in ("labelTxt-v1.0/labelTxt", "labelTxt-v1.0", "annotations/version1.0", "labelTxt", "annfiles")
            ),
        ],
    ),
    "dota-v2.0": (
        "dota-v2.0",
        "train",
        {"train/labelTxt-v2.0/DOTA-v2.0_train/a.txt": LINE, "train/images/a.png": PICTURE},
        [{"train/labelTxt-v2.0/DOTA-v2.0_train/": f"train/{place}/"} for place in ("labelTxt-v2.0/labelTxt", "labelTxt-v2.0", "annotations/version2.0")],
    ),
    "earthreason": (
        "earthreason",
        "val",
        {"val/QAs/a.json": {"questions": ["Where?"], "answer": ["Here."]}, "val/images/a.jpg": PICTURE, "val/labels/a.png": PICTURE},
        [{"": "EarthReason/"}, {"": "RSReasonSeg/"}, {"val/QAs/a.json": "val/QAs/a.txt"}],
    ),
    "fair1m": ("fair1m", "train", {"train/part1/labelXml/a.xml": BUS, "train/part1/images/a.tif": PICTURE}, [{"train/part1/labelXml/": "train/part1/labelXmls/"}]),
    "geochat": (
        "geochat",
        "train",
        {"GeoChat_Instruct.json": [{"id": 1, "image": "a.png", "conversations": TALK}], "final_images_llava/a.png": PICTURE},
        [
            {"GeoChat_Instruct.json": "geochat_data/GeoChat_Instruct.json"},
            *(
                {"final_images_llava/": f"{place}/"}
                for place in ("images", "geochat_data/images", "share/softwares/kartik/GeoChat_finetuning/final_images_llava")
            ),
        ],
    ),
    "geochat-aid": (
        "geochat-aid",
        "test",
        {"aid.jsonl": SCENE, "AID/Farm/a.png": PICTURE},
        [{"aid.jsonl": "AID.jsonl"}, {"AID/": "images/"}, {"AID/": ""}],
    ),
    "geochat-ucmerced": (
        "geochat-ucmerced",
        "test",
        {"UCmerced.jsonl": SCENE, "UCMerced_LandUse/Images/Farm/a.png": PICTURE},
        [{"UCmerced.jsonl": "ucmerced.jsonl"}, *({"UCMerced_LandUse/Images/": place} for place in ("UCmerced/", "images/", ""))],
    ),
    "hrsc": (
        "hrsc2016",
        "trainval",
        {"ImageSets/trainval.txt": "a\n", "FullDataSet/Annotations/a.xml": HRSC, "FullDataSet/AllImages/a.bmp": PICTURE},
        [{"FullDataSet/": "Train/"}],
    ),
    "isaid": (
        "isaid",
        "val",
        {"val/Annotations/iSAID_val.json": COCO, "val/images/a.png": PICTURE},
        [
            {"": "iSAID/"},
            {"val/images/": "val/images/images/"},
            *({"val/Annotations/iSAID_val.json": f"val/{name}"} for name in ("Annotations/iSAID_val_2019.json", "iSAID_val.json", "instancesonly_filtered_val.json")),
        ],
    ),
    "levir-cd": (
        "levir-cd",
        "val",
        {f"val/{part}/val_1.png": PICTURE for part in ("A", "B", "label")},
        [{"val/": ""}],
    ),
    "levir-mci": (
        "levir-mci",
        "train",
        {"LevirCCcaptions.json": MCI} | {f"images/train/{part}/train_1.png": PICTURE for part in ("A", "B", "label")},
        [{"": "Levir-MCI-dataset/"}],
    ),
    "loveda": (
        "loveda",
        "train",
        {f"Train/{scene}/{part}/1.png": PICTURE for scene in ("Rural", "Urban") for part in ("images_png", "masks_png")},
        [{"": "LoveDA/"}],
    ),
    "lrs-vqa": ("lrs-vqa", "test", {"LRS_VQA_merged.jsonl": LRS, "a.png": PICTURE}, [{"LRS_VQA_merged.jsonl": "LRS_VQA/LRS_VQA_merged.jsonl"}]),
    "lrs-vqa-zoom": (
        "lrs-vqa-zoom",
        "train",
        {"LRS_VQA/annotations/train/b.json": ZOOM, "LRS_VQA/images/train/a.png": PICTURE},
        [{"LRS_VQA/": ""}, {"LRS_VQA/annotations/train/": ""}, {"LRS_VQA/images/train/": "images/"}],
    ),
    "mme": (
        "mme-realworld-rs",
        "test",
        {"MME_RealWorld.json": MME, "a.png": PICTURE},
        [
            *({"MME_RealWorld.json": name} for name in ("MME_RealWorld_RS.json", "MME_RealWorld_remote_sensing.json", "MME_other.json")),
            *({"a.png": name} for name in ("images/a.png", "remote_sensing/a.png")),
        ],
    ),
    "mme base64": ("mme-realworld-rs", "test", {"MME-RealWorld/a.json": [MME64 | {"l2-category": "count", "image": PNG}]}, []),
    "xlrs": (
        "xlrs-bench",
        "test",
        {
            "XLRS_a.jsonl": [
                XLRS | {"multi-choice options": "Choices:\n(A) red\n(B) blue\n(C) green\nAnswer.", "answer": "A, C"},
                XLRS | {"bbox": [3, 7, 22, 12], "image": [PNG, PNG]},
                XLRS | {"answer": ["A port.", " ", "Ships."]},
                XLRS | {"answer": "A port."},
            ]
        },
        [],
    ),
    "chat": (
        "chat",
        "val",
        {
            "my_val.jsonl": [
                {"messages": MESSAGES, "tools": [{"name": "zoom"}], "id": "own"},
                {"messages": [{"role": "developer", "content": "Be brief."}, *MESSAGES]},
                {"query": "<image>?", "response": "At <bbox>.", "history": [["Hello?", "Yes."]], "image": "a.png", "objects": {"bbox": [[3, 7, 22, 12]]}},
                {"instruction": "Count.", "input": "Ships only.", "output": "Two.", "system": "Be brief."},
            ],
            "train.json": [{"messages": MESSAGES}],
            "a.png": PICTURE,
        },
        [],
    ),
    "geojson": (
        "geojson",
        "val",
        {
            "val/a.geojson": {
                "features": [
                    {"properties": {"class": " ship "}, "geometry": {"type": "Polygon", "coordinates": [RING]}},
                    {"properties": {"name": "pier"}, "geometry": {"type": "MultiPolygon", "coordinates": [[RING[:3]], [RING, RING[1:4]]]}},
                ]
            },
            "val/a.png": PICTURE,
            "val/b.png": PICTURE,
        },
        [{"val/a.geojson": "val/a.json"}, {"val/a.g": "val/labels/a.g", "val/": "val/images/"}],
    ),
    "meter-ml": (
        "meter-ml",
        "val",
        {
            "val_dataset.geojson": {"features": [{"properties": {"Type": "CAFOs - WWTreatment", "Image_Folder": "val_images/1_2"}}]},
            "val_images/1_2/naip.png": PICTURE,
        },
        [],
    ),
    "meter-ml folders": ("meter-ml", "val", {"val/WWTreatment/naip.png": PICTURE}, []),
    "rsar": ("rsar", "train", {"train/annfiles/a.txt": LINE.replace("large-vehicle", "Tank"), "train/images/a.bmp": PICTURE}, []),
    "dota test": ("dota-v1.5", "test", {"test/images/a.png": PICTURE}, [{"test/": ""}]),
    "fair1m test": ("fair1m", "test", {"test/images/7.tif": PICTURE}, []),
    "mtrefseg": (
        "mtrefseg",
        "train",
        {"train/referring_expression/a.json": SENTENCE, "train/A/a.png": PICTURE, "train/B/a.png": PICTURE, "train/masks/a/0.png": PICTURE},
        [{"": "MTRefSeg_Clear/"}, {"train/": "train_FINAL_CLEAN/"}],
    ),
    **{
        f"mtrefseg {split}": (
            "mtrefseg",
            split,
            {f"{place}/referring_expression/a.json": SENTENCE} | {f"{place}/{name}": PICTURE for name in ("A/a.png", "B/a.png", "masks/a.png")},
            [{"": "MTRefSeg_Clear/"}],
        )
        for split, place in {
            "val": "val_FINAL_CLEAN",
            "rs-train": "RS_FINAL_CLEAN_train",
            "rs-val": "RS_FINAL_CLEAN_val",
            "ns-train": "NS_FINAL_CLEAN_train",
            "ns-val": "NS_FINAL_CLEAN_val",
        }.items()
    },
    "mtrefseg plain val": (
        "mtrefseg",
        "val",
        {"val/referring_expression/a.json": SENTENCE} | {f"val/{name}": PICTURE for name in ("A/a.png", "B/a.png", "masks/a.png")},
        [{"val/": "val_FINAL_CLEAN/"}],
    ),
    "refgeo": (
        "refgeo",
        "train",
        {"metainfo_v2/rsvg_train_v2.jsonl": REFGEO, "images/rsvg/a.png": PICTURE, "masks/rsvg/a_7.png": PICTURE},
        [{"": "refGeo/"}, {"metainfo_v2/rsvg_train_v2.jsonl": "metainfo/rsvg_train.jsonl"}],
    ),
    "refsegrs": ("refsegrs", "val", {"output_phrase_val.txt": "a a road\n", "images/a.tif": PICTURE, "masks/a.tif": PICTURE}, [{"": "RefSegRS/"}]),
    "risbench": (
        "risbench",
        "val",
        {"output_phrase_val.txt": "a.png a road\n", "img_rgb/a.png": PICTURE, "mask/a.png": PICTURE},
        [{"": f"{top}/"} for top in ("RISBench_dataset", "RISBench/RISBench_dataset", "RISBench")],
    ),
    "rrsisd": (
        "rrsis-d",
        "train",
        {"rrsisd/instances.json": COCO, "rrsisd/refs(unc).json": REFS, "images/rrsisd/JPEGImages/a.png": PICTURE},
        [{"": "RRSIS-D/"}, {"rrsisd/refs(unc).json": "rrsisd/refs.json"}],
    ),
    **{
        f"rsvqa-{kind}": (
            f"rsvqa-{kind}",
            "val",
            {
                f"{prefix}_split_val_answers.json": {"answers": [{"id": 1, "answer": "2", "active": True}]},
                f"{prefix}_split_val_questions.json": {"questions": [{"id": 1, "img_id": 7, "question": "How many?", "answers_ids": [1], "type": "count"}, {"id": 2, "active": False}]},
                f"{place}/7.tif": PICTURE,
            },
            [{f"{place}/": "Images/"}],
        )
        for kind, prefix, place in (("lr", "LR", "Images_LR"), ("hr", "USGS", "Data"))
    },
    **{
        name: (name, "train", {f"{places[0]}/Farm/a.png": PICTURE}, [{f"{places[0]}/": place} for place in (*places[1:], "")])
        for name, places in {
            "aid": ["AID"],
            "ucmerced": ["UCMerced_LandUse/Images", "Images/"],
            "nwpu-resisc45": ["NWPU-RESISC45"],
            "whu-rs19": ["WHU-RS19", "RSDataset/", "WHU_RS19/"],
        }.items()
    },
    "srsdd": ("srsdd", "train", {"train/labels/a.txt": LINE.replace("ship", "ore-oil").replace("large-vehicle", "Dredger"), "train/images/a.jpg": PICTURE}, [{"train/labels/": "train/labelTxt/"}]),
    **{
        f"teochatlas-{name}": (f"teochatlas-{name}", "train", {f"train/instruct_{file}.json": TEO, f"{below}x/a.png": PICTURE, f"{below}x/b.png": PICTURE}, [{"": "TEOChatlas/"}])
        for name, file, below in (("fmow", "fMoW", ""), ("qfabric", "QFabric", ""), ("s2looking", "S2Looking", ""), ("xbd", "xBD", ""))
    },
    **{
        f"teochatlas-{name} {file}": (f"teochatlas-{name}", "eval", {f"eval/{file}.json": TEO, "x/a.png": PICTURE, "x/b.png": PICTURE}, [{"": "TEOChatlas/"}])
        for name, file in (
            ("fmow", "fMoW_Low_Res"), ("qfabric", "QFabric_5"), ("s2looking", "S2Looking"), ("xbd", "xBD_loc"), ("geochat", "AID"),
            ("geochat", "UCMerced"), ("geochat", "LRBEN"), ("geochat", "HRBEN"), ("abcd", "ABCD"), ("cdvqa", "CDVQA"),
        )
    },
    "vhm": ("vhm", "train", {"list_sft.json": [{"id": "1", "image": "a.png", "source_dataset": "BANDON", "conversations": TALK}], "BANDON/a.png": PICTURE}, [{"": "VHM_dataset_sft/"}]),
    "vhm repackaged": ("vhm", "train", {"vhm_v1.json": [{"id": "1", "image": "a.png", "conversations": TALK}], "images/a.png": PICTURE}, [{"images/": ""}]),
    **{
        f"vhm-{name}": (
            f"vhm-{name}",
            "test",
            {f"datasets_eval/{file}.json": [{"id": 1, "image": "a.png", "image_path": "AID", "conversations": TALK}], "datasets_eval/AID/a.png": PICTURE, "datasets_eval/other.json": []},
            [{"datasets_eval/": ""}],
        )
        for name, file in (("scenes", "cls_AID"), ("rsvqa", "RSVQA_HR-comp_RSVQA"))
    },
    "vrsbench": ("vrsbench", "train", {"VRSBench_train.json": [{"id": 1, "image": "a.png", "conversations": TALK}], "Images_train/a.png": PICTURE}, [{"Images_train/": "Images_train/Images_train/"}]),
    "vrsbench captions": (
        "vrsbench",
        "val",
        {"VRSBench_EVAL_Cap.json": [{"image_id": "a.png", "ground_truth": "A port.", "question_id": 1}], "Images_val/a.png": PICTURE},
        [{"Images_val/": "Images_val/Images_val/"}],
    ),
    "vrsbench questions": (
        "vrsbench",
        "val",
        {
            "VRSBench_EVAL_vqa.json": [{"image_id": "a.png", "question": "What?", "ground_truth": "A port", "question_id": 1, "type": "object"}],
            "VRSBench_EVAL_referring.json": [REFERRING | {"obj_corner": [0.1, 0.3, 0.4, 0.2, 0.5, 0.7, 0.2, 0.8], "unique": True}, REFERRING],
            "Images_val/a.png": PICTURE,
        },
        [],
    ),
    "vrsbench-objects": (
        "vrsbench-objects",
        "val",
        {"Annotations_val/a.json": CHIP, "Images_val/a.png": PICTURE},
        [{"Images_val/": "Images_val/Images_val/"}, {"Annotations_val/": "Annotations_val/Annotations_val/"}],
    ),
    "yolo": (
        "yolo-obb",
        "val",
        {"data.yaml": YAML, "images/val/a.png": PICTURE, "labels/val/a.txt": "0 0.5 0.6 0.2 0.4\n0 0.1 0.3 0.4 0.2 0.5 0.7 0.2 0.8\n0 0.1 0.3 0.4 0.2 0.5 0.7\n"},
        [
            {"data.yaml": "dataset.yaml"},
            {"data.yaml": "mine.yaml"},
            {"images/val/": "val/images/", "labels/val/": "val/labels/"},
            {"images/val/": "valid/images/", "labels/val/": "valid/labels/"},
        ],
    ),
}  # fmt: skip
"""Source, split, a release, and what else its parts are called: the beginning of a path and what stands in its place."""


def _written(root: Path, files: Files, move: dict[str, str]) -> None:
    for name, content in files.items():
        begin = next((begin for begin in sorted(move, key=len, reverse=True) if name.startswith(begin)), None)
        place = name if begin is None else move[begin] + name.removeprefix(begin)
        if content is PICTURE:
            picture(root, place)
        else:
            text(root, place, content)


RECORDED: dict[str, list[str]] = json.loads(
    Path(__file__).with_name("recorded_records.json").read_text(encoding="utf-8")
)
"""For each release its records as JSON, checked by eye against the rows above."""


@pytest.mark.parametrize("release", RELEASES)
def test_a_release_gives_the_records_that_were_recorded(tmp_path: Path, release: str) -> None:
    name, split, files, _ = RELEASES[release]
    _written(tmp_path, files, {})
    rows = [record.to_json().replace(PNG, "PNG") for record in read(name, tmp_path, split)[0]]  # its bytes are Pillow's
    assert rows == RECORDED[release]


def _told(record: Record) -> tuple[Record, list[tuple[int, int, str]]]:
    """Return a record without the places of its pictures, and what each of these is."""
    pictures = [(image.width, image.height, image.path.rpartition("/")[2]) for image in record.images + record.masks]
    return replace(record, images=(), masks=()), pictures


@pytest.mark.parametrize("release", RELEASES)
def test_every_place_of_a_layout_holds_the_same_records(tmp_path: Path, release: str) -> None:
    name, split, files, moves = RELEASES[release]
    _written(tmp_path / "first", files, {})
    first = [_told(record) for record in read(name, tmp_path / "first", split)[0]]
    assert first
    for number, move in enumerate(moves):
        root = tmp_path / str(number)
        _written(root, files, move)
        assert [_told(record) for record in read(name, root, split)[0]] == first, move


@pytest.mark.parametrize(
    ("name", "split"),
    [
        *((f"my-{word}_1.jsonl", "val") for word in ("val", "valid", "validation", "dev", "eval", "VAL")),
        *((f"{word}.jsonl", "train") for word in ("train", "training", "mine", "evaluate", "tests")),
        ("test.json", "test"),
    ],
)
def test_a_file_of_conversations_belongs_to_the_split_that_a_word_of_its_name_says(
    tmp_path: Path, name: str, split: str
) -> None:
    text(tmp_path, name, [{"query": "What?", "response": "A port."}])
    assert len(read("chat", tmp_path, split)[0]) == 1
    for other in {"train", "val", "test"} - {split}:
        with pytest.raises(FileNotFoundError, match="no rows"):
            read("chat", tmp_path, other)


def test_what_names_the_classes_is_no_matter_of_chance(tmp_path: Path) -> None:
    """Where a release was unpacked beside another, the place that is listed first counts."""
    for name, split in (("aid", "AID"), ("whu-rs19", "WHU-RS19")):
        picture(tmp_path / name, f"{split}/Farm/a.png")
        picture(tmp_path / name, "Other/b.png")
        assert [row.classes for row in read(name, tmp_path / name)[0]] == [("farm",)]


def test_each_source_of_this_table_is_a_source() -> None:
    assert {name for name, *_ in RELEASES.values()} <= set(sources())
