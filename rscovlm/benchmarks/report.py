"""Reports: Markdown, CSV, LaTeX and HTML in the shape of the papers' tables, and the card's `model-index`."""

from __future__ import annotations

import csv
import html
import io
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from rscovlm.benchmarks.grids import GridCell, ReportGrid
from rscovlm.benchmarks.scores import SuiteScore
from rscovlm.benchmarks.table_picture import to_svg
from rscovlm.exports.page_style import html_page
from rscovlm.files import mark, write_text

REPORT = "evaluation"
"""Kind of the folder of a run."""

_COUNTS = ("answers", "missing", "errors", "unparsed", "refused", "truncated", "repeated", "empty")
_STYLE = "tbody th{color:var(--ink);font-weight:500}.published>*{color:var(--soft)}small{color:var(--soft);display:block}meter{width:4em;display:block;margin-left:auto}"
_TEX = {"&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}", "~": r"\textasciitilde{}"}
_TEX |= {"^": r"\textasciicircum{}", "\\": r"\textbackslash{}", "<": r"$<$", ">": r"$>$"}


def write_report(
    folder: Path, found: Sequence[ReportGrid], scores: Sequence[SuiteScore], compared: Mapping[str, Any] | None = None
) -> list[Path]:
    """Write ``scores.json``, ``report.md``, ``.csv``, ``.tex``, ``.html``, ``model-index.yaml`` and a picture a table into a folder of ours.

    Args:
        folder: A folder that was claimed for evaluation.
        found: The tables.
        scores: The scores behind them.
        compared: Results of paired tests, by run.

    Raises:
        OSError: A file cannot be written.
    """
    about = {"generator": mark(REPORT), "scores": [score.to_dict() for score in scores], "compared": compared or {}}
    texts = {
        "scores.json": json.dumps(about, indent=1, ensure_ascii=False),
        "report.md": to_markdown(found, scores, compared or {}),
        "report.csv": to_csv(found),
        "report.tex": to_latex(found),
        "report.html": to_html(found, scores),
        "model-index.yaml": to_model_index(scores),
        **{f"{grid.name}.svg": to_svg(grid) for grid in found},
    }
    # The folder is ours, so files of an earlier report in it are.
    return [write_text(folder / name, text, overwrite=True) for name, text in texts.items()]


def read_scores(folder: Path) -> list[SuiteScore]:
    """Return the scores that `write_report` wrote.

    Raises:
        FileNotFoundError: There are none.
        ValueError: The file is none of ours.
    """
    path = folder / "scores.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(content, dict) or content.get("generator") != mark(REPORT):
        raise ValueError(f"{path} was not written by `rscovlm eval` or `score`; give the folder of a run")
    return [SuiteScore.from_dict(row) for row in content["scores"]]


def to_markdown(
    found: Sequence[ReportGrid], scores: Sequence[SuiteScore], compared: Mapping[str, Any] | None = None
) -> str:
    """Return all tables, then how answers ended and how each figure was made."""
    lines = [f"<!-- {mark(REPORT)} -->", "# Evaluation", ""]
    for grid in found:
        lines += [
            f"## {_md(grid.title)}",
            "",
            f"![{_md(grid.title)}]({grid.name}.svg)",
            "",
            _md_row(["", *grid.columns]),
            _md_row(["---"] * (1 + len(grid.columns))),
        ]
        for row in grid.rows:
            name = f"{row.name} (published)" if row.published else row.name
            lines.append(_md_row([name, *(_shown(cell) for cell in row.cells)]))
        lines += ["", *(f"{_md(note)}\n" for note in grid.notes)]
    lines += ["## How answers ended", "", _md_row(["run", *_COUNTS]), _md_row(["---"] * (1 + len(_COUNTS)))]
    lines += [_md_row([_run(score), *(str(score.counts.get(name, 0)) for name in _COUNTS)]) for score in scores]
    details = [line for score in scores for line in _details(score)]
    lines += ["", *details, *([""] if details else [])]
    if compared:
        lines += ["## Paired tests", "", _md_row(["run", "figure", "difference", "95 %", "p", "items"])]
        lines.append(_md_row(["---"] * 6))
        for run, figures in compared.items():
            for name, row in figures.items():
                ends = f"{100 * row['low']:.2f} to {100 * row['high']:.2f}"
                cells = [f"{100 * row['difference']:+.2f}", ends, f"{row['p_value']:.4f}", str(row["items"])]
                lines.append(_md_row([run, name, *cells]))
        lines.append("")
    lines += ["## How each figure was made", ""]
    for score in scores:
        rules = ",".join(dict.fromkeys(figure.rule for figure in score.figures)) or "none"
        lines.append(f"- `{score.protocol_id(rules)}`")
    return "\n".join([*lines, ""])


def to_csv(found: Sequence[ReportGrid]) -> str:
    """Return one line a figure: table, model, column, value and interval in per cent, whether published, protocol."""
    text = io.StringIO()
    lines = csv.writer(text, lineterminator="\n")
    lines.writerow(["table", "model", "column", "value", "low", "high", "published", "source", "protocol"])
    for grid in found:
        for row in grid.rows:
            for column, cell in zip(grid.columns, row.cells, strict=True):
                if cell is not None:
                    numbers = [
                        f"{number:.4f}" if number is not None else "" for number in (cell.value, cell.low, cell.high)
                    ]
                    lines.writerow(
                        [grid.name, _plain(row.name), column, *numbers, int(row.published), row.source, cell.protocol]
                    )
    return text.getvalue()


def to_latex(found: Sequence[ReportGrid]) -> str:
    """Return a ``table`` environment for each table, with rules of the ``booktabs`` package."""
    parts = [f"% {mark(REPORT)}", r"% Needs \usepackage{booktabs}"]
    for grid in found:
        parts += [
            r"\begin{table}",
            r"\centering",
            rf"\caption{{{_tex(grid.title)}}}",
            rf"\label{{tab:{re.sub('[^a-z0-9-]', '-', grid.name.lower())}}}",
            rf"\begin{{tabular}}{{l{'r' * len(grid.columns)}}}",
            r"\toprule",
            " & ".join(["Model", *map(_tex, grid.columns)]) + r" \\",
            r"\midrule",
        ]
        before = None
        for row in grid.rows:
            if before is True and not row.published:
                parts.append(r"\midrule")
            before = row.published
            cells = ["--" if cell is None else f"{cell.value:.2f}" for cell in row.cells]
            parts.append(" & ".join([_tex(row.name), *cells]) + r" \\")
        parts += [r"\bottomrule", r"\end{tabular}", r"\end{table}", ""]
    return "\n".join(parts)


def to_html(found: Sequence[ReportGrid], scores: Sequence[SuiteScore]) -> str:
    """Return a page of all tables, which needs nothing from elsewhere; our rows carry a bar a figure."""
    body = ["<h1>Evaluation</h1>"]
    for grid in found:
        body.append(f"<section><h2>{html.escape(grid.title)}</h2>{_html_head(grid.columns)}")
        for row in grid.rows:
            cells = "".join(map(_html_cell, grid.columns, row.cells))
            kind = "published" if row.published else "ours"
            name = html.escape(row.name + (" (published)" if row.published else ""))
            body.append(f'<tr class="{kind}"><th title="{html.escape(row.source)}">{name}</th>{cells}</tr>')
        notes = "".join(f"<p>{html.escape(note)}</p>" for note in grid.notes)
        body.append(f"</tbody></table>{notes}</section>")
    body.append(f"<section><h2>How answers ended</h2>{_html_head(_COUNTS)}")
    for score in scores:
        cells = "".join(f'<td data-name="{name}">{score.counts.get(name, 0)}</td>' for name in _COUNTS)
        body.append(f"<tr><th>{html.escape(_run(score))}</th>{cells}</tr>")
    body.append("</tbody></table></section>")
    return html_page("Evaluation", "\n".join(body), mark(REPORT), _STYLE)


def to_model_index(scores: Sequence[SuiteScore]) -> str:
    """Return the ``model-index`` of a model card, controls left out; values in per cent, each with its protocol."""
    models: dict[str, list[dict[str, Any]]] = {}
    for score in scores:
        if score.control or not score.figures:
            continue
        metrics = [
            {
                "type": figure.rule,
                "name": f"{figure.name} ({figure.rule})",
                "value": round(100 * figure.value, 2),
                "args": {"protocol": score.protocol_id(figure.rule)},
            }
            for figure in score.figures
            if figure.value == figure.value
        ]
        about = {"name": score.title, "type": score.suite, "config": score.variant or "default", "split": "test"}
        task = {"type": "image-text-to-text"}
        models.setdefault(score.model, []).append({"task": task, "dataset": about, "metrics": metrics})
    index = [{"name": name, "results": results} for name, results in models.items()]
    text: str = yaml.safe_dump({"model-index": index}, sort_keys=False, allow_unicode=True)
    return f"# {mark(REPORT)}\n{text}"


def _run(score: SuiteScore) -> str:
    return " ".join(part for part in (score.suite, score.variant, score.control) if part)


def _details(score: SuiteScore) -> list[str]:
    about = score.details
    if "selective" in about:
        kept = about["selective"]
        shares = ", ".join(f"{100 * value:.2f} % of the surest {share}" for share, value in kept["accuracy"].items())
        risk = f"area under risk and coverage {kept['aurc']:.4f}, at best {kept['best_aurc']:.4f}"
        return [f"- {_run(score)}: right are {shares}; {risk}; {kept['without_confidence']} without confidence"]
    if "duplicate_rate" not in about:
        return []
    rate = about["false_alarm_rate"]
    alarms = "no empty image" if rate is None else f"{100 * rate:.1f} % of {about['empty_images']} empty images"
    reason = f" {about['reason']}." if "reason" in about else ""
    return [
        f"- {_run(score)}: duplicates {100 * about['duplicate_rate']:.2f} % of objects; false alarms: {alarms}.{reason}"
    ]


def _shown(cell: GridCell | None) -> str:
    if cell is None:
        return "–"
    ends = "" if cell.low is None or cell.high is None else f" [{cell.low:.2f}, {cell.high:.2f}]"
    return f"{cell.value:.2f}{ends}"


def _html_head(columns: Sequence[str]) -> str:
    cells = "".join(f"<th>{html.escape(name)}</th>" for name in columns)
    return f"<table><thead><tr><th></th>{cells}</tr></thead><tbody>"


def _html_cell(column: str, cell: GridCell | None) -> str:
    name = html.escape(column)
    if cell is None:
        return f'<td data-name="{name}">–</td>'
    ends = "" if cell.low is None or cell.high is None else f"<small>{cell.low:.2f} to {cell.high:.2f}</small>"
    bar = f'<meter min="0" max="100" value="{cell.value:.2f}"></meter>' if cell.protocol else ""
    title = html.escape(cell.protocol)
    return f'<td data-name="{name}" title="{title}"><span>{cell.value:.2f}{ends}{bar}</span></td>'


def _md_row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(_md(cell) for cell in cells) + " |"


def _md(text: str) -> str:
    return " ".join(text.replace("|", "\\|").replace("<", "&lt;").split())


def _tex(text: str) -> str:
    return "".join(_TEX.get(character, character) for character in " ".join(text.split()))


def _plain(text: str) -> str:
    """Return a name that no spreadsheet takes for a formula."""
    return f"'{text}" if text[:1] in ("=", "+", "-", "@") else text
