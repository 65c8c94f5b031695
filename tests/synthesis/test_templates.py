"""Template questions: every answer follows from the boxes, counted again another way."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rscovlm.codec.categories import plural, spoken
from rscovlm.records.record import Annotation, ImageRef, Record
from rscovlm.synthesis import TemplateConfig, UniqueConfig, template_questions, unique_targets
from rscovlm.synthesis.unique import padded_region
from rscovlm.synthesis.wording import wording
from rscovlm.tasks.table import problems as problems_of

SIDE = 900


def _record(seed: int, counts: dict[str, int], number: int = 0) -> Record:
    rng = np.random.default_rng(seed)
    items = []
    for label, count in counts.items():
        for x, y in rng.uniform(0, SIDE - 20, (count, 2)).tolist():
            items.append(Annotation((x, y, x + 20, y + 10), label, "hbb"))
    image = ImageRef("a.png", width=SIDE, height=SIDE)
    return Record(
        f"r{seed}-{number}", "made", "train", "detection", (image,), objects=tuple(items), categories=tuple(counts)
    )


def _inside(record: Record, cell: str, label: str) -> int:
    row, column = divmod(wording()["cells"].index(cell), 3)
    third = SIDE / 3
    centres = [((i.box[0] + i.box[2]) / 2, (i.box[1] + i.box[3]) / 2) for i in record.objects if i.label == label]
    return sum(int(x // third) == column and int(y // third) == row for x, y in centres)


@settings(max_examples=60)
@given(st.integers(0, 10**6), st.integers(0, 25), st.integers(0, 25))
def test_every_answer_is_what_the_boxes_say(seed: int, ships: int, planes: int) -> None:
    record = _record(seed, {"ship": ships, "small-plane": planes})
    totals = {"ships": ships, "small planes": planes}
    labels = {"ships": "ship", "small planes": "small-plane"}
    for made in template_questions([record], TemplateConfig(per_image=50)):
        assert problems_of(made) == []
        named = re.findall(r"ships|small planes", made.question)
        cells = re.findall("|".join(sorted(wording()["cells"], key=len, reverse=True)), made.question)
        counts = [_inside(record, cells[0], labels[name]) if cells else totals[name] for name in named]
        if made.extra["category"] == "count":
            assert made.answer == str(counts[0]) == str(len(made.objects))
        elif len(cells) == 2:
            first, second = (_inside(record, cell, labels[named[0]]) for cell in cells)
            assert made.answer == (cells[0] if first > second else cells[1])
            assert len(made.objects) == first + second
        else:
            assert made.answer == ("yes" if counts[0] > counts[1] else "no")
            assert len(made.objects) == sum(counts)
        for item in made.objects:
            middle = (item.box[0] + item.box[2]) / 2, (item.box[1] + item.box[3]) / 2
            assert any(r[0] <= middle[0] <= r[2] and r[1] <= middle[1] <= r[3] for r in made.regions)


def test_sparse_classes_are_asked_whole_and_dense_ones_by_cell() -> None:
    config = TemplateConfig(per_image=100)
    sparse = [
        made for made in template_questions([_record(1, {"ship": 8})], config) if made.extra["category"] == "count"
    ]
    dense = [
        made for made in template_questions([_record(1, {"ship": 60})], config) if made.extra["category"] == "count"
    ]
    assert [made.regions for made in sparse] == [((0, 0, SIDE, SIDE),)]
    assert dense
    assert all(made.regions[0] != (0, 0, SIDE, SIDE) for made in dense)


def test_questions_depend_on_the_seed_and_the_record_alone() -> None:
    rows = [_record(i, {"ship": 5, "plane": 30}, i) for i in range(6)]
    config = TemplateConfig(per_image=3)
    forward = {made.id: made for made in template_questions(rows, config)}
    backward = {made.id: made for made in template_questions(rows[::-1], config)}
    assert forward == backward
    assert len(forward) <= 18
    assert forward != {made.id: made for made in template_questions(rows, TemplateConfig(per_image=3, seed=1))}


def test_answers_yes_and_no_are_balanced() -> None:
    rows = [_record(i, {"ship": 3, "plane": 6}, i) for i in range(300)]
    answers = [
        made.answer for made in template_questions(rows, TemplateConfig(per_image=50)) if made.answer in ("yes", "no")
    ]
    assert 0.42 < answers.count("yes") / len(answers) < 0.58


def test_boxes_on_a_border_and_difficult_classes_are_not_asked_about() -> None:
    image = ImageRef("a.png", width=SIDE, height=SIDE)
    crossing = tuple(Annotation((295, y, 305, y + 5), "ship", "hbb") for y in range(0, 250, 10))
    record = Record("b", "made", "train", "detection", (image,), objects=crossing, categories=("ship",))
    for made in template_questions([record], TemplateConfig(per_image=50, zero=0)):
        assert "top-left" not in made.question
        assert "top-center" not in made.question
    hard = (Annotation((5, 5, 9, 9), "ship", "hbb", difficult=True), Annotation((50, 50, 60, 60), "ship", "hbb"))
    record = Record("c", "made", "train", "detection", (image,), objects=hard, categories=("ship",))
    assert list(template_questions([record])) == []
    assert unique_targets(record) == []


def test_unique_targets_are_unique() -> None:
    boxes = {"plane": [(100, 100, 140, 120)], "ship": [(10, 10, 30, 20), (400, 400, 520, 470), (600, 800, 620, 810)]}
    items = tuple(Annotation(box, label, "hbb") for label, rows in boxes.items() for box in rows)
    image = ImageRef("a.png", width=SIDE, height=SIDE)
    record = Record("u", "made", "train", "detection", (image,), objects=items, categories=tuple(boxes))
    found = {target.reference: target.index for target in unique_targets(record)}
    assert found == {"the plane": 0, "the top-most ship": 1, "the bottom-most ship": 3, "the largest ship": 2}
    close = tuple(Annotation((x, 10, x + 20, 30), "ship", "hbb") for x in (100, 110, 120))
    record = Record("v", "made", "train", "detection", (image,), objects=close, categories=("ship",))
    assert unique_targets(record) == []


@settings(max_examples=100)
@given(st.tuples(*[st.floats(0, 880)] * 2, *[st.floats(1, 500)] * 2), st.floats(0, 5))
def test_regions_hold_their_target_and_stay_inside(values: tuple[float, float, float, float], margin: float) -> None:
    x, y, w, h = values
    bounds = (x, y, min(SIDE, x + w), min(SIDE, y + h))
    region = padded_region(bounds, (SIDE, SIDE), UniqueConfig(margin=margin))
    assert 0 <= region[0] <= bounds[0] + 1
    assert 0 <= region[1] <= bounds[1] + 1
    assert bounds[2] - 1 <= region[2] <= SIDE
    assert bounds[3] - 1 <= region[3] <= SIDE
    assert min(region[2] - region[0], region[3] - region[1]) >= 223


@pytest.mark.parametrize(
    ("label", "one", "many"), [("storage-tank", "storage tank", "storage tanks"), ("Bus", "bus", "buses")]
)
def test_names_are_spoken(label: str, one: str, many: str) -> None:
    assert (spoken(label), plural(spoken(label))) == (one, many)
