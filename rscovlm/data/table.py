"""Records by row number, read from disk one at a time: what a mixture draws from."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import accumulate
from os import SEEK_END
from pathlib import Path
from typing import Any, overload
from zlib import crc32

from rscovlm.extras import optional
from rscovlm.records.record import Record, check_fields


class RecordTable(Sequence[Record]):
    """Records of a ``.jsonl`` file, a ``.parquet`` shard or a folder of shards, without holding them in memory.

    JSON lines are found by their offsets, eight bytes a row; shards are memory-mapped through the Arrow cache of
    `datasets`, so twenty sources of a million rows cost next to nothing until they are read.

    Args:
        source: The file, or a folder as `write_parquet` makes it.
        split: Of a folder, only shards of this split.

    Raises:
        FileNotFoundError: There is nothing to read.
        ValueError: The file is of another kind, or a split is asked of a file. On access, a row that is no record; the
            message names file and row.

    Examples:
        >>> from tempfile import TemporaryDirectory
        >>> from rscovlm.records.record import ImageRef
        >>> from rscovlm.data.storage import write_jsonl
        >>> with TemporaryDirectory() as folder:
        ...     made = Record("1", "mine", "train", "caption", (ImageRef("a.png"),), captions=("a pier",))
        ...     _ = write_jsonl([made], Path(folder, "a.jsonl"))
        ...     RecordTable(Path(folder, "a.jsonl"))[0].captions
        ('a pier',)
    """

    def __init__(self, source: str | Path, *, split: str | None = None) -> None:
        path = Path(source)
        if not path.exists():
            raise FileNotFoundError(
                f"no records at {str(path)!r}; give a .jsonl file, a .parquet shard or a folder of shards"
            )
        if path.is_file() and path.suffix not in (".jsonl", ".parquet"):
            raise ValueError(f"records {path.name!r} are no .jsonl file, .parquet shard or folder of shards; give one")
        if split is not None and not path.is_dir():
            raise ValueError(
                f"split is {split!r}, but {path.name!r} is no folder of shards, which alone has splits; leave it out"
            )
        self.source = path
        self._rows: _Lines | _ShardTable = _Lines(path) if path.suffix == ".jsonl" else _ShardTable(path, split)
        self._decode = Record.from_json if path.suffix == ".jsonl" else Record.from_dict

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self._rows)

    @property
    def files(self) -> dict[str, str]:
        """What each file holds, in words that change with it: rows, bytes and a checksum of its lines or its footer."""
        return self._rows.files

    @overload
    def __getitem__(self, index: int) -> Record: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Record]: ...
    def __getitem__(self, index: int | slice) -> Record | Sequence[Record]:
        """Return a record by its row number, or several."""
        if isinstance(index, slice):
            return [self[row] for row in range(*index.indices(len(self)))]
        row = index + len(self) if index < 0 else index
        if not 0 <= row < len(self):
            raise IndexError(f"row {index} of {len(self)}")
        try:
            return self._decode(self._rows[row])
        except ValueError as error:
            raise ValueError(f"{self.source.name}, row {row + 1}: {error}") from error

    def __iter__(self) -> Iterator[Record]:
        """Walk the rows in order."""
        return (self[row] for row in range(len(self)))


class _Lines(Sequence[str]):
    """Lines of a file by number."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._starts = array("Q")
        start = checksum = 0
        with path.open("rb") as file:
            for line in file:
                if line.strip():
                    self._starts.append(start)
                start += len(line)
                checksum = crc32(line, checksum)
        self.files = {path.name: _said(len(self), start, checksum)}

    def __len__(self) -> int:
        return len(self._starts)

    def __getitem__(self, row: Any) -> Any:
        with self._path.open("rb") as file:
            file.seek(self._starts[row])
            return file.readline().decode("utf-8-sig")


class _ShardTable(Sequence[dict[str, Any]]):
    """Rows of Parquet shards by number."""

    def __init__(self, source: Path, split: str | None) -> None:
        with optional():
            from datasets import Dataset
            from datasets.exceptions import DatasetsError

        files = [source] if source.is_file() else sorted(source.glob(f"**/{split or '*'}-*-of-*.parquet"))
        if not files:
            there = sorted(
                {shard.name.rsplit("-of-", 1)[0].rsplit("-", 1)[0] for shard in source.glob("**/*-*-of-*.parquet")}
            )
            raise FileNotFoundError(
                f"no shards {'' if split is None else f'of split {split!r} '}below {str(source)!r}"
                + (
                    f"; splits are {', '.join(there)}"
                    if there
                    else "; give a folder as `rscovlm data convert` writes it"
                )
            )
        self._tables = []
        for file in files:
            try:
                self._tables.append(Dataset.from_parquet(str(file)))
            except (ValueError, OSError, DatasetsError) as error:
                said = " ".join(str(error.__cause__ or error).split())
                raise ValueError(f"{file.name} cannot be read as a shard ({said}); convert it again") from error
            check_fields(self._tables[-1].column_names, f"shard {file.name}")
        self._ends = list(accumulate(len(table) for table in self._tables))
        below = source.parent if source.is_file() else source
        counted = zip(files, self._tables, strict=True)
        self.files = {file.relative_to(below).as_posix(): _footer(file, len(table)) for file, table in counted}

    def __len__(self) -> int:
        return self._ends[-1]

    def __getitem__(self, row: Any) -> Any:
        place = bisect_right(self._ends, row)
        before = self._ends[place - 1] if place else 0
        return self._tables[place][row - before]


def _footer(path: Path, rows: int) -> str:
    """Tell a shard by its footer, which has the place, size and extremes of every column's pieces; images are not read."""
    with path.open("rb") as file:
        size = file.seek(0, SEEK_END)
        file.seek(-8, SEEK_END)
        length = min(size, 8 + int.from_bytes(file.read(4), "little"))
        file.seek(-length, SEEK_END)
        return _said(rows, size, crc32(file.read()))


def _said(rows: int, size: int, checksum: int) -> str:
    return f"{rows:,} rows in {size:,} bytes with checksum {checksum:08x}"
