"""Reading JSON objects whose syntax is broken, piece by piece."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field

from rscovlm.codec import patterns
from rscovlm.codec.found_objects import Haul, Names


@dataclass
class _Draft:
    """What is known so far of an object."""

    start: int = 0
    end: int = 0
    boxes: list[list[str]] = field(default_factory=list)
    box_named: bool = False
    label_first: bool = False
    label: str | None = None
    label_keys: int = 0
    claims_label: bool = False
    braced: bool = False
    points: bool = False
    doubled: bool = False
    cut: bool = False

    def begin(self, start: int) -> None:
        if not (self.braced or self.boxes or self.box_named or self.label_keys):
            self.start = start


class Drafts:
    """Puts an object together from braces, keys and lists, whatever is missing between them.

    Args:
        text: What a model wrote.
        haul: Where objects and problems go.
        names: Which keys mean what.
    """

    def __init__(self, text: str, haul: Haul, names: Names) -> None:
        self._text = text
        self._haul = haul
        self._names = names
        self._draft = _Draft()
        self._list_end = -1

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
        if not named and (quoted is not None or not event["open1"] or len(numbers) < 3):
            return event.end()
        self._next_object(event.start(), repeats=self._draft.label_first)
        draft = self._draft
        if named and draft.boxes:
            draft.doubled = draft.doubled or draft.box_named
            draft.boxes.clear()
        if numbers and (named or not draft.boxes):
            draft.boxes.append(numbers)
            draft.points = len(numbers) == 2
        draft.box_named = draft.box_named or named
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
            self._haul.problems["truncated"] += 1
        elif draft.boxes:
            written = draft.box_named or draft.label_keys > 0
            boxes = [box for box in draft.boxes if written or len(box) > 2]
            kept = [self._haul.keep(box, draft.label, draft.start, draft.end) for box in boxes]
            if any(kept):
                self._haul.problems["doubled_key"] += draft.doubled
                self._haul.problems["repaired"] += written
        elif draft.box_named:
            self._haul.problems["coordinate_count"] += 1
        elif draft.claims_label:
            self._haul.problems["no_box"] += 1

    def _next_object(self, start: int, *, repeats: bool) -> None:
        """Finish an object that is complete when more comes, unless that only repeats a key between the same braces."""
        complete = self._draft.boxes and self._draft.label is not None
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
        match = patterns.REST_OF_VALUE.match(self._text, start)
        raw = match[0] if match is not None else ""
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


def _unescaped(value: str) -> str:
    if "\\" not in value:
        return value
    try:
        return str(json.loads(f'"{value}"', strict=False))
    except (ValueError, RecursionError):
        return value
