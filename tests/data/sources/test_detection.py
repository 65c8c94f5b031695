"""Detection data sets, each written as published and read back as boxes in original pixels."""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from rscovlm.data.sources.dior import DIOR
from rscovlm.data.sources.fair1m import FAIR1M
from rscovlm.data.sources.labeltxt import DOTA, parse_label_txt
from rscovlm.data.sources.voc import parse_voc
from rscovlm.geometry import Boxes
from rscovlm.records.record import Annotation
from tests.data.sources.layouts import picture, read, text
from tests.evidence import evidence
from tests.shared_data import shared

QUAD = (1.0, 2.0, 11.5, 2.0, 11.5, 9.0, 1.0, 9.0)
LINE = " ".join(map(str, QUAD))


@pytest.mark.parametrize(
    "place", ["train/labelTxt-v1.0", "train/labelTxt", "train/labelTxt-v1.0/labelTxt", "train/annfiles"]
)
def test_dota_keeps_difficulty_header_and_empty_images(tmp_path: Path, place: str) -> None:
    picture(tmp_path, "train/images/P0001.png")
    picture(tmp_path, "train/images/P0002.png")
    text(tmp_path, f"{place}/P0001.txt", f"imagesource:GoogleEarth\ngsd:0.146\n{LINE} ship 1\n{LINE} large-vehicle\n\n")
    text(tmp_path, f"{place}/P0002.txt", "imagesource:GF-2\ngsd:null\n")
    (first, second), _ = read("dota-v1.0", tmp_path)
    assert first.images[0].path == "train/images/P0001.png"
    assert (first.images[0].width, first.images[0].height) == (40, 30)
    assert first.objects == (Annotation(QUAD, "ship", difficult=True), Annotation(QUAD, "large-vehicle"))
    assert first.extra == {"imagesource": "GoogleEarth", "gsd": "0.146"}
    assert second.objects == ()
    assert second.categories == tuple(DOTA)


def test_a_dota_folder_that_is_one_split(tmp_path: Path) -> None:
    picture(tmp_path, "images/P0001.png")
    text(tmp_path, "labelTxt/P0001.txt", f"{LINE} Storage_Tank 0")
    (record,), _ = read("dota-v1.0", tmp_path, "val")
    assert record.objects[0].label == "storage-tank"


@pytest.mark.parametrize(("version", "label"), [("1.5", "container-crane"), ("2.0", "helipad")])
def test_later_dota_versions_have_their_own_labels(tmp_path: Path, version: str, label: str) -> None:
    picture(tmp_path, "val/images/P0001.png")
    text(tmp_path, f"val/labelTxt-v{version}/DOTA-v{version}_val/P0001.txt", f"{LINE} {label} 0")
    text(tmp_path, "val/labelTxt-v1.0/P0001.txt", f"{LINE} ship 0")
    (record,), _ = read(f"dota-v{version}", tmp_path, "val")
    assert [item.label for item in record.objects] == [label]


@pytest.mark.parametrize(
    "line", ["1 2 3 4 5 6 7 ship 0", "1 2 3 4 5 6 7 x ship 0", "1 2 3 4 5 6 7 8", f"{LINE} ship zero", "nan"]
)
def test_malformed_labels_make_the_image_unusable(tmp_path: Path, line: str) -> None:
    for stem in ("a", "b"):
        picture(tmp_path, f"train/images/{stem}.png")
    text(tmp_path, "train/labelTxt/a.txt", f"{LINE} ship 0")
    text(tmp_path, "train/labelTxt/b.txt", f"{LINE} ship 0\n{line}")
    rows, tally = read("dota-v1.0", tmp_path, limit=0.5)
    assert [row.id for row in rows] == ["a"]
    assert tally.dropped == {"malformed label": 1}


def test_unknown_classes_and_missing_pictures_are_counted(tmp_path: Path) -> None:
    picture(tmp_path, "train/images/a.png")
    text(tmp_path, "train/labelTxt/a.txt", f"{LINE} spaceship 0")
    text(tmp_path, "train/labelTxt/b.txt", f"{LINE} ship 0")
    with pytest.raises(
        ValueError, match=r"(?s)100\.00%.*missing file.*unknown class|100\.00%.*spaceship.*no image 'b'"
    ):
        read("dota-v1.0", tmp_path, limit=0.5)


@pytest.mark.parametrize(
    ("name", "labels", "label"),
    [("srsdd", "labels", "ore-oil"), ("rsar", "annfiles", "aircraft"), ("srsdd", "labelTxt", "Fishing")],
)
def test_sar_sets_share_the_label_text(tmp_path: Path, name: str, labels: str, label: str) -> None:
    picture(tmp_path, "test/images/0007.jpg")
    text(tmp_path, f"test/{labels}/0007.txt", f"imagesource:GF3\ngsd:1\n{LINE} {label} 0")
    (record,), _ = read(name, tmp_path, "test")
    assert record.objects == (Annotation(QUAD, label),)


def _voc(width: int, height: int, objects: str) -> str:
    return f"<annotation><size><width>{width}</width><height>{height}</height><depth>3</depth></size>{objects}</annotation>"


def _corners() -> str:
    names = [f"{axis}_{corner}" for corner in ("left_top", "right_top", "right_bottom", "left_bottom") for axis in "xy"]
    return "".join(f"<{name}>{number}</{name}>" for name, number in zip(names, QUAD, strict=True))


def test_dior_has_oriented_and_horizontal_boxes_by_split(tmp_path: Path) -> None:
    oriented = (
        f"<object><name>ship</name><difficult>1</difficult><robndbox>{_corners()}</robndbox><angle>0</angle></object>"
    )
    sides = "<xmin>1</xmin><ymin>2</ymin><xmax>12</xmax><ymax>9</ymax>"
    upright = f"<object><name>Expressway-toll-station</name><bndbox>{sides}</bndbox></object>"
    for stem, split in (("00001", "train"), ("00002", "val"), ("00003", "test")):
        picture(tmp_path, f"JPEGImages-{'test' if split == 'test' else 'trainval'}/{stem}.jpg")
        text(tmp_path, f"Annotations/Oriented Bounding Boxes/{stem}.xml", _voc(40, 30, oriented))
        text(tmp_path, f"Annotations/Horizontal Bounding Boxes/{stem}.xml", _voc(40, 30, upright))
        text(tmp_path, f"ImageSets/Main/{split}.txt", f"{stem}\n")
    rows, _ = read("dior-r", tmp_path, "trainval")
    assert [row.id for row in rows] == ["00001", "00002"]
    assert rows[0].objects == (Annotation(QUAD, "ship", difficult=True),)
    (row,), _ = read("dior", tmp_path, "test")
    assert row.objects == (Annotation((1, 2, 12, 9), "Expressway-toll-station", "hbb"),)
    assert row.images[0].path == "JPEGImages-test/00003.jpg"
    assert len(DIOR) == len(set(DIOR)) == 20


def test_dior_takes_trainvals_own_list_where_there_is_one(tmp_path: Path) -> None:
    upright = (
        "<object><name>ship</name><bndbox><xmin>1</xmin><ymin>2</ymin><xmax>12</xmax><ymax>9</ymax></bndbox></object>"
    )
    for stem in ("00001", "00002", "00003"):
        picture(tmp_path, f"JPEGImages-trainval/{stem}.jpg")
        text(tmp_path, f"Annotations/Horizontal Bounding Boxes/{stem}.xml", _voc(40, 30, upright))
    text(tmp_path, "Main/train.txt", "00001\n")
    text(tmp_path, "Main/val.txt", "00002\n\n")
    assert [row.id for row in read("dior", tmp_path, "trainval")[0]] == ["00001", "00002"]
    text(tmp_path, "Main/trainval.txt", "00003\n00001\n")
    assert [row.id for row in read("dior", tmp_path, "trainval")[0]] == ["00003", "00001"]
    assert [row.id for row in read("dior", tmp_path, "val")[0]] == ["00002"]


def test_dior_in_one_folder_of_pictures_and_one_of_labels(tmp_path: Path) -> None:
    upright = (
        "<object><name>SHIP</name><bndbox><xmin>1</xmin><ymin>2</ymin><xmax>12</xmax><ymax>9</ymax></bndbox></object>"
    )
    picture(tmp_path, "JPEGImages/00001.jpg")
    text(tmp_path, "Annotations/00001.xml", _voc(41, 31, upright))
    text(tmp_path, "ImageSets/test.txt", "00001\n")
    (row,), _ = read("dior", tmp_path, "test")
    assert row.images[0].path == "JPEGImages/00001.jpg"
    assert (row.images[0].width, row.images[0].height) == (41, 31)  # what the file of labels states
    assert row.objects == (Annotation((1, 2, 12, 9), "ship", "hbb"),)
    assert row.categories == tuple(DIOR)


def test_xml_that_declares_entities_is_refused(tmp_path: Path) -> None:
    bomb = '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;">]>' + _voc(40, 30, "&b;")
    picture(tmp_path, "JPEGImages/00001.jpg")
    text(tmp_path, "Annotations/00001.xml", bomb)
    text(tmp_path, "ImageSets/Main/train.txt", "00001")
    _, tally = read("dior-r", tmp_path, limit=1.0)
    assert tally.dropped == {"unsafe XML": 1}


def _fair1m(name: str, points: list[str]) -> str:
    corners = "".join(f"<point>{point}</point>" for point in points)
    item = f"<object><type>rectangle</type><possibleresult><name>{name}</name></possibleresult><points>{corners}</points></object>"
    return f"<annotation><source><filename>0.tif</filename></source><objects>{item}</objects></annotation>"


def test_fair1m_reads_both_parts_and_spellings(tmp_path: Path) -> None:
    points = ["1.0,2.0", "11.5,2.0", "11.5,9.0", "1.0,9.0", "1.0,2.0"]
    for part, folder, name in (("part1", "labelXml", "Passenger Ship"), ("part2", "labelXmls", "PassengerShip")):
        picture(tmp_path, f"train/{part}/images/0.tif")
        text(tmp_path, f"train/{part}/{folder}/0.xml", _fair1m(name, points))
    rows, _ = read("fair1m", tmp_path)
    assert [row.id for row in rows] == ["part1/0", "part2/0"]
    assert all(row.objects == (Annotation(QUAD, "Passenger Ship"),) for row in rows)
    assert len(FAIR1M) == len(set(FAIR1M)) == 37
    picture(tmp_path, "validation/images/5.tif")
    text(tmp_path, "validation/labelXml/5.xml", _fair1m("Bridge", points[:3]))
    _, tally = read("fair1m", tmp_path, "validation", limit=1.0)
    assert tally.dropped == {"malformed box": 1}


@pytest.mark.parametrize(
    "points",
    [
        ["1.0,2.0", "11.5,2.0", "", "1.0,9.0", "1.0,2.0"],
        ["1.0,2.0", "11.5,2.0", "11.5", "1.0,9.0", "1.0,2.0"],
        ["1.0,2.0", "11.5,2.0", "11.5,9.0,0", "1.0,9.0", "1.0,2.0"],
        ["1.0,2.0", "11.5,2.0", "11.5,9.0", "1.0,9.0", "5.0,5.0"],
        [],
    ],
)
def test_fair1m_counts_corners_that_are_none(tmp_path: Path, points: list[str]) -> None:
    right = ["1.0,2.0", "11.5,2.0", "11.5,9.0", "1.0,9.0"]  # the first point is not repeated in every file
    for stem, corners in (("0", points), ("1", right)):
        picture(tmp_path, f"train/images/{stem}.tif")
        text(tmp_path, f"train/labelXml/{stem}.xml", _fair1m("other-ship", corners))
    rows, tally = read("fair1m", tmp_path, limit=1.0)
    assert [(row.id, row.objects) for row in rows] == [("train/1", (Annotation(QUAD, "other-ship"),))]
    assert sum(tally.dropped.values()) == 1


def test_hrsc_angles_are_radians(tmp_path: Path) -> None:
    fields = {
        "Class_ID": 100000006,
        "difficult": 0,
        "mbox_cx": 20,
        "mbox_cy": 15,
        "mbox_w": 10,
        "mbox_h": 4,
        "mbox_ang": math.pi / 6,
    }
    item = "".join(f"<{key}>{number}</{key}>" for key, number in fields.items())
    size = "<Img_SizeWidth>40</Img_SizeWidth><Img_SizeHeight>30</Img_SizeHeight>"
    picture(tmp_path, "FullDataSet/AllImages/100000001.bmp")
    text(
        tmp_path,
        "FullDataSet/Annotations/100000001.xml",
        f"<HRSC_Image>{size}<HRSC_Objects><HRSC_Object>{item}</HRSC_Object></HRSC_Objects></HRSC_Image>",
    )
    text(tmp_path, "ImageSets/trainval.txt", "100000001\n\n")
    (row,), _ = read("hrsc2016", tmp_path, "trainval")
    assert row.objects[0].box == pytest.approx((20, 15, 10, 4, 30))
    corners = Boxes([row.objects[0].box], "obb").as_kind("quad").coords.reshape(4, 2)
    along = (math.cos(math.pi / 6) * 5, math.sin(math.pi / 6) * 5)
    across = (-math.sin(math.pi / 6) * 2, math.cos(math.pi / 6) * 2)
    tip = (20 + along[0] + across[0], 15 + along[1] + across[1])
    assert np.abs(corners - tip).sum(axis=1).min() < 1e-9


def test_hrsc_in_two_folders_reads_lists_where_a_split_is_part_of_one(tmp_path: Path) -> None:
    """The whole of a folder needs no list; a part of it does."""
    size = "<Img_SizeWidth>40</Img_SizeWidth><Img_SizeHeight>30</Img_SizeHeight>"
    for folder, stem in (("Train", "1"), ("Train", "2"), ("Test", "3")):
        picture(tmp_path, f"{folder}/AllImages/{stem}.bmp")
        text(
            tmp_path,
            f"{folder}/Annotations/{stem}.xml",
            f"<HRSC_Image>{size}<HRSC_Objects></HRSC_Objects></HRSC_Image>",
        )
    assert [row.id for row in read("hrsc2016", tmp_path, "trainval")[0]] == ["1", "2"]
    assert [row.id for row in read("hrsc2016", tmp_path, "test")[0]] == ["3"]
    for split in ("train", "val"):
        with pytest.raises(FileNotFoundError, match=f"ImageSets/{split}.txt"):
            read("hrsc2016", tmp_path, split)
    text(tmp_path, "ImageSets/val.txt", "2\n")
    assert [row.id for row in read("hrsc2016", tmp_path, "val")[0]] == ["2"]


def test_coco_counts_pictures_that_are_not_there(tmp_path: Path) -> None:
    picture(tmp_path, "val2017/1.jpg")
    rows = [{"id": i, "file_name": f"{i}.jpg", "width": 40, "height": 30} for i in (1, 2)]
    item = {"id": 1, "image_id": 1, "category_id": 7, "bbox": [1, 2, 10, 7], "segmentation": [list(QUAD)], "iscrowd": 0}
    content = {"images": rows, "annotations": [item], "categories": [{"id": 7, "name": "train"}]}
    text(tmp_path, "annotations/instances_val2017.json", content)
    (row,), tally = read("coco", tmp_path, "val2017", limit=0.5)
    assert row.objects == (Annotation((1, 2, 11, 9), "train", "hbb", polygons=(QUAD,)),)
    assert tally.dropped == {"missing file": 1}


@pytest.mark.parametrize("layout", ["{part}/train", "train/{part}"])
@pytest.mark.parametrize("names", [["plane", "ship"], {0: "plane", 1: "ship"}])
def test_yolo_labels_are_shares_of_the_sides(tmp_path: Path, names: Any, layout: str) -> None:
    labels = layout.format(part="labels")
    for stem in ("a", "b"):
        picture(tmp_path, f"{layout.format(part='images')}/{stem}.png")
    text(tmp_path, "data.yaml", yaml.safe_dump({"names": names}))
    text(tmp_path, f"{labels}/a.txt", "1 0.1 0.2 0.5 0.2 0.5 0.6 0.1 0.6\n0 0.5 0.5 0.2 0.4\n")
    (first, second), _ = read("yolo-obb", tmp_path)
    assert first.objects[0].box == pytest.approx((4, 6, 20, 6, 20, 18, 4, 18))
    assert first.objects[1].box == pytest.approx((16, 9, 24, 21))
    assert [item.label for item in first.objects] == ["ship", "plane"]
    assert second.objects == ()
    text(tmp_path, f"{labels}/b.txt", "7 0.5 0.5 0.2 0.4\n")
    _, tally = read("yolo-obb", tmp_path, limit=0.5)
    assert tally.dropped == {"unknown class": 1}


def _feature(ring: list[list[float]], label: str = "roof", *holes: list[list[float]]) -> dict[str, Any]:
    return {
        "type": "Feature",
        "properties": {"class": label},
        "geometry": {"type": "Polygon", "coordinates": [ring, *holes]},
    }


@pytest.mark.parametrize(
    ("pictures", "labels"), [("", ""), ("train/", "train/"), ("images/", "labels/"), ("train/images/", "train/labels/")]
)
def test_geojson_in_pixels(tmp_path: Path, pictures: str, labels: str) -> None:
    for stem in ("a", "b"):
        picture(tmp_path, f"{pictures}{stem}.png")
    square = [[1.0, 2.0], [11.0, 2.0], [11.0, 9.0], [1.0, 9.0], [1.0, 2.0]]
    inner = [[3.0, 3.0], [4.0, 3.0], [4.0, 4.0], [3.0, 3.0]]
    features = [_feature(square), _feature(square, "court", inner)]
    text(tmp_path, f"{labels}a.geojson", {"type": "FeatureCollection", "features": features})
    (first, second), _ = read("geojson", tmp_path)
    assert first.objects[0] == Annotation((1, 2, 11, 2, 11, 9, 1, 9), "roof")
    assert first.objects[1].box == (1, 2, 11, 9)
    assert first.objects[1].polygons[1] == (3, 3, 4, 3, 4, 4, 3, 3)
    assert second.objects == ()
    assert second.categories == ("court", "roof")


def test_geojson_counts_labels_without_a_picture(tmp_path: Path) -> None:
    square = [[1.0, 2.0], [11.0, 2.0], [11.0, 9.0], [1.0, 9.0], [1.0, 2.0]]
    picture(tmp_path, "a.png")
    for stem in ("a", "gone", "lost"):
        text(tmp_path, f"{stem}.geojson", {"type": "FeatureCollection", "features": [_feature(square)]})
    (row,), tally = read("geojson", tmp_path, limit=1.0)
    assert row.id == "a" and tally.dropped == {"labels without a picture": 2}


@pytest.mark.parametrize("crs", ["", "urn:ogc:def:crs:EPSG::32617"])
def test_geojson_in_map_coordinates_falls_on_the_real_trees(tmp_path: Path, crs: str) -> None:
    rasterio = pytest.importorskip("rasterio")
    from rasterio.warp import transform

    (tmp_path / "OSBS_029.tif").write_bytes(evidence("images/neon.tif").read_bytes())
    pixels = [(203, 67), (227, 67), (227, 90), (203, 90), (203, 67)]
    with rasterio.open(tmp_path / "OSBS_029.tif") as file:
        a, b, c, d, e, f = file.transform[:6]
        ring = [[a * x + b * y + c, d * x + e * y + f] for x, y in pixels]
        if not crs:
            ring = [
                list(point) for point in zip(*transform(file.crs, "EPSG:4326", *zip(*ring, strict=True)), strict=True)
            ]
    content: dict[str, Any] = {"type": "FeatureCollection", "features": [_feature(ring, "Tree")]}
    if crs:
        content["crs"] = {"type": "name", "properties": {"name": crs}}
    text(tmp_path, "OSBS_029.geojson", content)
    (row,), _ = read("geojson", tmp_path)
    assert row.objects[0].box == pytest.approx([float(number) for point in pixels[:4] for number in point], abs=1e-3)


def test_real_dota_labels() -> None:
    objects, header = parse_label_txt(shared("dota/P0706.txt").read_text().splitlines())
    counts = Counter((item.label, item.difficult) for item in objects)
    assert counts == {("ship", True): 6, ("ship", False): 525, ("harbor", False): 5}
    assert set(header) == {"imagesource", "gsd"}
    for file in sorted(shared("dota_labels").glob("*.txt")):
        items, _ = parse_label_txt(file.read_text().splitlines())
        assert items
        assert {item.label for item in items} <= set(DOTA)
    halves, _ = parse_label_txt(shared("dota_half_scale/P2709__0.5__0___0.txt").read_text().splitlines())
    assert halves[0] == Annotation((795, 121, 808, 121, 808, 135, 795, 135), "storage-tank")


def test_real_dior_and_voc_documents(tmp_path: Path) -> None:
    from xml.etree import ElementTree

    text(tmp_path, "ImageSets/Main/train.txt", "00001")
    for name, place in (("00001.xml", "Annotations/Oriented Bounding Boxes"), ("00001.jpg", "JPEGImages-trainval")):
        (tmp_path / place).mkdir(parents=True)
        (tmp_path / place / name).write_bytes(shared(f"dior/{name}").read_bytes())
    (row,), _ = read("dior-r", tmp_path)
    assert row.objects == (Annotation((133, 237, 684, 237, 684, 672, 133, 672), "golffield"),)
    trees, size = parse_voc(ElementTree.parse(shared("trees/OSBS_029.xml")).getroot())
    lines = shared("trees/OSBS_029.csv").read_text().splitlines()[1:]
    assert [item.box for item in trees] == [tuple(map(float, line.split(",")[1:5])) for line in lines]
    assert size == (400, 400)


@pytest.mark.parametrize("name", ["my-roofs.yaml", "fields.yml"])
def test_yolo_class_numbers_with_decimals_and_a_file_of_ones_own_name(tmp_path: Path, name: str) -> None:
    picture(tmp_path, "images/train/a.png")
    text(tmp_path, name, yaml.safe_dump({"names": ["plane", "ship"]}))
    text(tmp_path, "labels/train/a.txt", "1.000000 0.5 0.5 0.2 0.4\n0.000000 0.5 0.5 0.2 0.4\n")
    (record,), _ = read("yolo-obb", tmp_path)
    assert [item.label for item in record.objects] == ["ship", "plane"]
    text(tmp_path, "labels/train/a.txt", "0.5 0.5 0.5 0.2 0.4\n")
    _, tally = read("yolo-obb", tmp_path, limit=1.0)
    assert tally.dropped == {"malformed label": 1}
    text(tmp_path, "other.yaml", "names: [a]")
    with pytest.raises(ValueError, match="other.yaml.*data.yaml"):
        read("yolo-obb", tmp_path)


def test_yolo_labels_in_pixels_are_refused(tmp_path: Path) -> None:
    picture(tmp_path, "images/train/a.png")
    text(tmp_path, "classes.txt", "ship\n")
    text(tmp_path, "labels/train/a.txt", "0 4 6 20 6 20 18 4 18\n")
    _, tally = read("yolo-obb", tmp_path, limit=1.0)
    assert tally.dropped == {"pixels, not shares": 1}
    assert "divide" in tally.places["pixels, not shares"][0]


@pytest.mark.parametrize("line", ["0 0.5 0.5 0 0.4", "0 0.5 0.5 0.4 0", "0 0.1 0.2 0.5 0.2 0.5 0.2 0.1 0.2"])
def test_boxes_without_width_or_height_are_counted_and_left_out(tmp_path: Path, line: str) -> None:
    picture(tmp_path, "images/train/a.png")
    text(tmp_path, "classes.txt", "ship\n")
    text(tmp_path, "labels/train/a.txt", f"{line}\n0 0.5 0.5 0.2 0.4\n")
    (record,), tally = read("yolo-obb", tmp_path)
    assert len(record.objects) == 1
    assert tally.aside == {"box without width or height": 1}


def test_degenerate_boxes_of_a_sentence_are_counted_and_stay(tmp_path: Path) -> None:
    picture(tmp_path, "Images_train/a.png", 200, 100)
    turns = [{"from": "human", "value": "<image>\nWhere?"}, {"from": "gpt", "value": "{<10><20><10><40>}"}]
    text(tmp_path, "VRSBench_train.json", [{"id": 0, "image": "a.png", "conversations": turns}])
    (record,), tally = read("vrsbench", tmp_path)
    assert record.turns[1].text == "<box:0>"
    assert tally.aside == {"box without width or height": 1}
