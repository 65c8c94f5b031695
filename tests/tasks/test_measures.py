"""Figures of each task from several answers that differ, worked out by hand; and what a task says of itself."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from PIL import Image

from rscovlm.codec.dialect import Dialect
from rscovlm.geometry import Boxes, Frame, Objects
from rscovlm.mixtures.scene_records import image_of
from rscovlm.records import Annotation, Record, Turn
from rscovlm.tasks import task_of, tasks
from rscovlm.tasks.describe import expressions_of
from rscovlm.tasks.detect import question as detect_question
from rscovlm.tasks.ground import question as ground_question
from rscovlm.tasks.task import Answered, Question, Task
from rscovlm.tasks.wanted import Wanted
from rscovlm.tasks.words import WordAnswer
from tests.tasks.test_one_home import IMAGE, SIZE, rendered, words

DIALECT = Dialect.preset("rscovlm-v1")
SEEN = Frame(200, 120)


def _true(*boxes: tuple[float, ...], labels: tuple[str, ...] = ()) -> Objects:
    return Objects(Boxes(np.array(boxes, dtype=float), "hbb", SEEN), labels or ("ship",) * len(boxes))


def _answer(*boxes: tuple[int, ...]) -> str:
    return "".join(f"{','.join(map(str, box))} ship\n" for box in boxes)


def test_grounding_counts_the_first_box_of_each_answer() -> None:
    true = _true((10, 20, 50, 40), (120, 70, 190, 110))
    right, second, none = _answer((10, 20, 50, 40)), _answer((120, 70, 190, 110)), "There are none."
    assert _figure("grounding", [(right, true)]) == 1.0
    assert _figure("grounding", [(second, true)]) == 0.0
    assert _figure("grounding", [(right + second, true)]) == 1.0
    assert _figure("grounding", [(second + right, true)]) == 0.0
    assert _figure("grounding", [(right, true), (none, true), (right, true), (second, true)]) == 0.5


def test_detection_pools_images_and_passes_over_what_has_no_boxes() -> None:
    true = _true((10, 20, 50, 40), (120, 70, 190, 110))
    both, one = _answer((10, 20, 50, 40), (120, 70, 190, 110)), _answer((120, 70, 190, 110))
    assert _figure("detection", [(both, true)]) == pytest.approx(1.0)
    # Three of four are found, and nothing else: of the eleven recalls of VOC 2007, 0 to 0.7 are reached.
    assert _figure("detection", [(both, true), (one, true)]) == pytest.approx(8 / 11)
    answered = Answered("A harbour.", "A harbour.")
    figures = task_of("detection").measure([Answered(both, both, true, SEEN), answered], DIALECT)
    assert figures == task_of("detection").measure([Answered(both, both, true, SEEN)], DIALECT)


def _figure(task: str, pairs: list[tuple[str, Objects]]) -> float:
    (figure,) = task_of(task).measure([Answered(text, text, true, SEEN) for text, true in pairs], DIALECT).values()
    return figure


@pytest.mark.parametrize(
    ("text", "expression"),
    [
        ("This is the red ship near the pier.\nIt is long.", "red ship near the pier"),
        ("X-shaped taxiway.", "X-shaped taxiway"),
        (" . The X.", "X"),
        ("There is an old crane . ", "old crane"),
        ("It is a tank", "tank"),
        ("The object is A ship", "ship"),
        ("isthmus", "isthmus"),
        ("", ""),
    ],
)
def test_an_answer_becomes_an_expression(text: str, expression: str) -> None:
    assert expressions_of([WordAnswer(text)]) == [expression]


def test_a_mask_of_three_times_is_trained_once() -> None:
    pixels = np.zeros((SIZE[1], SIZE[0]), np.uint8)
    pixels[40:90, 120:250] = 1
    pictures = tuple(image_of(IMAGE) for _ in range(3))
    masked = Record("1", "mine", "train", "change", pictures, masks=(image_of(Image.fromarray(pixels)),))
    (area,) = rendered(masked, DIALECT)["areas"]
    assert area.box.coords[0] == pytest.approx([120, 40, 250, 90], abs=1)


def test_tasks_say_which_of_them_need_coordinates() -> None:
    """A server whose model writes boxes in a way that nobody stated is asked for none of these."""
    located = {name for name, task in tasks().items() if task.places(Wanted(zoom=False))}
    assert located == {"detect", "ground", "count", "segment", "change", "conditions"}
    closer = {name for name, task in tasks().items() if task.places(Wanted(zoom=True))}
    assert closer - located == {"ask"}


BOXES = (
    Annotation((10, 20, 50, 40.006), "storage-tank", "hbb"),
    Annotation((120, 70, 190, 70, 190, 110, 120, 110), "plane", "quad", difficult=True),
)
TRUTHS = [
    ("vqa", {"answer": "two"}, {"answer": "two"}),
    ("vqa", {"answer": "B", "choices": ("one", "two")}, {"answer": "B", "choices": ["one", "two"]}),
    ("counting", {"answer": "2", "categories": ("ship",)}, {"answer": "2"}),
    ("classification", {"classes": ("storage-tank", "Port")}, {"answer": "storage tank, port"}),
    ("caption", {"captions": ("A port.", "Ships.")}, {"captions": ["A port.", "Ships."]}),
    ("change", {"captions": ("A new pier.",)}, {"captions": ["A new pier."]}),
    ("change", {"objects": BOXES}, {}),
    ("segmentation", {"expression": "the pier", "objects": BOXES}, {}),
    ("grounding", {"expression": "x", "objects": BOXES[1:]}, {"box": list(BOXES[1].box), "kind": "quad"}),
    ("conversation", {"turns": (Turn("user", "?"), Turn("assistant", "No."))}, {"answer": "No."}),
    (
        "detection",
        {"objects": BOXES, "categories": ("plane", "storage-tank")},
        {
            "boxes": [[10, 20, 50, 20, 50, 40.01, 10, 40.01], [120, 70, 190, 70, 190, 110, 120, 110]],
            "labels": ["storage-tank", "plane"],
            "difficult": [0, 1],
        },
    ),
]


@pytest.mark.parametrize(("task", "fields", "truth"), TRUTHS)
def test_what_is_true_is_stated_by_the_task(task: str, fields: dict[str, object], truth: dict[str, object]) -> None:
    record = Record("1", "mine", "train", task, (image_of(IMAGE),), **fields)  # type: ignore[arg-type]
    assert task_of(task).truth(record, (200, 120)) == truth


def test_what_has_words_before_any_dialect_has_turns() -> None:
    choice = Record("1", "mine", "train", "vqa", question="Which?", answer="B", choices=("a ship", "a plane"))
    assert task_of("vqa").turns(choice) == (
        Turn("user", "Which?\n(A) a ship\n(B) a plane"),
        Turn("assistant", "B"),
    )
    assert task_of("detection").turns(choice) is None


ASKED = [
    ("vqa", {"question": "How many?", "answer": "two"}),
    ("classification", {"classes": ("Port",), "categories": ()}),
    ("caption", {"captions": ("A port.",)}),
    ("counting", {"answer": "2", "categories": ("storage-tank",)}),
    ("detection", {"objects": BOXES, "categories": ("plane", "storage-tank")}),
    ("grounding", {"expression": "The pier", "objects": BOXES[:1]}),
    ("region_caption", {"expression": "The pier", "objects": BOXES[:1]}),
    ("geolocation", {"answer": "Hamburg", "extra": {"latitude": "53.5", "longitude": "10"}}),
    ("conditions", {"expression": "the largest ship", "objects": BOXES[:1]}),
]


@pytest.mark.parametrize("preset", ["rscovlm-v1", "qwen3-vl", "geochat"])
@pytest.mark.parametrize(("task", "fields"), ASKED)
def test_what_is_asked_about_a_record_is_what_it_trains(task: str, fields: dict[str, object], preset: str) -> None:
    """Benchmarks ask through `asks`, and training renders through `example`."""
    record, dialect = Record("1", "mine", "train", task, (image_of(IMAGE),), **fields), Dialect.preset(preset)  # type: ignore[arg-type]
    if type(task_of(task)).asks is Task.asks:
        with pytest.raises(ValueError, match="trained but not asked by itself"):
            task_of(task).asks(record, dialect)
        return
    sample = rendered(record, dialect)
    assert words(task_of(task).asks(record, dialect).messages([None])) == words(sample["messages"])[:-1]
    if task_of(task).boxed:
        asked = task_of(task).asks_in(record, dialect, "hbb")
        assert asked == {"detection": ask_all, "grounding": ask_one}[task](dialect, fields)


def ask_all(dialect: Dialect, fields: Any) -> Question:
    return detect_question(dialect, fields["categories"], kind="hbb")


def ask_one(dialect: Dialect, fields: Any) -> Question:
    return ground_question(dialect, fields["expression"], kind="hbb")


def test_outlines_are_asked_where_nothing_else_tells_what_changed() -> None:
    pair = (image_of(IMAGE), image_of(IMAGE))
    told = Record("1", "mine", "train", "change", pair, captions=("A new pier.",), objects=BOXES)
    drawn = Record("1", "mine", "train", "change", pair, expression="the pier", objects=BOXES)
    area = Record("1", "mine", "train", "segmentation", pair[:1], categories=("ship", "plane"))
    assert [task_of(one.task).outlines(one) for one in (told, drawn, area)] == [False, True, True]
    texts = [task_of(one.task).asks(one, DIALECT).user for one in (told, drawn, area)]
    assert texts == [
        DIALECT.ask("caption_change").user,
        "outline what changed between the images: pier",
        "segment the plane, ship",
    ]
