"""Conversations, questions, expressions and captions, each written as published."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from rscovlm.data.sources.choices import check_letter, split_choices
from rscovlm.records.record import Annotation, Turn
from tests.data.sources.layouts import chat, encoded, picture, read, text
from tests.shared_data import shared


def test_geochat_boxes_are_lifted_out_of_the_text(tmp_path: Path) -> None:
    picture(tmp_path, "final_images_llava/a.png", 200, 100)
    answer = "<p>a ship</p> {<10><20><30><40>|<90>}"
    rows = [
        {"id": "x", "image": "a.png", "conversations": chat("<image>\n[refer] where is the ship?", answer)},
        {"id": "x", "image": "a.png", "conversations": chat("What is this?\n<image>", "A port.")},
    ]
    text(tmp_path, "GeoChat_Instruct.json", rows)
    (first, second), _ = read("geochat", tmp_path)
    assert first.turns == (Turn("user", "<image>[refer] where is the ship?"), Turn("assistant", "a ship <box:0>"))
    assert first.objects == (Annotation((40, 30, 40, 20, 90), "a ship", "obb"),)
    assert second.turns[0].text == "What is this?\n<image>"


def test_conversations_that_cannot_be_are_counted(tmp_path: Path) -> None:
    picture(tmp_path, "images/a.png")
    good = {"id": 0, "image": "a.png", "conversations": chat("<image>\nWhat?", "A port.")}
    bad: list[Any] = [
        good | {"image": "../a.png"},
        good | {"image": "b.png"},
        good | {"conversations": chat("<image>\n<image>\nWhat?", "A port.")},
        good | {"conversations": [{"from": "gpt", "value": "A port."}]},
        good | {"conversations": chat("<image>\nWhat?", "  ")},
        good | {"conversations": [{"from": "robot", "value": "Hm"}]},
        {"id": 1, "conversations": None},
        "nothing",
    ]
    text(tmp_path, "GeoChat_Instruct.json", [good, *bad])
    rows, tally = read("geochat", tmp_path, limit=0.9)
    assert len(rows) == 1
    assert tally.seen == 1 + len(bad)
    assert tally.dropped == {
        "unsafe path": 1,
        "missing file": 1,
        "image marks do not match": 1,
        "answer without a question": 1,
        "empty answer": 1,
        "unknown role": 1,
        "malformed row": 2,
    }
    assert any("GeoChat_Instruct.json, row 2" in place for place in tally.places["unsafe path"])


def test_teochatlas_keeps_times_and_one_mark_an_image(tmp_path: Path) -> None:
    frames = [picture(tmp_path, f"TEOChatlas/train/xBD/{time}.png", 200, 100) for time in ("pre", "post")]
    row = {
        "id": "7",
        "video": frames,
        "timestamp": ["2017-01-02", "2018-03-04"],
        "task": "damage",
        "conversations": chat("<video>\nFind damage.", "[10, 20, 30, 40]"),
    }
    text(tmp_path, "TEOChatlas/train/instruct_xBD.json", [row])
    text(
        tmp_path,
        "TEOChatlas/eval/xBD_Change_Detection.json",
        [row, row | {"id": "8", "video": frames[:1], "timestamp": []}],
    )
    (record,), _ = read("teochatlas-xbd", tmp_path)
    assert [image.time for image in record.images] == ["2017-01-02", "2018-03-04"]
    assert record.turns[0].text == "<image><image>Find damage."
    assert record.objects == (Annotation((20, 20, 60, 40), "", "hbb"),)
    assert record.extra["task"] == "damage"
    rows, _ = read("teochatlas-xbd", tmp_path, "eval")
    assert [row.turns[0].text for row in rows] == ["<image><image>Find damage.", "<image>Find damage."]


def test_teochatlas_version_of_geochat(tmp_path: Path) -> None:
    picture(tmp_path, "geochat_data/images/a.png", 200, 100)
    row = {"video": ["a.png"], "conversations": chat("<video>\nIs there a ship at [10, 20, 30, 40]?", "Yes.")}
    text(tmp_path, "TEOChatlas/train/instruct_GeoChat_modified.json", [row])
    (record,), _ = read("teochatlas-geochat", tmp_path)
    assert record.turns[0].text == "<image>Is there a ship at <box:0>?"


def test_vhm_has_pictures_and_pure_text(tmp_path: Path) -> None:
    picture(tmp_path, "images/aid/a.jpg")
    rows = [
        {"id": 1, "image": "aid/a.jpg", "conversations": chat("<image>\nWhich class?", "Airport")},
        {"id": 2, "conversations": chat("What is GSD?", "Ground sample distance.")},
    ]
    text(tmp_path, "vhm_sft_mix_qwen2_5_vl_conversations.json", rows)
    (first, second), _ = read("vhm", tmp_path)
    assert first.images[0].width == 40
    assert second.images == ()


def test_vhm_in_its_folder_with_messages(tmp_path: Path) -> None:
    picture(tmp_path, "VHM_dataset_sft/images/aid/a.jpg")
    content = [{"type": "image", "image": "file://aid/a.jpg"}, {"type": "text", "text": "Which class?"}]
    rows = [[{"role": "user", "content": content}, {"role": "assistant", "content": "Airport"}]]
    text(tmp_path, "VHM_dataset_sft/vhm_sft_mix_qwen2_5_vl_conversations.json", rows)
    # What lies beside it is another data set's.
    text(tmp_path, "VHM_dataset_sft/other_conversations.json", rows)
    (record,), _ = read("vhm", tmp_path)
    assert record.images[0].path == "VHM_dataset_sft/images/aid/a.jpg"
    assert record.turns == (Turn("user", "<image>Which class?"), Turn("assistant", "Airport"))


def test_teochatlas_as_published_is_one_file(tmp_path: Path) -> None:
    frames = [picture(tmp_path, f"TEOChatlas/train/S2Looking/1{part}.png", 200, 100) for part in "AB"]
    single = picture(tmp_path, "TEOChatlas/train/GeoChat/a.png", 200, 100)
    row = {
        "id": "1",
        "dataset": "S2Looking",
        "task": "change_detection_detection",
        "video": frames,
        "timestamps": ["2019-02-01", "2018-01-01"],
        "conversations": chat("This is a pair: <video>\nWhat has changed?", "[10, 20, 30, 40]"),
    }
    other = row | {"dataset": "GeoChat", "video": [single], "timestamps": ["2018-01-01"]}
    text(tmp_path, "TEOChatlas/train/instruct.json", [row, other, row | {"dataset": "fMoW"}])
    (record,), tally = read("teochatlas-s2looking", tmp_path)
    assert [image.path for image in record.images] == frames[::-1]
    assert record.turns[0].text == "This is a pair:<image><image>What has changed?"
    assert record.objects == (Annotation((20, 20, 60, 40), "", "hbb"),)
    assert tally.aside == {"row of another data set": 2}
    (record,), _ = read("teochatlas-geochat", tmp_path)
    assert record.images[0].path == single


@pytest.mark.parametrize("kind", ["parquet", "arrow"])
def test_llava_onevision_has_pictures_and_pure_text(tmp_path: Path, kind: str) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    image = {"bytes": encoded(40, 30), "path": "a.png"}
    rows = [
        {"id": "1", "image": image, "conversations": chat("What is it?", "A cat."), "data_source": "x"},
        {"id": "2", "image": None, "conversations": chat("2 + 2?", "4"), "data_source": "x"},
        {"id": "3", "image": None, "conversations": chat("<image>\nWhat is it?", "?"), "data_source": "x"},
        {"id": "4", "image": image | {"bytes": b"no image"}, "conversations": chat("?", "!"), "data_source": "x"},
    ]
    table = pyarrow.Table.from_pylist(rows)
    if kind == "parquet":
        parquet.write_table(table, tmp_path / "train-00000-of-00001.parquet")
    else:
        with pyarrow.ipc.new_stream(str(tmp_path / "data-00000-of-00001.arrow"), table.schema) as stream:
            stream.write_table(table)
    (first, second), tally = read("llava-onevision", tmp_path, limit=0.5)
    assert first.turns[0].text == "<image>What is it?"
    assert (first.images[0].width, first.images[0].height) == (40, 30)
    assert second.images == ()
    assert tally.dropped == {"missing image": 1, "unreadable image": 1}


@pytest.mark.parametrize("top", ["", "refGeo/"])
def test_refgeo_by_split_with_masks(tmp_path: Path, top: str) -> None:
    root, tmp_path = tmp_path, tmp_path / top
    for dataset in ("avvg", "rsvg"):
        picture(tmp_path, f"images/{dataset}/a.jpg")
    picture(tmp_path, "masks/avvg/a_5.png")
    row = {"image_id": "a.jpg", "question": "the roof", "bbox": [1, 2, 11, 9], "image_width": 40, "image_height": 30}
    avvg = row | {"dataset": "avvg", "question_id": 5, "poly": [[1, 2], [11, 2], [11, 9], [1, 9]], "mask_exists": True}
    rsvg = row | {"dataset": "rsvg", "question_id": 5, "poly": [1, 2, 11, 2, 11, 9, 1, 9]}
    text(tmp_path, "metainfo_v2/avvg_train_v2.jsonl", [avvg, avvg | {"question_id": 6}])
    text(tmp_path, "metainfo_v2/rsvg_train_v2.jsonl", [rsvg])
    text(tmp_path, "metainfo/rsvg_val.jsonl", [rsvg])
    rows, tally = read("refgeo", root, limit=0.5)
    assert [row.id for row in rows] == ["avvg/5", "rsvg/5"]
    assert tally.dropped == {"missing file": 1}
    assert rows[0].objects[0].polygons == ((1, 2, 11, 2, 11, 9, 1, 9),)
    (val,), _ = read("refgeo", root, "val")
    assert val.objects[0].polygons == rows[0].objects[0].polygons


def test_refgeo_as_published_has_sizes_and_masks_of_its_files(tmp_path: Path) -> None:
    picture(tmp_path, "images/dior_rsvg/00001.jpg", 80, 60)
    picture(tmp_path, "masks/dior_rsvg/00001_7.png", 80, 60)
    row = {"image_id": "00001.jpg", "dataset": "dior_rsvg", "question": "the red roof", "bbox": [10, 20, 60, 50]}
    text(tmp_path, "metainfo/dior_rsvg_test.jsonl", [row | {"question_id": 7}, row | {"question_id": 8}])
    (first, second), _ = read("refgeo", tmp_path, "test")
    assert [(record.images[0].width, record.images[0].height) for record in (first, second)] == [(80, 60)] * 2
    assert [mask.path for mask in first.masks] == ["masks/dior_rsvg/00001_7.png"]
    assert second.masks == ()


def test_vrsbench_training_and_evaluation(tmp_path: Path) -> None:
    picture(tmp_path, "Images_train/a.png", 200, 100)
    picture(tmp_path, "Images_val/b.png", 200, 100)
    turns = chat("<image>\n[refer] where is <p>the ship</p>?", "{<10><20><30><40>}")
    text(tmp_path, "VRSBench_train.json", [{"id": 0, "image": "a.png", "conversations": turns}])
    base = {"image_id": "b.png", "question_id": 0}
    text(
        tmp_path,
        "VRSBench_EVAL_vqa.json",
        [base | {"question": "How many?", "ground_truth": "2", "type": "object quantity"}],
    )
    text(tmp_path, "VRSBench_EVAL_Cap.json", [base | {"question": "Describe.", "ground_truth": "A port."}])
    corner = json.dumps([0.1, 0.2, 0.3, 0.2, 0.3, 0.4, 0.1, 0.4])
    expression = {
        "question": "the ship",
        "ground_truth": "{<10><20><30><40>}",
        "obj_corner": corner,
        "obj_cls": "ship",
        "unique": True,
    }
    text(tmp_path, "VRSBench_EVAL_referring.json", [base | expression])
    (train,), _ = read("vrsbench", tmp_path)
    assert train.objects == (Annotation((20, 20, 60, 40), "", "hbb"),)
    rows, _ = read("vrsbench", tmp_path, "val")
    assert [row.task for row in rows] == ["vqa", "caption", "grounding"]
    assert rows[2].objects[0].box == (20, 20, 60, 40)
    assert rows[2].objects[0].polygons[0] == pytest.approx((20, 20, 60, 20, 60, 40, 20, 40))


def test_vrsbench_objects(tmp_path: Path) -> None:
    picture(tmp_path, "Images_train/a.png", 200, 100)
    item = {
        "obj_id": 0,
        "obj_cls": "ship",
        "obj_coord": [0.1, 0.2, 0.3, 0.4],
        "obj_corner": [0.1, 0.2, 0.3, 0.2, 0.3, 0.4, 0.1, 0.4],
    }
    row = {
        "image": "a.png",
        "caption": "A port.",
        "objects": [item | {"referring_sentence": "the only ship"}],
        "qa_pairs": [{"ques_id": 1, "question": "How many?", "type": "object quantity", "answer": "1"}],
    }
    text(tmp_path, "Annotations_train/a.json", row)
    rows, _ = read("vrsbench-objects", tmp_path)
    assert [row.task for row in rows] == ["grounding", "caption", "vqa"]
    assert rows[0].objects[0].box == pytest.approx((20, 20, 60, 40))
    assert rows[2].extra == {"type": "object quantity"}
    silent = {key: value for key, value in item.items() if key != "obj_coord"}
    text(tmp_path, "Annotations_train/b.json", row | {"objects": [silent | {"referring_sentence": "it"}, item]})
    rows, tally = read("vrsbench-objects", tmp_path, limit=0.5)
    assert rows[3].objects[0].box == pytest.approx((20, 20, 60, 40))
    assert tally.dropped == {"object without an expression": 1}


def test_vrsbench_chips_may_lack_any_part(tmp_path: Path) -> None:
    picture(tmp_path, "Images_train/Images_train/a.png", 200, 100)
    item = {"obj_cls": "ship", "obj_coord": [0.1, 0.2, 0.3, 0.4], "referring_sentence": "the ship", "is_unique": False}
    pair = {"question": "How many?", "answer": 1}
    chips: dict[str, dict[str, Any]] = {
        "caption": {"caption": "A port."},
        "empty": {"caption": "", "objects": [], "qa_pairs": None},
        "objects": {"objects": [item, {**item, "obj_id": 7}]},
        "questions": {"qa_pairs": [pair, {**pair, "ques_id": 9, "type": ""}]},
    }
    for name, row in chips.items():
        text(tmp_path, f"Annotations_train/Annotations_train/{name}.json", {"image": "a.png", **row})
    rows, tally = read("vrsbench-objects", tmp_path, limit=0.5)
    assert tally.dropped == {"nothing annotated": 1}
    assert [(row.id, row.task) for row in rows] == [
        ("caption/caption", "caption"),
        ("objects/ref0", "grounding"),
        ("objects/ref7", "grounding"),
        ("questions/qa0", "vqa"),
        ("questions/qa9", "vqa"),
    ]
    assert rows[0].captions == ("A port.",)
    (found,) = rows[1].objects
    assert (found.label, found.kind, found.polygons) == ("ship", "hbb", ())
    assert found.box == pytest.approx((20, 20, 60, 40))
    assert rows[1].extra == {"unique": "False"}
    assert [(row.question, row.answer, row.extra) for row in rows[3:]] == [("How many?", "1", {})] * 2
    assert {row.images[0].path for row in rows} == {"Images_train/Images_train/a.png"}


def test_vrsbench_evaluation_files_may_be_missing(tmp_path: Path) -> None:
    picture(tmp_path, "Images_val/b.png", 200, 100)
    row = {"image_id": "b.png", "question_id": 4, "question": "the ship", "ground_truth": "{<10><20><30><40>}"}
    two = {**row, "question_id": 5, "ground_truth": "{<10><20><30><40>}{<1><2><3><4>}"}
    text(tmp_path, "VRSBench_EVAL_referring.json", [row, two])
    (found,), tally = read("vrsbench", tmp_path, "val", limit=0.6)
    assert (found.id, found.expression, found.extra) == (
        "referring/4#1",
        "the ship",
        {},
    )  # ids repeat, so the row is appended
    assert found.objects == (Annotation((20, 20, 60, 40), "", "hbb"),)
    assert tally.dropped == {"malformed box": 1}


@pytest.mark.parametrize(
    ("name", "prefix", "pictures"), [("rsvqa-lr", "LR_split", "Images_LR"), ("rsvqa-hr", "USGS_split", "Data")]
)
def test_rsvqa_joins_active_questions_with_answers(tmp_path: Path, name: str, prefix: str, pictures: str) -> None:
    picture(tmp_path, f"{pictures}/3.tif")
    row = {"img_id": 3, "type": "count", "active": True, "question": "How many?"}
    questions = [row | {"id": 1, "answers_ids": [9]}, row | {"id": 2, "answers_ids": [5]}, {"id": 3, "active": False}]
    answers = [{"id": 9, "question_id": 1, "answer": "4", "active": True}, {"id": 5, "answer": "1", "active": False}]
    text(tmp_path, f"{prefix}_test_questions.json", {"questions": questions})
    text(tmp_path, f"{prefix}_test_answers.json", {"answers": answers})
    (record,), tally = read(name, tmp_path, "test", limit=0.5)
    assert (record.id, record.answer, record.extra) == ("1", "4", {"type": "count"})
    assert tally.dropped == {"question without an answer": 1}


def test_lrs_vqa_zoom_open_and_multiple_choice(tmp_path: Path) -> None:
    picture(tmp_path, "LRS_VQA/images/train/a.png", 400, 300)
    boxes = {"crop_hbox": [[10, 20, 110, 120]], "rbox": [[20, 30, 60, 30, 60, 90, 20, 90]]}
    base = {"image": "a.png", "image_ori_width": 400, "image_ori_height": 300, "bbox_info": boxes}
    options = ["(A) red", "(B) blue", "(C) green", "(D) grey"]
    text(tmp_path, "LRS_VQA/annotations/train/open.json", [base | {"question": "Which colour?", "answer": "blue"}])
    choice = {"Text": "Which colour?", "Answer choices": options, "Ground truth": "B"}
    text(tmp_path, "LRS_VQA/annotations/train/mcq.json", [base | choice, base | choice | {"Ground truth": "E"}])
    (mcq, opened), tally = read("lrs-vqa-zoom", tmp_path, limit=0.5)
    assert opened.regions == ((10, 20, 110, 120),)
    assert opened.objects == (Annotation((20, 30, 60, 30, 60, 90, 20, 90)),)
    assert (mcq.choices, mcq.answer) == (("red", "blue", "green", "grey"), "B")
    assert tally.dropped == {"answer is no choice": 1}


def test_real_lrs_vqa_rows(tmp_path: Path) -> None:
    lines = shared("text/lrsvqa_sample.jsonl").read_text().splitlines()
    given = [json.loads(line) for line in lines]
    text(tmp_path, "LRS_VQA_merged.jsonl", given)
    for row in given:
        (tmp_path / row["image"]).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / row["image"]).touch()
    rows, _ = read("lrs-vqa", tmp_path, "test")
    assert [row.answer for row in rows] == [row["ground_truth"] for row in given]
    assert sum(bool(row.regions) for row in rows) == sum("hbox" in row for row in given)
    for row in rows:
        for region in row.regions:
            assert 0 <= region[0] < region[2] <= row.images[0].width
            assert 0 <= region[1] < region[3] <= row.images[0].height


def test_mme_realworld_takes_its_remote_sensing_part(tmp_path: Path) -> None:
    picture(tmp_path, "remote_sensing/a.png")
    row = {
        "Question_id": "perception/remote_sensing/count/0001",
        "Image": "a.png",
        "Text": "How many?",
        "Answer choices": ["(A) 1", "(B) 2", "(C) 3", "(D) 4", "(E) The image does not feature the ship."],
        "Ground truth": "D",
        "Category": "count",
        "Subtask": "Remote Sensing",
    }
    text(tmp_path, "MME_RealWorld.json", [row | {"Subtask": "OCR in the Wild"}, row])
    (record,), _ = read("mme-realworld-rs", tmp_path, "test")
    assert (record.answer, len(record.choices), record.extra) == ("D", 5, {"category": "count"})


def test_xlrs_bench_tells_the_task_by_its_columns(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    image = {"bytes": encoded(40, 30), "path": "a.png"}
    lite = {
        "index": 1,
        "question": "Which?",
        "multi-choice options": "(A) red\n(B) blue",
        "answer": "AB",
        "image": image,
    }
    ground = {"id": 2, "question": "the red roof", "bbox": [1.0, 2.0, 11.0, 9.0], "image": [image], "answer": ""}
    caption = {"id": 3, "question": "Describe.", "answer": ["A port.", ""], "image": image}
    for name, row in (("a", lite), ("b", ground), ("c", caption)):
        parquet.write_table(pyarrow.Table.from_pylist([row]), tmp_path / f"{name}.parquet")
    choice, expression, described = read("xlrs-bench", tmp_path, "test")[0]
    assert (choice.choices, choice.answer) == (("red", "blue"), "AB")
    assert expression.objects[0].box == (1, 2, 11, 9)
    assert described.captions == ("A port.",)


@pytest.mark.parametrize(
    "options", ["(A)red one (B) blue (C)no (D)", "A. red one\nB. blue\nC. no (D)", "A: red one B: blue C: no (D)"]
)
def test_choices_in_one_text_are_cut_at_their_letters(options: str) -> None:
    found = split_choices(options.replace(" (D)", ""))
    assert found == ("red one", "blue", "no")


@pytest.mark.parametrize("options", [["(B) x", "(A) y"], ["red", "blue"], "(A) x\n(C) y"])
def test_choices_out_of_order_are_refused(options: Any) -> None:
    with pytest.raises(ValueError, match="should begin with"):
        split_choices(options)


@pytest.mark.parametrize(("answer", "letters"), [("B", "B"), (" (b). ", "B"), ("A,C", "AC")])
def test_letters_are_read(answer: str, letters: str) -> None:
    assert check_letter(answer, ["w", "x", "y"]) == letters
    with pytest.raises(ValueError, match="not the letter"):
        check_letter("D", ["w", "x", "y"])
