"""What a codec's answers look like, for decoding that leaves none unreadable: regular expression, EBNF, JSON Schema."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from rscovlm.codec.expressions import Expression, either, literal, named, one_of, repeated, sequence
from rscovlm.codec.writing import not_a_label, not_plain
from rscovlm.geometry.kinds import Kind

_WORD = one_of("A-Za-z0-9")
_FREE = sequence(one_of("A-Za-z"), repeated(either(_WORD, sequence(one_of(" '._/-"), _WORD)), 0, 23))
"""A label where no categories are given: a short name."""

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
        one: One object.
        none: The answer where there is nothing, if there may be nothing.
        head: What stands before the first object.
        between: What stands between two objects; ``None`` where there is exactly one.
        tail: What stands after the last object.
        end: The character that ends an object and stands nowhere else; empty where there is exactly one.
        schema: JSON Schema of one object as text, where answers can be bare JSON too.
    """

    one: Expression
    none: str | None = None
    head: str = ""
    between: str | None = None
    tail: str = ""
    end: str = ""
    schema: str | None = field(default=None, repr=False)

    @property
    def pattern(self) -> str:
        """The regular expression of answers of any length."""
        return self.regex()

    @property
    def longest(self) -> int:
        """Bytes of the longest object, what stands before the next one included; a token has at least one byte."""
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
        if self.between is None:
            found = self.one
        elif self.between:
            further = repeated(sequence(literal(self.between), self.one), 0, None if most is None else most - 1)
            found = sequence(literal(self.head), self.one, further, literal(self.tail))
        else:
            found = repeated(self.one, 1, most)
        return found if self.none is None else either(literal(self.none), found)


def plain_grammar(numbers: Sequence[Expression], none: str, categories: Sequence[str] | None) -> Grammar:
    """Return the grammar of plain lines; ``numbers`` are those of a box."""
    why = None if categories is None else {name: not_plain(name, len(numbers)) for name in _names(categories)}
    label = _FREE if why is None else _choice(why)
    line = sequence(*_joined(numbers, ","), literal(" "), named("label", label), literal("\n"))
    return Grammar(named("object", line), none, between="", end="\n")


def json_grammar(
    numbers: Sequence[Expression],
    values: Sequence[dict[str, Any]],
    none: str,
    categories: Sequence[str] | None,
    keys: tuple[str, str],
) -> Grammar:
    """Return the grammar of a fenced JSON list; ``values`` are the JSON Schemas of a box's numbers."""
    label = _FREE
    said: dict[str, Any] = {"type": "string", "pattern": f"^{_FREE.regex}$"}
    if categories is not None:
        label = _choice({_json(name)[1:-1]: _not_json(name) for name in _names(categories)})
        said = {"type": "string", "enum": list(dict.fromkeys(categories))}
    box_key, label_key = map(_json, keys)
    one = sequence(
        literal(f"{{{box_key}: ["),
        *_joined(numbers, ", "),
        literal(f'], {label_key}: "'),
        named("label", label),
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
    return Grammar(named("object", one), none, "```json\n[\n\t", ",\n\t", "\n]\n```", "}", _json(schema))


def choice_grammar(names: Sequence[str]) -> Grammar:
    """Return the grammar of answers that are one of some names.

    >>> choice_grammar(["harbour", "airfield (old)"]).pattern
    '(?:harbour|airfield \\\\(old\\\\))'
    """
    return Grammar(_choice({name: not_a_label(name) for name in _names(names)}))


def box_numbers(kind: Kind, most: int, places: int) -> tuple[list[Expression], list[dict[str, Any]]]:
    """Return the numbers of a box and their JSON Schemas, for coordinates up to ``most`` with so many decimals."""
    bounds = [most] * (8 if kind == "quad" else 4)
    if kind == "obb":  # a slanted box may be longer than the grid is wide
        bounds[2:] = [2 * most] * 2
    names = ["place", "place", "length", "length"] if kind == "obb" else ["place"] * len(bounds)
    numbers = [named(name, decimals(bound, places)) for name, bound in zip(names, bounds, strict=True)]
    form = "number" if places else "integer"
    values: list[dict[str, Any]] = [{"type": form, "minimum": 0, "maximum": bound} for bound in bounds]
    if kind == "obb":
        numbers.append(named("angle", _ANGLE))
        values.append({"type": "integer", "minimum": -90, "maximum": 89})
    return numbers, values


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
            raise ValueError(f"category {name!r} {why}; give names that can be told from the grammar around them")
    return either(*map(literal, names))


def _not_json(name: str) -> str | None:
    return not_a_label(name) or ("has a brace or a backtick" if set(name) & set("{}`") else None)


def _joined(numbers: Sequence[Expression], between: str) -> list[Expression]:
    parts = [part for number in numbers for part in (literal(between), number)]
    return parts[1:]


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
