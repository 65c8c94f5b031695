"""Reading objects out of whatever a model wrote."""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, NamedTuple

from rscovlm.codec import patterns
from rscovlm.geometry.kinds import Kind

COUNTS: dict[int, Kind] = {4: "hbb", 5: "obb", 8: "quad"}
"""Box kind by how many numbers a box has."""

LARGEST = 1e9
"""Beyond this a number is no coordinate."""

_BOX_WORDS = re.compile(r"box|poly|quad|coord|obb|hbb|rect", re.IGNORECASE)
_LABEL_NAMES = ("label", "category", "class", "name", "object")
_BARE_NAMES = ("bbox_2d", "bbox", "oriented bbox", "rotated bbox", "quadrant bbox", "label")


class Found(NamedTuple):
    """A whole object as it was written: 4, 5 or 8 finite numbers, a label, and where its text begins and ends."""

    numbers: list[float]
    label: str
    start: int
    end: int


@dataclass
class _Draft:
    """What is known so far of an object whose syntax is broken."""

    start: int = 0
    end: int = 0
    boxes: list[list[str]] = field(default_factory=list)
    label: str | None = None
    braced: bool = False
    keyed: bool = False
    labelled: int = 0
    doubled: bool = False
    pairs: bool = False
    cut: bool = False


def read(text: str, label_key: str, box_keys: tuple[str, ...]) -> tuple[list[Found], Counter[str]]:
    """Return every whole object in a text, in order, and counts of the rest by reason.

    Objects may be plain lines, JSON objects, or both, with any words around them. Never raises; takes time linear in the
    length of the text.

    Args:
        text: What a model wrote.
        label_key: Name of the label in JSON objects.
        box_keys: Names of boxes in JSON objects.
    """
    reader = _Reader(text, label_key, box_keys)
    reader.run()
    return reader.found, reader.problems


class _Reader:
    def __init__(self, text: str, label_key: str, box_keys: tuple[str, ...]) -> None:
        self.text = text
        self.found: list[Found] = []
        self.problems: Counter[str] = Counter()
        self._label_names = (label_key.lower(), *(name for name in _LABEL_NAMES if name != label_key.lower()))
        self._box_names = {key.lower() for key in box_keys}
        self._events, self._no_lines = patterns.events((label_key, *box_keys, *_BARE_NAMES))
        # Numbers stay text until they are checked: int() refuses long ones, and "NaN" is to be counted, not read.
        self._json = json.JSONDecoder(object_pairs_hook=_Pairs, parse_int=str, parse_float=str, parse_constant=str)
        self._draft = _Draft()
        self._list_end = -1

    def run(self) -> None:
        text, place, find = self.text, 0, self._events.search
        while (event := find(text, place)) is not None:
            find = self._events.search
            kind = event.lastgroup
            if kind == "line":
                after = self._line(event.start())
                if after is None:
                    place, find = event.start(), self._no_lines.search
                else:
                    place = after
                continue
            place = event.end()
            if event["object"] is not None:
                if not self._json_object(event):
                    place = event.start() + 1
                    self._brace("{", event.start(), place)
            elif event["brace"] is not None:
                self._brace(event["brace"], event.start(), place)
            elif event["open2"] is not None:
                place = self._list(event)
            else:
                place = self._keyed(event)
        self._flush(at_end=True)

    # Whole JSON objects -------------------------------------------------------------------------------------------

    def _json_object(self, event: re.Match[str]) -> bool:
        try:
            pairs = self._json.decode(event[0])
        except (ValueError, RecursionError):
            return False
        self._flush()
        names = [name.lower() for name, _ in pairs]
        labels = {name: value for name, value in zip(names, (value for _, value in pairs), strict=True)}
        label = next((labels[name] for name in self._label_names if isinstance(labels.get(name), str)), None)
        lists = [(name, value) for name, value in labels.items() if isinstance(value, list)]
        named = [value for name, value in lists if self._is_box(name)]
        boxes = [box for value in (named or [value for _, value in lists])[:1] for box in _flat(value)]
        if not boxes:
            self.problems["no_box"] += self._label_names[0] in labels or any(map(self._is_box, names))
            return True
        self.problems["doubled_key"] += len(labels) < len(pairs)
        for box in boxes:
            self._keep(box, label, event.start(), event.end())
        return True

    def _is_box(self, name: str) -> bool:
        return name in self._box_names or _BOX_WORDS.search(name) is not None

    # Plain lines --------------------------------------------------------------------------------------------------

    def _line(self, place: int) -> int | None:
        """Read lines of numbers that begin at `place`; return where to go on, or None if there is none."""
        text = self.text
        exact = patterns.EXACT_LINE.match(text, place)
        if exact is not None:
            numbers = exact["numbers"].split(",")
            more = patterns.CONTINUED.get(len(numbers))
            if more is None or more.match(text, exact.end()) is None:
                return self._labelled(numbers, place, exact.end(), repaired=False)
        loose = patterns.LOOSE_LINE.match(text, place)
        if loose is None:
            return None
        group = "inside" if loose["inside"] is not None else "bare"
        tokens = list(patterns.TOKEN.finditer(text, *loose.span(group)))
        commas = [bool(patterns.COMMA.search(text, a.end(), b.start())) for a, b in pairwise(tokens)]
        if group == "inside":
            if len(tokens) < 3:
                return None
            return self._labelled([token[0] for token in tokens], place, loose.end(), repaired=True, strip=" \t\r:-=")
        if not any(commas) and len(tokens) < 4:
            if patterns.TEXT_END.match(text, loose.end()) is None:
                return None
            self._flush()
            self.problems["truncated"] += 1
            return len(text)
        count = _line_numbers(commas)
        end = tokens[count - 1].end()
        return self._labelled([token[0] for token in tokens[:count]], place, end, repaired=True)

    def _labelled(
        self, numbers: list[str], start: int, end: int, *, repaired: bool, strip: str | None = None
    ) -> int | None:
        """Take the label that follows the numbers of a line; return where the text goes on."""
        text = self.text
        self._flush()
        line_end = text.find("\n", end)
        at_end = line_end < 0
        line_end = len(text) if at_end else line_end
        stop = patterns.LABEL_STOP.search(text, end, line_end)
        after = line_end if stop is None else stop.start()
        label = text[end:after]
        label = label.strip() if strip is None else label.strip(strip).strip()
        if at_end and stop is None and (not label or label in ",;") and strip is None:
            self.problems["truncated"] += 1
            return after
        if self._keep(numbers, label or None, start, after) and repaired:
            self.problems["repaired"] += 1
        if stop is not None and stop[0][0] not in "`{":
            return self._line(after) or after
        return after

    # Broken objects -----------------------------------------------------------------------------------------------

    def _brace(self, brace: str, start: int, end: int) -> None:
        if brace == "}":
            self._draft.end = end
            self._flush()
        else:
            self._flush()
            self._draft = _Draft(start=start, end=end, braced=True)

    def _list(self, event: re.Match[str]) -> int:
        """A bracketed list without a key."""
        draft, numbers = self._draft, _split(event["items2"])
        continues = (
            not self.text[self._list_end : event.start()].strip(" \t\r\n,;[](){}") if self._list_end >= 0 else False
        )
        continues = continues and event.start() - self._list_end <= 16
        if not numbers:
            return event.end()
        if draft.boxes and continues and draft.pairs and len(numbers) == 2 and len(draft.boxes[-1]) < 8:
            draft.boxes[-1] += numbers
        elif (
            len(numbers) < 3
            and not (continues and draft.keyed)
            and not (len(numbers) == 2 and _closed(event, "close2"))
        ):
            return event.end()
        else:
            if draft.label is not None and draft.boxes:
                self._flush()
                draft = self._draft
            self._start(event)
            draft.boxes.append(numbers)
            draft.pairs = len(numbers) == 2
        return self._close(event, "open2", "close2")

    def _keyed(self, event: re.Match[str]) -> int:
        """A key with its value: a string, numbers with or without brackets, or neither."""
        name = (event["key1"] or event["key2"] or event["key3"]).strip().lower()
        quoted = "1" if event["text1"] is not None else "2" if event["text2"] is not None else None
        if name in self._label_names:
            return self._label(event, quoted)
        is_box = self._is_box(name)
        if quoted is not None:
            value = event[f"text{quoted}"]
            if not is_box or len(value) > 400:
                return event.end()
            numbers = _split(value.strip("[]() "))
        else:
            numbers = _split(event["items1"])
            if not is_box and (len(numbers) < 3 or not event["open1"]):
                return event.end()
        draft = self._draft
        if draft.boxes and draft.label is not None:
            self._flush()
            draft = self._draft
        if draft.boxes and is_box:
            draft.doubled = True
            draft.boxes.clear()
        self._start(event)
        draft.keyed = draft.keyed or is_box
        if numbers and (is_box or not draft.boxes):
            draft.boxes.append(numbers)
            draft.pairs = len(numbers) == 2
        return event.end() if quoted is not None else self._close(event, "open1", "close1")

    def _label(self, event: re.Match[str], quoted: str | None) -> int:
        text, draft, end = self.text, self._draft, event.end()
        if draft.boxes and draft.label is not None:
            self._flush()
            draft = self._draft
        value: str | None = None
        if quoted is not None:
            value, start = event[f"text{quoted}"], event.start(f"text{quoted}")
            if not event[f"end{quoted}"] or patterns.AFTER_VALUE.match(text, end) is None or _looks_cut(value):
                value, end = self._mended(start)
        elif event["items1"].strip() and not event["open1"]:
            value = event["items1"].strip(" \t\r\n,")
        else:
            bare = patterns.BARE_VALUE.match(text, end)
            if bare is not None and not event["items1"]:
                value, end = bare[0].strip(), bare.end()
        self._start(event)
        draft.end = end
        draft.doubled = draft.doubled or draft.labelled > 0
        draft.labelled += 1
        if value is not None:
            draft.label = _unescaped(value)
        return end

    def _mended(self, start: int) -> tuple[str | None, int]:
        """Return a string value whose quotes are wrong, and its end; None where the text ends in it."""
        raw = patterns.REST_OF_VALUE.match(self.text, start)
        value = raw[0] if raw is not None else ""
        key = patterns.NEXT_KEY.search(value)
        if key is not None:
            value = value[: key.start()]
        end = start + len(value)
        if end == len(self.text) and not value.rstrip(" \t\r\n,])").endswith(("'", '"')):
            self._draft.cut = True
            return None, end
        return value.rstrip(" \t\r,;])").rstrip("\"'"), end

    def _start(self, event: re.Match[str]) -> None:
        draft = self._draft
        if not draft.braced and not draft.boxes and draft.label is None and not draft.keyed:
            draft.start = event.start()
        draft.end = event.end()

    def _close(self, event: re.Match[str], opened: str, closed: str) -> int:
        """Go past the end of a list, and note where the text ends in it."""
        end = event.end()
        if not event[closed]:
            wrong = re.compile(r"\s*+\}(?=\s*+,\s*+[\"'])").match(self.text, end)
            if "{" in event[opened] and self.text[end : end + 1] == "}":
                end += 1
            elif wrong is not None and event[opened]:
                end = wrong.end()
            elif end == len(self.text):
                self._draft.cut = True
        self._list_end = end
        self._draft.end = end
        return end

    def _flush(self, *, at_end: bool = False) -> None:
        """Finish the object at hand."""
        draft = self._draft
        if not (draft.boxes or draft.braced or draft.keyed or draft.labelled):
            return
        self._draft = _Draft()
        touches = at_end and (draft.cut or (draft.braced and draft.label is None))
        if touches:
            self.problems["truncated"] += 1
            return
        if not draft.boxes:
            if draft.keyed:
                self.problems["coordinate_count"] += 1
            elif draft.labelled:
                self.problems["no_box"] += 1
            return
        kept = False
        for box in draft.boxes:
            if len(box) < 3 and not draft.keyed and draft.label is None:
                continue
            kept = self._keep(box, draft.label, draft.start, draft.end) or kept
        if kept:
            self.problems["doubled_key"] += draft.doubled
            self.problems["repaired"] += draft.keyed or draft.labelled > 0

    def _keep(self, written: list[str], label: str | None, start: int, end: int) -> bool:
        """Keep an object if its numbers are a box, else count why they are not."""
        numbers, problem = _numbers(written)
        if problem is not None:
            self.problems[problem] += 1
            return False
        if not label:
            self.problems["no_label"] += 1
        self.found.append(Found(numbers, _sound(label or ""), start, end))
        return True


class _Pairs(list[tuple[str, Any]]):
    """The pairs of a JSON object, doubled keys included."""


def _numbers(written: list[str]) -> tuple[list[float], str | None]:
    """Return the numbers of a box, or why they are none."""
    if not all(isinstance(word, str) for word in written):
        return [], "not_finite"
    if not all(map(str.isascii, written)):
        return [], "non_ascii_digits"
    if len(written) not in COUNTS:
        return [], "coordinate_count"
    try:
        numbers = [float(word) for word in written]
    except ValueError:
        return [], "not_finite"
    # Also false for NaN.
    if not all(-LARGEST <= number <= LARGEST for number in numbers) or any("_" in word for word in written):
        return [], "not_finite"
    if len(numbers) == 5 and min(numbers[2:4]) < 0:
        return [], "negative_size"
    return numbers, None


def _flat(value: list[Any]) -> list[list[Any]]:
    """Return the boxes in a JSON list: itself, one made of points, or several."""
    if not any(isinstance(part, list) for part in value):
        return [value] if value else []
    if all(isinstance(part, list) and len(part) == 2 for part in value):
        return [[number for part in value for number in part]]
    return [part if isinstance(part, list) else [part] for part in value]


def _line_numbers(commas: list[bool]) -> int:
    """Return how many of a line's numbers are its box, from which gaps between them hold commas; the label may begin with numbers."""
    joined = (commas + [False]).index(False) + 1
    total = len(commas) + 1
    if joined in COUNTS:
        after = commas[joined:]
        more = (after + [False]).index(False) + 1 if joined < total else 0
        return 8 if joined < 8 and joined + more == 8 and more > 1 else joined
    return total


def _split(items: str) -> list[str]:
    return [word for word in patterns.SEPARATORS.split(items) if word]


def _closed(event: re.Match[str], group: str) -> bool:
    return bool(event[group])


def _looks_cut(value: str) -> bool:
    """Whether a string ran on into the next key because its closing quote is missing."""
    return value.rstrip().endswith((",", "{"))


def _unescaped(value: str) -> str:
    if "\\" not in value:
        return value
    try:
        return str(json.loads(f'"{value}"', strict=False))
    except (ValueError, RecursionError):
        return value


_SURROGATE = re.compile("[\ud800-\udfff]")


def _sound(label: str) -> str:
    """Return a label without halves of characters, which no file could hold."""
    return label if label.isascii() else _SURROGATE.sub("\ufffd", label)
