"""The papers' tables as data: their columns, their averages and the rows that were printed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import ROUND_HALF_EVEN, ROUND_HALF_UP, Decimal
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from rscovlm.benchmarks.suite import PublishedRow, load_suite, suite_names
from rscovlm.settings.checked import known_fields
from rscovlm.settings.nearest import nearest
from rscovlm.settings.yamlfiles import read_yaml


@dataclass(frozen=True)
class TableColumn:
    """One column.

    Attributes:
        name: What the table calls it.
        suite: The benchmark that it is a figure of.
        figure: Which of that benchmark's figures; ``all`` where it has one column.
    """

    name: str
    suite: str
    figure: str = "all"


@dataclass(frozen=True)
class PublishedTable:
    """A table of a paper.

    Attributes:
        name: What ``--suite`` calls it.
        title: What reports call it.
        source: The paper.
        columns: From left to right.
        averages: Means of columns, by name.
        rows: What was printed.
        missing: What is not here, and why.
    """

    name: str
    title: str
    source: str
    columns: tuple[TableColumn, ...]
    averages: Mapping[str, Sequence[str]] = field(default_factory=dict)
    rows: tuple[PublishedRow, ...] = ()
    missing: str = ""

    def suites(self) -> tuple[str, ...]:
        """Return the benchmarks of its columns, once each."""
        return tuple(dict.fromkeys(column.suite for column in self.columns))

    def average(self, name: str, values: Mapping[str, float]) -> float | None:
        """Return a mean of columns, or None where one of them has no value.

        >>> round(load_table("table1").average("Avg.", {"FAIR": 27.37, "Bridge": 42.42, "STAR": 31.77}), 2)
        33.85
        """
        columns = self.averages[name]
        if any(column not in values for column in columns):
            return None
        return sum(values[column] for column in columns) / len(columns)


def misprints(table: PublishedTable) -> list[str]:
    """Return one line for each printed average that its row's columns do not give, rounded either way at a half.

    >>> misprints(load_table("table5"))
    []
    """
    found = []
    for row in table.rows:
        for name, printed in row.printed.items():
            columns = table.averages.get(name, ())
            if not columns or any(column not in row.values for column in columns):
                continue
            exact = sum((Decimal(str(row.values[column])) for column in columns), Decimal(0)) / len(columns)
            step = Decimal("0.01")
            allowed = {exact.quantize(step, rounding) for rounding in (ROUND_HALF_EVEN, ROUND_HALF_UP)}
            if Decimal(str(printed)).quantize(step) not in allowed:
                found.append(f"{table.name}, {row.name}: {name} is printed as {printed}; its columns give {exact:.4f}")
    return found


@cache
def table_names() -> tuple[str, ...]:
    """Return the names of the tables.

    >>> table_names()
    ('table1', 'table2', 'table3', 'table4', 'table5')
    """
    found = (entry.name for entry in (files("rscovlm.benchmarks") / "tables").iterdir())
    return tuple(sorted(name.removesuffix(".yaml") for name in found if name.endswith(".yaml")))


@cache
def load_table(name: str) -> PublishedTable:
    """Return one of the papers' tables.

    Raises:
        ValueError: There is none of this name, or its file says what has no meaning.
    """
    if name not in table_names():
        raise ValueError(f"table is {name!r}{nearest(name, table_names())}")
    file = files("rscovlm.benchmarks") / "tables" / f"{name}.yaml"
    return _table(read_yaml(str(file)), f"{name}.yaml")


def _table(content: Any, where: str) -> PublishedTable:
    given = known_fields(content, PublishedTable, where)
    given["columns"] = tuple(TableColumn(**known_fields(one, TableColumn, where)) for one in given["columns"])
    given["rows"] = tuple(PublishedRow(**known_fields(one, PublishedRow, where)) for one in given.get("rows", ()))
    table = PublishedTable(**given)
    names = {column.name for column in table.columns}
    for column in table.columns:
        load_suite(column.suite)
    for row in table.rows:
        unknown = sorted((set(row.values) - names) | (set(row.printed) - set(table.averages)))
        if unknown:
            raise ValueError(f"{where}: row {row.name!r} has figures for {unknown}, which are no columns or averages")
    return table


def named_suites(names: Sequence[str]) -> tuple[tuple[str, ...], tuple[PublishedTable, ...]]:
    """Return the suites that names of tables, of suites and of suite files stand for, and the tables among them.

    >>> named_suites(["table5", "aid-vhm"])[0]
    ('rsvqa-vhm', 'vrsbench-vqa', 'aid-vhm')

    Raises:
        ValueError: A name is neither that of a table or of a suite nor ends as a suite's file does.
    """
    known = (*table_names(), *suite_names())
    for name in names:
        if name not in known and Path(name).suffix not in (".yaml", ".yml"):
            raise ValueError(f"suite is {name!r}{nearest(name, known)}")
    tables = tuple(load_table(name) for name in names if name in table_names())
    found: list[str] = []
    for name in names:
        found += load_table(name).suites() if name in table_names() else [name]
    return tuple(dict.fromkeys(found)), tables
