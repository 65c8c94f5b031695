"""Rows of annotation files as others wrote them: every field is checked when it is read.

A converter that reads its fields through `Row` needs no `except` for malformed rows: what the data can cause is `Rejected` here, and
any other error is a mistake in the converter, which ends the run with its traceback.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rscovlm.records.tally import Rejected


class Row(Mapping[str, Any]):
    """A JSON object or a row of a table, whose content nobody has checked.

    Args:
        value: What was read; it need not be an object, and then no field of it can be read.
        name: Names the row in errors where its place is not known otherwise.

    Attributes:
        value: As given.

    >>> row = Row({"file": "a.png", "width": "640", "box": [1, 2, 3, None]})
    >>> row.text("file"), row.whole("width"), row.get("height")
    ('a.png', 640, None)
    >>> row["caption"]
    Traceback (most recent call last):
    ...
    rscovlm.records.tally.Rejected: there is no 'caption'; fields: 'file', 'width', 'box'
    >>> row.numbers("box")
    Traceback (most recent call last):
    ...
    rscovlm.records.tally.Rejected: 'box' is [1, 2, 3, None], not a list of numbers
    """

    def __init__(self, value: Any, name: str = "") -> None:
        self.value = value
        self._said = f"{name}: " if name else ""

    def __getitem__(self, key: str) -> Any:
        """Give a field as it is.

        Raises:
            ValueError: It is absent, or the row is no object.
        """
        if not isinstance(self.value, Mapping):
            raise Rejected("malformed row", f"{self._said}{_short(self.value)} is no object with fields")
        if key not in self.value:
            fields = ", ".join(map(repr, list(self.value)[:12])) or "none"
            raise Rejected("malformed row", f"{self._said}there is no {key!r}; fields: {fields}")
        return self.value[key]

    def __iter__(self) -> Iterator[str]:
        """Walk the names of the fields."""
        return iter(self.value if isinstance(self.value, Mapping) else ())

    def __len__(self) -> int:
        """Return the number of fields."""
        return len(self.value) if isinstance(self.value, Mapping) else 0

    def __contains__(self, key: object) -> bool:
        """Tell whether there is such a field."""
        return isinstance(self.value, Mapping) and key in self.value

    def get(self, key: str, default: Any = None) -> Any:
        """Give a field as it is, or the default; a row that is no object is `Rejected` all the same."""
        return self[key] if key in self or not isinstance(self.value, Mapping) else default

    def text(self, key: str) -> str:
        """Give a field that is text.

        Raises:
            ValueError: It is absent or no text.
        """
        return as_text(self[key], repr(key))

    def whole(self, key: str) -> int:
        """Give a field that is a number, written as one or as text, without its decimals.

        Raises:
            ValueError: It is absent or no finite number.
        """
        return as_whole(self[key], repr(key))

    def numbers(self, key: str) -> tuple[float, ...]:
        """Give a field that is a list of numbers.

        Raises:
            ValueError: It is absent or something else.
        """
        return as_numbers(self[key], repr(key))

    def list(self, key: str) -> list[Any]:
        """Give a field that is a list.

        Raises:
            ValueError: It is absent or no list.
        """
        return as_list(self[key], f"{self._said}{key!r}")

    def row(self, key: str) -> Row:
        """Give a field that is an object; what it is shows when its fields are read."""
        return Row(self[key], f"{self._said}{key!r}")

    def rows(self, key: str) -> Sequence[Row]:
        """Give a field that is a list of objects.

        Raises:
            ValueError: It is absent or no list.
        """
        return [Row(item) for item in self.list(key)]


def as_text(value: Any, name: str = "a cell") -> str:
    """Give `value` if it is text, or refuse the row.

    Raises:
        ValueError: It is no text.
    """
    if not isinstance(value, str):
        raise Rejected("malformed row", f"{name} is {_short(value)}, not text")
    return value


def as_list(value: Any, name: str = "a cell") -> list[Any]:
    """Give `value` if it is a list, or refuse the row.

    Raises:
        ValueError: It is no list.
    """
    if not isinstance(value, (list, tuple)):
        raise Rejected("malformed row", f"{name} is {_short(value)}, not a list")
    return list(value)


def as_whole(value: Any, name: str = "a cell") -> int:
    """Give a number, written as one or as text, without its decimals, or refuse the row.

    Raises:
        ValueError: It is no finite number.

    >>> as_whole("512"), as_whole(512.0)
    (512, 512)
    """
    try:
        return int(value)
    except (TypeError, ValueError, OverflowError) as error:  # of the conversion alone, which runs no code of ours
        raise Rejected("malformed row", f"{name} is {_short(value)}, not a whole number") from error


def as_numbers(value: Any, name: str = "a cell") -> tuple[float, ...]:
    """Give a list of numbers, each written as one or as text, or refuse the row.

    Raises:
        ValueError: It is something else.

    >>> as_numbers([1, "2.5"])
    (1.0, 2.5)
    """
    items = as_list(value, name)
    try:
        return tuple(map(float, items))
    except (TypeError, ValueError, OverflowError) as error:  # of the conversion alone, which runs no code of ours
        raise Rejected("malformed row", f"{name} is {_short(value)}, not a list of numbers") from error


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
