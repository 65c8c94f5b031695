"""What commands write to a terminal: text of others, in files and errors, may hold characters that a terminal obeys."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, redirect_stdout
from typing import TypeVar

import typer

Row = TypeVar("Row")

_BARS = ("HF_HUB_DISABLE_PROGRESS_BARS", "HF_DATASETS_DISABLE_PROGRESS_BARS")
"""Variables that turn off the bars of huggingface_hub, transformers and datasets."""

_BAR = 30
"""Characters of a progress bar."""


def printable(text: str) -> str:
    r"""Show control characters, which files of others may hold, as escapes: a terminal would obey them.

    >>> print(printable("a\x1b[2Jb"))
    a\x1b[2Jb
    """
    return "".join(
        character if character.isprintable() or character == "\n" else repr(character)[1:-1] for character in text
    )


def say(text: object, *, err: bool = False) -> None:
    """Write a line to the terminal, control characters as escapes; the only way in which commands do."""
    typer.echo(printable(str(text)), err=err)


@contextmanager
def lines_to_stderr() -> Iterator[None]:
    """Let what is written to standard output go to standard error: of libraries that print, too."""
    with redirect_stdout(sys.stderr):
        yield


def on_terminal() -> bool:
    """Whether someone may watch: a bar is redrawn on a terminal, and is noise in a log."""
    return sys.stderr.isatty()


@contextmanager
def bars_on_terminals() -> Iterator[None]:
    """Keep libraries from drawing their bars elsewhere, such as in CI; what the user has set stays.

    They read these variables when they are imported, which commands do inside.
    """
    added = [] if on_terminal() else [name for name in _BARS if name not in os.environ]
    os.environ.update(dict.fromkeys(added, "1"))
    try:
        yield
    finally:
        for name in added:
            os.environ.pop(name, None)


class ProgressBar:
    """Shows how far a piece of work is: a bar that is redrawn on a terminal, a line a tenth elsewhere, such as in CI.

    Args:
        label: What is done, written before the bar.

    >>> bar = ProgressBar("steps")
    >>> for done in range(1, 21):
    ...     bar(done, 20, 0.5)
    """

    def __init__(self, label: str) -> None:
        self.label = label
        self._tenths = 0

    def __call__(self, done: int, total: int, loss: float | None = None) -> None:
        """Show that ``done`` of ``total`` is done, with the loss where there is one."""
        text = f"{self.label} {done} of {total}" + ("" if loss is None else f", loss {loss:.3f}")
        if on_terminal():
            filled = round(_BAR * done / total)
            end = "\n" if done >= total else ""
            typer.echo(f"\r    [{'#' * filled}{'.' * (_BAR - filled)}] {printable(text)}{end}", nl=False, err=True)
        elif 10 * done // total > self._tenths:
            self._tenths = 10 * done // total
            say(f"    {text}", err=True)


def counting(rows: Iterable[Row], what: str, *, every: int = 10_000) -> Iterator[Row]:
    """Pass rows on and say now and then how many there were, where nobody knows how many will come.

    Args:
        rows: Any rows.
        what: What they are, in the plural.
        every: Rows between two lines.

    >>> list(counting("abc", "letters"))
    ['a', 'b', 'c']
    """
    for number, row in enumerate(rows, 1):
        yield row
        if number % every == 0:
            say(f"{number:,} {what} so far", err=True)


def log_to_terminal(form: str) -> None:
    """Send the package's log to the terminal, control characters as escapes.

    Args:
        form: As `logging.Formatter` takes it.
    """
    handler = logging.StreamHandler()
    handler.setFormatter(_Printable(form))
    logging.basicConfig(level=logging.INFO, handlers=[handler])


class _Printable(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return printable(super().format(record))
