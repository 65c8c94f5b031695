"""Reading objects between tags, those of the dialect at hand and those that other dialects are known by."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from rscovlm.codec.found_objects import FoundObjects
from rscovlm.codec.layouts import BoxLayout
from rscovlm.codec.spaces import SpaceName
from rscovlm.codec.tag_patterns import TagPattern
from rscovlm.codec.tags import BoxKind

_POINTS = re.compile(r"<points?\b(?P<inside>[^<>]{0,100000}+)>(?:(?P<label>[^<>\n]{0,256}+)</points?>)?+")
_ATTRIBUTE = re.compile(
    r"\b(?P<name>[xy]\d{0,4}|alt)\s*+=\s*+(?:\"(?P<text1>[^\"]{0,256}+)\"|'(?P<text2>[^']{0,256}+)')"
)
_BLANKS = re.compile(r"[ \t]*+")
_FREE_LABEL = re.compile(r"[^<>\n]{0,256}\Z")
_POINT = BoxLayout(("x", "y"))


class TaggedObjects:
    """Reads objects between tags where the main reader meets one.

    Args:
        text: What a model wrote.
        found: Where objects and problems go.
        before_object: Called before an object is added.
        own: Tags of the dialect at hand; None where it has none.
        foreign: Tags that other dialects are known by.
    """

    def __init__(
        self,
        text: str,
        found: FoundObjects,
        before_object: Callable[[], None],
        own: TagPattern | None,
        foreign: Sequence[TagPattern],
    ) -> None:
        self._text, self._found, self._before_object = text, found, before_object
        self._own = own
        self._patterns = (own, *foreign) if own is not None else tuple(foreign)
        self._free_from = 0

    def read(self, start: int) -> int | None:
        """Read the object whose first tag stands at `start`, after blanks; return where to go on, None if it is none."""
        blanks = _BLANKS.match(self._text, start)
        place = start if blanks is None else blanks.end()
        for pattern in self._patterns:
            found = [(kind, pattern.groups[kind].match(self._text, place)) for kind in pattern.tags.kinds]
            matches = [(kind, match) for kind, match in found if match is not None]
            if matches:
                # The kind that reaches the end of its tag; of two numbers after two others the first kind is meant.
                whole = next((pair for pair in matches if pair[1]["close"] is not None), matches[0])
                return self._keep(pattern, *whole)
        points = _POINTS.match(self._text, place)
        if points is not None:
            return self._points(points)
        for pattern in self._patterns:
            match = pattern.loose.match(self._text, place) if pattern.distinctive else None
            if match is not None and re.search(r"\d", match[0]):
                self._before_object()
                cut = match.end() == len(self._text) and not pattern.ended(match[0])
                self._found.problems["truncated" if cut else "coordinate_count"] += 1
                self._free_from = match.end()
                return match.end()
        return None

    def _keep(self, pattern: TagPattern, kind: BoxKind, match: re.Match[str]) -> int:
        self._before_object()
        foreign = pattern is not self._own
        label = (match.groupdict().get("label") or "").strip()
        start, end = match.span()
        tags = pattern.tags
        if tags.label.strip().startswith("{label}") and not tags.label_last:
            label, start = self._label_before(match.start())
            label = label.removesuffix(tags.label.strip().removeprefix("{label}").strip()).strip()
        space = pattern.space.get(kind, "pixels") if foreign else None
        kept = 0
        for box in pattern.single[kind].finditer(match["boxes"]):
            inside = (box.groupdict().get("label") or "").strip()
            numbers = [group for name, group in zip(_numbered(box), box.groups(), strict=True) if name is None]
            mine = start if not kept else match.start("boxes") + box.start()
            last = match.start("boxes") + box.end()
            kept += self._found.keep(
                numbers,
                inside or label,
                mine,
                last,
                layout=pattern.layouts[kind],
                space=space,
                syntax=pattern.dialect,
                labelled=tags.labelled,
            )
        if kept:
            self._found.problems["foreign_syntax"] += kept * foreign
            cut = match["close"] is None
            self._found.problems["repaired"] += cut
            self._found.stretch(end)
        self._free_from = end
        return end

    def _label_before(self, place: int) -> tuple[str, int]:
        """Return the text that stands before a box on its line, as far back as the object before, and its beginning."""
        begin = max(self._free_from, place - 256)
        before = _FREE_LABEL.search(self._text[begin:place])
        label = (before[0] if before is not None else "").strip()
        return label, place - len(before[0].lstrip()) if before is not None and label else place

    def _points(self, match: re.Match[str]) -> int | None:
        """Keep the points of one element, which has an attribute for each number: ``x`` and ``y``, or ``x1``, ``y1``, ..."""
        values = {
            found["name"]: found["text1"] or found["text2"] or "" for found in _ATTRIBUTE.finditer(match["inside"])
        }
        numbers = [name[1:] for name in values if name[0] == "x" and "y" + name[1:] in values]
        if not numbers:
            return None
        self._before_object()
        label = (match["label"] or values.get("alt") or "").strip()
        own = self._own is not None and "point" in self._own.tags.kinds
        space: SpaceName | None = None if own else "0-100"
        kept = 0
        for number in numbers:
            written = [values["x" + number], values["y" + number]]
            kept += self._found.keep(
                written, label, match.start(), match.end(), layout=_POINT, space=space, syntax="molmo", labelled=True
            )
        self._found.problems["foreign_syntax"] += kept * (not own)
        self._free_from = match.end()
        return match.end()


def _numbered(match: re.Match[str]) -> list[str | None]:
    """Return the name of each group of a match, None for one without."""
    names: list[str | None] = [None] * len(match.groups())
    for name, number in match.re.groupindex.items():
        names[number - 1] = name
    return names
