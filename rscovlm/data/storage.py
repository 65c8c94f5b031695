"""Records on disk: Parquet shards that any tool of the Hub reads, or JSON lines; both written and read as streams."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

from rscovlm.extras import optional
from rscovlm.files import check_output, replacing
from rscovlm.records.columns import features
from rscovlm.records.paths import resolve
from rscovlm.records.record import ImageRef, Record, check_fields
from rscovlm.records.tally import Rejected, Strict, Tally

_SPLIT = re.compile(r"\w+(\.\w+)*")
_BATCH_ROWS = 512
_BATCH_BYTES = 32 << 20


def embedded(record: Record, root: str | Path, *, max_bytes: int = 1 << 30) -> Record:
    """Put the files of a record's images and masks into the record, keeping their names.

    Tiles that are windows of a larger file keep pointing at that file.

    Args:
        record: Images by path.
        root: Folder that the paths are relative to.
        max_bytes: Largest file taken.

    Raises:
        ValueError: A path is unsafe, or a file larger than `max_bytes`.
        FileNotFoundError: A file is missing.
    """

    def load(image: ImageRef) -> ImageRef:
        if image.data is not None or not image.path:
            return image
        file = resolve(root, image.path)
        size = file.stat().st_size
        if size > max_bytes:
            raise Rejected(
                "file over budget", f"{image.path!r} has {size} bytes, more than {max_bytes}; keep it by path"
            )
        return replace(image, data=file.read_bytes())

    return replace(record, images=tuple(map(load, record.images)), masks=tuple(map(load, record.masks)))


def write_jsonl(records: Iterable[Record], path: str | Path, *, overwrite: bool = False) -> int:
    """Write one record a line and return how many; the file appears only when it is whole.

    Args:
        records: Any records.
        path: The file; its folder is made. Other programs read it too, so that no line of it is a mark of ours.
        overwrite: Replace the file where it exists.

    Raises:
        ValueError: The file exists.
    """
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    count = 0
    with replacing(path, overwrite=overwrite) as part, part.open("w", encoding="utf-8") as lines:
        for record in records:
            lines.write(record.to_json() + "\n")
            count += 1
    return count


def read_jsonl(path: str | Path, *, tally: Tally | None = None) -> Iterator[Record]:
    """Read what `write_jsonl` wrote, line by line.

    Args:
        path: The file.
        tally: Counts rows that are no records. Without it the first one is an error.

    Raises:
        ValueError: A line is no record; the message names file and row (from 1).
    """
    with Path(path).open("rb") as lines:
        yield from _decoded((line for line in lines if line.strip()), Path(path).name, Record.from_json, tally)


def write_parquet(
    records: Iterable[Record], folder: str | Path, *, shard_bytes: int = 400 << 20, shard_rows: int = 100_000
) -> list[Path]:
    """Write records as `data/<split>-00000-of-00002.parquet` below `folder`, the layout that `load_dataset(folder)` knows.

    Memory stays at a few batches per split. Shards get their names when all are whole.

    Args:
        records: Embed images first (`embedded`) if the shards are to stand on their own.
        folder: Root of the data set.
        shard_bytes: A shard is closed when its rows passed this size before compression.
        shard_rows: A shard is closed at this many rows.

    Returns:
        The shards, by split in order of first appearance.

    Raises:
        ValueError: A split's name is not letters, digits and underscores, or `folder` already holds shards of that split.
    """
    target = Path(folder) / "data"
    target.mkdir(parents=True, exist_ok=True)
    writers: dict[str, _Shards] = {}
    with ExitStack() as stack:
        for record in records:
            if record.split not in writers:
                shards = _Shards(target, record.split, shard_bytes, shard_rows)
                writers[record.split] = stack.enter_context(shards)
            writers[record.split].add(record)
        for shards in writers.values():
            shards.close()
        return [path for shards in writers.values() for path in shards.publish()]


def read_parquet(
    source: str | Path, *, split: str | None = None, columns: Sequence[str] | None = None, tally: Tally | None = None
) -> Iterator[Record]:
    """Stream records from one shard, or from all shards below a folder in order of their names.

    Args:
        source: A `.parquet` file or the folder given to `write_parquet`.
        split: Only shards of this split.
        columns: Only these fields (id, source, split and task come along).
        tally: Counts rows that are no records. Without it the first one is an error.

    Raises:
        FileNotFoundError: No shard is there.
        ValueError: A shard cannot be read or has columns of something else than records, or a row is no record; the message names file and row (from 1).
    """
    with optional():
        from pyarrow import ArrowException, parquet

    wanted = None if columns is None else list(dict.fromkeys(["id", "source", "split", "task", *columns]))
    for shard in _shards(Path(source), split):
        try:
            file = parquet.ParquetFile(shard)
            check_fields(file.schema_arrow.names, f"shard {shard.name}")
            rows = (row for batch in file.iter_batches(_BATCH_ROWS, columns=wanted) for row in batch.to_pylist())
            yield from _decoded(rows, shard.name, Record.from_dict, tally)
        except (ArrowException, OSError) as error:
            raise ValueError(f"shard {shard.name} cannot be read ({error}); write it again") from error


def read_records(source: str | Path, *, tally: Tally | None = None) -> Iterator[Record]:
    """Stream records from a `.jsonl` file, a `.parquet` shard, or a folder of shards.

    Raises:
        FileNotFoundError: There is no such file or folder.
    """
    if not Path(source).exists():
        raise FileNotFoundError(f"{str(source)!r} does not exist; give a .jsonl file, a shard, or a folder of shards")
    if Path(source).suffix == ".jsonl":
        return read_jsonl(source, tally=tally)
    return read_parquet(source, tally=tally)


def write_records(records: Iterable[Record], target: str | Path, *, overwrite: bool = False) -> None:
    """Write records to a `.jsonl` file, or as Parquet shards below a folder.

    Args:
        records: Any records.
        target: The file or folder.
        overwrite: Replace the `.jsonl` file where it exists; a folder's shards are never replaced.

    Raises:
        ValueError: The file exists, or the folder already holds shards of a split.
    """
    check_records_output(target, overwrite=overwrite)
    if Path(target).suffix == ".jsonl":
        write_jsonl(records, target, overwrite=overwrite)
    else:
        write_parquet(records, target)


def check_records_output(target: str | Path, *, overwrite: bool = False) -> None:
    """Look whether `write_records` may write here, before anything is read.

    Raises:
        ValueError: The file exists, or what should be a folder is a file.
    """
    if Path(target).suffix == ".jsonl":
        check_output(target, overwrite=overwrite)
    elif Path(target).exists() and not Path(target).is_dir():
        raise ValueError(f"{target} is a file; give a .jsonl file, or a folder for Parquet shards")


def _shards(source: Path, split: str | None) -> list[Path]:
    if source.is_file():
        return [source]
    found = sorted(source.glob(f"**/{split or '*'}-*-of-*.parquet"))
    if not found:
        raise FileNotFoundError(
            f"no shards of split {split or 'any'!r} below {str(source)!r}; expected data/<split>-*.parquet"
        )
    return found


def _decoded(rows: Iterable[Any], name: str, decode: Any, tally: Tally | None) -> Iterator[Record]:
    tally = tally or Strict()
    for number, row in enumerate(rows, start=1):
        with tally.row(f"{name}, row {number}"):
            record = decode(row)
            tally.keep()
            yield record


class _Shards:
    """The shards of one split while they are written."""

    def __init__(self, folder: Path, split: str, shard_bytes: int, shard_rows: int) -> None:
        if not _SPLIT.fullmatch(split):
            raise ValueError(f"split {split!r} cannot name a shard; use letters, digits and underscores")
        if next(folder.glob(f"{split}-*-of-*.parquet"), None):
            raise ValueError(
                f"folder {str(folder)!r} already holds shards of split {split!r}; write to an empty folder"
            )
        self.folder, self.split = folder, split
        self.shard_bytes, self.shard_rows = shard_bytes, shard_rows
        self.parts: list[Path] = []
        self.schema = features().arrow_schema
        self.writer: Any = None
        self.pending: list[dict[str, Any]] = []
        self.pending_bytes = self.bytes = self.rows = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.writer is not None:
            self.writer.close()
        for part in self.parts:
            part.unlink(missing_ok=True)

    def add(self, record: Record) -> None:
        self.pending.append(record.to_dict())
        size = 200 + sum(len(image.data or b"") for image in record.images + record.masks) + 100 * len(record.objects)
        self.pending_bytes += size
        self.bytes += size
        self.rows += 1
        if len(self.pending) >= _BATCH_ROWS or self.pending_bytes >= _BATCH_BYTES or self._full():
            self._flush()

    def _full(self) -> bool:
        return self.bytes >= self.shard_bytes or self.rows >= self.shard_rows

    def _flush(self) -> None:
        with optional():
            import pyarrow
            from pyarrow import parquet

        if self.writer is None:
            self.parts.append(self.folder / f".{self.split}-{len(self.parts):05d}.part")
            self.writer = parquet.ParquetWriter(self.parts[-1], self.schema, compression="zstd")
        self.writer.write_table(pyarrow.Table.from_pylist(self.pending, schema=self.schema))
        self.pending, self.pending_bytes = [], 0
        if self._full():
            self.close()

    def close(self) -> None:
        if self.pending:
            self._flush()
        if self.writer is not None:
            self.writer.close()
        self.writer, self.bytes, self.rows = None, 0, 0

    def publish(self) -> list[Path]:
        names = [f"{self.split}-{i:05d}-of-{len(self.parts):05d}.parquet" for i in range(len(self.parts))]
        return [part.rename(self.folder / name) for part, name in zip(self.parts, names, strict=True)]
