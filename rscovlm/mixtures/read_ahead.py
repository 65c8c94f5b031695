"""Drawing samples one by one while the rows behind them are read many at a time."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

AHEAD = 256
"""Rows read at a time. Of twenty subsets that is a dozen of each, and a source reads these in little more time than one."""

_ALONE = object()


def check_by_number(rows: Any, name: str) -> None:
    """Refuse rows that come one after another only, such as those of a streamed data set.

    Args:
        rows: A sequence, or what takes its place.
        name: What the error calls them.

    Raises:
        TypeError: They have no number, or cannot be had by number.

    >>> check_by_number(["a", "b"], "the mixture")
    """
    if not (hasattr(type(rows), "__getitem__") and hasattr(type(rows), "__len__")):
        raise TypeError(
            f"{name} is a {type(rows).__name__}, which has no rows by number; give a list or a datasets.Dataset (load_dataset without "
            "streaming), or write the rows once as records with rscovlm data convert"
        )


class ReadAhead:
    """A mixture drawn in rising positions, whose sources are read for many positions at once.

    Samples, their order and what is counted for each are those of drawing one by one: only rows of sources are read
    earlier, nothing is rendered or counted before its position is drawn.

    Args:
        mixture: Samples by position; one without ``read_rows`` is drawn as it is.
        following: Given a position and a number, that position and as many as are drawn next.
        count: Rows to read at a time.

    Examples:
        >>> ahead = ReadAhead([3, 1, 4], lambda position, count: range(position, 3))
        >>> [ahead.draw(position) for position in range(3)]
        [3, 1, 4]
    """

    def __init__(
        self, mixture: Sequence[Any], following: Callable[[int, int], Sequence[int]], *, count: int = AHEAD
    ) -> None:
        self._mixture, self._following, self._count = mixture, following, count
        self._read_rows = getattr(mixture, "read_rows", None)
        self._rows: dict[int, Any] = {}

    def draw(self, position: int) -> Any:
        """Return the sample at a position; raises what the mixture raises for it."""
        if self._read_rows is None:
            return self._mixture[position]
        if position not in self._rows:
            self._rows = self._read(self._following(position, self._count))
        row = self._rows.pop(position, _ALONE)
        mixture: Any = self._mixture
        return mixture[position] if row is _ALONE else mixture.draw_from(position, row)

    def _read(self, positions: Sequence[int]) -> dict[int, Any]:
        """Return rows by position; where one cannot be read, each is left to its own turn, which then counts it."""
        try:
            rows: dict[int, Any] = self._read_rows(positions) if self._read_rows is not None else {}
        except (OSError, ValueError):
            # What the mixture counts as an unusable row; it belongs to one of these positions only.
            rows = {}
        return dict.fromkeys(positions, _ALONE) | rows


class OwnPositions:
    """Positions of a sequence that belong to one of several readers, found by looking at each once.

    Args:
        mine: Whether a position is one of them.
        end: Number of positions of the sequence.

    Examples:
        >>> own = OwnPositions(lambda position: position % 3 == 1, 12)
        >>> own.first(2), own.following(4, 2), own.first(11)
        (4, [4, 7], 12)
    """

    def __init__(self, mine: Callable[[int], bool], end: int) -> None:
        self._mine, self._end = mine, end
        self._found: deque[int] = deque()
        # All of them from the one place up to, not including, the other are in the queue.
        self._start = self._stop = 0

    def first(self, position: int) -> int:
        """Return the first from a position on; the end where there is none."""
        found = self.following(position, 1)
        return found[0] if found else max(self._end, position)

    def following(self, position: int, count: int) -> list[int]:
        """Return so many from a position on, or as many as there are."""
        if not self._start <= position <= self._stop:
            self._found.clear()
            self._stop = position
        self._start = position
        while self._found and self._found[0] < position:
            self._found.popleft()
        while len(self._found) < count and self._stop < self._end:
            if self._mine(self._stop):
                self._found.append(self._stop)
            self._stop += 1
        return [self._found[place] for place in range(min(count, len(self._found)))]
