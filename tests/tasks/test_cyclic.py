"""Described and found again: scripted engines with known agreement, filters, shares, and the embedded model on drawn scenes."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import rscovlm
from rscovlm.codec.dialect import Dialect, presets
from rscovlm.engines import Conversation
from rscovlm.geometry import Boxes, Objects
from rscovlm.geometry.masks import Mask
from rscovlm.mixtures.renderer import RecordRenderer
from rscovlm.mixtures.scene_records import image_of
from rscovlm.processing import PixelBudget
from rscovlm.records import Annotation, ImageRef, Record, Tally
from rscovlm.synthesis.cyclic import cyclic_records, turned_round
from rscovlm.tasks import RenderOptions, change_round_trips, describe, mask_round_trips, round_trips
from rscovlm.tasks.cyclic import with_confidence
from rscovlm.tasks.describe import describe_change
from tests.tasks.test_one_home import IMAGE, Trained, record, rendered, words
from tests.zoom.scripted import Scripted, texts

BOX = Annotation((40.0, 60.0, 120.0, 140.0), "ship", "hbb")
BOXES = [(10, 10, 60, 50), (100, 100, 180, 160), (300, 200, 340, 260), (20, 300, 70, 350)]
FOUND = {
    "red ship": [(10, 10, 60, 50)],  # found again exactly
    "plane": [(100, 100, 140, 160)],  # half of it: an IoU of 0.5
    "tank": [(300, 200, 340, 260), (5, 5, 9, 9)],  # two of the kind
    "": [],
}


def cycle(conversation: Conversation, _: int) -> str:
    """Describe a region by the place of its box in the list, and find what is described."""
    asked = texts(conversation)[-1]
    region = re.search(r"\[([\d, ]+)\]", asked)
    if region:
        numbers = tuple(int(number) for number in region[1].split(","))
        row = min(range(4), key=lambda k: sum(abs(a - b) for a, b in zip(BOXES[k], numbers, strict=True)))
        return ["This is the red ship.\nIt is small.", "a plane", "Tank", " "][row].replace("Tank", "tank")
    name = next(name for name in FOUND if name in asked)
    return "\n".join(f"{','.join(map(str, box))} {name}" for box in FOUND[name]) or "There are none."


def objects(boxes: Any = BOXES) -> Objects:
    return Objects(Boxes(np.array(boxes, dtype=float), "hbb"), ("x",) * len(boxes))


def test_scores_say_how_far_description_and_finding_agree() -> None:
    trips = round_trips(Scripted(cycle), IMAGE, objects())
    assert trips.texts == ("red ship", "plane", "tank", "")
    assert trips.overlaps.tolist() == pytest.approx([1.0, 0.5, 1.0, 0.0], abs=0.02)
    assert trips.confidence.tolist() == pytest.approx([1.0, 0.5, 0.5, 0.0], abs=0.02)
    assert trips.unique.tolist() == [True, True, False, False]
    assert trips.kept(0.9) == [0] and trips.kept(0.4) == [0, 1]
    scores = trips.scores(0.9)
    assert (scores["found_again"], scores["unique"], scores["consistent"], scores["items"]) == (0.5, 0.5, 0.25, 4)
    scored = with_confidence(trips)
    assert scored.scores is not None and np.array_equal(scored.scores, trips.confidence)


def test_the_same_words_for_two_objects_are_no_unique_reference() -> None:
    trips = round_trips(Scripted(cycle), IMAGE, objects(BOXES[:2]), describe_all=lambda _: ["red ship", "red ship"])
    assert trips.unique.tolist() == [False, False] and trips.overlaps[0] > 0.9 > trips.overlaps[1]


def test_nothing_is_asked_about_nothing() -> None:
    engine = Scripted(cycle)
    trips = round_trips(engine, IMAGE, objects()[:0])
    assert (trips.texts, trips.scores()["items"], engine.asked) == ((), 0, [])
    silent = Scripted(lambda *_: " ")
    trips = round_trips(silent, IMAGE, objects())
    assert trips.texts == ("",) * 4 and not trips.overlaps.any() and len(silent.asked) == 1
    with pytest.raises(ValueError, match="4 objects have 1 descriptions"):
        round_trips(engine, IMAGE, objects(), describe_all=lambda _: ["x"])


def test_words_of_a_model_cannot_end_a_turn_of_the_next_question() -> None:
    engine = Scripted(lambda one, _: "x <|im_end|>" if "[" in texts(one)[-1] else "There are none.")
    trips = round_trips(engine, IMAGE, objects(BOXES[:1]))
    assert "<|im_end|>" not in texts(engine.asked[-1][0])[-1] and "im_end" in trips.texts[0]


@pytest.mark.parametrize("preset", presets())
def test_a_region_is_described_in_training_as_in_inference(preset: str) -> None:
    dialect = Dialect.preset(preset)
    made = record("region_caption", expression="the red ship", objects=(BOX,))
    sample = rendered(made, dialect)
    assert sample["messages"][-1]["content"][0]["text"] == "red ship"
    (said,) = describe(engine := Trained(dialect, "red ship"), IMAGE, Boxes([BOX.box], "hbb"))
    assert words(engine.asked[0].messages) == words(sample["messages"][:-1])
    assert said.text == "red ship"


@pytest.mark.parametrize("task", ["grounding", "region_caption"])
def test_a_share_of_records_is_turned_round_while_training(task: str) -> None:
    made = record(task, expression="the red ship", objects=(BOX,))
    dialect, other = Dialect.preset("rscovlm-v1"), turned_round(made)
    plain, turned = rendered(made, dialect), rendered(made, dialect, cyclic_rate=1.0)
    assert turned["messages"] == rendered(other, dialect)["messages"] != plain["messages"]
    assert turned_round(other).task == task
    renderer = RecordRenderer(dialect, PixelBudget(), ".", RenderOptions(rephrase_rate=0.0, cyclic_rate=0.3))
    drawn = Counter(
        renderer(made, np.random.default_rng(seed))["messages"] == turned["messages"] for seed in range(400)
    )
    assert 0.2 < drawn[True] / 400 < 0.4
    several = record("grounding", expression="ships", objects=(BOX, BOX))
    assert rendered(several, dialect, cyclic_rate=1.0)["messages"] == rendered(several, dialect)["messages"]


def test_masks_are_described_by_their_boxes_and_segmented_again() -> None:
    """The described half of a square is segmented as its upper half: an IoU of one half, counted by pixels."""
    pixels = np.zeros((2, 392, 448), dtype=bool)
    pixels[0, 10:50, 10:60] = True
    pixels[1, 100:160, 100:180] = True

    def segments(conversation: Conversation, _: int) -> str:
        asked = texts(conversation)[-1]
        if "region" in asked:
            return "red ship" if "[10, 10" in asked else "plane"
        if "red ship" in asked:
            return "[(10,10),(60,10),(60,30),(10,30),(10,10)] red ship"
        return "[(100,100),(180,100),(180,160),(100,160),(100,100)] plane\n[(0,0),(9,0),(9,9),(0,9),(0,0)] plane"

    masks = [Mask.of(one) for one in pixels]
    trips = mask_round_trips(Scripted(segments), IMAGE, masks, form="polygon")
    assert trips.texts == ("red ship", "plane") and trips.overlaps.tolist() == [0.5, 1.0]
    assert trips.unique.tolist() == [True, False] and trips.confidence.tolist() == [0.5, 0.5]
    nothing = mask_round_trips(Scripted(lambda *_: "There are none."), IMAGE, masks, describe_all=lambda _: ["a", "b"])
    assert nothing.overlaps.tolist() == [0, 0] and not nothing.unique.any()
    assert mask_round_trips(Scripted([]), IMAGE, []).texts == ()


def test_a_segmentation_of_one_object_is_turned_round() -> None:
    outline = Annotation(BOX.box, "ship", "hbb", polygons=((40, 60, 120, 60, 120, 140, 40, 140),))
    made = record("segmentation", expression="the red ship", objects=(outline,))
    dialect = Dialect.preset("rscovlm-v1")
    turned = rendered(made, dialect, cyclic_rate=1.0)
    other = record("region_caption", expression="the red ship", objects=(outline,))
    assert turned["messages"] == rendered(other, dialect)["messages"] != rendered(made, dialect)["messages"]


def test_changes_are_described_by_their_boxes_and_outlined_again() -> None:
    """Both pictures are shown each time; half of the first change is outlined, and the second with something else."""
    pixels = np.zeros((2, 392, 448), dtype=bool)
    pixels[0, 10:50, 10:60] = True
    pixels[1, 100:160, 100:180] = True

    def changes(conversation: Conversation, _: int) -> str:
        assert len(conversation.images()) == 2
        asked = texts(conversation)[-1]
        if "region" in asked:
            return "the new hut" if "[10, 10" in asked else "the vanished tank"
        if "hut" in asked:
            return "[(10,10),(60,10),(60,30),(10,30),(10,10)] new hut"
        return "[(100,100),(180,100),(180,160),(100,160),(100,100)] tank\n[(0,0),(9,0),(9,9),(0,9),(0,0)] tank"

    masks, after = [Mask.of(one) for one in pixels], Image.new("RGB", IMAGE.size)
    trips = change_round_trips(Scripted(changes), IMAGE, after, masks)
    assert trips.texts == ("new hut", "vanished tank") and trips.overlaps.tolist() == [0.5, 1.0]
    assert trips.unique.tolist() == [True, False] and trips.confidence.tolist() == [0.5, 0.5]
    assert trips.kept() == [0]
    nothing = change_round_trips(
        Scripted(lambda *_: "There are none."), IMAGE, after, masks, describe_all=lambda _: "ab"
    )
    assert nothing.overlaps.tolist() == [0, 0] and not nothing.unique.any()
    assert change_round_trips(Scripted([]), IMAGE, after, []).texts == ()
    with pytest.raises(ValueError, match="do not both say where they lie"):
        change_round_trips(Scripted(changes), IMAGE, Image.new("RGB", (100, 100)), masks)
    with pytest.raises(ValueError, match="mask 0 is one of 9x9 pixels"):
        change_round_trips(Scripted(changes), IMAGE, after, [Mask.of(np.eye(9))])


@pytest.mark.parametrize("preset", ["rscovlm-v1", "qwen3-vl", "gemini"])
def test_a_change_is_described_in_training_as_in_inference(preset: str) -> None:
    outline = Annotation(BOX.box, "ship", "hbb", polygons=((40, 60, 120, 60, 120, 140, 40, 140),))
    made = Record(
        "1", "m", "train", "change", (image_of(IMAGE), image_of(IMAGE)), expression="the new ship", objects=(outline,)
    )
    dialect = Dialect.preset(preset)
    turned = rendered(made, dialect, cyclic_rate=1.0)
    engine = Trained(dialect, "the new ship")
    (answer,) = describe_change(engine, IMAGE, IMAGE, Boxes([BOX.box], "hbb"))
    assert words(engine.asked[0].messages) == words(turned["messages"][:-1])
    assert turned["messages"][-1]["content"][0]["text"] == "new ship" and answer.text == "the new ship"
    assert rendered(made, dialect)["messages"] != turned["messages"]


def test_what_has_no_other_direction_is_counted() -> None:
    with pytest.raises(ValueError, match="not one object|has 2 objects"):
        turned_round(record("grounding", expression="ships", objects=(BOX, BOX)))
    with pytest.raises(ValueError, match="is a caption record"):
        turned_round(record("caption", captions=("A port.",)))


def test_records_that_are_not_found_again_are_filtered_by_reason(tmp_path: Path) -> None:
    Image.new("RGB", (448, 392)).save(tmp_path / "a.png")
    image = ImageRef("a.png", width=448, height=392)
    items = tuple(Annotation(tuple(map(float, box)), "x", "hbb") for box in BOXES)
    rows = [Record("1", "mine", "train", "detection", (image,), objects=items, categories=("x",))]
    rows += [Record("2", "mine", "train", "detection", (image,), categories=("x",))]
    tally = Tally(1.0)
    made = list(cyclic_records(rows, Scripted(cycle), tmp_path, least=0.9, tally=tally))
    assert [(one.task, one.expression) for one in made] == [("grounding", "red ship"), ("region_caption", "red ship")]
    assert float(made[0].extra["round_trip_iou"]) == 1.0
    reasons = {"not found again": 1, "not unique": 1, "no description": 1, "not one whole image with objects": 1}
    assert (tally.kept, dict(tally.dropped)) == (1, reasons)
    both = list(cyclic_records(rows[:1], Scripted(cycle), tmp_path, least=0.4, unique=False))
    assert [one.expression for one in both[::2]] == ["red ship", "plane", "tank"]
    for one in made:
        RecordRenderer(Dialect.preset("rscovlm-v1"), PixelBudget(), tmp_path)(one, np.random.default_rng(0))


def test_the_embedded_model_finds_true_boxes_again_and_wrong_ones_not() -> None:
    """Labels as descriptions: the confidence of true boxes lies above that of boxes moved to where nothing is."""
    pytest.importorskip("torch")
    from rscovlm.engines import Transformers
    from rscovlm.scenes import SceneConfig, make_scene

    engine = Transformers(*rscovlm.load("embedded", device="cpu"))
    true: list[float] = []
    wrong: list[float] = []
    for seed in range(900, 916):
        scene = make_scene(seed, SceneConfig(min_objects=1, max_objects=1))
        own = scene.truth.as_kind("hbb")
        for boxes, scores in ((own.boxes.coords, true), (_moved(own.boxes.coords), wrong)):
            moved = Objects(Boxes(boxes, "hbb"), own.labels)
            trips = round_trips(engine, scene.image, moved, describe_all=lambda given: given.labels)
            scores += trips.confidence.tolist()
    assert np.mean(true) > 0.5 and np.mean(wrong) < 0.2


def _moved(boxes: Any) -> Any:
    """Put boxes into the corner that lies farthest from them."""
    size = boxes[:, 2:] - boxes[:, :2]
    low = np.where((boxes[:, :2] + boxes[:, 2:]) / 2 > 42, 0.0, 84 - size)
    return np.concatenate([low, low + size], axis=1)
