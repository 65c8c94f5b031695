"""One description of a text, written as a regular expression and as EBNF at once."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Expression:
    """A set of texts.

    Attributes:
        regex: Regular expression of groups, alternatives, classes and repetitions only, which Python, Rust and xgrammar
            read alike.
        ebnf: The same as the right side of a rule, in the EBNF of llama.cpp that xgrammar and llguidance read.
        longest: Bytes of the longest text; of a repetition without end, of one round.
        rules: The rules that ``ebnf`` names, each in its own line.
    """

    regex: str
    ebnf: str
    longest: int
    rules: tuple[str, ...] = ()


def literal(text: str) -> Expression:
    r"""Return the one text.

    >>> literal('a "b" (c)\n')
    Expression(regex='a "b" \\(c\\)\n', ebnf='"a \\"b\\" (c)\\n"', longest=10, rules=())
    """
    quoted = re.sub(r"([\\.^$|?*+()\[\]{}])", r"\\\1", text)
    return Expression(quoted, json.dumps(text, ensure_ascii=False), len(text.encode()))


def one_of(characters: str) -> Expression:
    """Return one character of an ASCII class, written as between brackets.

    >>> one_of("1-9").regex
    '[1-9]'
    """
    return Expression(f"[{characters}]", f"[{characters}]", 1)


def sequence(*parts: Expression) -> Expression:
    """Return the parts one after the other, empty texts left out."""
    parts = tuple(part for part in parts if part.regex)
    return Expression(
        "".join(part.regex for part in parts),
        " ".join(part.ebnf for part in parts),
        sum(part.longest for part in parts),
        _rules(parts),
    )


def either(*choices: Expression) -> Expression:
    """Return any one of some expressions."""
    if len(choices) == 1:
        return choices[0]
    return Expression(
        f"(?:{'|'.join(one.regex for one in choices)})",
        f"({' | '.join(one.ebnf for one in choices)})",
        max(one.longest for one in choices),
        _rules(choices),
    )


def repeated(part: Expression, least: int, most: int | None) -> Expression:
    """Return an expression a number of times; without ``most`` any number from ``least`` (0 or 1) up."""
    times = ("*", "+")[least] if most is None else f"{{{least},{most}}}"
    rounds = 1 if most is None else most
    return Expression(f"(?:{part.regex}){times}", f"({part.ebnf}){times}", part.longest * rounds, part.rules)


def named(name: str, what: Expression) -> Expression:
    """Return an expression that stands as a rule of its own in EBNF."""
    return Expression(what.regex, name, what.longest, (*what.rules, f"{name} ::= {what.ebnf}"))


def _rules(parts: tuple[Expression, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(rule for part in parts for rule in part.rules))
