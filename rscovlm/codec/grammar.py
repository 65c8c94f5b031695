"""What a codec's answers look like, for decoding that leaves none unreadable: regular expression, EBNF, JSON Schema."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from rscovlm.codec.expressions import Expression, either, literal, named, one_of, repeated, sequence
from rscovlm.codec.layouts import BoxLayout, Form
from rscovlm.codec.spaces import SPACES, SpaceName
from rscovlm.codec.tags import BoxKind, Field, Tags, pieces
from rscovlm.codec.writing import not_a_label, not_plain

_WORD = one_of("A-Za-z0-9")
_FREE = sequence(one_of("A-Za-z"), repeated(either(_WORD, sequence(one_of(" '._/-"), _WORD)), 0, 23))
"""A label where no categories are given: a short name."""

_UNSIGNED_ANGLE = either(literal("0"), sequence(one_of("1-8"), Expression("[0-9]?", "[0-9]?", 1)), literal("9"))
"""Whole degrees in [0, 90)."""

_ANGLE = either(
    literal("0"),
    literal("-90"),
    sequence(
        Expression("-?", '"-"?', 1), either(sequence(one_of("1-8"), Expression("[0-9]?", "[0-9]?", 1)), literal("9"))
    ),
)
"""Whole degrees in [-90, 90)."""


@dataclass(frozen=True)
class Grammar:
    """The answers there may be.

    A whole answer is ``none``, or ``head``, then objects with ``between`` between them, then ``tail``.

    Attributes:
        one: One object; the first one where later ones look otherwise.
        none: The answer where there is nothing, if there may be nothing.
        head: What stands before the first object.
        between: What stands between two objects; ``None`` where there is exactly one.
        tail: What stands after the last object.
        end: The character that ends an object and stands nowhere else; empty if there is none such, or exactly one object.
        further: What every object after the first adds, where it is another than ``between`` and ``one``: one more box of
            the same label, say.
        schema: JSON Schema of one object as text, where answers can be bare JSON too.
    """

    one: Expression
    none: str | None = None
    head: str = ""
    between: str | None = None
    tail: str = ""
    end: str = ""
    further: Expression | None = None
    schema: str | None = field(default=None, repr=False)

    @property
    def pattern(self) -> str:
        """The regular expression of answers of any length."""
        return self.regex()

    @property
    def longest(self) -> int:
        """Bytes of the longest object, what stands before the next one included; a token has at least one byte."""
        if self.further is not None:
            return max(self.one.longest, self.further.longest)
        return self.one.longest + len(self.between or "")

    @property
    def around(self) -> int:
        """Bytes of an answer outside of its objects at most, when there are any."""
        return len(self.head) + len(self.tail)

    def most(self, tokens: int, objects: int) -> int:
        """Return how many objects are certain to fit into so many tokens, the end of the turn included.

        Raises:
            ValueError: Not even one is.
        """
        fit = (tokens - 1 - self.around) // self.longest
        if fit < 1:
            raise ValueError(
                f"an answer of this grammar may need {self.around + self.longest + 1} tokens and max_new_tokens is "
                f"{tokens}; raise it"
            )
        return min(objects, fit)

    def regex(self, most: int | None = None) -> str:
        """Return a regular expression of whole answers with at most so many objects."""
        return self._whole(most).regex

    def ebnf(self, most: int | None = None) -> str:
        """Return the same as EBNF whose first rule is ``root``, as llama.cpp, xgrammar and llguidance read it."""
        whole = self._whole(most)
        return "\n".join((f"root ::= {whole.ebnf}", *reversed(whole.rules), ""))

    def json_schema(self, most: int | None = None) -> dict[str, Any]:
        """Return a JSON Schema of answers as bare JSON lists, without fence; nothing is an empty list.

        Raises:
            ValueError: These answers are no JSON.
        """
        if self.schema is None:
            raise ValueError("these answers are no JSON; take style='json', or send the regex or the EBNF")
        listed: dict[str, Any] = {"type": "array", "items": json.loads(self.schema)}
        return listed if most is None else {**listed, "maxItems": most}

    def _whole(self, most: int | None) -> Expression:
        if most is not None and most < 1:
            raise ValueError(f"most is {most}; give a number of objects from 1 up")
        if self.further is not None:
            further = repeated(self.further, 0, None if most is None else most - 1)
            found = sequence(literal(self.head), self.one, further, literal(self.tail))
        elif self.between is None:
            found = self.one
        elif self.between:
            further = repeated(sequence(literal(self.between), self.one), 0, None if most is None else most - 1)
            found = sequence(literal(self.head), self.one, further, literal(self.tail))
        else:
            found = repeated(self.one, 1, most)
        return found if self.none is None else either(literal(self.none), found)


def plain_grammar(numbers: Sequence[Expression], none: str, categories: Sequence[str] | None) -> Grammar:
    """Return the grammar of plain lines; ``numbers`` are those of a box."""
    line = sequence(*_joined(numbers, ","), literal(" "), plain_label(categories, len(numbers)), literal("\n"))
    return Grammar(named("object", line), none, between="", end="\n")


def plain_label(categories: Sequence[str] | None, count: int = 0) -> Expression:
    """Return the labels that may stand on a plain line after so many numbers: the categories, or any short name.

    Raises:
        ValueError: A category could not be read back from there.
    """
    why = None if categories is None else {name: not_plain(name, count) for name in _names(categories)}
    return named("label", _FREE if why is None else _choice(why))


def json_label(categories: Sequence[str] | None) -> Expression:
    """Return the labels that may stand between quotes in JSON: the categories, or any short name.

    Raises:
        ValueError: A category has a sign by which answers are taken apart.
    """
    if categories is None:
        return named("label", _FREE)
    return named("label", _choice({_json(name)[1:-1]: _not_json(name) for name in _names(categories)}))


def json_grammar(
    numbers: Sequence[Expression],
    values: Sequence[dict[str, Any]],
    none: str,
    categories: Sequence[str] | None,
    keys: tuple[str, str],
) -> Grammar:
    """Return the grammar of a fenced JSON list; ``values`` are the JSON Schemas of a box's numbers."""
    said: dict[str, Any] = {"type": "string", "pattern": f"^{_FREE.regex}$"}
    if categories is not None:
        said = {"type": "string", "enum": list(dict.fromkeys(categories))}
    box_key, label_key = map(_json, keys)
    one = sequence(
        literal(f"{{{box_key}: ["),
        *_joined(numbers, ", "),
        literal(f'], {label_key}: "'),
        json_label(categories),
        literal('"}'),
    )
    alike = all(value == values[0] for value in values)
    box = {"type": "array", **({"items": values[0]} if alike else {"prefixItems": list(values), "items": False})}
    schema = {
        "type": "object",
        "properties": {keys[0]: {**box, "minItems": len(values), "maxItems": len(values)}, keys[1]: said},
        "required": list(keys),
        "additionalProperties": False,
    }
    return Grammar(named("object", one), none, "```json\n[\n\t", ",\n\t", "\n]\n```", "}", schema=_json(schema))


def tagged_grammar(
    tags: Tags, kind: BoxKind, numbers: Sequence[Expression], none: str, categories: Sequence[str] | None
) -> Grammar:
    """Return the grammar of tagged objects; ``numbers`` are those of a box in the order of its template."""
    label = _FREE if categories is None else _choice({name: tags.not_tagged(name) for name in _names(categories)})
    said = named("label", label)
    box = _filled(tags.template(kind), said, numbers)
    opened, closed = map(literal, _ends(tags.boxes))
    name = _filled(tags.label, said, ())
    between = literal(tags.between)
    if tags.joined is None:
        one = sequence(opened, box, closed, name) if tags.label_last else sequence(name, opened, box, closed)
        return Grammar(one, none, between=tags.between, further=sequence(between, one))
    one = sequence(name, opened, box)
    more = sequence(literal(tags.joined), box)
    further = either(more, sequence(closed, between, one)) if tags.labelled else more
    return Grammar(one, none, between=tags.between, tail=_ends(tags.boxes)[1], further=further)


def choice_grammar(names: Sequence[str]) -> Grammar:
    """Return the grammar of answers that are one of some names.

    >>> choice_grammar(["harbour", "airfield (old)"]).pattern
    '(?:harbour|airfield \\\\(old\\\\))'
    """
    return Grammar(_choice({name: not_a_label(name) for name in _names(names)}))


def box_numbers(
    layout: BoxLayout, space: SpaceName, places: int, *, largest: int, angle_from: int, digits: Sequence[int] = ()
) -> tuple[list[Expression], list[dict[str, Any]]]:
    """Return the numbers of a box and their JSON Schemas, in the order in which they are written.

    Args:
        layout: What the numbers are.
        space: What they are counted in.
        places: Digits after the point.
        largest: Longest side of the grids, where numbers are pixels.
        angle_from: First angle that is written, -90 or 0.
        digits: For each number the digits that it is filled up to with zeros; empty for none.
    """
    last = SPACES[space].last(largest)
    numbers: list[Expression] = []
    values: list[dict[str, Any]] = []
    for name, filled in zip(layout.names, digits or [0] * len(layout.names), strict=True):
        if name == "a":
            numbers.append(named("angle", _ANGLE if angle_from else _UNSIGNED_ANGLE))
            values.append({"type": "integer", "minimum": angle_from, "maximum": 89})
            continue
        what, low, high = _bounds(name, layout.form, last)
        number = padded(high, filled) if filled else decimals(high, places)
        number = sequence(Expression("-?", '"-"?', 1), number) if low < 0 else number
        numbers.append(named(what, number))
        values.append({"type": "number" if places else "integer", "minimum": low, "maximum": high})
    return numbers, values


def _bounds(name: str, form: Form, last: int) -> tuple[str, int, int]:
    """Return what a number is called, and its least and largest value."""
    if name in ("w", "h"):  # a slanted box may be longer than the grid is wide
        return "length", 0, 2 * last
    if form == "corners":  # and its upright form may reach beyond the grid
        return "corner", -2 * last, 3 * last
    return "place", 0, last


def padded(most: int, digits: int) -> Expression:
    """Return the whole numbers up to ``most``, filled up with zeros.

    >>> padded(1023, 4).regex
    '(?:0[0-9]{3}|10(?:[0-1][0-9]|2[0-3]))'
    """
    text = str(most).zfill(digits)
    first, rest = text[0], text[1:]
    if not rest:
        return one_of(f"0-{first}")
    at_most = sequence(literal(first), padded(int(rest), len(rest)))
    if first == "0":
        return at_most
    below = literal("0") if first == "1" else one_of(f"0-{int(first) - 1}")
    if set(rest) == {"9"}:
        return sequence(one_of(f"0-{first}"), _digits(len(rest)))
    return either(sequence(below, _digits(len(rest))), at_most)


def _digits(count: int) -> Expression:
    times = "" if count == 1 else f"{{{count}}}"
    return Expression(f"[0-9]{times}", f"[0-9]{times}", count)


def whole_numbers(most: int) -> Expression:
    """Return the whole numbers with as many digits as ``most`` has, at most; none above it where it is a power of ten.

    >>> whole_numbers(1000).regex, whole_numbers(750).regex
    ('(?:1000|0|[1-9][0-9]{0,2})', '(?:0|[1-9][0-9]{0,2})')
    """
    digits = len(str(most))
    round_one = most == 10 ** (digits - 1)
    digits -= round_one
    if not digits:
        return either(literal("0"), literal("1"))
    more = Expression(f"[0-9]{{0,{digits - 1}}}", f"[0-9]{{0,{digits - 1}}}", digits - 1)
    below = [literal("0"), sequence(one_of("1-9"), more) if digits > 1 else one_of("1-9")]
    return either(*([literal(str(most))] * round_one), *below)


def decimals(most: int, places: int) -> Expression:
    """Return the numbers up to ``most``, as `whole_numbers`, with so many digits after the point."""
    if not places:
        return whole_numbers(most)
    after = Expression(f"[0-9]{{{places}}}", f"[0-9]{{{places}}}", places)
    if str(most).strip("0") != "1":
        return sequence(whole_numbers(most), literal("."), after)
    below = whole_numbers(most - 1) if most > 1 else literal("0")
    return either(literal(f"{most}.{'0' * places}"), sequence(below, literal("."), after))


def _names(categories: Sequence[str]) -> list[str]:
    names = [categories] if isinstance(categories, str) else list(dict.fromkeys(categories))
    if isinstance(categories, str) or not names or not all(isinstance(name, str) for name in names):
        raise ValueError(f"categories are {categories!r}; give a list of at least one name")
    return names


def _choice(names: dict[str, str | None]) -> Expression:
    """Return any of some names, of which each must have no reason against it."""
    for name, why in names.items():
        if why is None and any(ord(character) < 32 for character in name):
            why = "has a control character"
        if why is not None:
            raise ValueError(f"category {name!r} {why}; give names that can be separated from the grammar around them")
    return either(*map(literal, names))


def _not_json(name: str) -> str | None:
    return not_a_label(name) or ("has a brace or a backtick" if set(name) & set("{}`") else None)


def _filled(template: str, label: Expression, numbers: Sequence[Expression]) -> Expression:
    """Return a template with expressions in its fields."""
    left = iter(numbers)
    parts = (
        (label if part.name == "label" else next(left)) if isinstance(part, Field) else literal(part)
        for part in pieces(template)
    )
    return sequence(*parts)


def _ends(template: str) -> tuple[str, str]:
    """Return the texts before and after the one field of a template."""
    parts = pieces(template)
    place = next(place for place, part in enumerate(parts) if isinstance(part, Field))
    before, after = parts[:place], parts[place + 1 :]
    return "".join(map(str, before)), "".join(map(str, after))


def _joined(numbers: Sequence[Expression], between: str) -> list[Expression]:
    parts = [part for number in numbers for part in (literal(between), number)]
    return parts[1:]


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
