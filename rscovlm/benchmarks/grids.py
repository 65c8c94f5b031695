"""Scores laid out as the papers lay theirs out: a row a model, a column a figure, published rows above ours."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rscovlm.benchmarks.detection_scores import NAMES
from rscovlm.benchmarks.items import ALL
from rscovlm.benchmarks.published import PublishedTable
from rscovlm.benchmarks.scores import SuiteScore
from rscovlm.benchmarks.suite import Suite


@dataclass(frozen=True)
class GridCell:
    """One figure in per cent.

    Attributes:
        value: The figure.
        low: Lower end of its interval, or None.
        high: Upper end.
        protocol: How it was made; empty for a published one.
    """

    value: float
    low: float | None = None
    high: float | None = None
    protocol: str = ""


@dataclass(frozen=True)
class GridRow:
    """One model.

    Attributes:
        name: The model, and how it was asked.
        cells: A figure a column; None where there is none.
        published: It was printed elsewhere.
        source: Where.
        drawn: Pictures show it; a model's figures under further conventions stand in the table alone.
    """

    name: str
    cells: tuple[GridCell | None, ...]
    published: bool = False
    source: str = ""
    drawn: bool = True


@dataclass(frozen=True)
class ReportGrid:
    """A table of figures in per cent.

    Attributes:
        name: Short name, for files and labels.
        title: Title.
        columns: Names of the columns.
        rows: Published rows first.
        notes: What a reader must know.
    """

    name: str
    title: str
    columns: tuple[str, ...]
    rows: tuple[GridRow, ...]
    notes: tuple[str, ...] = ()


def table_grid(table: PublishedTable, scores: Sequence[SuiteScore]) -> ReportGrid:
    """Return one of the papers' tables with our rows below the published ones."""
    columns = (*(column.name for column in table.columns), *table.averages)
    rows = [
        GridRow(
            row.name,
            tuple(
                None if value is None else GridCell(value)
                for value in ({**row.values, **row.printed}.get(name) for name in columns)
            ),
            True,
            row.source,
        )
        for row in table.rows
    ]
    wanted = set(table.suites())
    ours = [score for score in scores if score.suite in wanted]
    for key in dict.fromkeys(_row_key(score) for score in ours):
        mine = {score.suite: score for score in ours if _row_key(score) == key}
        cells: dict[str, GridCell] = {}
        for column in table.columns:
            score = mine.get(column.suite)
            cell = None if score is None else _cell(score, column.figure)
            if cell is not None:
                cells[column.name] = cell
        for name in table.averages:
            value = table.average(name, {column: cell.value for column, cell in cells.items()})
            if value is not None:
                cells[name] = _average(name, value, table, mine.values())
        rows.append(GridRow(_shown_name(*key), tuple(cells.get(name) for name in columns)))
    notes = [f"Published rows: {table.source}.", *([f"Not here: {table.missing.strip()}"] if table.missing else [])]
    notes += [f"Misprint: {row.name}: {row.misprint}" for row in table.rows if row.misprint]
    return ReportGrid(table.name, table.title, columns, tuple(rows), tuple(notes))


def suite_grid(suite: Suite, scores: Sequence[SuiteScore]) -> ReportGrid:
    """Return the table of one benchmark under each of its conventions."""
    mine = [score for score in scores if score.suite == suite.name]
    if suite.protocol.scoring == "detections":
        columns: tuple[str, ...] = tuple(NAMES.values())
    else:
        average = (suite.protocol.average,) if suite.protocol.average else ()
        columns = (*suite.protocol.columns, *average) if suite.protocol.columns else (ALL,)
    rows = [
        GridRow(
            row.name,
            tuple(
                None if value is None else GridCell(value)
                for value in ({**row.values, **row.printed}.get(name) for name in columns)
            ),
            True,
            row.source,
        )
        for row in suite.published
    ]
    for score in mine:
        for rule in dict.fromkeys(figure.rule for figure in score.figures):
            cells = tuple(_cell(score, name, rule) for name in columns)
            drawn = rule == score.figures[0].rule
            rows.append(GridRow(f"{_shown_name(*_row_key(score))}, {rule}", cells, drawn=drawn))
        if score.constant:
            constant = tuple(
                GridCell(100 * score.constant[name]) if name in score.constant else None for name in columns
            )
            rows.append(GridRow("best constant answer", constant))
    once = tuple(dict.fromkeys(rows))  # the best constant answer is that of every way of asking
    return ReportGrid(suite.name, suite.title, columns, once, (suite.note.strip(),) if suite.note else ())


def grids(tables: Iterable[PublishedTable], suites: Iterable[Suite], scores: Sequence[SuiteScore]) -> list[ReportGrid]:
    """Return all tables, then each benchmark by itself."""
    return [*(table_grid(table, scores) for table in tables), *(suite_grid(suite, scores) for suite in suites)]


def _row_key(score: SuiteScore) -> tuple[str, str, str]:
    return score.model, score.variant, score.control


def _shown_name(model: str, variant: str, control: str) -> str:
    about = ", ".join(part for part in (variant, f"control: {control}" if control else "") if part)
    return f"{model} ({about})" if about else model


def _cell(score: SuiteScore, figure: str, rule: str = "") -> GridCell | None:
    found = score.figure(figure, rule)
    if found is None or found.value != found.value:
        return None
    low, high = (None if end is None else 100 * end for end in (found.low, found.high))
    return GridCell(100 * found.value, low, high, score.protocol_id(found.rule))


def _average(name: str, value: float, table: PublishedTable, scores: Iterable[SuiteScore]) -> GridCell:
    """Return a mean of columns, with the interval of the benchmark whose own average it is."""
    suites = {column.suite for column in table.columns if column.name in table.averages[name]}
    for score in scores:
        if suites == {score.suite}:
            own = next((figure for figure in score.figures if abs(100 * figure.value - value) < 1e-9), None)
            if own is not None and own.low is not None and own.high is not None:
                return GridCell(value, 100 * own.low, 100 * own.high, score.protocol_id())
    return GridCell(value)
