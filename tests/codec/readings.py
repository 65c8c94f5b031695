"""Answers with what they were read as when they were recorded: one line of JSON each, in ``readings.jsonl``.

Whole answers of every dialect and damaged ones, drawn by `drawn` so that no two of one reader were read alike. Other tests hold what a
reading should be; this one holds that scores of the same answers stay the same from version to version. Where a change is meant,
``python -m tests.codec.readings`` records the same answers anew: look at every line that differs.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from rscovlm.codec import Codec
from rscovlm.codec.mentions import mentions
from rscovlm.codec.places import read_place
from rscovlm.codec.point_objects import PointObject
from rscovlm.codec.presets import preset_names
from rscovlm.codec.set_of_points import SetOfPoints
from rscovlm.geometry import Boxes, Frame, Objects

FILE = Path(__file__).with_suffix(".jsonl")
GRID = Frame(1000, 500)
NAMES = ["plane", "storage tank", "large-vehicle", "the red-roofed hangar"]


class Case(NamedTuple):
    """An answer and who reads it: ``boxes``, ``sets``, ``mentions`` or ``place``, and a dialect, kind or order.

    Or what is written: ``written``, the dialect, kind and style, and the seed of the objects.
    """

    reader: str
    how: str
    text: str


def read(case: Case) -> Any:
    """Return what an answer is read as, in plain values."""
    readers = {
        "boxes": _boxes,
        "sets": _sets,
        "mentions": _mentions,
        "place": _place,
        "written": _written,
        "detect": _detect,
    }
    return readers[case.reader](case.how, case.text)


def recorded() -> Iterator[tuple[Case, Any]]:
    """Yield the cases and what they were read as."""
    for line in FILE.read_text(encoding="utf-8").splitlines():
        *case, found = json.loads(line)
        yield Case(*case), found


def _boxes(how: str, text: str) -> Any:
    dialect, _, kind = how.partition(" ")
    options: dict[str, Any] = {"kind": kind} if kind in ("hbb", "obb", "quad") else {}
    if kind == "named":
        options = {"categories": NAMES, "cutoff": 0.7}
    found = Codec.preset(dialect).decode(text, GRID, **options)
    objects = [
        [label, *np.round(numbers, 2).tolist(), *span]
        for label, numbers, span in zip(found.objects.labels, found.objects.boxes.coords, found.spans, strict=True)
    ]
    points = [] if found.points is None else [np.round(one, 2).tolist() for one in found.points.points]
    return [found.objects.boxes.kind, objects, found.problems, found.none, points, found.point_labels]


def _sets(how: str, text: str) -> Any:
    dialect, _, form = how.partition(" ")
    found = SetOfPoints(Codec.preset(dialect)).decode(text, GRID, form=form or None, categories=NAMES if form else None)  # type: ignore[arg-type]
    objects = [
        [one.form, one.label, [np.round(points, 2).tolist() for points in one.sets.points], span]
        for one, span in zip(found.objects, found.spans, strict=True)
    ]
    return [objects, found.problems, found.none]


def _mentions(how: str, text: str) -> Any:
    return [[*one, one.possible] for one in mentions(text)]


def _place(how: str, text: str) -> Any:
    found = read_place(text, order=how or None)  # type: ignore[arg-type]  # empty for no order
    place = None if found.coordinates is None else np.round(found.coordinates, 5).tolist()
    return [place, found.city, found.notation, found.problems]


def _detect(how: str, seed: str) -> Any:
    """Return the dialect that a sample of answers is found to be of: some of a dialect, some of the reader's."""
    from tests.codec.test_dialect_detection import sample

    chance, (name, other, side, count, odd) = random.Random(seed), how.split(" ")
    grid = Frame(int(side), int(side))
    texts = sample(name, chance, int(count), grid) + sample(other, chance, int(odd), grid)
    found = Codec.detect([damaged(text, chance) if chance.random() < 0.2 else text for text in texts], grid)
    return [found.dialect, list(found.candidates), found.syntaxes]


def _written(how: str, seed: str) -> Any:
    dialect, kind, style = how.split(" ")
    codec, objects = Codec.preset(dialect), _objects(random.Random(seed))
    if not codec.labelled:
        objects = Objects(objects.boxes, ("plane",) * len(objects))
    text = codec.encode(objects, GRID, kind=kind, style=style, categories=NAMES)  # type: ignore[arg-type]
    if not len(objects) or codec.decimals:
        return [text]
    return [text, codec.mention(objects[:1].boxes, GRID), codec.encode_box(objects[:1].boxes, GRID)]


# Drawing ----------------------------------------------------------------------------------------------------------


def drawn(seed: int = 1, most: int = 60) -> list[Case]:
    """Draw cases: of one reader, dialect and kind no two that were read alike but for the numbers.

    Args:
        seed: What is drawn.
        most: Cases of a dialect and kind.
    """
    chance = random.Random(seed)
    cases: list[Case] = []
    for make, rounds in (
        (_odd_answers, 3),
        (_box_answers, 50),
        (_set_answers, 300),
        (_sentences, 700),
        (_place_answers, 700),
        (_mixed_answers, 90),
    ):
        seen: dict[tuple[str, str], set[str]] = {}
        for _ in range(rounds):
            for case in make(chance):
                looks = seen.setdefault((case.reader, case.how), set())
                look = _look(read(case))
                if look not in looks and len(looks) < most * (1 if case.how else 3):
                    looks.add(look)
                    cases.append(case)
    for name in preset_names():
        codec = Codec.preset(name)
        forms = [f"{name} {kind} {style}" for kind in codec.kinds for style in codec.styles]
        for how in forms:
            for number in range(6):
                case = Case("written", how, f"{how} {number}")
                try:
                    read(case)
                except ValueError:
                    continue  # points in plain lines
                cases.append(case)
        for side in (90, 640, 1400):
            for count, odd in ((1, 0), (4, 0), (20, 1), (20, 2), (20, 6)):
                how = f"{name} {chance.choice(preset_names())} {side} {count} {odd}"
                cases.append(Case("detect", how, how))
    return cases


def _odd_answers(chance: random.Random) -> Iterator[Case]:
    """Yield what other tests hold in part: answers of models, and broken ones."""
    from tests.codec import published, test_reading, test_set_of_points, test_stated_keys

    texts = [
        *test_reading.REPAIRED,
        *test_reading.WHOLE,
        *(text for _, text in test_reading.COUNTED),
        *test_stated_keys.STATED,
    ]
    texts += [one.text for listed in published.PUBLISHED.values() for one in listed]
    for text in texts:
        yield Case("boxes", "rscovlm-v1", text if chance.random() < 0.3 else damaged(text, chance))
        yield Case("boxes", "qwen3-vl", damaged("\n".join([text, chance.choice(texts)]), chance))
    for text, *_ in test_set_of_points.ODD:
        yield Case("sets", "rscovlm-v1", text if chance.random() < 0.3 else damaged(text, chance))


def _look(found: Any) -> str:
    """Return a reading without its numbers."""
    return json.dumps(json.loads(json.dumps(found), parse_float=lambda _: 0, parse_int=lambda _: 0))


def _objects(chance: random.Random) -> Objects:
    count = chance.randint(0, 3)
    rows = [
        [chance.uniform(0, 1000), chance.uniform(0, 500), chance.uniform(1, 300), chance.uniform(1, 99)]
        for _ in range(count)
    ]
    boxes = Boxes([[*row, chance.uniform(-90, 90)] for row in rows], "obb", GRID)
    return Objects(boxes, tuple(chance.choice(NAMES) for _ in rows))


def _box_answers(chance: random.Random) -> Iterator[Case]:
    for name in preset_names():
        codec = Codec.preset(name)
        kind = chance.choice([kind for kind in codec.kinds if kind != "point"] or ["point"])
        styles = [style for style in ("plain", "json", "tagged") if style != "tagged" or codec.tags is not None]
        style = chance.choice([codec.style, chance.choice(styles)])
        objects = _objects(chance)
        if not codec.labelled:
            objects = Objects(objects.boxes, ("plane",) * len(objects))
        try:
            text = codec.encode(objects, GRID, kind=kind, style=style)  # type: ignore[arg-type]
        except ValueError:
            continue  # a dialect without labels, or without this kind
        yield Case(
            "boxes",
            chance.choice([name, name, f"{name} named", f"{name} {chance.choice(['hbb', 'obb', 'quad'])}"]),
            damaged(text, chance),
        )
        yield Case("boxes", chance.choice(preset_names()), damaged(text, chance))


def _mixed_answers(chance: random.Random) -> Iterator[Case]:
    """Yield answers in which an object of one notation stands inside or behind an unfinished one of another."""
    points = [
        '<points x1="10.5" y1="20.0" x2="30" y2="4" alt="plane">planes</points>',
        "<point x='1' y=\"2\">ship</point>",
        "<points x1='5' y2='6'/>",
    ]
    texts = [*points]
    for name in chance.sample(preset_names(), 4):
        codec, objects = Codec.preset(name), _objects(chance)
        kind = chance.choice(codec.kinds)
        one = Objects(objects.boxes, ("ship",) * len(objects))[:1]
        try:
            texts.append(codec.encode(one, GRID, kind=kind, style=chance.choice(codec.styles)))
        except ValueError:
            continue  # points in plain lines
    outer, inner = chance.sample(texts, 2)
    at = chance.randrange(len(outer) + 1)
    yield Case("boxes", chance.choice(["rscovlm-v1", "molmo", "internvl", "gemini"]), outer[:at] + inner + outer[at:])


def _set_answers(chance: random.Random) -> Iterator[Case]:
    name = chance.choice(["rscovlm-v1", "qwen3-vl", "gemini", "vhm"])
    objects = []
    for _ in range(chance.randint(0, 2)):
        x, y, w, h = chance.uniform(0, 900), chance.uniform(0, 400), chance.uniform(1, 90), chance.uniform(1, 90)
        around = [(x, y), (x + w, y + 3), (x + w - 2, y + h), (x - 3, y + h - 1)]
        form = chance.choice(["corners", "prompt", "polygon", "polygon"])
        label = chance.choice(NAMES)
        if form == "corners":
            objects.append(PointObject.corners(label, around, GRID))
        elif form == "prompt":
            objects.append(
                PointObject.prompt(
                    label,
                    (x, y, x + w, y + h),
                    [(x + w / 2, y + h / 2)] * chance.randint(0, 2),
                    GRID,
                    [(x, y)] * chance.randint(0, 1),
                )
            )
        else:
            hole = [[(x + w / 4, y + h / 4), (x + w / 4, y + h / 2), (x + w / 2, y + h / 2)]]
            objects.append(
                PointObject.polygon(
                    label, [chance.choice([around, around[::2] + around[1::2]]), *hole * chance.randint(0, 1)], GRID
                )
            )
    text = SetOfPoints(Codec.preset(name)).encode(objects, GRID, style=chance.choice(["plain", "json"]))
    yield Case(
        "sets", f"{name} {chance.choice(['', '', 'corners', 'prompt', 'polygon'])}".strip(), damaged(text, chance)
    )


def _sentences(chance: random.Random) -> Iterator[Case]:
    words = ["The ship at ", " lies west of ", " and ", ". It is near ", "in ", ", not "]
    text = ""
    for _ in range(chance.randint(1, 3)):
        codec = Codec.preset(chance.choice(preset_names()))
        box = Boxes(
            [
                [
                    chance.uniform(0, 1000),
                    chance.uniform(0, 500),
                    chance.uniform(1, 300),
                    chance.uniform(1, 99),
                    chance.uniform(-90, 90),
                ]
            ],
            "obb",
            GRID,
        )
        text += chance.choice(words) + codec.mention(box, GRID)
    yield Case("mentions", "", damaged(text + chance.choice(["", ".", " (seen twice)"]), chance))


def _place_answers(chance: random.Random) -> Iterator[Case]:
    latitude, longitude = chance.uniform(-95, 95), chance.uniform(-200, 370)
    south, west = "NS"[latitude < 0], "EW"[longitude < 0]
    north, east = abs(latitude), abs(longitude)
    city = chance.choice(["", "Oslo", "Rome, Italy", "São Paulo", "東京"])
    text = chance.choice(
        [
            f"[{city}, ({latitude:.4f}, {longitude:.4f})]",
            f"{city}: {north:.2f}° {south}, {east:.2f}° {west}",
            f"{city} {south} {int(north)}° {north % 1 * 60:.1f}' {west} {int(east)}° {east % 1 * 60:.1f}'",
            f"{int(north)}:{int(north % 1 * 60)}:{chance.randint(0, 66)}{south} {int(east)}:{int(east % 1 * 60)}:5.5{west}",
            f'{{"city": "{city}", "lon": {longitude:.3f}, "lat": {latitude:.3f}}}',
            f"The picture shows {city} at lat {latitude:.2f}, lon {longitude:.2f}",
            f"POINT ({longitude:.4f} {latitude:.4f})",
            f"{chance.randint(0, 62)}{chance.choice('CDHNSUXZ')} {chance.randint(90000, 910000)} {chance.randint(0, 9999999)}",
            f"EPSG:32{chance.choice('67')}{chance.randint(0, 62):02d} {chance.randint(90000, 910000)} {chance.randint(0, 9999999)}",
            f"MGRS: {chance.randint(1, 60)}{chance.choice('CHNSUX')}{chance.choice('AFJQU')}{chance.choice('AFJQU')} {chance.randint(0, 9999):04d}",
            f"city: {city}\ncoordinates: {longitude:.2f}, {latitude:.2f}".replace(".", chance.choice([".", ","])),
        ]
    )
    yield Case("place", chance.choice(["latitude_first", "longitude_first", ""]), damaged(text, chance))


def _cut(text: str, chance: random.Random) -> str:
    return text[: chance.randrange(len(text) + 1)]


def _drop(text: str, chance: random.Random) -> str:
    at = chance.randrange(len(text) + 1)
    return text[:at] + text[at + chance.randint(1, 3) :]


def _add(text: str, chance: random.Random) -> str:
    at = chance.randrange(len(text) + 1)
    return text[:at] + "".join(chance.choices("\"'{}[](),:;\\<>|/ 1-.x\n\t١", k=chance.randint(1, 2))) + text[at:]


def _twice(text: str, chance: random.Random) -> str:
    start = chance.randrange(len(text) + 1)
    part = text[start : start + chance.randint(1, 40)]
    return text[:start] + part + text[start:]


def _replace(text: str, chance: random.Random) -> str:
    one, other = chance.choice(
        [
            ('"', "'"), ('"', ""), (",", " "), (",", "，"), (",", ";"), ("[", "("), ("]", ")"), ("]", ""), ("{", ""), ("}", ""), ("\n", " "), (", ", ",\n"),
            (":", " "), ("bbox_2d", "bbox"), ("bbox_2d", "x1"), ("label", "name"), ("box", "Box"), (" ", ""), ("<", " <"), (">", "> "), ("(", "[["), ("0", "0.5"), ("1", "-1"),
            ("1", "NaN"), ("9", "9000"), ("plane", "a plane, grey"), ("plane", "Planes"), ("plane", ""), ("°", " deg "), ("'", "′"), ("</", "<"),
        ]
    )  # fmt: skip
    return text.replace(one, other, chance.choice([1, 1, -1]))


def _surround(text: str, chance: random.Random) -> str:
    before = chance.choice(["", "Sure: ", "<think>It is [1, 2].</think>", "```json\n", "1. ", "\n\n  ", "label: "])
    return before + text + chance.choice(["", "\n```", " That is all.", "}", "\nThere are none.", " <|im_end|>"])


def damaged(text: str, chance: random.Random) -> str:
    """Return a text with no, one or two slips."""
    ways: list[Callable[[str, random.Random], str]] = [_cut, _drop, _add, _twice, _replace, _replace, _surround]
    for way in chance.sample(ways, chance.choice([0, 1, 1, 1, 2])):
        text = way(text, chance)
    return text


def write(cases: list[Case]) -> None:
    """Record what cases are read as now."""
    rows = (json.dumps([*case, read(case)], ensure_ascii=False) for case in cases)
    FILE.write_text("".join(f"{row}\n" for row in rows), encoding="utf-8")


if __name__ == "__main__":
    write([case for case, _ in recorded()] if FILE.exists() else drawn())
