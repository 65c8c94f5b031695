"""What a mistyped name was meant to be."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def nearest(name: str, names: Iterable[str]) -> str:
    """Return how an error about an unknown name ends: the known name most like it, or all of them.

    >>> nearest("wieght", ["weight", "records"]), nearest("x", ["weight", "records"])
    ("; did you mean 'weight'?", '; known are records, weight')
    """
    known = sorted(names)
    near = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean {near[0]!r}?" if near else f"; known are {', '.join(known)}"
