"""The answers of a run on disk: one append-only file a suite, a way of asking and a shard, each safe against a kill."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from rscovlm.zoom.journal import Journal, read_rows

ANSWERS = "answers"
"""Kind of these files."""

_NAME = re.compile(r"(?P<run>.+)\.(?P<shard>\d+)-of-(?P<shards>\d+)\.jsonl")
Row = dict[str, Any]


def check_shard(text: str) -> tuple[int, int]:
    """Return the number of a shard, from 1, and how many there are.

    Raises:
        ValueError: The text is no such pair.

    >>> check_shard("2/4")
    (2, 4)
    """
    match = re.fullmatch(r"(\d+)/(\d+)", text.strip())
    if match is None or not 1 <= int(match[1]) <= int(match[2]):
        raise ValueError(f"shard is {text!r}; give a number and how many there are, such as 2/4")
    return int(match[1]), int(match[2])


def run_name(suite: str, variant: str, control: str) -> str:
    """Return what the files of one way of asking begin with.

    >>> run_name("lrs-vqa", "zoom", ""), run_name("avvg", "native", "no-image")
    ('lrs-vqa.zoom', 'avvg.native.no-image')
    """
    return ".".join(part for part in (suite.replace("/", "_"), variant or "as-is", control) if part)


def answers_path(folder: Path, run: str, shard: tuple[int, int]) -> Path:
    """Return the file of a shard."""
    return folder / "answers" / f"{run}.{shard[0]}-of-{shard[1]}.jsonl"


def shard_files(folder: Path, run: str) -> list[Path]:
    """Return the files of all shards of a way of asking, whatever their number was."""
    found = []
    for path in sorted((folder / "answers").glob("*.jsonl")):
        match = _NAME.fullmatch(path.name)
        if match is not None and match["run"] == run:
            found.append(path)
    return found


def runs_of(folder: Path) -> list[str]:
    """Return the ways of asking of which a folder holds answers.

    Raises:
        FileNotFoundError: It holds none.
    """
    matches = (_NAME.fullmatch(path.name) for path in sorted((folder / "answers").glob("*.jsonl")))
    found = list(dict.fromkeys(match["run"] for match in matches if match is not None))
    if not found:
        raise FileNotFoundError(f"{folder} holds no answers; give the folder of a run of `rscovlm eval`")
    return found


def settings_of(path: Path) -> Row:
    """Return the settings that a file of answers was made with.

    Raises:
        ValueError: It is no such file.
    """
    next(read_rows(path, kind=ANSWERS), None)
    with path.open("rb") as lines:
        first = lines.readline()
    if not first.endswith(b"\n"):  # a run that was killed while it wrote its first line
        return {}
    settings = json.loads(first).get("settings")
    return settings if isinstance(settings, dict) else {}


def merged_rows(folder: Path, run: str) -> Iterator[Row]:
    """Yield one row an item from all shards, read once: its first answer, so that nothing counts twice, or its error.

    Raises:
        ValueError: Two shards were made with different settings; the message names what differs.
    """
    paths = shard_files(folder, run)
    _check_same(paths)
    seen: set[str] = set()
    failed: dict[str, Row] = {}
    for path in paths:
        for row in read_rows(path, kind=ANSWERS):
            item = row["item"]
            if "error" in row:
                failed[item] = row
            elif item not in seen:
                seen.add(item)
                yield row
    yield from (row for item, row in failed.items() if item not in seen)


def answered_items(folder: Path, run: str) -> set[str]:
    """Return the items that some shard has answered; those that met an error are asked again."""
    return {
        row["item"] for path in shard_files(folder, run) for row in read_rows(path, kind=ANSWERS) if "error" not in row
    }


def open_answers(folder: Path, run: str, shard: tuple[int, int], settings: Mapping[str, Any]) -> Journal:
    """Open the file of a shard for more answers.

    Raises:
        ValueError: It, or that of another shard, was made with other settings, or another process writes to it.
    """
    path = answers_path(folder, run, shard)
    # Before a file is made: one of other settings would stand in the way of all shards.
    _check_same([one for one in shard_files(folder, run) if one != path], json.loads(json.dumps(settings)))
    return Journal(path, settings, kind=ANSWERS, what="another model, data, dialect or settings")


def _check_same(paths: Iterable[Path], wanted: Row | None = None) -> None:
    first: Row = wanted or {}
    for path in paths:
        settings = settings_of(path)
        if first and settings and settings != first:
            differ = sorted(key for key in {*first, *settings} if first.get(key) != settings.get(key))
            raise ValueError(f"{path} was made with other settings than its fellow shards ({', '.join(differ)})")
        first = first or settings
