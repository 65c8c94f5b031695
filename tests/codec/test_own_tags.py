"""Tags of a user's own dialect: whatever templates they are, what they write is read and held by their grammar."""

from __future__ import annotations

import random
import re
from itertools import product

import numpy as np
import pytest

from rscovlm.codec import Codec
from rscovlm.codec.tags import Tags
from rscovlm.geometry import Boxes, Frame, Objects

GRID = Frame(1000, 500)
NAMES = ["ship", "storage tank"]
LABELS = [
    "<ref>{label}</ref>",
    "[[{label}]] ",
    "obj={label}; ",
    "{label}: ",
    "* {label} -> ",
    "{label}",
    "obj:{label} ",
    "",
]
BOXES = ["{boxes}", "<box>{boxes}</box>", "[{boxes}]"]
BOX = [
    "[{x1}, {y1}, {x2}, {y2}]",
    "({x1},{y1}),({x2},{y2})",
    "<{y1}><{x1}><{y2}><{x2}>",
    "x1={x1} y1={y1} x2={x2} y2={y2}",
    "|{x1}|{y1}|{x2}|{y2}|",
    "{{{x1};{y1};{x2};{y2}}}",
]
JOINED = [None, "", ", ", " & ", "<delim>"]
EVERY = list(product(LABELS, BOXES, BOX, JOINED))
# Every template stands in several of these; the patterns of one dialect take a while to be made.
CHOSEN = random.Random(5).sample(EVERY, 60)


@pytest.mark.parametrize(("label", "boxes", "box", "joined"), CHOSEN)
def test_what_templates_write_is_read_and_held(label: str, boxes: str, box: str, joined: str | None) -> None:
    tags = Tags(label=label, boxes=boxes, hbb=box, joined=joined)
    codec = Codec("mine", space="0-1000", kind="hbb", kinds=("hbb",), style="tagged", styles=("tagged",), tags=tags)
    names, rng = NAMES if label else NAMES[:1], np.random.default_rng(len(label) + len(box))
    for count in (1, 2, 4):
        first = rng.integers(5, 300, (count, 2))
        coords = np.hstack([first, first + rng.integers(10, 120, (count, 2))]).astype(float)
        labels = tuple(sorted(names[place] for place in rng.integers(len(names), size=count)))
        text = codec.encode(Objects(Boxes(coords, "hbb", GRID), labels), GRID)
        found = codec.decode(text, GRID, categories=names)
        assert not found.problems and sorted(found.objects.labels) == list(labels), text
        read = sorted(found.objects.boxes.coords.tolist())
        np.testing.assert_allclose(read, sorted(coords.tolist()), atol=0.51)
        assert re.fullmatch(codec.grammar(kind="hbb", categories=names).regex(), text), text


@pytest.mark.parametrize("label", ["obj:{label}", "obj:{label} ", "[{label} "])
def test_a_label_without_an_end_is_refused(label: str) -> None:
    with pytest.raises(ValueError, match="so that the label has no end; write a sign between them"):
        Tags(label=label, hbb="{x1} {y1} {x2} {y2}")
    Tags(label=label, hbb="({x1} {y1} {x2} {y2})")
