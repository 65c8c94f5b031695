"""Shares of the subsets of a mixture, asked for and trained, as a run logs them and a dry run prints them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

Counts = dict[str, list[int]]
"""Samples and tokens by subset."""


class SubsetCounts:
    """Counts what was trained of each subset since it was last asked.

    Args:
        asked: Given a position of the mixture, the share of each subset there; None where that is not known.
    """

    def __init__(self, asked: Callable[[int], Mapping[str, float]] | None) -> None:
        self._asked = asked
        self._furthest = 0
        self._counts: Counts = {}

    def add(self, subset: str, tokens: int, position: int) -> None:
        """Count a trained sample."""
        counts = self._counts.setdefault(subset, [0, 0])
        counts[0] += 1
        counts[1] += tokens
        self._furthest = max(self._furthest, position)

    def taken(self) -> Counts:
        """Return the counts, and begin anew."""
        counts, self._counts = self._counts, {}
        return counts

    def shares(self, everyone: Sequence[Counts]) -> dict[str, float]:
        """Return the figures of a log.

        Args:
            everyone: Counts of all processes.

        Examples:
            >>> counts = SubsetCounts(lambda position: {"sea": 0.5, "land": 0.5})
            >>> counts.shares([{"sea": [1, 300], "land": [1, 100]}])["share_tokens/sea"]
            0.75
        """
        total = summed(everyone)
        if not total:
            return {}
        asked = {} if self._asked is None else self._asked(self._furthest)
        samples, tokens = (sum(counts[place] for counts in total.values()) for place in (0, 1))
        found: dict[str, float] = {}
        for name in sorted({*total, *asked}):
            trained = total.get(name, [0, 0])
            if name in asked:
                found[f"share_asked/{log_name(name)}"] = asked[name]
            found[f"share_samples/{log_name(name)}"] = trained[0] / samples
            found[f"share_tokens/{log_name(name)}"] = trained[1] / tokens
        return found


def summed(everyone: Sequence[Counts]) -> Counts:
    """Add up counts.

    >>> summed([{"sea": [1, 300]}, {"sea": [2, 100], "land": [1, 50]}])
    {'sea': [3, 400], 'land': [1, 50]}
    """
    total: Counts = {}
    for counts in everyone:
        for name, (samples, tokens) in counts.items():
            sums = total.setdefault(name, [0, 0])
            sums[0] += samples
            sums[1] += tokens
    return total


def log_name(text: str) -> str:
    """Return a text as every logger takes it in a name."""
    return re.sub(r"[^\w.-]+", "_", text)
