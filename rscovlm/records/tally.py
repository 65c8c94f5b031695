"""Nothing is dropped silently: every row that cannot be used is counted by reason, with examples of where it is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

T = TypeVar("T")


class Rejected(ValueError):
    """One row cannot be used.

    Args:
        reason: A few words that many rows can share; what counts are kept by.
        detail: What exactly is wrong here and what to do.
    """

    def __init__(self, reason: str, detail: str) -> None:
        # Both, so that a copy in another process is made from both.
        super().__init__(reason, detail)
        self.reason = reason

    def __str__(self) -> str:
        """Return the detail."""
        return str(self.args[1])


class TooManyRejected(ValueError):
    """More rows were unusable than allowed; the message holds the table."""


class Tally:
    """Count what was kept and what was dropped, and why.

    Only what data can cause is counted: `Rejected`, another `ValueError` (text that cannot be decoded, a number that is none, a value
    that a record refuses) and `OSError`. Any other error is a mistake in the code and ends the run.

    Args:
        limit: Largest share of dropped units, between 0 and 1, that `finish` lets pass; units set aside do not count.
        examples: How many places to remember per reason.

    Attributes:
        at: The place of the row that is worked on, as given to `row`.
        cause: The first error that was counted.

    >>> tally = Tally(limit=0.5)
    >>> for number in (1, 0):
    ...     with tally.row(f"row {number}"):
    ...         1 / number if number else int("x")
    1.0
    >>> tally.keep()
    >>> tally.finish()
    >>> tally.seen, tally.kept, dict(tally.dropped)
    (2, 1, {'malformed row': 1})
    """

    def __init__(self, limit: float = 0.005, *, examples: int = 5) -> None:
        if not 0 <= limit <= 1:
            raise ValueError(f"limit {limit} is not a share; give a number between 0 and 1")
        self.limit = limit
        self.kept = 0
        self.dropped: Counter[str] = Counter()
        self.aside: Counter[str] = Counter()
        self.places: dict[str, list[str]] = {}
        self.at = ""
        self.cause: Exception | None = None
        self._examples = examples

    @property
    def seen(self) -> int:
        """Units kept and dropped together; what was set aside is beside them."""
        return self.kept + self.dropped.total()

    def keep(self, count: int = 1) -> None:
        """Count `count` usable units."""
        self.kept += count

    def counted(self, units: Iterable[T]) -> Iterator[T]:
        """Pass units on, counting each as kept."""
        for unit in units:
            self.keep()
            yield unit

    def checked(self, units: Iterable[T]) -> Iterator[T]:
        """Pass on units that are counted while they are read, and check the share of dropped ones at the end.

        Raises:
            TooManyRejected: More than `limit` of them were dropped.
        """
        yield from units
        self.finish()

    def drop(self, reason: str, place: str, detail: str = "", *, cause: Exception | None = None) -> None:
        """Count one unusable unit found at `place`, and the error that it caused."""
        self.cause = self.cause or cause
        self.dropped[reason] += 1
        self._remember(reason, f"{place}: {detail}" if detail else place)

    def set_aside(self, reason: str, place: str) -> None:
        """Count one unit found at `place` that is sound but not part of what is read, such as a row of another split."""
        self.aside[reason] += 1
        self._remember(reason, place)

    def _remember(self, reason: str, text: str) -> None:
        places = self.places.setdefault(reason, [])
        if len(places) < self._examples:
            places.append(text)

    @contextmanager
    def row(self, place: str) -> Iterator[None]:
        """Drop the row worked on inside if it turns out malformed or its files cannot be read.

        Errors that data does not cause, such as an `AttributeError`, pass through: read the fields of foreign rows through `rows.Row`.
        """
        before, self.at = self.at, place
        try:
            yield
        except Rejected as error:
            self.drop(error.reason, place, str(error), cause=error)
        except FileNotFoundError as error:
            self.drop("missing file", place, str(error), cause=error)
        except OSError as error:
            self.drop("unreadable file", place, str(error), cause=error)
        except ValueError as error:
            self.drop("malformed row", place, f"{type(error).__name__}: {error}", cause=error)
        finally:
            self.at = before

    def add(self, other: Tally) -> None:
        """Count what another tally counted too."""
        self.kept += other.kept
        self.cause = self.cause or other.cause
        self.dropped.update(other.dropped)
        self.aside.update(other.aside)
        for reason, texts in other.places.items():
            for text in texts:
                self._remember(reason, text)

    def to_dict(self) -> dict[str, Any]:
        """Return the counts as plain values, for `load`."""
        places = {reason: list(found) for reason, found in self.places.items()}
        aside = {"set_aside": dict(self.aside)} if self.aside else {}
        return {"kept": self.kept, "dropped": dict(self.dropped), **aside, "places": places}

    def load(self, content: Any) -> None:
        """Count on from what `to_dict` gave.

        Raises:
            ValueError: It is not what `to_dict` gives.
        """
        try:
            kept = int(content["kept"])
            dropped = {str(reason): int(count) for reason, count in content["dropped"].items()}
            places = {str(reason): [str(place) for place in found] for reason, found in content["places"].items()}
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            # What a checkpoint's file holds; nothing else happens in there.
            raise ValueError(
                f"these are no counts of used and unused rows ({error!r}): {str(content)[:80]!r}"
            ) from error
        self.kept, self.dropped, self.places = kept, Counter(dropped), places

    def table(self) -> str:
        """Give the counts as lines of text, most frequent reason first, with the places remembered."""
        aside = f"; {self.aside.total()} more set aside" if self.aside else ""
        lines = [f"{self.seen} rows: {self.kept} kept, {self.dropped.total()} dropped{aside}"]
        for reason, count in (*self.dropped.most_common(), *self.aside.most_common()):
            lines.append(f"{count:>9}  {reason}")
            lines += [f"{'':>11}{place}" for place in self.places.get(reason, ())]
        return "\n".join(lines)

    def finish(self) -> None:
        """Check the share of dropped rows once everything was seen.

        Raises:
            TooManyRejected: More than `limit` of the rows were dropped.
        """
        self.check(0)

    def check(self, least: int) -> None:
        """Check the share of dropped rows on the way.

        Args:
            least: Rows to reckon with even while fewer were seen, so that one bad row among the first is no large share.

        Raises:
            TooManyRejected: More than `limit` of the rows, or of ``least`` where that is more, were dropped.
        """
        lost = self.dropped.total()
        if lost > self.limit * max(self.seen, least):
            share = lost / self.seen
            raise TooManyRejected(
                f"{share:.2%} of the rows cannot be used, more than {self.limit:.2%}; correct them or raise the limit\n{self.table()}"
            ) from self.cause


class Strict(Tally):
    """A tally that lets nothing pass: the first unusable row is an error that names its place."""

    def __init__(self) -> None:
        super().__init__(0.0)

    def drop(self, reason: str, place: str, detail: str = "", *, cause: Exception | None = None) -> None:
        """Raise what would be counted.

        Raises:
            ValueError: Always.
        """
        raise Rejected(reason, f"{place}: {detail or reason}") from cause
