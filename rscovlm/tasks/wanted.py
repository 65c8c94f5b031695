"""What is wanted of some images: a task's fields, as a run, a manifest or a user's words give them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal

from rscovlm.codec.writing import Style
from rscovlm.geometry.kinds import Kind
from rscovlm.points.segmenter import Segmenter

DetectionMode = Literal["native", "max"]
AnswerForm = Literal["prompt", "polygon", "box"]

NEEDED = {
    "question": "a question, as the user's text",
    "expressions": "the expression, as the user's text",
    "classes": "class names, as rscovlm.classes or as the user's text, with commas",
}
"""What a request must send for a field that a task cannot do without."""


@dataclass(frozen=True)
class Wanted:
    """What is asked about an image, and how.

    Attributes:
        question: The question.
        expressions: Referring expressions.
        classes: Class names.
        kind: Box kind of the answer; None for the task's own.
        style: Form of the answer; None for the dialect's.
        zoom: Whether the model may look closer.
        policy: Who decides where to look closer: a name of `rscovlm.zoom.policies`.
        tile: Side of a tile in original pixels; None for the largest that is shown without shrinking.
        overlap: What tiles share, as for `rscovlm.detect`.
        mode: How tiles are laid out in the budget.
        constrained: Hold the answer to its grammar.
        max_new_tokens: Limit of an answer; None for the task's own.
        progress: Called with (tiles done, tiles).
        segmenter: Who draws masks of boxes with points; None fills them.
        form: What segmentation is answered with: a box and points, outlines, or boxes alone; None for the task's own.
        refine: How often masks are drawn again: from what the model answers when it is shown them, or of boxes alone from themselves.
    """

    question: str | None = None
    expressions: tuple[str, ...] | None = None
    classes: tuple[str, ...] | None = None
    kind: Kind | None = None
    style: Style | None = None
    zoom: bool = True
    policy: str = "call"
    tile: int | None = None
    overlap: float | None = None
    mode: DetectionMode = "native"
    constrained: bool = False
    max_new_tokens: int | None = None
    progress: Callable[[int, int], None] | None = None
    segmenter: Segmenter | None = None
    form: AnswerForm | None = None
    refine: int = 0

    @property
    def limit(self) -> dict[str, Any]:
        """The limit of an answer as a keyword argument, where there is one."""
        return {} if self.max_new_tokens is None else {"max_new_tokens": self.max_new_tokens}


def fields_of(text: str, names: Iterable[str]) -> dict[str, Any]:
    """Return the fields of `Wanted` that a user's words fill.

    Args:
        text: The words; class names in it stand between commas, semicolons or line breaks.
        names: Which fields a task takes; one that the words leave empty is None.

    >>> fields_of("plane, ship", ["classes"])
    {'classes': ('plane', 'ship')}
    >>> fields_of(" ", ["expressions"])
    {'expressions': None}
    """
    words = text.strip()
    read = {
        "question": words,
        "expressions": (words,) if words else (),
        "classes": tuple(name.strip() for name in re.split(r"[,;\n]", words) if name.strip()),
    }
    return {name: read[name] or None for name in names}
