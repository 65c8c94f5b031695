"""The pattern that finds what a template of tags writes, tolerant of blanks, commas and missing ends."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property

from rscovlm.codec.layouts import BoxLayout
from rscovlm.codec.spaces import SpaceName
from rscovlm.codec.tags import BoxKind, Field, Tags, pieces

# A number is checked where it is kept; digits of any script are matched, to be counted and refused by name.
_NUMBER = r"([-+]?[\d.]{1,32}+)"
_COMMA = r"[)\]]?+\s*+[,;，；]\s*+[(\[]?+"
_LABEL = 256
"""Longest label that is looked for, in characters; bounds the time for each tag."""


@dataclass(frozen=True)
class TagPattern:
    """Finds objects of one dialect between tags.

    Attributes:
        dialect: Its name.
        tags: Its templates.
        spaces: Coordinate space of each kind.
    """

    dialect: str
    tags: Tags
    spaces: tuple[tuple[BoxKind, SpaceName], ...]

    @cached_property
    def space(self) -> dict[BoxKind, SpaceName]:
        """Coordinate space by kind."""
        return dict(self.spaces)

    @cached_property
    def layouts(self) -> dict[BoxKind, BoxLayout]:
        """What the numbers are, by kind."""
        return {kind: self.tags.layout(kind) for kind in self.tags.kinds}

    @cached_property
    def distinctive(self) -> bool:
        """Whether its boxes stand between tags, so that they mean the same under every dialect."""
        return all("<" in self._opened(kind) for kind in self.tags.kinds)

    @cached_property
    def starts(self) -> list[str]:
        """Expressions of what an object begins with."""
        named = "" if self.tags.label_last else _leading(self.tags.label)
        return [_tolerant(named), *self.box_starts] if named.strip() else self.box_starts

    @cached_property
    def box_starts(self) -> list[str]:
        """Expressions of what the boxes of an object begin with."""
        return [_tolerant(self._opened(kind)) for kind in self.tags.kinds]

    @cached_property
    def boxes(self) -> dict[BoxKind, re.Pattern[str]]:
        """By kind: the boxes of one label, without it."""
        return {kind: re.compile(self._body(kind)) for kind in self.tags.kinds}

    @cached_property
    def groups(self) -> dict[BoxKind, re.Pattern[str]]:
        """By kind: boxes with their label, as far as there is one."""
        return {kind: re.compile(self._group(kind)) for kind in self.tags.kinds}

    @cached_property
    def single(self) -> dict[BoxKind, re.Pattern[str]]:
        """By kind: one box, a group for each number and ``label`` for a label inside."""
        return {kind: re.compile(self._box(kind, capture=True)) for kind in self.tags.kinds}

    @cached_property
    def loose(self) -> re.Pattern[str]:
        """What begins as a box and continues in its characters, whatever their order."""
        signs = re.escape("".join(sorted({sign for kind in self.tags.kinds for sign in self._signs(kind)})))
        opened = "|".join(_tolerant(self._opened(kind)) for kind in self.tags.kinds)
        begins = "|".join(self.starts)
        return re.compile(rf"(?:{self._named()})?+\s*+(?:{opened})(?:(?!{begins})[{signs}\d\s.,+-])*+")

    def ended(self, text: str) -> bool:
        """Tell whether a text that `loose` matched holds the end of its box."""
        ends = {_trailing(self.tags.template(kind)).strip() for kind in self.tags.kinds}
        return not _trailing(self.tags.boxes).strip() and any(end and text.rstrip().endswith(end) for end in ends)

    def _opened(self, kind: BoxKind) -> str:
        """What stands before the first number of the first box."""
        return _leading(self.tags.boxes) + _leading(self.tags.template(kind))

    def _signs(self, kind: BoxKind) -> str:
        return "".join(part for part in pieces(self.tags.template(kind)) if isinstance(part, str))

    def _group(self, kind: BoxKind) -> str:
        body = self._body(kind)
        if self.tags.label_last:
            return rf"{body}(?:{self._named()})?+"
        return rf"(?:{self._named()}\s*+)?+{body}"

    def _body(self, kind: BoxKind) -> str:
        box = self._box(kind, capture=False)
        opened, closed = _tolerant(_leading(self.tags.boxes)), _tolerant(_trailing(self.tags.boxes))
        joined = self.tags.joined
        between = "" if joined is None else _tolerant(joined.strip(" ,;"))
        # Without anything between them, four numbers and four more could be one box of eight.
        apart = r"[\s,;]*+" if joined == "" else rf"(?:[\s,;]*+{between}[\s,;]*+|[\s,;]++)" if between else r"[\s,;]++"
        more = "" if joined is None else rf"(?:{apart}{box})*+"
        return rf"{opened}\s*+(?P<boxes>{box}{more})(?P<close>\s*+{closed})?+"

    def _box(self, kind: BoxKind, *, capture: bool) -> str:
        found, inside = [], self._label() if capture else self._label().replace("?P<label>", "?:")
        for part in pieces(self.tags.template(kind)):
            if isinstance(part, str):
                found.append(rf"\s*+{_tolerant(part)}\s*+")
            elif part.name == "label":
                found.append(inside)
                inside = inside.replace("?P<label>", "?:")
            else:
                found.append(_NUMBER if capture else _NUMBER.replace("(", "(?:", 1))
        return "".join(found).removeprefix(r"\s*+").removesuffix(r"\s*+")

    def _named(self) -> str:
        """The label between its own tags; matches nothing where it stands without any before the boxes."""
        if not self.tags.label or (not _leading(self.tags.label).strip() and not self.tags.label_last):
            return r"(?!)"
        return "".join(
            self._label() if isinstance(part, Field) else rf"[ \t]*+{_tolerant(part)}[ \t]*+"
            for part in pieces(self.tags.label)
        ).removeprefix("" if self.tags.label_last else r"[ \t]*+")

    def _label(self) -> str:
        stops = "".join(re.escape(sign) for sign in sorted(self.tags.stops))
        return rf"(?P<label>[^{stops}]{{0,{_LABEL}}}+)"


def _leading(template: str) -> str:
    first = pieces(template)[:1]
    return first[0] if first and isinstance(first[0], str) else ""


def _trailing(template: str) -> str:
    last = pieces(template)[-1:]
    return last[0] if last and isinstance(last[0], str) else ""


def _tolerant(text: str) -> str:
    """Return the expression of a text in which blanks may be missing or more, and commas of other kinds."""
    parts = re.split(r"([)\]]?\s*,\s*[(\[]?|\s+)", text.strip())
    found = [_COMMA if "," in part else re.escape(part) for part in parts if part.strip()]
    return r"\s*+".join(found)
