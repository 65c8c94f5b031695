"""Boxes inside texts: moved and moved back they are where they were, and no text breaks it."""

import random
import re
import time

import numpy as np
import pytest

from rscovlm.codec import Codec
from rscovlm.codec.control_tokens import check_words
from rscovlm.codec.dialect import presets
from rscovlm.codec.writing import STYLES, Style
from rscovlm.geometry import Boxes, Frame, Objects, iou
from rscovlm.geometry.kinds import Kind
from rscovlm.serving.rewrite_boxes import SENT, moved

KINDS: tuple[Kind, ...] = ("hbb", "obb", "quad")


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("preset", ["rscovlm-v1", "qwen3-vl"])
def test_there_and_back(preset: str, kind: Kind, style: Style) -> None:
    rng, codec = np.random.default_rng(4), Codec.preset(preset)
    root = Frame(4000, 4000)
    for seen in (root.resized(1008, 1008), root.cropped(900, 400, 2900, 2400).resized(504, 504)):
        low = rng.uniform(1200, 1900, (6, 2))
        boxes = Boxes(np.hstack([low, low + rng.uniform(150, 400, (6, 2))]), "hbb", root).as_kind(kind)
        objects = Objects(boxes, tuple(f"ship {number}" for number in range(6)))
        written = codec.encode(objects, seen, kind=kind, style=style)
        sent, found = moved(written, codec, seen, SENT, root)
        assert found is not None and found.labels == objects.labels
        assert iou(found.boxes, objects.boxes).diagonal().min() > 0.93
        assert sent == SENT.encode(found, root, kind=kind, style=style)
        back, _ = moved(sent, SENT, root, codec, seen)
        again = codec.decode(back, seen).objects
        # An oriented box that lies straight may be written with its angle a quarter turn off; it is the same box.
        assert iou(again.to(root).boxes, objects.boxes).diagonal().min() > 0.93


@pytest.mark.parametrize("preset", [name for name in presets() if Codec.preset(name).kind != "point"])
def test_every_dialect_answers_in_pixels_and_reads_its_own(preset: str) -> None:
    codec, root = Codec.preset(preset), Frame(1000, 800)
    seen = root.resized(504, 392)
    kind: Kind = "hbb" if "hbb" in codec.kinds else codec.kinds[0]  # type: ignore[assignment]
    boxes = Boxes([[100, 80, 300, 400], [500, 200, 620, 310]], "hbb", root)
    objects = Objects(boxes.as_kind(kind), ("ship", "ship"))
    for style in codec.styles:
        written = codec.encode(objects, seen, kind=kind, style=style)
        for text in (written, f"I see these. {written.strip()} That is all of it."):
            decoded = codec.decode(text, seen)
            if len(decoded.objects) != 2:
                continue  # this dialect cannot stand in a sentence
            sent, _ = moved(text, codec, seen, SENT, root)
            # A client that knows nothing of the model finds the pixels as numbers, and may send them back.
            numbers = [
                [int(one) for one in re.findall(r"\d+", part)] for part in re.findall(r"\d+(?:, ?\d+){3,}", sent)
            ]
            assert np.abs(np.array(numbers) - objects.boxes.coords).max() <= 6
            assert check_words(sent) == sent and ("I see" in text) == ("I see" in sent)
            assert iou(SENT.decode(sent, root, kind=kind).objects.boxes, objects.boxes).diagonal().min() > 0.93
            back = codec.decode(moved(sent, SENT, root, codec, seen)[0], seen, kind=kind)
            assert iou(back.objects.to(root).boxes, objects.boxes).diagonal().min() > 0.93


def test_what_a_dialect_cannot_write_is_refused() -> None:
    root = Frame(1000, 800)
    with pytest.raises(ValueError, match="an earlier turn cannot be written as dialect 'internvl' does"):
        moved("10,20,30,40 a<b>\n", SENT, root, Codec.preset("internvl"), root)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("It is red.", "It is red."),
        ("There are 12 ships and 3 planes.", "There are 12 ships and 3 planes."),
        ("One at [10, 20, 30, 40], one at (1,2,3,4).", "One at [20, 40, 60, 80], one at (2,4,6,8)."),
        (
            '{"label": "pier 7, 8, 9, 10", "bbox_2d": [1, 2, 3, 4]}',
            '{"label": "pier 7, 8, 9, 10", "bbox_2d": [2, 4, 6, 8]}',
        ),
        ("1,2,3,4 ship\n5,6,7,8 quay\nThat is all.", "2,4,6,8 ship\n10,12,14,16 quay\nThat is all."),
        ("[-5, 0, 9999, 40]", "[0, 0, 1000, 80]"),
        ("", ""),
    ],
)
def test_words_stay_words(text: str, expected: str) -> None:
    whole = Frame(1000, 500)
    assert moved(text, SENT, whole.resized(500, 250), SENT, whole)[0] == expected


def test_no_text_breaks_it() -> None:
    chance, root = random.Random(8), Frame(3000, 2000)
    seen, codec = root.cropped(10, 20, 700, 900).resized(504, 644), Codec.preset("rscovlm-v1")
    signs = [
        "1,2,3,4",
        "[",
        "]",
        "(",
        "{",
        "}",
        '"bbox_2d":',
        '"label": "a"',
        " ship\n",
        "-90",
        "1e99",
        "9" * 30,
        ".5",
        ",",
        "nan",
        "```json",
        "桥",
    ]
    for _ in range(500):
        text = "".join(chance.choices(signs, k=chance.randint(1, 14)))
        out, found = moved(text, codec, seen, SENT, root)
        assert isinstance(out, str) and (found is not None or out == text)
    start = time.process_time()
    moved("[1, 2, 3, 4] " * 2500, codec, seen, SENT, root)
    assert time.process_time() - start < 5
