"""Each interchange format read and written again says the same, and a bad row is named."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from rscovlm.data.formats import read_coco, read_messages, read_refgeo, write_coco, write_messages, write_refgeo
from rscovlm.geometry.kinds import Kind
from rscovlm.records.jsonfiles import read_items
from rscovlm.records.record import Annotation, ImageRef, Record, Turn
from rscovlm.records.tally import Tally

IMAGE = ImageRef("images/a.png", width=64, height=48)
QUAD = (1.0, 2.0, 11.5, 2.0, 11.5, 9.0, 1.0, 9.0)


def _write(path: Path, rows: list[Any]) -> Path:
    path.write_text("\n".join(json.dumps(row) for row in rows) if path.suffix == ".jsonl" else json.dumps(rows))
    return path


def _user(*parts: Any) -> dict[str, Any]:
    return {
        "role": "user",
        "content": [{"type": "text", "text": part} if isinstance(part, str) else part for part in parts],
    }


def _assistant(text: str) -> dict[str, Any]:
    return {"role": "assistant", "content": [{"type": "text", "text": text}]}


PICTURE = {"type": "image", "image": "images/a.png", "width": 64, "height": 48}


def test_messages_are_identical_after_reading_and_writing(tmp_path: Path) -> None:
    lines = [
        {"id": "1", "messages": [_user(PICTURE, "How many?"), _assistant("Two."), _user("Sure?"), _assistant("Yes.")]},
        {"id": "2", "messages": [_user("before ", PICTURE, " after ", PICTURE), _assistant("ok")]},
        {
            "id": "3",
            "messages": [_user({"type": "image", "image": "data:image/png;base64,iVBORw=="}, "?"), _assistant("!")],
        },
        {
            "id": "4",
            "messages": [
                {"role": "system", "content": [{"type": "text", "text": "Be brief."}]},
                _user("Hi"),
                _assistant("Hi"),
            ],
        },
    ]
    path = _write(tmp_path / "a.jsonl", lines)
    assert write_messages(read_messages(path), tmp_path / "b.jsonl") == 4
    assert [json.loads(line) for line in (tmp_path / "b.jsonl").read_text().splitlines()] == lines


@pytest.mark.parametrize(
    ("form", "options", "kind"),
    [
        ("PNG", {}, "png"),
        ("JPEG", {}, "jpeg"),
        ("GIF", {}, "gif"),
        ("WEBP", {}, "webp"),
        ("BMP", {}, "bmp"),
        ("JPEG2000", {}, "jp2"),
        ("TIFF", {}, "tiff"),
        ("TIFF", {"big_tiff": True}, "tiff"),
    ],
)
def test_a_picture_in_a_record_is_written_under_its_own_form(
    form: str, options: dict[str, Any], kind: str, tmp_path: Path
) -> None:
    """BigTIFF, JPEG 2000 and BMP were called PNG."""
    memory = io.BytesIO()
    Image.new("RGB", (8, 6)).save(memory, form, **options)
    image, turns = ImageRef(data=memory.getvalue()), (Turn("user", "What?"), Turn("assistant", "Black."))
    write_messages([Record("1", "mine", "train", "conversation", (image,), turns=turns)], tmp_path / "a.jsonl")
    assert f'"data:image/{kind};base64,' in (tmp_path / "a.jsonl").read_text()
    assert next(read_messages(tmp_path / "a.jsonl")).images[0].data == memory.getvalue()


@pytest.mark.parametrize("suffix", ["json", "jsonl"])
def test_messages_in_other_writings_are_read(tmp_path: Path, suffix: str) -> None:
    bare = [
        {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "file://images/a.png"}}]},
        _assistant("A field."),
    ]
    plain = {
        "messages": [{"role": "developer", "content": "Be brief."}, {"role": "user", "content": "Hi"}, _assistant("Hi")]
    }
    first, second = read_messages(_write(tmp_path / f"a.{suffix}", [bare, plain]))
    assert first.images == (ImageRef("images/a.png"),)
    assert first.turns == (Turn("user", "<image>"), Turn("assistant", "A field."))
    assert [turn.role for turn in second.turns] == ["system", "user", "assistant"]


def test_boxes_in_messages_become_objects_and_numbers_again(tmp_path: Path) -> None:
    line = {
        "id": "1",
        "messages": [_user(PICTURE, "What is at [8, 6, 32.5, 24]?"), _assistant("A ship at [8, 6, 32.5, 24].")],
    }
    (record,) = read_messages(_write(tmp_path / "a.jsonl", [line]), scale=0)
    assert record.objects == (Annotation((8, 6, 32.5, 24), kind="hbb"),)
    assert record.turns[1].text == "A ship at <box:0>."
    write_messages([record], tmp_path / "b.jsonl")
    assert json.loads((tmp_path / "b.jsonl").read_text()) == line


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"messages": [_user({"type": "image", "image": "file:///etc/passwd"})]}, "absolute"),
        ({"messages": [_user({"type": "image", "image": "http://x/a.png"})]}, "scheme"),
        ({"messages": [_user({"type": "video", "video": "a.mp4"})]}, "video"),
        ({"messages": [{"role": "robot", "content": "Hi"}]}, "robot"),
        ({"conversation": []}, "messages"),
        ("not json {", "is no object"),
    ],
)
def test_bad_messages_are_named_or_counted(tmp_path: Path, row: Any, message: str) -> None:
    path = tmp_path / "a.jsonl"
    good = json.dumps({"messages": [_user("Hi"), _assistant("Hi")]})
    path.write_text(f"{good}\n{row if isinstance(row, str) else json.dumps(row)}\n{good}\n")
    with pytest.raises(ValueError, match=f"(?s)a.jsonl, row 2.*{message}|{message}.*row 2"):
        list(read_messages(path))
    tally = Tally()
    assert len(list(read_messages(path, tally=tally))) == 2
    assert (tally.kept, tally.dropped.total()) == (2, 1)


def test_tasks_without_wording_are_not_written_silently(tmp_path: Path) -> None:
    caption = Record("7", "s", "train", "caption", (IMAGE,), captions=("A field.",))
    question = Record("8", "s", "train", "vqa", (IMAGE,), question="Which?", answer="B", choices=("one", "two"))
    with pytest.raises(ValueError, match="record '7'.*render it first"):
        write_messages([caption], tmp_path / "a.jsonl")
    tally = Tally(0.5)
    assert write_messages([caption, question], tmp_path / "a.jsonl", tally=tally) == 1
    assert tally.dropped == {"task without wording": 1}
    content = json.loads((tmp_path / "a.jsonl").read_text())["messages"][0]["content"]
    assert content == [PICTURE, {"type": "text", "text": "Which?\n(A) one\n(B) two"}]


def _coco() -> dict[str, Any]:
    images = [{"id": i, "file_name": f"{i}.jpg", "width": 64, "height": 48} for i in (5, 9)]
    crowd = {"counts": [1, 2], "size": [48, 64]}
    objects = [
        {
            "id": 1,
            "image_id": 5,
            "category_id": 90,
            "bbox": [1, 2, 10.5, 7],
            "segmentation": [list(QUAD)],
            "iscrowd": 0,
        },
        {"id": 2, "image_id": 5, "category_id": 3, "bbox": [0, 0, 4, 4], "segmentation": crowd, "iscrowd": 1},
    ]
    return {
        "images": images,
        "annotations": objects,
        "categories": [{"id": 3, "name": "car"}, {"id": 90, "name": "ship"}],
    }


def test_coco_boxes_are_corners_and_empty_images_stay(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text(json.dumps(_coco()))
    first, second = read_coco(path, images="val2017")
    assert first.images == (ImageRef("val2017/5.jpg", width=64, height=48),)
    assert first.objects[0] == Annotation((1, 2, 11.5, 9), "ship", "hbb", polygons=(QUAD,))
    crowd = (0.0, 1.0, 1.0, 1.0, 1.0, 3.0, 0.0, 3.0)
    assert first.objects[1] == Annotation((0, 0, 4, 4), "car", "hbb", difficult=True, polygons=(crowd,))
    assert second.objects == ()
    assert second.categories == ("car", "ship")
    with pytest.raises(ValueError, match="no single four-point polygon"):
        list(read_coco(path, kind="quad"))


kinds: st.SearchStrategy[Kind] = st.sampled_from(["hbb", "quad"])
coordinate = st.integers(0, 60).map(lambda value: value / 2)


@st.composite
def detections(draw: st.DrawFn) -> list[Record]:
    kind = draw(kinds)
    rows = []
    for number in range(draw(st.integers(1, 4))):
        boxes = []
        for _ in range(draw(st.integers(0, 3))):
            x, y, w, h = (draw(coordinate) for _ in range(4))
            corners = (x, y, x + w, y + h) if kind == "hbb" else (x, y, x + w, y, x + w, y + h, x, y + h + 1)
            boxes.append(Annotation(corners, draw(st.sampled_from(["car", "ship"])), kind, draw(st.booleans())))
        rows.append(
            Record(
                f"r{number}", "coco", "train", "detection", (IMAGE,), objects=tuple(boxes), categories=("ship", "car")
            )
        )
    return rows


@settings(max_examples=25)
@given(rows=detections())
def test_detections_come_back_from_coco(tmp_path_factory: pytest.TempPathFactory, rows: list[Record]) -> None:
    path = tmp_path_factory.mktemp("coco") / "a.json"
    assert write_coco(rows, path) == len(rows)
    assert list(read_coco(path)) == rows


def test_bad_coco_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text("{")
    with pytest.raises(ValueError, match=r"a\.json is not JSON"):
        list(read_coco(path))
    path.write_text(json.dumps({"images": []}))
    with pytest.raises(ValueError, match=r"a\.json is not COCO"):
        list(read_coco(path))
    content = _coco()
    content["annotations"][0]["category_id"] = 4
    content["annotations"].append({"image_id": 1000, "category_id": 3, "bbox": [0, 0, 1, 1]})
    path.write_text(json.dumps(content))
    tally = Tally()
    assert len(list(read_coco(path, tally=tally))) == 1
    assert tally.dropped == {"unknown class": 1, "object on no image": 1}
    with pytest.raises(ValueError, match="image 1"):
        list(read_coco(path))


def test_refgeo_is_identical_after_reading_and_writing(tmp_path: Path) -> None:
    poly = [[1.0, 2.0], [11.5, 2.0], [11.5, 9.0], [1.0, 9.0]]
    size = {"image_width": 64, "image_height": 48}
    lines: list[dict[str, Any]] = [
        {
            "image_id": "a.jpg",
            "dataset": "avvg",
            "question": 'the "red" roof',
            "question_id": 7,
            "bbox": [1.0, 2.0, 11.5, 9.0],
        },
        {
            "image_id": "b.jpg",
            "dataset": "rsvg",
            "question": "a car",
            "question_id": "v-3",
            "bbox": [1.0, 2.0, 11.5, 9.0],
        },
    ]
    lines[0] |= size | {"poly": poly, "mask_exists": True}
    lines[1] |= size
    first, second = records = list(read_refgeo(_write(tmp_path / "a.jsonl", lines), prefix="refGeo/"))
    assert first.objects == (Annotation((1, 2, 11.5, 9), 'the "red" roof', "hbb", polygons=(QUAD,)),)
    assert first.masks[0].path == "refGeo/masks/avvg/a_7.png"
    assert second.images[0].path == "refGeo/images/rsvg/b.jpg"
    assert write_refgeo(records, tmp_path / "b.jsonl") == 2
    assert [json.loads(line) for line in (tmp_path / "b.jsonl").read_text().splitlines()] == lines


def test_refgeo_lines_that_mean_nothing_are_named(tmp_path: Path) -> None:
    row = {
        "image_id": "../a.jpg",
        "dataset": "x",
        "question": "?",
        "question_id": 1,
        "bbox": [0, 0, 1, 1],
        "image_width": 1,
    }
    with pytest.raises(ValueError, match=r"a\.jsonl, row 1: there is no 'bbox'"):
        list(
            read_refgeo(
                _write(tmp_path / "a.jsonl", [{key: row[key] for key in row if key != "bbox"} | {"image_id": "a.jpg"}])
            )
        )
    with pytest.raises(ValueError, match="climbs"):
        list(read_refgeo(_write(tmp_path / "a.jsonl", [row | {"image_height": 1}])))
    two = Record("1", "s", "t", "grounding", (IMAGE,), expression="x", objects=(Annotation(QUAD), Annotation(QUAD)))
    with pytest.raises(ValueError, match="2 objects"):
        write_refgeo([two], tmp_path / "b.jsonl")
    one = replace(two, objects=(Annotation((20, 20, 10, 4, 90), kind="obb"),))
    write_refgeo([one], tmp_path / "b.jsonl")
    assert json.loads((tmp_path / "b.jsonl").read_text())["bbox"] == pytest.approx([18, 15, 22, 25])


@settings(max_examples=50)
@given(
    values=st.lists(st.recursive(st.none() | st.integers() | st.text(max_size=5), st.lists, max_leaves=5), max_size=5)
)
def test_arrays_are_read_element_by_element(tmp_path_factory: pytest.TempPathFactory, values: list[Any]) -> None:
    path = tmp_path_factory.mktemp("items") / "a.json"
    path.write_text(json.dumps(values, indent=1))
    assert [value for _, value in read_items(path)] == values


def test_arrays_longer_than_a_chunk_and_cut_short(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rscovlm.records.jsonfiles._CHUNK", 7)
    path = tmp_path / "a.json"
    values = [{"number": 10**i, "text": "]," * i} for i in range(20)] + list(range(5, 120, 13))
    path.write_text(json.dumps(values))
    assert [value for _, value in read_items(path)] == values
    path.write_text(json.dumps(values)[:-9])
    with pytest.raises(ValueError, match=r"a\.json, row 2\d: the array is cut short"):
        list(read_items(path))
