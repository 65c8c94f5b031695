"""A file of finished work, one JSON row a line, from which an interrupted run goes on."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Self

Row = dict[str, Any]


class Journal:
    """Rows on disk, safe against a process that is killed at any moment.

    Rows are appended whole and are on the disk when `append` returns. A last line that was cut off in the middle of
    writing is dropped at opening, so its work is done again.

    Args:
        path: The file; made with its folder where absent.
        settings: What all rows depend on, kept as the first row. A file made with other settings is refused, so that
            results of different runs never mix. ``None`` keeps none.

    Attributes:
        path: The file.
        dropped: Bytes of a torn last line that were dropped at opening.

    Raises:
        ValueError: The file has other settings, or a line before the last is no JSON object.

    Example:
        >>> import tempfile
        >>> folder = tempfile.TemporaryDirectory()
        >>> with Journal(Path(folder.name, "work.jsonl"), {"task": "caption"}) as journal:
        ...     journal.append([{"id": "a"}])
        >>> with Journal(Path(folder.name, "work.jsonl"), {"task": "caption"}) as journal:
        ...     list(journal)
        [{'id': 'a'}]
    """

    def __init__(self, path: str | os.PathLike[str], settings: Mapping[str, Any] | None = None) -> None:
        self.path = Path(path)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._settings = None if settings is None else json.loads(json.dumps(settings))
        self._file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        try:
            self.dropped = self._mend()
            self._check()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __iter__(self) -> Iterator[Row]:
        """Yield the rows in the order they were written, settings left out."""
        rows = self._rows()
        if self._settings is not None:
            next(rows, None)
        return rows

    def append(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Write rows and return when they are on the disk."""
        # Half a character becomes an escape that JSON reads back.
        data = memoryview("".join(_line(row) for row in rows).encode(errors="backslashreplace"))
        while data:
            data = data[os.write(self._file, data) :]
        os.fsync(self._file)

    def close(self) -> None:
        """Close the file; closing twice does nothing."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _mend(self) -> int:
        """Drop what follows the last line break, and return how many bytes that was."""
        size = end = os.fstat(self._file).st_size
        while end:
            start = max(0, end - 65536)
            found = os.pread(self._file, end - start, start).rfind(b"\n")
            if found >= 0:
                end = start + found + 1
                break
            end = start
        if end < size:
            os.ftruncate(self._file, end)
            os.fsync(self._file)
        return size - end

    def _check(self) -> None:
        if self._settings is None:
            return
        first = next(self._rows(), None)
        if first is None:
            self.append([{"settings": self._settings}])
        elif first.get("settings") != self._settings:
            before = first.get("settings")
            known = before if isinstance(before, dict) else {}
            names = sorted({*known, *self._settings})
            differ = [name for name in names if known.get(name) != self._settings.get(name)]
            raise ValueError(
                f"{self.path} was made with other settings ({', '.join(differ)}); "
                "go on with the same ones, or give another file"
            )

    def _rows(self) -> Iterator[Row]:
        with self.path.open("rb") as lines:
            for number, line in enumerate(lines, 1):
                try:
                    row = json.loads(line)
                except ValueError:
                    row = None
                if not isinstance(row, dict):
                    raise ValueError(f"{self.path}, line {number}: is no JSON object; repair or remove the file")
                yield row


def _line(row: Mapping[str, Any]) -> str:
    return json.dumps(row, ensure_ascii=False, separators=(",", ":"), allow_nan=False) + "\n"
