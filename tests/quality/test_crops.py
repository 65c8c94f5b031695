"""Crops of one scene are found at any place, scale and orientation; unrelated scenes are no pair."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from rscovlm.quality.lint import lint
from rscovlm.quality.near_duplicates.alignment import turned as _turn
from rscovlm.quality.near_duplicates.crops import CropPair, Crops
from rscovlm.quality.near_duplicates.keypoints import landmarks
from rscovlm.records.record import ImageRef, Record
from tests.shared_data import shared

SIDE = 400


def _scene(seed: int, side: int = 800) -> Image.Image:
    """Draw ground of several grains with roofs and roads on it."""
    rng = np.random.default_rng(seed)
    ground = np.full((side, side), 110.0)
    for cells, height in ((6, 30), (40, 18), (200, 12)):
        coarse = Image.fromarray(rng.normal(0, height, (cells, cells)).astype(np.float32))
        ground += np.asarray(coarse.resize((side, side), Image.Resampling.BICUBIC))
    picture = Image.fromarray(np.clip(ground, 0, 255).astype(np.uint8))
    draw = ImageDraw.Draw(picture)
    for _ in range(60):
        (x, y), (w, h) = rng.integers(0, side, 2).tolist(), rng.integers(8, 40, 2).tolist()
        draw.rectangle((x, y, x + w, y + h), fill=int(rng.integers(40, 240)))
    return picture


def _cut(scene: Image.Image, x: int, y: int, turn: int = 0, quality: int = 85) -> Image.Image:
    """Cut, turn and store a crop as a release would."""
    part = np.ascontiguousarray(_turn(np.asarray(scene.crop((x, y, x + SIDE, y + SIDE)), np.float32), turn))
    buffer = io.BytesIO()
    Image.fromarray(part.astype(np.uint8)).save(buffer, "JPEG", quality=quality)
    return Image.open(buffer)


def _found(*pictures: Image.Image, scales: bool = True) -> list[CropPair]:
    crops = Crops(scales=scales)
    for picture in pictures:
        crops.add(picture.convert("L").resize(crops.shrunk(*picture.size), Image.Resampling.BOX))
    return list(crops.overlaps())


def _share(shift: tuple[int, int]) -> float:
    return (SIDE - abs(shift[0])) * (SIDE - abs(shift[1])) / SIDE**2


@pytest.mark.parametrize("turn", range(8))
def test_crops_of_one_scene_in_every_orientation(turn: int) -> None:
    rng = np.random.default_rng(turn)
    scene = _scene(turn, 640)
    x, y = rng.integers(0, 240, 2).tolist()
    dx, dy = (int(step) for step in rng.integers(-110, 111, 2))
    other = (min(max(x + dx, 0), 240), min(max(y + dy, 0), 240))
    (pair,) = _found(_cut(scene, x, y), _cut(scene, *other, turn))
    assert (pair.first, pair.second, pair.turned) == (0, 1, turn != 0)
    assert pair.share == pytest.approx(_share((other[0] - x, other[1] - y)), abs=0.05)
    assert pair.likeness > 0.8


@pytest.mark.parametrize("scale", [0.5, 0.62, 0.77, 0.91, 1.09, 1.3, 1.6, 2.0])
def test_crops_at_another_scale(scale: float) -> None:
    rng = np.random.default_rng(round(scale * 100))
    scene = _scene(round(scale * 100), 900)
    ground = round(SIDE / scale) if scale < 1 else SIDE
    x, y = rng.integers(0, 900 - ground - 60, 2).tolist()
    first = _cut(scene, x, y) if scale >= 1 else _cut(scene, x + (ground - SIDE) // 2, y + (ground - SIDE) // 2)
    part = scene.crop((x + 50, y + 20, x + 50 + ground, y + 20 + ground)).resize(
        (round(ground * scale), round(ground * scale)), Image.Resampling.BICUBIC
    )
    turn = int(rng.integers(8))
    second = Image.fromarray(np.ascontiguousarray(_turn(np.asarray(part, np.float32), turn)).astype(np.uint8))
    (pair,) = _found(first, second)
    assert pair.scale == pytest.approx(scale, rel=0.04)
    assert pair.turned == (turn != 0)
    (back,) = _found(second, first)
    assert back.scale == pytest.approx(1 / scale, rel=0.04)
    assert _found(first, second, scales=False) == [] or 0.9 < scale < 1.1


def test_one_bright_thing_on_other_ground_is_no_pair() -> None:
    tanks = []
    for seed in range(6):
        rng = np.random.default_rng(seed)
        ys, xs = np.mgrid[:SIDE, :SIDE]
        furrows = 90 + 6 * np.sin((xs * np.cos(seed) + ys * np.sin(seed)) / 3) + rng.normal(0, 3, (SIDE, SIDE))
        picture = Image.fromarray(np.clip(furrows, 0, 255).astype(np.uint8))
        radius = int(rng.integers(20, 36))
        draw = ImageDraw.Draw(picture)
        for part, grey in ((1.0, 235), (0.4, 180), (0.25, 235)):
            reach = radius * part
            draw.ellipse((200 - reach, 180 - reach, 200 + reach, 180 + reach), fill=grey)
        tanks.append(picture)
    assert _found(*tanks) == []


def test_unrelated_scenes_and_flat_ones_are_no_pair() -> None:
    flat = [Image.new("L", (SIDE, SIDE), 90 + k) for k in range(3)]
    padded = [Image.new("L", (SIDE, SIDE), 0) for _ in range(3)]
    for k, picture in enumerate(padded):
        picture.paste(_scene(50 + k, 280), (0, 0))
    assert _found(*(_scene(k, SIDE) for k in range(12)), *flat, *padded) == []


def test_furrows_of_two_fields_are_no_pair() -> None:
    ys, xs = np.mgrid[:SIDE, :SIDE]
    fields = []
    for seed in range(4):
        rng = np.random.default_rng(seed)
        furrows = 110 + 30 * np.sin((xs + 0.3 * ys) * 2 * np.pi / 24) + rng.normal(0, 6, (SIDE, SIDE))
        fields.append(Image.fromarray(np.clip(furrows, 0, 255).astype(np.uint8)))
    assert _found(*fields) == []


def test_scenes_are_told_apart_in_a_crowd() -> None:
    scenes = [_scene(100 + k, 640) for k in range(4)]
    pictures = [_cut(scene, *place) for scene in scenes for place in ((0, 0), (131, 57))]
    assert [(pair.first, pair.second) for pair in _found(*pictures)] == [(2 * k, 2 * k + 1) for k in range(4)]


def test_a_crop_inside_a_scene_larger_than_what_is_looked_at_at_once() -> None:
    rng = np.random.default_rng(0)
    scene = Image.fromarray(np.concatenate([np.asarray(_scene(k, 640)) for k in range(4)], axis=1))
    x, y = int(rng.integers(1950, 2100)), int(rng.integers(0, 240))
    (pair,) = _found(scene, _cut(scene, x, y, 5))
    assert pair.share == pytest.approx(1.0, abs=0.02)


def test_landmarks_of_a_mirrored_picture_have_the_same_keys() -> None:
    grey = np.asarray(_scene(3).resize((200, 200), Image.Resampling.BOX), np.float32)
    keys = set(landmarks(grey).keys.tolist())
    assert len(keys) > 100
    for turn in range(1, 8):
        turned = set(landmarks(np.ascontiguousarray(_turn(grey, turn))).keys.tolist())
        assert len(keys & turned) > 0.95 * len(keys)
    assert not len(landmarks(grey[:10, :10]).keys)


def test_lint_calls_shared_ground_a_leak_between_splits_only(tmp_path: Path) -> None:
    scene = _scene(9)
    places = {"a": (0, 0), "b": (120, 40), "P7__400__0___0": (300, 300), "P7__400__280___300": (390, 300)}
    for name, (x, y) in places.items():
        _cut(scene, x, y).save(tmp_path / f"{name}.png")

    def record(name: str, split: str) -> Record:
        image = ImageRef(f"{name}.png", width=SIDE, height=SIDE)
        return Record(name, "made", split, "detection", (image,), categories=("ship",))

    report = lint([record("a", "train"), record("b", "test")], tmp_path)
    assert report.counts == {"leak": 1}
    assert report.worst("leak")[0].detail.startswith("shows 6")
    Image.open(tmp_path / "b.png").resize((600, 600), Image.Resampling.BICUBIC).save(tmp_path / "b.png")
    enlarged = replace(record("b", "test"), images=(ImageRef("b.png", width=600, height=600),))
    report = lint([record("a", "train"), enlarged], tmp_path)
    assert "times the pixels" in report.worst("leak")[0].detail
    assert not lint([record("a", "train"), enlarged], tmp_path, scales=False).counts
    _cut(scene, 120, 40).save(tmp_path / "b.png")
    assert lint([record("a", "train"), record("b", "train")], tmp_path).counts == {"shared ground": 1}
    assert not lint([record("a", "train"), record("b", "test")], tmp_path, crops=False).counts
    assert not lint([record(name, "train") for name in places if name.startswith("P7")], tmp_path).counts


def test_two_dates_of_one_place_in_a_record_are_no_leak() -> None:
    from rscovlm.data.sources import convert

    root = shared("change/levir_cd")
    records = [record for split in ("train", "test") for record in convert("levir-cd", root, split)]
    assert not lint(records, root).counts["leak"]


def _real(name: str) -> NDArray[Any]:
    return np.asarray(Image.open(shared(f"dota/{name}")).convert("L"))


@pytest.mark.parametrize("name", ["P0706.png", "P1888.png", "dota_demo.jpg", "demo.jpg"])
def test_crops_of_real_scenes(name: str) -> None:
    scene = Image.fromarray(_real(name))
    rng = np.random.default_rng(5)
    hits = 0
    for turn in range(0, 8, 2):
        x, y = rng.integers(0, scene.width - SIDE - 100), rng.integers(0, scene.height - SIDE - 100)
        dx, dy = rng.integers(0, 101, 2)
        hits += len(_found(_cut(scene, int(x), int(y)), _cut(scene, int(x + dx), int(y + dy), turn))) == 1
    assert hits >= 3


def test_real_scenes_are_no_pair() -> None:
    names = ["dota/P0706.png", "dota/P1888.png", "dota/dota_demo.jpg", "dota/demo.jpg", "dior/00001.jpg"]
    names += ["scene/11760.jpg", "scene/church_183.png"]
    assert _found(*(Image.open(shared(name)) for name in names)) == []
