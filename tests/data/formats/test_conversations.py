"""Conversation files of the common trainers: pictures and turns arrive, and what cannot be read says where it is and what to do."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from rscovlm.codec import Codec
from rscovlm.data.formats import read_messages, write_messages
from rscovlm.data.sources import convert
from rscovlm.data.storage import write_jsonl
from rscovlm.mixtures.renderer import RecordRenderer
from rscovlm.processing.resolution import PixelBudget
from rscovlm.quality.lint import lint
from rscovlm.records.record import Annotation, ImageRef, Record, Turn
from rscovlm.records.tally import Tally
from rscovlm.tasks.table import problems

ANSWER = {"role": "assistant", "content": "Two."}
TURNS = [Turn("user", "<image>How many?"), Turn("assistant", "Two.")]
CALL = {"name": "zoom", "arguments": {"bbox": [1, 2, 3, 4]}}
CALL_TEXT = '<tool_call>\n{"name": "zoom", "arguments": {"bbox": [1, 2, 3, 4]}}\n</tool_call>'
TOOLS = [{"type": "function", "function": {"name": "zoom", "parameters": {"type": "object"}}}]


def _user(*content: Any) -> dict[str, Any]:
    return {"role": "user", "content": content[0] if isinstance(content[0], str) else list(content)}


def _said(*pairs: tuple[str, str]) -> list[dict[str, str]]:
    return [{"from": speaker, "value": value} for speaker, value in pairs]


TEXT, BLOCK = {"type": "text", "text": "How many?"}, {"type": "image"}
FORMS: dict[str, Any] = {
    "OpenAI": {
        "messages": [_user({"type": "image_url", "image_url": {"url": "a.png", "detail": "high"}}, TEXT), ANSWER]
    },
    "OpenAI responses": {
        "messages": [
            _user({"type": "input_image", "image_url": "a.png"}, {"type": "input_text", "text": "How many?"}),
            {"role": "assistant", "content": [{"type": "output_text", "text": "Two."}]},
        ]
    },
    "bare list": [_user({"type": "image", "image": "a.png"}, TEXT), ANSWER],
    "transformers": {"messages": [_user({"type": "image", "url": "a.png"}, TEXT), ANSWER]},
    "Qwen, no types": {"messages": [_user({"image": "file://a.png"}, {"text": "How many?"}), ANSWER]},
    "Arrow's nulls": {
        "messages": [
            _user(
                {"type": "image", "image": "a.png", "text": None},
                {"type": "text", "text": "How many?", "image": None},
            ),
            ANSWER | {"tool_calls": None},
        ],
        "images": None,
    },
    "TRL": {"messages": [_user(BLOCK, TEXT), ANSWER], "images": ["a.png"]},
    "TRL, Arrow's nulls": {
        "messages": [_user(BLOCK | {"text": None}, TEXT), ANSWER],
        "images": [{"bytes": None, "path": "a.png"}],
    },
    "TRL, one image": {"messages": [_user(BLOCK, TEXT), ANSWER], "image": "a.png"},
    "TRL, no block": {"messages": [_user("How many?"), ANSWER], "images": ["a.png"]},
    "TRL prompt and completion": {"prompt": [_user(BLOCK, TEXT)], "completion": [ANSWER], "images": ["a.png"]},
    "TRL plain text": {"prompt": "How many?", "completion": "Two.", "image": "a.png"},
    "ms-swift": {"messages": [_user("<image>How many?"), ANSWER], "images": ["a.png"]},
    "ms-swift with dicts": {"messages": [_user("<image>How many?"), ANSWER], "images": [{"path": "a.png"}]},
    "ms-swift query": {"query": "<image>How many?", "response": "Two.", "images": "a.png"},
    "LLaMA-Factory": {
        "conversations": _said(("human", "<image>How many?"), ("gpt", "Two.")),
        "images": ["a.png"],
        "system": "",
    },
    "LLaMA-Factory alpaca": {"instruction": "<image>How many?", "input": "", "output": "Two.", "images": ["a.png"]},
    "LLaVA and Qwen": {"image": "a.png", "conversations": _said(("human", "<image>\nHow many?"), ("gpt", "Two."))},
}


def _read(tmp_path: Path, *rows: Any, **options: Any) -> list[Record]:
    path = tmp_path / "rows.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)) + "\n")
    return list(read_messages(path, **options))


@pytest.mark.parametrize("form", FORMS)
def test_every_form_keeps_its_picture_and_its_turns(tmp_path: Path, form: str) -> None:
    (record,) = _read(tmp_path, FORMS[form])
    assert record.images == (ImageRef("a.png"),)
    assert list(record.turns) == TURNS
    assert not problems(record)


@pytest.mark.parametrize(
    "row",
    [
        {
            "messages": [
                _user("Look."),
                {
                    "role": "assistant",
                    "content": None,
                    "tool_calls": [{"type": "function", "id": "1", "function": call}],
                },
                {"role": "tool", "tool_call_id": "1", "content": "Done."},
                ANSWER,
            ],
            "tools": tools,
        }
        for call, tools in ((CALL, TOOLS), (CALL | {"arguments": json.dumps(CALL["arguments"])}, json.dumps(TOOLS)))
    ]
    + [
        {
            "messages": [
                _user("Look."),
                {"role": "tool_call", "content": json.dumps(CALL)},
                {"role": "tool_response", "content": "Done."},
                ANSWER,
            ],
            "tools": json.dumps(TOOLS),
        },
        {
            "conversations": _said(
                ("human", "Look."), ("function_call", json.dumps(CALL)), ("observation", "Done."), ("gpt", "Two.")
            ),
            "tools": json.dumps(TOOLS),
        },
    ],
    ids=["OpenAI", "OpenAI, texts", "ms-swift", "LLaMA-Factory"],
)
def test_tool_calls_and_tool_turns_reach_the_template(tmp_path: Path, row: Any) -> None:
    (record,) = _read(tmp_path, row)
    said = [("user", "Look."), ("assistant", CALL_TEXT), ("tool", "Done."), ("assistant", "Two.")]
    assert [(turn.role, turn.text) for turn in record.turns] == said
    assert Record.from_json(record.to_json()) == record
    renderer = RecordRenderer(Codec.preset("rscovlm-v1"), PixelBudget(56 * 56, 112 * 112), tmp_path)
    sample = renderer(record, np.random.default_rng(0))
    assert sample["tools"] == TOOLS
    assert [message["role"] for message in sample["messages"]] == ["user", "assistant", "tool", "assistant"]
    write_messages([record], tmp_path / "again.jsonl")
    (again,) = read_messages(tmp_path / "again.jsonl")
    assert (again.turns, json.loads(again.extra["tools"])) == (record.turns, TOOLS)


def test_several_calls_at_once_are_one_turn(tmp_path: Path) -> None:
    call = {"role": "tool_call", "content": json.dumps(CALL)}
    (record,) = _read(tmp_path, {"messages": [_user("Look."), call, call, ANSWER]})
    assert [turn.text for turn in record.turns] == ["Look.", f"{CALL_TEXT}\n{CALL_TEXT}", "Two."]


def test_history_and_system_texts_come_first(tmp_path: Path) -> None:
    row = {"query": "And now?", "response": "Three.", "history": [["<image>How many?", "Two."]], "system": "Be brief."}
    (record,) = _read(tmp_path, row | {"images": ["a.png"]})
    assert [turn.text for turn in record.turns] == ["Be brief.", "<image>How many?", "Two.", "And now?", "Three."]


def test_pictures_stand_where_they_are_marked(tmp_path: Path) -> None:
    row = {
        "messages": [
            _user({"type": "image", "image": "1.png"}, {"type": "text", "text": "then"}, BLOCK),
            ANSWER,
            _user("<image>And this?"),
            ANSWER,
        ],
        "images": ["2.png", "3.png"],
    }
    (record,) = _read(tmp_path, row)
    assert [image.path for image in record.images] == ["1.png", "2.png", "3.png"]
    assert record.turns[0].text == "<image>then<image>"


def _png(colour: str = "red") -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (8, 6), colour).save(file, "PNG")
    return file.getvalue()


@pytest.mark.parametrize("iterable", [False, True])
@pytest.mark.parametrize("decode", [False, True])
def test_data_sets_of_the_hub_are_read_as_they_are(tmp_path: Path, decode: bool, iterable: bool) -> None:
    datasets = pytest.importorskip("datasets")
    messages = [
        _user({"type": "image", "text": None}, TEXT),
        {"role": "assistant", "content": [TEXT | {"text": "Two."}]},
    ]
    rows = datasets.Dataset.from_dict({"messages": [messages], "images": [[{"bytes": _png(), "path": None}]]})
    rows = rows.cast_column("images", datasets.List(datasets.Image(decode=decode)))
    (record,) = read_messages(rows.to_iterable_dataset() if iterable else rows)
    assert list(record.turns) == TURNS
    data = record.images[0].data
    assert data is not None
    assert Image.open(io.BytesIO(data)).getpixel((0, 0)) == (255, 0, 0)


@pytest.mark.parametrize(
    "cell",
    [
        _png(),
        {"bytes": _png(), "path": "lost.png"},
        {"bytes": base64.b64encode(_png()).decode(), "path": None},
        f"data:image/png;base64,{base64.b64encode(_png()).decode()}",
        Image.open(io.BytesIO(_png())),
        Image.open(io.BytesIO(_png())).convert("CMYK"),
    ],
    ids=["bytes", "Image(decode=False)", "base64 in JSON", "data URI", "Pillow", "Pillow CMYK"],
)
def test_a_picture_may_be_anything_that_holds_one(cell: Any) -> None:
    own = {"messages": [_user({"type": "image", "image": cell}, TEXT), ANSWER]}
    column = {"messages": [_user("<image>How many?"), ANSWER], "images": cell}
    for record in read_messages([own, column]):
        data = record.images[0].data
        assert data is not None
        assert Image.open(io.BytesIO(data)).convert("RGB").size == (8, 6)


def test_boxes_of_ms_swift_are_objects(tmp_path: Path) -> None:
    row = {
        "messages": [_user("<image>Where is <ref-object>?"), {"role": "assistant", "content": "At <bbox>."}],
        "images": [{"path": "a.png", "width": 200, "height": 100}],
        "objects": {"ref": ["the ship"], "bbox": [[1, 2, 30, 40]]},
    }
    (record,) = _read(tmp_path, row)
    assert [turn.text for turn in record.turns] == ["<image>Where is the ship?", "At <box:0>."]
    assert record.objects == (Annotation((1, 2, 30, 40), "", "hbb"),)
    shares = {"ref": ["it"], "bbox": [[0.1, 0.2, 0.3, 0.4]], "bbox_type": "norm1"}
    (record,) = _read(tmp_path, row | {"objects": shares})
    assert record.objects[0].box == pytest.approx((20, 20, 60, 40))


def test_boxes_lie_on_the_image_that_ms_swift_numbers(tmp_path: Path) -> None:
    row = {
        "messages": [_user("<image><image>Where are <bbox> and <bbox>?"), ANSWER],
        "images": [{"path": "a.png", "width": 200, "height": 100}, {"path": "b.png", "width": 40, "height": 30}],
        "objects": {"bbox": [[0.1, 0.2, 0.5, 0.9], [0.1, 0.2, 0.3, 0.2, 0.3, 0.4, 0.1, 0.4]], "bbox_type": "norm1"},
    }
    row["objects"] |= {"image_id": [1, 0]}  # type: ignore[operator]
    (record,) = _read(tmp_path, row)
    assert [(item.kind, item.image) for item in record.objects] == [("hbb", 1), ("quad", 0)]
    assert record.objects[0].box == pytest.approx((4, 6, 20, 27))
    assert record.objects[1].box == pytest.approx((20, 20, 60, 20, 60, 40, 20, 40))


def test_pictures_without_a_mark_stand_before_the_first_question(tmp_path: Path) -> None:
    row = {"messages": [{"role": "system", "content": "Be brief."}, _user("How many?"), ANSWER, _user("Why?"), ANSWER]}
    (record,) = _read(tmp_path, row | {"images": ["a.png", "", None, "b.png"]})
    assert [turn.text for turn in record.turns] == ["Be brief.", "<image><image>How many?", "Two.", "Why?", "Two."]
    assert [image.path for image in record.images] == ["a.png", "b.png"]
    # The same pictures in blocks and in a column are the same pictures.
    both = {"messages": [_user({"type": "image", "image": "a.png"}, TEXT), ANSWER], "images": ["a.png"]}
    (record,) = _read(tmp_path, both)
    assert (record.images, list(record.turns)) == ((ImageRef("a.png"),), TURNS)


def test_a_system_text_beside_a_system_turn_is_the_turns(tmp_path: Path) -> None:
    row = {"messages": [{"role": "system", "content": "Be long."}, _user("?"), ANSWER], "system": "Be brief."}
    (record,) = _read(tmp_path, row)
    assert [turn.text for turn in record.turns] == ["Be long.", "?", "Two."]


@pytest.mark.parametrize(
    ("row", "reason", "hint"),
    [
        ({"messages": [_user("<image>?"), ANSWER]}, "image marks do not match", "1 image marks for 0 images"),
        ({"messages": [_user(BLOCK, BLOCK, TEXT), ANSWER], "images": ["a.png"]}, "image marks do not match", "2 image"),
        ({"prompt": "?", "chosen": "a", "rejected": "b"}, "preference row", "keep one"),
        ({"query": "<image>?", "response": "!", "images": ["http://x.org/a.png"]}, "image on the network", "download"),
        ({"messages": [_user("?"), ANSWER], "videos": ["a.mp4"]}, "unsupported content", "frames"),
        ({"messages": [_user("?"), ANSWER], "images": [7]}, "unsupported image", "a path, bytes"),
        ({"messages": [_user("?"), ANSWER], "images": [{"file": "a"}]}, "missing image", "'file'"),
        ({"text": "?"}, "no conversation", "prompt and completion"),
        ({"messages": [_user("?"), {"role": "tool_call", "content": "{"}]}, "malformed row", "JSON"),
        ({"query": "?", "response": "!", "history": ["?"]}, "malformed row", "pairs"),
        ({"query": "?", "response": "!", "history": [["?", "!", "?"]]}, "malformed row", "pairs"),
        ({"query": "?", "response": "!", "history": 5}, "malformed row", "^'history' is 5"),
        ({"query": "?", "response": "!", "system": 5}, "malformed row", "^'system' is 5"),
        ({"instruction": "?", "input": 5, "output": "!"}, "malformed row", "^'input' is 5"),
        ({"messages": [_user("?"), ANSWER | {"content": 5}]}, "malformed row", "^'content' is 5"),
        ({"messages": [_user("?"), ANSWER | {"tool_calls": 5}]}, "malformed row", "^'tool_calls' is 5"),
        ({"messages": [_user("?"), ANSWER | {"role": "judge"}]}, "unknown role", "'judge'; known: system, developer"),
        ({"messages": [_user({"type": "audio", "audio": "a"}), ANSWER]}, "unsupported content", "type 'audio'"),
        ({"messages": [_user("?"), ANSWER], "audio": "a.mp3"}, "unsupported content", "the row has 'audio'"),
        ({"messages": [ANSWER], "images": ["a.png"]}, "answer without a question", "no user turn"),
        (
            {"messages": [_user(BLOCK | {"image": "b.png"}), ANSWER], "image": "a.png"},
            "image marks do not match",
            "beside 1",
        ),
        (
            {"query": "<bbox>", "response": "!", "objects": {"bbox": []}},
            "box marks do not match",
            "1 <bbox> for 0 boxes",
        ),
        (
            {"query": "<bbox><ref-object>", "response": "!", "objects": {"bbox": [[1, 2, 3, 4]]}},
            "box marks do not match",
            "1 <ref-object> for 0 names",
        ),
        (
            {"query": "<bbox>", "response": "!", "objects": {"bbox": [[1, 2, 3, 4]]}},
            "malformed box",
            "on one of the images",
        ),
        (
            {"query": "<image><bbox>", "response": "!", "image": "a.png", "objects": {"bbox": [[1, 2, 3, 4, 5]]}},
            "malformed box",
            "4 or 8 numbers",
        ),
        (
            {
                "query": "<image><bbox>",
                "response": "!",
                "image": "a.png",
                "objects": {"bbox": [[1, 2, 3, 4]], "bbox_type": "norm1"},
            },
            "image size unknown",
            "in shares",
        ),
    ],
)
def test_what_cannot_be_read_says_where_it_is_and_what_to_do(tmp_path: Path, row: Any, reason: str, hint: str) -> None:
    good = FORMS["ms-swift"]
    where = hint[1:] if hint.startswith("^") else f".*{hint}"
    with pytest.raises(ValueError, match=f"rows.jsonl, row 2: {where}"):
        _read(tmp_path, good, row)
    tally = Tally(1.0)
    assert len(_read(tmp_path, good, row, good, tally=tally)) == 2
    assert tally.dropped == {reason: 1}


def test_a_parquet_file_is_sent_to_its_reader(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="load_dataset"):
        next(read_messages(tmp_path / "a.parquet"))


def test_files_of_a_folder_are_converted_with_sizes(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "images/a.png").write_bytes(_png())
    absolute = FORMS["ms-swift"] | {"images": [str(tmp_path / "images/a.png")]}
    relative = FORMS["TRL"] | {"images": ["images/a.png"]}
    inline = FORMS["TRL"] | {"images": [{"bytes": base64.b64encode(_png()).decode()}]}
    (tmp_path / "mine.jsonl").write_text("\n".join(map(json.dumps, (absolute, relative, inline))))
    (tmp_path / "val.json").write_text(json.dumps([relative, FORMS["TRL"]]))
    rows = list(convert("chat", tmp_path))
    assert [(row.id, row.images[0].path, row.images[0].width) for row in rows] == [
        ("mine/1", "images/a.png", 8),
        ("mine/2", "images/a.png", 8),
        ("mine/3", "", 8),
    ]
    tally = Tally(1.0)
    assert [row.id for row in convert("chat", tmp_path, "val", tally=tally)] == ["val/1"]
    assert tally.dropped == {"missing file": 1}


def test_parquet_files_of_a_folder_are_converted(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    rows = {"messages": [[_user("<image>How many?"), ANSWER]], "images": [[{"bytes": _png(), "path": None}]]}
    table = datasets.Dataset.from_dict(rows).cast_column("images", datasets.List(datasets.Image()))
    table.to_parquet(tmp_path / "train-00000.parquet")
    (record,) = convert("chat", tmp_path)
    assert (list(record.turns), record.images[0].width) == (TURNS, 8)


def test_lint_reports_marks_without_images(tmp_path: Path) -> None:
    lost = Record("1", "s", "train", "conversation", turns=tuple(TURNS))
    write_jsonl([lost], tmp_path / "a.jsonl")
    report = lint([lost])
    assert report.counts["content"] == 1
    assert report.errors == 1
