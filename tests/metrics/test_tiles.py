"""Merging tiles, and DOTA's Task 1 files."""

import zipfile
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely

from rscovlm.geometry import Boxes, Frame
from rscovlm.metrics import ap_nc, merge_tiles, read_task1, write_task1
from tests.metrics.literal import overlap
from tests.metrics.scenes import Item, rectangles, scenes

tiles_module = import_module("rscovlm.metrics.tiles")


def _cut(seed: int, scale: float = 1.0) -> tuple[Item, list[Item]]:
    """A scene of 1024 pixels and its tiles of 512 that overlap by 128, holding every box whose centre they see."""
    rng = np.random.default_rng(seed)
    centre = np.concatenate([rng.uniform(20, 1004, (60, 2))])
    boxes = rectangles(centre, rng.uniform(8, 20, (60, 2)), rng.uniform(-1.5, 1.5, 60))
    labels = [f"class-{k}" for k in rng.integers(0, 3, 60)]
    tiles = []
    for x in (0, 384, 512):
        for y in (0, 384, 512):
            inside: Any = ((centre >= (x, y)) & (centre < (x + 512, y + 512))).all(axis=1)
            local = (boxes[inside] - np.tile([x, y], 4)) / scale
            names = [label for label, seen in zip(labels, inside, strict=True) if seen]
            tiles.append({"image": "P1", "boxes": local, "labels": names, "offset": (x, y), "scale": scale})
    return {"boxes": boxes, "labels": labels}, tiles


@pytest.mark.parametrize("scale", [1.0, 0.5, 2.0])
def test_cutting_and_merging_gives_the_scene_back(scale: float) -> None:
    whole, tiles = _cut(0, scale)
    alone = merge_tiles([{"image": "P1", **whole}], iou=0.1)["P1"]
    merged = merge_tiles(tiles, iou=0.1)["P1"]
    assert merged["dropped"] > alone["dropped"]
    assert _rows(merged) == _rows(alone)


def test_boxes_that_know_their_frame_need_no_offset() -> None:
    root = Frame(1000, 1000)
    tile = root.cropped(300, 400, 500, 600).resized(100, 100)
    merged = merge_tiles([{"image": "P", "boxes": Boxes([[10, 20, 30, 30]], "hbb", tile), "labels": ["a"]}])
    assert merged["P"]["boxes"].tolist() == [[320, 440, 360, 440, 360, 460, 320, 460]]


def test_scores_in_some_tiles_alone_are_refused_and_empty_tiles_do_not_count() -> None:
    box = {"image": "P", "boxes": [[0, 0, 9, 0, 9, 6, 0, 6]], "labels": ["a"]}
    empty = {"image": "P", "boxes": np.empty((0, 8)), "labels": []}
    with pytest.raises(ValueError, match="some tiles have 'scores' and some have none"):
        merge_tiles([box, {**box, "scores": [0.5]}])
    assert merge_tiles([empty, {**box, "scores": [0.5]}])["P"]["scores"].tolist() == [0.5]
    assert merge_tiles([{**empty, "scores": []}, box])["P"]["scores"].tolist() == [1.0]


@pytest.mark.parametrize(
    "place",
    [{"offset": (np.nan, 0)}, {"offset": (0, np.inf)}, {"scale": (1, np.nan)}, {"scale": (0, 1)}, {"scale": (1, -1)}],
)
def test_each_number_of_a_place_counts(place: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="give finite ones, scale > 0"):
        merge_tiles([{"image": "P", "boxes": [[0, 0, 9, 0, 9, 6, 0, 6]], "labels": ["a"], **place}])


def test_suppression_word_for_word() -> None:
    found, _ = scenes(3, seed=1, boxes=15, span=150)
    for k, item in enumerate(found):
        merged = merge_tiles([{"image": "P", **item}], shape="quad", ties="stable")["P"]
        kept: list[int] = []
        for row in np.argsort(-item["scores"], kind="stable"):
            same = [other for other in kept if item["labels"][other] == item["labels"][row]]
            if all(overlap(item["boxes"][other], item["boxes"][row], False) <= 0.1 for other in same):
                kept.append(int(row))
        assert [item["labels"][row] for row in kept] == merged["labels"], k
        np.testing.assert_array_equal(item["boxes"][kept], merged["boxes"])


def test_a_pile_of_long_boxes_costs_few_intersections(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(20)
    count = 200
    sides = np.column_stack([rng.uniform(80, 160, count), rng.uniform(1, 4, count)])
    boxes = rectangles(rng.uniform(0, 40, (count, 2)), sides, rng.uniform(-1.5, 1.5, count))
    boxes = np.concatenate([boxes, boxes[:40] + np.tile(rng.normal(0, 0.2, (40, 2)), 4)])  # some are found twice
    scores = rng.random(len(boxes))
    tile = {"image": "P", "boxes": boxes, "labels": ["ship"] * len(boxes), "scores": scores}
    exact, compared = tiles_module.overlaps, []

    def counted(*pairs: Any) -> Any:
        compared.append(len(pairs[0]))
        return exact(*pairs)

    monkeypatch.setattr(tiles_module, "overlaps", counted)
    merged = merge_tiles([tile], shape="quad")["P"]
    regions = np.asarray(shapely.polygons(boxes.reshape(-1, 4, 2)))
    # In this order: shapely 2.1 cannot unlock a view whose array is still locked.
    shared = np.asarray(shapely.area(shapely.intersection(regions, regions[:, None])))
    area = np.asarray(shapely.area(regions))
    iou = shared / (area[:, None] + area - shared)
    kept: list[int] = []
    for row in np.argsort(-scores).tolist():
        if not (iou[row, kept] > 0.1).any():
            kept.append(row)
    np.testing.assert_array_equal(boxes[kept], merged["boxes"])
    assert merged["dropped"] > 30
    assert sum(compared) < 0.15 * np.count_nonzero(shared) / 2


def test_order_of_tiles_and_boxes_changes_nothing() -> None:
    _, tiles = _cut(2)
    rng = np.random.default_rng(0)
    turned = []
    for k in rng.permutation(len(tiles)):
        order = rng.permutation(len(tiles[k]["labels"]))
        labels = [tiles[k]["labels"][row] for row in order]
        turned.append({**tiles[k], "boxes": tiles[k]["boxes"][order], "labels": labels})
    first, again = merge_tiles(tiles)["P1"], merge_tiles(turned)["P1"]
    np.testing.assert_array_equal(first["boxes"], again["boxes"])
    assert first["labels"] == again["labels"]


def test_of_equal_scores_the_whole_box_stays() -> None:
    whole, cut = [0, 0, 40, 0, 40, 10, 0, 10], [0, 0, 20, 0, 20, 10, 0, 10]
    tile = {"image": "P", "boxes": [cut, whole], "labels": ["a", "a"]}
    assert merge_tiles([tile])["P"]["boxes"].tolist() == [whole]
    assert merge_tiles([tile], ties="stable")["P"]["boxes"].tolist() == [cut]
    scored = {**tile, "scores": [0.9, 0.8]}
    assert merge_tiles([scored])["P"]["boxes"].tolist() == [cut]


def test_classes_and_images_do_not_touch() -> None:
    box = [0, 0, 40, 0, 40, 10, 0, 10]
    tiles: list[Item] = [
        {"image": "P", "boxes": [box, box], "labels": ["a", "b"]},
        {"image": "Q", "boxes": Boxes([[0, 0, 40, 10]], "hbb"), "labels": ["a"]},
        {"image": "R", "boxes": [], "labels": []},
    ]
    merged = merge_tiles(tiles)
    assert {name: len(item["labels"]) for name, item in merged.items()} == {"P": 2, "Q": 1, "R": 0}


@pytest.mark.parametrize("name", ["Task1", "Task1.zip"])
def test_task1_files_come_back(tmp_path: Path, name: str) -> None:
    found, true = scenes(4, seed=3, boxes=10)
    images = [f"P{k:04}" for k in range(4)]
    classes = ["class-0", "class-1", "class-2", "class-3", "empty"]
    path = write_task1(tmp_path / name, dict(zip(images, found, strict=True)), classes)
    back = read_task1(path, images)
    assert list(back) == images
    for item, again in zip(found, back.values(), strict=True):
        assert _rows(again) == _rows(item)
    kept = ap_nc(list(back.values()), true)
    assert kept["ap_nc50"] == ap_nc(found, true)["ap_nc50"]
    assert kept["ap50"] == ap_nc(found, true)["ap50"]


def test_classes_that_were_not_found_have_no_file(tmp_path: Path) -> None:
    """The benchmark's own program reads each file into a matrix and sorts its rows, which ends in an error without one."""
    item = {"boxes": [[0, 0, 1, 0, 1, 1, 0, 1]], "labels": ["ship"]}
    with zipfile.ZipFile(write_task1(tmp_path / "a.zip", {"P1": item}, ["plane", "ship"])) as archive:
        assert archive.namelist() == ["Task1_ship.txt"]
    for found in ("plane", "ship"):
        write_task1(tmp_path / "out", {"P1": item | {"labels": [found]}}, ["plane", "ship"], overwrite=True)
        assert [file.name for file in (tmp_path / "out").iterdir()] == [f"Task1_{found}.txt"]
    with pytest.raises(ValueError, match="exists"):
        write_task1(tmp_path / "out", {"P1": item | {"labels": ["plane"]}}, ["plane", "ship"])


@pytest.mark.parametrize("name", ["P0706__1__0___0", "P0706__1024__512___-24", "P0706__0.5__0___824"])
def test_tiles_that_were_not_joined_are_refused(tmp_path: Path, name: str) -> None:
    item = {"boxes": [[0, 0, 1, 0, 1, 1, 0, 1]], "labels": ["ship"]}
    with pytest.raises(ValueError, match="merge_tiles"):
        write_task1(tmp_path / "a.zip", {name: item}, ["ship"])


def test_the_same_detections_make_the_same_zip(tmp_path: Path) -> None:
    found, _ = scenes(2, seed=4)
    classes = [f"class-{k}" for k in range(4)]
    paths = [write_task1(tmp_path / f"{k}.zip", {"P0": found[0], "P1": found[1]}, classes) for k in range(2)]
    assert paths[0].read_bytes() == paths[1].read_bytes()
    with zipfile.ZipFile(paths[0]) as archive:
        assert sorted(archive.namelist()) == [f"Task1_class-{k}.txt" for k in range(4)]
        line = archive.read("Task1_class-0.txt").decode().splitlines()[0].split()
    assert len(line) == 10 and line[0] in ("P0", "P1")


@pytest.mark.parametrize(
    ("tile", "message"),
    [
        ({"boxes": [], "labels": []}, r"tiles\[0\] has no 'image'"),
        ({"image": "P", "boxes": [[0] * 8], "labels": []}, r"tiles\[0\] has 1 boxes"),
        ({"image": "P", "boxes": [[0] * 4], "labels": ["a"]}, r"tiles\[0\]\['boxes'\] has shape"),
        ({"image": "P", "boxes": [], "labels": [], "scale": 0}, "scale"),
    ],
)
def test_bad_tiles_are_named(tile: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        merge_tiles([tile])


def test_bad_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="neither a folder nor a zip"):
        read_task1(tmp_path / "absent")
    with pytest.raises(ValueError, match="holds no file"):
        read_task1(tmp_path)
    (tmp_path / "Task1_a.txt").write_text("P1 0.5 1 2 3\n")
    with pytest.raises(ValueError, match="Task1_a.txt line 1"):
        read_task1(tmp_path)
    (tmp_path / "Task1_a.txt").write_text("P1 0.5 0 0 1 0 1 1 0 1\n")
    with pytest.raises(ValueError, match="not among images"):
        read_task1(tmp_path, ["P2"])
    item = {"boxes": [[0] * 8], "labels": ["a"]}
    with pytest.raises(ValueError, match="'a', which is not among classes"):
        write_task1(tmp_path / "out", {"P1": item}, ["b"])
    with pytest.raises(ValueError, match="cannot stand"):
        write_task1(tmp_path / "out", {"../P1": item}, ["a"])


def _rows(item: Item) -> list[Any]:
    boxes = np.round(np.asarray(item["boxes"], dtype=np.float64), 6).tolist()
    return sorted(zip(boxes, item["labels"], strict=True))
