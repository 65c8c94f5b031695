"""Test sets of benchmarks: pictures whose labels are not published, and questions with their classes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from rscovlm.codec import Codec
from rscovlm.mixtures.renderer import RecordRenderer
from rscovlm.processing import PixelBudget
from rscovlm.records.tally import Rejected
from tests.data.sources.layouts import chat, picture, read, text

BUDGET = PixelBudget(min_pixels=112 * 112, max_pixels=560 * 560)


@pytest.mark.parametrize("name", ["dota-v1.0", "dota-v1.5", "dota-v2.0", "fair1m"])
def test_pictures_without_published_labels_are_there_to_be_predicted(tmp_path: Path, name: str) -> None:
    for stem in ("P0006", "P0009"):
        picture(tmp_path, f"test/images/{stem}.png")
    rows, _ = read(name, tmp_path, "test")
    assert [row.id for row in rows] == ["P0006", "P0009"]
    assert all(row.extra["labels"] == "not published" and not row.objects and row.categories for row in rows)
    renderer = RecordRenderer(Codec.preset("rscovlm-v1"), BUDGET, tmp_path)
    with pytest.raises(Rejected, match="has no labels: predict it") as refused:
        renderer(rows[0], np.random.default_rng(0))
    assert refused.value.reason == "labels not published"
    with pytest.raises(Rejected, match="has no labels"):
        renderer.together(rows[:1], np.random.default_rng(0))


@pytest.mark.parametrize(
    ("name", "file", "pictures"),
    [("geochat-aid", "aid.jsonl", "AID"), ("geochat-ucmerced", "UCmerced.jsonl", "UCMerced_LandUse/Images")],
)
def test_geochats_scenes_have_the_class_of_their_id(tmp_path: Path, name: str, file: str, pictures: str) -> None:
    rows = []
    for label in ("BareLand", "Port"):
        picture(tmp_path, f"{pictures}/{label}/1.png")
        rows.append(
            {"question_id": f"{label}/1.png", "image": f"{label}/1.png", "text": "Which?", "ground_truth": label}
        )
    text(tmp_path, file, [*rows, rows[0] | {"question_id": 7}])
    found, tally = read(name, tmp_path, "test", limit=0.5)
    assert [row.classes for row in found] == [("bare land",), ("port",)]
    assert {row.categories for row in found} == {("bare land", "port")}
    assert tally.dropped == {"no class": 1}


@pytest.mark.parametrize("top", ["", "datasets_eval/"])
@pytest.mark.parametrize(
    ("name", "file", "answer"),
    [("vhm-scenes", "cls_AID", "airport"), ("vhm-rsvqa", "RSVQA_LR-rural_urban_RSVQA", "rural")],
)
def test_vhms_test_sets_are_questions(tmp_path: Path, top: str, name: str, file: str, answer: str) -> None:
    picture(tmp_path, f"{top}AID/a.jpg")
    row = {"id": 3, "image": "a.jpg", "image_path": "AID", "conversations": chat("Which?\nOne word.", answer)}
    text(tmp_path, f"{top}{file}.json", [row, row | {"conversations": chat("?", "!") * 2}])
    (record,), tally = read(name, tmp_path, "test", limit=0.5)
    assert (record.question, record.answer, record.extra) == ("Which?\nOne word.", answer, {"set": file})
    assert record.images[0].path == f"{top}AID/a.jpg"
    assert tally.dropped == {"not one question": 1}
