"""What published files look like when other hands have been at them: read alike, or counted with file and row, never lost."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from rscovlm.data.sources import convert
from rscovlm.records.record import Record
from rscovlm.records.tally import Tally
from tests.data.sources.layouts import chat, picture, read, text

LINE = "1 2 11 2 11 9 1 9"
ROBND = (
    "<robndbox>"
    + "".join(
        f"<{axis}_{corner}>{value}</{axis}_{corner}>"
        for corner, x, y in (("left_top", 1, 2), ("right_top", 9, 2), ("right_bottom", 9, 8), ("left_bottom", 1, 8))
        for axis, value in (("x", x), ("y", y))
    )
    + "</robndbox>"
)
RECTANGLE = "".join(f"<point>{x},{y}</point>" for x, y in ((1, 2), (9, 2), (9, 8), (1, 8), (1, 2)))
BUS = f"<object><possibleresult><name>Bus</name></possibleresult><points>{RECTANGLE}</points></object>"
SHIP = "".join(
    f"<mbox_{name}>{value}</mbox_{name}>"
    for name, value in zip(("cx", "cy", "w", "h", "ang"), (9, 9, 8, 4, 0), strict=True)
)
COCO = {
    "images": [{"id": 1, "file_name": "a.png", "width": 40, "height": 30}],
    "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 2, 10, 5]}],
    "categories": [{"id": 1, "name": "ship"}],
}


def _coco(root: Path, **changed: Any) -> tuple[list[Record], Tally]:
    text(root, "annotations/instances_train.json", COCO | changed)
    picture(root, "images/a.png")
    return read("coco-json", root, limit=1.0)


def test_label_texts_of_other_hands(tmp_path: Path) -> None:
    files = {
        "bom": f"\ufeffimagesource:GoogleEarth\r\ngsd:0.1\r\n\r\n{LINE} Large_Vehicle 1\r\n",
        "headers": f"ImageSource: GF-2\nGSD: 0.8\nacquisition dates:2016-05-04\n{LINE} large-vehicle 2\n",
        "floats": f"{LINE} large-vehicle 1.0\n",
    }
    for stem, content in files.items():
        text(tmp_path, f"train/labelTxt/{stem}.TXT", content)
        picture(tmp_path, f"train/images/part1/{stem}.PNG")
    picture(tmp_path, "train/images/unlabelled.png")
    text(tmp_path, "train/labelTxt/scored.txt", f"\n{LINE} ship 0 0.97\n")
    picture(tmp_path, "train/images/scored.png")
    rows, tally = read("dota-v1.0", tmp_path, limit=1.0)
    assert [row.id for row in rows] == ["bom", "floats", "headers"]
    assert all(item.label == "large-vehicle" and item.difficult for row in rows for item in row.objects)
    assert dict(rows[2].extra) == {"imagesource": "GF-2", "gsd": "0.8", "acquisition dates": "2016-05-04"}
    assert tally.dropped == {"malformed label": 1}
    assert "train/labelTxt/scored.txt: line 2" in tally.places["malformed label"][0]
    assert tally.aside == {"picture without labels": 1}
    assert tally.table().startswith("4 rows: 3 kept, 1 dropped; 1 more set aside")


def test_elements_in_a_namespace_are_the_same_elements(tmp_path: Path) -> None:
    spaced = ' xmlns="http://some.where"'
    text(tmp_path, "Annotations/1.XML", f"<annotation{spaced}><object><name>ship</name>{ROBND}</object></annotation>")
    text(tmp_path, "ImageSets/Main/train.txt", "\ufeff1\r\n\r\n")
    picture(tmp_path, "JPEGImages/1.JPG")
    text(tmp_path, "train/labelXml/1.xml", f"<annotation{spaced}><objects>{BUS}</objects></annotation>")
    picture(tmp_path, "train/images/1.tif")
    text(
        tmp_path,
        "FullDataSet/Annotations/1.xml",
        f"<HRSC_Image{spaced}><HRSC_Objects><HRSC_Object><Class_ID>1</Class_ID><difficult>2</difficult>{SHIP}</HRSC_Object></HRSC_Objects></HRSC_Image>",
    )
    text(tmp_path, "ImageSets/train.txt", "1")
    picture(tmp_path, "FullDataSet/AllImages/1.bmp")
    (dior,), (fair,), (hrsc,) = (read(name, tmp_path)[0] for name in ("dior-r", "fair1m", "hrsc2016"))
    assert dior.objects[0].box == fair.objects[0].box == (1, 2, 9, 2, 9, 8, 1, 8)
    assert hrsc.objects[0].difficult


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_a_document_type_is_refused_in_any_encoding(tmp_path: Path, encoding: str) -> None:
    bomb = f'<?xml version="1.0" encoding="{encoding}"?><!DOCTYPE a [<!ENTITY b "Bus">]><annotation><objects>{BUS.replace("Bus", "&b;")}</objects></annotation>'
    (tmp_path / "train/labelXml").mkdir(parents=True)
    (tmp_path / "train/labelXml/1.xml").write_bytes(bomb.encode(encoding))
    picture(tmp_path, "train/images/1.tif")
    _, tally = read("fair1m", tmp_path, limit=1.0)
    assert tally.dropped == {"unsafe XML": 1}


def test_xml_of_another_kind_is_no_picture_without_objects(tmp_path: Path) -> None:
    for name, content in {
        "a": "<annotation/>",
        "b": "<annotation><object/></annotation>",
        "c": "<annotation><objects/></annotation>",
    }.items():
        text(tmp_path, f"train/labelXml/{name}.xml", content)
        picture(tmp_path, f"train/images/{name}.tif")
    rows, tally = read("fair1m", tmp_path, limit=1.0)
    assert [row.id for row in rows] == ["train/c"]
    assert tally.dropped == {"missing element": 2}


def test_coco_counts_add_up(tmp_path: Path) -> None:
    (first, *_), twice = COCO["images"], COCO["images"] * 2
    rows, tally = _coco(tmp_path / "twice", images=twice)
    assert [len(row.objects) for row in rows] == [1]
    assert tally.dropped == {"repeated id": 1}
    lone = [*COCO["annotations"], {"id": 2, "category_id": 1, "bbox": [1, 2, 3, 4]}, 5]
    rows, tally = _coco(tmp_path / "lone", annotations=lone)
    assert len(rows) == 1
    assert tally.dropped == {"malformed row": 2}
    assert "annotation 2" in tally.places["malformed row"][0]
    (row,), _ = _coco(tmp_path / "unsized", images=[{"id": 1, "file_name": "a.png"}])
    assert (row.images[0].width, row.images[0].height) == (40, 30)
    _, tally = _coco(tmp_path / "broken", images=[first | {"width": "wide"}])
    assert tally.dropped == {"malformed row": 1}
    (row,), _ = _coco(tmp_path / "numbers", categories=[{"id": 1, "name": 7}])
    assert row.objects[0].label == "7"
    (row,), _ = _coco(tmp_path / "line", annotations=[COCO["annotations"][0] | {"segmentation": [[1, 2, 3, 4], []]}])
    assert row.objects[0].polygons == ()
    _, tally = _coco(tmp_path / "odd", annotations=[COCO["annotations"][0] | {"segmentation": [[1, 2, 3]]}])
    assert tally.dropped == {"malformed row": 1}
    _, tally = _coco(tmp_path / "long", images=[first | {"file_name": "x" * 300}])
    assert tally.dropped == {"unreadable file": 1}


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"categories": [{"id": 1, "name": "ship"}, {"id": 1, "name": "plane"}]}, "is both"),
        ({"categories": [{"id": 1, "name": None}]}, "category 1"),
        ({"categories": [{"name": "ship"}]}, "category 1"),
        ({"annotations": None}, "lists of images"),
    ],
)
def test_coco_classes_that_mean_nothing_are_refused(tmp_path: Path, changed: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        _coco(tmp_path, **changed)


def test_yolo_labels_are_found_or_counted(tmp_path: Path) -> None:
    text(tmp_path, "data.yaml", "names:\r\n  0: ship\r\n  1: no\r\n")
    line = "1 0.5 0.5 0.2 0.2"
    for place in ("a", "deep/b"):
        picture(tmp_path, f"images/train/{place}.jpg")
        text(tmp_path, f"labels/train/{place}.TXT", f"{line}\r\n\r\n")
    text(tmp_path, "labels/train/lost.txt", line)
    text(tmp_path, "labels/train/classes.txt", "ship")
    rows, tally = read("yolo-obb", tmp_path, limit=1.0)
    assert {row.id: [item.label for item in row.objects] for row in rows} == {"a": ["no"], "deep/b": ["no"]}
    assert tally.dropped == {"labels without a picture": 1}


@pytest.mark.parametrize("names", ["names: [a\n b: :", "names:", "nc: 2", "names: {a: b}", "", "names:\n\t- a"])
def test_yolo_names_that_cannot_be_read(tmp_path: Path, names: str) -> None:
    text(tmp_path, "data.yaml", names)
    picture(tmp_path, "images/train/a.jpg")
    with pytest.raises(ValueError, match=r"data\.yaml"):
        read("yolo-obb", tmp_path)


def test_geojson_labels_are_found_or_counted(tmp_path: Path) -> None:
    ring = [[[1, 2], [9, 2], [9, 8], [1, 8], [1, 2]]]
    shape = {"type": "Feature", "properties": {"class": 0}, "geometry": {"type": "Polygon", "coordinates": ring}}
    good = json.dumps({"type": "FeatureCollection", "features": [shape]})
    for name, content in {"a.GEOJSON": good, "deep/b.json": good, "c.geojson": "{", "d.geojson": "[]"}.items():
        text(tmp_path, f"train/{name}", content)
        picture(tmp_path, f"train/{name.partition('.')[0]}.png")
    text(tmp_path, "train/lost.geojson", good)
    rows, tally = read("geojson", tmp_path, limit=1.0)
    assert {row.id: [item.label for item in row.objects] for row in rows} == {"a": ["0"], "deep/b": ["0"]}
    assert tally.dropped == {"malformed row": 1, "malformed labels": 1, "labels without a picture": 1}


@pytest.mark.parametrize("name", ["aid", "meter-ml"])
def test_a_missing_split_is_not_taken_for_classes(tmp_path: Path, name: str) -> None:
    picture(tmp_path, "train/Mines/a.png")
    picture(tmp_path, "train/stray.png")
    with pytest.raises(FileNotFoundError, match="test"):
        read(name, tmp_path, "test")
    rows, tally = read(name, tmp_path, limit=1.0)
    assert [row.classes for row in rows] == [("mines",)]
    assert tally.dropped == {"picture outside a class folder": 1}


def test_pairs_that_do_not_fit_are_counted(tmp_path: Path) -> None:
    for part in ("A", "B", "label"):
        picture(tmp_path, f"train/{part}/good.png")
        picture(tmp_path, f"train/{part}/grown.png", *((80, 60) if part == "B" else (40, 30)))
    picture(tmp_path, "train/B/alone.png")
    rows, tally = read("levir-cd", tmp_path, limit=1.0)
    assert [row.id for row in rows] == ["good"]
    assert tally.dropped == {"sizes differ": 1, "picture without its pair": 1}


def test_null_is_no_answer_and_no_crash(tmp_path: Path) -> None:
    picture(tmp_path, "image/a.tif")
    row = {
        "question_id": 1,
        "image": "image/a.tif",
        "category": None,
        "text": "q",
        "ground_truth": 5,
        "image_size": [40, 30],
    }
    rows = [row, row | {"ground_truth": None}, row | {"text": None}]
    text(tmp_path, "LRS_VQA_merged.jsonl", rows)
    (kept,), tally = read("lrs-vqa", tmp_path, "test", limit=1.0)
    assert (kept.id, kept.answer) == ("1", "5")
    assert tally.dropped == {"empty answer": 1, "malformed row": 1}
    assert tally.places["empty answer"] == ["LRS_VQA_merged.jsonl, row 2"]


def test_conversations_that_ask_nothing_or_cannot_be_written(tmp_path: Path) -> None:
    picture(tmp_path, "images/a.jpg")
    talks = [chat("<image>\nWhat?", "A port."), chat("<image>\n", "A port."), chat("What?", "\ud83d")]
    rows = [{"id": i, "image": "a.jpg", "conversations": talk} for i, talk in enumerate(talks)]
    text(tmp_path, "GeoChat_Instruct.json", rows)
    kept, tally = read("geochat", tmp_path, limit=1.0)
    assert len(kept) == 1
    assert tally.dropped == {"answer without a question": 1, "text is not Unicode": 1}
    assert all("GeoChat_Instruct.json, row" in place for places in tally.places.values() for place in places)
    (tmp_path / "GeoChat_Instruct.json").write_bytes(json.dumps(rows[:1])[:-1].encode() + b', {"id": "\xe9"}]')
    assert [len(kept) for kept in (read("geochat", tmp_path, limit=1.0)[0],)] == [1]


@pytest.mark.parametrize(
    ("content", "said"),
    [('{\n "data": [\n]}', "one JSON object"), ("[]\n[]", "after the array"), ('[{"a": 1}', "row 2")],
)
def test_json_of_another_form_is_refused(tmp_path: Path, content: str, said: str) -> None:
    picture(tmp_path, "images/a.jpg")
    text(tmp_path, "GeoChat_Instruct.json", content)
    with pytest.raises(ValueError, match=said):
        list(convert("geochat", tmp_path, tally=Tally(1.0)))


def test_series_keep_their_pictures_and_times(tmp_path: Path) -> None:
    names = [picture(tmp_path, f"xBD/{i}.png") for i in range(2)]
    rows = [
        {"id": 0, "video": None, "image": names[0], "conversations": chat("What?", "A.")},
        {"id": 1, "video": names, "timestamp": ["2019-01-01"], "conversations": chat("What?", "A.")},
    ]
    text(tmp_path, "train/instruct_xBD.json", rows)
    (kept,), tally = read("teochatlas-xbd", tmp_path, limit=1.0)
    assert [image.path for image in kept.images] == names[:1]
    assert tally.dropped == {"times do not match": 1}


def test_what_datasets_keeps_for_itself_is_no_shard(tmp_path: Path) -> None:
    from datasets import Dataset

    rows = [{"id": str(i), "conversations": chat("What?", "A.")} for i in range(3)]
    Dataset.from_list(rows).save_to_disk(str(tmp_path))
    Dataset.load_from_disk(str(tmp_path)).map(lambda row: {"id": row["id"] + "b"})
    assert [path.name for path in tmp_path.glob("cache-*.arrow")]
    kept, _ = read("llava-onevision", tmp_path)
    assert len(kept) == 3
