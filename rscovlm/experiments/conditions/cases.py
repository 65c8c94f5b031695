"""Instructions with one to four conditions about a drawn place, with the answer that follows from how the place was drawn."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rscovlm.codec.categories import plural
from rscovlm.experiments.conditions.place import (
    GAP,
    HEIGHT,
    LINE,
    LONG,
    SMALL,
    WIDTH,
    ZONE,
    DrawnPlace,
    Verdict,
    draw_place,
)
from rscovlm.geometry.affine import Floats
from rscovlm.settings.yamlfiles import read_yaml

Drawn = tuple[str, Verdict]
"""The words of a condition and which objects meet it."""

NUMBERS = {2: "two", 3: "three"}


@dataclass(frozen=True, eq=False)
class ConditionCase:
    """An instruction and its true answer.

    Attributes:
        instruction: What is asked.
        place: What is there.
        answer: Numbers of the objects that meet everything; empty where a condition leaves nothing.
        conditions: What each condition is, in the order in which they are solved: superlatives last.
        nothing: The condition after which nothing is left; ``"missing"`` where it compares with a thing that is not there;
            None where something is left.
        first: Numbers of the objects that meet the first condition alone.
    """

    instruction: str
    place: DrawnPlace
    answer: frozenset[int]
    conditions: tuple[str, ...]
    nothing: str | None
    first: frozenset[int]

    @property
    def counts(self) -> bool:
        """Whether a number is asked for."""
        return "count" in self.conditions


@lru_cache(maxsize=1)
def wordings() -> dict[str, dict[str, tuple[str, ...]]]:
    """Return how each condition may be worded, ``"known"``, ``"other"`` and ``"fresh"``."""
    read = read_yaml(Path(__file__).with_name("wordings.yaml"))
    return {name: {key: tuple(texts) for key, texts in words.items()} for name, words in read.items()}


@dataclass(frozen=True)
class _Writer:
    """Draws what is asked about a place, and its wording."""

    rng: np.random.Generator
    words: dict[str, tuple[str, ...]]

    def pick(self, *texts: str) -> str:
        return texts[int(self.rng.integers(len(texts)))]

    def put(self, name: str) -> str:
        return self.pick(*self.words[name])

    def compass(self, place: DrawnPlace) -> Drawn:
        number, thing = int(self.rng.integers(4)), self.pick(*SMALL)
        axis, sign = ((1, 1), (1, -1), (0, 1), (0, -1))[number]
        side = ("north", "south", "east", "west")[number]
        return f"{self.put('compass').format(side)} the {thing}", place.sideways(thing, axis, sign, metric=True)

    def screen(self, place: DrawnPlace) -> Drawn:
        number, thing = int(self.rng.integers(4)), self.pick(*SMALL)
        axis, sign = ((0, -1), (0, 1), (1, -1), (1, 1))[number]
        side = ("left", "right", "above", "below")[number]
        return f"{self.put(side)} the {thing}", place.sideways(thing, axis, sign, metric=False)

    def within(self, place: DrawnPlace) -> Drawn:
        return self._distance(place, near=True)

    def beyond(self, place: DrawnPlace) -> Drawn:
        return self._distance(place, near=False)

    def _distance(self, place: DrawnPlace, *, near: bool) -> Drawn:
        thing = self.pick(*SMALL, *LONG)
        away = place.distances(thing)
        order = np.sort(away)
        row = int(self.rng.integers(1, len(order)))
        limit = float(round((order[row - 1] + order[row]) / 2))
        kilo = f"{limit / 1000:g} km" if limit >= 100 else f"{limit:g}m"
        words = self.put("within" if near else "beyond").format(self.pick(f"{limit:g} m", f"{limit:g} metres", kilo))
        return f"{words} the {thing}", Verdict((away <= limit) == near, np.abs(away - limit) > GAP + 0.001 * limit)

    def inside(self, place: DrawnPlace) -> Drawn:
        return f"{self.put('inside')} the {ZONE}", place.inside(place.zone)

    def outside(self, place: DrawnPlace) -> Drawn:
        verdict = place.inside(place.zone)
        return f"{self.put('outside')} the {ZONE}", Verdict(~verdict.met, verdict.clear)

    def between(self, place: DrawnPlace) -> Drawn:
        one, two = LONG if self.rng.random() < 0.5 else LONG[::-1]
        return f"{self.put('between')} the {one} and the {two}", place.between(one, two)

    def along(self, place: DrawnPlace) -> Drawn:
        return f"{self.put('along')} the {LINE}", place.along(LINE)

    def near(self, place: DrawnPlace) -> Drawn:
        thing = self.pick(*LONG)
        return f"{self.put('near')} the {thing}", place.along(thing)

    def part(self, place: DrawnPlace) -> Drawn:
        number = int(self.rng.integers(4))
        axis, sign = ((0, -1), (0, 1), (1, -1), (1, 1))[number]
        name = self.pick(*(("left",), ("right",), ("upper", "top"), ("lower", "bottom"))[number])
        off = sign * (place.middles()[:, axis] - (WIDTH, HEIGHT)[axis] / 2)
        return self.put("part").format(name), Verdict(off > 0, np.abs(off) > GAP)


FILTERS = ("compass", "screen", "within", "beyond", "inside", "outside", "between", "along", "near", "part")
"""Conditions that each object meets or not."""

LEADS = (
    *("largest", "smallest", "leftmost", "rightmost", "topmost", "bottommost"),
    *("northernmost", "southernmost", "easternmost", "westernmost"),
)
_ALONG = {"leftmost": (0, 1), "rightmost": (0, -1), "topmost": (1, 1), "bottommost": (1, -1)}
_ALONG |= {"northernmost": (1, -1), "southernmost": (1, 1), "easternmost": (0, -1), "westernmost": (0, 1)}


def _ranks(name: str, place: DrawnPlace, thing: str) -> tuple[Floats, float]:
    """Return values of which the least leads, and by how much they must differ."""
    if name in ("largest", "smallest"):
        return (-1 if name == "largest" else 1) * np.log(place.areas()), 0.05
    if name in ("nearest", "farthest"):
        return (1 if name == "nearest" else -1) * place.distances(thing), GAP
    axis, sign = _ALONG[name]
    if name.endswith("ernmost"):
        # Grid north of UTM is up to three degrees off true north.
        middles = place.metres(place.middles())
        return sign * middles[:, axis], GAP + 0.06 * float(np.ptp(middles[:, 1 - axis]))
    return sign * place.middles()[:, axis], GAP


def draw_case(rng: np.random.Generator, number: int, *, empty: bool = False, words: str = "known") -> ConditionCase:
    """Draw a case whose truth is clear.

    Args:
        rng: Draws everything.
        number: Of conditions, from 1.
        empty: A condition leaves nothing, or compares with what is not there; otherwise something is left.
        words: Which wordings: ``"known"``, ``"other"`` or ``"fresh"``.

    Raises:
        ValueError: No clear case was found in ten thousand tries.
    """
    writer = _Writer(rng, wordings()[words])
    for _ in range(10_000):
        case = _tried(writer, number, empty=empty)
        if case is not None and (case.nothing is not None) == empty:
            return case
    raise ValueError(f"no clear case of {number} conditions in ten thousand tries")


def _tried(writer: _Writer, number: int, *, empty: bool) -> ConditionCase | None:
    rng = writer.rng
    place = draw_place(rng)
    last = writer.pick("", "", "count", "lead", "near")
    filters = rng.permutation(FILTERS)[: number - bool(last)].tolist()
    kept = np.ones(place.count, bool)
    first: NDArray[np.bool_] | None = None
    words, names, nothing = [], [], None
    gone = writer.pick(*SMALL) if empty and filters and rng.random() < 0.3 else None
    for name in filters:
        phrase, verdict = getattr(writer, name)(place)
        if not verdict.clear.all():
            return None
        missing = gone is not None and phrase.endswith(f" {gone}")
        kept = kept & verdict.met & (not missing)
        first = kept if first is None else first
        words.append(phrase)
        names.append(name)
        if nothing is None and not kept.any():
            nothing = "missing" if missing else "along" if name == "near" else name
    if gone is not None:
        place = _without(place, gone)
    return _finished(writer, place, (last, kept, first, nothing), words, names)


def _finished(
    writer: _Writer, place: DrawnPlace, state: tuple[str, NDArray[np.bool_], NDArray[np.bool_] | None, str | None],
    words: list[str], names: list[str],
) -> ConditionCase | None:  # fmt: skip
    """Return the case with its superlative or number, if it has one; None where what leads is not clear."""
    last, kept, first, nothing = state
    many = plural(place.subject)
    answer = frozenset(np.flatnonzero(kept).tolist())
    lead, near = "", ""
    thing = writer.pick(*(one for one in SMALL if one in place.labels))
    if last in ("lead", "near"):
        names.append(writer.pick(*LEADS) if last == "lead" else writer.pick("nearest", "farthest"))
        count = int(writer.rng.integers(1, 4))
        values, gap = _ranks(names[-1], place, thing)
        order = sorted(answer, key=lambda row: values[row])
        if nothing is None:
            if len(order) <= count or values[order[count]] - values[order[count - 1]] <= gap:
                return None
            answer = frozenset(order[:count])
        many = many if count > 1 else place.subject
        if last == "lead":
            lead = NUMBERS.get(count, "") + " " + writer.put(names[-1]) + " "
        else:
            # "the three planes nearest to": how many is said before the name.
            if count > 1:
                return None
            near = f" {writer.put(names[-1])} the {thing}"
    joined = _joined(writer, words)
    if last == "count":
        names.append("count")
        text = writer.put("count").format(many, joined) if joined else f"How many {many} are there?"
    else:
        start = "the " if lead or near else writer.pick("all ", "the ", "")
        text = writer.put("ask").format(f"{start}{lead}{many}{' ' + joined if joined else ''}{near}")
    alone = frozenset(np.flatnonzero(first).tolist()) if first is not None else frozenset(range(place.count))
    return ConditionCase(" ".join(text.split()), place, answer, tuple(names), nothing, alone)


def _joined(writer: _Writer, words: list[str]) -> str:
    """Return conditions as a sentence has them: with commas, "and", or one after another."""
    text = ""
    for phrase in words:
        text += (writer.pick(" ", " and ", ", ") if text else "") + phrase
    return text


def _without(place: DrawnPlace, label: str) -> DrawnPlace:
    rows = [row for row, name in enumerate(place.labels) if name != label]
    return DrawnPlace(place.frame, tuple(place.labels[row] for row in rows), place.quads[rows], place.zone, place.count)
