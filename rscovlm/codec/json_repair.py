"""Reading JSON objects whose syntax is broken, piece by piece."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field

from rscovlm.codec import patterns
from rscovlm.codec.found_objects import FoundObjects
from rscovlm.codec.keys import KeyMeaning, KeyNames, coordinate, coordinates
from rscovlm.codec.layouts import BoxLayout


@dataclass
class _Draft:
    """What is known so far of an object.

    Attributes:
        start: Where its text begins.
        end: Where the text that belongs to it ends so far.
        boxes: Its boxes, as lists of numbers; several where they share a label.
        box_name: The key that its boxes stand under.
        box_named: There was a key of a box, with or without numbers.
        coordinates: Numbers that stand under a key each, such as ``x1``.
        stated: What the numbers are, where an object in its own braces stated it.
        label_first: The label came before the box.
        label: Its label.
        label_keys: How many keys of a label there were.
        claims_label: One of them was the dialect's own, so that an object without a box is missing one.
        braced: It began with a brace.
        points: The last list held two numbers, so that the next may be the next corner of the same box.
        doubled: A key stands twice.
        cut: The text ends inside a string or a list of it.
    """

    start: int = 0
    end: int = 0
    boxes: list[list[str]] = field(default_factory=list)
    box_name: str = ""
    box_named: bool = False
    coordinates: dict[str, str] = field(default_factory=dict)
    stated: BoxLayout | None = None
    label_first: bool = False
    label: str | None = None
    label_keys: int = 0
    claims_label: bool = False
    braced: bool = False
    points: bool = False
    doubled: bool = False
    cut: bool = False

    def begin(self, start: int) -> None:
        if not (self.braced or self.boxes or self.box_named or self.label_keys or self.coordinates):
            self.start = start


class Drafts:
    """Puts an object together from braces, keys and lists, whatever is missing between them.

    Args:
        text: What a model wrote.
        found: Where objects and problems go.
        names: Which keys mean what.
    """

    def __init__(self, text: str, found: FoundObjects, names: KeyNames) -> None:
        self._text = text
        self._found = found
        self._names = names
        self._draft = _Draft()
        self._list_end = -1
        self._passed_end = -1

    def brace(self, brace: str, start: int) -> int:
        """Begin or end an object; return where to go on."""
        if brace == "}":
            self._draft.end = start + 1
        self.finish()
        if brace == "{":
            self._draft = _Draft(start=start, braced=True)
        return start + 1

    def listed(self, event: re.Match[str]) -> int:
        """Take a bracketed list without a key; return where to go on."""
        numbers = patterns.words(event["items2"])
        draft = self._draft
        goes_on = self._list_end >= 0 and patterns.BETWEEN_LISTS.fullmatch(self._text, self._list_end, event.start())
        if not numbers:
            return event.end()
        if self._passed_end >= 0 and patterns.BETWEEN_LISTS.fullmatch(self._text, self._passed_end, event.start()):
            # One more list under a key that names no box.
            self._passed_end = event.end()
            return event.end()
        if not event["close2"] and event.end() == len(self._text) and len(numbers) == 2 and "{" not in event["open2"]:
            self._found.problems["truncated"] += 1
            return event.end()
        stray = event["open2"].rstrip().rfind("\n")
        if stray < 0 and not event["close2"] and event.end() < len(self._text):
            stray = event[0].find("\n")
        if stray >= 0:
            # Lines after a stray bracket.
            return event.start() + stray + 1
        if draft.boxes and goes_on and draft.points and len(numbers) == 2 and len(draft.boxes[-1]) < 8:
            draft.boxes[-1] += numbers
        elif len(numbers) < 2 or (len(numbers) == 2 and not event["close2"]):
            # A number in prose.
            return event.end()
        else:
            self._next_object(event.start(), repeats=False)
            draft = self._draft
            draft.boxes.append(numbers)
            draft.points = len(numbers) == 2
        return self._list_done(event, "open2", "close2")

    def keyed(self, event: re.Match[str]) -> int:
        """Take a key with its value: a string, numbers with or without brackets, or neither; return where to go on."""
        name = (event["key1"] or event["key2"] or event["key3"]).strip().lower()
        quoted = "1" if event["text1"] is not None else "2" if event["text2"] is not None else None
        if name in self._names.labels:
            return self._label(event, name, quoted)
        named = self._names.is_box(name)
        listed = event["items1"] if event["items1"] is not None else event["items3"]
        numbers = patterns.words(listed if quoted is None else event[f"text{quoted}"].strip("[]() "))
        if not named:
            return self._unnamed(event, name, numbers)
        self._next_object(event.start(), repeats=self._draft.label_first)
        draft = self._draft
        if draft.boxes:
            draft.doubled = draft.doubled or draft.box_named
            draft.boxes.clear()
        if numbers:
            draft.boxes.append(numbers)
            draft.points = len(numbers) == 2 and not self._names.means_points(name)
        draft.box_named, draft.box_name = True, name
        draft.end = event.end()
        return (
            event.end()
            if quoted is not None
            else self._list_done(event, "open1", "close1" if event["open1"] else "close3")
        )

    def finish(self, *, at_end: bool = False) -> None:
        """Keep or count the object at hand.

        Args:
            at_end: The text ends here.
        """
        draft, self._draft = self._draft, _Draft()
        if at_end and (draft.cut or (draft.braced and draft.label is None)):
            self._found.problems["truncated"] += 1
        elif draft.boxes or draft.coordinates:
            written = draft.box_named or draft.label_keys > 0 or bool(draft.coordinates)
            if self._keep(draft, written):
                self._found.problems["doubled_key"] += draft.doubled
                self._found.problems["repaired"] += written and draft.stated is None
        elif draft.box_named:
            self._found.problems["coordinate_count"] += 1
        elif draft.claims_label:
            self._found.problems["no_box"] += 1

    def adopt(self, written: list[str], stated: BoxLayout, end: int) -> bool:
        """Take the box of an object in its own braces, which states its numbers, as that of the object around it."""
        draft = self._draft
        if not draft.braced or draft.boxes or draft.coordinates or not (draft.box_named or draft.label_keys):
            return False
        draft.boxes, draft.stated, draft.end = [written], stated, end
        return True

    def _keep(self, draft: _Draft, written: bool) -> bool:
        """Keep the boxes of a draft; return whether there was one."""
        if draft.coordinates and not draft.boxes:
            found = coordinates(draft.coordinates)
            if found is None:
                self._found.problems["coordinate_count"] += 1
                return False
            stated, numbers, guessed = found
            return self._found.keep(
                numbers, draft.label, draft.start, draft.end, layout=stated, syntax="keys", guessed=guessed
            )
        kept = False
        for box in draft.boxes:
            if not written and len(box) < 3:
                continue
            meaning = KeyMeaning(draft.stated) if draft.stated else self._names.meaning(draft.box_name, len(box))
            kept |= keep_named(self._found, meaning, box, draft.label, draft.start, draft.end, key=draft.box_name)
        return kept

    def _unnamed(self, event: re.Match[str], name: str, numbers: list[str]) -> int:
        """Take a key that is none of a label or a box: one number of a box, or something else that is passed over."""
        if coordinate(name) is not None and len(numbers) == 1 and not event["open1"]:
            if name in self._draft.coordinates:
                self.finish()
            self._next_object(event.start(), repeats=self._draft.label_first)
            self._draft.coordinates[name] = numbers[0]
            self._draft.end = event.end()
        elif event["open1"]:
            self._passed_end = event.end()
        return event.end()

    def _next_object(self, start: int, *, repeats: bool) -> None:
        """Finish an object that is complete when more comes, unless that only repeats a key between the same braces."""
        complete = (self._draft.boxes or len(self._draft.coordinates) > 3) and self._draft.label is not None
        if complete and not (repeats and self._draft.braced):
            self.finish()
        self._draft.begin(start)

    def _label(self, event: re.Match[str], name: str, quoted: str | None) -> int:
        end = event.end()
        value: str | None = None
        if quoted is not None:
            value, start = event[f"text{quoted}"], event.start(f"text{quoted}")
            if not event[f"end{quoted}"] or patterns.AFTER_VALUE.match(self._text, end) is None:
                value, end = self._mended(start)
        elif event["open1"] is not None:
            end = event.start("open1")
        else:
            bare = patterns.BARE_VALUE.match(self._text, event.start("items3"))
            if bare is not None and bare[0].strip().lower() not in ("null", "none"):
                value, end = bare[0].strip(), bare.end()
        if value is not None:
            self._next_object(event.start(), repeats=not self._draft.label_first)
        draft = self._draft
        draft.begin(event.start())
        draft.label_first = draft.label_first or not draft.boxes
        draft.doubled = draft.doubled or draft.label_keys > 0
        draft.label_keys += 1
        draft.claims_label = draft.claims_label or name == self._names.label
        draft.label = draft.label if value is None else _unescaped(value)
        draft.end = end
        return end

    def _mended(self, start: int) -> tuple[str | None, int]:
        """Return a string whose quotes are wrong, and its end; None where the text ends in it."""
        rest = self._text[start : start + patterns.LONGEST_VALUE]
        raw = patterns.END_OF_VALUE.split(rest, maxsplit=1)[0]
        key = patterns.NEXT_KEY.search(raw)
        value = raw if key is None else raw[: key.start()]
        end = start + len(value)
        if end == len(self._text) and not value.rstrip(" \t\r,;])").endswith(("'", '"')):
            self._draft.cut = True
            return None, end
        return value.rstrip(" \t\r,;])").rstrip("\"'"), end

    def _list_done(self, event: re.Match[str], opened: str, closed: str) -> int:
        """Go past a list's end, which may be missing or the wrong bracket."""
        end, ended = event.end(), bool(event[closed])
        if not ended and event[opened]:
            braced = "{" in event[opened] and self._text.startswith("}", end)
            wrong = patterns.WRONG_CLOSE.match(self._text, end)
            ended = braced or wrong is not None
            end = end + 1 if braced else end if wrong is None else wrong.end()
        self._draft.cut = self._draft.cut or (not ended and end == len(self._text))
        self._list_end = self._draft.end = end
        return end


def keep_named(
    found: FoundObjects,
    meaning: KeyMeaning,
    written: list[str],
    label: str | None,
    start: int,
    end: int,
    *,
    key: str,
) -> bool:
    """Keep a box that stands under a key, as the key states it."""
    kept = found.keep(
        written,
        label,
        start,
        end,
        layout=meaning.layout,
        space=meaning.space,
        syntax=f"json:{key}" if key else "list",
        # A name that is not the dialect's own and states no order may mean corners, or a corner and a size.
        guessed=bool(key) and meaning.layout is None and not meaning.own and len(written) == 4,
    )
    found.problems["foreign_syntax"] += kept and meaning.foreign
    return kept


def _unescaped(value: str) -> str:
    if "\\" not in value:
        return value
    try:
        return str(json.loads(f'"{value}"', strict=False))
    except (ValueError, RecursionError):
        return value
