"""Boxes that a sentence mentions: where each stands in the text, its numbers, and what its writing states about them."""

from __future__ import annotations

import re
from functools import cache
from typing import NamedTuple

from rscovlm.codec import presets
from rscovlm.codec.layouts import Form
from rscovlm.codec.spaces import SPACES, SpaceName
from rscovlm.codec.tag_patterns import TagPattern

_NUMBER = r"-?\d+(?:\.\d+)?"
_BRACES = rf"\{{\s*(?:<\s*{_NUMBER}\s*>\s*){{4,8}}(?:\|\s*<\s*{_NUMBER}\s*>\s*)?\}}"
_SQUARE = rf"\[\s*{_NUMBER}(?:\s*,\s*{_NUMBER}){{3,7}}\s*\]"
_POINT = rf"\(\s*{_NUMBER}\s*,\s*{_NUMBER}\s*\)"
_POINTS = rf"{_POINT}(?:\s*,?\s*{_POINT}){{1,3}}"
_BARE = re.compile(rf"{_BRACES}|{_SQUARE}|{_POINTS}")
_BOX_TAGS = re.compile(rf"<box>\s*(?P<inside>{_SQUARE}|{_POINTS})\s*</box>")
_FOUND_NUMBER = re.compile(_NUMBER)
_FORMS: dict[int, Form] = {4: "hbb", 5: "obb", 8: "quad"}


class Mention(NamedTuple):
    """A box as a text writes it.

    Attributes:
        start: Where its text begins.
        end: Where it ends.
        numbers: Its numbers, in our own order.
        form: What they are.
        space: The coordinate space that the writing states; None where it states none.
    """

    start: int
    end: int
    numbers: tuple[float, ...]
    form: Form
    space: SpaceName | None

    @property
    def possible(self) -> bool:
        """Whether its sides are ordered and it touches the image, as far as its writing states its space; typing errors need not.

        Of an object that the image cuts a box may reach as far beyond as the image is large.
        """
        if self.space is None or SPACES[self.space].units is None:
            return True
        return can_be(self.numbers, self.form, float(SPACES[self.space].units or 1))


def can_be(numbers: tuple[float, ...], form: Form, side: float) -> bool:
    """Tell whether numbers can be a box of an image whose sides count so much: ordered, and touching the image.

    >>> can_be((90, 11, 154, 26), "hbb", 100), can_be((76, 982, 82, 99, 28), "corners", 100)
    (True, False)
    """
    values = {"corners": numbers[:4], "obb": numbers[:2]}.get(form, numbers)
    xs, ys = values[0::2], values[1::2]
    ordered = form == "quad" or len(values) == 2 or (xs[0] <= xs[1] and ys[0] <= ys[1])
    return ordered and all(
        max(place) >= 0 and min(place) <= side and -side <= min(place) and max(place) <= 2 * side for place in (xs, ys)
    )


def mentions(text: str) -> list[Mention]:
    """Return the boxes that a text mentions, in order: in braces, in brackets, as points, and between known tags.

    What is no box (another count of numbers) is left alone. ``<box>`` is written by several families, each counting in its
    own space, so it states none.

    >>> [(found.numbers, found.space) for found in mentions("{<25><30><40><50>} beside <rbox>(31,12,4,5,30)</rbox>")]
    [((25.0, 30.0, 40.0, 50.0), '0-100'), ((31.0, 12.0, 4.0, 5.0, 30.0), '0-100')]
    """
    found = [
        Mention(match.start(), match.end(), *_bare(match["inside"]))
        for match in _BOX_TAGS.finditer(text)
        if len(_FOUND_NUMBER.findall(match["inside"])) in _FORMS
    ]
    found += _tagged(text)
    taken = sorted((one.start, one.end) for one in found)
    for match in _BARE.finditer(text):
        count = len(_FOUND_NUMBER.findall(match.group()))
        if count in _FORMS and not any(start < match.end() and match.start() < end for start, end in taken):
            found.append(Mention(match.start(), match.end(), *_bare(match.group())))
    return sorted(found)


def _bare(text: str) -> tuple[tuple[float, ...], Form, SpaceName | None]:
    numbers = tuple(map(float, _FOUND_NUMBER.findall(text)))
    braces = text.startswith("{")
    form: Form = "corners" if braces and "|" in text else _FORMS[len(numbers)]
    return numbers, form, "0-100" if braces else None


def _tagged(text: str) -> list[Mention]:
    """Return the boxes between tags that state their space."""
    found: list[Mention] = []
    for begin in _starts().finditer(text):
        if found and begin.start() < found[-1].end:
            continue
        for pattern in _stating():
            match = next(
                (m for kind in pattern.tags.kinds if (m := pattern.boxes[kind].match(text, begin.start()))), None
            )
            if match is None:
                continue
            kind = next(kind for kind in pattern.tags.kinds if pattern.boxes[kind] is match.re)
            inside = list(pattern.single[kind].finditer(match["boxes"]))
            for place, box in enumerate(inside):
                start = match.start() if place == 0 else match.start("boxes") + box.start()
                end = match.end() if place == len(inside) - 1 else match.start("boxes") + box.end()
                layout = pattern.layouts[kind]
                try:
                    numbers = layout.canonical([float(number) for number in box.groups()])
                except ValueError:
                    continue
                found.append(Mention(start, end, tuple(numbers), layout.form, pattern.space[kind]))
            break
    return found


@cache
def _stating() -> tuple[TagPattern, ...]:
    """Return the tags of boxes that state their space; those of ``<box>`` and of braces are read above."""
    plain = ("<box>", "{{<")
    return tuple(
        pattern
        for pattern in presets.known_tags()
        if not any(
            text.startswith(plain) for text in (pattern.tags.boxes, *map(pattern.tags.template, pattern.tags.kinds))
        )
        and pattern.tags.kinds != ("point",)
    )


@cache
def _starts() -> re.Pattern[str]:
    return re.compile("|".join(dict.fromkeys(start for pattern in _stating() for start in pattern.box_starts)))
