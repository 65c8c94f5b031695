"""Each task answers in the original's pixels, in batches, with the words of training."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from PIL import Image

import rscovlm
from rscovlm.engines import Conversation, Transformers
from rscovlm.experiments.embedded import STAGES, scene_config
from rscovlm.geometry import Boxes, Frame, iou
from rscovlm.rasters import open_image
from rscovlm.scenes import make_scene, make_zoom_scene
from rscovlm.tasks.count import whole_number_in
from tests.zoom.scripted import Scripted, texts

CONFIG = replace(scene_config(STAGES[-1], 777), min_objects=1, max_objects=1)


@pytest.fixture(scope="module")
def embedded() -> Transformers:
    from transformers import AutoModelForImageTextToText, AutoProcessor

    model: Any = AutoModelForImageTextToText.from_pretrained(rscovlm.embedded_model())
    return Transformers(model.eval(), AutoProcessor.from_pretrained(rscovlm.embedded_model()), batch_size=16)


def test_grounding_answers_in_original_pixels_with_the_frame() -> None:
    # 4000 x 2000 pixels are shown at 1008 x 504 or so: the answer covers the right half of what is shown.
    def half(conversation: Conversation, turn: int) -> str:
        (picture,) = conversation.images()
        return f"{picture.width // 2},0,{picture.width},{picture.height} ship\n"

    engine = Scripted(half)
    raster = open_image(np.zeros((2000, 4000, 3), dtype=np.uint8))
    ship, plane = rscovlm.ground(engine, raster, ["the ship", "the plane"])
    assert len(engine.asked) == 1
    assert len(engine.asked[0]) == 2
    assert ship.box is not None
    assert ship.box.frame == raster.frame
    assert ship.box.coords == pytest.approx(np.array([[2000, 0, 4000, 2000]]), abs=4)
    assert plane.objects.labels == ("the plane",)
    assert texts(engine.asked[0][1])[1] == "user: <image>find the plane"


def test_what_cannot_be_read_is_counted_and_none_is_said() -> None:
    image = Image.new("RGB", (300, 300))
    (lost,) = rscovlm.ground(Scripted(["over there"]), image, ["the ship"])
    assert (lost.box, lost.none, lost.problems) == (None, False, {"nothing_readable": 1})
    (none,) = rscovlm.ground(Scripted(["There are none."]), image, ["the ship"])
    assert (none.box, none.none, none.problems) == (None, True, {})
    (beside,) = rscovlm.ground(Scripted(["400,400,500,500 ship"]), image, ["the ship"])
    assert (beside.box, beside.problems) == (None, {"outside": 1, "no_area": 1})


def test_classes_are_offered_matched_and_never_guessed() -> None:
    engine = Scripted(lambda conversation, turn: "Storage-Tank." if len(engine.asked) == 1 else "a field of tanks")
    images = (Image.new("RGB", (60, 40)) for _ in range(5))
    said = rscovlm.classify(engine, images, ["storage tank", "harbor"], batch=3)
    assert [len(asked) for asked in engine.asked] == [3, 2]
    assert [one.label for one in said] == ["storage tank"] * 3 + [None] * 2
    assert said[-1].text == "a field of tanks"
    assert texts(engine.asked[0][0]) == ["user: <image>Which of these is it: storage tank, harbor?"]


def test_counting_by_boxes_and_in_words() -> None:
    image = Image.new("RGB", (300, 300))
    boxes = "10,10,40,10,40,40,10,40 ship\n100,100,140,100,140,140,100,140 ship\n"
    counted = rscovlm.count(Scripted(lambda *_: boxes), image, ["ship", "plane"])
    assert counted.counts == {"ship": 2, "plane": 0}
    assert counted.detections is not None
    assert len(counted.detections) == 2
    engine = Scripted(lambda conversation, _: "a few" if "planes" in texts(conversation)[0] else "There are 12.")
    worded = rscovlm.count(engine, image, ["ship", "plane"], how="words")
    assert worded.counts == {"ship": 12, "plane": None}
    assert worded.texts["plane"] == "a few"
    with pytest.raises(ValueError, match="tile"):
        rscovlm.count(engine, image, ["ship"], how="words", tile=3)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("0", 0),
        ("None.", 0),
        ("There are no ships", 0),
        ("seven", 7),
        ("12 of 30", 12),
        ("", None),
        ("About 1,234 ships", 1234),
        ("9" * 30, None),
        ("twenty-one of them", 21),
        ("3.5", None),
        ("-2", None),
    ],
)
def test_numbers_are_read_out_of_answers(text: str, number: int | None) -> None:
    assert whole_number_in(text) == number


def test_the_embedded_model_does_every_task(embedded: Transformers) -> None:
    rng = np.random.default_rng(11)
    scenes = [make_scene(rng, CONFIG) for _ in range(16)]
    pictures = [scene.image for scene in scenes]
    named = rscovlm.classify(embedded, pictures, CONFIG.covers, offer=False)
    assert [one.label for one in named].count(None) == 0
    assert np.mean([one.label == scene.scene_class for one, scene in zip(named, scenes, strict=True)]) > 0.8
    hits, right = [], []
    for scene in scenes:
        thing = scene.objects[0]
        (found,) = rscovlm.ground(embedded, scene.image, [f"the {thing.label}"])
        truth = Boxes(thing.hbb[None], "hbb", Frame(*scene.image.size))
        hits.append(found.box is not None and iou(found.box, truth)[0, 0] > 0.5)
        counted = rscovlm.count(embedded, scene.image, CONFIG.classes, how="words", max_new_tokens=8)
        right.append(counted.counts == {name: int(name == thing.label) for name in CONFIG.classes})
    assert np.mean(hits) > 0.8
    assert np.mean(right) > 0.8
    assert len(rscovlm.caption(embedded, pictures[:2], max_new_tokens=4)) == 2
    zoomed = make_zoom_scene(rng, 336, CONFIG)
    (result,) = rscovlm.answer(embedded, zoomed.image, [zoomed.question], max_steps=1)
    assert result.answer == zoomed.answer
    assert result.zoomed


def test_lists_may_be_generators_and_a_single_image_is_named() -> None:
    image = Image.new("RGB", (60, 60))
    assert [one.expression for one in rscovlm.ground(Scripted(["1,2,3,4"]), image, iter(["a ship"]))] == ["a ship"]
    assert [one.label for one in rscovlm.classify(Scripted(["port"]), [image], iter(["port", "field"]))] == ["port"]
    assert rscovlm.tasks.count(Scripted(["3 ships"]), image, iter(["ship"]), how="words").counts == {"ship": 3}
    singles: list[Any] = [image, np.zeros((60, 60, 3), np.uint8), "scene.tif", b"II*", rscovlm.open_image(image)]
    for single in singles:
        for task in (rscovlm.classify, rscovlm.caption):
            with pytest.raises(ValueError, match=r"images is one .*; give a list of images"):
                task(Scripted(["port"]), single)
    nothing: list[Any] = [None]
    with pytest.raises(ValueError, match="expression None is no string"):
        rscovlm.ground(Scripted([]), image, nothing)
    with pytest.raises(ValueError, match="class None is no string"):
        rscovlm.count(Scripted([]), image, nothing)
