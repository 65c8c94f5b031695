"""Rows with the field names, folders and oddities that public readers of the published files show, with values of our own."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from rscovlm.data.sources import sources
from rscovlm.records.record import Annotation, ImageRef, Record
from rscovlm.records.views import load_image
from tests.data.sources.layouts import chat, encoded, picture, read, text

CHOICES = ["(A) 1", "(B) 2", "(C) 3", "(D) 4", "(E) The image does not feature the ship."]


def _site(kind: str, folder: str) -> dict[str, Any]:
    return {
        "type": "Feature",
        "properties": {"Type": kind, "Image_Folder": folder},
        "geometry": {"type": "Point", "coordinates": [-75.5, 38.5]},
    }


def test_meter_ml_joins_kinds_and_shows_colours_where_infrared_takes_alphas_place(tmp_path: Path) -> None:
    folder = "train_images/train_images_3/38.5_-75.5"
    bands = np.full((12, 10, 4), (200, 100, 50, 0), np.uint8)
    (tmp_path / folder).mkdir(parents=True)
    Image.fromarray(bands).save(tmp_path / folder / "naip.png")
    sites = [_site("CAFOs - WWTreatment", folder), _site("Roundabout", folder), _site("Volcano", folder)]
    text(tmp_path, "train_dataset.geojson", {"type": "FeatureCollection", "features": sites[:1]})
    (site,), _ = read("meter-ml", tmp_path)
    assert site.classes == ("cafos", "ww treatment")
    assert set(site.classes) <= set(site.categories)
    assert (np.asarray(load_image(site.images[0], tmp_path)) == (200, 100, 50)).all()
    text(tmp_path, "train_dataset.geojson", {"type": "FeatureCollection", "features": sites[1:]})
    (site,), tally = read("meter-ml", tmp_path, limit=0.5)
    assert (site.classes, site.extra) == (("negative",), {"type": "Roundabout"})
    assert tally.dropped == {"unknown class": 1}


def test_bands_of_an_image_survive_and_must_be_showable() -> None:
    image = ImageRef("a.tif", width=4, height=4, bands=(4, 3, 2))
    record = Record("1", "mine", "train", "vqa", (image,), question="?", answer="!")
    assert Record.from_dict(record.to_dict()) == Record.from_json(record.to_json()) == record
    with pytest.raises(ValueError, match="one or three"):
        ImageRef("a.tif", bands=(1, 2))


def test_vhm_finds_pictures_in_the_folder_of_their_source(tmp_path: Path) -> None:
    picture(tmp_path, "DOTA-train/P 1.JPG")
    row = {
        "id": "1",
        "image": "P 1.JPG",
        "source_dataset": "DOTA-train",
        "conversations": chat("<image>\nWhat?", "A port."),
    }
    text(tmp_path, "list_sft.json", [row, row | {"source_dataset": "../x"}])
    (record,), tally = read("vhm", tmp_path, limit=0.5)
    assert record.images[0].path == "DOTA-train/P 1.JPG"
    assert tally.dropped == {"unsafe path": 1}


def _realworld(name: str, subtask: str = "Remote Sensing") -> dict[str, Any]:
    return {
        "Question_id": f"perception/remote_sensing/count/{name}",
        "Image": "remote_sensing/a.png",
        "Text": "How many?",
        "Question Type": "Multiple Choice",
        "Answer choices": CHOICES,
        "Ground truth": "D",
        "Category": "count",
        "Subtask": subtask,
        "Task": "Perception",
    }


def test_mme_realworld_beside_its_translation_and_its_part(tmp_path: Path) -> None:
    picture(tmp_path, "remote_sensing/a.png")
    rows = [_realworld("0001"), _realworld("0002", "Monitoring")]
    for name in ("MME_RealWorld.json", "MME_RealWorld_CN.json", "MME_RealWorld_RS.json"):
        text(tmp_path, name, rows)
    (record,), _ = read("mme-realworld-rs", tmp_path, "test")
    assert record.images[0].path == "remote_sensing/a.png"


@pytest.mark.parametrize("kind", ["json", "parquet"])
def test_mme_realworld_in_base64(tmp_path: Path, kind: str) -> None:
    base = {"index": 7, "question": "How many?", "multi-choice options": CHOICES, "answer": "E", "l2-category": "count"}
    coded = base64.b64encode(encoded(40, 30)).decode()
    places = ["Perception/Remote Sensing", "Perception/Monitoring"]
    rows: list[dict[str, Any]] = [base | {"category": place} for place in places]
    if kind == "json":
        text(tmp_path, "MME-RealWorld/part_0.json", [row | {"image": coded} for row in rows])
    else:
        pyarrow = pytest.importorskip("pyarrow")
        from pyarrow import parquet

        table = pyarrow.Table.from_pylist([row | {"bytes": coded} for row in rows])
        parquet.write_table(table, tmp_path / "train-00000-of-00001.parquet")
    (record,), _ = read("mme-realworld-rs", tmp_path, "test")
    assert (record.id, record.answer, len(record.choices), record.extra) == ("7", "E", 5, {"category": "count"})
    assert (record.images[0].width, record.images[0].height) == (40, 30)


@pytest.mark.parametrize("several", [False, True])
def test_xlrs_bench_as_evaluation_kits_ship_it(tmp_path: Path, several: bool) -> None:
    coded = base64.b64encode(encoded(40, 30)).decode()
    options = "The choices are listed below:\n(A) red\n(B) blue\nSelect the best answer.\nThe answer is:"
    row = {"index": 1, "image": [coded, coded] if several else coded, "question": "Which?", "answer": "A B"}
    row |= {"multi-choice options": options, "category": "Counting/Overall counting", "l2-category": "counting"}
    text(tmp_path, "XLRS-Bench-lite_part0.jsonl", [row, row | {"image": "no base64"}])
    (record,), tally = read("xlrs-bench", tmp_path, "test", limit=0.5)
    assert (record.choices, record.answer, len(record.images)) == (("red", "blue"), "AB", 1 + several)
    assert tally.dropped == {"missing image": 1}


@pytest.mark.parametrize("top", ["TEOChatlas/", ""])
def test_teochatlas_series_come_in_order_of_time(tmp_path: Path, top: str) -> None:
    for name in ("train/xBD/images/b.png", "train/xBD/images/a.png", "eval/ABCD/b.png", "eval/AID/a.png"):
        picture(tmp_path, top + name, 200, 100)
    row = {
        "id": "1",
        "task": "classification",
        "video": ["TEOChatlas/train/xBD/images/b.png", "TEOChatlas/train/xBD/images/a.png"],
        "timestamp": ["2018-03-04", "2017-01-02"],
        "conversations": chat(
            "These are images in chronological order: <video>\nWhat changed at [10, 20, 30, 40]?", "It."
        ),
    }
    text(tmp_path, f"{top}train/instruct_xBD.json", [row])
    (record,), _ = read("teochatlas-xbd", tmp_path)
    assert [image.path.rpartition("/")[2] for image in record.images] == ["a.png", "b.png"]
    assert [image.time for image in record.images] == ["2017-01-02", "2018-03-04"]
    mute = [{"value": "<video>\nIs it destroyed?"}, {"value": "Yes"}]
    one = {"task": "x", "timestamp": [], "polygon": "POLYGON ((0 0, 1 0, 1 1, 0 0))"}
    text(tmp_path, f"{top}eval/ABCD.json", [one | {"video": ["TEOChatlas/eval/ABCD/b.png"], "conversations": mute}])
    (record,), _ = read("teochatlas-abcd", tmp_path, "eval")
    assert [turn.role for turn in record.turns] == ["user", "assistant"]
    assert record.extra == {"task": "x", "polygon": one["polygon"]}
    text(tmp_path, f"{top}eval/AID.json", [one | {"video": ["TEOChatlas/eval/AID/a.png"], "conversations": mute}])
    (record,), _ = read("teochatlas-geochat", tmp_path, "eval")
    assert record.images[0].path.endswith("eval/AID/a.png")
    with pytest.raises(FileNotFoundError):
        read("teochatlas-fmow", tmp_path, "eval")


@pytest.mark.parametrize("place", ["geochat/a.png", "geochat_test/a.png", "geochat_test/a.jpg"])
def test_refgeo_finds_geochats_pictures_under_other_names(tmp_path: Path, place: str) -> None:
    picture(tmp_path, f"images/{place}")
    row = {"image_id": "a.jpg", "dataset": "geochat", "question": "the roof", "question_id": 1, "bbox": [1, 2, 11, 9]}
    text(tmp_path, "metainfo/geochat_test.jsonl", [row | {"image_width": 40, "image_height": 30}])
    (record,), _ = read("refgeo", tmp_path, "test")
    assert record.images[0].path == f"images/{place}"


def test_lrs_vqa_zoom_rows_that_name_the_place_they_were_made_in(tmp_path: Path) -> None:
    picture(tmp_path, "LRS_VQA/images/train/dota/a.png", 400, 300)
    row = {"image": "/home/someone/dataset/dota/a.png", "image_ori_width": 400, "image_ori_height": 300}
    row |= {"bbox_info": {"crop_hbox": [[1, 2, 11, 12]]}, "question": "Which?", "answer": "blue"}
    text(tmp_path, "LRS_VQA/annotations/train/a.json", [row, row | {"image": "/etc/passwd"}])
    (record,), tally = read("lrs-vqa-zoom", tmp_path, limit=0.5)
    assert record.images[0].path == "LRS_VQA/images/train/dota/a.png"
    assert tally.dropped == {"unsafe path": 1}


_SHIP = """<HRSC_Object><Object_ID>100000006</Object_ID><Class_ID>100000013</Class_ID><truncated>0</truncated><difficult>0</difficult>
<mbox_cx>20.5</mbox_cx><mbox_cy>15</mbox_cy><mbox_w>10</mbox_w><mbox_h>4</mbox_h><mbox_ang>-1.122944</mbox_ang>
<seg_color>
</seg_color><header_x>14</header_x><header_y>7</header_y></HRSC_Object>"""


def test_hrsc_in_two_folders_without_lists(tmp_path: Path) -> None:
    for part, stem in (("Train", "100000006"), ("Test", "100000007")):
        picture(tmp_path, f"{part}/AllImages/{stem}.BMP")
        ships = f"<Img_FileFmt>bmp</Img_FileFmt><HRSC_Objects>{_SHIP}</HRSC_Objects>"
        text(tmp_path, f"{part}/Annotations/{stem}.xml", f"<HRSC_Image>{ships}</HRSC_Image>")
    (row,), _ = read("hrsc2016", tmp_path, "test")
    assert (row.id, row.images[0].width, row.extra) == ("100000007", 40, {"class_ids": "100000013"})
    assert row.objects[0].box == pytest.approx((20.5, 15, 10, 4, -64.3399), abs=1e-3)
    (row,), _ = read("hrsc2016", tmp_path, "trainval")
    assert row.id == "100000006"


def test_dior_without_a_size(tmp_path: Path) -> None:
    picture(tmp_path, "JPEGImages-trainval/00001.jpg")
    sides = "<xmin>1</xmin><ymin>2</ymin><xmax>12</xmax><ymax>9</ymax>"
    item = f"<object><name>expressway-service-area</name><bndbox>{sides}</bndbox></object>"
    text(tmp_path, "Annotations/Horizontal Bounding Boxes/00001.xml", f"<annotation>{item}</annotation>")
    text(tmp_path, "ImageSets/Main/train.txt", "\ufeff00001\r\n")
    (row,), _ = read("dior", tmp_path)
    assert (row.images[0].width, row.images[0].height) == (40, 30)
    assert row.objects == (Annotation((1, 2, 12, 9), "Expressway-Service-area", "hbb"),)


def test_levir_mci_in_its_own_folder(tmp_path: Path) -> None:
    top = "Levir-MCI-dataset/"
    for part in ("A", "B", "label"):
        picture(tmp_path, f"{top}images/test/{part}/test_000001.png")
    row = {
        "filename": "test_000001.png",
        "filepath": "test",
        "sentences": [{"raw": " a road appears ."}],
        "split": "test",
    }
    text(tmp_path, f"{top}LevirCCcaptions.json", {"images": [row, row | {"filename": "../test_000001.png"}]})
    (record,), tally = read("levir-mci", tmp_path, "test", limit=0.5)
    assert record.masks[0].path == f"{top}images/test/label/test_000001.png"
    assert tally.dropped == {"unsafe path": 1}


@pytest.mark.parametrize(
    ("labels", "pictures"),
    [("annotations/instances_val.json", "images/val"), ("val.json", "images"), ("val/_annotations.coco.json", "val")],
)
def test_ones_own_coco_file(tmp_path: Path, labels: str, pictures: str) -> None:
    picture(tmp_path, f"{pictures}/in a folder/é.JPG")
    images = [
        {"id": i, "file_name": name, "width": 40, "height": 30} for i, name in enumerate(["in a folder/é.JPG", "b.jpg"])
    ]
    items = [{"id": i, "image_id": i, "category_id": 1, "bbox": [1, 2, 10, 7]} for i in range(2)]
    text(
        tmp_path, labels, {"images": images, "annotations": items, "categories": [{"id": 1, "name": "bateau à voile"}]}
    )
    (row,), tally = read("coco-json", tmp_path, "val", limit=0.5)
    assert row.images[0].path == f"{pictures}/in a folder/é.JPG"
    assert row.objects == (Annotation((1, 2, 11, 9), "bateau à voile", "hbb"),)
    assert tally.dropped == {"missing file": 1}


def test_yolo_outlines_with_names_in_a_text(tmp_path: Path) -> None:
    picture(tmp_path, "images/train/a b.JPG")
    text(tmp_path, "classes.txt", "\ufeffship\r\nbateau à voile\r\n")
    text(tmp_path, "labels/train/a b.txt", "1 0.1 0.2 0.5 0.2 0.5 0.6\r\n0 0.5 0.5 0.2 0.4\r\n")
    (row,), _ = read("yolo-obb", tmp_path)
    assert row.objects[0].label == "bateau à voile"
    assert row.objects[0].box == pytest.approx((4, 6, 20, 18))
    assert row.objects[0].polygons[0] == pytest.approx((4, 6, 20, 6, 20, 18))
    text(tmp_path, "labels/train/a b.txt", "1 0.1 0.2 0.5\n")
    assert read("yolo-obb", tmp_path, limit=1.0)[1].dropped == {"malformed label": 1}


def test_a_file_of_another_form_is_refused_in_words(tmp_path: Path) -> None:
    text(tmp_path, "val_dataset.geojson", '{"features": 3}')
    text(tmp_path, "LR_split_val_answers.json", [])
    with pytest.raises(ValueError, match="meter-ml: a file below .* has another form"):
        read("meter-ml", tmp_path, "val")
    with pytest.raises(ValueError, match="rsvqa-lr: a file below"):
        read("rsvqa-lr", tmp_path, "val")


def test_class_folders_with_pictures_deeper_in_them(tmp_path: Path) -> None:
    for name in ("Bare Land/1.jpg", "Bare Land/more/2.JPG", "zone résidentielle/3.jpg"):
        picture(tmp_path, name)
    rows, _ = read("aid", tmp_path)
    assert [row.classes[0] for row in rows] == ["bare land", "bare land", "zone résidentielle"]


def test_dota_with_pictures_in_folders_and_other_endings(tmp_path: Path) -> None:
    picture(tmp_path, "train/images/part1/P0001.PNG")
    for part in ("part1", "part2"):
        picture(tmp_path, f"train/images/{part}/P0002.png")
    for stem in ("P0001.TXT", "P0002.txt", "P0003.txt"):
        text(tmp_path, f"train/labelTxt/{stem}", "1.0 2.0 11.5 2.0 11.5 9.0 1.0 9.0 ship 0\r\n")
    (row,), tally = read("dota-v1.0", tmp_path, limit=1.0)
    assert (row.id, row.images[0].path) == ("P0001", "train/images/part1/P0001.PNG")
    assert tally.dropped == {"ambiguous picture": 1, "missing file": 1}


def test_rsvqa_answers_without_a_word_on_activity(tmp_path: Path) -> None:
    picture(tmp_path, "Data/12.tif")
    question = {
        "id": 0,
        "img_id": 12,
        "people_id": 0,
        "type": "area",
        "question": "What is the area?",
        "answers_ids": [0],
    }
    text(
        tmp_path,
        "USGS_split_val_questions.json",
        {"questions": [question | {"active": True}, {"id": 1, "active": False}]},
    )
    answers = [{"id": 0, "question_id": 0, "answer": "120m2", "active": True}, {"id": 1}]
    text(tmp_path, "USGS_split_val_answers.json", {"answers": answers})
    (record,), _ = read("rsvqa-hr", tmp_path, "val")
    assert record.answer == "120m2"


def test_paths_that_leave_the_folder_are_called_so_in_every_source(tmp_path: Path) -> None:
    unsafe = [
        "../a.png",
        "/etc/passwd",
        "file:///etc/passwd",
        "a\0.png",
        "/vsicurl/http://x/a.png",
        "C:\\a.png",
        "..\\a.png",
    ]
    coco = {"images": [{"id": i, "file_name": name, "width": 4, "height": 4} for i, name in enumerate(unsafe)]}
    text(tmp_path, "coco/annotations/instances_val2017.json", coco | {"annotations": [], "categories": []})
    picture(tmp_path, "coco/val2017/a.png")
    turns = chat("<image>\nWhat?", "A port.")
    text(tmp_path, "GeoChat_Instruct.json", [{"id": 1, "image": name, "conversations": turns} for name in unsafe])
    text(tmp_path, "vhm_a.json", [{"id": 1, "image": name, "conversations": turns} for name in unsafe])
    picture(tmp_path, "images/a.png")
    vqa = [{"image_id": name, "question_id": 0, "question": "?", "ground_truth": "2"} for name in unsafe]
    text(tmp_path, "VRSBench_EVAL_vqa.json", vqa)
    text(tmp_path, "MME_RealWorld.json", [_realworld("1") | {"Image": name} for name in unsafe])
    ground = {
        "dataset": "rsvg",
        "question": "x",
        "question_id": 1,
        "bbox": [1, 2, 3, 4],
        "image_width": 9,
        "image_height": 9,
    }
    text(tmp_path, "metainfo/rsvg_val.jsonl", [ground | {"image_id": name} for name in unsafe])
    series = [{"video": [name], "conversations": chat("<video>\nWhat?", "It.")} for name in unsafe]
    text(tmp_path, "train/instruct_xBD.json", series)
    text(tmp_path, "val_dataset.geojson", {"features": [_site("Mines", name) for name in unsafe]})
    cases = [
        ("coco", "val2017"),
        ("geochat", "train"),
        ("vhm", "train"),
        ("vrsbench", "val"),
        ("mme-realworld-rs", "test"),
    ]
    cases += [("refgeo", "val"), ("teochatlas-xbd", "train"), ("meter-ml", "val")]
    for name, split in cases:
        rows, tally = read(name, tmp_path, split, limit=1.0)
        assert (len(rows), tally.dropped) == (0, {"unsafe path": len(unsafe)}), name


def test_what_a_layout_was_held_against_names_a_place() -> None:
    plain = {"aid", "whu-rs19", "coco", "coco-json", "llava-onevision", "geojson", "georeferenced", "yolo-obb"}
    for name, entry in sources().items():
        assert (name in plain) == (not entry.held), name
        assert name in plain or "/" in entry.held or "published" in entry.held
