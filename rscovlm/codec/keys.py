"""Names of a JSON object: which mean its label, which its box, and what the name of a box says about its numbers."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, NamedTuple

from rscovlm.codec.layouts import BoxLayout, layout
from rscovlm.codec.spaces import SpaceName

_BOX_WORD = re.compile(
    r"(?<![a-z])(?:[horb]?b?box(?:es)?|bnd ?box|bounding ?box(?:es)?|[hor]bbs?|poly(?:gons?)?|quad(?:s|rants?|rangles?|rilaterals?)?"
    r"|coord(?:s|inates?)?|rect(?:s|angles?)?|[xy]{4}|[xy]{8}|corners)(?![a-z])"
)
_POINT_WORD = re.compile(r"(?<![a-z])(?:key)?points?(?![a-z])")
_OTHER_LABEL_NAMES = ("label", "category", "class", "name", "object")
_WORDS = re.compile(r"[a-z]+\d*|\d+")

_MEANT: dict[str, str] = {
    **{name: name for name in ("x1", "y1", "x2", "y2", "x3", "y3", "x4", "y4", "cx", "cy", "x", "y", "w", "h")},
    **dict.fromkeys(("xmin", "minx", "left", "xleft", "xtl"), "x1"),
    **dict.fromkeys(("ymin", "miny", "top", "ytop", "ytl"), "y1"),
    **dict.fromkeys(("xmax", "maxx", "right", "xright", "xbr"), "x2"),
    **dict.fromkeys(("ymax", "maxy", "bottom", "ybottom", "ybr"), "y2"),
    **dict.fromkeys(("xc", "xcenter", "xcentre", "centerx", "centrex"), "cx"),
    **dict.fromkeys(("yc", "ycenter", "ycentre", "centery", "centrey"), "cy"),
    "width": "w",
    "height": "h",
    **dict.fromkeys(("a", "angle", "theta", "rotation"), "a"),
}
"""What a name, without blanks and underscores, says a number is."""

_WRITTEN: dict[str, tuple[str, ...]] = {
    "xyxy": ("x1", "y1", "x2", "y2"),
    "ltrb": ("x1", "y1", "x2", "y2"),
    "yxyx": ("y1", "x1", "y2", "x2"),
    "xywh": ("x1", "y1", "w", "h"),
    "ltwh": ("x1", "y1", "w", "h"),
    "cxcywh": ("cx", "cy", "w", "h"),
    **dict.fromkeys(("xywha", "xywhr", "xywht", "cxcywha"), ("cx", "cy", "w", "h", "a")),
    **dict.fromkeys(("xyxya", "xyxyr", "xyxyt"), ("x1", "y1", "x2", "y2", "a")),
    "xyxyxyxy": ("x1", "y1", "x2", "y2", "x3", "y3", "x4", "y4"),
    "yxyxyxyx": ("y1", "x1", "y2", "x2", "y3", "x3", "y4", "x4"),
}
"""Orders of numbers by the word that names them in a key, such as ``bbox_xywh``."""


_FROM_ZERO = {"x0": "x1", "y0": "y1", "x1": "x2", "y1": "y2"}
_STATED_BY_NAMES = tuple(dict.fromkeys(sorted((*_WRITTEN.values(), ("x", "y")), key=lambda names: -len(names))))


class KeyMeaning(NamedTuple):
    """What the name of a box says.

    Attributes:
        layout: What its numbers are; None where the name does not say it.
        space: The space they are counted in; None where it does not say it.
        foreign: It is the name of another dialect.
        own: It is the name of the dialect at hand.
    """

    layout: BoxLayout | None = None
    space: SpaceName | None = None
    foreign: bool = False
    own: bool = False


class KeyNames:
    """Which names of a JSON object mean its label and its box; models vary them.

    Args:
        label_key: The dialect's name for labels.
        own: What the numbers under the dialect's own names are.
        foreign: What other dialects are known to write under their names.
    """

    def __init__(
        self, label_key: str, own: Mapping[str, BoxLayout], foreign: Mapping[str, KeyMeaning] | None = None
    ) -> None:
        self.label = label_key.lower()
        self.labels = (self.label, *(name for name in _OTHER_LABEL_NAMES if name != self.label))
        self._own = {key.lower(): what for key, what in own.items()}
        self._foreign = {key: what for key, what in (foreign or {}).items() if key not in self._own}

    def is_box(self, name: str) -> bool:
        """Whether a name, in lower case, means a box or a point."""
        return name in self._own or name in self._foreign or _names_a_box(name)

    def meaning(self, name: str, count: int) -> KeyMeaning:
        """Return what a name, in lower case, says about so many numbers."""
        own = self._own.get(name)
        if own is not None:
            return KeyMeaning(own if len(own.names) == count else None, own=True)
        stated = _stated(name)
        if stated is not None and len(stated.names) == count:
            return KeyMeaning(stated)
        known = self._foreign.get(name)
        if known is not None and known.layout is not None and len(known.layout.names) == count:
            return known
        return KeyMeaning(layout("point") if count == 2 and _POINT_WORD.search(name) else None)

    def means_points(self, name: str) -> bool:
        """Whether pairs of numbers under a name are points, not the corners of a box."""
        own = self._own.get(name)
        return own.form == "point" if own is not None else _POINT_WORD.search(name) is not None


def coordinates(values: Mapping[str, Any]) -> tuple[BoxLayout, list[Any], bool] | None:
    """Return the box that the names of an object state one number each of, its numbers, and whether that was a guess.

    ``x`` and ``y`` with a size may be a corner or a centre; they are read as a corner, and that is a guess.

    >>> coordinates({"x_min": "1", "y_min": "2", "x_max": "3", "y_max": "4", "label": "ship"})[1]
    ['1', '2', '3', '4']
    """
    plain = {re.sub(r"[^a-z0-9]", "", name): value for name, value in values.items()}
    if "x0" in plain and "y0" in plain:
        plain = {_FROM_ZERO.get(name, name): value for name, value in plain.items()}
    given = {_MEANT[name]: value for name, value in plain.items() if name in _MEANT and not isinstance(value, list)}
    guessed = {"x", "y", "w", "h"} <= set(given)
    if guessed:
        corner = {"x": "cx", "y": "cy"} if "a" in given else {"x": "x1", "y": "y1"}
        given = {corner.get(name, name): value for name, value in given.items()}
    for names in _STATED_BY_NAMES:
        if set(names) <= set(given):
            return BoxLayout(names), [given[name] for name in names], guessed
    return None


def coordinate(name: str) -> str | None:
    """Return which number of a box a name states, such as ``x1`` for ``"x_min"``.

    >>> coordinate("yMax"), coordinate("near")
    ('y2', None)
    """
    return _MEANT.get(re.sub(r"[^a-z0-9]", "", name.lower()))


@lru_cache(maxsize=1024)
def _names_a_box(name: str) -> bool:
    spaced = re.sub(r"[^a-z0-9]+", " ", name)
    return _BOX_WORD.search(spaced) is not None or _POINT_WORD.search(spaced) is not None or _stated(name) is not None


@lru_cache(maxsize=1024)
def _stated(name: str) -> BoxLayout | None:
    """Return the order of numbers that a name states, such as ``bbox_xywh`` or ``ymin_xmin_ymax_xmax``."""
    words = _WORDS.findall(name)
    for word in words:
        if word in _WRITTEN:
            return BoxLayout(_WRITTEN[word])
    meant = [_MEANT[word] for word in words if word in _MEANT and word not in ("a", "top", "left", "right", "bottom")]
    if len(meant) >= 4:
        try:
            return BoxLayout(tuple(meant))
        except ValueError:
            return None
    return None
