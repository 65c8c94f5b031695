"""Looking words up in the table of synonyms."""

from __future__ import annotations

import gzip
from dataclasses import dataclass
from functools import cache
from pathlib import Path

_TABLE = Path(__file__).with_name("synonyms.txt.gz")

_ENDINGS = {
    "noun": (
        ("s", ""),
        ("ses", "s"),
        ("ves", "f"),
        ("xes", "x"),
        ("zes", "z"),
        ("ches", "ch"),
        ("shes", "sh"),
        ("men", "man"),
        ("ies", "y"),
    ),
    "verb": (
        ("s", ""),
        ("ies", "y"),
        ("es", "e"),
        ("es", ""),
        ("ed", "e"),
        ("ed", ""),
        ("ing", "e"),
        ("ing", ""),
    ),
    "adj": (("er", ""), ("est", ""), ("er", "e"), ("est", "e")),
    "adv": (),
}
"""WordNet's rules of detachment (its manual page morphy): an inflected ending and what the base form ends in."""


@dataclass(frozen=True)
class _Part:
    """One part of speech: word -> numbers of its synonym sets, irregular form -> base forms."""

    sets: dict[str, list[int]]
    irregular: dict[str, list[str]]


@cache
def synsets(word: str) -> frozenset[int]:
    """Return the numbers of all synonym sets a word belongs to, in any part of speech and any inflected form.

    Words of several parts are written with underscores, as in WordNet: ``"parking_lot"``; with blanks they have none.

    Example:
        >>> synsets("trees") == synsets("tree"), synsets("grey").isdisjoint(synsets("gray")), synsets("no such word")
        (True, False, frozenset())
    """
    found: set[int] = set()
    for name, part in _parts().items():
        for form in _base_forms(word.lower(), part, _ENDINGS[name]):
            found.update(part.sets[form])
    return frozenset(found)


def share_meaning(a: str, b: str) -> bool:
    """Tell whether two words share a synonym set.

    Example:
        >>> share_meaning("automobile", "car"), share_meaning("boat", "ship")
        (True, False)
    """
    return not synsets(a).isdisjoint(synsets(b))


def _base_forms(word: str, part: _Part, endings: tuple[tuple[str, str], ...]) -> list[str]:
    """Return the forms of a word that the part of speech knows: irregular ones, or by detaching one ending."""
    if word in part.irregular:
        return [form for form in dict.fromkeys([word, *part.irregular[word]]) if form in part.sets]
    shorter = [word[: -len(old)] + new for old, new in endings if word.endswith(old)]
    return [form for form in dict.fromkeys([word, *shorter]) if form in part.sets]


@cache
def _parts() -> dict[str, _Part]:
    parts: dict[str, _Part] = {}
    number, irregular = 0, False
    for line in gzip.decompress(_TABLE.read_bytes()).decode("ascii").splitlines():
        if line.startswith("= "):
            part = parts[line[2:]] = _Part({}, {})
            irregular = False
        elif line == "+":
            irregular = True
        elif irregular:
            form, *bases = line.split()
            part.irregular.setdefault(form, []).extend(bases)
        else:
            number += 1
            for word in line.split():
                part.sets.setdefault(word, []).append(number)
    return parts
