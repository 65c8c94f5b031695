"""Records by row number: any row of either form, what a table says of its files, and what cannot be read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from rscovlm.data.storage import write_jsonl, write_parquet
from rscovlm.data.table import RecordTable
from rscovlm.records.record import ImageRef, Record

pytest.importorskip("datasets")


def _records(name: str, count: int, split: str = "train") -> list[Record]:
    image = ImageRef("a.png", width=84, height=84)
    return [
        Record(str(i), name, split, "vqa", (image,), question=f"{name} {i}?", answer=f"{name}-{i}")
        for i in range(count)
    ]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tables")
    write_jsonl(_records("talk", 30), folder / "talk.jsonl")
    lines = (folder / "talk.jsonl").read_bytes().splitlines()
    (folder / "odd.jsonl").write_bytes(b"\xef\xbb\xbf" + b"\r\n\r\n  \n".join(lines))
    write_parquet([*_records("wide", 50), *_records("wide", 7, "val")], folder / "wide", shard_rows=20)
    return folder


def _every_row(table: RecordTable, rows: Sequence[Record]) -> bool:
    count = len(rows)
    return (
        len(table) == count
        and list(table) == list(rows)
        and [table[place] for place in reversed(range(-count, count))] == [rows[place] for place in reversed(range(-count, count))]
        and all(list(table[part]) == list(rows[part]) for part in (slice(3, 5), slice(None, None, -7), slice(-4, None), slice(9, 2)))
    )  # fmt: skip


@pytest.mark.parametrize("name", ["talk.jsonl", "odd.jsonl"])
def test_a_file_of_lines_gives_any_row(root: Path, name: str) -> None:
    """A mark of the byte order, empty lines and other line ends are no rows."""
    assert _every_row(RecordTable(root / name), _records("talk", 30))


def test_a_folder_of_shards_gives_any_row_of_all_or_of_one_split(root: Path) -> None:
    assert _every_row(RecordTable(root / "wide", split="train"), _records("wide", 50))
    assert _every_row(RecordTable(root / "wide", split="val"), _records("wide", 7, "val"))
    assert _every_row(RecordTable(root / "wide"), [*_records("wide", 50), *_records("wide", 7, "val")])
    assert _every_row(RecordTable(root / "wide/data/train-00002-of-00003.parquet"), _records("wide", 50)[40:])


@pytest.mark.parametrize("place", [30, -31, 1000])
def test_a_row_that_is_not_there_is_no_row(root: Path, place: int) -> None:
    with pytest.raises(IndexError, match=f"row {place} of 30"):
        RecordTable(root / "talk.jsonl")[place]


def test_a_row_that_is_no_record_is_named_when_it_is_read(tmp_path: Path, root: Path) -> None:
    lines = (root / "talk.jsonl").read_text(encoding="utf-8").splitlines()
    (tmp_path / "a.jsonl").write_text("\n".join([lines[0], "{}", lines[1]]), encoding="utf-8")
    table = RecordTable(tmp_path / "a.jsonl")
    assert (table[0], table[2]) == tuple(_records("talk", 2))
    with pytest.raises(ValueError, match="a.jsonl, row 2: "):
        table[1]


def test_what_cannot_be_a_table_is_refused_with_what_to_give(root: Path, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("id")
    with pytest.raises(FileNotFoundError, match=r"no records at '.*none'; give a .jsonl file"):
        RecordTable(tmp_path / "none")
    with pytest.raises(ValueError, match=r"'a.csv' are no .jsonl file"):
        RecordTable(tmp_path / "a.csv")
    for name in ("talk.jsonl", "wide/data/val-00000-of-00001.parquet"):
        with pytest.raises(ValueError, match="split is 'val', but .* which alone has splits"):
            RecordTable(root / name, split="val")
    with pytest.raises(FileNotFoundError, match="no shards of split 'test' below .*; splits are train, val$"):
        RecordTable(root / "wide", split="test")
    with pytest.raises(FileNotFoundError, match="no shards below .*; give a folder as"):
        RecordTable(tmp_path)
    (tmp_path / "train-00000-of-00001.parquet").write_bytes(b"PAR1")
    with pytest.raises(ValueError, match=r"train-00000-of-00001.parquet cannot be read as a shard \(.*\); convert it"):
        RecordTable(tmp_path)


def test_what_a_table_says_of_its_files_changes_with_them(root: Path, tmp_path: Path) -> None:
    lines = (root / "talk.jsonl").read_text(encoding="utf-8")
    said = set()
    for place, text in enumerate((lines, lines.replace("7", "8", 1), lines + "\n", lines.partition("\n")[2])):
        path = tmp_path / str(place) / "talk.jsonl"
        path.parent.mkdir()
        path.write_text(text, encoding="utf-8")
        said.add(RecordTable(path).files["talk.jsonl"])
    assert len(said) == 4
    records, found = _records("wide", 50), []
    # The same rows, and one whose question has another letter.
    for name, rows in (("same", records), ("other", [*records[:-1], replace(records[-1], question="Why?")])):
        write_parquet(rows, tmp_path / name, shard_rows=20)
        found.append(RecordTable(tmp_path / name).files)
    assert found[0] == RecordTable(root / "wide", split="train").files
    assert list(found[0]) == list(found[1]) == [f"data/train-{i:05d}-of-00003.parquet" for i in range(3)]
    assert found[0] != found[1]
    shard = tmp_path / "same/data/train-00002-of-00003.parquet"
    (told,) = RecordTable(shard).files.items()
    assert told == (shard.name, found[0]["data/train-00002-of-00003.parquet"])
    assert told[1].startswith(f"10 rows in {shard.stat().st_size:,} bytes with checksum ")


def test_the_checksum_of_lines_is_crc_32_of_the_file(tmp_path: Path) -> None:
    import zlib

    write_jsonl(_records("talk", 3), tmp_path / "a.jsonl")
    data = (tmp_path / "a.jsonl").read_bytes()
    wanted = f"3 rows in {len(data):,} bytes with checksum {zlib.crc32(data):08x}"
    assert RecordTable(tmp_path / "a.jsonl").files == {"a.jsonl": wanted}
