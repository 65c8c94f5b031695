"""The frame and the style of the pages that commands write."""

from __future__ import annotations

import html
from importlib.resources import files


def page_style() -> str:
    """Return the style sheet, to stand inside a page: nothing is loaded from elsewhere.

    A cell of a table says in ``data-name`` what its column is called, which a narrow window shows beside it.

    >>> "prefers-color-scheme: dark" in page_style()
    True
    """
    return (files(__package__) / "page.css").read_text(encoding="utf-8")


def html_page(title: str, body: str, generator: str, style: str = "") -> str:
    """Return a page that loads nothing and fits a window of 400 pixels.

    Args:
        title: As text.
        body: As HTML.
        generator: The mark by which we know the file as ours.
        style: Rules of this page alone.

    >>> html_page("a & b", "<p>c</p>", "me").count("a &amp; b")
    1
    """
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><meta name="generator" content="{html.escape(generator)}">'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><title>{html.escape(title)}</title>'
        f"<style>\n{page_style()}{style}\n</style></head>\n<body><main>\n{body}\n</main></body></html>\n"
    )
