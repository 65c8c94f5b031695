"""A file of finished work, one JSON row a line, from which an interrupted run resumes."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Self

from rscovlm.files import lock, mark

Row = dict[str, Any]

_MARK = "written_by"


class Journal:
    """Rows on disk, safe against a process that is killed at any moment.

    The first line is a header that says that this package wrote the file; a file without it is left as it is. While a
    journal is open no other can be opened on its file. Rows are appended whole and are on the disk when `append`
    returns. A last line that was cut off in the middle of writing is dropped at opening, so its work is done again.

    Args:
        path: The file; made with its folder where absent.
        settings: What all rows depend on, kept in the header. A file made with other settings is refused, so that
            results of different runs never mix. ``None`` keeps none.
        kind: What the rows are, kept in the header too.
        what: What the error about other settings calls them.

    Attributes:
        path: The file.
        dropped: Bytes of a torn last line that were dropped at opening.

    Raises:
        ValueError: The file is not such a journal, has other settings, or is open in another process; or a line before
            the last is no JSON object.

    Example:
        >>> import tempfile
        >>> folder = tempfile.TemporaryDirectory()
        >>> with Journal(Path(folder.name, "work.jsonl"), {"task": "caption"}) as journal:
        ...     journal.append([{"id": "a"}])
        >>> with Journal(Path(folder.name, "work.jsonl"), {"task": "caption"}) as journal:
        ...     list(journal)
        [{'id': 'a'}]
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        settings: Mapping[str, Any] | None = None,
        *,
        kind: str = "rows",
        what: str = "other settings",
    ) -> None:
        self.path = Path(path)
        self._header: Row = {_MARK: mark(kind)}
        if settings is not None:
            self._header["settings"] = json.loads(json.dumps(settings))
        _check_plain(self.path)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0)
        self._file = os.open(self.path, flags, 0o644)
        try:
            lock(self._file, str(self.path))
            # Nothing is changed before the header has been read and is ours.
            torn = self._check(what)
            self.dropped = self._drop_torn_line()
            if torn or not os.fstat(self._file).st_size:
                self.append([self._header])
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __iter__(self) -> Iterator[Row]:
        """Yield the rows in the order they were written, without the header."""
        rows = _rows(self.path)
        next(rows, None)
        return (row for _, row in rows)

    def placed(self) -> Iterator[tuple[int, Row]]:
        """Yield the rows, each after the byte of the file at which it begins."""
        rows = _rows(self.path)
        next(rows, None)
        return rows

    def append(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Write rows and return when they are on the disk; on a full disk the file stays as it was.

        Raises:
            OSError: The rows could not be written.
        """
        # Half a character becomes an escape that JSON reads back.
        data = memoryview("".join(_line(row) for row in rows).encode(errors="backslashreplace"))
        before = os.fstat(self._file).st_size
        try:
            while data:
                data = data[os.write(self._file, data) :]
            os.fsync(self._file)
        except OSError:
            os.ftruncate(self._file, before)
            raise

    def close(self) -> None:
        """Close the file; closing twice does nothing."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _check(self, what: str) -> bool:
        """Compare the header with what is wanted; return whether the file is only the beginning of that header."""
        with self.path.open("rb") as lines:
            first = lines.readline()
        if not first:
            return False
        if not first.endswith(b"\n") and _line(self._header).encode().startswith(first):
            return True
        header = _read_header(first, self._header[_MARK], self.path)
        before, wanted = header.get("settings"), self._header.get("settings")
        if before == wanted:
            return False
        known, asked = (value if isinstance(value, dict) else {} for value in (before, wanted))
        differ = [name for name in sorted({*known, *asked}) if known.get(name) != asked.get(name)]
        raise ValueError(
            f"{self.path} was made with {what} ({', '.join(differ)}); resume with the same ones, or give another file"
        )

    def _drop_torn_line(self) -> int:
        """Drop what follows the last line break, and return how many bytes that was."""
        size = end = os.fstat(self._file).st_size
        with self.path.open("rb") as file:
            while end:
                start = max(0, end - 65536)
                file.seek(start)
                found = file.read(end - start).rfind(b"\n")
                if found >= 0:
                    end = start + found + 1
                    break
                end = start
        if end < size:
            os.ftruncate(self._file, end)
            os.fsync(self._file)
        return size - end


def read_rows(path: str | os.PathLike[str], *, kind: str = "rows") -> Iterator[Row]:
    """Yield the rows of a journal, which is opened for reading only; a torn last line is left out.

    Args:
        path: The file.
        kind: What the rows are.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is no journal of this kind, or a line is no JSON object.
    """
    return (row for _, row in read_placed_rows(path, kind=kind))


def read_placed_rows(path: str | os.PathLike[str], *, kind: str = "rows") -> Iterator[tuple[int, Row]]:
    """Yield the rows of a journal as `read_rows`, each after the byte of the file at which it begins."""
    _check_plain(Path(path))
    with open(path, "rb") as lines:
        first = lines.readline()
    begins = json.dumps({_MARK: mark(kind)}, separators=(",", ":"))[:-1].encode()
    if first and (first.endswith(b"\n") or not first.startswith(begins)):
        _read_header(first, mark(kind), Path(path))
    rows = _rows(Path(path))
    next(rows, None)
    yield from rows


def read_settings(path: str | os.PathLike[str], *, kind: str = "rows") -> Row:
    """Return the settings in the header of a journal, which is opened for reading only.

    Args:
        path: The file.
        kind: What the rows are.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is no journal of this kind.
    """
    _check_plain(Path(path))
    with open(path, "rb") as lines:
        settings: Row = _read_header(lines.readline(), mark(kind), Path(path)).get("settings") or {}
    return settings


def is_journal(path: Path, *, kind: str) -> bool:
    """Tell whether a file is a journal of a kind."""
    try:
        with path.open("rb") as lines:
            _read_header(lines.readline(), mark(kind), path)
    except (ValueError, OSError):
        return False
    return True


def _check_plain(path: Path) -> None:
    """Refuse folders, devices and pipes, which opening alone may change or wait for."""
    if os.path.lexists(path) and not path.is_file():
        raise ValueError(f"{path} is not a plain file; give the name of a .jsonl file")


def _read_header(line: bytes, wanted: str, path: Path) -> Row:
    try:
        header = json.loads(line)
    except (ValueError, RecursionError):
        header = None
    if not isinstance(header, dict) or header.get(_MARK) != wanted:
        raise ValueError(
            f"{path} does not begin with the line by which rscovlm knows its own files ({wanted}), so it is left as it "
            "is; give another file"
        )
    return header


def _rows(path: Path) -> Iterator[tuple[int, Row]]:
    place = 0
    with path.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            if not line.endswith(b"\n"):
                return
            try:
                row = json.loads(line)
            except (ValueError, RecursionError):
                row = None
            if not isinstance(row, dict):
                raise ValueError(f"{path}, line {number}: is no JSON object; repair or remove the file")
            yield place, row
            place += len(line)


def _line(row: Mapping[str, Any]) -> str:
    return json.dumps(row, ensure_ascii=False, separators=(",", ":"), allow_nan=False) + "\n"
