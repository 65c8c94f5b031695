"""One run of `predict` split over processes and machines: which items each takes, and their files as one."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Self

from rscovlm.files import check_output, lock, replacing
from rscovlm.predicting.items import Item
from rscovlm.predicting.latest_rows import PREDICTIONS, LatestRows
from rscovlm.zoom.journal import Journal, read_settings

TOGETHER = 256
"""Rows that are written at once."""


@dataclass(frozen=True)
class Shard:
    """The part of all items that one process takes, by their ids alone: order, folders and machines do not matter.

    Attributes:
        number: Which part, from 1.
        count: How many parts there are.

    Raises:
        ValueError: The number is not between 1 and the count.

    >>> Shard.parse("2/4").out(Path("runs/predictions.jsonl")).name
    'predictions.2-of-4.jsonl'
    """

    number: int
    count: int

    def __post_init__(self) -> None:
        if not 1 <= self.number <= self.count:
            raise ValueError(
                f"shard {self.number}/{self.count} does not exist; give 1/{self.count} to {self.count}/{self.count}"
            )

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``"2/4"``: the second of four.

        Raises:
            ValueError: It is not of this form.
        """
        found = re.fullmatch(r"(\d{1,7})/(\d{1,7})", text, re.ASCII)
        if found is None:
            raise ValueError(f"shard {text[:40]!r} is not understood; give number/count such as 2/4")
        return cls(int(found[1]), int(found[2]))

    def takes(self, name: str) -> bool:
        """Tell whether an item of this id is in the shard."""
        digest = hashlib.sha256(name.encode(errors="surrogatepass")).digest()
        return int.from_bytes(digest[:8]) % self.count == self.number - 1

    def of(self, items: Sequence[Item]) -> list[Item]:
        """Return the items of the shard, in their order; maybe none."""
        return [item for item in items if self.takes(item.id)]

    def out(self, path: Path) -> Path:
        """Return the file of the shard's rows, beside that of all."""
        return path.with_name(f"{path.stem}.{self.number}-of-{self.count}{path.suffix}")


def merge_shards(parts: Sequence[Path], out: Path) -> dict[str, int]:
    """Write the rows that count of several files of `predict` as one file, from which `predict` resumes too.

    Args:
        parts: Files of shards, in any order; no process may be writing to them.
        out: A file that does not exist.

    Returns:
        Counts: ``rows``, of which ``errors`` hold an error, and ``doubled``: ids of several files, of which the last row
        without an error is taken.

    Raises:
        FileNotFoundError: A part does not exist.
        ValueError: There are no parts, or one is no file of `predict`, was made with other settings, or is being written;
            or ``out`` exists.
    """
    if not parts:
        raise ValueError("there are no files to merge; give those of the shards")
    check_output(out)
    about = read_settings(parts[0], kind=PREDICTIONS)
    for part in parts[1:]:
        other = read_settings(part, kind=PREDICTIONS)
        differ = sorted(name for name in about.keys() | other.keys() if about.get(name) != other.get(name))
        if differ:
            raise ValueError(
                f"{part} was made with another {', '.join(differ)} than {parts[0]}; merge files of one run"
            )
    with ExitStack() as stack:
        for part in parts:
            lock(stack.enter_context(part.open("rb")).fileno(), str(part))
        rows = [LatestRows(part) for part in parts]
        taken, doubled = _taken(rows)
        counts = {"rows": 0, "errors": 0, "doubled": doubled}
        with replacing(out) as new, Journal(new, about, kind=PREDICTIONS) as journal:
            left = _rows(rows, taken)
            while some := list(islice(left, TOGETHER)):
                journal.append(some)
                counts["rows"] += len(some)
                counts["errors"] += sum("error" in row for row in some)
    return counts


def _taken(rows: Sequence[LatestRows]) -> tuple[dict[str, int], int]:
    """Return which file each id is taken from, and how many ids are in several."""
    taken: dict[str, int] = {}
    doubled = set()
    for number, part in enumerate(rows):
        for name in part:
            if name in taken:
                doubled.add(name)
                if "error" in part[name]:
                    continue
            taken[name] = number
    return taken, len(doubled)


def _rows(rows: Sequence[LatestRows], taken: dict[str, int]) -> Iterator[dict[str, Any]]:
    for number, part in enumerate(rows):
        yield from (part[name] for name in part if taken[name] == number)


def parts_of(out: Path) -> list[Path]:
    """Return the files of the shards of one file of rows, all of them.

    Raises:
        ValueError: There are none, those of several counts, or some are missing.
    """
    pattern = re.compile(rf"{re.escape(out.stem)}\.(\d+)-of-(\d+){re.escape(out.suffix)}")
    found = {(int(name[1]), int(name[2])) for name in map(pattern.fullmatch, os.listdir(out.parent)) if name}
    counts = sorted({count for _, count in found})
    if len(counts) != 1:
        what = f"of {' and of '.join(map(str, counts))} shards" if counts else "of no shard"
        raise ValueError(f"{out.parent} holds files {what} of {out.name}; run predict with --shard, or name the files")
    shards = [Shard(number, counts[0]) for number in range(1, counts[0] + 1)]
    missing = [shard.out(out).name for shard in shards if (shard.number, shard.count) not in found]
    if missing:
        raise ValueError(f"{len(missing)} shards have no file yet, the first {missing[0]}; run predict on these first")
    return [shard.out(out) for shard in shards]
