"""Records become conversations that say the same, at any size, in any form."""

import json
import math
import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from rscovlm.codec import Codec
from rscovlm.codec.mentions import mentions
from rscovlm.data.sources import convert
from rscovlm.geometry import Boxes, Frame, iou
from rscovlm.mixtures.renderer import RecordRenderer
from rscovlm.processing import PixelBudget, plan_size
from rscovlm.records.pictures import loaded
from rscovlm.records.record import Annotation, ImageRef, Record, Turn
from rscovlm.records.tally import Rejected
from rscovlm.tasks.options import RenderOptions
from rscovlm.zoom.windows import Limits, enclose

CODEC = Codec.preset("rscovlm-v1")
BUDGET = PixelBudget(min_pixels=112 * 112, max_pixels=560 * 560)
SIZE = (400, 300)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    pixels = np.random.default_rng(0).integers(0, 255, (SIZE[1], SIZE[0], 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    return tmp_path


def _record(task: str, **fields: Any) -> Record:
    image = ImageRef("a.png", width=SIZE[0], height=SIZE[1])
    return Record("r1", "mine", "train", task, (image,), **fields)


def _detection(**fields: Any) -> Record:
    objects = (
        Annotation((40, 50, 140, 60, 135, 110, 35, 100), "large-vehicle"),
        Annotation((200, 150, 260, 150, 260, 250, 200, 250), "ship"),
    )
    return _record("detection", objects=objects, categories=("ship", "large-vehicle", "harbor"), **fields)


def _texts(sample: dict[str, Any], role: str) -> list[str]:
    return [turn["content"][-1]["text"] for turn in sample["messages"] if turn["role"] == role]


@pytest.mark.parametrize("kind", ["hbb", "obb", "quad"])
@pytest.mark.parametrize("json_rate", [0.0, 1.0])
def test_detections_decode_to_the_annotated_boxes_at_any_size(root: Path, kind: Any, json_rate: float) -> None:
    options = RenderOptions(kinds={kind: 1.0}, json_rate=json_rate, resize_rate=1.0)
    renderer = RecordRenderer(CODEC, BUDGET, root, options)
    truth = Boxes(np.array([item.box for item in _detection().objects]), "quad", Frame(*SIZE))
    sizes = set()
    for seed in range(40):
        sample = renderer(_detection(), np.random.default_rng(seed))
        shown = sample["images"][0].size
        sizes.add(shown)
        assert plan_size(shown[0], shown[1], BUDGET) == shown
        assert loaded(sample["images"][0]).size == shown
        found = CODEC.decode(_texts(sample, "assistant")[0], Frame(*SIZE).resized(*shown), kind=kind)
        assert found.objects.labels == ("large vehicle", "ship")
        overlap = iou(found.objects.boxes.to(Frame(*SIZE)), truth.as_kind(kind), paired=True)
        assert overlap.min() > (0.8 if min(shown) < 200 else 0.9)
    assert len(sizes) > 10
    areas = np.array([w * h for w, h in sizes])
    assert areas.min() >= BUDGET.min_pixels
    assert areas.max() <= BUDGET.max_pixels


def test_no_object_is_trained_as_the_codecs_none(root: Path) -> None:
    sample = RecordRenderer(CODEC, BUDGET, root)(_record("detection", categories=("ship",)), np.random.default_rng(0))
    assert _texts(sample, "assistant") == [CODEC.none]


def test_sublists_and_synonyms_keep_question_and_answer_together(root: Path) -> None:
    renderer = RecordRenderer(CODEC, BUDGET, root, RenderOptions(sublist_rate=0.7, synonym_rate=0.7, rephrase_rate=1.0))
    questions, absent = set(), 0
    for seed in range(80):
        sample = renderer(_detection(), np.random.default_rng(seed))
        asked, answer = _texts(sample, "user")[0], _texts(sample, "assistant")[0]
        questions.add(asked)
        absent += answer == CODEC.none
        for line in answer.splitlines() if answer != CODEC.none else ():
            assert line.split(" ", 1)[1] in asked
    assert len(questions) > 20
    assert absent > 0


def test_a_zoom_record_shows_the_region_from_the_original(root: Path) -> None:
    record = _record("zoom", question="What is it?", answer="noise", regions=((100.0, 60.0, 212.0, 172.0),))
    sample = RecordRenderer(CODEC, BUDGET, root)(record, np.random.default_rng(0))
    crop = np.asarray(loaded(sample["images"][1]))
    original = np.asarray(Image.open(root / "a.png"))
    assert np.array_equal(crop, original[60:172, 100:212])
    call = json.loads(_texts(sample, "assistant")[0].removeprefix("<tool_call>\n").removesuffix("\n</tool_call>"))
    scale = np.array(sample["images"][0].size * 2) / (SIZE * 2)
    assert np.abs(np.array(call["arguments"]["bbox"]) - np.array([100, 60, 212, 172]) * scale).max() <= 0.5


@pytest.mark.parametrize("preset", ["rscovlm-v1", "qwen3-vl"])
def test_a_region_too_small_for_the_overview_is_grown_until_a_call_can_name_it(tmp_path: Path, preset: str) -> None:
    Image.new("RGB", (2400, 1800)).save(tmp_path / "a.png")
    codec, rng = Codec.preset(preset), np.random.default_rng(0)
    renderer = RecordRenderer(codec, PixelBudget(56 * 56, 112 * 112), tmp_path)
    image = ImageRef("a.png", width=2400, height=1800)
    for x, y in [*rng.integers(0, 1800, (20, 2)).tolist(), (0, 0), (2399, 1799)]:
        region = (float(x), float(y), x + 1.0, y + 1.0)
        sample = renderer(Record("1", "s", "train", "zoom", (image,), question="?", answer="a", regions=(region,)), rng)
        call = json.loads(_texts(sample, "assistant")[0].removeprefix("<tool_call>\n").removesuffix("\n</tool_call>"))
        x1, y1, x2, y2 = call["arguments"]["bbox"]
        assert x2 > x1 and y2 > y1
        shown = sample["images"][1].window
        assert shown[0] <= x and shown[1] <= y and shown[2] > x and shown[3] > y
        # No more than the step of the coordinates asks for.
        assert max(shown[2] - shown[0], shown[3] - shown[1]) <= 4 * 2400 / 112
        view = Frame(2400, 1800).resized(*sample["images"][0].size)
        named = codec.decode_box([x1, y1, x2, y2], view).to(Frame(2400, 1800))
        # The chain shows a region this small with context around it, and so does training.
        chain = enclose(named.coords[0].tolist(), Frame(2400, 1800), Limits())
        assert np.abs(np.array(chain) - np.array(shown)).max() <= 2400 / 112


def test_other_tasks_ask_and_answer(root: Path) -> None:
    renderer = RecordRenderer(CODEC, BUDGET, root, RenderOptions(rephrase_rate=0.0))
    rng = np.random.default_rng(1)
    choice = _record("vqa", question="Which?", answer="B", choices=("a ship", "a plane"))
    assert _texts(renderer(choice, rng), "user") == [
        "Which?\n(A) a ship\n(B) a plane\nAnswer with the letter of the right option."
    ]
    classes = _record("classification", classes=("BaseballField",))
    assert _texts(renderer(classes, rng), "assistant") == ["baseballfield"]
    grounding = _record("grounding", expression="the red hangar", objects=(Annotation((40, 50, 140, 100), "", "hbb"),))
    assert _texts(renderer(grounding, rng), "user") == ["find the red hangar"]
    turns = (Turn("user", "<image>\nIs <box:0> wet?"), Turn("assistant", "Yes, <box:0> is."))
    talk = _record("conversation", turns=turns, objects=(Annotation((40, 50, 140, 100), "pool", "hbb"),))
    sample = renderer(talk, rng)
    assert sample["messages"][0]["content"][0] == {"type": "image"}
    assert _texts(sample, "user")[0].startswith("Is [")


@pytest.mark.parametrize(
    ("dialect", "numbers"), [("rscovlm-v1", 8), ("qwen3-vl", 8), ("geochat", 5), ("earthdial", 5), ("vhm", 4)]
)
def test_a_box_in_a_sentence_keeps_its_rotation(root: Path, dialect: str, numbers: int) -> None:
    codec = Codec.preset(dialect)
    item = Annotation((90, 75, 60, 20, 30), "pool", "obb")
    talk = _record(
        "conversation", turns=(Turn("user", "What is at <box:0>?"), Turn("assistant", "A pool.")), objects=(item,)
    )
    (asked,) = _texts(RecordRenderer(codec, BUDGET, root)(talk, np.random.default_rng(1)), "user")
    (found,) = mentions(asked)
    assert len(found.numbers) == numbers
    upright = Annotation((40, 50, 140, 100), "pool", "hbb")
    talk = replace(talk, objects=(upright,))
    (asked,) = _texts(RecordRenderer(codec, BUDGET, root)(talk, np.random.default_rng(1)), "user")
    assert len(mentions(asked)[0].numbers) == 4


def test_geochats_boxes_with_an_angle_come_back_as_they_were_written(tmp_path: Path) -> None:
    rng = random.Random(4)
    rows: list[dict[str, Any]] = []
    (tmp_path / "images").mkdir()
    # Sizes of whole tokens are shown as they are: where sides are stretched, an angle moves by up to a degree.
    for number in range(60):
        Image.new("RGB", rng.choice([(560, 392), (504, 504), (364, 532)])).save(tmp_path / f"images/{number}.png")
        left, top = rng.randint(0, 70), rng.randint(0, 70)
        corners = (left, top, left + rng.randint(1, 29), top + rng.randint(1, 29))
        written = "{" + "".join(f"<{value}>" for value in corners) + f"|<{rng.randint(0, 89)}>" + "}"
        asked, told = f"<image>\nwhat is {written}", f"It is <p>a ship</p> {written}."
        talk = [{"from": "human", "value": asked}, {"from": "gpt", "value": told}]
        rows.append({"id": str(number), "image": f"{number}.png", "conversations": talk})
    (tmp_path / "GeoChat_Instruct.json").write_text(json.dumps(rows))
    render = RecordRenderer(Codec.preset("geochat"), BUDGET, tmp_path)
    plain = RecordRenderer(CODEC, BUDGET, tmp_path)
    for row, record in zip(rows, convert("geochat", tmp_path), strict=True):
        asked, told = (turn["value"] for turn in row["conversations"])
        sample = render(record, np.random.default_rng(0))
        assert _texts(sample, "user") == [asked.removeprefix("<image>\n")]
        assert _texts(sample, "assistant") == [told.replace("<p>", "").replace("</p>", "")]
        # In another dialect the corners are those that GeoChat's own program draws: the upright box turned about its centre.
        (box,) = mentions(told)
        width, height = record.images[0].width, record.images[0].height
        corners = _turned(box.numbers, width, height) * np.divide(plan_size(width, height, BUDGET), (width, height))
        (found,) = mentions(_texts(plain(record, np.random.default_rng(0)), "assistant")[0])
        got = np.reshape(found.numbers, (4, 2))
        inside = np.clip(corners, 0, plan_size(width, height, BUDGET))
        assert min(np.abs(np.roll(got, turn, axis=0) - inside).max() for turn in range(4)) <= 1


def _turned(numbers: Sequence[float], width: int, height: int) -> Any:
    """Return the corners of an upright box in per cent, turned clockwise on the screen about its centre, in pixels."""
    scale = np.array([width, height]) / 100
    low, high = np.reshape(numbers[:4], (2, 2)) * scale
    half, angle = (high - low) / 2, math.radians(numbers[4])
    signs = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)])
    turn = np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])
    return (signs * half) @ turn + (low + high) / 2


def test_an_answer_with_a_typing_error_for_a_box_is_not_trained(root: Path) -> None:
    def talk(question: str, answer: str) -> Record:
        return _record("conversation", turns=(Turn("user", question), Turn("assistant", answer)))

    render = RecordRenderer(CODEC, BUDGET, root)
    with pytest.raises(Rejected, match=r"answers with '\{<76><982><82><99>\|<28>\}'") as refused:
        render(talk("where is the pole ?", "At {<76><982><82><99>|<28>}."), np.random.default_rng(0))
    assert refused.value.reason == "box that cannot be"
    # What the image cuts, other lists of numbers and questions are left alone.
    for question, answer in (
        ("?", "{<90><11><154><26>}"),
        ("?", "In [1999, 2004, 2010, 2016]."),
        ("{<9><9><1><1>}?", "no"),
    ):
        assert render(talk(question, answer), np.random.default_rng(0))["messages"]


def test_a_sample_depends_on_its_generator_alone(root: Path) -> None:
    renderer = RecordRenderer(CODEC, BUDGET, root, RenderOptions(json_rate=0.5, resize_rate=0.5, synonym_rate=0.5))
    first = renderer(_detection(), np.random.default_rng(7))
    assert renderer(_detection(), np.random.default_rng(7)) == first


@pytest.mark.parametrize(
    ("record", "message"),
    [
        (_record("vqa", question="", answer="x"), "question"),
        (
            _record("segmentation", expression="water", objects=(Annotation((0, 0, 1, 1), "", "hbb"),)),
            "segmentation|polygon|mask",
        ),
        (_record("zoom", question="q", answer="a", regions=((900.0, 900.0, 950.0, 950.0),)), "shows nothing"),
    ],
)
def test_what_cannot_be_asked_is_refused(root: Path, record: Record, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        RecordRenderer(CODEC, BUDGET, root)(record, np.random.default_rng(0))


def test_rates_are_probabilities() -> None:
    with pytest.raises(ValueError, match="json_rate is 2"):
        RenderOptions(json_rate=2)
    with pytest.raises(ValueError, match="mode 'fixed'"):
        RecordRenderer(CODEC, PixelBudget(mode="fixed"), ".", RenderOptions(resize_rate=0.5))
