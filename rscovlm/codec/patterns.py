"""What the pieces of an answer look like.

Every repetition is possessive or bounded, and whatever a pattern has consumed is not scanned again by the same pattern, so
that reading takes time linear in the text. Digits are matched in any script, to be counted and refused by name.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

NUMBER = r"-?[0-9]++(?:\.[0-9]++)?+"
"""A number as codecs write it."""

_WORD = r"(?i:nan|infinity|inf|null|none)(?!\w)"
_TOKEN = rf"(?:[-+]?\.?\d[\d.]*+(?:[eE][-+]?\d++)?+|[-+]?{_WORD})"
_COMMA = ",;，；、"
_GAP = rf"(?:[ \t]*+[{_COMMA}][ \t]*+|[ \t]++)"
# Bounded: of a longer run only the beginning can be a box, and the rest may be further boxes.
_RUN = rf"{_TOKEN}(?:{_GAP}{_TOKEN}){{0,15}}+"

TOKEN = re.compile(_TOKEN)
COMMA = re.compile(f"[{_COMMA}]")
MORE_NUMBERS = re.compile(rf"(?:{_GAP}{_TOKEN})*+")
TEXT_END = re.compile(rf"[\s{_COMMA}]*+\Z")
SEPARATORS = re.compile(rf"[\s{_COMMA}]+")

EXACT_LINE = re.compile(rf"(?P<numbers>{NUMBER}(?:,{NUMBER}){{7}}|{NUMBER}(?:,{NUMBER}){{3,4}}) (?=\S)")
"""The beginning of a line as codecs write it, up to its label."""

LOOSE_LINE = re.compile(
    rf"[ \t]*+(?:(?:[-*•]|[0-9]{{1,5}}[.)])[ \t]++)?+"
    rf"(?:[\[(]++[ \t]*+(?P<inside>{_RUN})[ \t,]*+[\])]++(?![ \t]*+[,\]}})])|(?P<bare>{_RUN})(?![ \t]*+[\])}}]))"
)
"""The beginning of a line that starts with numbers, with or without a bullet and brackets."""

CONTINUED = {4: re.compile(rf"{NUMBER}(?:,{NUMBER}){{3}}"), 5: re.compile(rf"{NUMBER}(?:,{NUMBER}){{2}}(?![\d,.])")}
"""After 4 or 5 numbers and a space: numbers that make up a quadrilateral, so that only a comma is missing."""

LABEL_STOP = re.compile(
    rf"```|\{{\s*+[\"']|(?<![\d.,-]){NUMBER}(?:,{NUMBER}){{3}}|[\[(]\s*+{NUMBER}(?:\s*+,\s*+{NUMBER}){{3}}"
)
"""What ends a label on a plain line because another object, or a fence, begins."""

LIST_STOP = re.compile(r"[\[(]++\s*+[-+.]?\d")
"""What ends the label of a bracketed box because another list begins, whole or cut."""

NEXT_KEY = re.compile(r"[,;]?+\s*+[\"'][^\"'\n]{1,64}+[\"']\s*+:")
END_OF_VALUE = re.compile(r"[\n{}]")
LONGEST_VALUE = 512
"""Characters of a string whose quotes are wrong, at most."""
BARE_VALUE = re.compile(r"[^\s\"'{}\[\](),:][^\"'{}\[\],\n]*+")
AFTER_VALUE = re.compile(r"\s*+(?:[,;}\])\"'{]|\Z)")
WRONG_CLOSE = re.compile(r"\s*+\}(?=\s*+,\s*+[\"'])")
BETWEEN_LISTS = re.compile(r"[\s,;()\[\]{}]{0,16}+")
NONE = re.compile(r"\bthere (?:is|are) (?:none|no)\b", re.IGNORECASE)
EMPTY_LIST = re.compile(
    r"\s*+(?:```\w*+\s*+)?+(?:\{\s*+\"[^\"\n]{1,64}+\"\s*+:\s*+)?+\[\s*+\]\s*+\}?+\s*+(?:```\s*+)?+"
)

_STRING = r'"(?:[^"\\\n]++|\\.)*+"'
_LIST = rf"\[(?:[^\[\]{{}}\"]++|{_STRING}|\[[^\[\]{{}}\"]*+\])*+\]"
_PAIR = rf"{_STRING}\s*+:\s*+(?:{_STRING}|{_LIST}|[-+.\w]++)\s*+"
# Why scanning for this from every brace stays linear: braces are allowed inside strings only, so an attempt that passes
# another brace has it in a string, and an attempt from that brace sees strings and gaps exchanged and ends at the next.
_JSON_OBJECT = rf"\{{\s*+{_PAIR}(?:,\s*+{_PAIR})*+\}}"
_ITEMS = rf"(?:[\d\s{_COMMA}.+\-]++|(?<=[\d.])[eE](?=[-+\d])|{_WORD})*+"
_ITEMS_ON_LINE = _ITEMS.replace(r"[\d\s", r"[\d \t")
_LIST_START = r"(?:[\[(]\s*+|\{\s*+(?=[-+.]?\d))"

_LINE_START = r"(?P<line>^(?=[ \t]*+[-+*•.\d\[(nNiI]))"
_EVENTS = rf"""
    (?P<object>{_JSON_OBJECT})
  | (?:(?:"(?P<key1>[^"\\\n]{{1,64}}+)"|'(?P<key2>[^'\\\n]{{1,64}}+)')\s*+[:=]
      |\b(?P<key3>KEYS)(?:["']?+\s*+[:=]|["'](?=\s*+["'])))[ \t]*+
    (?:"(?P<text1>(?:[^"\\\n]++|\\.)*+)(?P<end1>"?+)(?![ \t]*+:)
      |'(?P<text2>(?:[^'\\\n]++|\\.)*+)(?P<end2>'?+)(?![ \t]*+:)
      |(?P<open1>{_LIST_START}++)(?P<items1>{_ITEMS})(?P<close1>[\])]?+)
      |[\])]?+(?P<items3>{_ITEMS_ON_LINE})(?P<close3>[\])\[(]?+))
  | (?P<open2>{_LIST_START}++)(?P<items2>{_ITEMS})(?P<close2>[\])]?+)
  | (?P<brace>\}}|\{{(?=\s*+(?:["'\w]|\Z)))
"""


class Events(NamedTuple):
    """Patterns that find the next piece of an answer.

    Attributes:
        anything: Tags, lines of numbers, and what JSON is made of.
        untagged: The same without tags.
        no_line: The same without tags and without lines of numbers.
    """

    anything: re.Pattern[str]
    untagged: re.Pattern[str]
    no_line: re.Pattern[str]


@lru_cache(maxsize=64)
def events(keys: tuple[str, ...], tags: tuple[str, ...] = ()) -> Events:
    """Return the patterns that find the next piece of an answer.

    Args:
        keys: Names under which boxes and labels may stand even without quotes.
        tags: Expressions of what objects between tags begin with.
    """
    named = "|".join(re.escape(key) for key in sorted(keys, key=len, reverse=True))
    rest = re.compile(_EVENTS.replace("KEYS", named), re.MULTILINE | re.VERBOSE)
    line = re.compile(_LINE_START + "|" + rest.pattern, rest.flags)
    if not tags:
        return Events(line, line, rest)
    # Blanks before a tag belong to it only from their first on, so that no blank is looked at twice.
    begins = rf"(?P<tag>(?:(?<![ \t])[ \t]++)?+(?-x:{'|'.join(dict.fromkeys(tags))}))"
    return Events(re.compile(begins + "|" + line.pattern, rest.flags), line, rest)


def words(items: str) -> list[str]:
    """Return what stands between commas and spaces."""
    return [word for word in SEPARATORS.split(items) if word]
