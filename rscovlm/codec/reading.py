"""Reading objects out of whatever a model wrote."""

from __future__ import annotations

import json
import re
from typing import Any

from rscovlm.codec import patterns
from rscovlm.codec.found_objects import Haul, Names
from rscovlm.codec.json_repair import Drafts
from rscovlm.codec.lines import Lines

_BARE_NAMES = ("bbox_2d", "bbox", "oriented bbox", "rotated bbox", "quadrant bbox", "label")


class _Pairs(list[tuple[str, Any]]):
    """The pairs of a JSON object, doubled keys included."""


# Numbers stay text until they are checked: int() refuses long ones, and "NaN" is to be counted, not read.
_JSON = json.JSONDecoder(object_pairs_hook=_Pairs, parse_int=str, parse_float=str, parse_constant=str)


def read(text: str, label_key: str, box_keys: tuple[str, ...]) -> Haul:
    """Return every whole object in a text, in order, and counts of the rest by reason.

    Objects may be plain lines, JSON objects, or both, with any words around them. Whole JSON objects are parsed as such;
    broken ones are put together from the keys, strings and lists of numbers that are there. Never raises; takes time
    linear in the length of the text.

    Args:
        text: What a model wrote.
        label_key: Name of the label in JSON objects.
        box_keys: Names of boxes in JSON objects.
    """
    haul, names = Haul(), Names(label_key, box_keys)
    drafts = Drafts(text, haul, names)
    lines = Lines(text, haul, before_object=drafts.finish)
    anything, no_line = patterns.events((label_key, *box_keys, *_BARE_NAMES))
    place = 0
    while (event := anything.search(text, place)) is not None:
        if event.lastgroup == "line":
            place, after = event.start(), lines.read(event.start())
            event = no_line.match(text, place) if after is None else None
            if event is None:
                place = place + 1 if after is None else after
                continue
        if event["object"] is not None:
            place = _object(event, haul, names, drafts)
        elif event["brace"] is not None:
            place = drafts.brace(event["brace"], event.start())
        elif event["open2"] is not None:
            place = drafts.listed(event)
        else:
            place = drafts.keyed(event)
    drafts.finish(at_end=True)
    return haul


def _object(event: re.Match[str], haul: Haul, names: Names, drafts: Drafts) -> int:
    """Keep the boxes of a whole JSON object; return where to go on."""
    try:
        pairs = _JSON.decode(event["object"])
    except (ValueError, RecursionError):
        return drafts.brace("{", event.start())
    drafts.finish()
    start, end = event.span("object")
    parts = _parts(pairs, names)
    for part in parts:
        values = {name.lower(): value for name, value in part}
        label = next((values[name] for name in names.labels if isinstance(values.get(name), str)), None)
        boxes, repaired = _boxes(values, names)
        kept = [haul.keep(box, label, start, end) for box in boxes]
        if any(kept):
            haul.problems["doubled_key"] += len(values) < len(part)
            haul.problems["repaired"] += repaired or len(parts) > 1
        elif not boxes:
            haul.problems["no_box"] += names.label in values or any(map(names.is_box, values))
    return end


def _parts(pairs: _Pairs, names: Names) -> list[list[tuple[str, Any]]]:
    """Return the pairs of each object between two braces: several where the braces between them are missing."""
    meant = ["box" if names.is_box(name.lower()) else name.lower() for name, _ in pairs]
    if len(set(meant)) == len(meant) or meant.count("box") < 2:
        return [pairs]
    first = meant[0]
    starts = [place for place, name in enumerate(meant) if name == first]
    parts = [pairs[a:b] for a, b in zip(starts, [*starts[1:], len(pairs)], strict=True)]
    whole = all({"box", names.label} <= set(meant[a : a + len(part)]) for a, part in zip(starts, parts, strict=True))
    return parts if whole else [pairs]


def _boxes(values: dict[str, Any], names: Names) -> tuple[list[list[Any]], bool]:
    """Return the boxes in a JSON object, as text, and whether they were written as a string."""
    named = [value for name, value in values.items() if names.is_box(name)]
    for value in (*named, *values.values()):
        if isinstance(value, list) and value:
            return _flat(value), False
    for value in named:
        if isinstance(value, str) and value:
            return [patterns.words(value.strip("[]() "))], True
    return [], False


def _flat(value: list[Any]) -> list[list[Any]]:
    """Return the boxes in a JSON list: itself, one made of points, or several."""
    if not any(isinstance(part, list) for part in value):
        return [value]
    if all(isinstance(part, list) and len(part) == 2 for part in value):
        return [[number for part in value for number in part]]
    return [part if isinstance(part, list) else [part] for part in value]
