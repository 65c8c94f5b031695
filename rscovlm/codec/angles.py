"""Angles as people write them: signs, hemispheres, degrees with minutes and seconds."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import Literal

Axis = Literal["latitude", "longitude"]

_SIGNS = str.maketrans("−–—‐‑º˚’‘`´ʹ“”„″ʺ′；", "-----°°'''''\"\"\"\"\"';")
_AXES: dict[str, Axis] = {"lat": "latitude", "latitude": "latitude", "lon": "longitude", "lng": "longitude"}
_AXES |= {"long": "longitude", "longitude": "longitude"}
_HEMISPHERES: dict[str, tuple[Axis, int]] = {
    "n": ("latitude", 1),
    "s": ("latitude", -1),
    "e": ("longitude", 1),
    "w": ("longitude", -1),
}
"""The letter O, which is west in Spanish and French and east in German, is not read."""

_NUMBER = r"\d{1,3}(?:\.\d+)?|\.\d+"
_ANGLE = re.compile(
    rf"""
    (?:(?<![a-z])(?P<axis>latitude|longitude|long|lat|lng|lon)(?![a-z])[\s"':=.]*(?:is\s+)?)?
    (?:(?<![a-z])(?P<before>north|south|east|west|[nsew])(?![a-z])[\s.:]*)?
    (?P<sign>[-+])?\s?
    (?<![\d.])(?<!\de)(?<!\de[-+])(?P<degrees>{_NUMBER})(?![\d.]*\d)(?!e[-+]?\d)
    (?:
        \s*(?:°|\*|deg(?:rees?)?\.?|d(?![a-z]))\s*
        (?:(?P<minutes>\d{{1,2}}(?:\.\d+)?)\s*(?:'(?!')|min(?:utes?)?\.?|m(?![a-z]))\s*
            (?:(?P<seconds>\d{{1,2}}(?:\.\d+)?)\s*(?:"|''|sec(?:onds?)?\.?|s(?![a-z])))?
        )?
        |
        \s?:\s?(?P<colon_minutes>\d{{1,2}}(?:\.\d+)?)(?:\s?:\s?(?P<colon_seconds>\d{{1,2}}(?:\.\d+)?))?
    )?
    (?(before)|(?:\s*(?:°\s*)?(?<![a-z])(?P<after>north|south|east|west|[nsew])(?![a-z]))?)
    """,
    re.VERBOSE | re.IGNORECASE,
)
_DECIMAL_COMMAS = re.compile(r"(?<![\d.,])(\d{1,3}),(\d+)(?=\s*(?:°|deg|;|[NSEW]\b|$|\)|\]))", re.IGNORECASE)


@dataclass(frozen=True)
class Angle:
    """One angle of a text.

    Attributes:
        degrees: Its value, with its sign.
        axis: Which coordinate a name or a hemisphere says that it is; None where nothing says.
        start: Where it begins in the text.
        end: Where it ends.
        problem: Why the value cannot be taken, or what had to be settled; empty where neither.
        usable: Whether the value can be taken.
    """

    degrees: float
    axis: Axis | None
    start: int
    end: int
    problem: str = ""
    usable: bool = True


def plain_signs(text: str) -> str:
    """Return a text with one sign each for minus, degree, minute and second, and without full-width characters.

    >>> plain_signs("３０º15′ −5")
    "30°15' -5"
    """
    return unicodedata.normalize("NFKC", text.translate(_SIGNS)).translate(_SIGNS)


def decimal_points(text: str) -> tuple[str, bool]:
    """Return a text in which decimal commas are points, and whether there were any.

    A comma is a decimal one where both numbers have one and something else stands between them; ``(30,120)`` is a pair.

    >>> decimal_points("48,8566 N; 2,3522 E"), decimal_points("(30,120)")
    (('48.8566 N; 2.3522 E', True), ('(30,120)', False))
    """
    changed, count = _DECIMAL_COMMAS.subn(r"\1.\2", text)
    return (changed, True) if count >= 2 and not re.search(r"\d\.\d", text) else (text, False)


def angles_in(text: str) -> list[Angle]:
    """Return the angles of a text that went through `plain_signs`, in its order.

    >>> [(angle.degrees, angle.axis) for angle in angles_in("33°51'36\\"S, longitude 151.2")]
    [(-33.86, 'latitude'), (151.2, 'longitude')]
    """
    return [_angle(found) for found in _ANGLE.finditer(text)]


def _angle(found: re.Match[str]) -> Angle:
    minutes = float(found["minutes"] or found["colon_minutes"] or 0)
    seconds = float(found["seconds"] or found["colon_seconds"] or 0)
    value = float(found["degrees"]) + minutes / 60 + seconds / 3600
    sign = -1 if found["sign"] == "-" else 1
    named: Axis | None = _AXES[found["axis"].lower()] if found["axis"] else None
    problem, usable = "", True
    if minutes >= 60 or seconds >= 60:
        problem, usable = "minutes_out_of_range", False
    letters = {text[0].lower() for text in (found["before"], found["after"]) if text}
    axis = named
    if letters:
        pairs = {_HEMISPHERES[letter] for letter in letters}
        (axis, side), *others = pairs
        if others or named not in (None, axis) or (sign < 0 < side):
            problem, usable = problem or "contradiction", False
        elif sign < 0:  # "-33.9 S" means 33.9 south: the sign repeats what the letter says
            problem = problem or "sign_and_hemisphere"
        sign = side
    return Angle(round(sign * value, 9), axis, found.start(), found.end(), problem, usable)
