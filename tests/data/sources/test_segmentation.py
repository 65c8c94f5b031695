"""Sets of masks: published layouts with their optional and empty parts, and masks that show what was drawn."""

from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely
from numpy.typing import NDArray
from PIL import Image

from rscovlm.data.formats.rle import encode_rle
from rscovlm.records import Record
from rscovlm.records.mask_values import read_mask_values, select_levels
from tests.data.sources.layouts import picture, read, text

SIDE = (40, 30)


def drawn(root: Path, name: str, *levels: int, size: tuple[int, int] = SIDE) -> NDArray[np.uint8]:
    """Write a mask of one column of each grey level, four pixels wide, from x = 8 on; without levels it shows nothing."""
    mask = np.zeros((size[1], size[0]), np.uint8)
    for place, level in enumerate(levels):
        mask[5:20, 8 + 4 * place : 12 + 4 * place] = level
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(mask).save(path)
    return mask


def seen(record: Record, root: Path, name: str) -> NDArray[np.bool_]:
    """Give the pixels of a class as a reader of the record finds them."""
    mask = np.asarray(Image.open(root / record.masks[0].path))
    return select_levels(mask, read_mask_values(record.extra, record.categories)[name])


@pytest.mark.parametrize(
    ("source", "top"), [("refsegrs", ""), ("refsegrs", "RefSegRS/"), ("risbench", "RISBench_dataset/")]
)
def test_lines_of_phrases(tmp_path: Path, source: str, top: str) -> None:
    pictures, masks, ending = ("images", "masks", "tif") if source == "refsegrs" else ("img_rgb", "mask", "png")
    for number in (7, 8):
        picture(tmp_path, f"{top}{pictures}/{number}.{ending}", *SIDE)
        truth = drawn(tmp_path, f"{top}{masks}/{number}.{ending}", 1 if source == "refsegrs" else 255)
    picture(tmp_path, f"{top}{pictures}/9.{ending}", *SIDE)
    drawn(tmp_path, f"{top}{masks}/9.{ending}", 255, size=(20, 30))
    names = [str(n) if source == "refsegrs" else f"{n}.png" for n in (7, 7, 8, 9, 10, 8)]
    phrases = ["road in the middle", "a  car", "vehicle", "van", "bus", ""]
    lines = "\n".join(f"{name} {phrase}" for name, phrase in zip(names, phrases, strict=True))
    text(tmp_path, f"{top}output_phrase_val.txt", f"{lines}\n\n")
    rows, tally = read(source, tmp_path, "val", limit=0.6)
    assert [row.expression for row in rows] == ["road in the middle", "a  car", "vehicle"]
    assert tally.dropped == {"sizes differ": 1, "missing file": 1, "no expression": 1}
    assert np.array_equal(seen(rows[2], tmp_path, ""), truth > 0)


def rrsisd(root: Path, refs: Any) -> NDArray[np.bool_]:
    mask = np.zeros((30, 40), bool)
    mask[5:20, 8:12] = mask[2:4, 30:39] = True
    half = mask.copy()
    half[:, 20:] = False
    picture(root, "images/rrsisd/JPEGImages/00001.jpg", *SIDE)
    segmentations: list[Any] = [
        encode_rle(mask),
        [encode_rle(half), encode_rle(mask & ~half)],
        [[8, 5, 12, 5, 12, 20, 8, 20]],
        encode_rle(np.zeros((30, 40), bool)),
        encode_rle(np.ones((10, 10), bool)),
    ]
    annotations = [
        {"id": k, "image_id": 3, "category_id": 2, "segmentation": one, "bbox": [0, 0, 1, 1]}
        for k, one in enumerate(segmentations)
    ]
    content = {
        "images": [{"id": 3, "file_name": "00001.jpg", "width": 40, "height": 30}],
        "annotations": annotations,
        "categories": [{"id": 2, "name": "bridge"}],
    }
    text(root, "rrsisd/instances.json", content)
    if refs is not None:
        text(root, "rrsisd/refs(unc).json", refs)
    return mask


def reference(number: int, split: str = "test", ann: int | None = None) -> dict[str, Any]:
    sentences = [{"raw": f"The bridge {number}", "sent": f"the bridge {number}", "sent_id": number, "tokens": []}]
    return {
        "ref_id": number,
        "ann_id": number if ann is None else ann,
        "image_id": 3,
        "category_id": 2,
        "split": split,
        "sentences": sentences,
    }


def test_rrsis_d_joins_sentences_with_masks(tmp_path: Path) -> None:
    refs = [reference(k) for k in range(5)] + [reference(5, "train", 0), reference(6, ann=99)]
    refs[1]["sentences"] *= 2
    mask = rrsisd(tmp_path, refs)
    rows, tally = read("rrsis-d", tmp_path, "test", limit=0.6)
    assert [row.id for row in rows] == ["0/0", "1/0", "1/1", "2/0"]
    assert tally.dropped == {"empty mask": 1, "sizes differ": 1, "object that is not there": 1}
    assert tally.aside == {"row of another split": 1}
    for row in rows[:3]:
        (item,) = row.objects
        assert item.label == "bridge"
        assert item.box == (8, 2, 39, 20)
        area = sum(shapely.Polygon(np.reshape(ring, (-1, 2))).area for ring in item.polygons)
        assert area == mask.sum()
    assert rows[3].objects[0].polygons == ((8, 5, 12, 5, 12, 20, 8, 20),)
    assert rows[0].expression == "The bridge 0"


def test_a_pickle_is_never_loaded(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.write_text, (tmp_path / "ran", "x"))

    rrsisd(tmp_path, None)
    (tmp_path / "rrsisd/refs(unc).p").write_bytes(pickle.dumps([Trap()]))
    with pytest.raises(ValueError, match=r"refs\(unc\)\.p is a pickle.*not read.*python -c"):
        read("rrsis-d", tmp_path)
    assert not (tmp_path / "ran").exists()


def test_the_command_that_rewrites_a_pickle_works(tmp_path: Path) -> None:
    rrsisd(tmp_path, None)
    refs = [reference(0)]
    refs[0]["ref_id"] = np.int64(0)
    (tmp_path / "rrsisd/refs(unc).p").write_bytes(pickle.dumps(refs))
    with pytest.raises(ValueError, match="pickle") as refused:
        read("rrsis-d", tmp_path)
    code = str(refused.value).split('python -c "')[1].rstrip('"')
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path / "rrsisd", check=True)
    assert len(read("rrsis-d", tmp_path, "test")[0]) == 1


def test_earthreason_asks_with_and_without_a_target(tmp_path: Path) -> None:
    for stem, levels in (("a", (255,)), ("b", ()), ("c", (1,))):
        picture(tmp_path, f"val/images/{stem}.jpg", *SIDE)
        drawn(tmp_path, f"val/labels/{stem}.png", *levels)
    text(
        tmp_path,
        "val/QAs/a.json",
        {"questions": ["Where do planes land?", "Where to land?"], "answer": ["The runway."]},
    )
    text(tmp_path, "val/QAs/b.json", {"questions": ["Where do ships moor?"], "answer": []})
    text(tmp_path, "val/QAs/d.json", {"questions": ["Where?"], "answer": []})
    text(tmp_path, "val/QAs/e.json", {"questions": "Where?", "answer": []})
    rows, tally = read("earthreason", tmp_path, "val", limit=0.5)
    assert [(row.id, row.expression, row.answer) for row in rows] == [
        ("a/0", "Where do planes land?", "The runway."),
        ("a/1", "Where to land?", "The runway."),
        ("b/0", "Where do ships moor?", ""),
    ]
    assert [row.extra.get("target") for row in rows] == [None, None, "none"]
    assert tally.dropped == {"missing file": 1, "malformed row": 1}
    assert tally.aside == {"picture without questions": 1}
    assert seen(rows[0], tmp_path, "").sum() == 60
    assert not seen(rows[2], tmp_path, "").any()


@pytest.mark.parametrize("top", ["", "LoveDA/"])
def test_loveda_names_the_grey_levels(tmp_path: Path, top: str) -> None:
    for scene in ("Rural", "Urban"):
        picture(tmp_path, f"{top}Train/{scene}/images_png/5.png", *SIDE)
        truth = drawn(tmp_path, f"{top}Train/{scene}/masks_png/5.png", 0, 1, 2, 7)
    picture(tmp_path, f"{top}Train/Urban/images_png/6.png", *SIDE)
    rows, tally = read("loveda", tmp_path, "train", limit=0.5)
    assert [row.id for row in rows] == ["Rural/5", "Urban/5"]
    assert tally.dropped == {"missing file": 1}
    assert np.array_equal(seen(rows[0], tmp_path, "building"), truth == 2)
    assert np.array_equal(seen(rows[0], tmp_path, "agricultural"), truth == 7)
    assert not seen(rows[0], tmp_path, "water").any()


@pytest.mark.parametrize("patches", [True, False])
def test_isaid_outlines_every_instance(tmp_path: Path, patches: bool) -> None:
    for name in ("P0001", "P0002"):
        picture(tmp_path, f"train/images/{name}.png" if patches else f"train/images/images/{name}.png", *SIDE)
    images = [
        {
            "id": k,
            "file_name": f"P000{k + 1}.png",
            "ins_file_name": "x",
            "seg_file_name": "y",
            "width": 40,
            "height": 30,
        }
        for k in range(3)
    ]
    ring = [1, 1, 9, 1, 9, 5, 4, 7, 1, 5]
    objects = [
        {
            "id": 1,
            "image_id": 0,
            "category_id": 9,
            "bbox": [1, 1, 8, 6],
            "segmentation": [ring],
            "iscrowd": 0,
            "area": 4,
        },
        {
            "id": 2,
            "image_id": 2,
            "category_id": 9,
            "bbox": [1, 1, 8, 6],
            "segmentation": [ring],
            "iscrowd": 0,
            "area": 4,
        },
    ]
    content = {"images": images, "annotations": objects, "categories": [{"id": 9, "name": "Small_Vehicle"}]}
    text(
        tmp_path,
        "train/instancesonly_filtered_train.json" if patches else "train/Annotations/iSAID_train.json",
        content,
    )
    (record,), tally = read("isaid", tmp_path, limit=0.5)
    assert record.id == "P0001"
    assert record.categories == ("Small_Vehicle",)
    assert record.objects[0].polygons == (tuple(ring),)
    assert tally.aside == {"picture without instances": 1}
    assert tally.dropped == {"missing file": 1}


def test_deepglobe_takes_grey_levels_from_128_on(tmp_path: Path) -> None:
    for key, levels in (("100034", (127, 128, 255)), ("100081", ())):
        picture(tmp_path, f"train/{key}_sat.jpg", *SIDE)
        truth = drawn(tmp_path, f"train/{key}_mask.png", *levels)
        if levels:
            wanted = truth >= 128
    picture(tmp_path, "train/1_sat.jpg")
    drawn(tmp_path, "train/2_mask.png")
    rows, tally = read("deepglobe-roads", tmp_path, limit=0.5)
    assert [row.id for row in rows] == ["100034", "100081"]
    assert tally.dropped == {"missing file": 1, "picture without its pair": 1}
    assert np.array_equal(seen(rows[0], tmp_path, "road"), wanted)
    assert not seen(rows[1], tmp_path, "road").any()


def test_remotecontour_reads_a_drawn_frame(tmp_path: Path) -> None:
    edges = np.zeros((30, 40), np.uint8)
    edges[4:21, 7:31] = 255
    edges[6:19, 9:29] = 0
    for folder, name, picture_name in (
        ("LoveDA_algriculture", "3.png", "LoveDA/3.png"),
        ("iSAID_plane", "ISAID_plane_P0001.png", "iSAID/P0001.png"),
        ("LoveDA_water", "3.png", "LoveDA/3.png"),
    ):
        picture(tmp_path, f"images/{picture_name}", *SIDE)
        path = tmp_path / "edge" / folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(edges if "water" not in folder else edges * 0).save(path)
    rows, tally = read("remotecontour-34k", tmp_path)
    assert [(row.id, row.categories) for row in rows] == [
        ("LoveDA/algriculture/3", ("agriculture",)),
        ("iSAID/plane/P0001", ("plane",)),
    ]
    assert tally.aside == {"drawing without a line": 1}
    (ring,) = rows[0].objects[0].polygons
    found, truth = shapely.Polygon(np.reshape(ring, (-1, 2))), shapely.box(8, 5, 30, 20)
    assert found.contains(truth)
    assert found.hausdorff_distance(truth) <= 2**0.5 + 1e-9


@pytest.mark.parametrize("layout", ["declared", "folder", "flat"])
def test_mtrefseg_pairs_sentences_with_masks(tmp_path: Path, layout: str) -> None:
    base = "MTRefSeg_Clear/RS_FINAL_CLEAN_val"
    for side in "AB":
        picture(tmp_path, f"{base}/{side}/s1.v2.jpg", *SIDE)
        picture(tmp_path, f"{base}/{side}/s2.jpg", *SIDE)
    names = {
        "declared": ["x/first.png", "x/second.png"],
        "folder": ["s1.v2/2.png", "s1.v2/10.png"],
        "flat": ["s1.v2.png"],
    }
    for place, name in enumerate(names[layout]):
        drawn(tmp_path, f"{base}/masks/{name}", *[255] * (place + 1))
    row: dict[str, Any] = {
        "sample_id": "s1.v2",
        "img_A": "s1.v2.jpg",
        "img_B": "s1.v2.jpg",
        "referring_expressions": ["the house that appeared", "the pond that went"],
    }
    if layout == "declared":
        row["mask"] = [{"path": name} for name in names[layout]]
    text(tmp_path, f"{base}/referring_expression/s1.v2.json", row)
    text(tmp_path, f"{base}/referring_expression/s2.json", {"referring_expressions": ["a road"]})
    rows, tally = read("mtrefseg", tmp_path, "rs-val", limit=0.5)
    assert [row.expression for row in rows] == ["the house that appeared", "the pond that went"]
    areas = [seen(row, tmp_path, "").sum() for row in rows]
    assert areas == ([60, 60] if layout == "flat" else [60, 120])
    assert [image.path.split("/")[-2] for image in rows[0].images] == ["A", "B"]
    assert tally.dropped == {"missing mask": 1}


def test_masks_of_several_classes_name_their_grey_levels() -> None:
    with pytest.raises(ValueError, match="lacks 'mask_values'"):
        read_mask_values({}, ("road", "building"))
    for text_of_values in ("[]", "{", '{"road": 3}', '{"road": [[1]]}', '{"road": [[2, 1]]}', '{"road": [["x", 1]]}'):
        with pytest.raises(ValueError):
            read_mask_values({"mask_values": text_of_values})
