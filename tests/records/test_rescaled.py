"""Everything that lies on an image is stretched with it: numbers by hand, where across and down differ and images do too."""

from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from rscovlm.records.mask_values import read_mask_values, write_mask_values
from rscovlm.records.record import Annotation, ImageRef, Record
from rscovlm.records.sizes import FileRule, fitted, rescaled
from rscovlm.records.tally import Rejected

IMAGES = (ImageRef("a.png", width=80, height=50, gsd=0.6), ImageRef("b.png", width=100, height=40), ImageRef("c.png"))


def test_boxes_regions_outlines_and_ground_distance_are_stretched() -> None:
    record = Record(
        "1",
        "mine",
        "train",
        "zoom",
        IMAGES,
        question="What is it?",
        answer="A ship",
        objects=(
            Annotation((4, 5, 14, 25), "ship", "hbb", polygons=((4, 5, 14, 6, 13, 25),)),
            Annotation((10, 20, 30, 21, 29, 33, 9, 32), "ship", "quad", image=1),
            Annotation((1, 2, 3, 5), "ship", "hbb", image=2),
        ),
        regions=((3, 7, 30, 41), (0, 1, 2, 3)),
    )
    # Half as wide and four times as high; three times as wide and half as high; a size that was not known.
    done = rescaled(record, [(40, 200), (300, 20), (64, 32)])
    assert [(image.width, image.height) for image in done.images] == [(40, 200), (300, 20), (64, 32)]
    # Twice as many pixels of the same ground: each side by the root of two smaller on average.
    assert [image.gsd for image in done.images] == [pytest.approx(0.6 / 2**0.5), 0, 0]
    assert [item.box for item in done.objects] == [
        (2, 20, 7, 100),
        (30, 10, 90, 10.5, 87, 16.5, 27, 16),
        (1, 2, 3, 5),
    ]
    assert done.objects[0].polygons == ((2, 20, 7, 24, 6.5, 100),)
    assert done.regions == ((1.5, 28, 15, 164), (0, 4, 1, 12))
    assert (done.question, done.answer, done.id) == (record.question, record.answer, record.id)


def test_a_turned_rectangle_becomes_its_four_corners() -> None:
    record = Record(
        "1", "mine", "train", "detection", IMAGES[:1], objects=(Annotation((40, 20, 12, 6, 0), "ship", "obb"),)
    )
    (item,) = rescaled(record, [(160, 25)]).objects
    assert item.kind == "quad"
    corners = {(round(x, 6), round(y, 6)) for x, y in zip(item.box[::2], item.box[1::2], strict=True)}
    assert corners == {(68, 8.5), (92, 8.5), (92, 11.5), (68, 11.5)}


@pytest.mark.parametrize(("width", "height"), [(0, 0), (31, 0), (0, 17)])
def test_a_size_that_is_not_known_whole_is_not_another_size(tmp_path: Path, width: int, height: int) -> None:
    Image.new("L", (30, 16)).save(tmp_path / "a.png")
    record = Record("1", "mine", "train", "caption", (ImageRef("a.png", width=width, height=height),), captions=("A",))
    for rule in (FileRule(), FileRule(sizes="rescale")):
        assert fitted(record, tmp_path, rule) == record
    other = replace(record, images=(ImageRef("a.png", width=31, height=17),))
    with pytest.raises(Rejected, match="has 30x16 pixels, the record says 31x17"):
        fitted(other, tmp_path, FileRule())


@pytest.mark.parametrize("text", ['{"road": [[3, 2]]}', '{"road": [[1, 2, 3]]}', '{"road": [[1]]}', "{}"])
def test_ranges_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="give \\[lowest, highest\\]|names no class"):
        read_mask_values({"mask_values": text})


def test_a_mask_without_levels_shows_the_one_class_there_is() -> None:
    assert read_mask_values({}, ["road"]) == {"road": ((1, 2**31 - 1),)}
    assert read_mask_values({}) == {"": ((1, 2**31 - 1),)}
    assert read_mask_values({"mask_values": write_mask_values({"a": [7, (9, 12)], "b": [0]})}, ["a", "b"]) == {
        "a": ((7, 7), (9, 12)),
        "b": ((0, 0),),
    }
    with pytest.raises(ValueError, match="'road', 'house'.*lacks 'mask_values'"):
        read_mask_values({}, ["road", "house"])
