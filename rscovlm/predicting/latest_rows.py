"""The row that counts of each item, read from the file when it is asked for."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from rscovlm.zoom.journal import read_placed_rows

Row = dict[str, Any]

PREDICTIONS = "predictions"
"""Kind of the file of rows."""


class LatestRows(Mapping[str, Row]):
    """The last row of each item; only ids and places in the file are in memory.

    The file is opened for reading only.

    Args:
        out: File of rows.
        only: Ids to give, in that order; all by default, in the order of their first rows.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It was not written by `predict`, or lacks an id that is wanted.
    """

    def __init__(self, out: Path, only: Iterable[str] | None = None) -> None:
        self._path = out
        places = {row["id"]: place for place, row in read_placed_rows(out, kind=PREDICTIONS)}
        if only is not None:
            wanted = dict.fromkeys(only)
            missing = next((name for name in wanted if name not in places), None)
            if missing is not None:
                raise ValueError(f"{out} has no row of {missing!r}; run predict on it first")
            places = {name: places[name] for name in wanted}
        self._places = places

    def __getitem__(self, name: str) -> Row:
        """Return the row of an item.

        Raises:
            KeyError: It has none.
            ValueError: The file was changed meanwhile.
        """
        place = self._places[name]
        with self._path.open("rb") as file:
            file.seek(place)
            line = file.readline()
        try:
            row: Row = json.loads(line)
        except ValueError:
            row = {}
        if not isinstance(row, dict) or row.get("id") != name:
            raise ValueError(f"{self._path} was changed while it was read; run the command again")
        return row

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)
