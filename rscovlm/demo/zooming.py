"""A question that only a closer look can answer: the large scene, its pad, and what the model was shown of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from rscovlm.demo.report import Figure, ReportedAnswer
from rscovlm.experiments.embedded_tiles import MARKING, WORN
from rscovlm.rasters import Raster, open_image
from rscovlm.scenes import LayoutConfig, SceneLayout, write_large_scene
from rscovlm.scenes.legibility import read_marking
from rscovlm.scenes.pad import GLYPHS, QUESTION, Pad, place_pad
from rscovlm.zoom import ZoomChain, ZoomResult, ZoomView
from rscovlm.zoom.drawing import draw_windows
from rscovlm.zoom.summary import same_answer

LARGE = 8192
"""Side of the generated large scene in pixels."""

SHOWN = 760 * 760
"""Pixels of the pictures in the report."""

READ = 300
"""Pads that the reader of templates is tried on."""


@dataclass(frozen=True)
class LargeImage:
    """The image that is asked about and searched.

    Attributes:
        raster: The image.
        question: What is asked; empty where nothing is.
        layout: The plan of a generated scene; None for the user's own image.
    """

    raster: Raster
    question: str
    layout: SceneLayout | None = None

    @property
    def pad(self) -> Pad | None:
        """The pad that is asked about, in a generated scene."""
        return self.layout.pad if self.layout is not None else None


@dataclass(frozen=True)
class Zoomed:
    """The question about the large image, answered with and without a closer look.

    Attributes:
        with_zoom: What the chain did.
        without: The answer from the overview alone.
    """

    with_zoom: ZoomResult
    without: ZoomResult


def scene_config() -> LayoutConfig:
    """Return what the large scene holds."""
    return LayoutConfig(LARGE, LARGE, marking=MARKING, worn=WORN)


def write_scene(path: Path, seed: int) -> LargeImage:
    """Write the large scene as a GeoTIFF.

    Raises:
        ValueError: The scene of this seed has no pad.
    """
    scene = write_large_scene(path, seed, scene_config(), compression="jpeg")
    if scene.pad is None:
        raise ValueError(f"the large scene of seed {seed} has no pad to ask about; use another seed")
    return LargeImage(open_image(path), QUESTION, scene.layout)


def zoom(chain: ZoomChain, large: LargeImage) -> Zoomed:
    """Ask with and without a closer look."""
    return Zoomed(chain.ask(large.raster, large.question), chain.ask(large.raster, large.question, zoom=False))


def answers(zoomed: Zoomed, pad: Pad | None) -> list[ReportedAnswer]:
    """Return both answers, marked right or wrong where the truth is known, and the truth."""
    rows = [(looked(zoomed.with_zoom), zoomed.with_zoom.answer), ("from the overview alone", zoomed.without.answer)]
    if pad is None:
        return [ReportedAnswer(name, text) for name, text in rows]
    return [ReportedAnswer(name, text, same_answer(text, pad.glyph)) for name, text in rows] + [
        ReportedAnswer("true", pad.glyph)
    ]


def looked(result: ZoomResult) -> str:
    """Say how closely the model looked before an answer."""
    if result.crops:
        return "with a closer look"
    return "without a closer look, " + ("its calls were refused" if result.problems else "it asked for none")


def legible(shown: tuple[int, int], seed: int) -> int:
    """Count the pads, of `READ` like that of the large scene, that a reader of templates names in an overview.

    Args:
        shown: Width and height of the overview in pixels.
        seed: Of the pads.
    """
    right = 0
    side = 8 * max(shown)
    for number in range(READ):
        pad = place_pad(np.random.default_rng([seed, 41, number]), side, side, MARKING, WORN)
        scene = Image.new("RGB", (side, side), (96, 112, 84))
        pad.draw(scene)
        right += read_marking(scene.resize(shown, Image.Resampling.BOX), pad) == pad.glyph
    return right


def legibility_note(shown: tuple[int, int], seed: int) -> str:
    """Say in a sentence how often the marking can be read in an overview at all."""
    return (
        f"In an overview of {shown[0]} x {shown[1]} pixels, the marking is about a pixel wide and the pad is stained. A program "
        f"that knows the {len(GLYPHS)} possible markings and where to look names {legible(shown, seed)} of {READ} such pads; "
        f"guessing names about {READ // len(GLYPHS)}."
    )


def figures(large: LargeImage, result: ZoomResult) -> tuple[Image.Image, list[Figure]]:
    """Draw what the model was shown: the whole with the windows (also returned alone), overview, target, each window."""
    raster = large.raster
    whole = raster.overview(SHOWN)
    view = ZoomView(whole.image, whole.frame, (0, 0, raster.width, raster.height), 0, 0)
    drawn = draw_windows(view, result.crops)
    regions = {1: "the numbered region is the one"}.get(len(result.crops), "the numbered regions are those")
    asked = f"{regions} that the model asked for" if result.crops else f"answered {looked(result)}"
    out = [Figure(drawn, f"The whole image, {raster.width} x {raster.height} pixels; {asked}.")]
    overview = result.views[0]
    shown = (overview.frame.width, overview.frame.height)
    seen = overview.image.convert("RGB").resize(shown, Image.Resampling.BICUBIC)
    out.append(
        Figure(
            seen, f"Overview: all that the model is shown at first, {shown[0]} x {shown[1]} pixels, enlarged here.", 4
        )
    )
    if large.pad is not None:
        box = [round(float(value) * shown[0] / raster.width) for value in large.pad.box]
        part = seen.crop((box[0] - 1, box[1] - 1, box[2] + 1, box[3] + 1))
        out.append(Figure(part, f"The pad in the overview, {part.width} x {part.height} pixels, enlarged further.", 16))
    for number, crop in enumerate(result.crops, start=1):
        x1, y1, x2, y2 = crop.window
        picture = crop.image.convert("RGB")
        seen_as = f"{crop.frame.width} x {crop.frame.height}"
        picture.thumbnail((420, 420))
        caption = f"Window {number}, read again from the file: {x2 - x1} x {y2 - y1} pixels at ({x1}, {y1}), shown at {seen_as}."
        out.append(Figure(picture, caption))
    return drawn, out
