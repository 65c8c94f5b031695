"""Samples of every dialect are named, mixtures and samples that do not tell are refused."""

from __future__ import annotations

import random
import re

import pytest

from rscovlm.codec import Codec
from rscovlm.codec.presets import preset_names
from rscovlm.geometry import Frame

SEEN = Frame(1400, 1400)
CLASSES = ["ship", "storage tank", "the red-roofed hangar"]


def _sides(chance: random.Random, unit: float) -> tuple[float, float, float, float]:
    """Sides of an object somewhere on a grid, of up to a tenth of it."""
    x, y = chance.uniform(0, 0.97), chance.uniform(0, 0.97)
    w, h = chance.uniform(0.01, 0.1), chance.uniform(0.01, 0.1)
    return x * unit, y * unit, min(x + w, 1) * unit, min(y + h, 1) * unit


def sample(name: str, chance: random.Random, count: int, seen: Frame = SEEN) -> list[str]:
    """Answers of a dialect, each of one or two objects, written out by hand."""
    texts = []
    for _ in range(count):
        label = chance.choice(CLASSES)
        boxes = [_sides(chance, 1.0) for _ in range(chance.randint(1, 2))]

        def whole(unit: int, box: tuple[float, ...]) -> list[int]:
            return [int(side * unit) for side in box]

        px, k, c, m = ([whole(unit, box) for box in boxes] for unit in (seen.width, 1000, 100, 999))
        both = {
            "rscovlm-v1": "".join(f"{x1},{y1},{x2},{y1},{x2},{y2},{x1},{y2} {label}\n" for x1, y1, x2, y2 in px),
            "qwen2.5-vl": "[" + ", ".join(f'{{"bbox_2d": {box}, "label": "{label}"}}' for box in px) + "]",
            "qwen3-vl": "```json\n[" + ", ".join(f'{{"bbox_2d": {box}, "label": "{label}"}}' for box in k) + "]\n```",
            "gemini": "[" + ", ".join(f'{{"box_2d": {[b, a, d, e]}, "label": "{label}"}}' for a, b, e, d in k) + "]",
            "qwen2-vl": f"<|object_ref_start|>{label}<|object_ref_end|>"
            + "".join(f"<|box_start|>({a},{b}),({e},{d})<|box_end|>" for a, b, e, d in k),
            "qwen-vl": f"<ref>{label}</ref>" + "".join(f"<box>({a},{b}),({e},{d})</box>" for a, b, e, d in k),
            "internvl": f"<ref>{label}</ref><box>{k}</box>",
            "geochat": f"<p>{label}</p> " + "<delim>".join(f"{{<{a}><{b}><{e}><{d}>|<{9}>}}" for a, b, e, d in c),
            "earthdial": "".join(f"[[{a}, {b}, {e}, {d}, 90]]" for a, b, e, d in c),
            "geoground": "".join(f"<hbox>({a},{b},{e},{d})</hbox>" for a, b, e, d in k),
            "vhm": ", ".join(f"[{a:.3f}, {b:.3f}, {e:.3f}, {d:.3f}]" for a, b, e, d in boxes),
            "paligemma": " ; ".join(f"<loc{b:04d}><loc{a:04d}><loc{d:04d}><loc{e:04d}> {label}" for a, b, e, d in k),
            "florence-2": label + "".join(f"<loc_{a}><loc_{b}><loc_{e}><loc_{d}>" for a, b, e, d in m),
            "rex-omni": f"<|object_ref_start|>{label}<|object_ref_end|><|box_start|>"
            + ",".join(f"<{a}><{b}><{e}><{d}>" for a, b, e, d in m)
            + "<|box_end|>",
            "deepseek-vl2": f"<|ref|>{label}<|/ref|><|det|>{m}<|/det|>",
            "molmo": f'<points x1="{boxes[0][0] * 100:.1f}" y1="{boxes[0][1] * 100:.1f}" alt="{label}">{label}</points>',
        }
        texts.append(both[name])
    return texts


def test_the_confusion_table_is_diagonal() -> None:
    table = {}
    for name in preset_names():
        for seed in range(3):
            texts = [*sample(name, random.Random(f"{name}{seed}"), 30), "There are none."]
            table[name, seed] = Codec.detect(texts, SEEN)
    wrong = {key: guess for key, guess in table.items() if guess.dialect != key[0]}
    assert not wrong
    assert all(guess.evidence and guess.candidates == (guess.dialect,) for guess in table.values())


@pytest.mark.parametrize("side", [504, 700, 1400, 2800])
def test_pixels_and_thousandths_are_told_apart_where_grids_differ(side: int) -> None:
    seen = Frame(side, side)
    for name in ("qwen2.5-vl", "qwen3-vl"):
        guess = Codec.detect(sample(name, random.Random(name), 60, seen), seen)
        assert guess.dialect == name, guess


def test_samples_that_do_not_tell_are_refused() -> None:
    near = Frame(1000, 1000)
    for name in ("qwen2.5-vl", "qwen3-vl"):
        guess = Codec.detect(sample(name, random.Random(name), 60, near), near)
        assert guess.dialect is None and set(guess.candidates) == {"qwen2.5-vl", "qwen3-vl"}
    small = ['[{"bbox_2d": [9, 9, 20, 30], "label": "ship"}]'] * 200
    guess = Codec.detect(small, SEEN)
    assert guess.dialect is None and "small numbers fit" in guess.evidence
    assert Codec.detect(["There are none.", ""], SEEN).dialect is None
    assert Codec.detect(small[:1], SEEN).dialect is None
    assert Codec.detect(['[{"bbox": [9, 9, 1300, 1300], "label": "ship"}]'] * 50, SEEN).dialect is None
    # Thousandths between tags that count to 100.
    assert Codec.detect(["<p>ship</p> {<280><190><330><290>}"] * 9, SEEN).dialect is None


def test_a_key_that_one_family_has_tells_it_whatever_the_numbers() -> None:
    # Numbers this small fit every space; those beyond a thousand fit no space of this key.
    small = ['[{"box_2d": [9, 8, 30, 40], "label": "ship"}]'] * 5
    assert Codec.detect(small, SEEN).dialect == "gemini"
    assert (
        Codec.detect([text.replace("9, 8, 30, 40", "1210, 1220, 1300, 1350") for text in small], SEEN).dialect is None
    )


def test_mixtures_are_refused() -> None:
    chance = random.Random(4)
    names = preset_names()
    for first in names:
        for second in names:
            if first < second and {first, second} != {"qwen2.5-vl", "qwen3-vl"}:
                texts = sample(first, chance, 20) + sample(second, chance, 20)
                guess = Codec.detect(texts, SEEN)
                assert guess.dialect is None and "mixture" in guess.evidence, (first, second, guess)


def test_a_few_strays_are_named_and_more_are_a_mixture() -> None:
    """A tenth of the objects may be written otherwise, as a model's slips are; the evidence says how many, and how."""
    for first, second in (
        ("qwen3-vl", "geochat"),
        ("internvl", "qwen3-vl"),
        ("rscovlm-v1", "molmo"),
        ("vhm", "gemini"),
    ):
        strays = sample(second, random.Random(1), 2)
        guess = Codec.detect(sample(first, random.Random(0), 40) + strays, SEEN)
        assert guess.dialect == first
        named = re.search(r"; written otherwise: (\d+) as ", guess.evidence)
        alone = Codec.detect(strays, SEEN)
        assert named is not None and int(named[1]) == sum(alone.syntaxes.values())
        mixed = Codec.detect(sample(first, random.Random(0), 34) + sample(second, random.Random(1), 12), SEEN)
        assert mixed.dialect is None and "mixture" in mixed.evidence


def test_answers_between_tags_of_thoughts_and_words_change_nothing() -> None:
    words = ["There are none.", "I cannot see any ship.", "The image shows 3 ships at [the harbour].", ""]
    for name in preset_names():
        texts = sample(name, random.Random(name), 20)
        thought = [f"<think>at [1, 2, 3, 4] or <box>9</box></think><answer>{text}</answer>" for text in texts]
        assert Codec.detect(texts + words * 3, SEEN).dialect == Codec.detect(thought, SEEN).dialect == name


def test_frames_may_differ_and_wrong_ones_are_named() -> None:
    frames = [Frame(504, 504), Frame(2000, 900)] * 30
    chance = random.Random(8)
    texts = [
        sample("qwen2.5-vl", chance, 1, Frame(504, 504))[0],
        sample("qwen2.5-vl", chance, 1, Frame(900, 900))[0],
    ] * 30
    assert Codec.detect(texts, frames).dialect == "qwen2.5-vl"
    with pytest.raises(ValueError, match="59 frames for 60 answers"):
        Codec.detect(texts, frames[:-1])
    with pytest.raises(ValueError, match="one string"):
        Codec.detect(texts[0], SEEN)
