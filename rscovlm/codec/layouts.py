"""What the numbers of a box are, in the order in which they are written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, TypeAlias

from rscovlm.geometry.kinds import Kind

Form: TypeAlias = Literal["hbb", "obb", "corners", "quad", "point"]
"""``"corners"`` is an oriented box as the corners of the upright box and the angle it is turned by about its centre."""

NAMES: dict[Form, tuple[str, ...]] = {
    "hbb": ("x1", "y1", "x2", "y2"),
    "obb": ("cx", "cy", "w", "h", "a"),
    "corners": ("x1", "y1", "x2", "y2", "a"),
    "quad": ("x1", "y1", "x2", "y2", "x3", "y3", "x4", "y4"),
    "point": ("x", "y"),
}
"""The numbers of each form in our own order."""

KIND_OF: dict[Form, Kind] = {"hbb": "hbb", "obb": "obb", "corners": "obb", "quad": "quad", "point": "hbb"}
"""Box kind that a form becomes; a point is a box without a size."""

_FORMS: dict[frozenset[str], Form] = {frozenset(names): form for form, names in NAMES.items()}
_SIZED: dict[frozenset[str], Form] = {
    frozenset(("x1", "y1", "w", "h")): "hbb",
    frozenset(("cx", "cy", "w", "h")): "hbb",
}


@dataclass(frozen=True)
class BoxLayout:
    """The numbers of a box in the order in which they are written.

    Attributes:
        names: Of ``x1 y1 x2 y2 x3 y3 x4 y4`` (corners), ``cx cy`` (centre), ``w h``, ``a`` (angle), ``x y`` (a point).

    Raises:
        ValueError: The names make up no box.

    >>> BoxLayout(("y1", "x1", "y2", "x2")).canonical([10, 20, 30, 40])
    [20, 10, 40, 30]
    >>> BoxLayout(("x1", "y1", "w", "h")).canonical([10, 20, 30, 40])
    [10, 20, 40, 60]
    """

    names: tuple[str, ...]

    def __post_init__(self) -> None:
        known = frozenset(self.names)
        if len(known) != len(self.names) or (known not in _FORMS and known not in _SIZED):
            forms = "; ".join(" ".join(names) for names in NAMES.values())
            raise ValueError(f"numbers {' '.join(self.names)!r} make up no box; give one of: {forms}, in any order")

    @cached_property
    def form(self) -> Form:
        """What the numbers are once they are in our own order."""
        known = frozenset(self.names)
        return _FORMS.get(known) or _SIZED[known]

    def canonical(self, numbers: Sequence[float]) -> list[float]:
        """Return written numbers in our own order and meaning."""
        if self.names == NAMES[self.form]:
            return list(numbers)
        given = dict(zip(self.names, numbers, strict=True))
        if "w" in given and self.form == "hbb":
            w, h = given["w"], given["h"]
            x1, y1 = (given["x1"], given["y1"]) if "x1" in given else (given["cx"] - w / 2, given["cy"] - h / 2)
            return [x1, y1, x1 + w, y1 + h]
        return [given[name] for name in NAMES[self.form]]

    def written(self, numbers: Sequence[str]) -> list[str]:
        """Return numbers of our own order in the order in which they are written."""
        given = dict(zip(NAMES[self.form], numbers, strict=True))
        return [given[name] for name in self.names]


def layout(form: Form, order: str = "xy") -> BoxLayout:
    """Return a form's numbers with x before y (``"xy"``), or y before x (``"yx"``).

    >>> layout("hbb", "yx").names
    ('y1', 'x1', 'y2', 'x2')
    """
    names = list(NAMES[form])
    if order == "yx":
        for place in range(0, len(names) - 1, 2):
            if names[place] != "w":
                names[place], names[place + 1] = names[place + 1], names[place]
    return BoxLayout(tuple(names))
