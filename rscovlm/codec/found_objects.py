"""What reading collects: whole objects, and counts of everything else."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from rscovlm.geometry.kinds import COLUMNS, Kind

KINDS: dict[int, Kind] = {count: kind for kind, count in COLUMNS.items()}
"""Box kind by how many numbers a box has."""

LARGEST = 1e9
"""Beyond this a number is no coordinate."""

_BOX_WORD = re.compile(r"box|poly|quad|coord|obb|hbb|rect")
_OTHER_LABEL_NAMES = ("label", "category", "class", "name", "object")
_HALF_CHARACTER = re.compile("[\ud800-\udfff]")


class Found(NamedTuple):
    """A whole object as it was written: 4, 5 or 8 finite numbers, a label, and where its text begins and ends."""

    numbers: list[float]
    label: str
    start: int
    end: int


class Names:
    """Which names of a JSON object mean its label and its box; models vary them.

    Args:
        label_key: The codec's name for labels.
        box_keys: The codec's names for boxes.
    """

    def __init__(self, label_key: str, box_keys: Sequence[str]) -> None:
        self.label = label_key.lower()
        self.labels = (self.label, *(name for name in _OTHER_LABEL_NAMES if name != self.label))
        self._boxes = {key.lower() for key in box_keys}

    def is_box(self, name: str) -> bool:
        """Whether a name, in lower case, means a box."""
        return name in self._boxes or _BOX_WORD.search(name) is not None


@dataclass
class Haul:
    """Whole objects in the order of the text, and counts by reason."""

    found: list[Found] = field(default_factory=list)
    problems: Counter[str] = field(default_factory=Counter)

    def keep(self, written: Sequence[Any], label: str | None, start: int, end: int) -> bool:
        """Keep an object whose numbers, as text, are a box; count why they are not otherwise."""
        numbers, problem = _numbers(written)
        if problem is not None:
            self.problems[problem] += 1
            return False
        if not label:
            self.problems["no_label"] += 1
        self.found.append(Found(numbers, _whole_characters(label or ""), start, end))
        return True


def _numbers(written: Sequence[Any]) -> tuple[list[float], str | None]:
    """Return the numbers of a box, or why they are none."""
    words = [word for word in written if isinstance(word, str)]
    if not all(map(str.isascii, words)):
        return [], "non_ascii_digits"
    if len(written) not in KINDS:
        return [], "coordinate_count"
    if len(words) < len(written) or any("_" in word for word in words):
        return [], "not_finite"
    try:
        numbers = [float(word) for word in words]
    except ValueError:
        return [], "not_finite"
    # Also false for NaN.
    if not all(-LARGEST <= number <= LARGEST for number in numbers):
        return [], "not_finite"
    if len(numbers) == 5 and min(numbers[2:4]) < 0:
        return [], "negative_size"
    return numbers, None


def _whole_characters(label: str) -> str:
    """Replace halves of characters, which an escape in JSON can give and no file can hold."""
    return label if label.isascii() else _HALF_CHARACTER.sub("\ufffd", label)
