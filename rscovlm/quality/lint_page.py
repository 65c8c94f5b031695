"""The page about what lint found: how often each check failed, and its worst places in words and pictures."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import NamedTuple

import jinja2
from markupsafe import Markup

from rscovlm.exports.data_url import data_url
from rscovlm.exports.page_style import page_style
from rscovlm.files import mark, write_text
from rscovlm.quality.findings import CHECKS, Finding, Report
from rscovlm.quality.lint_pictures import picture_of

PAGE = "lint page"
"""Kind of the page that is written."""


class _Check(NamedTuple):
    """A check that failed: its findings, each with an address that holds its picture, empty without one."""

    name: str
    level: str
    meaning: str
    places: int
    worst: list[tuple[Finding, str]]


def write_page(report: Report, root: Path | None, path: str | Path, *, most: int = 4, overwrite: bool = False) -> None:
    """Write the page; it holds its pictures and loads nothing.

    Args:
        report: What lint found.
        root: The data folder; None shows no pictures.
        path: The file; its folder is made.
        most: Pictures per check.
        overwrite: Replace a file that something else wrote.

    Raises:
        ValueError: Such a file is there.
    """
    environment = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    source = (files("rscovlm.quality") / "lint_page.html.jinja").read_text(encoding="utf-8")
    # Errors first, as in the table.
    failed = [name for name, _ in sorted(CHECKS.items(), key=lambda item: item[1][0]) if report.counts[name]]
    checks = [_check(report, name, root, most) for name in failed]
    style = Markup(page_style())
    page = environment.from_string(source).render(report=report, checks=checks, generator=mark(PAGE), style=style)
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    write_text(path, page, PAGE, overwrite=overwrite)


def _check(report: Report, name: str, root: Path | None, most: int) -> _Check:
    worst = [(finding, "") for finding in report.worst(name)]
    if root is not None:
        for place in [place for place, (finding, _) in enumerate(worst) if finding.images][:most]:
            picture = picture_of(worst[place][0], root)
            worst[place] = worst[place][0], "" if picture is None else data_url(picture)
    level, meaning = CHECKS[name]
    return _Check(name, level, meaning, report.counts[name], worst)
