"""Tiles of generated large scenes are those that `detect` cuts, with what they hold."""

from io import BytesIO

import numpy as np
import pytest
import shapely
from PIL import Image

from rscovlm.codec import Codec
from rscovlm.geometry import Frame
from rscovlm.geometry.tiling import tiles
from rscovlm.mixtures.scene_tiles import PART, SceneTiles, draw_part, tile_record
from rscovlm.processing import PixelBudget

CODEC = Codec.preset("rscovlm-v1")
BUDGET = PixelBudget(min_pixels=84 * 84, max_pixels=84 * 84, mode="fixed")
TILES = SceneTiles(CODEC, BUDGET, parts=2, textures=(0,))


def test_a_tile_holds_what_seven_tenths_of_lies_in_it() -> None:
    part = draw_part(5001, 0, 0)
    held = 0
    for window in tiles(PART, PART, 116, 40):
        square = shapely.box(*window)
        wanted = set()
        for item in part.objects:
            outline = shapely.Polygon(np.array(item.box).reshape(4, 2))
            if outline.intersection(square).area >= 0.7 * outline.area:
                wanted.add(item)
        assert set(part.held(window)) == wanted
        held += len(wanted)
    assert held > 5


def test_the_picture_of_a_tile_is_the_part_of_the_scene_at_its_size() -> None:
    part = draw_part(5001, 0, 0)
    window = (40, 30, 124, 114)
    record = tile_record(part, window, part.held(window), ("ship",), BUDGET, "quad")
    picture = Image.open(BytesIO(record.images[0].data or b""))
    whole = part.raster.read((0, 0, PART, PART)).image
    assert np.array_equal(np.asarray(picture), np.asarray(whole.crop(window)))
    halved = tile_record(part, (0, 0, 168, 168), (), ("ship",), BUDGET, "quad")
    shown = np.asarray(Image.open(BytesIO(halved.images[0].data or b"")), float)
    assert shown.shape == (84, 84, 3)
    # Another way to average: alike but for edges, and nearer to it than to any neighbour.
    apart = [
        np.abs(shown - np.asarray(whole.crop((x, y, x + 168, y + 168)).reduce(2), float)).mean()
        for x in (0, 1, 2)
        for y in (0, 1, 2)
    ]
    assert apart[0] < 2
    assert apart[0] == min(apart)


def test_boxes_are_scaled_with_the_tile_and_clipped_to_it() -> None:
    part = draw_part(5001, 0, 0)
    seen = 0
    for window in tiles(PART, PART, 168, 60):
        objects = part.held(window)
        record = tile_record(part, window, objects, ("ship",), BUDGET, "quad")
        for item, shown in zip(objects, record.objects, strict=True):
            wanted = (np.array(item.box).reshape(4, 2) - window[:2]) / 2
            assert np.array(shown.box).reshape(4, 2) == pytest.approx(np.clip(wanted, 0, 84))
            seen += 1
    assert seen > 3


def test_answers_say_the_objects_of_the_classes_asked_for() -> None:
    counts = []
    for seed in range(24):
        record = TILES.record(np.random.default_rng(seed))
        assert {item.label for item in record.objects} <= set(record.categories)
        sample = TILES(np.random.default_rng(seed))
        assert sample["messages"][1]["content"][-1]["text"] == "find the " + ", ".join(sorted(record.categories))
        answer = sample["messages"][2]["content"][0]["text"]
        found = CODEC.decode(answer, Frame(84, 84), kind="quad", categories=record.categories)
        assert sorted(found.objects.labels) == sorted(item.label for item in record.objects)
        assert found.none == (not record.objects)
        counts.append(len(record.objects))
    assert 0 in counts
    assert max(counts) > 1


def test_parts_without_a_tile_that_suits_are_refused() -> None:
    tiles_of_none = SceneTiles(CODEC, BUDGET, classes=("plane",), parts=1, seed=5001, textures=(0,), empty=0.0, most=0)
    with pytest.raises(ValueError, match="give more parts"):
        tiles_of_none.record(np.random.default_rng(0))
