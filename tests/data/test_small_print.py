"""Small print of formats: what is counted, numbered and refused beside the common case."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rscovlm.data.formats.coco import write_coco
from rscovlm.data.sources.chat import read_turns
from rscovlm.data.sources.labeltxt import parse_label_txt
from rscovlm.data.storage import read_records, write_jsonl
from rscovlm.records.record import Annotation, ImageRef, Record
from rscovlm.records.tally import Tally
from tests.data.sources.layouts import picture, read, text


def _record(number: int) -> Record:
    boxes = tuple(Annotation((i, 2, i + 3, 9), "ship", "hbb") for i in range(number + 1))
    image = ImageRef(f"{number}.png", width=40, height=30)
    return Record(str(number), "made", "train", "detection", (image,), objects=boxes, categories=("ship",))


def test_a_coco_file_numbers_its_objects_and_says_how_many_images_it_got(tmp_path: Path) -> None:
    tally = Tally(1.0)
    tally.keep(5)
    other = Record("x", "made", "train", "caption", (ImageRef("a.png"),), captions=("A port.",))
    assert write_coco([_record(0), other, _record(1)], tmp_path / "a.json", tally=tally) == 2
    found = json.loads((tmp_path / "a.json").read_text(encoding="utf-8"))["annotations"]
    assert [(one["id"], one["image_id"]) for one in found] == [(1, 1), (2, 2), (3, 2)]


def test_records_that_cannot_be_read_are_counted_where_a_tally_is_given(tmp_path: Path) -> None:
    write_jsonl([_record(0)], tmp_path / "a.jsonl")
    with (tmp_path / "a.jsonl").open("a", encoding="utf-8") as lines:
        lines.write("{}\n")
    tally = Tally(1.0)
    assert len(list(read_records(tmp_path / "a.jsonl", tally=tally))) == 1
    assert (tally.kept, tally.dropped.total()) == (1, 1)


@pytest.mark.parametrize("count", [6, 10, 12, 14])
def test_outlines_of_yolo_have_any_number_of_corners(tmp_path: Path, count: int) -> None:
    shares = [0.1 + 0.05 * (i % 7) + 0.01 * i for i in range(count)]
    picture(tmp_path, "images/train/a.png")
    text(tmp_path, "classes.txt", "ship\n")
    text(tmp_path, "labels/train/a.txt", f"0 {' '.join(map(str, shares))}\n")
    (row,), _ = read("yolo-obb", tmp_path)
    expected = [share * (30 if i % 2 else 40) for i, share in enumerate(shares)]
    assert row.objects[0].polygons[0] == pytest.approx(expected)


@pytest.mark.parametrize("name", ["0.97", "7", "ship 0.5", "1."])
def test_a_number_is_no_class_of_a_label_text(name: str) -> None:
    with pytest.raises(ValueError, match="line 1, .* is not 'x1 y1"):
        parse_label_txt([f"1 2 11 2 11 9 1 9 {name} 0"])


@pytest.mark.parametrize(("speaker", "role"), [("human", "user"), ("user", "user"), ("gpt", "assistant"), ("model", "assistant"), ("assistant", "assistant"), ("system", "system")])  # fmt: skip
def test_speakers_of_conversations_are_roles(speaker: str, role: str) -> None:
    assert read_turns([{"from": speaker, "value": "Well."}], 0)[0].role == role
