"""Places in text: a city and its latitude and longitude, written in one form and read in any."""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Literal

from rscovlm.codec.angles import Angle, Axis, angles_in, decimal_points, plain_signs
from rscovlm.geometry.mgrs import mgrs_place
from rscovlm.geometry.utm import UtmPlace

Order = Literal["latitude_first", "longitude_first"]
Notation = Literal["degrees", "utm", "mgrs"]

LONGEST = 4096
"""Characters of an answer that are read; a place needs a hundred."""

_MGRS = re.compile(
    r"(?<![\w.])\d{1,2}\s?[C-HJ-NP-X]\s?[A-HJ-NP-Z][A-HJ-NP-V](?:\s?\d{1,5}\s\d{1,5}|\s?\d{2,10})(?![\w.])"
)
_MGRS_SQUARE = re.compile(r"\bMGRS\b\W*(?P<square>\d{1,2}\s?[C-HJ-NP-X]\s?[A-HJ-NP-Z][A-HJ-NP-V])(?![\w.])")
_UTM = re.compile(
    r"(?<![\w.])(?:zone\s*)?(?P<zone>\d{1,2})\s?(?P<letter>north|south|[C-HJ-NP-X])?\b[\s,;:(]*(?:E(?:asting)?\b[\s:=]*)?"
    r"(?P<easting>\d{6}(?:\.\d+)?)\s*m?\s*E?[\s,;]+(?:N(?:orthing)?\b[\s:=]*)?(?P<northing>\d{1,8}(?:\.\d+)?)\s*m?\s*N?(?![\w.])",
    re.IGNORECASE,
)
_EPSG = re.compile(
    r"EPSG:{1,2}32(?P<half>[67])(?P<zone>\d\d)\b[\s,;:()]*(?P<easting>\d{6}(?:\.\d+)?)[\s,;]+(?P<northing>\d{1,8}(?:\.\d+)?)",
    re.IGNORECASE,
)
_GEOJSON = re.compile(r'"coordinates"\s*:\s*\[|\bPOINT\s*Z?\s*\(', re.IGNORECASE)
_STATED: tuple[tuple[re.Pattern[str], Order], ...] = (
    (re.compile(r"\blat(?:itude)?\s*(?:,|/|and)\s*(?:lon|lng|long|longitude)\b", re.IGNORECASE), "latitude_first"),
    (re.compile(r"\b(?:lon|lng|long|longitude)\s*(?:,|/|and)\s*lat(?:itude)?\b", re.IGNORECASE), "longitude_first"),
)


@dataclass(frozen=True)
class ReadPlace:
    """A place as a text states it.

    Attributes:
        city: What stands before the coordinates as a name; empty where there is none.
        latitude: Degrees, -90 to 90; None where no coordinates can be read.
        longitude: Degrees, -180 to 180; None where no coordinates can be read.
        notation: How the coordinates were written; None without any.
        problems: Counts by reason of what could not be read, or had to be settled.
    """

    city: str = ""
    latitude: float | None = None
    longitude: float | None = None
    notation: Notation | None = None
    problems: dict[str, int] = field(default_factory=dict)

    @property
    def coordinates(self) -> tuple[float, float] | None:
        """Latitude and longitude; None where they cannot be read."""
        return None if self.latitude is None or self.longitude is None else (self.latitude, self.longitude)


def check_coordinates(latitude: float, longitude: float) -> None:
    """Refuse numbers that are no latitude and longitude.

    Raises:
        ValueError: The latitude is not within -90 and 90, or the longitude not within -180 and 360.
    """
    if not (math.isfinite(latitude) and -90 <= latitude <= 90):
        raise ValueError(f"latitude is {latitude:g}; give degrees from -90 to 90")
    if not (math.isfinite(longitude) and -180 <= longitude <= 360):
        raise ValueError(f"longitude is {longitude:g}; give degrees from -180 to 180")


def write_place(latitude: float, longitude: float, city: str = "", *, decimals: int = 4) -> str:
    """Return a place as training writes it: ``[city, (latitude, longitude)]``.

    Args:
        latitude: Degrees.
        longitude: Degrees; brought to -180 to 180.
        city: Name of the city; left out where it is empty.
        decimals: Digits behind the point; four are 11 m or less.

    Raises:
        ValueError: The numbers are no latitude and longitude, or the name holds brackets or more than one line.

    Source:
        GeoRSMLLM (arXiv:2503.12490) writes ``[city, (lat, lon)]``.

    >>> write_place(30.2741, 120.1551, "Hangzhou"), write_place(-33.8688, 151.20931)
    ('[Hangzhou, (30.2741, 120.1551)]', '[(-33.8688, 151.2093)]')
    """
    check_coordinates(latitude, longitude)
    if re.search(r"[\[\](){}\r\n]", city):
        raise ValueError(f"city is {city!r}; give a name in one line, without brackets")
    pair = f"({latitude:.{decimals}f}, {(longitude + 180) % 360 - 180:.{decimals}f})"
    return f"[{city.strip()}, {pair}]" if city.strip() else f"[{pair}]"


def read_place(text: str, *, order: Order | None = "latitude_first") -> ReadPlace:
    """Return the place that a text states first.

    Read are decimal degrees with signs or hemispheres, degrees with minutes and seconds, labelled and JSON coordinates,
    GeoJSON and WKT points, UTM and MGRS (the middle of its square).

    Args:
        text: What a model wrote.
        order: Which of two bare numbers stands first, as the question said; None where nothing said it.

    Returns:
        The place; `problems` counts ``no_coordinates``, ``latitude_out_of_range``, ``longitude_out_of_range``,
        ``minutes_out_of_range``, ``contradiction`` (such as ``-33.9 N``) and ``bad_grid_reference`` where nothing could be taken,
        and what was settled: ``order_swapped`` (the stated order is impossible), ``order_guessed`` (nothing states the
        order and both are possible), ``order_inferred`` (nothing states it and one is possible), ``hemisphere_guessed``
        (of a UTM zone), ``longitude_wrapped``, ``decimal_comma``, ``sign_and_hemisphere``, ``several_places``.

    >>> read_place("[Paris, (48.8566, 2.3522)]").coordinates
    (48.8566, 2.3522)
    >>> read_place("It lies at 120.1551, 30.2741.")
    ReadPlace(city='', latitude=30.2741, longitude=120.1551, notation='degrees', problems={'order_swapped': 1})
    """
    plain = plain_signs(text[:LONGEST])
    for read in (_grid_reference, _grid_metres):
        found = read(plain)
        if found is not None:
            return found
    return _degrees(plain, order)


def _grid_reference(text: str) -> ReadPlace | None:
    found = _MGRS.search(text) or _MGRS_SQUARE.search(text)
    if found is None:
        return None
    city = _city(text[: found.start()])
    try:
        place, _ = mgrs_place(found.groupdict().get("square") or found[0])
    except ValueError:
        return ReadPlace(city, problems={"bad_grid_reference": 1})
    return _in_degrees(city, place, "mgrs", {})


def _grid_metres(text: str) -> ReadPlace | None:
    found, problems = _EPSG.search(text), {}
    if found is not None:
        north: bool = found["half"] == "6"
    else:
        found = _UTM.search(text)
        if found is None:
            return None
        north, guessed = _hemisphere(found["letter"] or "", float(found["northing"]))
        problems = {"hemisphere_guessed": 1} if guessed else {}
    city = _city(text[: found.start()])
    try:
        place = UtmPlace(int(found["zone"]), north, float(found["easting"]), float(found["northing"]))
    except ValueError:
        return ReadPlace(city, problems={"bad_grid_reference": 1})
    return _in_degrees(city, place, "utm", problems)


def _hemisphere(letter: str, northing: float) -> tuple[bool, bool]:
    """Return whether a zone's letter means the north, and whether that is a guess.

    A letter is a band, or N or S for a hemisphere. The two agree but for S: band S lies from 32 to 40 degrees north,
    which is where a northing from 3,540 to 4,430 km leaves it open.
    """
    if letter.lower() in ("north", "south"):
        return letter.lower() == "north", False
    if not letter:
        return True, True
    if letter.upper() == "S":
        return False, 3_540_000 <= northing <= 4_430_000
    return letter.upper() >= "N", False


def _in_degrees(city: str, place: UtmPlace, notation: Notation, problems: dict[str, int]) -> ReadPlace:
    latitude, longitude = place.degrees()
    return ReadPlace(city, round(latitude, 7), round(longitude, 7), notation, problems)


def _degrees(text: str, order: Order | None) -> ReadPlace:
    text, commas = decimal_points(text)
    found = angles_in(text)
    pair = _first_pair(found, text)
    problems: Counter[str] = Counter({"decimal_comma": 1} if commas else {})
    if pair is None:
        return ReadPlace(_city_alone(text), problems={"no_coordinates": 1})
    one, two = pair
    city = _city(text[: one.start]) or _city_behind(text[two.end :])
    problems.update(angle.problem for angle in pair if angle.problem)
    if not (one.usable and two.usable):
        return ReadPlace(city, problems=dict(problems))
    later = [angle for angle in found if angle.start >= two.end]
    if _first_pair(later, text) is not None:
        problems["several_places"] += 1
    swapped, reason = _swapped(one, two, _stated(text, one.start) or order)
    problems.update([reason] if reason else [])
    latitude, longitude = (two.degrees, one.degrees) if swapped else (one.degrees, two.degrees)
    if not -90 <= latitude <= 90:
        problems["latitude_out_of_range"] += 1
    if not -180 <= longitude <= 360:
        problems["longitude_out_of_range"] += 1
    if not (-90 <= latitude <= 90 and -180 <= longitude <= 360):
        return ReadPlace(city, problems=dict(problems))
    if longitude > 180:
        problems["longitude_wrapped"] += 1
        longitude = round(longitude - 360, 9)
    return ReadPlace(city, latitude, longitude, "degrees", dict(problems))


def _first_pair(angles: list[Angle], text: str) -> tuple[Angle, Angle] | None:
    """Return two angles that stand together; numbers with nothing to mark them stand apart from words ("2 ships")."""
    for one, two in pairwise(angles):
        between = text[one.end : two.start]
        if re.fullmatch(r"[\s,;:/|()\[\]{}\"'_]*(?:and)?[\s,;:/|()\[\]{}\"'_]*", between, re.IGNORECASE):
            return one, two
    return None


def _stated(text: str, start: int) -> Order | None:
    """Return the order that a text states before its numbers."""
    before = text[:start]
    if _GEOJSON.search(before):
        return "longitude_first"
    return next((order for pattern, order in _STATED if pattern.search(before)), None)


def _swapped(one: Angle, two: Angle, order: Order | None) -> tuple[bool, str]:
    """Return whether the second number is the latitude, and the reason to count, if any."""
    axes: tuple[Axis | None, Axis | None] = (one.axis, two.axis)
    if "latitude" in axes or "longitude" in axes:
        if axes[0] == axes[1]:
            return False, "order_guessed"
        return axes[0] == "longitude" or axes[1] == "latitude", ""
    straight, turned = _possible(one, two), _possible(two, one)
    first = order or "latitude_first"
    if straight and turned:
        return first == "longitude_first", "" if order else "order_guessed"
    if straight or turned:
        swapped = not straight
        if order is None:
            return swapped, "order_inferred"
        return swapped, "order_swapped" if swapped != (first == "longitude_first") else ""
    return first == "longitude_first", ""


def _possible(latitude: Angle, longitude: Angle) -> bool:
    return abs(latitude.degrees) <= 90 and -180 <= longitude.degrees <= 360


_LABEL = re.compile(r"[\"'{\s]*(?:city|place|location|name|answer)[\"'\s]*[:=]\s*", re.IGNORECASE)
_LEAD = re.compile(
    r"^(?:(?:this|the|it|image|scene|picture|city|place|location|shown|shows|is|was|lies|located|taken|in|at|near|of|around)\s+)+",
    re.IGNORECASE,
)
_TAIL = re.compile(
    r"(?:[\s,;:]+(?:at|coordinates|coords|utm|zone|mgrs|wgs\s?84|epsg|is|and|the|with|point|\())+$", re.IGNORECASE
)


def _city(before: str) -> str:
    """Return the name in front of coordinates."""
    line = before.strip().rsplit("\n", 1)[-1][-200:]
    quoted = re.search(r"[\"']?(?:city|name|place)[\"']?\s*:\s*(\"(?:[^\"\\]|\\.)*\")", before, re.IGNORECASE)
    if quoted:
        return _unquoted(quoted[1])
    if _GEOJSON.search(line):
        return ""
    for pattern, _ in _STATED:
        line = pattern.sub("", line)
    name = _LABEL.sub("", line).strip(" \t[](){}\"',;:=")
    for _ in range(3):
        name = _TAIL.sub("", f" {name}").strip(" \t[](){}\"',;:=.")
    name = _LEAD.sub("", f"{name} ").strip(" \t[](){}\"',;:=.")
    return name if any(character.isalpha() for character in name) else ""


def _city_alone(text: str) -> str:
    """Return what an answer without coordinates names: in brackets or after a label, or as nothing but a name."""
    bracket = re.search(r"\[([^\[\](){}\d]{1,80})", text)
    name = _city(bracket[1] if bracket else text)
    words = name.split()
    if bracket or _LABEL.match(text):
        return name
    named = 0 < len(words) <= 4 and all(word[0].isalpha() and not word[0].islower() for word in (words[0], words[-1]))
    return name if named else ""


def _city_behind(after: str) -> str:
    quoted = re.search(r"[\"'](?:city|name|place)[\"']\s*:\s*(\"(?:[^\"\\]|\\.)*\")", after, re.IGNORECASE)
    return _unquoted(quoted[1]) if quoted else ""


def _unquoted(text: str) -> str:
    try:
        return str(json.loads(text))
    except ValueError:
        return text.strip('"')
