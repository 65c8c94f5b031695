"""Reading objects out of whatever a model wrote."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from rscovlm.codec import patterns
from rscovlm.codec.found_objects import FoundObjects
from rscovlm.codec.json_repair import Drafts, keep_named
from rscovlm.codec.keys import KeyNames, coordinate, coordinates
from rscovlm.codec.layouts import BoxLayout
from rscovlm.codec.lines import Lines
from rscovlm.codec.tag_patterns import TagPattern
from rscovlm.codec.tagged_reading import TaggedObjects
from rscovlm.metrics.final_answers import answer_span

_BARE_NAMES = ("bbox_2d", "bbox", "oriented bbox", "rotated bbox", "quadrant bbox", "label")


class _Pairs(list[tuple[str, Any]]):
    """The pairs of a JSON object, doubled keys included."""


# Numbers stay text until they are checked: int() refuses long ones, and "NaN" is to be counted, not read.
_JSON = json.JSONDecoder(object_pairs_hook=_Pairs, parse_int=str, parse_float=str, parse_constant=str)


@dataclass(frozen=True)
class DialectReader:
    """What reading under a dialect needs, made once.

    Attributes:
        names: What the names of JSON objects mean.
        keys: Names of boxes and the label, which may stand without quotes.
        layouts: What so many numbers are where neither tag nor key says it.
        labelled: Whether answers name the class.
        own: Tags of the dialect.
        foreign: Tags that other dialects are known by.
    """

    names: KeyNames
    keys: tuple[str, ...]
    layouts: Mapping[int, BoxLayout]
    labelled: bool = True
    own: TagPattern | None = None
    foreign: tuple[TagPattern, ...] = ()

    @cached_property
    def events(self) -> patterns.Events:
        """Patterns of the pieces of an answer."""
        own = () if self.own is None else self.own.starts
        others = [start for pattern in self.foreign for start in pattern.starts]
        return patterns.events((*self.keys, *_BARE_NAMES), (*own, *others, r"<points?\b"))

    def read(self, text: str) -> FoundObjects:
        """Return every whole object in a text, in order, and counts of the rest by reason.

        Objects may be plain lines, JSON objects, tagged, or all of these, with any words around them. Whole JSON objects are
        parsed as such; broken ones are put together from the keys, strings and lists of numbers that are there. Never
        raises; takes time linear in the length of the text. What a model thinks before its answer, up to ``</think>``,
        is not read.
        """
        found = FoundObjects(self.layouts, self.labelled)
        drafts = Drafts(text, found, self.names)
        lines = Lines(text, found, before_object=drafts.finish)
        tagged = TaggedObjects(text, found, drafts.finish, self.own, self.foreign)
        anything, untagged, no_line = self.events
        place, stop = answer_span(text)
        while (event := anything.search(text, place, stop)) is not None:
            start = event.start()
            if event.lastgroup == "tag":
                after = tagged.read(start)
                event = untagged.match(text, start, stop) if after is None else None
                if event is None:
                    place = start + 1 if after is None else after
                    continue
            if event.lastgroup == "line":
                after = lines.read(start)
                event = no_line.match(text, start, stop) if after is None else None
                if event is None:
                    place = start + 1 if after is None else after
                    continue
            if event["object"] is not None:
                place = _object(event, found, self.names, drafts)
            elif event["brace"] is not None:
                place = drafts.brace(event["brace"], event.start())
            elif event["open2"] is not None:
                place = drafts.listed(event)
            else:
                place = drafts.keyed(event)
        drafts.finish(at_end=True)
        return found


def _object(event: re.Match[str], found: FoundObjects, names: KeyNames, drafts: Drafts) -> int:
    """Keep the boxes of a whole JSON object; return where to go on."""
    try:
        pairs = _JSON.decode(event["object"])
    except (ValueError, RecursionError):
        return drafts.brace("{", event.start())
    start, end = event.span("object")
    parts = _parts(pairs, names)
    for part in parts:
        values = {name.lower(): value for name, value in part}
        label = next((values[name] for name in names.labels if isinstance(values.get(name), str)), None)
        key, boxes, repaired = _boxes(values, names)
        stated = None if boxes else coordinates(values)
        if stated is not None and label is None and drafts.adopt(stated[1], stated[0], end):
            continue
        drafts.finish()
        if stated is not None:
            what, numbers, guessed = stated
            kept = [found.keep(numbers, label, start, end, layout=what, syntax="keys", guessed=guessed)]
        else:
            kept = [keep_named(found, names.meaning(key, len(box)), box, label, start, end, key=key) for box in boxes]
        if any(kept):
            found.problems["doubled_key"] += len(values) < len(part)
            found.problems["repaired"] += repaired or len(parts) > 1
        elif not kept:
            found.problems["no_box"] += names.label in values or any(map(names.is_box, values))
    return end


def _parts(pairs: _Pairs, names: KeyNames) -> list[list[tuple[str, Any]]]:
    """Return the pairs of each object between two braces: several where the braces between them are missing."""
    meant = ["box" if names.is_box(name.lower()) else name.lower() for name, _ in pairs]
    if len(set(meant)) == len(meant) or meant.count("box") < 2:
        return [pairs]
    first = meant[0]
    starts = [place for place, name in enumerate(meant) if name == first]
    parts = [pairs[a:b] for a, b in zip(starts, [*starts[1:], len(pairs)], strict=True)]
    whole = all({"box", names.label} <= set(meant[a : a + len(part)]) for a, part in zip(starts, parts, strict=True))
    return parts if whole else [pairs]


def _boxes(values: dict[str, Any], names: KeyNames) -> tuple[str, list[list[Any]], bool]:
    """Return the name of the box of a JSON object, its boxes as text, and whether they were written as a string."""
    named = [(name, value) for name, value in values.items() if names.is_box(name)]
    for name, value in named:
        if isinstance(value, list) and value:
            return name, _flat(value, points=names.means_points(name)), False
    for name, value in named:
        if isinstance(value, str) and value and coordinate(name) is None:
            return name, [patterns.words(value.strip("[]() "))], True
    return "", [], False


def _flat(value: list[Any], *, points: bool) -> list[list[Any]]:
    """Return the boxes in a JSON list: itself, one made of points, or several."""
    if not any(isinstance(part, list) for part in value):
        return [value]
    if all(isinstance(part, list) and len(part) == 2 for part in value) and not points:
        return [[number for part in value for number in part]]
    return [part if isinstance(part, list) else [part] for part in value]
