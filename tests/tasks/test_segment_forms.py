"""Segmentation of a model that answers with boxes alone, and of one that is shown its own masks and answers again."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from io import BytesIO
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from rscovlm.codec.dialect import Dialect
from rscovlm.codec.point_objects import PointObject
from rscovlm.codec.set_of_points import SetOfPoints
from rscovlm.engines import Conversation, Reply
from rscovlm.exports.mask_drawing import TINT, tint_masks
from rscovlm.geometry import Boxes, Frame, Objects
from rscovlm.geometry.kinds import Kind
from rscovlm.geometry.masks import Mask
from rscovlm.mixtures.renderer import RecordRenderer
from rscovlm.points.segmenter import FilledShapes
from rscovlm.processing import PixelBudget
from rscovlm.rasters import open_image
from rscovlm.records import Annotation, ImageRef, Record
from rscovlm.tasks import task_of
from rscovlm.tasks.options import RenderOptions
from rscovlm.tasks.segment import segment
from rscovlm.tasks.segment_again import segment_again
from rscovlm.tasks.segment_boxes import segment_boxes
from rscovlm.tasks.wanted import Wanted
from tests.points.test_close_ups import Growing
from tests.points.test_segmenting import Bright

BUDGET = PixelBudget(112 * 112, 1008 * 1008)
SIDE = 252
BOXES = ((30, 40, 90, 80), (120, 130, 200, 220))


def _image() -> Image.Image:
    """Two bright discs, each within one of the boxes."""
    ys, xs = np.mgrid[:SIDE, :SIDE] + 0.5
    bright = np.zeros((SIDE, SIDE), bool)
    for x1, y1, x2, y2 in BOXES:
        bright |= np.hypot((xs - (x1 + x2) / 2) / (x2 - x1), (ys - (y1 + y2) / 2) / (y2 - y1)) < 0.4
    return Image.fromarray(np.where(bright, 210, 60).astype(np.uint8)).convert("RGB")


class BoxesOnly:
    """Answers detection and pointing with the boxes, and nothing else."""

    def __init__(self) -> None:
        self.dialect = Dialect.preset("rscovlm-v1")
        self.codec, self.budget = self.dialect.codec, BUDGET

    def generate(self, conversations: Iterable[Conversation], **_: Any) -> list[Reply]:
        replies = []
        for one in conversations:
            several = "first disc" not in str(one.messages[-1]["content"])
            found = Objects(Boxes(BOXES if several else BOXES[:1], "hbb", Frame(SIDE, SIDE)), ("disc",) * (1 + several))
            kind: Kind = "quad" if several else "hbb"
            found = Objects(found.boxes.as_kind(kind), found.labels)
            replies.append(Reply(self.codec.encode(found, Frame(SIDE, SIDE), kind=kind)))
        return replies


def test_boxes_alone_become_masks() -> None:
    image = _image()
    pixels = np.asarray(image)[..., 0] > 128
    found = segment_boxes(BoxesOnly(), image, ["disc"], segmenter=Bright())
    assert found.labels == ("disc", "disc")
    assert np.array_equal(np.any([mask.full() for mask in found.masks], axis=0), pixels)
    pointed = segment_boxes(BoxesOnly(), image, expressions=["first disc"], segmenter=Bright())
    assert [mask.area for mask in pointed.masks] == [int(pixels[:100, :100].sum())]
    filled = segment_boxes(BoxesOnly(), image, ["disc"])
    assert [mask.area for mask in filled.masks] == [(x2 - x1) * (y2 - y1) for x1, y1, x2, y2 in BOXES]
    with pytest.raises(ValueError, match="nothing to segment"):
        segment_boxes(BoxesOnly(), image)
    with pytest.raises(TypeError, match="give a list"):
        segment_boxes(BoxesOnly(), image, "disc")


def test_rows_take_the_form_that_is_wanted() -> None:
    image = _image()
    wanted = Wanted(classes=("disc", "ship"), segmenter=Bright(), form="box")
    (row,) = task_of("segmentation").rows(BoxesOnly(), [open_image(image)], [wanted])
    assert [one["label"] for one in row["masks"]] == ["disc", "disc"]
    alone = segment_boxes(BoxesOnly(), image, ["disc", "ship"], segmenter=Bright())
    assert row["masks"][0]["counts"] == alone.masks[0].rle()["counts"]


class Learning:
    """Gives a box that is too small at first; shown its mask, it grows the box to what is bright around the tint."""

    def __init__(self) -> None:
        self.dialect = Dialect.preset("rscovlm-v1")
        self.codec, self.budget = self.dialect.codec, BUDGET
        self.shown: list[NDArray[np.uint8]] = []
        self.asked: list[Conversation] = []

    def generate(self, conversations: Sequence[Conversation], **_: Any) -> list[Reply]:
        replies = []
        for one in conversations:
            picture = np.asarray(one.images()[-1])
            self.shown.append(picture)
            self.asked.append(one)
            tinted = (picture == TINT).all(axis=2)
            box = (45, 50, 75, 70)
            if tinted.any():
                assert "magenta" in str(one.messages[-1]["content"])
                box = (30, 40, 90, 80)
            prompt = PointObject.prompt("disc", box, [(60, 60)], Frame(SIDE, SIDE))
            replies.append(Reply(SetOfPoints(self.codec).encode([prompt], Frame(SIDE, SIDE))))
        return replies


class Silent(Learning):
    """Finds nothing when it is asked again."""

    def generate(self, conversations: Sequence[Conversation], **options: Any) -> list[Reply]:
        replies = super().generate(conversations, **options)
        return replies if len(self.shown) == 1 else [Reply(self.codec.none) for _ in replies]


def test_a_model_is_shown_its_mask_and_answers_again() -> None:
    image, engine = _image(), Learning()
    first = segment(engine, image, ["disc"], segmenter=Bright())
    again = segment_again(engine, image, first, segmenter=Bright(), constrained=True)
    whole = int((np.asarray(image)[:100, :100, 0] > 128).sum())
    assert first.masks[0].area < again.masks[0].area == whole
    assert (again.labels, again.problems, len(again.texts)) == (("disc",), {}, 2)
    assert np.array_equal(engine.shown[1], np.asarray(tint_masks(image, first.masks)))
    assert segment_again(engine, image, first, segmenter=Bright(), rounds=2).masks[0].area == whole
    with pytest.raises(ValueError, match="rounds is 0"):
        segment_again(engine, image, first, rounds=0)


def test_correcting_is_trained_with_what_it_is_asked_with() -> None:
    image = _image()
    rings = [np.array([(x1, y1), (x2, y1), (x2, y2), (x1, y2)], float) for x1, y1, x2, y2 in BOXES]
    objects = tuple(
        Annotation(box, "disc", "hbb", polygons=(tuple(ring.ravel()),)) for box, ring in zip(BOXES, rings, strict=True)
    )
    file = BytesIO()
    image.save(file, "PNG")
    ref = ImageRef(data=file.getvalue(), width=SIDE, height=SIDE)
    record = Record("1", "mine", "train", "segmentation", (ref,), objects=objects, categories=("disc",))
    samples = []
    for rate in (1.0, 0.0):
        options = RenderOptions(rephrase_rate=0.0, refine_rate=rate)
        renderer = RecordRenderer(Dialect.preset("rscovlm-v1"), BUDGET, ".", options)
        samples.append([renderer(record, np.random.default_rng(seed)) for seed in range(12)])
    engine = Learning()
    segment_again(engine, image, segment(engine, image, ["disc"], segmenter=Bright()), segmenter=Bright())
    asked = [one["text"] for one in samples[0][0]["messages"][-2]["content"] if one["type"] == "text"]
    assert asked == [one["text"] for one in engine.asked[1].messages[-1]["content"] if one["type"] == "text"]
    true = np.logical_or.reduce([Mask.filled([ring], Frame(SIDE, SIDE)).full() for ring in rings])
    covered = []
    for again, plain in zip(*samples, strict=True):
        assert [one.box.coords.tolist() for one in again["areas"]] == [
            one.box.coords.tolist() for one in plain["areas"]
        ]
        tinted = np.asarray(again["images"][0].load()) != np.asarray(plain["images"][0].load())
        shown = tinted.any(axis=2)
        covered.append((shown & true).sum() / (shown | true).sum())
    # Some are left out, the others are off, and none is elsewhere altogether.
    assert 0.2 < min(covered) < max(covered) < 1 and 0.4 < np.mean(covered) < 0.9


def test_rows_are_refined_where_it_is_wanted() -> None:
    image, whole = _image(), int((np.asarray(_image())[:100, :100, 0] > 128).sum())
    areas = []
    for refine in (0, 1):
        wanted = Wanted(classes=("disc",), segmenter=Bright(), refine=refine)
        (row,) = task_of("segmentation").rows(Learning(), [open_image(image)], [wanted])
        areas.append(sum(Mask.from_rle(one).area for one in row["masks"]))
    assert areas[0] < areas[1] == whole
    sizes = []
    for refine in (0, 2):
        wanted = Wanted(classes=("disc", "ship"), segmenter=Growing(), form="box", refine=refine)
        (row,) = task_of("segmentation").rows(BoxesOnly(), [open_image(image)], [wanted])
        sizes.append([Mask.from_rle(one).area for one in row["masks"]])
    alone = segment_boxes(BoxesOnly(), image, ["disc", "ship"], segmenter=Growing(), refine=2)
    assert sizes[1] == [mask.area for mask in alone.masks] >= sizes[0]


def test_what_is_not_found_again_stays() -> None:
    image, engine = _image(), Silent()
    first = segment(engine, image, ["disc"], segmenter=Bright())
    again = segment_again(engine, image, first, segmenter=Bright())
    assert again.problems == {"kept_first": 1}
    assert np.array_equal(again.masks[0].full(), first.masks[0].full())
    assert [one.box.coords.tolist() for one in again.prompts] == [one.box.coords.tolist() for one in first.prompts]


def test_tinted_masks_follow_the_view() -> None:
    image = _image()
    mask = FilledShapes().segment(np.asarray(image), [PointObject.prompt("x", BOXES[1], [], Frame(SIDE, SIDE))])[0]
    raster = open_image(image)
    view = raster.read((100, 100, 252, 252))
    tinted = np.asarray(tint_masks(view.image, [mask], view.frame, strength=1.0))
    assert Mask.of((tinted == TINT).all(axis=2)).window == (20, 30, 100, 120)
    assert np.array_equal(np.asarray(tint_masks(image, [])), np.asarray(image))
    with pytest.raises(ValueError, match="strength is 2"):
        tint_masks(image, [mask], strength=2)
