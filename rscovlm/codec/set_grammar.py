"""What answers written as sets of points look like, for decoding that leaves none unreadable."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from rscovlm.codec.codec import Codec
from rscovlm.codec.expressions import Expression, literal, named, repeated, sequence
from rscovlm.codec.grammar import Grammar, box_numbers, json_label, plain_label
from rscovlm.codec.layouts import layout
from rscovlm.codec.point_objects import SetForm
from rscovlm.codec.set_writing import JSON_KEYS
from rscovlm.codec.writing import Style


def set_grammar(
    codec: Codec,
    form: SetForm,
    style: Style,
    categories: Sequence[str] | None,
    *,
    largest: int,
    points: int,
    rings: int,
    inside: int,
    outside: int,
) -> Grammar:
    """Return the grammar of sets of points in a codec's space.

    Args:
        codec: Space, order, decimals, label key and none answer.
        form: What the objects are.
        style: ``"plain"`` or ``"json"``.
        categories: The labels there may be; None for any short name.
        largest: Longest side of the grid.
        points: Points of a ring at most, the repeated one left out; at least three.
        rings: Rings of an object at most.
        inside: Points inside the object at most.
        outside: Points outside of it at most.

    Raises:
        ValueError: A limit is too low, or a category cannot stand in such an answer.
    """
    if points < 3 or rings < 1 or inside < 0 or outside < 0:
        raise ValueError(f"points is {points} and rings {rings}; give 3 points and 1 ring, or more")
    place, values = box_numbers(
        layout("point", codec.order), codec.space, codec.decimals, largest=largest, angle_from=codec.angle_from
    )
    plain = style == "plain"
    opened, comma, closed = ("(", ",", ")") if plain else ("[", ", ", "]")
    point = named("point", sequence(literal(opened), place[0], literal(comma), place[1], literal(closed)))
    parts = {
        "corners": [_some(point, 4, 4, comma)],
        "polygon": [_several(_some(point, 4, points + 1, comma), rings, comma)],
        "prompt": [
            _box(point, place, comma, plain),
            *(_some(point, 1, most, comma) for most in (inside, outside) if most),
        ],
    }[form]
    if plain:
        sets = _optional(parts, [literal(comma)] * len(parts))
        line = sequence(sets, literal(" "), plain_label(categories), literal("\n"))
        return Grammar(named("object", line), codec.none, between="", end="\n")
    keys = JSON_KEYS[form]
    wrapped = [sequence(literal("["), parts[0], literal("]")) if form == "polygon" else parts[0], *parts[1:]]
    sets = _optional(wrapped, [literal(f', "{key}": ') for key in keys], first=literal(f'{{"{keys[0]}": '))
    name = json.dumps(codec.label_key, ensure_ascii=False)
    one = sequence(sets, literal(f', {name}: "'), json_label(categories), literal('"}'))
    schema = _schema(codec, form, values, categories, points, rings, inside, outside)
    return Grammar(named("object", one), codec.none, "```json\n[\n\t", ",\n\t", "\n]\n```", "}", schema=schema)


def _some(point: Expression, least: int, most: int, comma: str) -> Expression:
    """Return a set of so many points in square brackets."""
    more = sequence(literal(comma), point)
    further = [sequence(*[more] * (least - 1))] if least > 1 else []
    if most > least:
        further.append(repeated(more, 0, most - least))
    return sequence(literal("["), point, *further, literal("]"))


def _several(part: Expression, most: int, comma: str) -> Expression:
    return part if most == 1 else sequence(part, repeated(sequence(literal(comma), part), 0, most - 1))


def _box(point: Expression, place: Sequence[Expression], comma: str, plain: bool) -> Expression:
    if plain:
        return _some(point, 2, 2, comma)
    numbers = [part for number in (*place, *place) for part in (literal(comma), number)][1:]
    return sequence(literal("["), *numbers, literal("]"))


def _optional(parts: Sequence[Expression], before: Sequence[Expression], first: Expression | None = None) -> Expression:
    """Return the first part, then each further one only behind those before it."""
    tail: Expression | None = None
    for number in range(len(parts) - 1, 0, -1):
        inner = sequence(before[number], parts[number], *([] if tail is None else [tail]))
        tail = repeated(inner, 0, 1)
    return sequence(*([] if first is None else [first]), parts[0], *([] if tail is None else [tail]))


def _schema(
    codec: Codec,
    form: SetForm,
    values: Sequence[dict[str, Any]],
    categories: Sequence[str] | None,
    points: int,
    rings: int,
    inside: int,
    outside: int,
) -> str:
    """Return the JSON Schema of an object as text."""
    pair = {"type": "array", "items": values[0], "minItems": 2, "maxItems": 2}

    def some(what: dict[str, Any], least: int, most: int) -> dict[str, Any]:
        return {"type": "array", "items": what, "minItems": least, "maxItems": most}

    members = {
        "corners": {"corners": some(pair, 4, 4)},
        "polygon": {"polygon": some(some(pair, 4, points + 1), 1, rings)},
        "prompt": {"bbox_2d": some(values[0], 4, 4)}
        | ({"points": some(pair, 1, inside)} if inside else {})
        | ({"negative_points": some(pair, 1, outside)} if outside else {}),
    }[form]
    label: dict[str, Any] = {"type": "string", "minLength": 1}
    if categories is not None:
        label["enum"] = list(dict.fromkeys(categories))
    schema = {
        "type": "object",
        "properties": {**members, codec.label_key: label},
        "required": [JSON_KEYS[form][0], codec.label_key],
        "additionalProperties": False,
    }
    return json.dumps(schema, ensure_ascii=False)
