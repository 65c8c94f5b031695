"""Annotation files in JSON: one array or one object a line, read element by element in bounded memory."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

from rscovlm.records.tally import Rejected

_CHUNK = 1 << 20


def read_items(path: Path) -> Iterator[tuple[str, Any]]:
    """Yield the elements of a JSON array, or the lines of a JSON-lines file (any `.jsonl`), each with its place in words.

    A line that is not JSON is yielded as the text it is, so that the caller's row check refuses that row alone.

    Raises:
        ValueError: A JSON array is cut short, malformed or followed by more; or the file is one object over several lines. The message
            names file and element (from 1).
    """
    lines = path.suffix in (".jsonl", ".ndjson")
    # A byte that is no UTF-8 makes its own line or element unreadable, not the whole file.
    with path.open(encoding="utf-8-sig", errors="surrogateescape") as file:
        first = file.read(1)
        while first.isspace():
            first = file.read(1)
        if first == "[" and not lines:
            yield from _elements(file, path.name)
            return
        if not first:
            return
        file.seek(0)
        for number, line in enumerate(file, start=1):
            if line.strip():
                value = _line(line)
                if number == 1 and first == "{" and not lines and isinstance(value, str):
                    raise ValueError(
                        f"{path.name} begins as one JSON object; an array of rows or one row a line is read"
                    )
                yield f"{path.name}, row {number}", value


def read_json(path: Path) -> Any:
    """Read one JSON document.

    Raises:
        ValueError: The file is not JSON; the message names it.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path.name} is not JSON ({error}); download it again") from error


def parsed(text: str | bytes) -> Any:
    """Parse one JSON value of a row.

    Raises:
        ValueError: The text is not JSON, or nested deeper than can be read.
    """
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Rejected("malformed row", f"{text[:80]!r} is not JSON ({error})") from error


def _line(line: str) -> Any:
    try:
        return parsed(line)
    except Rejected:
        return line


_GOES_ON = ("", ".", "e", "E", "e-", "E-", "e+", "E+")
"""What may stand behind a number at the end of a chunk whose rest is in the next one."""


def _elements(file: TextIO, name: str) -> Iterator[tuple[str, Any]]:
    decoder = json.JSONDecoder()
    buffer, number, ended = "", 0, False
    while True:
        buffer = buffer.lstrip(" \t\r\n,")
        if buffer.startswith("]"):
            rest = buffer[1:].strip() or next(
                (part for part in iter(lambda: file.read(_CHUNK), "") if part.strip()), ""
            )
            if rest:
                raise ValueError(
                    f"{name}: after the array of {number} rows comes more, {rest.strip()[:40]!r}; keep one array a file"
                )
            return
        try:
            if not buffer:
                raise ValueError("no more text")
            value, end = decoder.raw_decode(buffer)
            if not ended and buffer[end:] in _GOES_ON:
                raise ValueError("a number may go on in the next chunk")
        except (ValueError, RecursionError) as error:
            if ended:
                raise ValueError(f"{name}, row {number + 1}: the array is cut short or malformed ({error})") from error
            chunk = file.read(max(_CHUNK, len(buffer)))
            buffer, ended = buffer + chunk, not chunk
            continue
        number += 1
        yield f"{name}, row {number}", value
        buffer = buffer[end:]
