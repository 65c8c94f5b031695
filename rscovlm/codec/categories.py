"""Categories: the order in which they are named, and which one a written label means."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence


def spoken(name: str) -> str:
    """Return a name as prompts say it, the form by which categories are compared and ordered.

    >>> spoken("Small-Vehicle")
    'small vehicle'
    """
    return " ".join(name.replace("-", " ").replace("_", " ").lower().split())


def plural(name: str) -> str:
    """Return the English plural of a class name, by its last word.

    >>> plural("small vehicle"), plural("bus"), plural("ferry"), plural("aircraft")
    ('small vehicles', 'buses', 'ferries', 'aircraft')
    """
    if name.endswith("craft"):
        return name
    if name.endswith("y") and name[-2:-1] not in set("aeiou"):
        return name[:-1] + "ies"
    return name + ("es" if name.endswith(("s", "x", "z", "ch", "sh")) else "s")


def singular(name: str) -> str:
    """Return a class name in the singular, by its last word; what is no regular plural stays as it is.

    >>> singular("small vehicles"), singular("buses"), singular("ferries"), singular("aircraft"), singular("houses")
    ('small vehicle', 'bus', 'ferry', 'aircraft', 'house')
    >>> singular("ship"), singular("bus"), singular("grass"), singular("oasis")
    ('ship', 'bus', 'grass', 'oasis')
    """
    irregular = {"people": "person", "buses": "bus", "oases": "oasis", "gases": "gas"}
    *first, last = name.split(" ")
    low = last.lower()
    if low in irregular:
        return " ".join([*first, irregular[low]])
    if len(low) < 4 or not low.endswith("s") or low.endswith(("ss", "us", "is")):
        return name
    if low.endswith("ies") and len(low) > 4:
        return name[:-3] + "y"
    return name[:-2] if low.endswith(("sses", "xes", "ches", "shes", "zzes")) else name[:-1]


def referent(expression: str) -> str:
    """Return an expression without its article, as prompts name it and answers label it.

    Raises:
        ValueError: Nothing is left.

    >>> referent("The red-roofed hangar")
    'red-roofed hangar'
    """
    what = expression.strip().removeprefix("the ").removeprefix("The ")
    if not what:
        raise ValueError("the referring expression is empty; say what to find")
    return what


def joined(name: str) -> str:
    """Return a name without case, blanks, hyphens and underscores: what is equal so is one name, parted or not.

    >>> joined("Storage-Tank") == joined("storagetank"), joined("ship") == joined("starship")
    (True, False)
    """
    return _PARTED.sub("", name).casefold()


_PARTED = re.compile(r"[\s_-]+")


def ranks(labels: Sequence[str], categories: Sequence[str] | None) -> list[int]:
    """Return each label's place in the alphabetical list of spoken names.

    Args:
        labels: Labels of objects.
        categories: All names that may occur, in any order; None for those of `labels`.

    Raises:
        ValueError: When a label is none of the categories, or these are one string.
    """
    if isinstance(categories, str):
        raise _one_string(categories)
    names = sorted({spoken(name) for name in (labels if categories is None else categories)})
    places = {joined(name): place for place, name in reversed(list(enumerate(names)))}
    places |= {name: place for place, name in enumerate(names)}
    found = []
    for row, label in enumerate(labels):
        place = places.get(spoken(label), places.get(joined(label)))
        if place is None:
            raise ValueError(
                f"label {row} is {label!r}, which is none of the categories {names}; add it or drop the row"
            )
        found.append(place)
    return found


def _one_string(categories: str) -> ValueError:
    return ValueError(f"categories is the string {categories!r}; give a list of names, such as [{categories!r}]")


class Matcher:
    """Finds the category that a label, as a model wrote it, means.

    A label that differs only in case, spaces, hyphens or underscores, or in having none where the category has some, means
    that category. Beyond that a label is unknown, unless a cutoff is given and the closest category is at least that similar.

    Args:
        categories: Names that may occur.
        cutoff: Least similarity in (0, 1]: 1 minus the share of characters to insert and delete in both names together;
            None for no guessing.

    Raises:
        ValueError: When the cutoff is not in (0, 1], or the categories are one string.
    """

    def __init__(self, categories: Sequence[str], cutoff: float | None = None) -> None:
        if isinstance(categories, str):
            raise _one_string(categories)
        if cutoff is not None and not 0.0 < cutoff <= 1.0:
            raise ValueError(f"cutoff is {cutoff}; give a similarity in (0, 1], or None to keep unknown labels")
        self._cutoff = cutoff
        self._names = set(categories)
        self._spoken = {spoken(name): name for name in reversed(categories)}
        self._joined = {joined(name): name for name in reversed(categories)}
        self._longest = max(map(len, self._spoken), default=0)
        self._choices = list(self._spoken)
        self._seen: dict[str, tuple[str, str | None]] = {}

    def __call__(self, label: str) -> tuple[str, str | None]:
        """Return the category, or the label where it means none, and the problem this is, if it is one."""
        if label in self._names:
            return label, None
        if label not in self._seen:
            self._seen[label] = self._find(label)
        return self._seen[label]

    def counted(self, label: str, problems: Counter[str]) -> str:
        """Return what a call returns, and count the problem; no label stays none."""
        name, problem = self(label) if label else (label, None)
        if problem is not None:
            problems[problem] += 1
        return name

    def _find(self, label: str) -> tuple[str, str | None]:
        said = spoken(label)
        name = self._spoken.get(said) or self._joined.get(joined(label))
        if name is not None:
            return name, None
        # A ratio of c needs lengths within a factor of 2 / c - 1; a thousand bounds the time for one label.
        if self._cutoff is not None and len(said) <= min(1000.0, self._longest * (2.0 / self._cutoff - 1.0)):
            # Loaded here: most callers give no cutoff.
            from rapidfuzz import process
            from rapidfuzz.distance import Indel

            close = process.extractOne(
                said, self._choices, scorer=Indel.normalized_similarity, score_cutoff=self._cutoff
            )
            if close is not None:
                return self._spoken[close[0]], "matched_label"
        return label, "unknown_label"
