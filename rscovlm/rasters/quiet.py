"""Keep libraries from logging and warning of what becomes an exception anyway."""

from __future__ import annotations

import logging
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_FILTERS = threading.Lock()
_hushed: ContextVar[bool] = ContextVar("_hushed", default=False)


class _Hush(logging.Filter):
    """Drops records of threads that are inside `hushed`, and of no others."""

    def filter(self, record: logging.LogRecord) -> bool:
        return not _hushed.get()


_HUSH = _Hush()


@contextmanager
def hushed(*loggers: str) -> Iterator[None]:
    """Drop what this thread logs to the loggers named."""
    for name in loggers:
        logging.getLogger(name).addFilter(_HUSH)
    token = _hushed.set(True)
    try:
        yield
    finally:
        _hushed.reset(token)


@contextmanager
def unwarned(category: type[Warning] = Warning) -> Iterator[None]:
    """Ignore warnings of a category; one thread at a time, as filters are the process's and are put back in order."""
    with _FILTERS, warnings.catch_warnings():
        warnings.simplefilter("ignore", category)
        yield
