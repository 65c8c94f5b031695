"""How a command ends that cannot do what it was asked for: one line in words and status 2, no traceback."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import typer

from rscovlm.cli.terminal import bars_on_terminals, say
from rscovlm.extras import EXTRAS, optional


@contextmanager
def refusals(command: str, extra: str | None = None) -> Iterator[None]:
    """End the command where its input, a file, a server or a missing package stops it; inside, bars are drawn on terminals alone.

    Args:
        command: Its name, which the line begins with.
        extra: The extra that brings all its optional packages.
    """
    try:
        with bars_on_terminals(), optional(extra):
            yield
    except (ValueError, OSError, FloatingPointError, MemoryError, ModuleNotFoundError, RuntimeError) as error:
        if not _expected(error):
            raise
        say(f"{command}: {error}", err=True)
        raise typer.Exit(2) from error


def _expected(error: Exception) -> bool:
    """Whether the words of an error are enough for who sees it; a fault of ours needs its traceback."""
    if isinstance(error, ModuleNotFoundError):
        return error.name in EXTRAS
    if isinstance(error, RuntimeError):
        from rscovlm.engines import ServerError

        return isinstance(error, ServerError)
    return True
