"""What reading collects: whole objects, and counts of everything else."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from rscovlm.codec.layouts import BoxLayout, Form, layout
from rscovlm.codec.spaces import SpaceName

LARGEST = 1e9
"""Beyond this a number is no coordinate."""

LAYOUTS: Mapping[int, BoxLayout] = {4: layout("hbb"), 5: layout("obb"), 8: layout("quad")}
"""What so many numbers are where nothing says otherwise."""

_HALF_CHARACTER = re.compile("[\ud800-\udfff]")


class FoundObject(NamedTuple):
    """A whole object as it was written.

    Attributes:
        numbers: Finite numbers, in our own order.
        label: The label, empty if there is none.
        start: Where its text begins.
        end: Where its text ends.
        form: What the numbers are.
        space: The coordinate space that its syntax states; None for that of the dialect at hand.
        syntax: How it was written: a dialect's name for its tags, ``"line"``, ``"list"``, or ``"json:"`` and a key.
    """

    numbers: list[float]
    label: str
    start: int
    end: int
    form: Form
    space: SpaceName | None = None
    syntax: str = ""


@dataclass
class FoundObjects:
    """Whole objects in the order of the text, and counts by reason.

    Attributes:
        layouts: What so many numbers are in the dialect at hand, where neither tag nor key says it.
        labelled: Whether answers of the dialect at hand name the class.
        found: The objects.
        problems: Counts by reason.
    """

    layouts: Mapping[int, BoxLayout] = field(default_factory=lambda: LAYOUTS)
    labelled: bool = True
    found: list[FoundObject] = field(default_factory=list)
    problems: Counter[str] = field(default_factory=Counter)

    def keep(
        self,
        written: Sequence[Any],
        label: str | None,
        start: int,
        end: int,
        *,
        layout: BoxLayout | None = None,
        space: SpaceName | None = None,
        syntax: str = "",
        labelled: bool | None = None,
        guessed: bool = False,
    ) -> bool:
        """Keep an object whose numbers, as text, are a box; count why they are not otherwise.

        Args:
            written: The numbers as they stand.
            label: The label, if there is one.
            start: Where the object's text begins.
            end: Where it ends.
            layout: What the numbers are, where a tag or a key states it; None for what the dialect at hand says.
            space: The space that a tag or a key states.
            syntax: How it was written.
            labelled: Whether this syntax names the class; None for what the dialect at hand does.
            guessed: Nothing states what the numbers are.
        """
        meant = layout if layout is not None else self.layouts.get(len(written), LAYOUTS.get(len(written)))
        numbers, problem = _numbers(written, meant)
        if problem is not None or meant is None:
            self.problems[problem or "coordinate_count"] += 1
            return False
        if not label and (self.labelled if labelled is None else labelled):
            self.problems["no_label"] += 1
        # Five numbers are centre and size to some and corners to others, eight are corners to all.
        unknown = layout is None and len(written) == 5 and 5 not in self.layouts
        self.problems["layout_guessed"] += guessed or unknown
        canonical = meant.canonical(numbers)
        self.found.append(FoundObject(canonical, _whole_characters(label or ""), start, end, meant.form, space, syntax))
        return True

    def stretch(self, end: int) -> None:
        """Let the text of the last object reach up to `end`."""
        self.found[-1] = self.found[-1]._replace(end=end)


def _numbers(written: Sequence[Any], layout: BoxLayout | None) -> tuple[list[float], str | None]:
    """Return the numbers of a box, or why they are none."""
    words = [word for word in written if isinstance(word, str)]
    if not all(map(str.isascii, words)):
        return [], "non_ascii_digits"
    if layout is None or len(written) != len(layout.names):
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
    sizes = [number for name, number in zip(layout.names, numbers, strict=True) if name in ("w", "h")]
    if sizes and min(sizes) < 0:
        return [], "negative_size"
    return numbers, None


def _whole_characters(label: str) -> str:
    """Replace halves of characters, which an escape in JSON can give and no file can hold."""
    return label if label.isascii() else _HALF_CHARACTER.sub("\ufffd", label)
