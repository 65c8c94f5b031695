"""Scenes with one or several marked pads, and three kinds of questions that an overview does not answer."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np
from PIL import Image

from rscovlm.experiments.embedded import STAGES, scene_config
from rscovlm.geometry import Boxes, Frame
from rscovlm.geometry.window import WindowLike
from rscovlm.scenes import make_zoom_scene
from rscovlm.scenes.pad import GLYPHS, QUESTION, Pad
from rscovlm.zoom.summary import ZoomQuestion, covered

PadTask = Literal["one", "compare", "count"]
TASKS: tuple[PadTask, ...] = get_args(PadTask)
"""One small thing; two far things to compare; all of some things to count."""

SIDE = 672
"""Side of a scene in pixels, eight times what the model sees of it."""

MARKING, WORN = 12.0, 30.0
"""A marking is 24 pixels wide in the scene and 3 in the overview, on a stained pad."""

SAME = "Do the two white pads carry the same marking?"
_LEGIBLE = 8.0
"""Pixels that a marking must span in a view to count as legible there."""


@dataclass(frozen=True, eq=False)
class PadQuestion:
    """A scene with marked pads and one question about their markings.

    Attributes:
        task: The kind of question.
        image: RGB picture, square.
        pads: The pads; the first is the one that `make_zoom_scene` placed.
        question: What is asked.
        answer: The true answer.
    """

    task: PadTask
    image: Image.Image
    pads: tuple[Pad, ...]
    question: str
    answer: str

    def asked(self) -> ZoomQuestion:
        """Return the question as a set holds it; the evidence of several pads is no one box and is left out."""
        if len(self.pads) > 1:
            return ZoomQuestion(self.image, self.question, self.answer)
        return ZoomQuestion(
            self.image, self.question, self.answer, Boxes(marking_box(self.pads[0])[None], "hbb", Frame(SIDE, SIDE))
        )


def count_question(glyph: str) -> str:
    """Return the question that counts a marking."""
    return f"How many white pads carry the marking {glyph}?"


def marking_box(pad: Pad) -> np.ndarray:
    """Return (4,) x1 y1 x2 y2 of the marking with a little of its pad."""
    half = 0.65 * pad.marking * pad.scale
    x, y = pad.centre
    return np.array([x - half, y - half, x + half, y + half])


def legible(pad: Pad, window: WindowLike, seen: float) -> bool:
    """Tell whether a view of a window, so many pixels wide, shows a marking whole and large enough to be read."""
    return holds(pad, window) and pad.marking * pad.scale * seen / (window[2] - window[0]) >= _LEGIBLE


def holds(pad: Pad, window: WindowLike) -> bool:
    """Tell whether a window holds a marking whole."""
    return covered(marking_box(pad), window) > 0.999


def draw_question(rng: np.random.Generator, task: PadTask, texture_seed: int = 0) -> PadQuestion:
    """Draw a scene and its question; answers of one kind are equally frequent.

    Args:
        rng: Decides everything.
        task: The kind of question.
        texture_seed: Of the ground; scenes for testing take another one.
    """
    wanted = {"one": 1, "compare": 2, "count": int(rng.integers(2, 5))}[task]
    apart = 0.45 * SIDE if task == "compare" else 0.24 * SIDE
    while True:
        scene = make_zoom_scene(
            rng, SIDE, scene_config(STAGES[-1], texture_seed), max_distractors=1, marking=MARKING, worn=WORN
        )
        pads = _several(rng, scene.pad, wanted, apart)
        if len(pads) == wanted:
            break
    if task == "one":
        return PadQuestion(task, scene.image, tuple(pads), QUESTION, scene.answer)
    if task == "compare":
        same = bool(rng.random() < 0.5)
        others = [glyph for glyph in GLYPHS if glyph != pads[0].glyph]
        glyphs = [pads[0].glyph, pads[0].glyph if same else others[int(rng.integers(len(others)))]]
        question, answer = SAME, "yes" if same else "no"
    else:
        target = GLYPHS[int(rng.integers(len(GLYPHS)))]
        others = [glyph for glyph in GLYPHS if glyph != target]
        count = int(rng.integers(wanted + 1))
        glyphs = [target] * count + [others[int(rng.integers(len(others)))] for _ in range(wanted - count)]
        glyphs = [glyphs[int(place)] for place in rng.permutation(wanted)]
        question, answer = count_question(target), str(count)
    marked = tuple(replace(pad, glyph=glyph) for pad, glyph in zip(pads, glyphs, strict=True))
    for pad in marked:
        pad.draw(scene.image)
    return PadQuestion(task, scene.image, marked, question, answer)


def _several(rng: np.random.Generator, first: Pad, count: int, apart: float) -> list[Pad]:
    """Place more pads, each so far from all others along x or y; fewer where there is no room."""
    pads = [first]
    for _ in range(200 * (count > 1)):
        place = rng.uniform(50 * first.scale, SIDE - 50 * first.scale, 2)
        if all(float(np.abs(place - pad.centre).max()) >= apart for pad in pads):
            x, y = (float(np.floor(value)) for value in place)
            pads.append(replace(first, centre=(x, y), stains=int(rng.integers(2**31))))
        if len(pads) == count:
            break
    return pads
