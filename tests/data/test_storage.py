"""Writing records and reading them back is identity, whatever the container; damage is named by file and row."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from rscovlm.data.sources.folder import Folder
from rscovlm.data.storage import (
    embedded,
    read_jsonl,
    read_parquet,
    read_records,
    write_jsonl,
    write_parquet,
    write_records,
)
from rscovlm.data.table import RecordTable
from rscovlm.records.record import Annotation, ImageRef, Record
from rscovlm.records.tally import Tally, TooManyRejected
from tests.records.strategies import records as any_record

pytest.importorskip("datasets")
FRESH = settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])


def _record(number: int, split: str = "train") -> Record:
    boxes = tuple(Annotation((i, 0.25, i + 1.5, 3), "ship", "hbb") for i in range(number % 4))
    images = (ImageRef(f"images/{number}.png", width=8, height=6),)
    return Record(str(number), "made", split, "detection", images, objects=boxes, categories=("ship",))


@FRESH
@given(st.lists(any_record(), max_size=4))
def test_json_lines_come_back_identical(tmp_path: Path, rows: list[Record]) -> None:
    path = tmp_path / "rows.jsonl"
    assert write_jsonl(rows, path, overwrite=True) == len(rows)
    assert list(read_jsonl(path)) == rows


@FRESH
@given(st.lists(any_record(), min_size=1, max_size=4))
def test_shards_come_back_identical(tmp_path_factory: pytest.TempPathFactory, rows: list[Record]) -> None:
    folder = tmp_path_factory.mktemp("set")
    rows = [replace(row, split="train") for row in rows]
    write_parquet(rows, folder, shard_rows=3)
    assert list(read_parquet(folder)) == rows


def test_shards_are_cut_by_rows_and_kept_in_order_per_split(tmp_path: Path) -> None:
    rows = [_record(i, "val" if i % 5 == 0 else "train") for i in range(1000)]
    names = [path.name for path in write_parquet(iter(rows), tmp_path, shard_rows=300)]
    assert names == ["val-00000-of-00001.parquet", *(f"train-{i:05d}-of-00003.parquet" for i in range(3))]
    assert list(read_parquet(tmp_path, split="train")) == [row for row in rows if row.split == "train"]
    assert sorted(path.name for path in (tmp_path / "data").iterdir()) == sorted(names)
    assert next(read_parquet(tmp_path / "data" / names[0], columns=["categories"])).objects == ()
    with pytest.raises(ValueError, match="already holds shards"):
        write_parquet(rows, tmp_path)


def test_the_hub_library_reads_shards_as_an_ordinary_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from datasets import load_dataset

    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    (tmp_path / "images").mkdir()
    Image.fromarray(np.full((6, 8, 3), 7, np.uint8)).save(tmp_path / "images" / "1.png")
    rows = [embedded(_record(1, split), tmp_path) for split in ("train", "test")]
    write_parquet(rows, tmp_path / "set")
    stream = load_dataset(str(tmp_path / "set"), split="test", streaming=True)
    row = next(iter(stream))
    assert Record.from_dict(row) == rows[1]
    assert row["images"][0]["image"]["bytes"] == (tmp_path / "images" / "1.png").read_bytes()


def test_a_failed_write_leaves_no_half_shard(tmp_path: Path) -> None:
    def broken() -> object:
        yield from (_record(i) for i in range(700))
        raise OSError("disk on fire")

    with pytest.raises(OSError, match="fire"):
        write_parquet(broken(), tmp_path, shard_rows=100)  # type: ignore[arg-type]
    assert not list((tmp_path / "data").iterdir())


def test_bad_rows_are_named_or_counted(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    lines = [_record(i).to_json() for i in range(99)]
    lines[41:41] = [lines[0].replace("images/0.png", "../../etc/passwd")]
    path.write_text("\n".join(lines))
    with pytest.raises(ValueError, match=r"rows.jsonl, row 42: .*climbs out"):
        list(read_jsonl(path))
    tally = Tally(limit=0.01)
    assert len(list(read_jsonl(path, tally=tally))) == 99
    assert (tally.seen, tally.kept, dict(tally.dropped)) == (100, 99, {"unsafe path": 1})
    tally.finish()
    strict = Tally()
    list(read_jsonl(path, tally=strict))
    with pytest.raises(TooManyRejected, match=r"1\.00% of the rows.*(?s:.*)row 42"):
        strict.finish()


def test_unreadable_shards_are_named(tmp_path: Path) -> None:
    (shard,) = write_parquet([_record(1)], tmp_path)
    whole = shard.read_bytes()
    for damaged in (b"", whole[: len(whole) // 2], b"PAR1" + bytes(64) + b"PAR1"):
        shard.write_bytes(damaged)
        with pytest.raises(ValueError, match="train-00000-of-00001.parquet cannot be read"):
            list(read_parquet(tmp_path))
    with pytest.raises(FileNotFoundError, match="no shards"):
        list(read_parquet(tmp_path, split="val"))


def test_embedding_refuses_large_and_missing_files(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "1.png").write_bytes(bytes(100))
    assert embedded(_record(1), tmp_path).images[0].data == bytes(100)
    with pytest.raises(ValueError, match="100 bytes, more than 99"):
        embedded(_record(1), tmp_path, max_bytes=99)
    with pytest.raises(FileNotFoundError, match=r"images/2\.png"):
        embedded(_record(2), tmp_path)


def test_a_file_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"rows.jsonl' does not exist; give a .jsonl file"):
        next(read_records(tmp_path / "rows.jsonl"))


def test_a_conversion_that_stops_leaves_nothing_behind(tmp_path: Path) -> None:
    def rows() -> Iterator[Record]:
        yield Record("1", "mine", "train", "vqa", (ImageRef("a.png", width=8, height=8),), question="?", answer="2")
        raise ValueError("the second row is no record")

    for target in ("a.jsonl", "shards"):
        with pytest.raises(ValueError, match="second row"):
            write_records(rows(), tmp_path / target)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


@pytest.mark.parametrize("rows", [0, 2])
def test_parquet_of_another_schema_is_refused(tmp_path: Path, rows: int) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    shard = tmp_path / "data" / "train-00000-of-00001.parquet"
    shard.parent.mkdir()
    parquet.write_table(pyarrow.table({"image": ["a.png"] * rows, "text": ["a"] * rows}), shard)
    for source in (shard, tmp_path):
        with pytest.raises(ValueError, match="train-00000-of-00001.parquet has unknown fields 'image', 'text'"):
            list(read_records(source, tally=Tally(1.0)))
        # `datasets` itself refuses a shard without rows.
        with pytest.raises(
            ValueError, match="train-00000-of-00001.parquet (has unknown fields 'image', 'text'|cannot)"
        ):
            RecordTable(source)
    parquet.write_table(pyarrow.table({"id": ["1"] * rows, "question": ["?"] * rows}), shard)
    with pytest.raises(ValueError, match="needs text in 'source', 'split', 'task'"):
        list(read_parquet(shard, columns=["question"], tally=Tally(1.0)))


@pytest.mark.parametrize("name", ["rows.jsonl", "shards"])
def test_nothing_is_read_where_nothing_may_be_written(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("somebody's own")

    def rows() -> Iterator[Record]:
        pytest.fail("a record was read")
        yield

    with pytest.raises(ValueError, match=name):
        write_records(rows(), tmp_path / name)
    assert (tmp_path / name).read_text() == "somebody's own"


def test_what_is_missing_is_named_by_the_row_that_is_read(tmp_path: Path) -> None:
    """A record's own id says little where several are made of one row."""
    record = Record("7", "mine", "train", "caption", (ImageRef("gone.png"),), captions=("A port.",))
    tally = Tally(1.0)
    folder = Folder(tmp_path, tally)
    assert list(folder.present([record])) == []
    tally.at = "rows.json row 3"
    assert list(folder.present([record])) == []
    first, second = tally.places["missing file"]
    assert first.startswith("mine/7: ") and second.startswith("rows.json row 3: ")
