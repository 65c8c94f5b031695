"""Boxes and pixels of a record, for code to work with."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rscovlm.codec import Codec
from rscovlm.geometry import Boxes, Frame
from rscovlm.geometry.kinds import Kind
from rscovlm.mixtures.renderer import RecordRenderer
from rscovlm.processing import PixelBudget
from rscovlm.rasters import open_image
from rscovlm.records.pictures import Picture
from rscovlm.records.record import Annotation, ImageRef, Record
from rscovlm.records.views import PADDING, load_image, objects_of, read_window
from rscovlm.tasks.options import RenderOptions

OUTLINE = (20.0, 5.0, 35.0, 20.0, 20.0, 35.0, 5.0, 20.0)
ROOF = Annotation((5, 5, 35, 35), "roof", "hbb", polygons=(OUTLINE,))
IMAGE = ImageRef("a.png", width=84, height=84)


def _record(*objects: Annotation) -> Record:
    return Record("1", "s", "train", "grounding", (IMAGE,), expression="the roof", objects=objects)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [("hbb", (5, 5, 35, 35)), ("quad", OUTLINE), ("obb", Boxes([OUTLINE], "quad").as_kind("obb").coords[0])],
)
def test_an_outline_is_the_oriented_box(kind: Kind, expected: tuple[float, ...]) -> None:
    found = objects_of(_record(ROOF), kind)
    assert found.boxes.coords[0] == pytest.approx(expected)
    assert found.labels == ("roof",)


def test_mixed_kinds_and_images_are_kept_apart() -> None:
    many = (ROOF, Annotation((1, 1, 9, 1, 9, 5, 1, 5), "b"), Annotation((50, 50, 20, 10, 30), "c", "obb"))
    record = Record(
        "1", "s", "t", "detection", (IMAGE, IMAGE), objects=(*many, Annotation((0, 0, 1, 1), "d", "hbb", image=1))
    )
    assert objects_of(record).labels == ("roof", "b", "c")
    assert objects_of(record, image=1).labels == ("d",)
    for index, item in enumerate(many):
        alone = objects_of(_record(item))
        np.testing.assert_allclose(objects_of(record).boxes.coords[index], alone.boxes.coords[0])
    with pytest.raises(ValueError, match="no size"):
        objects_of(Record("1", "s", "t", "detection", (ImageRef("a.png"),), objects=(ROOF,)))


def test_training_answers_with_the_outline() -> None:
    codec = Codec.preset("rscovlm-v1")
    renderer = RecordRenderer(codec, PixelBudget(), Path(), RenderOptions(kinds={"quad": 1.0}, rephrase_rate=0))
    sample = renderer(_record(ROOF), np.random.default_rng(0))
    answer = sample["messages"][-1]["content"][0]["text"]
    decoded = codec.decode(answer, Frame(84, 84).resized(*sample["images"][0].size), kind="quad").objects.boxes.to(
        Frame(84, 84)
    )
    assert decoded.coords[0] == pytest.approx(OUTLINE, abs=0.6)


def test_windows_are_padded_alike_wherever_they_are_read(tmp_path: Path) -> None:
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (50, 40, 3), dtype=np.uint8)).save(tmp_path / "a.png")
    tile = ImageRef(parent="a.png", window=(20, 10, 84, 74), width=64, height=64)
    shown = load_image(tile, tmp_path)
    np.testing.assert_array_equal(np.asarray(shown), np.asarray(Picture(tile, tmp_path, (64, 64)).load()))
    with pytest.raises(ValueError, match="outside"):
        load_image(ImageRef(parent="a.png", window=(90, 0, 99, 9)), tmp_path)


@pytest.mark.parametrize(
    "window", [(-7, 10, 30, 20), (20, -3, 52, 9), (5, 30, 15, 61), (-4, -6, 60, 58), (3, 4, 20, 11)]
)
def test_a_window_is_the_image_with_grey_around_it(window: tuple[int, int, int, int]) -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (50, 40, 3), dtype=np.uint8)
    x1, y1, x2, y2 = window
    wide = np.empty((150, 140, 3), np.uint8)
    wide[:] = PADDING
    wide[50:100, 50:90] = pixels
    raster = open_image(pixels)
    np.testing.assert_array_equal(np.asarray(read_window(raster, window)), wide[50 + y1 : 50 + y2, 50 + x1 : 50 + x2])
    # Smaller: sides in proportion, no more pixels than allowed but for rounding, and the image where it was.
    small = read_window(raster, window, max_pixels=100)
    scale = (100 / ((x2 - x1) * (y2 - y1))) ** 0.5
    assert small.size == (round((x2 - x1) * scale), round((y2 - y1) * scale))
    inside = np.asarray(Image.new("L", (40, 50), 255).crop(window).resize(small.size, Image.Resampling.BOX)) > 127
    padded = (np.asarray(small) == PADDING).all(axis=2)
    assert (inside == padded).mean() < 0.25
