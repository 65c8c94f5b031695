"""Random answers, damaged in known ways: nothing raises, no whole object is lost, the rest is counted.

20,000 answers by default; set RSCOVLM_FUZZED=200000 for the long run.
"""

from __future__ import annotations

import json
import os
import random
from collections import Counter
from collections.abc import Callable
from typing import NamedTuple

import pytest

from rscovlm.codec import Codec
from rscovlm.codec.decoded import Decoded
from rscovlm.codec.problems import DROPPED, KEPT
from rscovlm.geometry import Frame
from rscovlm.geometry.kinds import Kind

GRID = Frame(504, 504)
CODEC = Codec.preset("rscovlm-v1")
ANSWERS = int(os.environ.get("RSCOVLM_FUZZED", "20000"))
CHUNKS = 20

KEYS = {4: "bbox_2d", 5: "oriented bbox", 8: "quadrant bbox"}
KINDS: dict[int, Kind] = {4: "hbb", 5: "obb", 8: "quad"}
SIMPLE = ["plane", "large vehicle", "storage-tank", "the red-roofed hangar"]
ODD = [*SIMPLE, "5 storey house", "飞机", "plane, grey", "it's here", "a {deck} [b]", "B-52", "there are none", "label"]
QUOTED = [
    *ODD,
    'the "old" hangar',
    "back\\slash",
    "line\nbreak",
    '{"bbox_2d": [1, 2, 3, 4], "label": "x"}',
    "1,2,3,4 x",
    "```",
    "",
]

PROSE = [
    "Sure, here they are:", "```json", "```", "[", "]", "{", "}", "(", "It's the 5\" gun of {old}.", "Note: (see below)", "label: none",
    '"label":', '"bbox_2d":', "There are none.", "There are 12 planes, of 3 kinds.", "“quoted” — 飞机", "<think>", "\ufffd\x00\x1b[0m",
    "::::", ",,,,", "\\\\\\\"", "{'", '{"', "The 2nd, 3rd and 4th", "'tis \"x", "null", "]]]}}}", "1.", "- ", "\t\t", "٣ planes",
]  # fmt: skip


class Piece(NamedTuple):
    """A piece of an answer: its text, and the object it holds if it holds a whole one, or why that is broken."""

    text: str
    numbers: list[int] | None = None
    label: str = ""
    reason: str | None = None


class Dice(random.Random):
    """Random choices for one answer, most often with boxes of one kind."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self.counts = [self.choice([4, 5, 8])] if self.random() < 0.8 else [4, 5, 8]


def numbers_of(chance: Dice) -> list[int]:
    count = chance.choice(chance.counts)
    if count == 4:
        x, y = chance.randrange(400), chance.randrange(400)
        return [x, y, x + chance.randrange(100), y + chance.randrange(100)]
    if count == 5:
        w = chance.randrange(2, 200)
        return [chance.randrange(504), chance.randrange(504), w, chance.randrange(1, w), chance.randrange(-90, 90)]
    x, y, w, h = chance.randrange(300), chance.randrange(300), chance.randrange(5, 90), chance.randrange(5, 90)
    return [x + 2, y, x + w + 2, y + 2, x + w, y + h + 2, x, y + h]


def joined(numbers: list[int]) -> str:
    return ", ".join(map(str, numbers))


def whole_json(chance: Dice) -> Piece:
    numbers, label = numbers_of(chance), chance.choice(QUOTED)
    values: dict[str, object] = {KEYS[len(numbers)]: numbers, "label": label}
    if chance.random() < 0.2:
        values = dict(reversed(values.items()))
    if chance.random() < 0.1:
        values["score"] = 0.5
    text = json.dumps(values, ensure_ascii=chance.random() < 0.5, indent=chance.choice([None, None, None, 2]))
    return Piece(text, numbers, label)


def whole_line(chance: Dice) -> Piece:
    numbers, label = numbers_of(chance), chance.choice(ODD)
    return Piece(",".join(map(str, numbers)) + " " + label, numbers, label)


def mended_json(chance: Dice) -> Piece:
    numbers, label = numbers_of(chance), chance.choice(SIMPLE)
    key, inside = KEYS[len(numbers)], joined(numbers)
    gap = chance.randrange(1, len(numbers))
    no_comma = ", ".join(map(str, numbers[:gap])) + " " + ", ".join(map(str, numbers[gap:]))
    text = chance.choice(
        [
            f'{{"{key}": ({inside}), "label": "{label}"}}',
            f'{{"{key}": [{no_comma}], "label": "{label}"}}',
            f"{{'{key}': [{inside}], 'label': '{label}'}}",
            f'{{"{key}": [{inside},], "label": "{label}",}}',
            f'{{"{key}": [{inside}] "label": "{label}"}}',
            f'{{"{key}": [{inside}], "label": "label": "{label}"}}',
            f'{{"{key}": [{inside}], "{key}": [{inside}], "label": "{label}"}}',
            f'{{"{key}": [{inside}], "label": "ship", "label": "{label}"}}',
            f'{{"{key}": [{inside}], "label": "{label}}}',
            f'{{"{key}": [{inside}, "label": "{label}"}}',
            f'{{"{key}": {inside}], "label": "{label}"}}',
            f'{{"{key}": {{{inside}}}, "label": "{label}"}}',
            f'{{"{key}": [{inside}}}, "label": "{label}"}}',
            f'{{"{key}": [{inside}], "label": "{label}"',
            f'("{key}": ({inside}), "label": "{label}")',
            f'{{"label": "{label}", "{key}": ({inside})}}',
            f"{{{key}: [{inside}], label: {label}}}",
        ]
    )
    return Piece(text, numbers, label)


def mended_line(chance: Dice) -> Piece:
    numbers, label = numbers_of(chance), chance.choice(SIMPLE)
    tight = ",".join(map(str, numbers))
    text = chance.choice(
        [
            f"{joined(numbers)} {label}",
            f"[{joined(numbers)}] {label}",
            f"({tight}): {label}",
            f"- {tight} {label}",
            f"7. {tight} {label}",
            tight.replace(",", "，") + f" {label}",
            f"{tight}  {label}",
            " ".join(map(str, numbers)) + f" {label}",
        ]
    )
    return Piece(text, numbers, label)


def broken(chance: Dice) -> Piece:
    numbers, label = list(map(str, numbers_of(chance))), chance.choice(SIMPLE)
    reason = chance.choice(["coordinate_count", "not_finite", "non_ascii_digits"])
    if reason == "coordinate_count":
        numbers = numbers[:3] if chance.random() < 0.5 else [*numbers, "5", "6"]
    else:
        words = ["NaN", "1e999", "-Infinity", "null"] if reason == "not_finite" else ["１２", "٣", "1२"]
        numbers[chance.randrange(len(numbers))] = chance.choice(words)
    if chance.random() < 0.5:
        return Piece(",".join(numbers) + " " + label, reason=reason)
    opened, closed = chance.choice([("[", "]"), ("(", ")")])
    return Piece(f'{{"bbox_2d": {opened}{", ".join(numbers)}{closed}, "label": "{label}"}}', reason=reason)


def prose(chance: Dice) -> Piece:
    return Piece(chance.choice(PROSE))


MAKERS: list[Callable[[Dice], Piece]] = [whole_json, whole_line, mended_json, mended_line, broken, prose]


def check(decoded: Decoded, expected: list[Piece], text: str) -> None:
    """Every expected object is found, in order, with its numbers and label; whatever is counted has a reason."""
    assert set(decoded.problems) <= set(DROPPED) | set(KEPT) and all(count > 0 for count in decoded.problems.values())
    assert len(decoded.objects) == len(decoded.spans) and all(0 <= a < b <= len(text) for a, b in decoded.spans)
    if not expected:
        return
    kind, place = decoded.objects.boxes.kind, 0
    found = list(zip(decoded.objects.labels, decoded.objects.boxes.coords.tolist(), decoded.spans, strict=True))
    for piece in expected:
        own = KINDS[len(piece.numbers or [])]
        while place < len(found):
            label, numbers, (start, end) = found[place]
            place += 1
            if label != piece.label:
                continue
            if kind != own:
                # It was converted: read its own text again.
                again = CODEC.decode(text[start:end] + "\n", GRID, kind=own).objects.boxes.coords.tolist()
                numbers = again[0] if again else []
            if numbers == piece.numbers:
                break
        else:
            pytest.fail(f"{piece} is lost in {text!r}: {decoded}")


def answers(chunk: int) -> list[Dice]:
    return [Dice(chunk * 1_000_003 + number) for number in range(ANSWERS * 45 // 100 // CHUNKS)]


def wanted(pieces: list[Piece]) -> list[Piece]:
    return [piece for piece in pieces if piece.numbers is not None]


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_no_whole_object_is_lost_among_damage(chunk: int) -> None:
    for chance in answers(chunk):
        pieces = [chance.choices(MAKERS, [5, 5, 3, 3, 2, 3])[0](chance) for _ in range(chance.randrange(9))]
        text = "\n".join(piece.text for piece in pieces) + chance.choice(["", "\n"])
        decoded = CODEC.decode(text, GRID)
        check(decoded, wanted(pieces), text)
        for reason, count in Counter(piece.reason for piece in pieces if piece.reason is not None).items():
            assert decoded.problems.get(reason, 0) >= count, (reason, text, decoded)


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_a_cut_or_a_slip_costs_no_object_it_does_not_touch(chunk: int) -> None:
    for chance in answers(chunk):
        maker = chance.choice([whole_line, whole_json])
        pieces = [maker(chance) for _ in range(chance.randrange(1, 7))]
        between = "\n" if maker is whole_line else chance.choice([",\n\t", ",\n", "\n"])
        text = between.join(piece.text for piece in pieces) + "\n"
        place = chance.randrange(len(text))
        way = chance.randrange(4)
        if way == 0:
            changed, until = text[:place], len(text)
        else:
            until = place + chance.choice([0, 1, 1, 5])
            extra = "" if way == 1 else "".join(chance.choices("\"'{}[](),:\\ 1x１\t", k=chance.randrange(1, 4)))
            changed = text[:place] + extra + text[until:]
        untouched, start = [], 0
        for piece in pieces:
            # A line's end belongs to it; beside a broken JSON object its neighbours on other lines stay whole.
            if start + len(piece.text) + (maker is whole_line and way > 0) <= place or start > until:
                untouched.append(piece)
            start += len(piece.text) + len(between)
        check(CODEC.decode(changed, GRID), untouched, changed)


@pytest.mark.parametrize("seed", range(40))
def test_noise_of_the_grammars_own_signs_raises_nothing(seed: int) -> None:
    chance = Dice(seed)
    signs = ["1", "23,", ", ", "[", "]", "(", ")", "{", "}", '"', "'", ":", "\\", "\n", "\t", " ", "label", '"label": "', '"bbox_2d": [', "NaN",
             "e9", ".", "-", "١", "```", "plane", "\ud800", "\u2028", "there are none", "1,2,3,4 ", "5,6,7,8,9", "；"]  # fmt: skip
    for _ in range(ANSWERS // 400):
        text = "".join(chance.choices(signs, k=chance.randrange(60)))
        categories = chance.choice([None, ["plane", "ship"]])
        kind = chance.choice([None, *KINDS.values()])
        decoded = CODEC.decode(text, GRID, kind=kind, categories=categories, cutoff=0.6 if categories else None)
        check(decoded, [], text)
        assert decoded.none or decoded.problems or len(decoded.objects)


def test_the_fuzz_reaches_every_reason() -> None:
    seen: Counter[str] = Counter()
    for number in range(4000):
        chance = Dice(number)
        pieces = [chance.choice(MAKERS)(chance) for _ in range(3)]
        seen.update(CODEC.decode("\n".join(piece.text for piece in pieces)[: chance.randrange(400)], GRID).problems)
    assert set(DROPPED) | set(KEPT) - set(seen) >= {"truncated", "coordinate_count"}
    assert {
        "truncated",
        "coordinate_count",
        "not_finite",
        "non_ascii_digits",
        "repaired",
        "doubled_key",
        "converted",
    } <= set(seen)
