"""Arrays and lines read element by element give what reading them whole gives, wherever a chunk ends."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rscovlm.records import jsonfiles
from rscovlm.records.jsonfiles import parsed, read_items, read_json
from rscovlm.records.tally import Rejected

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=9,
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("rows")


@given(st.lists(VALUES, max_size=6), st.sampled_from([None, 1]), st.integers(1, 9))
def test_an_array_is_read_as_json_reads_it(folder: Path, rows: list[Any], indent: int | None, chunk: int) -> None:
    file = folder / "rows.json"
    file.write_text(" \n" + json.dumps(rows, indent=indent) + "\n", encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(jsonfiles, "_CHUNK", chunk)
        found = list(read_items(file))
    assert found == [(f"rows.json, row {number}", row) for number, row in enumerate(rows, start=1)]


@given(st.lists(VALUES, max_size=6))
def test_lines_are_read_as_json_reads_them(folder: Path, rows: list[Any]) -> None:
    file = folder / "rows.jsonl"
    file.write_text("\n\n".join(json.dumps(row) for row in rows), encoding="utf-8-sig")
    assert list(read_items(file)) == [(f"rows.jsonl, row {2 * number + 1}", row) for number, row in enumerate(rows)]


@pytest.mark.parametrize("chunk", [1, 4, 1 << 20])
@pytest.mark.parametrize(
    ("text", "whole", "message"),
    [
        ("[1, 2", 2, r"row 3: the array is cut short or malformed"),
        ('[1, {"a": ', 1, r"row 2: the array is cut short or malformed"),
        ("[", 0, r"row 1: the array is cut short or malformed"),
        ("[1, nothing]", 1, r"row 2: the array is cut short or malformed"),
        ("[1, 2]      [3]", 2, r"after the array of 2 rows comes more, '\["),
    ],
)
def test_a_damaged_array_is_an_error_after_what_can_be_read(
    tmp_path: Path, text: str, whole: int, message: str, chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jsonfiles, "_CHUNK", chunk)
    (tmp_path / "rows.json").write_text(text)
    rows = read_items(tmp_path / "rows.json")
    assert [next(rows)[1] for _ in range(whole)] == list(range(1, whole + 1))
    with pytest.raises(ValueError, match=message):
        list(rows)


def test_a_line_that_is_no_json_is_that_line_alone(tmp_path: Path) -> None:
    (tmp_path / "rows.ndjson").write_bytes(b'{"a": 1}\n{"a": \n\xff\n[2]')
    assert [value for _, value in read_items(tmp_path / "rows.ndjson")] == [{"a": 1}, '{"a": \n', "\udcff\n", [2]]
    (tmp_path / "empty.json").write_text(" \n")
    assert list(read_items(tmp_path / "empty.json")) == []
    (tmp_path / "one.json").write_text('{\n"a": 1}')
    with pytest.raises(ValueError, match="begins as one JSON object"):
        list(read_items(tmp_path / "one.json"))


def test_one_document_and_one_value(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{"a": [1]}', encoding="utf-8-sig")
    assert read_json(tmp_path / "a.json") == {"a": [1]}
    (tmp_path / "a.json").write_text("{")
    with pytest.raises(ValueError, match="a.json is not JSON"):
        read_json(tmp_path / "a.json")
    with pytest.raises(Rejected, match="is not JSON"):
        parsed("[" * 200_000)


@pytest.mark.parametrize("number", ["12", "-3", "0.25", "15e3", "2E4", "7e-2", "9E-3", "1.5e+2", "6E+1", "-8.125E+10"])
def test_a_number_may_be_cut_anywhere(tmp_path: Path, number: str, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "rows.json"
    path.write_text(f"[{number},{number}]")
    for chunk in range(1, 2 * len(number) + 4):
        monkeypatch.setattr(jsonfiles, "_CHUNK", chunk)
        assert [value for _, value in jsonfiles.read_items(path)] == [float(number)] * 2, chunk
