"""What commands write to a terminal: text of others, in files and errors, may hold characters that a terminal obeys."""

from __future__ import annotations

import logging

import typer


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
