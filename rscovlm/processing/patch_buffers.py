"""Memory for patches that is used again: the kernel hands out and clears a row's hundred megabytes slower than they are filled."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import numpy as np
from numpy.typing import NDArray

_MOST = 4
"""Buffers kept: a batch that is trained, one that is loaded, and what holds on to either a little longer."""


class PatchBuffers:
    """Arrays of patches, each given out again only when nothing holds what was given out before.

    An array that is given out, and a tensor made of it without a copy, keep its buffer in use for as long as they live.
    """

    def __init__(self) -> None:
        self._buffers: list[NDArray[np.float32]] = []

    def take(self, rows: int, width: int) -> NDArray[np.float32]:
        """Return (rows, width) float32 of any content.

        >>> buffers = PatchBuffers()
        >>> first = buffers.take(4, 2); kept = buffers.take(4, 2); at = first.ctypes.data
        >>> del first
        >>> buffers.take(3, 2).ctypes.data == at, kept.ctypes.data == at
        (True, False)
        """
        free = [place for place in range(len(self._buffers)) if _references(self._buffers, place) == _FREE]
        for place in free:
            if self._buffers[place].shape[1] == width and len(self._buffers[place]) >= rows:
                return self._buffers[place][:rows]
        for place in reversed(free):  # all too small
            del self._buffers[place]
        made = np.empty((rows + rows // 8, width), dtype=np.float32)
        if len(self._buffers) < _MOST:
            self._buffers.append(made)
        return made[:rows]

    def __getstate__(self) -> dict[str, Any]:
        """Leave the buffers behind: another process has its own."""
        return {"_buffers": []}

    @contextmanager
    def used(self) -> Iterator[None]:
        """Have the image processor write into these buffers inside."""
        token = BUFFERS.set(self)
        try:
            yield
        finally:
            BUFFERS.reset(token)


def _references(items: Sequence[object], place: int) -> int:
    return sys.getrefcount(items[place])


# What a list alone holds; how many references the call itself counts differs between versions of Python.
_FREE = _references([object()], 0)

BUFFERS: ContextVar[PatchBuffers | None] = ContextVar("patch_buffers", default=None)
"""Where the image processor takes memory from; None allocates."""
