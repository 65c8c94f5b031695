"""Cleaning: task tags become words, boxes in texts become structure, rules fix punctuation and typos in a data file.

Training and evaluation sets go through the same path. A report says what each rule changed, with examples before and after.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from importlib import resources
from pathlib import Path
from typing import Any, Literal, get_args

import yaml

from rscovlm.data.textboxes import Guess, Scale, find_boxes, is_box, lift, recognise
from rscovlm.records.record import BOX_MARK, Annotation, Record, Turn
from rscovlm.settings.yamlfiles import read_yaml

Side = Literal["user", "model", "both"]
_TAG = re.compile(r"(?P<marks>(?:<image>|\s)*)(?:\[(?P<square>[A-Za-z]+)\]|\{(?P<curly>[A-Za-z]+)\})\s*")
# Boxes as marks or as they are written, and nothing but words that join them.
_PLACES = re.compile(r"(?:<box:\d+>|\{<[^{}]*>\}|\[[-\d.,\s]+\]|\band\b|[,\s])+")
_EXAMPLES = 5
_SURVEYED = 5000


@dataclass(frozen=True)
class Rule:
    """One substitution: its name in the report, whose words it touches, the expression and what takes its place."""

    name: str
    find: re.Pattern[str]
    replace: str
    side: Side = "both"


@dataclass
class RuleChange:
    """What one rule did: how many substitutions, in how many records, and the first few texts before and after."""

    substitutions: int = 0
    records: int = 0
    examples: list[tuple[str, str]] = field(default_factory=list)


class Cleaner:
    """Apply the rules of a file to records, and keep count.

    Args:
        rules: A YAML file like the shipped `cleaning.yaml`, which is the default.
        scales: For sources whose texts still hold numbers, what these mean (see `survey`); other sources' numbers stay.
        corners: For these sources, whether five numbers are corners and an angle, None where a survey could not tell;
            centre and size where a source is not named.

    Raises:
        ValueError: The file has an unknown key, side or a malformed expression.

    >>> record = Record("1", "s", "train", "vqa", question="[vqa] How many  ships are there .?", answer="Two ..")
    >>> clean = Cleaner().clean(record)
    >>> clean.question, clean.answer
    ('How many ships are there?', 'Two.')
    """

    def __init__(
        self,
        rules: str | Path | None = None,
        *,
        scales: Mapping[str, Scale] | None = None,
        corners: Mapping[str, bool | None] | None = None,
    ) -> None:
        shipped = resources.files("rscovlm.quality") / "cleaning.yaml"
        content = read_yaml(rules) if rules else yaml.safe_load(shipped.read_text(encoding="utf-8"))
        if not isinstance(content, Mapping):
            raise ValueError(
                f"cleaning rules are {content!r}; give tags, sentence_starts, determiners, boxes, rules, typos"
            )
        unknown = set(content) - {"tags", "sentence_starts", "determiners", "boxes", "rules", "typos"}
        if unknown:
            raise ValueError(f"cleaning rules have unknown parts {sorted(unknown)}; see cleaning.yaml in rscovlm.data")
        self._tags: dict[str, dict[str, list[str]]] = content.get("tags") or {}
        self._starts = frozenset((content.get("sentence_starts") or "").split())
        self._determiners = frozenset((content.get("determiners") or "").split())
        self._drop_echoed = bool((content.get("boxes") or {}).get("drop_echoed"))
        self._rules = [_rule(entry) for entry in content.get("rules") or ()]
        self._typos: dict[str, str] = content.get("typos") or {}
        self._typo = (
            re.compile(rf"\b({'|'.join(map(re.escape, self._typos))})\b", re.IGNORECASE) if self._typos else None
        )
        self._scales, self._corners = dict(scales or {}), dict(corners or {})
        self.changes: dict[str, RuleChange] = {}
        self.records = 0
        self.changed = 0

    def clean(self, record: Record) -> Record:
        """Give the record with its texts cleaned; geometry changes only where boxes move from text to structure."""
        touched: set[str] = set()
        done = self._lifted(record, touched)
        if self._drop_echoed:
            done = self._without_echoes(done, touched)
        done = replace(
            done,
            question=self._text(done.question, "user", touched),
            answer=self._text(done.answer, "model", touched),
            expression=self._text(done.expression, "user", touched, phrased=False),
            captions=tuple(self._text(text, "model", touched) for text in done.captions),
            turns=tuple(Turn(turn.role, self._text(turn.text, _SIDES[turn.role], touched)) for turn in done.turns),
        )
        self.records += 1
        self.changed += done != record
        for name in touched:
            self.changes[name].records += 1
        return done

    def clean_all(self, records: Iterable[Record]) -> Iterator[Record]:
        """Clean records one by one."""
        return map(self.clean, records)

    def report(self) -> dict[str, Any]:
        """Give the counts and examples so far, most frequent rule first, as plain data."""
        rows = sorted(self.changes.items(), key=lambda item: -item[1].substitutions)
        rules = [
            {
                "rule": name,
                "substitutions": change.substitutions,
                "records": change.records,
                "examples": [{"before": before, "after": after} for before, after in change.examples],
            }
            for name, change in rows
        ]
        return {"records": self.records, "changed": self.changed, "rules": rules}

    def table(self) -> str:
        """Give the report as lines of text."""
        lines = [f"{self.records} records: {self.changed} changed"]
        for name, change in sorted(self.changes.items(), key=lambda item: -item[1].substitutions):
            lines.append(f"{change.substitutions:>9} in {change.records} records  {name}")
            lines += [f"{'':>11}{before!r} -> {after!r}" for before, after in change.examples[:2]]
        return "\n".join(lines)

    def _note(self, name: str, count: int, before: str, after: str, touched: set[str]) -> None:
        change = self.changes.setdefault(name, RuleChange())
        change.substitutions += count
        touched.add(name)
        if len(change.examples) < _EXAMPLES:
            change.examples.append((before, after))

    def _text(self, text: str, side: Side, touched: set[str], *, phrased: bool = True) -> str:
        # A rule may make room for one before it; a few rounds settle any text.
        for _ in range(4):
            start = text
            if side == "user":
                text = self._untagged(text, touched, phrased=phrased)
            for rule in self._rules:
                if rule.side in ("both", side):
                    after, count = rule.find.subn(rule.replace, text)
                    if after != text:
                        self._note(rule.name, count, text, after, touched)
                    text = after
            if self._typo is not None:
                after, count = self._typo.subn(self._spelled, text)
                if count:
                    self._note("typos", count, text, after, touched)
                text = after
            if text == start:
                break
        after = text.strip()
        if after != text:
            self._note("surrounding space", 1, text, after, touched)
        return after

    def _spelled(self, match: re.Match[str]) -> str:
        word = self._typos[match.group().lower()]
        return word[0].upper() + word[1:] if match.group()[0].isupper() else word

    def _untagged(self, text: str, touched: set[str], *, phrased: bool) -> str:
        match = _TAG.match(text)
        name = (match["square"] or match["curly"]).lower() if match else ""
        if match is None or name not in self._tags:
            return text
        tag = self._tags[name] or {}
        rest = self._untagged(text[match.end() :], touched, phrased=phrased).strip()
        if phrased and rest and not self._is_sentence(rest) and tag.get("phrase"):
            rest = self._asked(tag, rest)
        elif phrased and rest and tag.get("append"):
            rest = f"{rest if rest[-1] in '.?!' else rest + '.'} {_pick(tag['append'], rest)}"
        after = match["marks"].rstrip() + rest
        self._note(f"tag [{name}]", 1, text, after, touched)
        return after

    def _asked(self, tag: Mapping[str, list[str]], rest: str) -> str:
        """Put a phrase or boxes alone into words that fit it, whether it is one thing or several."""
        rest = rest.rstrip(".")
        if tag.get("place") and _PLACES.fullmatch(rest):
            return _pick(tag["place"], rest).replace("{text}", rest)
        named = rest[0] in "<{[" or rest.split()[0].lower() in self._determiners
        return _pick(tag["phrase"], rest).replace("{text}", rest if named else f"the {rest}")

    def _is_sentence(self, text: str) -> bool:
        first = re.split(r"[,'\u2019]", text.split()[0].lower())[0]
        clause = text.startswith(("<box:", "{<")) and not _PLACES.fullmatch(text)
        return text[-1] in ".?!" or first in self._starts or clause

    def _lifted(self, record: Record, touched: set[str]) -> Record:
        for turn in record.turns:
            left = [box for box in find_boxes(turn.text) if box.stated is not None and not is_box(box)]
            if left:
                self._note("boxes that cannot be, left as text", len(left), turn.text, turn.text, touched)
        scale = self._scales.get(record.source)
        if scale is None or not any(find_boxes(turn.text) for turn in record.turns):
            return record
        objects: list[Annotation] = list(record.objects)
        width, height = (record.images[0].width, record.images[0].height) if record.images else (0, 0)
        turns = []
        for turn in record.turns:
            count = len(find_boxes(turn.text))
            text = _lift_beside_marks(turn.text, objects, scale, width, height, self._corners.get(record.source, False))
            if count:
                self._note(f"boxes of scale {scale or 'pixels'}", count, turn.text, text, touched)
            turns.append(Turn(turn.role, text))
        return replace(record, turns=tuple(turns), objects=tuple(objects))

    def _without_echoes(self, record: Record, touched: set[str]) -> Record:
        turns, asked = list(record.turns), ""
        for i, turn in enumerate(turns):
            if turn.role == "user":
                asked = turn.text
            marks = set(BOX_MARK.findall(turn.text))
            if turn.role == "assistant" and marks and marks == set(BOX_MARK.findall(asked)):
                after = re.sub(r"\s*<box:\d+>(?=[\s.,;:?!]|$)|<box:\d+>\s*", "", turn.text).strip()
                if re.search(r"\w", after):
                    self._note("echoed boxes", len(marks), turn.text, after, touched)
                    turns[i] = Turn(turn.role, after)
        return replace(record, turns=tuple(turns))


def survey(records: Iterable[Record]) -> dict[str, Guess]:
    """Tell, for every source whose conversations hold boxes as text, which scale their numbers were written in.

    A few thousand boxes of each source are looked at. A source of which any conversation already points to its objects by
    marks is left out: the person who converted it knew the scale, and what is left in its texts is what was refused there.
    """
    found: dict[str, list[Any]] = {}
    converted: set[str] = set()
    for record in records:
        rows = found.setdefault(record.source, [])
        if any(BOX_MARK.search(turn.text) for turn in record.turns):
            converted.add(record.source)
        if not record.turns or len(rows) >= _SURVEYED:
            continue
        size = (record.images[0].width, record.images[0].height) if record.images else (0, 0)
        rows += [(box, *size) for turn in record.turns for box in find_boxes(turn.text)]
    return {source: recognise(rows) for source, rows in found.items() if rows and source not in converted}


def _lift_beside_marks(
    text: str, objects: list[Annotation], scale: Scale, width: int, height: int, corners: bool | None
) -> str:
    """Lift boxes out of the stretches between marks that are already there."""
    parts = re.split(r"(<box:\d+>)", text)
    lifted = (lift(part, objects, scale, width, height, corners=corners) for part in parts[::2])
    return "".join(part if i % 2 else next(lifted) for i, part in enumerate(parts))


def _pick(phrases: list[str], text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return phrases[int.from_bytes(digest[:4], "big") % len(phrases)]


def _rule(entry: Mapping[str, Any]) -> Rule:
    side = entry.get("side", "both")
    if side not in get_args(Side):
        raise ValueError(f"rule {entry.get('name')!r} has side {side!r}; use user, model or both")
    lacking = [key for key in ("name", "find", "replace") if not isinstance(entry.get(key), str)]
    if lacking:
        raise ValueError(f"rule {entry.get('name')!r} cannot be used: it has no text as {', '.join(lacking)}")
    try:
        pattern = re.compile(entry["find"])
    except re.error as error:
        raise ValueError(f"rule {entry['name']!r} cannot be used: {error}") from error
    return Rule(entry["name"], pattern, entry["replace"], side)


# What a tool returned is no prose of either side, and is left to rules for both.
_SIDES: dict[str, Side] = {"system": "both", "user": "user", "assistant": "model", "tool": "both"}
