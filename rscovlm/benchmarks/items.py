"""What a benchmark asks about: its records, each with what is true and the column that it counts in."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rscovlm.benchmarks.suite import RecordSet, Suite, field_of, matches
from rscovlm.data.sources import convert
from rscovlm.data.storage import read_parquet, read_records
from rscovlm.records import Record, Tally
from rscovlm.tasks.table import task_of

ALL = "all"
"""The one column of a benchmark that has no columns of its own."""

OUTSIDE = ""
"""The column of records that belong to none of a benchmark's columns; they are asked and counted, but in no figure."""


@dataclass(frozen=True)
class BenchmarkItem:
    """One question of a benchmark.

    Attributes:
        id: Unique in the benchmark.
        record: What is known.
        root: Folder that the record's paths are relative to.
        column: The column it counts in.
        within: The group of that column, whose means are averaged; empty where items are pooled.
    """

    id: str
    record: Record
    root: Path
    column: str
    within: str

    @property
    def image(self) -> str:
        """The name of its first image: questions about one image are not independent."""
        return image_name(self.record)


def image_name(record: Record) -> str:
    """Return what a record's first image is known by: its path, its tile of a parent, or a digest of its bytes."""
    if not record.images:
        return ""
    image = record.images[0]
    if image.path or image.data is None:
        return image.path or f"{image.parent}:{image.window}"
    return hashlib.sha256(image.data).hexdigest()[:16]


def load_items(
    suite: Suite, data: Path, *, limit: int | None = None, tally: Tally | None = None
) -> list[BenchmarkItem]:
    """Return the items of a benchmark, in the order of its files.

    A data set lies in ``data/FOLDER`` as published (the suite names the folder), or in ``data`` itself; or its records
    lie in ``data/SOURCE-SPLIT.jsonl``, as ``rscovlm data convert`` writes them, or in shards as `write_parquet` writes them.

    Args:
        suite: The benchmark.
        data: Folder of the data.
        limit: Ask only so many, chosen by a digest of their ids: the same ones wherever and whenever.
        tally: Counts rows that cannot be used.

    Raises:
        FileNotFoundError: The data are not there.
        ValueError: They cannot be read, or hold nothing that the benchmark asks about.
    """
    found: dict[str, BenchmarkItem] = {}
    for part in suite.records:
        for record, root in _records(part, data, tally or Tally()):
            if (part.task and record.task != part.task) or not matches(record, part.where):
                continue
            name = record.id if len(suite.records) == 1 else f"{part.source}/{part.split}/{record.id}"
            if name in found:  # some published files use an id twice
                name = f"{name}#{sum(key.partition('#')[0] == name for key in found) + 1}"
            within = suite.protocol.within
            column = _column(suite, record)
            found[name] = BenchmarkItem(name, record, root, column, field_of(record, within) if within else "")
    if not found:
        raise ValueError(f"suite {suite.name!r} finds nothing to ask below {str(data)!r}; it wants {suite.get}")
    return chosen(list(found.values()), limit)


def data_digest(items: Sequence[BenchmarkItem]) -> str:
    """Return sixteen characters that differ where a question, a true answer or an image's name does."""
    found = hashlib.sha256()
    for item in items:
        found.update(item.id.encode() + b"\0" + _digest(item.record).encode())
    return found.hexdigest()[:16]


def truth_of(item: BenchmarkItem, size: tuple[int, int]) -> dict[str, Any]:
    """Return what is true as plain values, boxes in original pixels.

    Args:
        item: The item.
        size: Width and height of its first image.
    """
    return task_of(item.record.task).truth(item.record, size)


def _digest(record: Record) -> str:
    row: Mapping[str, Any] = record.to_dict()
    kept = {key: value for key, value in row.items() if key not in ("images", "masks") and value not in ("", [])}
    return hashlib.sha256(json.dumps([kept, image_name(record)], sort_keys=True).encode()).hexdigest()


def _records(part: RecordSet, data: Path, tally: Tally) -> Iterator[tuple[Record, Path]]:
    folder = data / (part.folder or part.source)
    root = folder if folder.is_dir() else data
    converted = data / f"{part.source}-{part.split}.jsonl"
    if any((data / "data").glob(f"{part.split}-*.parquet")):
        whole = read_parquet(data, split=part.split, tally=tally)
        records: Iterator[Record] = (record for record in whole if record.source == part.source)
    elif converted.is_file():
        records = read_records(converted, tally=tally)
    else:
        records = convert(part.source, root, part.split, tally=tally)
    for record in records:
        yield record, root


def _column(suite: Suite, record: Record) -> str:
    columns = suite.protocol.columns
    if not columns:
        return ALL
    return next((name for name, wanted in columns.items() if matches(record, wanted)), OUTSIDE)


def chosen(items: list[BenchmarkItem], limit: int | None) -> list[BenchmarkItem]:
    """Return so many items, chosen by a digest of their ids, in their order; all where there is no limit."""
    if limit is None or limit >= len(items):
        return items
    order = sorted(range(len(items)), key=lambda place: hashlib.sha256(items[place].id.encode()).digest())
    kept = set(order[:limit])
    return [item for place, item in enumerate(items) if place in kept]
