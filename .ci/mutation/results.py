"""Rows of trials: kept as they end, resumed from, and counted."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

KEY = ("floor", "path", "where", "was", "now")


class Results:
    """A file of JSON lines, of which the last line of a mutant counts.

    Args:
        file: Where rows are kept.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._known = {_key(row): row for row in self._rows()}

    def known(self, row: dict[str, Any]) -> dict[str, Any] | None:
        """Return the row of a mutant that was tried before."""
        return self._known.get(_key(row))

    def survivors(self, floor: str) -> list[tuple[str, str, str, str]]:
        """Return the keys of what survived on a floor."""
        rows = [row for row in self._known.values() if row["floor"] == floor and row["outcome"] == "survived"]
        return [(row["path"], row["where"], row["was"], row["now"]) for row in rows]

    def add(self, row: dict[str, Any]) -> None:
        """Keep a row."""
        self._known[_key(row)] = row
        with self._file.open("a", encoding="utf-8") as lines:
            lines.write(json.dumps(row) + "\n")

    def count(self) -> int:
        """Return how many rows the file has."""
        return len(self._rows())

    def read_again(self, first: int) -> set[tuple[str, str, str, str]]:
        """Take in what another process added, and return the keys of its mutants.

        Args:
            first: How many rows the file had before.
        """
        added = self._rows()[first:]
        self._known |= {_key(row): row for row in added}
        return {(row["path"], row["where"], row["was"], row["now"]) for row in added}

    def _rows(self) -> list[dict[str, Any]]:
        lines = self._file.read_text(encoding="utf-8").splitlines() if self._file.exists() else []
        return [json.loads(line) for line in lines if line.strip()]


def _key(row: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(row[name] for name in KEY)


def table(rows: Sequence[dict[str, Any]], least: float) -> tuple[list[str], bool]:
    """Return a table of floors, and whether each noticed enough.

    Args:
        rows: Rows of trials.
        least: Per cent of the mutants that change behaviour.
    """
    lines = ["| floor | mutants | equivalent | noticed | survived | % |", "|---|---|---|---|---|---|"]
    good = True
    for floor in dict.fromkeys(row["floor"] for row in rows):
        outcomes = [row["outcome"] for row in rows if row["floor"] == floor]
        noticed, survived = outcomes.count("noticed"), outcomes.count("survived")
        share = 100 * noticed / (noticed + survived) if noticed + survived else 100.0
        good = good and share >= least
        lines.append(
            f"| {floor} | {len(outcomes)} | {outcomes.count('equivalent')} | {noticed} | {survived} | {share:.1f} |"
        )
    return lines, good
